"""Lanes of channels: few filters, many channels."""

import math

import numpy as np
import pytest
from convolutions import PROMISE, grouped
from hypothesis import given, settings
from hypothesis import strategies as st

import pyconvx as cx
from pyconvx import _core
from pyconvx.functional import algorithms

CASES = {
    "n": st.integers(1, 3),
    "groups": st.sampled_from([1, 1, 2, 5]),
    "channels": st.sampled_from([1, 3, 7, 8, 9, 16, 17, 33, 64, 100]),
    "size": st.tuples(st.integers(1, 9), st.integers(1, 20)),
    "kernel": st.tuples(st.integers(1, 5), st.integers(1, 5)),
    "stride": st.integers(1, 3),
    "mode": st.sampled_from(["zeros", "edge", "reflect", "wrap", "odd_reflect"]),
    "layout": st.sampled_from(["channels_last", "channels_first"]),
    "outputs": st.integers(1, 3),
    "dilation": st.sampled_from([1, 1, (1, 3), 2]),
    "seed": st.integers(0, 99),
}


@pytest.mark.parametrize("isa", _core.supported())
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@settings(max_examples=60, deadline=None)
@given(**CASES)
def test_lanes_of_channels_agree_with_the_definition(
    isa, dtype, n, groups, channels, size, kernel, stride, mode, layout, outputs, dilation, seed
):
    x, filters, bias = grouped(seed, dtype, layout, n, groups, channels, outputs, size, kernel)
    options = dict(groups=groups, padding="same", padding_mode=mode, dilation=dilation, layout=layout, stride=stride)
    wide = [array.astype(np.float64) for array in (x, filters, bias)]
    want = cx.conv2d(*wide, algorithm="plain", **options)
    with _core.using(isa):
        results = []
        for threads in (1, 3):
            with cx.threads(threads):
                results.append(cx.conv2d(x, filters, bias, algorithm="dots", **options))
        rectified = cx.conv2d(x, filters, bias, algorithm="dots", activation="relu", **options)
        alone = cx.conv2d(x[-1], filters, bias, algorithm="dots", **options)
    np.testing.assert_array_equal(results[0], results[1])
    np.testing.assert_array_equal(results[0][-1], alone)  # whoever is in the same tile
    np.testing.assert_array_equal(rectified, np.maximum(results[0], 0))
    assert np.abs(results[0] - want).max() <= (PROMISE if dtype == "float32" else 1e-14) * np.abs(want).max()


@pytest.mark.parametrize("isa", _core.supported())
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_long_sums_lose_few_digits(isa, dtype):
    """Equal terms, which round alike: a chain of them all would be off by far more."""
    x, filters = np.full((1, 2, 2048), 1.1, dtype), np.full((1, 1, 4, 2048), 1.3, dtype)
    with _core.using(isa):
        (y,) = cx.conv2d(x, filters, padding=((0, 0), (1, 1)), algorithm="dots").ravel()
    want = 2 * 2048 * float(x[0, 0, 0]) * float(filters[0, 0, 0, 0])
    assert abs(y - want) <= (1e-5 if dtype == "float32" else 1e-14) * want


@pytest.mark.parametrize("isa", _core.supported())
def test_the_gradient_of_a_first_layer_is_taken_by_it(isa):
    rng = np.random.default_rng(3)
    x = rng.standard_normal((2, 14, 15, 3)).astype(np.float32)
    for kernel, stride in ((3, 1), (3, 2), (7, 2), (5, 3)):
        filters = rng.standard_normal((48, kernel, kernel, 3)).astype(np.float32)
        options = dict(padding="same", stride=stride)
        with _core.using(isa):
            y, pullback = cx.vjp(cx.conv2d, x, filters, **options)
            gy = rng.standard_normal(y.shape).astype(np.float32)
            gx, _ = pullback(gy)
        wide = [array.astype(np.float64) for array in (x, filters)]
        exact, _ = cx.vjp(cx.conv2d, *wide, algorithm="plain", **options)[1](gy.astype(np.float64))
        assert np.abs(gx - exact).max() <= PROMISE * np.abs(exact).max()


def test_values_that_are_not_finite_stay_in_their_windows():
    rng = np.random.default_rng(4)
    x, filters = (
        rng.standard_normal((9, 9, 40)).astype(np.float32),
        rng.standard_normal((2, 3, 3, 40)).astype(np.float32),
    )
    x[4, 4, 7], x[0, 8, 0] = np.nan, np.inf
    y = cx.conv2d(x, filters, padding=1, algorithm="dots")
    finite = np.isfinite(y).all(-1)
    assert not finite[3:6, 3:6].any()
    assert not finite[:2, 7:].any()
    assert finite.sum() == 81 - 9 - 4
    filters[0, 0, 0, 3] = np.inf
    for _ in range(2):
        y = cx.conv2d(np.ones_like(x), filters, padding=1, algorithm="dots")
        want = cx.conv2d(np.ones_like(x), filters, padding=1, algorithm="plain")
        np.testing.assert_array_equal(np.isfinite(y), np.isfinite(want))


def chosen(shape, filters, dtype=np.float32, **options):
    x, filters = (np.empty(each, dtype) for each in (shape, filters))
    plan = cx.conv2d.plan(x, filters, padding="same", **options)
    return algorithms.choose(plan.supposed(), "auto").name


def test_it_is_chosen_for_few_filters_and_many_channels():
    lanes = _core.kernels.LANES["float32"]
    for outputs in (1, 2, 3):
        assert chosen((1, 50, 50, 64), (outputs, 3, 3, 64)) == "dots"
        assert chosen((1, 50, 50, 64), (outputs, 7, 7, 64), stride=2) == "dots"
        assert chosen((1, 50, 50, 4 * 64), (4 * outputs, 3, 3, 64), groups=4) == "dots"
    assert chosen((1, 50, 50, 64), (4, 3, 3, 64)) != "dots"
    assert chosen((1, 50, 50, 3 * lanes), (3, 3, 3, 3 * lanes)) == "dots"
    assert chosen((1, 50, 50, 2 * lanes), (3, 3, 3, 2 * lanes)) != "dots"
    assert chosen((1, 50, 50, 4 * lanes + 1), (3, 3, 3, 4 * lanes + 1)) != "dots"
    assert chosen((1, 50, 50, 64), (1, 1, 1, 64)) != "dots"
    assert chosen((1, 64, 50, 50), (1, 64, 3, 3), layout="channels_first") == "planes"


@pytest.mark.parametrize(
    ("filters", "options", "match"),
    [
        ((4, 3, 3, 8), {}, "at most 3 filters, a group has 4"),
        ((3, 12, 12, 8), {}, "at most 128 taps"),
        ((3, 3, 3, 1000), {}, "9000"),
        ((3, 10, 10, 80), {"padding_mode": "odd_reflect", "groups": 3}, "weighted"),
    ],
)
def test_what_it_is_not_for(filters, options, match):
    x = np.ones((20, 20, filters[-1] * options.get("groups", 1)), np.float32)
    with pytest.raises(ValueError, match=match):
        cx.conv2d(x, np.ones(filters, np.float32), padding="same", algorithm="dots", **options)


def test_prepared_filters_are_a_copy():
    filters = np.ones((2, 3, 3, 40), np.float32)
    prepared, x = cx.prepare(filters), np.ones((5, 5, 40), np.float32)
    y = cx.conv2d(x, prepared, algorithm="dots")
    filters *= 2
    np.testing.assert_array_equal(cx.conv2d(x, prepared, algorithm="dots"), y)
    np.testing.assert_array_equal(y, math.prod((3, 3, 40)))
