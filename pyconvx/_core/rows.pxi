# Elementwise functions that NumPy lacks.

def erfc(cnp.ndarray x, cnp.ndarray out):
    """out = erfc(x) = 1 - erf(x), elementwise; both contiguous, both float32 or both float64, of one size."""
    if not (x.flags.c_contiguous and out.flags.c_contiguous and x.size == out.size and x.dtype == out.dtype):
        raise ValueError("erfc: x and out must be contiguous arrays of one size and dtype")
    cdef Py_ssize_t i, n = x.size
    cdef const void *source = cnp.PyArray_DATA(x)
    cdef void *target = cnp.PyArray_DATA(out)
    if x.dtype == np.float32:
        with nogil:
            for i in range(n):
                (<float *> target)[i] = erfc32((<const float *> source)[i])
    elif x.dtype == np.float64:
        with nogil:
            for i in range(n):
                (<double *> target)[i] = erfc64((<const double *> source)[i])
    else:
        raise TypeError(f"erfc: x must be float32 or float64, got {x.dtype}")
