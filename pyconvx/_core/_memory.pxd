"""Memory of results."""

cimport numpy as cnp


cdef cnp.ndarray new_array(int ndim, cnp.npy_intp *shape, int typenum, Py_ssize_t nbytes)
