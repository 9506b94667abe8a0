"""The functions of a plugin as kernels find them."""

ctypedef struct foreign_t:          # form FOREIGN_NONE: there is no such function
    int form
    void *function
    void *user                      # its own data, or NULL

cdef class Compiled:
    cdef foreign_t forward[2]       # for float and double
    cdef foreign_t backward[2]
    cdef readonly str label
    cdef readonly bint rowwise
    cdef object keep
    cdef const foreign_t *find(self, Py_ssize_t itemsize, bint backward) noexcept
