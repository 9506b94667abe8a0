# Activations: the table of row functions, and their loops over whole arrays, forward and backward.

cdef extern from "activations.h":
    ctypedef void (*row_t)(const void *x, void *y, Py_ssize_t n, const double *params) noexcept nogil
    ctypedef void (*row_gradient_t)(const void *x, const void *y, const void *gy, void *gx, Py_ssize_t n,
                                    const double *params) noexcept nogil
    ctypedef struct activation_t:
        const char *name
        bint rowwise
        int share
        row_t row[2]
        row_gradient_t gradient[2]
    enum:
        ACTIVATION_PARAMETERS
    const activation_t ACTIVATION_TABLE[]
    const Py_ssize_t ACTIVATION_COUNT

cdef enum:
    ACTIVATE_ELEMENTS = 16384       # of one block
    AWAY_DOUBLES = 512              # of the copy that keeps what a plugin reads away from what it writes

ACTIVATIONS = {ACTIVATION_TABLE[i].name.decode(): i for i in range(ACTIVATION_COUNT)}

cdef struct row_activation_t:       # what finishes a row: one of the table, or that of a plugin
    row_t function                  # NULL: that of a plugin
    row_gradient_t gradient
    bint rowwise
    int share
    int itemsize
    call_t call

cdef struct activate_t:
    row_activation_t activation
    const char *x                   # rows of x_step bytes; an elementwise activation has rows of one element
    const char *y                   # (written unless there is gx)
    const char *gy
    char *gx
    const char *other               # rows that are added to x first, or NULL
    bint finishing                  # there is an activation
    Py_ssize_t rows, row, x_step, y_step
    Py_ssize_t rows_of_block


cdef row_activation_t row_activation(object kernel, tuple params, int itemsize, bint backward=False) except *:
    """An activation for elements of 4 or 8 bytes, with its parameters: a name in ACTIVATIONS, or a plugin's."""
    cdef row_activation_t found
    cdef foreign_t none
    cdef const activation_t *entry
    cdef Compiled compiled
    found.itemsize, found.share = itemsize, 1
    if isinstance(kernel, Compiled):
        compiled = kernel
        found.function, found.gradient, found.rowwise = NULL, NULL, compiled.rowwise
        prepare_call(&found.call, compiled.find(itemsize, backward), params)
        if found.call.foreign.form not in (FOREIGN_ROW, FOREIGN_CHECKED_ROW):
            raise ValueError(f"{compiled.label} has no compiled function for elements of {itemsize} bytes")
        return found
    if kernel not in ACTIVATIONS:
        raise ValueError(f"no compiled activation {kernel!r}: there are {', '.join(ACTIVATIONS)}")
    if len(params) > ACTIVATION_PARAMETERS:
        raise ValueError(f"activation {kernel!r} takes at most {ACTIVATION_PARAMETERS} parameters, got {params}")
    entry = &ACTIVATION_TABLE[<Py_ssize_t> ACTIVATIONS[kernel]]
    found.function, found.gradient = entry.row[itemsize == 8], entry.gradient[itemsize == 8]
    found.rowwise, found.share = entry.rowwise, entry.share
    none.form, none.function, none.user = FOREIGN_NONE, NULL, NULL
    prepare_call(&found.call, &none, params)
    return found


cdef inline void call_row(const call_t *call, const void *x, void *y, Py_ssize_t n) noexcept nogil:
    cdef int status
    if call.foreign.form == FOREIGN_ROW:
        (<foreign_row_t> call.foreign.function)(x, y, n, user_of(call))
    else:
        status = (<foreign_checked_row_t> call.foreign.function)(x, y, n, user_of(call))
        if status:
            fail(call.failure, status)


cdef void foreign_row(const row_activation_t *activation, const char *x, const char *gy, char *y,
                      Py_ssize_t n) noexcept nogil:
    """y = activation(x), or given gy, gy times the derivative at x. A plugin is never given one array to read and to
    write, which compilers may have been promised.
    """
    cdef double away[AWAY_DOUBLES]
    cdef const call_t *call = &activation.call
    cdef Py_ssize_t size = activation.itemsize, count, i
    cdef Py_ssize_t most = AWAY_DOUBLES if size == sizeof(double) else 2 * AWAY_DOUBLES
    if x != y and gy == NULL:
        call_row(call, x, y, n)
        return
    while n > 0 and not failed(call.failure):
        count = min(n, most)
        if gy == NULL:
            memcpy(away, x, count * size)
            call_row(call, away, y, count)
        else:
            call_row(call, x, away, count)
            if size == sizeof(float):
                for i in range(count):
                    (<float *> y)[i] = (<const float *> gy)[i] * (<float *> away)[i]
            else:
                for i in range(count):
                    (<double *> y)[i] = (<const double *> gy)[i] * away[i]
            gy += count * size
        x += count * size
        y += count * size
        n -= count


cdef inline void activate_row(const row_activation_t *activation, const void *x, void *y, Py_ssize_t n) noexcept nogil:
    """y = activation(x) for n elements; y may be x, but not for a rowwise plugin."""
    if activation.function != NULL:
        activation.function(x, y, n, activation.call.params)
    elif not failed(activation.call.failure):
        foreign_row(activation, <const char *> x, NULL, <char *> y, n)


cdef void add_rows(const real *x, const real *other, real *y, Py_ssize_t n) noexcept nogil:
    cdef Py_ssize_t i
    for i in range(n):
        y[i] = x[i] + other[i]


cdef void activate_block(void *argument, Py_ssize_t block, int worker) noexcept nogil:
    cdef const activate_t *job = <const activate_t *> argument
    cdef Py_ssize_t start = block * job.rows_of_block
    cdef Py_ssize_t rows = min(job.rows_of_block, job.rows - start), n = job.row
    cdef const char *x = job.x + start * job.x_step
    cdef const char *y = job.y + start * job.y_step
    cdef const char *gy = job.gy + start * job.y_step
    cdef char *gx = job.gx + start * job.x_step
    if not job.activation.rowwise:  # its rows are elements, which may be taken together
        n, rows = rows, 1
    if job.other != NULL:
        if job.activation.itemsize == sizeof(float):
            add_rows(<const float *> x, <const float *> (job.other + start * job.x_step), <float *> y, rows * n)
        else:
            add_rows(<const double *> x, <const double *> (job.other + start * job.x_step), <double *> y, rows * n)
        x = y
    if not job.finishing:
        return
    for _ in range(rows):
        if job.gx == NULL:
            activate_row(&job.activation, x, <char *> y, n)
        else:
            if job.activation.gradient != NULL:
                job.activation.gradient(x, y, gy, gx, n, job.activation.call.params)
            elif not failed(job.activation.call.failure):
                foreign_row(&job.activation, x, gy, gx, n)
            gy += job.y_step
            gx += job.x_step
        x += job.x_step
        y += job.y_step


cdef Py_ssize_t plan_rows(activate_t *job, object kernel, tuple params, Py_ssize_t size, Py_ssize_t row, int itemsize,
                          bint backward) except -1:
    """An activation of `size` elements, for a rowwise one in rows of `row`; returns how many blocks there are."""
    job.activation = row_activation(kernel, params, itemsize, backward)
    job.other, job.finishing = NULL, True
    job.row = row if job.activation.rowwise else 1
    job.rows = size // job.row if job.row else 0
    job.x_step = job.row * itemsize
    job.y_step = job.row // job.activation.share * itemsize
    job.rows_of_block = max(1, ACTIVATE_ELEMENTS // max(1, job.row))
    return (job.rows + job.rows_of_block - 1) // job.rows_of_block


cdef int activate_rows(object kernel, tuple params, cnp.ndarray x, cnp.ndarray y, cnp.ndarray gy, cnp.ndarray gx,
                       int threads) except -1:
    cdef activate_t job
    cdef Py_ssize_t blocks
    cdef int failure
    for array in (x, y, gy, gx):
        if array is not None and not (array.flags.c_contiguous and array.dtype == x.dtype):
            raise ValueError("activate: arrays must be contiguous and of one dtype")
    if x.dtype != np.float32 and x.dtype != np.float64:
        raise TypeError(f"activate: x must be float32 or float64, got {x.dtype}")
    blocks = plan_rows(&job, kernel, params, x.size, x.shape[x.ndim - 1] if x.ndim else 1, x.itemsize, gx is not None)
    if (y.size * job.activation.share != x.size or (gx is not None and gx.size != x.size)
            or (gy is not None and gy.size != y.size)):
        raise ValueError(f"activate: arrays do not fit x of shape {(<object> x).shape}")
    if blocks == 0:
        return 0
    job.x, job.y = <const char *> cnp.PyArray_DATA(x), <const char *> cnp.PyArray_DATA(y)
    job.gy = NULL if gy is None else <const char *> cnp.PyArray_DATA(gy)
    job.gx = NULL if gx is None else <char *> cnp.PyArray_DATA(gx)
    if job.activation.function == NULL:
        job.activation.call.failure = &failure
        return run_foreign(activate_block, &job, blocks, threads, &failure, (<Compiled> kernel).label)
    with nogil:
        run(activate_block, &job, blocks, threads)
    return 0


def activate(kernel, tuple params, cnp.ndarray x, cnp.ndarray y, int threads):
    """Fill y with an activation of x, both contiguous and of one dtype: a name in ACTIVATIONS, or Compiled of a plugin.

    A rowwise activation works on rows of the last axis. y may be x, but not for a rowwise plugin.
    """
    activate_rows(kernel, params, x, y, None, None, threads)


def activate_gradient(kernel, tuple params, cnp.ndarray x, cnp.ndarray y, cnp.ndarray gy, cnp.ndarray gx,
                      int threads):
    """Fill gx with the gradient with respect to x, given gy, that with respect to y; gx may be gy.

    Of y, which an elementwise activation does not read, only the shape counts there.
    """
    activate_rows(kernel, params, x, y, gy, gx, threads)


cdef int once_activate(const ready_t *ready, const void *x, const void *other, void *y, char *scratch) noexcept nogil:
    cdef activate_t job
    memcpy(&job, ready.job, ready.job_size)
    job.x, job.other, job.y = <const char *> x, <const char *> other, <char *> y
    return DONE if run_blocks(ready.block, &job, ready.blocks, ready.threads) else STOPPED


cdef class Activate(Kernel):
    """Activate(kernel, params, shape, dtype, threads): an activation made ready for contiguous arrays of that shape and
    dtype, float32 or float64; one of the table that works on elements may be for the sum of two arrays, too.

    kernel: as of `activate`, or None for the sum of two as it is.
    """
    cdef activate_t job
    cdef object keep                # what the job calls
    cdef str label

    def __init__(self, kernel, tuple params, tuple shape, dtype, int threads):
        cdef Py_ssize_t size = 1
        for n in shape:
            size *= n
        self.keep = kernel
        self.ready.blocks = plan_rows(&self.job, "relu" if kernel is None else kernel, params, size,
                                      shape[len(shape) - 1] if len(shape) else 1, dtype.itemsize, False)
        self.job.finishing, self.job.gx = kernel is not None, NULL
        self.ready.block, self.ready.threads = activate_block, threads
        self.ready.job, self.ready.job_size = &self.job, sizeof(activate_t)
        if isinstance(kernel, Compiled):
            self.label = (<Compiled> kernel).label
        else:
            self.ready.once = once_activate

    def fill(self, cnp.ndarray x, cnp.ndarray other, cnp.ndarray y, filters=None):
        """Fill y from x, or from x + other. filters: None."""
        cdef activate_t job
        cdef int failure
        if self.ready.once != NULL:
            self.fill_once(x, other, y, NULL)
        elif self.ready.blocks:
            job = self.job
            job.x, job.y = <const char *> cnp.PyArray_DATA(x), <const char *> cnp.PyArray_DATA(y)
            job.activation.call.failure = &failure
            run_foreign(activate_block, &job, self.ready.blocks, self.ready.threads, &failure, self.label)
