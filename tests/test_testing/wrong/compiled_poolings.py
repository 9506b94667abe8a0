"""Poolings whose compiled forms are wrong, each in one way."""

from ctypes import CFUNCTYPE, POINTER, addressof, c_int, c_ssize_t, c_void_p
from functools import partial

import numpy as np
from foreign import ELEMENTS, array, both, pooling_gradient, window
from foreign import pooling as foreign_pooling

from .threads import by_way_of_shared_memory
from .wrong import wrong

pooling = partial(wrong, "poolings")


def total(w):
    return w.sum(-1)


def mean(w):
    return w.mean(-1)


def energy(w):
    return (w * w).sum(-1)


def compiled(laws, name, form, function=total, **fields):
    """Add `function` with that compiled form, for both dtypes."""
    pooling(laws, function, name=name, compiled=both(foreign_pooling, form), **fields)


def compiled_gradient(laws, name, form):
    """Add an energy whose gradient has that compiled form."""
    forms = both(pooling_gradient, form)
    pooling(laws, energy, name=name, gradient=lambda w, y: 2 * w, compiled_gradient=forms)


pooling("compiled in_pooling", lambda w: w.min(-1), name="is_not_what_is_compiled", kernel="max")


# Wrong for some numbers.


compiled("compiled_anywhere", "compiled_drops_nan", lambda w: np.fmax.reduce(w, -1), lambda w: w.max(-1), exact=True)
compiled_gradient("compiled_gradient in_pooling", "compiled_gradient_backwards", lambda w, y: 2 * w[:, ::-1])
compiled_gradient(
    "compiled_gradient_anywhere", "compiled_gradient_ends_at_20000", lambda w, y: np.where(np.abs(w) < 2e4, 2 * w, 0)
)
compiled_gradient("compiled_gradient_anywhere", "compiled_gradient_spreads_nan", lambda w, y: 2 * w + 0 * y[0])


# Wrong for some windows, or amounts of them.


def taps(w):
    return np.arange(w.shape[-1])


def windows(w):
    return np.arange(len(w))


compiled("compiled", "compiled_leaves_out_elements_beyond_eight", lambda w: w[:, :8].sum(-1))
compiled("compiled", "compiled_leaves_out_the_third_window", lambda w: w.sum(-1) * (windows(w) != 2))
compiled("compiled_each", "compiled_wrong_for_17_elements", lambda w: w.sum(-1) + (w.shape[-1] == 17))
compiled("compiled_each", "compiled_wrong_for_100_elements", lambda w: w.sum(-1) + (w.shape[-1] in (81, 100, 128)))
compiled(
    "compiled_each",
    "compiled_infinite_for_eleven_elements",
    lambda w: w.sum(-1) + (np.inf if w.shape[-1] == 11 else 0),
)
compiled("compiled_each", "compiled_wrong_for_23_windows", lambda w: w.sum(-1) + (len(w) == 23))
compiled("compiled_each", "compiled_wrong_for_224_windows", lambda w: w.sum(-1) + (len(w) == 224))
compiled("compiled_long", "compiled_leaves_out_elements_beyond_64", lambda w: w[:, :64].sum(-1))
compiled("compiled_long", "compiled_leaves_out_windows_beyond_256", lambda w: w.sum(-1) * (windows(w) < 256))
compiled("compiled_long", "compiled_leaves_out_windows_beyond_1100", lambda w: w.sum(-1) * (windows(w) < 1100))
compiled("wide", "compiled_wrong_for_125_elements", lambda w: w.sum(-1) * (w.shape[-1] != 125))
compiled_gradient(
    "compiled_gradient", "compiled_gradient_wrong_for_one_element", lambda w, y: 2 * w * (w.shape[-1] > 1)
)
compiled_gradient(
    "compiled_gradient_each", "compiled_gradient_wrong_for_17_elements", lambda w, y: 2 * w * (w.shape[-1] != 17)
)
compiled_gradient("compiled_gradient_long", "compiled_gradient_ends_after_64", lambda w, y: 2 * w * (taps(w) < 64))


@pooling("compiled in_pooling", compiled=window(lambda w: w[0] if w.size == 1 else w[1:].sum()))
def compiled_begins_one_too_late(w):
    return w.sum(-1)


def by_vectors_of_eight(w, y):
    whole = windows(w) < len(w) // 8 * 8
    return np.where(whole[:, None], 1, 1 / w.shape[-1]) + 0 * w


def equal_shares(w, y):
    return np.full_like(w, 1 / w.shape[-1])


pooling(
    "compiled_gradient_long",
    mean,
    name="compiled_gradient_of_vectors_is_not_divided",
    gradient=equal_shares,
    compiled_gradient=both(pooling_gradient, by_vectors_of_eight),
)


# Threads.


compiled(
    "compiled_threads",
    "compiled_windows_share_memory_between_threads",
    lambda w: by_way_of_shared_memory(w).sum(-1),
)
compiled("compiled_threads", "compiled_wrong_in_large_blocks", lambda w: w.sum(-1) * (len(w) < 256))
compiled_gradient(
    "compiled_gradient_threads",
    "compiled_gradient_shares_memory_between_threads",
    lambda w, y: by_way_of_shared_memory(w, 2),
)


# Parameters.


def sum_of_powers(w, power):
    return (np.abs(w) ** power).sum(-1)


@pooling("parameters", compiled=both(foreign_pooling, energy))
def compiled_for_one_power_only(w, power=2.0):
    return sum_of_powers(w, power)


@pooling(
    "parameters", compiled=both(foreign_pooling, sum_of_powers, 1) | {"float32": foreign_pooling(energy, "float32")}
)
def compiled_for_one_power_only_in_float32(w, power=2.0):
    return sum_of_powers(w, power)


@pooling("parameters", compiled=both(foreign_pooling, mean))
def compiled_ignores_a_truth_value_of_windows(w, mean=True):
    return w.mean(-1) if mean else w.sum(-1)


# Memory.


def by_rows(fill):
    """Compiled functions `fill(rows, taps, y, n)` of pointers, by dtype."""

    def of(dtype):
        def call(rows, taps, y, n, user):
            fill(rows, taps, y, n)
            return 0

        real = POINTER(ELEMENTS[dtype])
        return CFUNCTYPE(c_int, POINTER(real), c_ssize_t, real, c_ssize_t, c_void_p)(call)

    return {dtype: of(dtype) for dtype in ELEMENTS}


def slopes_by_rows(fill):
    """The same of gradients, `fill(rows, taps, slopes, n)`."""

    def of(dtype):
        def call(rows, taps, y, slopes, n, user):
            fill(rows, taps, slopes, n)
            return 0

        real = POINTER(ELEMENTS[dtype])
        return CFUNCTYPE(c_int, POINTER(real), c_ssize_t, real, POINTER(real), c_ssize_t, c_void_p)(call)

    return {dtype: of(dtype) for dtype in ELEMENTS}


def one_window_too_many(rows, taps, y, n):
    array(y, n + 1)[...] = sum(array(rows[tap], n + 1) for tap in range(taps))


def if_rows_are_aligned(rows, taps, y, n):
    factor = 1 if addressof(rows[0].contents) % 16 == 0 else 2
    array(y, n)[...] = factor * sum(array(rows[tap], n) for tap in range(taps))


def one_slope_too_many(rows, taps, slopes, n):
    for tap in range(taps):
        array(slopes[tap], n + 1)[...] = 1 / taps


def over_its_rows(rows, taps, slopes, n):
    for tap in range(taps):
        array(slopes[tap], n)[...] = 1 / taps
        array(rows[tap], n)[...] = -1


for each, fill in (
    ("compiled_fills_one_window_too_many", one_window_too_many),
    ("compiled_needs_aligned_rows", if_rows_are_aligned),
):
    pooling("compiled_memory", total, name=each, compiled=by_rows(fill))
for law, each, fill in (
    ("compiled_gradient_memory", "compiled_gradient_fills_one_window_too_many", one_slope_too_many),
    ("compiled_gradient", "compiled_gradient_writes_its_rows", over_its_rows),
):
    pooling(law, mean, name=each, gradient=equal_shares, compiled_gradient=slopes_by_rows(fill))
