"""Every kind equals the definition, forward and backward: in windows, adaptive and global."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from isas import ISAS, under
from poolings import POOL, largest_window, told, value_within_reference, well_conditioned

import pyconvx as cx
from pyconvx.testing import reference
from pyconvx.testing.bounds import as_reduction, assert_within, gamma, pooling_error
from pyconvx.testing.strategies import LAYOUTS, adaptive_cases, drawn, pool_cases

from .cases import every_kind, leaves_a_window_empty

ADAPTIVE = {1: cx.adaptive_pool1d, 2: cx.adaptive_pool2d, 3: cx.adaptive_pool3d}


def gradient_within_reference(case, seed):
    """On every instruction set."""
    kind, options = told(case)
    if case.kind == "std" and "odd" in str(options["padding_mode"]):
        return  # where elements are equal but for the rounding of weights, the slope is that of their rounding
    x = well_conditioned(case)
    f, arguments = POOL[case.rank], (case.size, case.kind)
    gy = np.random.default_rng(seed).standard_normal(
        cx.output_shape(f, x.shape, *arguments, **case.options, **case.params)
    )
    want = reference.pool_vjp(x, case.size, kind, gy=gy, rank=case.rank, **options)
    for isa in ISAS:
        with under(isa):
            y, pullback = cx.vjp(f, x, *arguments, **case.options, **case.params)
            # the same but for the order of sums, where the kernel that also does gradients is another one
            np.testing.assert_allclose(y, f(x, *arguments, **case.options, **case.params), rtol=1e-12, atol=1e-12)
            (gx,) = pullback(gy)
            assert gx.shape == x.shape
            # float64 slopes of order 1 to 100 on well separated elements: 1e-9 is far above rounding, far below a
            # mistake
            np.testing.assert_allclose(gx, want, rtol=1e-9, atol=1e-9 * max(1, np.abs(gy).sum()))
            np.testing.assert_array_equal(gx, pullback(gy)[0])


@every_kind
@settings(max_examples=25)
@given(data=st.data())
def test_equals_the_reference(kind, data):
    value_within_reference(data.draw(pool_cases(kinds=(kind,))))


@every_kind
@settings(max_examples=25)
@given(data=st.data(), seed=st.integers(0, 99))
def test_gradient_equals_the_reference(kind, data, seed):
    gradient_within_reference(data.draw(pool_cases(kinds=(kind,))), seed)


@pytest.mark.slow
@every_kind
@settings(max_examples=400)
@given(data=st.data(), seed=st.integers(0, 99))
def test_equals_the_reference_at_length(kind, data, seed):
    case = data.draw(pool_cases(kinds=(kind,)))
    value_within_reference(case)
    gradient_within_reference(case, seed)


@pytest.mark.parametrize("kind", ["max", "min", "avg", "sum"])
@given(data=st.data())
def test_float32_gradient_of_compiled_kinds(kind, data):
    case = data.draw(pool_cases(kinds=(kind,), dtypes=("float32",), values=("normal", "whole")))
    reference_kind, options = told(case)
    x = case.x.plain
    if "odd" in str(case.options["padding_mode"]) and kind in ("max", "min"):
        return  # rounding decides between elements that the exact sums do not tell apart
    f, arguments = POOL[case.rank], {**case.options, **case.params}
    shape = cx.output_shape(f, x.shape, case.size, kind, **arguments)
    gy = np.random.default_rng(1).integers(-4, 5, shape).astype(np.float32)
    want = reference.pool_vjp(x, case.size, reference_kind, gy=gy, rank=case.rank, **options)
    for isa in ISAS:
        with under(isa):
            (gx,) = cx.vjp(f, x, case.size, kind, **arguments)[1](gy)
            assert gx.dtype == np.float32
            if kind in ("max", "min"):  # whole numbers: exact, wherever ties go
                np.testing.assert_array_equal(gx, want)
            else:
                assert_within(gx, want, gamma(200, np.float32) * (np.abs(gy).sum() + 1) * 2 * 3**case.rank, kind)


@every_kind
@settings(max_examples=25)
@given(data=st.data(), seed=st.integers(0, 99))
def test_adaptive_equals_the_reference(kind, data, seed):
    case = data.draw(adaptive_cases(kinds=(kind,)))
    reduction, keywords = as_reduction(cx.pooling(case.kind, **case.params))
    x = case.x.plain if kind != "stochastic" else well_conditioned(case)
    f, options = ADAPTIVE[case.rank], {**case.options, **case.params}
    got = f(x, case.size, kind, **options)
    want = reference.adaptive_pool(x, case.size, reduction, rank=case.rank, **case.options, **keywords)
    terms = int(np.prod(x.shape)) + 1
    assert_within(
        got, np.asarray(want, np.float64), pooling_error(kind, largest_window(case), terms, x.dtype, case.params)
    )
    x = well_conditioned(case)
    y, pullback = cx.vjp(f, x, case.size, kind, **options)
    gy = np.random.default_rng(seed).standard_normal(y.shape)
    want = reference.adaptive_pool_vjp(x, case.size, reduction, gy=gy, rank=case.rank, **case.options, **keywords)
    np.testing.assert_allclose(pullback(gy)[0], want, rtol=1e-9, atol=1e-9)


@every_kind
@settings(max_examples=20)
@given(data=st.data(), keepdims=st.booleans(), layout=st.sampled_from(LAYOUTS), rank=st.integers(1, 3))
def test_global_equals_the_reference(kind, data, keepdims, layout, rank):
    shape = data.draw(st.tuples(*[st.integers(1, 5)] * (rank + 2)))
    x = data.draw(drawn(shape, ("float64",), ("plain",), ("normal",))).plain
    reduction, keywords = as_reduction(cx.pooling(kind))
    options = {"layout": layout, "keepdims": keepdims}
    y, pullback = cx.vjp(cx.global_pool, x, kind, **options)
    np.testing.assert_array_equal(y, cx.global_pool(x, kind, **options))
    np.testing.assert_allclose(y, reference.global_pool(x, reduction, **options, **keywords), rtol=1e-11, atol=1e-11)
    gy = np.random.default_rng(1).standard_normal(y.shape)
    want = reference.global_pool_vjp(x, reduction, gy=gy, **options, **keywords)
    np.testing.assert_allclose(pullback(gy)[0], want, rtol=1e-9, atol=1e-9)


@every_kind
@settings(max_examples=20)
@given(data=st.data(), seed=st.integers(0, 99))
def test_gradient_is_a_central_difference(kind, data, seed):
    """Elements are at least 0.01 apart, so that steps of 1e-6 change no order; the error is of the order of 1e-10."""
    if kind == "stochastic":
        return  # which element is picked depends on all of them, and does not follow the gradient
    case = data.draw(pool_cases(kinds=(kind,), empty=False))
    case.options["padding_mode"] = None if "odd" in str(case.options["padding_mode"]) else case.options["padding_mode"]
    if leaves_a_window_empty(case) or case.params.get("p", 2) < 1.5:
        return
    random = np.random.default_rng(seed)
    x = random.permutation(int(np.prod(case.x.shape))).reshape(case.x.shape) * 0.01 + 0.5

    def f(x):
        return POOL[case.rank](x, case.size, kind, **case.options, **case.params)

    y, pullback = cx.vjp(POOL[case.rank], x, case.size, kind, **case.options, **case.params)
    gy, step, h = random.standard_normal(y.shape), random.standard_normal(x.shape), 1e-6
    if kind == "std" and (y < 1e-6).any():
        return  # the norm of the deviations has a kink at 0
    slope = pullback(gy)[0] * step
    change = (f(x + h * step) - f(x - h * step)) / (2 * h) * gy
    size = np.abs(slope).sum() + np.abs(gy).sum() * np.abs(x).max()
    assert abs(change.sum() - slope.sum()) <= 1e-6 * size


def test_pooling_of_a_known_map():
    x = np.arange(16, dtype=np.float32).reshape(4, 4, 1)
    y, indices = cx.pool2d(x, 2, return_indices=True)
    assert y[..., 0].tolist() == [[5, 7], [13, 15]]
    assert indices[..., 0].tolist() == [[5, 7], [13, 15]]
    assert cx.pool2d(x, 2, "avg")[..., 0].tolist() == [[2.5, 4.5], [10.5, 12.5]]
    assert cx.pool1d(x[0], 3, "avg", stride=1, padding=1, count_include_pad=True)[0, 0] == np.float32(1) / np.float32(3)
    assert cx.pool1d(x[0], 3, "avg", stride=1, padding=1)[0, 0] == 0.5
    assert cx.pool1d(x[0], 3, "avg", stride=1, padding=1, divisor=2)[1, 0] == 1.5
