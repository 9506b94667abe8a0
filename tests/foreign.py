"""Compiled functions for tests: callbacks of ctypes, which C code calls like any other function."""

import ctypes
from ctypes import CFUNCTYPE, POINTER, c_double, c_float, c_int, c_ssize_t, c_void_p

import numpy as np

ELEMENTS = {"float32": c_float, "float64": c_double}
DTYPES = {c_float: np.dtype(np.float32), c_double: np.dtype(np.float64)}
NAMES = []  # of capsules, which do not keep them alive


def array(pointer, n):
    """A view of n elements."""
    if not n:
        return np.empty(0)
    kind = pointer._type_  # np.ctypeslib.as_array does the same in several times as long, and callbacks are many
    return np.frombuffer((kind * n).from_address(ctypes.addressof(pointer.contents)), DTYPES[kind])


def parameters(user, count):
    """What a function without data of its own finds behind `user`."""
    return np.ctypeslib.as_array(ctypes.cast(user, POINTER(c_double)), (count,)).tolist() if count else []


def activation(function, dtype, count=0, checked=False):
    """The compiled form of `function(x, *parameters)`; a checked one returns what `function` leaves in `status`."""
    real = POINTER(ELEMENTS[dtype])

    def call(x, y, n, user):
        array(y, n)[...] = function(array(x, n), *parameters(user, count))
        return 0 if checked else None

    return CFUNCTYPE(c_int if checked else None, real, real, c_ssize_t, c_void_p)(call)


def pooling(function, dtype, count=0):
    """The row form of `function(w, *parameters)`, w (n, taps)."""
    real = POINTER(ELEMENTS[dtype])

    def call(rows, taps, y, n, user):
        w = np.stack([array(rows[t], n) for t in range(taps)], -1)
        array(y, n)[...] = function(w, *parameters(user, count))
        return 0

    return CFUNCTYPE(c_int, POINTER(real), c_ssize_t, real, c_ssize_t, c_void_p)(call)


def pooling_gradient(function, dtype, count=0):
    """The row form of the gradient `function(w, y, *parameters)`."""
    real = POINTER(ELEMENTS[dtype])

    def call(rows, taps, y, slopes, n, user):
        w = np.stack([array(rows[t], n) for t in range(taps)], -1)
        found = function(w, array(y, n), *parameters(user, count))
        for t in range(taps):
            array(slopes[t], n)[...] = found[:, t]
        return 0

    return CFUNCTYPE(c_int, POINTER(real), c_ssize_t, real, POINTER(real), c_ssize_t, c_void_p)(call)


def window(function, count=0):
    """The form of scipy.ndimage.generic_filter of `function(w, *parameters)`, w (taps,)."""

    def call(w, taps, y, user):
        y[0] = function(array(w, taps), *parameters(user, count))
        return 1

    return CFUNCTYPE(c_int, POINTER(c_double), c_ssize_t, POINTER(c_double), c_void_p)(call)


def both(make, function, count=0):
    """The same for float32 and float64, as `register` takes them."""
    return {dtype: make(function, dtype, count) for dtype in ELEMENTS}


def capsule(name, address=1, context=None):
    """A PyCapsule with that name (bytes, or None)."""
    new = ctypes.pythonapi.PyCapsule_New
    new.restype, new.argtypes = ctypes.py_object, [c_void_p, ctypes.c_char_p, c_void_p]
    NAMES.append(name)
    made = new(address, name, None)
    if context is not None:
        put = ctypes.pythonapi.PyCapsule_SetContext
        put.restype, put.argtypes = c_int, [ctypes.py_object, c_void_p]
        put(made, context)
    return made


def address(function):
    return ctypes.cast(function, c_void_p).value
