# How kernels call the functions of plugins, and how their failures reach the caller.

cdef extern from "foreign.h":
    ctypedef void (*foreign_row_t)(const void *x, void *y, Py_ssize_t n, void *user) noexcept nogil
    ctypedef int (*foreign_checked_row_t)(const void *x, void *y, Py_ssize_t n, void *user) noexcept nogil
    ctypedef int (*foreign_window_t)(double *w, Py_ssize_t taps, double *y, void *user) noexcept nogil
    ctypedef int (*foreign_rows_t)(const void **rows, Py_ssize_t taps, void *y, Py_ssize_t n,
                                   void *user) noexcept nogil
    ctypedef int (*foreign_slopes_t)(const void **rows, Py_ssize_t taps, const void *y, void **slopes, Py_ssize_t n,
                                     void *user) noexcept nogil
    enum:
        FOREIGN_NONE, FOREIGN_ROW, FOREIGN_CHECKED_ROW, FOREIGN_WINDOW, FOREIGN_ROWS, FOREIGN_SLOPES
        FOREIGN_REFUSED
    void fail(int *failure, int status) noexcept nogil
    int failed(const int *failure) noexcept nogil

cdef enum:
    PARAMETERS = 8                  # MOST_PARAMETERS of _compiled.pyx

cdef struct call_t:                 # a function and what it is called with
    foreign_t foreign
    double params[PARAMETERS]
    bint parametric
    int *failure                    # what it returned, if that means failure; else 0


cdef int prepare_call(call_t *call, const foreign_t *foreign, tuple params) except -1:
    cdef Py_ssize_t k
    if len(params) > PARAMETERS:
        raise ValueError(f"a compiled function takes at most {PARAMETERS} parameters, got {params}")
    call.foreign, call.failure, call.parametric = foreign[0], NULL, len(params) > 0
    for k in range(PARAMETERS):
        call.params[k] = params[k] if k < len(params) else 0.0
    return 0


cdef inline void *user_of(const call_t *call) noexcept nogil:
    """Its own data, or the parameters of the plugin, or NULL."""
    if call.foreign.user != NULL:
        return call.foreign.user
    return <void *> call.params if call.parametric else NULL


cdef inline int raised() except? -1:
    """Raises the error that is set, if one is."""
    return -1 if PyErr_Occurred() != NULL else 0


cdef int run_foreign(block_t block, void *job, Py_ssize_t blocks, int threads, int *failure, str label) except -1:
    """Run blocks that call a plugin's function and note in `failure` what it returned if it failed.

    An error of Python that the function set is raised as itself. In another thread than this one it is lost with the
    state of that thread: then all is done once more in this one, only to see it, for the results are spoiled by then.
    """
    cdef int status
    try:
        failure[0] = 0
        with nogil:
            run(block, job, blocks, threads)
        raised()
        status = failure[0]
        if status == 0:
            return 0
        if threads > 1:
            failure[0] = 0
            with nogil:
                run(block, job, blocks, 1)
            raised()
        raise RuntimeError("the function returned 0, which means failure in this form" if status == FOREIGN_REFUSED
                           else f"the function returned {status}, and anything but 0 means failure")
    except Exception as error:
        # what BaseException.add_note does, which Python 3.10 does not have
        error.__notes__ = [*getattr(error, "__notes__", ()), f"in the compiled form of the {label}"]
        raise
