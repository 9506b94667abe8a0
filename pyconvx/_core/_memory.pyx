"""Arrays for results, of which large ones start with a line of the cache. Imports nothing from pyconvx."""

cimport numpy as cnp
from cpython.pycapsule cimport PyCapsule_New

cnp.import_array()

cdef extern from "numpy/arrayobject.h":
    object PyDataMem_SetHandler(object handler)

cdef extern from "aligned.h":
    void *aligned_handler_address "(&aligned_handler)"

cdef enum:
    LARGE = 1 << 14                 # bytes below which choosing the memory costs more than it gains

cdef object handler = PyCapsule_New(aligned_handler_address, "mem_handler", NULL)


cdef cnp.ndarray new_array(int ndim, cnp.npy_intp *shape, int typenum, Py_ssize_t nbytes):
    """A contiguous array whose elements are not set."""
    cdef object before
    if nbytes < LARGE:
        return cnp.PyArray_EMPTY(ndim, shape, typenum, 0)
    before = PyDataMem_SetHandler(handler)
    try:
        return cnp.PyArray_EMPTY(ndim, shape, typenum, 0)
    finally:
        PyDataMem_SetHandler(before)


def empty(tuple shape, dtype):
    """numpy.empty for a native dtype; what is large is aligned to 64 bytes."""
    cdef cnp.npy_intp sizes[32]
    cdef cnp.dtype kind = dtype
    cdef Py_ssize_t nbytes = kind.itemsize
    cdef int ndim = <int> len(shape), axis
    if ndim > 32:
        raise ValueError(f"an array has at most 32 axes, got {ndim}")
    for axis in range(ndim):
        sizes[axis] = shape[axis]
        nbytes *= sizes[axis]
    return new_array(ndim, sizes, kind.num, nbytes)
