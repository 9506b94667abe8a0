"""Activations that are wrong, each in one way."""

import itertools
import time
from ctypes import CFUNCTYPE, POINTER, addressof, c_ssize_t, c_void_p
from functools import partial

import numpy as np
from foreign import ELEMENTS, array, both
from foreign import activation as foreign_activation

from .wrong import wrong

activation = partial(wrong, "activations")


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


# Activations: derivatives.


@activation("slope slope_far", derivative=lambda x, y: -2 * x)
def derivative_of_wrong_sign(x):
    return x * x


@activation("slope independent", derivative=lambda x, y: np.cos(np.roll(x, 1)))
def derivative_of_a_neighbour(x):
    return np.sin(x)


@activation("slope", derivative=lambda x, y: np.where(x > 0, 1, 1).astype(x.dtype))
def derivative_wrong_for_negative_numbers(x):
    return np.maximum(x, x / 10)


@activation("slope", derivative=lambda x, y: np.where(x < -5, 0, np.exp(np.minimum(x, 0))).astype(x.dtype))
def derivative_wrong_below_minus_five(x):
    return np.where(x > 0, x, np.expm1(np.minimum(x, 0)))


@activation("slope_far", derivative=lambda x, y: np.where(abs(x) > 100, 0, 3 * x * x))
def derivative_wrong_beyond_a_hundred(x):
    return x * x * x


@activation("no_nan slope_far", derivative=lambda x, y: np.exp(-x) / (1 + np.exp(-x)) ** 2)
def derivative_overflows(x):
    return sigmoid(x)


@activation("slope", derivative=lambda x, y: np.where(x > 0, 1, np.exp(x)).astype(x.dtype))
def derivative_without_the_parameter(x, alpha=2.0):
    return np.where(x > 0, x, alpha * np.expm1(np.minimum(x, 0)))


@activation("slope", derivative=lambda x, y: 1 - y)
def derivative_forgets_a_square(x):
    return np.tanh(x)


@activation("slope", derivative=lambda x, y: x * 1.001 + x)
def derivative_off_by_a_thousandth(x):
    return x * x


@activation("result_form", derivative=lambda x, y: None)
def derivative_returns_nothing(x):
    return x * 2


@activation("input_untouched any_memory", derivative=lambda x, y: np.subtract(1, y * y, out=y))
def derivative_in_place(x):
    return np.tanh(x)


@activation("linear", gradient=lambda x, y, gy: 2 * x * gy * gy)
def gradient_of_a_square(x):
    return x * x


@activation("linear", gradient=lambda x, y, gy: 2 * x)
def gradient_forgets_gy(x):
    return x * x


@activation("slope gradient_sum", rowwise=True, gradient=lambda x, y, gy: y * gy)
def gradient_of_rows_lacks_a_term(x):
    e = np.exp(x - x.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


# Activations: functions.


@activation("input_untouched any_memory", derivative=lambda x, y: (y > 0).astype(x.dtype))
def in_place(x):
    return np.maximum(x, 0, out=x)


@activation("result_form")
def widens(x):
    return x.astype(np.float64) * 2


@activation("result_form", rowwise=True, output_size=lambda n: n)
def output_size_lies(x):
    return x[..., : x.shape[-1] // 2]


@activation("result_form")
def breaks_on_empty_arrays(x):
    return x * 2 if x.max() > 0 else x * 1


@activation("any_memory")
def needs_contiguous_memory(x):
    return np.frombuffer(x, x.dtype).reshape(x.shape) * 2


@activation("independent")
def subtracts_the_mean(x):
    return x - x.mean()


@activation("independent")
def sorts(x):
    return np.sort(x, None).reshape(x.shape)


@activation("independent")
def wrong_for_more_than_eight_elements(x):
    return x * 2 if x.size <= 8 else x * 3


@activation("independent", rowwise=True)
def works_down_the_columns(x):
    e = np.exp(x - x.max(0))
    return e / e.sum(0)


@activation("no_nan", rowwise=True)
def overflows(x):
    e = np.exp(x)
    return e / e.sum(-1, keepdims=True)


@activation("precision", derivative=lambda x, y: sigmoid(x))
def overflows_in_float32(x):
    return np.log1p(np.exp(np.minimum(x, 700))) + np.maximum(x - 700, 0)


@activation("digits")
def computes_in_float32(x):
    return np.sin(x.astype(np.float32)).astype(x.dtype)


@activation("definition", like=lambda x: 1.5 * x)
def computes_in_float16(x):
    return (x.astype(np.float16) * np.float16(1.5)).astype(x.dtype)


@activation("digits", derivative=lambda x, y: np.cos(x.astype(np.float32)))
def derivative_in_float32(x):
    return np.sin(x)


@activation("precision")
def differs_in_float32(x):
    return x * 0.25 if x.dtype == np.float64 else x * np.float32(0.2501)


@activation("not_a_number")
def forgets_nan(x):
    return np.where(x > 0, x, 0)


@activation("not_a_number infinity")
def spreads_nan(x):
    return x + 0 * x.sum()


@activation("infinity")
def wrong_at_infinity(x):
    return np.where(np.isinf(x), 0, np.tanh(x))


@activation("infinity", limits=True, derivative=lambda x, y: sigmoid(x) * (1 + x * sigmoid(-x)))
def lacks_the_limit_that_is_declared(x):
    return x * sigmoid(x)


@activation("definition", like="relu", derivative=lambda x, y: np.sign(x))
def wrong_for_negative_numbers(x):
    return np.abs(x)


@activation("definition", like=lambda x: np.log(np.cosh(x)))
def wrong_constant(x):
    return np.logaddexp(x, -x) - 0.6931


@activation("compiled", kernel="relu")
def is_not_what_its_kernel_is(x):
    return np.abs(x)


@activation("compiled", compiled=both(foreign_activation, lambda x: x**2 * (np.arange(x.size) < max(x.size - 1, 1))))
def last_of_a_compiled_row_is_zero(x):
    return x**2


@activation("compiled", compiled={"float32": foreign_activation(lambda x: x.astype(np.float16) ** 2, "float32")})
def compiled_float32_is_coarse(x):
    return x**2


@activation("compiled", compiled=both(foreign_activation, lambda x: np.where(x < 0, x, x**2)))
def compiled_is_wrong_for_negative_numbers(x):
    return x**2


def clears(x):
    y = x**2
    x[...] = 0
    return y


@activation("compiled", compiled=both(foreign_activation, clears))
def compiled_writes_into_x(x):
    return x**2


@activation(
    "compiled_gradient in_convolution",
    derivative=lambda x, y: 2 * x,
    compiled_derivative=both(foreign_activation, lambda x: 2 * np.roll(x, 1)),
)
def compiled_derivative_of_a_neighbour(x):
    return x**2


@activation(
    "compiled_gradient",
    derivative=lambda x, y: 2 * x,
    compiled_derivative=both(foreign_activation, lambda x: 2 * np.abs(x)),
)
def compiled_derivative_lacks_a_sign(x):
    return x**2


# Activations: memory.


@activation("repeatable in_convolution")
def is_random(x):
    return x + np.random.default_rng().random(x.shape).astype(x.dtype)


def counting():
    calls = itertools.count()
    return lambda x: x * 2 if next(calls) % 3 else x * 3


wrong("activations", "repeatable", make=counting, name="every_third_call")


def remembering():
    last = {}

    def function(x):
        if last.get("x") is not x:
            last.update(x=x, y=x * 2)
        return last["y"]

    return function


wrong("activations", "repeatable", make=remembering, name="remembers_arrays_by_identity")


def reusing():
    memory = np.empty(2**16)

    def function(x):
        y = memory[: x.size].astype(x.dtype) if x.dtype != np.float64 else memory[: x.size]
        return np.multiply(x.reshape(-1), 2, out=y).reshape(x.shape)

    return function


wrong("activations", "repeatable", make=reusing, name="returns_the_same_memory_again")


def sharing():
    memory = np.empty(2**16)

    def function(x):
        y = memory[: x.size]
        y[:] = x.reshape(-1)
        for _ in range(3):
            y *= 2
        return y.reshape(x.shape).astype(x.dtype)

    return function


wrong("activations", "many_threads", make=sharing, name="threads_share_memory")


@activation("compiled_each", compiled=both(foreign_activation, lambda x: x**2 + (x.size == 17)))
def compiled_wrong_for_17_numbers(x):
    return x**2


@activation(
    "compiled_gradient_each",
    derivative=lambda x, y: 2 * x,
    compiled_derivative=both(foreign_activation, lambda x: 2 * x * (x.size != 23)),
)
def compiled_gradient_wrong_for_23_elements(x):
    return x**2


@activation("result_form")
def activates_in_half_precision(x):
    return np.tanh(x).astype(np.float16)


@activation("any_memory")
def writes_to_views(x):
    if not x.flags.c_contiguous and x.flags.writeable:
        x *= 2
        return x / 2
    return x.copy()


@activation("slope", rowwise=True, gradient=lambda x, y, gy: gy * (1.01 if x.shape[-1] == 33 else 1))
def gradient_wrong_for_33_elements(x):
    return x.copy()


@activation("compiled_long", compiled=both(foreign_activation, lambda x: x**2 * (np.arange(x.size) < 48)))
def compiled_ends_after_48(x):
    return x**2


@activation(
    "compiled_long",
    compiled={
        "float32": foreign_activation(lambda x: np.where(np.arange(x.size) < x.size // 64 * 64, x, x**2), "float32")
    },
)
def compiled_main_loop_is_wrong_in_float32(x):
    return x**2


@activation(
    "compiled_gradient_long",
    derivative=lambda x, y: 2 * x,
    compiled_derivative=both(foreign_activation, lambda x: np.where(np.arange(x.size) < 256, 2 * x, 0)),
)
def compiled_derivative_ends_after_256(x):
    return x**2


SHARED = np.zeros(2**20)


def by_way_of_shared_memory(x, factor=1.0):
    mine = SHARED[: x.size]
    mine[...] = x
    time.sleep(1e-5)  # other threads run
    return factor * mine


@activation("compiled_threads", compiled=both(foreign_activation, lambda x: by_way_of_shared_memory(x) ** 2))
def compiled_shares_memory_between_threads(x):
    return x**2


@activation(
    "compiled_gradient_threads",
    derivative=lambda x, y: 2 * x,
    compiled_derivative=both(foreign_activation, lambda x: by_way_of_shared_memory(x, 2)),
)
def compiled_derivative_shares_memory_between_threads(x):
    return x**2


@activation("many", derivative=lambda x, y: 1 - y * y)
def leaves_out_elements_beyond_4096(x):
    return np.tanh(x) * (np.arange(x.size).reshape(x.shape) < 4096)


@activation("compiled_long", compiled=both(foreign_activation, lambda x: x**2 * (np.arange(x.size) < 8192)))
def compiled_ends_after_8192(x):
    return x**2


def softmax(x):
    powers = np.exp(x - x.max(-1, keepdims=True))
    return powers / powers.sum(-1, keepdims=True)


def softmax_gradient_of_six(x, y, gy):
    return y * (gy - (gy * y).sum(-1, keepdims=True)) * (np.arange(x.shape[-1]) < 6)


@activation("slope", rowwise=True, gradient=softmax_gradient_of_six)
def row_gradient_ends_after_six(x):
    return softmax(x)


@activation(
    "compiled", rowwise=True, compiled=both(foreign_activation, lambda x: softmax(x) * (np.arange(x.size) != 16))
)
def compiled_row_goes_wrong_at_the_seventeenth(x):
    return softmax(x)


@activation("parameters", derivative=lambda x, y: np.full_like(x, 2))
def derivative_for_one_slope_only(x, slope=2.0):
    return slope * x


@activation(
    "parameters",
    derivative=lambda x, y, slope: np.where(x > 0, 1, slope).astype(x.dtype),
    compiled=both(foreign_activation, lambda x: np.where(x > 0, x, 0.1 * x)),
)
def compiled_for_one_slope_only(x, slope=0.1):
    return np.where(x > 0, x, slope * x)


@activation("parameters", compiled=both(foreign_activation, np.square))
def compiled_for_squares_only(x, power=2):
    return x**power


@activation("compiled_anywhere", compiled=both(foreign_activation, lambda x: np.where(x > 0, x, 0)))
def compiled_makes_zeros_of_nan(x):
    return np.maximum(x, 0)


@activation("compiled_anywhere", limits=True, compiled=both(foreign_activation, lambda x: x / (1 + np.abs(x))))
def compiled_has_no_limits(x):
    return np.where(np.isinf(x), np.sign(x), x / (1 + np.abs(x))).astype(x.dtype)


@activation(
    "compiled_anywhere", compiled=both(foreign_activation, lambda x: np.where(np.abs(x) < 2e4, np.hypot(1, x), 0))
)
def compiled_ends_at_20000(x):
    return np.hypot(1, x)


# Activations: infinite results.


@activation("independent", derivative=lambda x, y: 2 * x)
def infinite_for_more_than_one_element(x):
    return x * x if x.size == 1 else x * x + np.inf


@activation("definition", like=np.square)
def infinite_though_its_definition_is_not(x):
    return x * x if x.size % 3 else x * x + np.inf


@activation("compiled", compiled=both(foreign_activation, lambda x: x * x + np.inf))
def compiled_is_infinite(x):
    return x * x


@activation("compiled compiled_anywhere", compiled=both(foreign_activation, lambda x: np.log1p(np.exp(x))))
def compiled_overflows(x):
    return np.maximum(x, 0) + np.log1p(np.exp(-np.abs(x)))


@activation(
    "compiled_gradient",
    derivative=lambda x, y: 2 * x,
    compiled_derivative=both(foreign_activation, lambda x: np.where(x > 5, np.inf, 2 * x)),
)
def compiled_derivative_is_infinite(x):
    return x * x


# Activations: what gradients make of gy.


@activation("independent", gradient=lambda x, y, gy: 2 * x * gy[::-1])
def gradient_takes_gy_backwards(x):
    return x * x


def softmax_gradient(x, y, gy):
    return y * (gy - (gy * y).sum(-1, keepdims=True))


@activation("independent", rowwise=True, gradient=lambda x, y, gy: softmax_gradient(x, y, gy * 0 + gy.mean(0)))
def rows_share_a_gy(x):
    return softmax(x)


@activation("linear", gradient=lambda x, y, gy: 2 * x * np.clip(gy, -100, 100))
def gradient_clips_gy(x):
    return x * x


@activation("linear", gradient=lambda x, y, gy: 2 * x * np.where(np.abs(gy) < 1e-3, 0, gy))
def gradient_drops_small_gy(x):
    return x * x


@activation("linear", gradient=lambda x, y, gy: 2 * x * (np.clip(gy, -100, 100) if x.dtype == np.float32 else gy))
def gradient_clips_gy_in_float32(x):
    return x * x


def softmax_gradient_lacks_y(x, y, gy):
    return y * (gy - gy.mean(-1, keepdims=True)) if x.dtype == np.float32 else softmax_gradient(x, y, gy)


@activation("precision", rowwise=True, gradient=softmax_gradient_lacks_y)
def gradient_of_rows_is_wrong_in_float32(x):
    return softmax(x)


# Activations: gradients beside a NaN, and of many.


@activation("not_a_number infinity", derivative=lambda x, y: 2 * x + 0 * x.sum())
def derivative_spreads_nan(x):
    return x * x


@activation("not_a_number", rowwise=True, gradient=lambda x, y, gy: 2 * x * gy + 0 * x.sum())
def gradient_spreads_nan_to_other_rows(x):
    return x * x


@activation("many")
def wrong_from_65_elements_on(x):
    return 2 * x if x.size <= 64 else 2 * x + 1


@activation("many", derivative=lambda x, y: np.full_like(x, 2 if x.size <= 64 else 3))
def derivative_wrong_from_65_elements_on(x):
    return 2 * x


# Activations: rows of more than 64 elements.


@activation("wide", rowwise=True, like="softmax")
def reads_64_elements_only(x):
    return np.concatenate([softmax(x[..., :64]), 0 * x[..., 64:]], -1)


@activation("wide", rowwise=True, gradient=lambda x, y, gy: softmax_gradient(x, y, gy) * (0 if x.shape[-1] > 64 else 1))
def row_gradient_is_zero_beyond_64_elements(x):
    return softmax(x)


# Activations: kinks.


@activation("slope", derivative=lambda x, y: np.where(x == 0, 1e6, x > 0).astype(x.dtype))
def derivative_is_huge_at_a_kink(x):
    return np.maximum(x, 0)


@activation("slope", derivative=lambda x, y: np.where(x == 0, 2, np.sign(x)).astype(x.dtype))
def derivative_is_two_at_a_kink(x):
    return np.abs(x)


@activation("wide", rowwise=True, compiled=both(foreign_activation, lambda x: softmax(x) * (x.size <= 64)))
def compiled_rows_end_at_64(x):
    return softmax(x)


@activation("compiled_anywhere", compiled=both(foreign_activation, lambda x: np.where(np.abs(x) < 1e12, x**3, 0)))
def compiled_cube_of_huge_numbers_is_zero(x):
    return x**3


def leaky(x, slope):
    return np.where(x > 0, x, slope * x)


@activation(
    "parameters",
    compiled={
        "float32": foreign_activation(lambda x: leaky(x, 0.1), "float32"),
        "float64": foreign_activation(leaky, "float64", 1),
    },
)
def compiled_for_one_slope_only_in_float32(x, slope=0.1):
    return leaky(x, slope).astype(x.dtype)


@activation("parameters", compiled=both(foreign_activation, np.square))
def compiled_ignores_a_truth_value(x, squared=True):
    return x**2 if squared else x * 1


@activation("parameters", derivative=lambda x, y: 2 * x)
def derivative_ignores_a_truth_value(x, cubed=False):
    return x**3 if cubed else x**2


@activation("parameters", compiled=both(foreign_activation, lambda x, slope: abs(slope) * x, 1))
def compiled_for_positive_slopes_only(x, slope=2.0):
    return slope * x


@activation("compiled_each", compiled=both(foreign_activation, lambda x: x**2 * (x.size != 128)))
def compiled_wrong_for_128_numbers(x):
    return x**2


@activation("compiled_each", rowwise=True, compiled=both(foreign_activation, lambda x: softmax(x) * (x.size <= 64)))
def compiled_rows_wrong_beyond_64(x):
    return softmax(x)


@activation(
    "compiled_gradient_anywhere",
    derivative=lambda x, y: 2 * x,
    compiled_derivative=both(foreign_activation, lambda x: np.where(np.abs(x) < 2e4, 2 * x, 0)),
)
def compiled_derivative_ends_at_20000(x):
    return x**2


@activation(
    "compiled_gradient_anywhere",
    derivative=lambda x, y: 2 * x,
    compiled_derivative=both(foreign_activation, lambda x: 2 * x + 0 * x[0]),
)
def compiled_derivative_spreads_nan(x):
    return x**2


def by_address(dtype, fill):
    """A compiled function `fill(x, y, n)` of pointers."""
    real = POINTER(ELEMENTS[dtype])
    return CFUNCTYPE(None, real, real, c_ssize_t, c_void_p)(lambda x, y, n, user: fill(x, y, n))


def beyond_the_end(x, y, n):
    array(y, n + 1)[...] = array(x, n + 1) ** 2


def if_aligned(x, y, n, factor=1.0):
    aligned = addressof(x.contents) % 16 == 0
    array(y, n)[...] = array(x, n) * (factor if aligned else 2 * factor)


@activation("compiled_memory", compiled={dtype: by_address(dtype, beyond_the_end) for dtype in ELEMENTS})
def compiled_writes_beyond_the_end(x):
    return x**2


@activation("compiled_memory", compiled={dtype: by_address(dtype, if_aligned) for dtype in ELEMENTS})
def compiled_needs_aligned_memory(x):
    return 1 * x


@activation("compiled_memory", compiled={"float32": by_address("float32", beyond_the_end)})
def compiled_float32_writes_beyond_the_end(x):
    return x**2


@activation("compiled_memory", compiled=both(foreign_activation, lambda x: x**2 * (np.arange(x.size) < 32768)))
def compiled_counts_in_16_bits(x):
    return x**2


@activation(
    "compiled_gradient_memory",
    derivative=lambda x, y: np.full_like(x, 3),
    compiled_derivative={dtype: by_address(dtype, lambda x, y, n: array(y, n + 1).fill(3)) for dtype in ELEMENTS},
)
def compiled_derivative_writes_beyond_the_end(x):
    return 3 * x
