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

ACTIVATIONS = {ACTIVATION_TABLE[i].name.decode(): i for i in range(ACTIVATION_COUNT)}

cdef struct row_activation_t:       # what finishes a row
    row_t function
    row_gradient_t gradient
    bint rowwise
    int share
    double params[ACTIVATION_PARAMETERS]

cdef struct activate_t:
    row_activation_t activation
    const char *x                   # rows of x_step bytes; an elementwise activation has rows of one element
    const char *y                   # (written unless there is gx)
    const char *gy
    char *gx
    Py_ssize_t rows, row, x_step, y_step
    Py_ssize_t rows_of_block


cdef row_activation_t row_activation(str name, tuple params, int itemsize) except *:
    """The compiled activation of that name: row functions for elements of 4 or 8 bytes, with their parameters."""
    cdef row_activation_t found
    cdef const activation_t *entry
    cdef Py_ssize_t k
    if name not in ACTIVATIONS:
        raise ValueError(f"no compiled activation {name!r}: there are {', '.join(ACTIVATIONS)}")
    if len(params) > ACTIVATION_PARAMETERS:
        raise ValueError(f"activation {name!r} takes at most {ACTIVATION_PARAMETERS} parameters, got {params}")
    entry = &ACTIVATION_TABLE[<Py_ssize_t> ACTIVATIONS[name]]
    found.function = entry.row[itemsize == 8]
    found.gradient = entry.gradient[itemsize == 8]
    found.rowwise = entry.rowwise
    found.share = entry.share
    for k in range(ACTIVATION_PARAMETERS):
        found.params[k] = params[k] if k < len(params) else 0.0
    return found


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
    for _ in range(rows):
        if job.gx == NULL:
            job.activation.function(x, <char *> y, n, job.activation.params)
        else:
            job.activation.gradient(x, y, gy, gx, n, job.activation.params)
            gy += job.y_step
            gx += job.x_step
        x += job.x_step
        y += job.y_step


cdef int activate_rows(str name, tuple params, cnp.ndarray x, cnp.ndarray y, cnp.ndarray gy, cnp.ndarray gx,
                       int threads) except -1:
    cdef activate_t job
    cdef Py_ssize_t blocks
    for array in (x, y, gy, gx):
        if array is not None and not (array.flags.c_contiguous and array.dtype == x.dtype):
            raise ValueError(f"activation {name!r}: arrays must be contiguous and of one dtype")
    if x.dtype != np.float32 and x.dtype != np.float64:
        raise TypeError(f"activation {name!r}: x must be float32 or float64, got {x.dtype}")
    job.activation = row_activation(name, params, x.itemsize)
    if (y.size * job.activation.share != x.size or (gx is not None and gx.size != x.size)
            or (gy is not None and gy.size != y.size)):
        raise ValueError(f"activation {name!r}: arrays do not fit x of shape {(<object> x).shape}")
    job.row = x.shape[x.ndim - 1] if job.activation.rowwise else 1
    job.rows = x.size // job.row if job.row else 0
    if job.rows == 0:
        return 0
    job.x_step = job.row * x.itemsize
    job.y_step = job.row // job.activation.share * x.itemsize
    job.rows_of_block = max(1, ACTIVATE_ELEMENTS // job.row)
    job.x, job.y = <const char *> cnp.PyArray_DATA(x), <const char *> cnp.PyArray_DATA(y)
    job.gy = NULL if gy is None else <const char *> cnp.PyArray_DATA(gy)
    job.gx = NULL if gx is None else <char *> cnp.PyArray_DATA(gx)
    blocks = (job.rows + job.rows_of_block - 1) // job.rows_of_block
    with nogil:
        run(activate_block, &job, blocks, threads)
    return 0


def activate(str name, tuple params, cnp.ndarray x, cnp.ndarray y, int threads):
    """Fill y with the compiled activation `name` of x, both contiguous and of one dtype; y may be x.

    A rowwise activation works on rows of the last axis.
    """
    activate_rows(name, params, x, y, None, None, threads)


def activate_gradient(str name, tuple params, cnp.ndarray x, cnp.ndarray y, cnp.ndarray gy, cnp.ndarray gx,
                      int threads):
    """Fill gx with the gradient with respect to x, given gy, that with respect to y; gx may be gy.

    Of y, which an elementwise activation does not read, only the shape counts there.
    """
    activate_rows(name, params, x, y, gy, gx, threads)
