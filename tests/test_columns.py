"""Lanes of neighbouring places for any number of filters, where channels lie apart."""

import ctypes

import numpy as np
import pytest
from convolutions import PROMISE, grouped
from hypothesis import given, settings
from hypothesis import strategies as st
from isas import ISAS, under

import pyconvx as cx
from pyconvx import _core
from pyconvx.functional import algorithms

CASES = {
    "n": st.integers(1, 2),
    "groups": st.integers(1, 3),
    "channels": st.one_of(st.integers(1, 9), st.integers(1, 140)),
    "outputs": st.one_of(st.integers(1, 7), st.integers(1, 200)),
    "size": st.tuples(st.integers(1, 20), st.sampled_from([1, 3, 7, 8, 9, 14, 15, 16, 17, 24, 33, 40, 300, 1100])),
    "kernel": st.tuples(st.integers(1, 4), st.integers(1, 5)),
    "stride": st.tuples(st.integers(1, 3), st.integers(1, 5)),
    "dilation": st.sampled_from([1, 1, (1, 3), 2]),
    "padding": st.sampled_from(["valid", "same", "same", "full", ((0, 0), (12, 12)), ((3, 1), (0, 20))]),
    "mode": st.sampled_from(["zeros", "edge", "reflect", "wrap", "odd_reflect", "globe"]),
    "layout": st.sampled_from(["channels_last", "channels_first", "channels_first"]),
    "activation": st.sampled_from([None, "relu", "softmax"]),
    "seed": st.integers(0, 99),
}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@settings(max_examples=80, deadline=None)
@given(**CASES)
def test_columns_agree_with_the_definition_and_have_the_bits_of_the_direct_kernel(
    dtype, n, groups, channels, outputs, size, kernel, stride, dilation, padding, mode, layout, activation, seed
):
    outputs, channels = (min(outputs, 9), min(channels, 20)) if size[1] > 40 else (outputs, channels)
    x, filters, bias = grouped(seed, dtype, layout, n, groups, channels, outputs, size, kernel)
    options = dict(groups=groups, padding=padding, dilation=dilation, layout=layout, stride=stride)
    options |= dict(activation=activation, padding_mode=mode)
    try:
        want = cx.conv2d(x, filters, bias, algorithm="plain", **options)
        cx.conv2d(x, filters, bias, algorithm="columns", **options)
    except ValueError:  # a window that does not fit, reflections of too little, or taps that are looked up one by one
        return
    products = np.prod(kernel) * channels
    tolerance = (PROMISE if dtype == "float32" else 1e-13) * np.abs(want).max(initial=1) * np.sqrt(products)
    for isa in ISAS:
        with under(isa):
            results = []
            for threads in (1, 2, 3):
                with cx.threads(threads):
                    results.append(cx.conv2d(x, filters, bias, algorithm="columns", **options))
            if activation != "softmax" or products < 200:  # which is steep for large sums
                assert np.abs(results[0] - want).max(initial=0) <= tolerance
            for result in (*results[1:], cx.conv2d(x, filters, bias, algorithm="direct", **options)):
                np.testing.assert_array_equal(result, results[0])


@pytest.mark.parametrize("isa", _core.supported())
@pytest.mark.parametrize("kernel", [(1, 1), (2, 3)])
@pytest.mark.parametrize("channels", [600, 1030, 1365])
def test_long_sums_are_summed_some_products_after_the_others(channels, kernel, isa):
    """Also where the places of a row do not fill their tiles, and results lie apart."""
    rng = np.random.default_rng(channels)
    x = rng.standard_normal((1, channels, 6, 19)).astype(np.float32)
    filters, bias = rng.standard_normal((7, channels, *kernel)).astype(np.float32), np.float32(rng.standard_normal(7))
    around = np.full((1, 9, 10, 24), 7, np.float32)
    with _core.using(isa):
        options = dict(layout="channels_first", activation="tanh")
        want = cx.conv2d(x, filters, bias, algorithm="direct", **options)
        _, _, height, width = want.shape
        for out in (None, around[:, 1:8, 2 : 2 + height, 3 : 3 + width]):
            got = cx.conv2d(x, filters, bias, algorithm="columns", out=out, **options)
            np.testing.assert_array_equal(got, want)
    around[:, 1:8, 2 : 2 + height, 3 : 3 + width] = 7
    assert (around == 7).all()


@pytest.mark.parametrize("isa", _core.supported())
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_what_is_not_finite_stays_in_its_windows(isa, value):
    x, filters = np.ones((1, 3, 20, 50), np.float32), np.ones((8, 3, 3, 3), np.float32)
    x[0, 2, 17, 31] = value
    with _core.using(isa):
        y = cx.conv2d(x, filters, padding=1, layout="channels_first", algorithm="columns")
    places = [[0, f, r, c] for f in range(8) for r in (16, 17, 18) for c in (30, 31, 32)]
    assert np.argwhere(~np.isfinite(y)).tolist() == places


def chosen(x, filters, dtype=np.float32, layout="channels_first", **options):
    plan = cx.conv2d.plan(np.zeros(x, dtype), np.zeros(filters, dtype), layout=layout, padding="same", **options)
    return algorithms.choose(plan.supposed(), "auto").name


def test_few_products_of_channels_that_lie_apart():
    with _core.using(_core.supported()[-1]):
        assert chosen((1, 3, 224, 224), (64, 3, 3, 3)) == "columns"
        assert chosen((1, 64, 56, 56), (256, 64, 1, 1)) == "columns"
        assert chosen((1, 1, 40, 80), (8, 1, 3, 3)) == "planes"
        assert chosen((1, 1, 7, 80), (64, 1, 11, 9)) in ("bands", "columns")
        assert chosen((1, 8, 40, 80), (2, 8, 3, 3), np.float64) == "columns"
        assert chosen((1, 40, 50, 48), (40, 40, 1, 7)) == "bands"
        assert chosen((1, 8, 40, 80), (1, 8, 3, 3)) == "planes"
        assert chosen((1, 1, 40, 80), (4, 1, 3, 3)) == "planes"
        assert chosen((1, 3, 20, 4), (64, 3, 3, 3)) == "bands"
        assert chosen((1, 40, 80, 1), (8, 3, 3, 1), layout="channels_last") == "bands"


@pytest.mark.parametrize("isa", _core.supported())
def test_few_filters_where_channels_lie_together(isa):
    """They leave most lanes of filters empty, which costs more than turning the result."""
    options = {"layout": "channels_last"}
    with _core.using(isa):
        assert chosen((1, 32, 32, 3), (6, 5, 5, 3), **options) == "columns"
        assert chosen((1, 40, 40, 3), (3, 5, 5, 3), **options) == "columns"
        assert chosen((1, 40, 40, 3), (3, 5, 5, 3), np.float64, **options) == "columns"
        assert chosen((1, 40, 40, 8), (2, 5, 5, 8), **options) == "columns"
        assert chosen((1, 40, 40, 1), (6, 5, 5, 1), **options) == "planes"
        assert chosen((1, 40, 40, 3), (3, 1, 1, 3), **options) != "columns"
        assert chosen((1, 40, 40, 3), (16, 3, 3, 3), **options) != "columns"
        assert chosen((1, 7, 7, 3), (3, 3, 3, 3), **options) == "bands"


@pytest.mark.parametrize("layout", ["channels_last", "channels_first"])
@pytest.mark.parametrize(("filters", "places"), [((100, 3, 1, 1), (5, 19)), ((7, 3, 1, 2), (5, 13))])
def test_functions_of_plugins_see_no_elements_but_those_of_the_result(layout, filters, places):
    seen = []
    pointer = ctypes.POINTER(ctypes.c_float)

    @ctypes.CFUNCTYPE(ctypes.c_int, pointer, pointer, ctypes.c_ssize_t, ctypes.c_void_p)
    def doubled(x, y, n, user):
        seen.append(np.ctypeslib.as_array(x, (n,)).copy())
        np.ctypeslib.as_array(y, (n,))[:] = 2 * seen[-1]
        return 0

    x, weights = np.ones((1, 3, *places), np.float32), np.ones(filters, np.float32)
    if layout == "channels_last":
        x, weights = (np.ascontiguousarray(np.moveaxis(array, 1, -1)) for array in (x, weights))
    options = dict(layout=layout, algorithm="columns")
    sums = cx.conv2d(x, weights, **options)
    out = np.empty((*sums.shape[:-1], 2 * sums.shape[-1]), np.float32)[..., ::2]
    with cx.activations.temporarily("test:doubled", lambda x: 2 * x, compiled={"float32": doubled}), cx.threads(1):
        for into in (None, out):
            np.testing.assert_array_equal(
                cx.conv2d(x, weights, activation="test:doubled", out=into, **options), 2 * sums
            )
    given = np.concatenate(seen)
    assert given.size == 2 * sums.size
    np.testing.assert_array_equal(given, sums.flat[0])


def test_results_with_channels_together_are_no_matter_of_columns():
    """Rows that need all channels of a place: softmax."""
    with _core.using(_core.supported()[-1]):
        assert chosen((1, 64, 56, 56), (256, 64, 1, 1), activation="softmax") != "columns"
        assert chosen((1, 64, 56, 56), (256, 64, 1, 1), out=np.empty((1, 256, 56, 112), "f")[..., ::2]) == "columns"
        assert chosen((1, 2, 224, 224), (3, 2, 3, 3), dilation=16) == "columns"
        assert chosen((1, 2, 224, 224), (3, 2, 3, 3), dilation=17) == "planes"
        assert chosen((4, 64, 14, 112), (6, 64, 1, 5), stride=4) == "bands"


@pytest.mark.parametrize("activation", [None, "relu", "softplus"])
@pytest.mark.parametrize("outputs", [2, 3, 7, 40])
@pytest.mark.parametrize("channels", [1, 2, 5])
def test_a_value_with_gradients_has_the_bits_of_one_without(channels, outputs, activation):
    rng = np.random.default_rng(outputs)
    x, filters = rng.standard_normal((2, channels, 9, 40)), rng.standard_normal((outputs, channels, 3, 3))
    options = dict(padding="same", layout="channels_first", activation=activation)
    value, _ = cx.vjp(cx.conv2d, x, filters, **options)
    np.testing.assert_array_equal(value, cx.conv2d(x, filters, **options))


@pytest.mark.parametrize("isa", _core.supported())
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_filters_a_page_apart(dtype, isa):
    rng = np.random.default_rng(9)
    x, filters = rng.standard_normal((1024, 7, 9)).astype(dtype), rng.standard_normal((33, 1024, 1, 1)).astype(dtype)
    options = {"layout": "channels_first", "algorithm": "columns"}
    with _core.using(isa):
        weights = _core.kernels.filters_apart(filters)
        assert weights.strides[0] > filters.strides[0] == 1024 * filters.itemsize
        np.testing.assert_array_equal(weights, filters)
        assert _core.kernels.filters_apart(weights) is weights
        want = np.einsum("fc,chw->fhw", filters[:, :, 0, 0], x)
        for given in (filters, cx.prepare(filters, layout="channels_first")):
            for _ in range(3):
                np.testing.assert_allclose(cx.conv2d(x, given, **options), want, rtol=1e-4, atol=1e-3)
            y, pullback = cx.vjp(cx.conv2d, x, given, **options)
            np.testing.assert_allclose(y, want, rtol=1e-4, atol=1e-3)
            want_gx = np.einsum("fc,fhw->chw", filters[:, :, 0, 0], y)
            np.testing.assert_allclose(pullback(y)[0], want_gx, rtol=1e-4, atol=1e-2)
