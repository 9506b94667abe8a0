"""Activations whose compiled forms are wrong, each in one way."""

from ctypes import CFUNCTYPE, POINTER, addressof, c_ssize_t, c_void_p
from functools import partial

import numpy as np
from foreign import ELEMENTS, array, both
from foreign import activation as foreign_activation

from .activations import softmax
from .threads import by_way_of_shared_memory
from .wrong import wrong

activation = partial(wrong, "activations")


def square(x):
    return x**2


def twice(x, y):
    return 2 * x


def compiled(laws, name, form, function=square, parameters=0, **fields):
    """Add `function` with that compiled form, for both dtypes."""
    activation(laws, function, name=name, compiled=both(foreign_activation, form, parameters), **fields)


def compiled_derivative(laws, name, form):
    """Add a square whose derivative has that compiled form."""
    forms = both(foreign_activation, form)
    activation(laws, square, name=name, derivative=twice, compiled_derivative=forms)


activation("compiled", np.abs, name="is_not_what_its_kernel_is", kernel="relu")


# Wrong for some numbers.


def clears(x):
    y = x**2
    x[...] = 0
    return y


compiled("compiled", "compiled_is_wrong_for_negative_numbers", lambda x: np.where(x < 0, x, x**2))
compiled("compiled", "compiled_writes_into_x", clears)
compiled("compiled", "compiled_is_infinite", lambda x: x**2 + np.inf)
compiled("compiled_anywhere", "compiled_ends_at_20000", lambda x: np.where(np.abs(x) < 2e4, x**2, 0))
compiled_derivative(
    "compiled_gradient in_convolution", "compiled_derivative_of_a_neighbour", lambda x: 2 * np.roll(x, 1)
)
compiled_derivative("compiled_gradient", "compiled_derivative_lacks_a_sign", lambda x: 2 * np.abs(x))
compiled_derivative("compiled_gradient", "compiled_derivative_is_infinite", lambda x: np.where(x > 5, np.inf, 2 * x))
compiled_derivative(
    "compiled_gradient_anywhere", "compiled_derivative_ends_at_20000", lambda x: np.where(np.abs(x) < 2e4, 2 * x, 0)
)
compiled_derivative("compiled_gradient_anywhere", "compiled_derivative_spreads_nan", lambda x: 2 * x + 0 * x[0])


@activation("compiled", compiled={"float32": foreign_activation(lambda x: x.astype(np.float16) ** 2, "float32")})
def compiled_float32_is_coarse(x):
    return x**2


@activation("compiled_anywhere", compiled=both(foreign_activation, lambda x: np.where(x > 0, x, 0)))
def compiled_makes_zeros_of_nan(x):
    return np.maximum(x, 0)


@activation("compiled_anywhere", limits=True, compiled=both(foreign_activation, lambda x: x / (1 + np.abs(x))))
def compiled_has_no_limits(x):
    return np.where(np.isinf(x), np.sign(x), x / (1 + np.abs(x))).astype(x.dtype)


@activation("compiled compiled_anywhere", compiled=both(foreign_activation, lambda x: np.log1p(np.exp(x))))
def compiled_overflows(x):
    return np.maximum(x, 0) + np.log1p(np.exp(-np.abs(x)))


@activation("compiled_anywhere", compiled=both(foreign_activation, lambda x: np.where(np.abs(x) < 1e12, x**3, 0)))
def compiled_cube_of_huge_numbers_is_zero(x):
    return x**3


# Wrong for some amounts of numbers, or in some places.


compiled("compiled", "last_of_a_compiled_row_is_zero", lambda x: x**2 * (np.arange(x.size) < max(x.size - 1, 1)))
compiled("compiled_each", "compiled_wrong_for_17_numbers", lambda x: x**2 + (x.size == 17))
compiled("compiled_each", "compiled_wrong_for_128_numbers", lambda x: x**2 * (x.size != 128))
compiled("compiled_long", "compiled_ends_after_48", lambda x: x**2 * (np.arange(x.size) < 48))
compiled("compiled_long", "compiled_ends_after_8192", lambda x: x**2 * (np.arange(x.size) < 8192))
compiled("compiled_memory", "compiled_counts_in_16_bits", lambda x: x**2 * (np.arange(x.size) < 32768))
compiled(
    "compiled",
    "compiled_row_goes_wrong_at_the_seventeenth",
    lambda x: softmax(x) * (np.arange(x.size) != 16),
    softmax,
    rowwise=True,
)
for law, each in (("compiled_each", "compiled_rows_wrong_beyond_64"), ("wide", "compiled_rows_end_at_64")):
    compiled(law, each, lambda x: softmax(x) * (x.size <= 64), softmax, rowwise=True)
compiled_derivative(
    "compiled_gradient_each", "compiled_gradient_wrong_for_23_elements", lambda x: 2 * x * (x.size != 23)
)
compiled_derivative(
    "compiled_gradient_long",
    "compiled_derivative_ends_after_256",
    lambda x: np.where(np.arange(x.size) < 256, 2 * x, 0),
)


@activation(
    "compiled_long",
    compiled={
        "float32": foreign_activation(lambda x: np.where(np.arange(x.size) < x.size // 64 * 64, x, x**2), "float32")
    },
)
def compiled_main_loop_is_wrong_in_float32(x):
    return x**2


# Threads.


compiled("compiled_threads", "compiled_shares_memory_between_threads", lambda x: by_way_of_shared_memory(x) ** 2)
compiled_derivative(
    "compiled_gradient_threads",
    "compiled_derivative_shares_memory_between_threads",
    lambda x: by_way_of_shared_memory(x, 2),
)


# Parameters.


def leaky(x, slope=0.1):
    return np.where(x > 0, x, slope * x).astype(x.dtype)


@activation(
    "parameters",
    derivative=lambda x, y, slope: np.where(x > 0, 1, slope).astype(x.dtype),
    compiled=both(foreign_activation, leaky),
)
def compiled_for_one_slope_only(x, slope=0.1):
    return leaky(x, slope)


@activation(
    "parameters", compiled=both(foreign_activation, leaky, 1) | {"float32": foreign_activation(leaky, "float32")}
)
def compiled_for_one_slope_only_in_float32(x, slope=0.1):
    return leaky(x, slope)


@activation("parameters", compiled=both(foreign_activation, np.square))
def compiled_for_squares_only(x, power=2):
    return x**power


@activation("parameters", compiled=both(foreign_activation, np.square))
def compiled_ignores_a_truth_value(x, squared=True):
    return x**2 if squared else x * 1


@activation("parameters", compiled=both(foreign_activation, lambda x, slope: abs(slope) * x, 1))
def compiled_for_positive_slopes_only(x, slope=2.0):
    return slope * x


# Memory.


def by_address(dtype, fill):
    """A compiled function `fill(x, y, n)` of pointers."""
    real = POINTER(ELEMENTS[dtype])
    return CFUNCTYPE(None, real, real, c_ssize_t, c_void_p)(lambda x, y, n, user: fill(x, y, n))


def beyond_the_end(x, y, n):
    array(y, n + 1)[...] = array(x, n + 1) ** 2


def if_aligned(x, y, n):
    aligned = addressof(x.contents) % 16 == 0
    array(y, n)[...] = array(x, n) * (1 if aligned else 2)


@activation("compiled_memory", compiled={dtype: by_address(dtype, beyond_the_end) for dtype in ELEMENTS})
def compiled_writes_beyond_the_end(x):
    return x**2


@activation("compiled_memory", compiled={dtype: by_address(dtype, if_aligned) for dtype in ELEMENTS})
def compiled_needs_aligned_memory(x):
    return 1 * x


@activation("compiled_memory", compiled={"float32": by_address("float32", beyond_the_end)})
def compiled_float32_writes_beyond_the_end(x):
    return x**2


@activation(
    "compiled_gradient_memory",
    derivative=lambda x, y: np.full_like(x, 3),
    compiled_derivative={dtype: by_address(dtype, lambda x, y, n: array(y, n + 1).fill(3)) for dtype in ELEMENTS},
)
def compiled_derivative_writes_beyond_the_end(x):
    return 3 * x
