# What every convolution kernel is given, and how it is run: made ready once, for as many calls as there are.

cdef extern from "simd.h":
    enum:
        WRITES_PAST
    void PASSED() noexcept nogil

cdef enum:
    JOB_WORDS = 256
    LARGE_RESULT = 1 << 23          # bytes that caches do not keep for whoever reads the result

cdef struct task_t:
    source_t source
    const void *x
    const void *constants           # (AXES + 1, C): the constant outside each axis, and zeros
    bint zero                       # what is outside is zero
    const void *bias                # one element per output, or NULL
    void *y
    Py_ssize_t y_n                  # strides of y, in elements
    Py_ssize_t y_stride[AXES]
    Py_ssize_t y_channel            # other than 1 only for kernels that write channels apart
    bint finishing                  # every place ends with an activation
    bint past                       # y is large: kernels may write past the caches where all vectors are whole lines
    row_activation_t activation
    char *scratch                   # scratch_size bytes per thread
    Py_ssize_t scratch_size
    const void *loose               # filters that are not packed, contiguous; NULL for others
    int *spoiled                    # not 0 once one of them was not finite
    Py_ssize_t panel_at             # in the scratch memory: room for a panel of them


cdef inline void finish(const task_t *task, real *y, Py_ssize_t places, Py_ssize_t step,
                        Py_ssize_t outputs) noexcept nogil:
    """Apply the activation to outputs of some places, which lie `step` elements apart, or next to one another if
    outputs do not.
    """
    if task.y_channel != 1:
        places, outputs, step = outputs, places, task.y_channel
    if step == outputs and not task.activation.rowwise:
        places, outputs = 1, places * outputs
    for _ in range(places):
        activate_row(&task.activation, y, y, outputs)
        y += step


cdef inline void finish_targets(const task_t *task, real **targets, Py_ssize_t count, Py_ssize_t first,
                                Py_ssize_t outputs) noexcept nogil:
    """Apply the activation to outputs, from the first on, of the places of a tile, as far as there are any; to
    neighbours at once, where all that lies between them is to be finished.
    """
    cdef Py_ssize_t i = 0, together
    while i < count:
        together = 1
        if targets[i] != NULL:
            while i + together < count and targets[i + together] == targets[i] + together * outputs:
                together += 1
            finish(task, targets[i] + first, together, outputs, outputs)
        i += together


cdef inline Py_ssize_t output_of(Py_ssize_t panel, Py_ssize_t panels_per_group, Py_ssize_t outputs,
                                 Py_ssize_t wide) noexcept nogil:
    """The first output of a panel, counted over all groups."""
    return panel // panels_per_group * outputs + panel % panels_per_group * wide


cdef inline int threads_for(int threads, double products) noexcept nogil:
    """How many threads so many multiplications are worth: few are done sooner than a thread wakes."""
    return 1 if products < 2e5 else threads


cdef inline Py_ssize_t cut_at(Py_ssize_t length, Py_ssize_t parts, Py_ssize_t part) noexcept nogil:
    """Where a part begins if `length` is cut into so many that are about equal."""
    return part * length // parts


cdef inline bint all_zero(const unsigned char *bytes, Py_ssize_t count) noexcept nogil:
    cdef Py_ssize_t i
    cdef unsigned char any_bit = 0
    for i in range(count):
        any_bit |= bytes[i]
    return any_bit == 0


cdef inline void give(task_t *task, const void *x, const void *bias, void *y, char *scratch) noexcept nogil:
    """Tell a job with which memory it is done."""
    task.scratch, task.scratch_size = scratch, rounded(task.scratch_size)
    task.x, task.bias, task.y = x, bias, y
    task.past = task.past and not task.finishing and <uintptr_t> y % VECTOR_BYTES == 0


cdef int once_convolution(const ready_t *ready, const void *x, const void *bias, void *y, char *scratch) noexcept nogil:
    cdef Py_ssize_t job[JOB_WORDS]
    memcpy(job, ready.job, ready.job_size)
    return run_task(ready, <task_t *> job, x, bias, y, scratch)


cdef inline int run_task(const ready_t *ready, task_t *task, const void *x, const void *bias, void *y,
                         char *scratch) noexcept nogil:
    """Run a copy of a kernel's job."""
    give(task, x, bias, y, scratch)
    return DONE if run_blocks(ready.block, task, ready.blocks, ready.threads) else STOPPED


cdef class Convolution(Kernel):
    """One of the kernels below, made ready for arrays of given shapes, strides and dtype.

    axes: three Axis tables. constants: (4, C), the constant outside each axis and a row of zeros.
    """
    cdef task_t *task               # the start of the kernel's job, which the subclass holds
    cdef int itemsize
    cdef bint finishes              # blocks hold whole places, or outputs of them, and end with `finish`
    cdef bint whole                 # they hold whole places
    cdef bint loosely               # filters may come as they are: a panel is packed when it is its turn, which is once
    cdef object keep                # what the job points to
    cdef Compiled plugin            # whose function finishes, or None

    cdef int begin(self, void *job, Py_ssize_t job_size, cnp.ndarray x, cnp.ndarray y, tuple axes,
                   cnp.ndarray constants, int threads, double products) except -1:
        """Fill in what all jobs share. products: multiplications per place of the result."""
        cdef task_t *task = <task_t *> job
        if job_size > JOB_WORDS * <Py_ssize_t> sizeof(Py_ssize_t):
            raise SystemError("a job is larger than its copy")
        self.task, self.ready.job, self.ready.job_size = task, job, job_size
        self.keep, self.itemsize = (axes, constants), <int> x.itemsize
        task.source, task.finishing, task.loose = source_of(x, axes), False, NULL
        task.constants = cnp.PyArray_DATA(constants)
        task.zero = all_zero(<const unsigned char *> task.constants, constants.nbytes)
        task.y_n = strides_of(y, task.y_stride)
        task.y_channel = y.strides[AXES + 1] // y.itemsize if y.shape[AXES + 1] > 1 else 1
        task.past = WRITES_PAST and y.nbytes >= LARGE_RESULT and task.y_channel == 1 \
            and all([stride % VECTOR_BYTES == 0 for stride in (<object> y).strides[:AXES + 1]])
        self.ready.threads = threads_for(threads, products * task.source.batch * task.source.places)
        return 0

    cdef int take_loose(self, panels) except -1:
        """Filters that others will bring need not be packed all at once."""
        if panels.nbytes == 0 and not panels.transposed:
            self.loosely, self.task.panel_at = True, rounded(self.task.scratch_size)
            self.task.scratch_size = self.task.panel_at \
                + rounded(panels.taps * panels.channels * TILE_VECTORS * VECTOR_BYTES)
        return 0

    cdef int end(self, block_t block, Py_ssize_t blocks) except -1:
        self.ready.once, self.ready.block, self.ready.blocks = once_convolution, block, blocks
        self.ready.threads = <int> max(1, min(self.ready.threads, blocks))
        self.ready.scratch = rounded(self.task.scratch_size) * self.ready.threads
        return 0

    cdef int run(self, void *job, cnp.ndarray x, cnp.ndarray bias, cnp.ndarray y, Border border) except -1:
        cdef task_t *task = <task_t *> job
        cdef int failure, status
        cdef const void *start = NULL if bias is None else cnp.PyArray_DATA(bias)
        if border is not None:
            task.source.border = border.around(x)
        cdef _Scratch scratch = _Scratch(task.scratch_size, self.ready.threads)
        if self.plugin is not None:
            give(task, cnp.PyArray_DATA(x), start, cnp.PyArray_DATA(y), scratch.first)
            task.activation.call.failure = &failure
            return run_foreign(self.ready.block, job, self.ready.blocks, self.ready.threads, &failure,
                               self.plugin.label)
        with nogil:
            status = run_task(&self.ready, task, cnp.PyArray_DATA(x), start, cnp.PyArray_DATA(y), scratch.first)
        return 0 if status == DONE else stop()

    def pack(self, cnp.ndarray filters):
        """Other filters, (F, *kernel, C // groups) and contiguous, for `fill`; None if they are not for this kernel."""
        return None

    cdef int use(self, void *job, packed) except -1:
        """Let a job have other filters, as `pack` returns them, which must outlive it."""
        raise TypeError("this kernel takes no other filters")

    cdef object packed(self, void *job, filters):
        """Let a job have other filters, unless None are given: returns what must outlive it, or None if these are not
        for this kernel.
        """
        if isinstance(filters, np.ndarray):
            filters = self.pack(filters)
        if filters is not None:
            self.use(job, filters)
        return filters

    def fill(self, cnp.ndarray x, cnp.ndarray bias, cnp.ndarray y, filters=None, Border border=None):
        """Fill y (N, *places, outputs): bias (outputs,) or None + sum over taps and channels of x (N, D, H, W, C) times
        filters: those of the kernel, or others of the same shape, contiguous or as `pack` returns them. border: around
        x, if the axes are those of a joint padding mode; of no other call. Several threads may call at once. Returns
        None, or anything else if that was not possible.
        """
        cdef Py_ssize_t job[JOB_WORDS]
        cdef task_t *task = <task_t *> job
        cdef int spoiled = 0
        memcpy(job, self.ready.job, self.ready.job_size)
        if self.loosely and isinstance(filters, np.ndarray):
            task.loose, task.spoiled = cnp.PyArray_DATA(<cnp.ndarray> filters), &spoiled
        else:
            packed = self.packed(job, filters)
            if packed is None and filters is not None:
                return False
        if self.ready.blocks:
            self.run(job, x, bias, y, border)
        return False if failed(&spoiled) else None

    def finish(self, kernel, tuple params):
        """Have an activation, as of `activate`, applied to all that is filled; returns False if the kernel cannot."""
        cdef row_activation_t activation = row_activation(kernel, params, self.itemsize)
        cdef bint plugin = activation.function == NULL
        if not self.finishes or activation.share != 1 or (
                activation.rowwise and not (self.whole and self.task.y_channel == 1 and not plugin)):
            return False
        self.task.activation, self.task.finishing = activation, True
        if plugin:
            self.plugin, self.ready.once = kernel, NULL
        return True

    @property
    def scratch(self):
        """Bytes of scratch memory that a call takes."""
        return self.ready.scratch
