/* Functions of a plugin that set an error of Python, as those of Cython do: the row and the pooling form. */
#include <Python.h>

static int refuse(const char *what)
{
    PyGILState_STATE state = PyGILState_Ensure();
    PyErr_SetString(PyExc_OverflowError, what);
    PyGILState_Release(state);
    return -1;
}

int refuse_row(const float *x, float *y, Py_ssize_t n, void *user)
{
    (void)user;
    for (Py_ssize_t i = 0; i < n; i++) {
        if (x[i] > 9) return refuse("a row beyond nine");
        y[i] = x[i];
    }
    return 0;
}

int refuse_rows(const float *const *rows, Py_ssize_t taps, float *y, Py_ssize_t n, void *user)
{
    (void)user;
    for (Py_ssize_t i = 0; i < n; i++) {
        y[i] = 0;
        for (Py_ssize_t t = 0; t < taps; t++) {
            if (rows[t][i] > 9) return refuse("a window beyond nine");
            y[i] += rows[t][i];
        }
    }
    return 0;
}
