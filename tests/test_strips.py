"""Lanes of places that go down a picture in strips: windows of few rows, channels together or apart."""

import re

import numpy as np
import pytest
from convolutions import PROMISE, grouped
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from isas import ISAS, under

import pyconvx as cx
from pyconvx import _core
from pyconvx.functional import algorithms

RIM = cx.padding("constant", value=3)
CASES = {
    "n": st.integers(1, 2),
    "channels": st.integers(1, 9),
    "size": st.tuples(st.integers(1, 70), st.sampled_from([1, 3, 7, 8, 9, 16, 17, 24, 33, 40, 300])),
    "kernel": st.tuples(st.integers(1, 12), st.integers(1, 17)),
    "padding": st.sampled_from(["same", "same", "full", ((0, 0), (12, 12)), ((3, 1), (0, 20))]),
    "mode": st.sampled_from(["zeros", "zeros", "edge", "reflect", "symmetric", "wrap", "odd_reflect", RIM]),
    "layout": st.sampled_from(["channels_last", "channels_first"]),
    "outputs": st.integers(1, 3),
    "dilation": st.sampled_from([1, 1, (1, 3), 2]),
    "stride": st.just(1),
    "seed": st.integers(0, 99),
}
STRIDED = CASES | {
    "size": st.tuples(st.integers(1, 70), st.integers(1, 200))
    | st.tuples(st.integers(1, 7), st.sampled_from([2100, 4501])),
    "kernel": st.tuples(st.integers(2, 7), st.integers(1, 16)),
    "dilation": st.sampled_from([1, 1, (1, 2), (1, 3), (1, 16)]),
    "stride": st.sampled_from([2, 2, (1, 2)]),
}


def strips_agree(dtype, n, channels, size, kernel, padding, mode, layout, outputs, dilation, stride, seed):
    """With the definition, whatever the threads, with and without an activation, and into the places of `out` only."""
    x, filters, bias = grouped(seed, dtype, layout, n, channels, 1, outputs, size, kernel)
    options = dict(
        groups=channels, padding=padding, padding_mode=mode, dilation=dilation, stride=stride, layout=layout
    )  # fmt: skip
    want = None
    for isa in ISAS:
        with under(isa):
            results = []
            for threads in (1, 2, 3):
                with cx.threads(threads):
                    try:
                        results.append(cx.conv2d(x, filters, bias, algorithm="planes", **options))
                    except ValueError as error:  # of no place, or of few, whose taps are looked up one by one
                        assume(not re.search("index table|larger than", str(error)))
                        raise
            if want is None:
                want = cx.conv2d(x, filters, bias, algorithm="plain", **options)
                tolerance = (PROMISE if dtype == "float32" else 1e-13) * np.sqrt(np.prod(kernel))
                tolerance *= np.abs(want).max(initial=1)
            rectified = cx.conv2d(x, filters, bias, algorithm="planes", activation="relu", **options)
            around = np.full([length + 2 for length in want.shape], 7, dtype)
            cx.conv2d(x, filters, bias, algorithm="planes", out=around[(slice(1, -1),) * 4], **options)
            assert np.abs(results[0] - want).max(initial=0) <= tolerance
            for result in (*results[1:], around[(slice(1, -1),) * 4]):
                np.testing.assert_array_equal(result, results[0])
            around[(slice(1, -1),) * 4] = 7
            assert (around == 7).all()
            np.testing.assert_array_equal(rectified, np.maximum(results[0], 0))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@settings(max_examples=60, deadline=None)
@given(**CASES)
def test_strips_agree_with_the_definition(dtype, **case):
    strips_agree(dtype, **case)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@settings(max_examples=60, deadline=None)
@given(**STRIDED)
def test_strips_of_every_second_place_agree_with_the_definition(dtype, **case):
    strips_agree(dtype, **case)


@pytest.mark.parametrize("isa", _core.supported())
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_what_is_not_finite_stays_in_its_windows(isa, value):
    x, filters = np.ones((1, 5, 40, 50), np.float32), np.ones((5, 1, 3, 3), np.float32)
    x[0, 2, 17, 31] = value
    options = dict(groups=5, padding=1, layout="channels_first", algorithm="planes")
    with _core.using(isa):
        y, halved = (cx.conv2d(x, filters, stride=stride, **options) for stride in (1, 2))
    assert np.argwhere(~np.isfinite(y)).tolist() == [[0, 2, r, c] for r in (16, 17, 18) for c in (30, 31, 32)]
    assert np.argwhere(~np.isfinite(halved)).tolist() == [[0, 2, r, c] for r in (8, 9) for c in (15, 16)]


@pytest.mark.parametrize("isa", _core.supported())
@pytest.mark.parametrize("rows", [3, 5, 7])
@pytest.mark.parametrize("stride", [1, 2])
def test_zeros_outside_are_multiplied_by_what_is_not_finite(isa, rows, stride):
    x, filters = np.ones((1, 3, 40, 50), np.float32), np.ones((3, 1, rows, 3), np.float32)
    filters[1, 0, 0, 1] = np.inf  # 0 * inf is NaN above the picture, which no other filter sees
    options = dict(groups=3, padding="same_lower", stride=stride, layout="channels_first")
    with _core.using(isa):
        want = cx.conv2d(x, filters, algorithm="plain", **options)
        np.testing.assert_array_equal(cx.conv2d(x, filters, algorithm="planes", **options), want)
    assert np.isnan(want[0, 1]).any()
    assert np.isfinite(want[0, ::2]).all()


@pytest.mark.parametrize("isa", _core.supported())
@pytest.mark.parametrize("width", [1023, 1030, 2100, 4500])
@pytest.mark.parametrize(
    ("padding", "mode"), [("same", "zeros"), ("valid", "zeros"), ("same", "wrap"), (9, "constant")]
)
@pytest.mark.parametrize("stride", [1, 2])
def test_long_rows_are_cut(isa, width, padding, mode, stride):
    rng = np.random.default_rng(width)
    x, filters = rng.standard_normal((1, 2, 9, width)).astype(np.float32), np.float32(rng.standard_normal((2, 1, 5, 7)))
    given = cx.padding(mode, value=3) if mode == "constant" else mode
    options = dict(groups=2, padding=padding, padding_mode=given, stride=stride, layout="channels_first")
    with _core.using(isa):
        want = cx.conv2d(x, filters, algorithm="plain", **options)
        got = cx.conv2d(x, filters, algorithm="planes", **options)
    np.testing.assert_allclose(got, want, atol=2e-5 * np.abs(want).max())


def chosen(x, kernel, dtype=np.float32, **options):
    """The algorithm that runs for a picture whose channels come first, each with a filter of its own."""
    channels = x[1]
    plan = cx.conv2d.plan(
        np.zeros(x, dtype), np.zeros((channels, 1, *kernel), dtype), groups=channels, layout="channels_first", **options
    )
    return algorithms.choose(plan.supposed(), "auto").name


def test_pictures_of_channels_apart_are_read_where_they_are():
    assert chosen((1, 64, 56, 56), (3, 3), padding=1) == "planes"
    assert chosen((1, 8, 40, 300), (5, 5), np.float64) == "planes"
    assert chosen((1, 64, 56, 56), (3, 3), padding="same", stride=2) == "planes"
    assert chosen((1, 64, 56, 112), (5, 5), padding=2, stride=(1, 2)) == "planes"  # of four vectors, for many taps
    for stride in (1, 2):
        options = dict(groups=64, padding=1, stride=stride)
        assert cx.explain(cx.conv2d, (1, 56, 56, 64), (64, 3, 3, 1), **options).algorithm == "depthwise"


@pytest.mark.parametrize(
    ("size", "kernel", "options"),
    [
        ((7, 7), (3, 3), {"padding": 1}),
        ((14, 14), (3, 3), {"padding": 1, "stride": 2}),
        ((56, 56), (3, 3), {"stride": 3}),
        ((56, 56), (3, 3), {"stride": 2, "dilation": 2}),
        ((56, 56), (8, 3), {"stride": 2}),
        ((56, 56), (12, 3), {}),
        ((56, 56), (2, 1), {}),  # too few taps for the one, which must not mean neither
        ((56, 56), (3, 3), {"padding": 1, "padding_mode": "odd_reflect"}),
        ((1024, 3), (3, 3), {"padding": 1}),
        ((4, 2000), (3, 3), {"padding": 1}),
        ((40, 60), (3, 40), {}),
        ((60, 400), (3, 3), {"dilation": (1, 150)}),
    ],
)
def test_others_are_exchanged(size, kernel, options):
    assert chosen((1, 64, *size), kernel, **options) == "depthwise"


@pytest.mark.parametrize("layout", ["channels_last", "channels_first"])
def test_gradients_of_arrays_without_elements(layout):
    """Whose adjoint has no places: nothing is divided by their number."""
    last = layout == "channels_last"
    for shape in ((1, 0, 3, 8), (1, 3, 0, 2)) if last else ((1, 8, 0, 3), (1, 2, 3, 0)):
        x = np.ones(shape, "f")
        taps = (2, 1, 3, x.shape[-1]) if last else (2, x.shape[1], 1, 3)
        y, pullback = cx.vjp(cx.conv2d, x, np.ones(taps, "f"), padding=((1, 1), (2, 2)), layout=layout)
        gx, gf = pullback(y)
        assert gx.shape == x.shape
        assert gf.shape == taps
