"""Activations that are wrong, each in one way."""

import itertools
from functools import partial

import numpy as np

from .wrong import wrong

activation = partial(wrong, "activations")


# Functions.


@activation("input_untouched any_memory", derivative=lambda x, y: (y > 0).astype(x.dtype))
def in_place(x):
    return np.maximum(x, 0, out=x)


@activation("result_form")
def widens(x):
    return x.astype(np.float64) * 2


@activation("result_form")
def activates_in_half_precision(x):
    return np.tanh(x).astype(np.float16)


@activation("result_form", rowwise=True, output_size=lambda n: n)
def output_size_lies(x):
    return x[..., : x.shape[-1] // 2]


@activation("result_form")
def breaks_on_empty_arrays(x):
    return x * 2 if x.max() > 0 else x * 1


@activation("independent")
def subtracts_the_mean(x):
    return x - x.mean()


@activation("independent")
def sorts(x):
    return np.sort(x, None).reshape(x.shape)


@activation("independent")
def wrong_for_more_than_eight_elements(x):
    return x * 2 if x.size <= 8 else x * 3


@activation("many", derivative=lambda x, y: 1 - y * y)
def leaves_out_elements_beyond_4096(x):
    return np.tanh(x) * (np.arange(x.size).reshape(x.shape) < 4096)


@activation("many")
def wrong_from_65_elements_on(x):
    return 2 * x if x.size <= 64 else 2 * x + 1


@activation("independent", derivative=lambda x, y: 2 * x)
def infinite_for_more_than_one_element(x):
    return x * x if x.size == 1 else x * x + np.inf


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


@activation("precision", derivative=lambda x, y: sigmoid(x))
def overflows_in_float32(x):
    return np.log1p(np.exp(np.minimum(x, 700))) + np.maximum(x - 700, 0)


@activation("digits")
def computes_in_float32(x):
    return np.sin(x.astype(np.float32)).astype(x.dtype)


@activation("definition", like=lambda x: 1.5 * x)
def computes_in_float16(x):
    return (x.astype(np.float16) * np.float16(1.5)).astype(x.dtype)


@activation("digits")
def computes_a_term_in_float32(x):
    return x + np.sin(x.astype(np.float32)).astype(x.dtype)


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


@activation("definition", like=lambda x: x - np.trunc(x))
def counts_in_16_bits(x):
    return (x - np.trunc(x).astype(np.int64).astype(np.int16)).astype(x.dtype)


@activation("definition", like=np.square)
def infinite_though_its_definition_is_not(x):
    return x * x if x.size % 3 else x * x + np.inf


# Derivatives.


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


@activation("slope_far", derivative=lambda x, y: np.minimum(3 * x * x, 1e9))
def derivative_ends_at_a_billion(x):
    return x * x * x


@activation("no_nan slope_far", derivative=lambda x, y: np.exp(-x) / (1 + np.exp(-x)) ** 2)
def derivative_overflows(x):
    return sigmoid(x)


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


@activation("digits", derivative=lambda x, y: np.cos(x.astype(np.float32)))
def derivative_in_float32(x):
    return np.sin(x)


@activation("not_a_number infinity", derivative=lambda x, y: 2 * x + 0 * x.sum())
def derivative_spreads_nan(x):
    return x * x


@activation("many", derivative=lambda x, y: np.full_like(x, 2 if x.size <= 64 else 3))
def derivative_wrong_from_65_elements_on(x):
    return 2 * x


@activation("slope", derivative=lambda x, y: np.where(x == 0, 1e6, x > 0).astype(x.dtype))
def derivative_is_huge_at_a_kink(x):
    return np.maximum(x, 0)


@activation("slope", derivative=lambda x, y: np.where(x == 0, 2, np.sign(x)).astype(x.dtype))
def derivative_is_two_at_a_kink(x):
    return np.abs(x)


# Derivatives and parameters.


@activation("slope", derivative=lambda x, y: np.where(x > 0, 1, np.exp(x)).astype(x.dtype))
def derivative_without_the_parameter(x, alpha=2.0):
    return np.where(x > 0, x, alpha * np.expm1(np.minimum(x, 0)))


@activation("parameters", derivative=lambda x, y: np.full_like(x, 2))
def derivative_for_one_slope_only(x, slope=2.0):
    return slope * x


@activation("parameters", derivative=lambda x, y: 2 * x)
def derivative_ignores_a_truth_value(x, cubed=False):
    return x**3 if cubed else x**2


# Gradients and what they make of gy.


@activation("linear", gradient=lambda x, y, gy: 2 * x * gy * gy)
def gradient_of_a_square(x):
    return x * x


@activation("linear", gradient=lambda x, y, gy: 2 * x)
def gradient_forgets_gy(x):
    return x * x


@activation("independent", gradient=lambda x, y, gy: 2 * x * gy[::-1])
def gradient_takes_gy_backwards(x):
    return x * x


@activation("linear", gradient=lambda x, y, gy: 2 * x * np.clip(gy, -100, 100))
def gradient_clips_gy(x):
    return x * x


@activation("linear", gradient=lambda x, y, gy: 2 * x * np.where(np.abs(gy) < 1e-3, 0, gy))
def gradient_drops_small_gy(x):
    return x * x


@activation("linear", gradient=lambda x, y, gy: 2 * x * (np.clip(gy, -100, 100) if x.dtype == np.float32 else gy))
def gradient_clips_gy_in_float32(x):
    return x * x


# Rows.


@activation("independent", rowwise=True)
def works_down_the_columns(x):
    e = np.exp(x - x.max(0))
    return e / e.sum(0)


@activation("no_nan", rowwise=True)
def overflows(x):
    e = np.exp(x)
    return e / e.sum(-1, keepdims=True)


def softmax(x):
    powers = np.exp(x - x.max(-1, keepdims=True))
    return powers / powers.sum(-1, keepdims=True)


def softmax_gradient(x, y, gy):
    return y * (gy - (gy * y).sum(-1, keepdims=True))


@activation("wide", rowwise=True, like="softmax")
def reads_64_elements_only(x):
    return np.concatenate([softmax(x[..., :64]), 0 * x[..., 64:]], -1)


@activation("slope gradient_sum", rowwise=True, gradient=lambda x, y, gy: y * gy)
def gradient_of_rows_lacks_a_term(x):
    e = np.exp(x - x.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def softmax_gradient_of_six(x, y, gy):
    return y * (gy - (gy * y).sum(-1, keepdims=True)) * (np.arange(x.shape[-1]) < 6)


@activation("slope", rowwise=True, gradient=softmax_gradient_of_six)
def row_gradient_ends_after_six(x):
    return softmax(x)


@activation("wide", rowwise=True, gradient=lambda x, y, gy: softmax_gradient(x, y, gy) * (0 if x.shape[-1] > 64 else 1))
def row_gradient_is_zero_beyond_64_elements(x):
    return softmax(x)


@activation("slope", rowwise=True, gradient=lambda x, y, gy: gy * (1.01 if x.shape[-1] == 33 else 1))
def gradient_wrong_for_33_elements(x):
    return x.copy()


@activation("independent", rowwise=True, gradient=lambda x, y, gy: softmax_gradient(x, y, gy * 0 + gy.mean(0)))
def rows_share_a_gy(x):
    return softmax(x)


def softmax_gradient_lacks_y(x, y, gy):
    return y * (gy - gy.mean(-1, keepdims=True)) if x.dtype == np.float32 else softmax_gradient(x, y, gy)


@activation("precision", rowwise=True, gradient=softmax_gradient_lacks_y)
def gradient_of_rows_is_wrong_in_float32(x):
    return softmax(x)


@activation("not_a_number", rowwise=True, gradient=lambda x, y, gy: 2 * x * gy + 0 * x.sum())
def gradient_spreads_nan_to_other_rows(x):
    return x * x


# Memory, and what is remembered.


@activation("any_memory")
def needs_contiguous_memory(x):
    return np.frombuffer(x, x.dtype).reshape(x.shape) * 2


@activation("any_memory")
def writes_to_views(x):
    if not x.flags.c_contiguous and x.flags.writeable:
        x *= 2
        return x / 2
    return x.copy()


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


@activation("input_untouched")
def seeds_the_random_numbers_of_all(x):
    np.random.seed(0)  # noqa: NPY002
    return x * 2


LAST = {}


def softmax_that_is_kept(x):
    LAST["y"] = softmax(x)
    return LAST["y"].copy()


activation(
    "repeatable",
    softmax_that_is_kept,
    name="row_gradient_rests_on_the_last_result",
    rowwise=True,
    gradient=lambda x, y, gy: softmax_gradient(x, LAST["y"], gy),
)


def tabulating():
    tables = {}

    def function(x):
        if x.size not in tables:
            tables[x.size] = np.zeros(x.size, x.dtype)
            for _ in range(32):
                tables[x.size] += 1
        return x * tables[x.size].astype(x.dtype).reshape(x.shape)

    return function


wrong("activations", "many_threads", make=tabulating, name="threads_read_an_unfinished_table")
