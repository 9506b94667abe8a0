"""Activations that end a convolution: by any algorithm, once for each element, in any layout."""

import ctypes

import numpy as np
import pytest
from foreign import array

import pyconvx as cx

from .plugins import CUBE, cube, registered, three_squares

rng = np.random.default_rng(0)
ALGORITHMS = [
    ("winograd", (20, 20, 20), (20, 3, 3, 20), {}),
    ("winograd", (20, 31, 20), (20, 5, 1, 20), {}),
    ("direct", (12, 13, 5), (7, 3, 3, 5), {}),
    ("bands", (12, 13, 32), (32, 3, 3, 32), {}),
    ("depthwise", (12, 13, 32), (32, 3, 3, 1), {"groups": 32}),
    ("planes", (12, 40, 1), (1, 3, 3, 1), {}),
    ("columns", (12, 40, 3), (7, 3, 3, 3), {}),
    ("dots", (12, 13, 40), (3, 3, 3, 40), {}),
    ("fft", (70, 70, 1), (1, 31, 31, 1), {}),
    ("plain", (9, 9, 2), (3, 3, 3, 2), {}),
]


@pytest.mark.parametrize(("name", "x", "filters", "options"), ALGORITHMS, ids=[each[0] for each in ALGORITHMS])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_it_ends_a_convolution_by_any_algorithm(name, x, filters, options, dtype):
    if name == "winograd" and dtype == "float64":
        name = "auto"
    x, filters = rng.standard_normal(x).astype(dtype), rng.standard_normal(filters).astype(dtype)
    bias = rng.standard_normal(len(filters)).astype(dtype)
    with registered("activations", "cube", **CUBE):
        got = cx.conv2d(x, filters, bias, activation="cube", algorithm=name, **options)
    np.testing.assert_array_equal(got, cube(cx.conv2d(x, filters, bias, algorithm=name, **options)))


@pytest.mark.parametrize(("taps", "mode"), [((3, 3), "zeros"), ((2, 5), "globe"), ((15, 15), "zeros")], ids=str)
@pytest.mark.parametrize(
    "options",
    [{}, {"stride": 2}, {"dilation": 2, "padding": 14}, {"padding": ((0, 7), (3, 1)), "stride": (3, 1)}],
    ids=str,
)
@pytest.mark.parametrize("x", [(2, 18, 16, 17), (1, 17, 160, 128)], ids=["one segment", "segments"])
def test_it_ends_each_line_of_a_depthwise_convolution_once(x, taps, options, mode):
    x = rng.standard_normal(x).astype(np.float32)
    filters = rng.standard_normal((x.shape[-1], *taps, 1)).astype(np.float32)
    options = {"padding": 1, "groups": x.shape[-1], "padding_mode": mode, "algorithm": "depthwise", **options}
    with registered("activations", "cube", **CUBE):
        got = cx.conv2d(x, filters, activation="cube", **options)
        into = np.empty_like(got)
        assert cx.conv2d(x, filters, activation="cube", out=into, **options) is into
    np.testing.assert_array_equal(got, cube(cx.conv2d(x, filters, **options)))
    np.testing.assert_array_equal(into, got)


@pytest.mark.parametrize("layout", ["channels_last", "channels_first"])
@pytest.mark.parametrize(("name", "x", "filters", "options"), ALGORITHMS, ids=[each[0] for each in ALGORITHMS])
def test_it_is_given_elements_of_the_result_alone(name, x, filters, options, layout):
    """All of which are positive here: lanes that stand for none are zero."""
    lowest, pointer = [], ctypes.POINTER(ctypes.c_float)

    def call(x, y, n, user):
        lowest.append(array(x, n).min())
        array(y, n)[...] = array(x, n)

    watching = ctypes.CFUNCTYPE(None, pointer, pointer, ctypes.c_ssize_t, ctypes.c_void_p)(call)
    several = 7 if name == "bands" else filters[0]  # which leave lanes of a vector empty
    x, filters = (rng.random(shape).astype(np.float32) + 1 for shape in (x, (several, *filters[1:])))
    if layout == "channels_first":
        x, filters = np.ascontiguousarray(np.moveaxis(x, -1, 0)), np.ascontiguousarray(np.moveaxis(filters, -1, 1))
    with registered("activations", "watching", compiled=watching):
        cx.conv2d(x, filters, activation="watching", algorithm=name, layout=layout, **options)
    assert lowest
    assert min(lowest) > 0


@pytest.mark.parametrize("layout", ["channels_last", "channels_first"])
@pytest.mark.parametrize("prepared", [False, True])
def test_calls_that_come_again(layout, prepared):
    x = rng.standard_normal((2, 9, 9, 9)).astype(np.float32)
    filters = rng.standard_normal((9, 3, 3, 9) if layout == "channels_last" else (9, 9, 3, 3)).astype(np.float32)
    given = cx.prepare(filters, layout=layout) if prepared else filters
    want = cube(cx.conv2d(x, given, layout=layout))
    with registered("activations", "cube", **CUBE):
        for _ in range(4):
            np.testing.assert_array_equal(cx.conv2d(x, given, layout=layout, activation="cube"), want)


def test_gradients_of_a_convolution():
    x, filters = rng.standard_normal((9, 9, 4)), rng.standard_normal((5, 3, 3, 4))
    with registered("activations", "cube", **CUBE):
        y, pullback = cx.vjp(cx.conv2d, x, filters, activation="cube")
        got = pullback(np.ones_like(y))
    z, back = cx.vjp(cx.conv2d, x, filters)
    for one, other in zip(got, back(three_squares(z)), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-12)
