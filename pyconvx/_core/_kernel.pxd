"""What a kernel is to those who run several without Python in between."""

cimport numpy as cnp

from pyconvx._core._threads cimport block_t

ctypedef int (*once_t)(const ready_t *ready, const void *x, const void *bias, void *y, char *scratch) noexcept nogil

cdef enum:
    DONE, STOPPED, FLAGGED          # what `once` returns: all is filled, a signal came, or it must be done by `fill`

cdef struct ready_t:                # a kernel, made ready
    once_t once                     # fills y; NULL where only `fill` of the kernel can
    void *job                       # of which each call takes a copy
    Py_ssize_t job_size
    block_t block
    Py_ssize_t blocks
    int threads
    Py_ssize_t scratch              # bytes of scratch memory of a call, which begin with a line of the cache

cdef class Kernel:
    cdef ready_t ready
    cdef int fill_once(self, cnp.ndarray x, cnp.ndarray bias, cnp.ndarray y, char *scratch) except -1
