"""Transposed convolution: the exact adjoint of convolution, equality with the reference, gradients."""

import numpy as np
import pytest
from convolutions import (
    check_a_sample_is_a_batch_of_one,
    check_layouts_agree,
    check_memory_form_changes_no_bit,
    referring,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from isas import ISAS, under

import pyconvx as cx
from pyconvx.testing import reference
from pyconvx.testing.bounds import (
    absolute,
    assert_within,
    compute_dtype,
    gamma,
)
from pyconvx.testing.strategies import FORMS, REALS, conv_cases, conv_transpose_cases

CONV = {1: cx.conv1d, 2: cx.conv2d, 3: cx.conv3d}
TRANSPOSE = {1: cx.conv_transpose1d, 2: cx.conv_transpose2d, 3: cx.conv_transpose3d}


def most_terms(case, y):
    """No element of a result or gradient sums more terms than there are pairs of an output and a weight."""
    odd_weights = 3**case.rank
    return min(odd_weights * y.size * int(np.prod(case.filters.shape)) + 2, 10**5)


def within_reference(case):
    """On every instruction set."""
    x, filters, bias = case.plain
    options, magnitudes = referring(case)
    want = reference.conv_transpose(x, filters, bias, **options)
    size = reference.conv_transpose(absolute(x), absolute(filters), absolute(bias), **magnitudes)
    dtype = np.result_type(*(a for a in case.plain if a is not None))
    gy = np.random.default_rng(3).standard_normal(want.shape).astype(dtype)
    expected = reference.conv_transpose_vjp(x, filters, bias, gy=gy, **options)
    sizes = reference.conv_transpose_vjp(absolute(x), absolute(filters), absolute(bias), gy=absolute(gy), **magnitudes)
    # one output element sees at most every input element and filter weight, so this counts its terms from above
    terms = min(most_terms(case, want), x.size * int(np.prod(case.filters.shape)) * 3**case.rank + 2)
    factor = gamma(most_terms(case, want), compute_dtype(dtype))
    for isa in ISAS:
        with under(isa):
            got = TRANSPOSE[case.rank](*case.arguments, **case.options)
            assert got.dtype == dtype
            assert_within(got, want, gamma(terms, compute_dtype(dtype)) * size, "conv_transpose")
            y, pullback = cx.vjp(TRANSPOSE[case.rank], *case.arguments, **case.options)
            np.testing.assert_array_equal(y, got)
            gradients = pullback(gy)
            assert len(gradients) == len(expected)
            for name, one, other, magnitude in zip(
                ("gx", "gfilters", "gbias"), gradients, expected, sizes, strict=False
            ):
                assert_within(one, other, factor * magnitude, name)
            for one, again in zip(gradients, pullback(gy), strict=True):
                np.testing.assert_array_equal(one, again)


@given(case=conv_transpose_cases(values=("normal", "whole")))
def test_value_and_gradients_equal_the_reference(case):
    within_reference(case)


@pytest.mark.slow
@settings(max_examples=600)
@given(case=conv_transpose_cases(values=("normal", "whole")))
def test_value_and_gradients_equal_the_reference_at_length(case):
    within_reference(case)


@given(case=conv_cases(dtypes=("float64",), values=("whole",), empty=False), seed=st.integers(0, 99))
def test_adjoint_of_conv(case, seed):
    """<conv(x), g> = <x, conv_transpose(g)>, exactly, as whole numbers are not rounded.

    Every size that conv can have is a size of conv_transpose: output_padding makes up for what the stride drops.
    """
    rank, options = case.rank, dict(case.options)
    x, filters, _ = case.plain
    y = CONV[rank](x, filters, **{**options, "padding_mode": linear(options["padding_mode"])})
    g = np.random.default_rng(seed).integers(-3, 4, y.shape).astype(np.float64)
    channels_last = options["layout"] == "channels_last"
    spatial = slice(-1 - rank, -1) if channels_last else slice(-rank, None)
    kernel = filters.shape[1:-1] if channels_last else filters.shape[2:]
    each = [v if isinstance(v, tuple) else (v,) * rank for v in (options["stride"], options["dilation"])]
    pairs = reference.amounts(options["padding"], x.shape[spatial], kernel, *each)
    spare, fits = [], True
    for n, out, k, s, d, (before, after) in zip(x.shape[spatial], y.shape[spatial], kernel, *each, pairs, strict=True):
        extra = n - ((out - 1) * s + (k - 1) * d + 1 - before - after)
        fits = fits and extra < max(s, d)
        spare.append(extra)
    if not fits:
        return
    back = TRANSPOSE[rank](
        g,
        filters,
        stride=options["stride"],
        padding=tuple(pairs),
        output_padding=tuple(spare),
        padding_mode=options["padding_mode"],
        dilation=options["dilation"],
        groups=options["groups"],
        layout=options["layout"],
    )
    assert back.shape == x.shape
    assert (y * g).sum() == (x * back).sum()


def linear(mode):
    """The mode without its constant."""
    if isinstance(mode, tuple):
        return tuple(linear(one) for one in mode)
    return mode if isinstance(mode, str) or "value" not in mode.params else "zeros"


@given(case=conv_transpose_cases(dtypes=("float64",), values=("whole",), empty=False))
def test_linear(case):
    a, filters, _ = case.plain
    b = np.roll(a, 1)
    f = TRANSPOSE[case.rank]
    left = f(2 * a - 3 * b, filters, **case.options)
    right = 2 * f(a, filters, **case.options) - 3 * f(b, filters, **case.options)
    np.testing.assert_array_equal(left, right)


@given(case=conv_transpose_cases(values=("normal",)))
def test_layouts_agree(case):
    check_layouts_agree(TRANSPOSE[case.rank], case)


@given(case=conv_transpose_cases(values=("normal",)))
def test_a_sample_is_a_batch_of_one(case):
    check_a_sample_is_a_batch_of_one(TRANSPOSE[case.rank], case)


@given(case=conv_transpose_cases(dtypes=REALS, forms=FORMS))
def test_memory_form_does_not_change_a_bit(case):
    check_memory_form_changes_no_bit(TRANSPOSE[case.rank], case)


@pytest.mark.parametrize("activation", ["relu", "tanh", "softmax"])
@settings(max_examples=20)
@given(case=conv_transpose_cases(dtypes=("float64",), values=("normal",)))
def test_activation(activation, case):
    options, _ = referring(case)
    x, filters, bias = case.plain
    y, pullback = cx.vjp(TRANSPOSE[case.rank], x, filters, bias, **case.options, activation=activation)
    want = reference.conv_transpose(x, filters, bias, **options, activation=activation)
    # float64, elements of order 1 and a few thousand terms at most: 1e-9 is far above their rounding
    np.testing.assert_allclose(y, want, rtol=1e-9, atol=1e-9)
    gy = np.random.default_rng(1).standard_normal(y.shape)
    expected = reference.conv_transpose_vjp(x, filters, bias, gy=gy, **options, activation=activation)
    for one, other in zip(pullback(gy), expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-8, atol=1e-8)


def test_a_kernel_is_painted_at_every_element():
    x = np.zeros((3, 3, 1), np.float32)
    x[1, 1, 0] = 2
    filters = np.arange(4, dtype=np.float32).reshape(1, 2, 2, 1)
    y = cx.conv_transpose2d(x, filters, stride=2)
    assert y.shape == (6, 6, 1)
    np.testing.assert_array_equal(y[2:4, 2:4, 0], 2 * filters[0, :, :, 0])
    assert np.abs(y).sum() == 12
