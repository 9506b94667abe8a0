"""Calls that come again: one of the same form as a call before is known by a key, and done without being checked anew.

A form is everything but the elements of the arrays. Imports nothing from pyconvx but memory and what a kernel is.
"""

cimport numpy as cnp

from pyconvx._core._kernel cimport Kernel
from pyconvx._core._memory cimport new_array

cnp.import_array()

cdef enum:
    MOST = 32                       # calls that one owner knows
    DIMENSIONS = 5

cdef Py_ssize_t generation = 0
cdef object AN_ARRAY = object()
cdef object MISSING = object()
cdef object A_TRUE = object()
cdef object A_FALSE = object()


def forget():
    """Let all calls go: what names stand for, or how kernels are chosen, has changed."""
    global generation
    generation += 1


def now():
    """A number that `forget` changes, for `Calls.keep`."""
    return generation


cdef struct array_t:                # what a form says about an array; ndim -1: there is none
    int ndim, typenum
    cnp.npy_intp shape[DIMENSIONS]


cdef bint usable(object value) noexcept:
    """Whether it is an array whose elements a kernel can read in place."""
    return type(value) is cnp.ndarray and cnp.PyArray_ISCARRAY_RO(<cnp.ndarray> value)


cdef array_t seen(object value) noexcept:
    cdef array_t array
    array.ndim = -1
    if usable(value) and cnp.PyArray_NDIM(<cnp.ndarray> value) <= DIMENSIONS:
        array.ndim, array.typenum = cnp.PyArray_NDIM(<cnp.ndarray> value), cnp.PyArray_TYPE(<cnp.ndarray> value)
        for i in range(array.ndim):
            array.shape[i] = cnp.PyArray_DIM(<cnp.ndarray> value, i)
    return array


cdef bint like(object value, const array_t *array) noexcept:
    """Whether value is an array that looks like one seen before."""
    if not usable(value) or cnp.PyArray_NDIM(<cnp.ndarray> value) != array.ndim \
            or cnp.PyArray_TYPE(<cnp.ndarray> value) != array.typenum:
        return False
    for i in range(array.ndim):
        if cnp.PyArray_DIM(<cnp.ndarray> value, i) != array.shape[i]:
            return False
    return True


cdef class Repeat:
    """Repeat(fill, shape, dtype, finish=None, beside=None, mend=None): how a call is done again: `fill(x, bias, y,
    filters)` of a kernel, then `finish(y)`.

    y has that shape and dtype, and contiguous elements; filters are None if they were prepared. beside: the dtype of a
    second result of that shape; `fill` is given it as the bias, and the call returns both. Where `fill` returns
    anything but None, `mend(that, x, bias, y, filters)` completes y; if either returns False, or there is no `mend`,
    the call must be made the long way after all.
    """
    cdef object fill, finish, mend
    cdef int ndim, typenum, beside          # beside: -1 for none
    cdef Py_ssize_t nbytes, beside_nbytes
    cdef cnp.npy_intp shape[DIMENSIONS]

    def __init__(self, fill, tuple shape, dtype, finish=None, beside=None, mend=None):
        if len(shape) > DIMENSIONS:
            raise ValueError(f"a result has at most {DIMENSIONS} dimensions, got {len(shape)}")
        self.fill, self.finish, self.ndim, self.typenum = fill, finish, len(shape), dtype.num
        self.nbytes, self.mend = dtype.itemsize, mend
        for i in range(self.ndim):
            self.shape[i] = shape[i]
            self.nbytes *= self.shape[i]
        self.beside, self.beside_nbytes = -1, 0
        if beside is not None:
            self.beside = beside.num
            self.beside_nbytes = self.nbytes // dtype.itemsize * beside.itemsize

    @property
    def kernel(self):
        """What does all of it, without Python; None if there is no such kernel."""
        kernel = getattr(self.fill, "__self__", None)
        whole = self.finish is None and self.beside < 0 and isinstance(kernel, Kernel) and self.fill == kernel.fill
        return kernel if whole and kernel.runs else None

    cpdef bint into(self, x, bias, y, filters=None):
        """Fill y, of that shape and dtype, which shares no memory with the other arrays; returns whether that was done:
        if not, the call must be made the long way.
        """
        try:
            reported = self.fill(x, bias, y, filters)
            if reported is not None:
                if reported is False or self.mend is None or self.mend(reported, x, bias, y, filters) is False:
                    return False
            if self.finish is not None:
                self.finish(y)
        except MemoryError:     # which the long way tells of better
            return False
        return True


cdef class _Form:
    """The last call of an owner, to tell without a key that another is alike; made once and never changed.

    All that the call was given can be told apart by a key.
    """
    cdef Repeat repeat
    cdef Calls operation
    cdef object threads
    cdef array_t array[3]           # arguments
    cdef array_t bias, out          # options
    cdef dict options

    def __init__(self, Repeat repeat, Calls operation, tuple args, dict options, threads):
        self.repeat, self.operation, self.threads, self.options = repeat, operation, threads, dict(options)
        for i in range(3):
            self.array[i] = seen(args[i] if i < len(args) else None)
        self.bias, self.out = seen(options.get("bias")), seen(options.get("out"))
        if self.bias.ndim >= 0:
            self.options["bias"] = AN_ARRAY     # none is kept alive
        if self.out.ndim >= 0:
            self.options["out"] = AN_ARRAY

    cdef bint fits(self, Calls operation, tuple args, dict options, threads):
        """Whether a call of the same owner is surely alike: what is no array must be the same object."""
        if operation is not self.operation or threads is not self.threads or len(options) != len(self.options):
            return False
        if not like(args[0], &self.array[0]) or (self.array[1].ndim >= 0 and not like(args[1], &self.array[1])):
            return False
        if self.array[2].ndim >= 0:
            if len(args) < 3 or not like(args[2], &self.array[2]):
                return False
        elif len(args) == 3 and (args[2] is not None or "bias" in options):
            return False
        for name, value in options.items():
            known = self.options.get(name, MISSING)
            if known is AN_ARRAY:
                if not like(value, &self.bias if name == "bias" else &self.out):
                    return False
            elif known is not value:
                return False
        return True


cdef inline bint plain(object value) noexcept:
    """Whether a dictionary can tell the value from all others that mean something else, and it never changes."""
    kind = type(value)
    if kind is int or kind is str or value is None:
        return True
    if kind is tuple:
        for each in <tuple> value:
            if not plain(each):
                return False
        return True
    return False


cdef bint all_separate(cnp.ndarray y, tuple arrays) noexcept:
    """Whether contiguous arrays share no memory with y."""
    cdef char *first = <char *> cnp.PyArray_DATA(y)
    cdef char *other
    for array in arrays:
        if array is not None:
            other = <char *> cnp.PyArray_DATA(<cnp.ndarray> array)
            if first < other + cnp.PyArray_NBYTES(<cnp.ndarray> array) and other < first + cnp.PyArray_NBYTES(y):
                return False
    return True


cdef inline bint note(object value, list key):
    """Add what is known of an array to a key; returns whether it is one whose elements a kernel can read in place."""
    if not usable(value):
        return False
    key.append(cnp.PyArray_TYPE(<cnp.ndarray> value))
    key.append(value.shape)
    return True


cdef class Calls:
    """The calls that an operation has seen lately, or that were made with filters that have `_calls`: prepared ones.

    Their first arguments are x, filters, and bias if it is given by position; with `windows`, x and arguments that are
    no arrays.
    """
    cdef bint windows
    cdef dict known
    cdef _Form latest                # of one of them
    cdef Py_ssize_t generation      # of those that are known

    def __cinit__(self, bint windows=False):
        self.known, self.windows = {}, windows

    cdef Calls owner(self, tuple args):
        """Who knows the calls with these arguments; None where nobody does."""
        if self.windows:
            return self if len(args) > 0 and plain(args[1:]) else None
        if not 2 <= len(args) <= 3:
            return None
        if type(args[1]) is cnp.ndarray:
            return self
        calls = getattr(args[1], "_calls", None)
        return <Calls> calls if type(calls) is Calls else None

    cdef tuple key_of(self, tuple args, dict options, threads):
        """The key of a call, for its owner; None where the call cannot be told from others."""
        cdef list key = [self, threads]     # prepared filters may serve several operations
        if not note(args[0], key):
            return None
        if self.windows:
            key.append(args[1:])
        else:
            if type(args[1]) is cnp.ndarray and not note(args[1], key):
                return None
            if len(args) == 3 and ("bias" in options or (args[2] is not None and not note(args[2], key))):
                return None
        for name, value in options.items():
            key.append(name)
            if plain(value):
                key.append(value)
            elif value is True or value is False:
                key.append(A_TRUE if value else A_FALSE)    # which are not 1 and 0
            elif not ((name == "bias" or name == "out") and note(value, key)):
                return None     # of an array that is an option, the elements would matter
        return tuple(key)

    cdef void forget(self):
        self.known.clear()
        self.latest = None

    def again(self, tuple args, dict options, threads):
        """The result of a call like one before; None if there was none."""
        cdef Calls owner = self.owner(args)
        cdef _Form form
        cdef Repeat repeat
        cdef cnp.ndarray y
        if owner is None:
            return None
        if owner.generation != generation:
            owner.forget()
        form = None if self.windows else owner.latest
        if form is None or not form.fits(self, args, options, threads):
            key = self.key_of(args, options, threads)
            if key is None:
                return None
            found = owner.known.get(key)
            if found is None:
                return None
            if self.windows:
                repeat = <Repeat> found
            else:
                form = owner.latest = _Form(found, self, args, options, threads)
                repeat = form.repeat
        else:
            repeat = form.repeat
        x, bias, filters = args[0], None, None
        if not self.windows:
            bias = args[2] if len(args) == 3 else options.get("bias")
            filters = args[1] if owner is self else None
        out = options.get("out") if options else None
        try:
            if repeat.beside >= 0:
                bias = new_array(repeat.ndim, repeat.shape, repeat.beside, repeat.beside_nbytes)
            if out is None:
                y = new_array(repeat.ndim, repeat.shape, repeat.typenum, repeat.nbytes)
        except MemoryError:
            return None
        if out is not None:
            y = <cnp.ndarray> out
            if not cnp.PyArray_ISWRITEABLE(y) or not all_separate(y, (x, bias, filters)):
                return None
        if not repeat.into(x, bias, y, filters):
            return None
        return y if repeat.beside < 0 else (y, bias)

    def keep(self, tuple args, dict options, threads, Py_ssize_t since, make):
        """Remember a call that was made by what `make()` returns, a Repeat or None for one that cannot be repeated.

        since: what `now` was before the call was planned.
        """
        cdef Calls owner = self.owner(args)
        if owner is None or since != generation:
            return
        key = self.key_of(args, options, threads)
        if key is None:
            return
        try:
            repeat = make()
        except MemoryError:         # the call itself was made
            return
        if repeat is None:
            return
        if len(owner.known) >= MOST or owner.generation != since:
            owner.forget()
        owner.generation = since
        owner.known[key] = repeat
