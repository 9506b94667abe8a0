"""Compiled plugins in Cython: the types of their functions, and what hands such a function to `register`.

    from pyconvx cimport compiled

    cdef void double_f32(const float *x, float *y, Py_ssize_t n, void *user) noexcept nogil:
        cdef Py_ssize_t i
        for i in range(n):
            y[i] = 2 * x[i]

    cx.activations.register("double", lambda x: 2 * x, compiled=compiled.activation_f32(double_f32))

Functions run without the GIL and from several threads. `user` points to the parameters of the plugin, a double each in
their order, or is NULL if it has none; PyCapsule_SetContext gives a capsule data of its own instead.
"""

from cpython.pycapsule cimport PyCapsule_New

# y[i] = the activation of x[i], or its derivative there, for i < n; y is never x.
ctypedef void (*activation_f32_t)(const float *x, float *y, Py_ssize_t n, void *user) noexcept nogil
ctypedef void (*activation_f64_t)(const double *x, double *y, Py_ssize_t n, void *user) noexcept nogil

# y[i] = the pooling of rows[0][i], rows[1][i], ... rows[taps - 1][i], for i < n. Returns 0 unless it fails.
ctypedef int (*pooling_f32_t)(const float *const *rows, Py_ssize_t taps, float *y, Py_ssize_t n,
                              void *user) noexcept nogil
ctypedef int (*pooling_f64_t)(const double *const *rows, Py_ssize_t taps, double *y, Py_ssize_t n,
                              void *user) noexcept nogil

# slopes[t][i] = the derivative of y[i] by rows[t][i].
ctypedef int (*pooling_gradient_f32_t)(const float *const *rows, Py_ssize_t taps, const float *y,
                                       float *const *slopes, Py_ssize_t n, void *user) noexcept nogil
ctypedef int (*pooling_gradient_f64_t)(const double *const *rows, Py_ssize_t taps, const double *y,
                                       double *const *slopes, Py_ssize_t n, void *user) noexcept nogil

# One window at a time, as scipy.ndimage.generic_filter calls it: returns 1, or 0 for failure.
ctypedef int (*window_t)(double *window, Py_ssize_t taps, double *y, void *user) noexcept nogil


cdef inline object activation_f32(activation_f32_t function):
    return PyCapsule_New(<void *> function, "void (const float *, float *, Py_ssize_t, void *)", NULL)


cdef inline object activation_f64(activation_f64_t function):
    return PyCapsule_New(<void *> function, "void (const double *, double *, Py_ssize_t, void *)", NULL)


cdef inline object pooling_f32(pooling_f32_t function):
    return PyCapsule_New(
        <void *> function, "int (const float *const *, Py_ssize_t, float *, Py_ssize_t, void *)", NULL)


cdef inline object pooling_f64(pooling_f64_t function):
    return PyCapsule_New(
        <void *> function, "int (const double *const *, Py_ssize_t, double *, Py_ssize_t, void *)", NULL)


cdef inline object pooling_gradient_f32(pooling_gradient_f32_t function):
    return PyCapsule_New(
        <void *> function,
        "int (const float *const *, Py_ssize_t, const float *, float *const *, Py_ssize_t, void *)", NULL)


cdef inline object pooling_gradient_f64(pooling_gradient_f64_t function):
    return PyCapsule_New(
        <void *> function,
        "int (const double *const *, Py_ssize_t, const double *, double *const *, Py_ssize_t, void *)", NULL)


cdef inline object window(window_t function):
    return PyCapsule_New(<void *> function, "int (double *, npy_intp, double *, void *)", NULL)
