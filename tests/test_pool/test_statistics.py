"""Statistics of a window with code of their own: they equal their functions, also where numbers are not finite."""

import itertools

import numpy as np
import pytest

import pyconvx as cx
from pyconvx import _core
from pyconvx.pooling import evaluate, slopes
from pyconvx.testing.strategies import Drawn

from .cases import every_isa

STATISTICS = [
    ("lp", {"p": 1}), ("lp", {"p": 2}), ("lp", {"p": 3}), ("lp", {"p": 1.5}), ("lp", {"p": 0.5}), ("std", {}),
    ("logsumexp", {}), ("logsumexp", {"temperature": 0.1}), ("softmax", {}), ("softmax", {"temperature": 3}),
    ("mixed", {}), ("mixed", {"alpha": 0}), ("median", {}), ("percentile", {"q": 30}), ("percentile", {"q": 100}),
]  # fmt: skip
every_statistic = pytest.mark.parametrize(("kind", "params"), STATISTICS)


@every_isa
@every_statistic
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("shape", [(2, 3, 21), (1, 8, 8, 5), (1, 9, 8, 37), (1, 60, 50, 3)])
def test_compiled_statistics_equal_their_functions(isa, kind, params, dtype, shape):
    """Windows of one chunk and of many, and channels that fill vectors and that do not; with gradients."""
    x = Drawn(shape, "float64", seed=5).plain.astype(dtype)
    spatial = tuple(range(1, x.ndim - 1))
    w = np.moveaxis(x.reshape(x.shape[0], int(np.prod([shape[a] for a in spatial])), x.shape[-1]), 1, -1)
    bound = cx.pooling(kind, **params)
    exact = w.astype(np.float64)
    want = evaluate(bound, exact)
    with _core.using(isa):
        y, pullback = cx.vjp(cx.global_pool, x, bound)
        one = cx.global_pool(np.ascontiguousarray(x[..., 1:2]), bound)
        (gx,) = pullback(np.ones_like(y))
    np.testing.assert_array_equal(one[..., 0], y[..., 1])  # whatever the lane
    tolerance = 1e-5 if dtype == np.float32 else 1e-13
    np.testing.assert_allclose(y, want, rtol=tolerance, atol=tolerance)
    slope = np.moveaxis(slopes(bound, exact, want), -1, 1).reshape(x.shape)
    np.testing.assert_allclose(gx, slope, rtol=10 * tolerance, atol=10 * tolerance)


@every_isa
@every_statistic
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_compiled_statistics_of_infinities_and_nan(isa, kind, params, dtype):
    bound = cx.pooling(kind, **params)
    for length in (1, 2, 3):
        w = np.array(list(itertools.product([np.inf, -np.inf, np.nan, 2, -1, 0], repeat=length)), dtype)
        with _core.using(isa):
            y = cx.pool1d(np.ascontiguousarray(w.T), length, bound)
        np.testing.assert_allclose(y[0], evaluate(bound, w), rtol=1e-5 if dtype == np.float32 else 1e-13)


@every_isa
@pytest.mark.parametrize("kind", ["lp", "std"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_compiled_norms_neither_overflow_nor_vanish(isa, kind, dtype):
    """Of the largest elements whose norm is finite, and of the smallest."""
    info = np.finfo(dtype)
    for scale in (info.max / 16, info.tiny, 1, info.max**0.5, info.tiny**0.5):
        x = (np.array([[3], [4], [-3], [0]]) * dtype(scale)).astype(dtype)
        with _core.using(isa):
            y, pullback = cx.vjp(cx.pool1d, x, 4, kind)
            want = (34**0.5 if kind == "lp" else 7.5**0.5) * float(scale)
            np.testing.assert_allclose(float(y[0, 0]), want, rtol=1e-6)
            assert np.isfinite(pullback(np.ones((1, 1)))[0]).all()


def test_parameters_beyond_the_compiled_range_are_the_functions():
    x = Drawn((40, 3), "float64").plain
    np.testing.assert_array_equal(cx.pool1d(x, 4, "lp", p=np.inf), np.abs(x).reshape(10, 4, 3).max(1))
    np.testing.assert_allclose(cx.pool1d(x, 4, "logsumexp", temperature=1e-200), x.reshape(10, 4, 3).max(1), rtol=1e-15)
    np.testing.assert_allclose(cx.pool1d(x, 4, "softmax", temperature=1e200), x.reshape(10, 4, 3).mean(1), atol=1e-14)
    with pytest.raises(ValueError, match="p must be positive"):
        cx.output_shape(cx.pool1d, (40, 3), 4, "lp", p=0)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("value", [0.1, 7.3, 1 / 3])
@pytest.mark.parametrize("size", [3, 7, 9])
def test_a_flat_window_has_no_deviation(size, value, dtype):
    x = np.full((1, 12, 12, 5), value, dtype)
    y, pullback = cx.vjp(cx.pool2d, x, size, "std", stride=1)
    assert (y == 0).all()
    assert (pullback(np.ones_like(y))[0] == 0).all()


@every_isa
@every_statistic
@pytest.mark.parametrize("channels", [1, 3, 17, 64])
def test_places_done_together_have_the_bits_of_each_alone(isa, kind, params, channels):
    """Also next to elements whose powers or exponentials overflow."""
    x = Drawn((1, 5, 23, channels), "float64", seed=6).plain.astype(np.float32)
    x[0, 3, 7, 0], x[0, 2, 11, -1], x[0, 0, 20, 0] = 1e30, np.nan, -np.inf
    with _core.using(isa):
        for size, stride, dilation in itertools.product((2, 3), (1, 2, 3), (1, 2)):
            reach = (size - 1) * dilation + 1
            y = cx.pool2d(x, size, kind, stride=stride, dilation=dilation, **params)
            starts = range(0, y.shape[2] * stride, stride)
            windows = np.concatenate([x[:, :, start : start + reach] for start in starts])  # a sample for each place
            each = cx.pool2d(windows, size, kind, stride=(stride, 1), dilation=dilation, **params)
            np.testing.assert_array_equal(y[0], np.moveaxis(each[:, :, 0], 0, 1))


@pytest.mark.parametrize(
    ("kind", "name"),
    [("lp", "p"), ("percentile", "q"), ("logsumexp", "temperature"), ("softmax", "temperature"), ("mixed", "alpha")],
)
@pytest.mark.parametrize("value", [[1, 2], np.array([1, 2])])
def test_a_parameter_of_a_statistic_is_one_number(kind, name, value):
    for call in (
        lambda: cx.pool2d(np.ones((4, 4, 1)), 2, kind, **{name: value}),
        lambda: cx.global_pool(np.ones((1, 4, 4, 1)), kind, **{name: value}),
    ):
        with pytest.raises(TypeError, match=f"{name} of pooling '{kind}' must be one number, got"):
            call()
