"""The functions of the plugins in compiled form: one body for float and double each, and a capsule for each of them."""

from libc.math cimport sin, sqrt

from pyconvx cimport compiled

ctypedef fused real:
    float
    double


cdef void snake(const real *x, real *y, Py_ssize_t n, void *user) noexcept nogil:
    cdef double a = (<double *> user)[0]
    cdef Py_ssize_t i
    cdef double s
    for i in range(n):
        s = sin(a * x[i])
        y[i] = <real> (x[i] + s * s / a)


cdef void snake_derivative(const real *x, real *y, Py_ssize_t n, void *user) noexcept nogil:
    cdef double a = (<double *> user)[0]
    cdef Py_ssize_t i
    for i in range(n):
        y[i] = <real> (1 + sin(2 * a * x[i]))


cdef int rms(const real *const *rows, Py_ssize_t taps, real *y, Py_ssize_t n, void *user) noexcept nogil:
    cdef Py_ssize_t i, t
    cdef double sum
    for i in range(n):
        sum = 0
        for t in range(taps):
            sum += <double> rows[t][i] * rows[t][i]
        y[i] = <real> sqrt(sum / taps)
    return 0


cdef int rms_gradient(const real *const *rows, Py_ssize_t taps, const real *y, real *const *slopes, Py_ssize_t n,
                      void *user) noexcept nogil:
    cdef Py_ssize_t i, t
    for t in range(taps):
        for i in range(n):
            slopes[t][i] = rows[t][i] / (y[i] * taps) if y[i] != 0 else 0
    return 0


SNAKE = {
    "float32": compiled.activation_f32(snake[float]),
    "float64": compiled.activation_f64(snake[double]),
}
SNAKE_DERIVATIVE = {
    "float32": compiled.activation_f32(snake_derivative[float]),
    "float64": compiled.activation_f64(snake_derivative[double]),
}
RMS = {
    "float32": compiled.pooling_f32(rms[float]),
    "float64": compiled.pooling_f64(rms[double]),
}
RMS_GRADIENT = {
    "float32": compiled.pooling_gradient_f32(rms_gradient[float]),
    "float64": compiled.pooling_gradient_f64(rms_gradient[double]),
}
