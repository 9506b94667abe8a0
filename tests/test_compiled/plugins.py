"""Compiled plugins of several tests, their definitions, and definitions that must not be called."""

import ctypes

import numpy as np
from foreign import activation, array, both, pooling, pooling_gradient

import pyconvx as cx


def unlike(*_):
    """A definition in Python that must not be called: the compiled form is."""
    raise AssertionError("the function in Python was called")


def registered(registry, name, function=unlike, **fields):
    return getattr(cx, registry).temporarily(name, function, **fields)


def cube(x):
    return x * x * x


def three_squares(x):
    return 3 * x * x


CUBE = {
    "derivative": unlike,
    "compiled": both(activation, cube),
    "compiled_derivative": both(activation, three_squares),
}


def spread(w):
    return w.max(-1) - w.min(-1)


def spread_gradient(w, y):
    slopes = np.zeros_like(w)
    np.put_along_axis(slopes, w.argmax(-1)[..., None], 1, -1)
    low = w.argmin(-1)[..., None]
    np.put_along_axis(slopes, low, np.take_along_axis(slopes, low, -1) - 1, -1)
    return slopes


SPREAD = {
    "gradient": unlike,
    "compiled": both(pooling, spread),
    "compiled_gradient": both(pooling_gradient, spread_gradient),
}


def fails_once(status):
    """A row function that fails for a row with a number above 9."""
    pointer = ctypes.POINTER(ctypes.c_float)

    def call(x, y, n, user):
        array(y, n)[...] = array(x, n)
        return status if array(x, n).max(initial=0) > 9 else 0

    return ctypes.CFUNCTYPE(ctypes.c_int, pointer, pointer, ctypes.c_ssize_t, ctypes.c_void_p)(call)
