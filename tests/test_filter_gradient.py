"""The gradient of filters: Winograd's F(3x3, 4x4) beside the sum over places."""

import numpy as np
import pytest
from convolutions import PROMISE, conv, square_cases

import pyconvx as cx
from pyconvx import _core
from pyconvx.functional import filter_gradient as module


def gradients(rank, x, filters, gy, **options):
    y, pullback = cx.vjp(conv(rank), x, filters, **options)
    return pullback(gy.astype(y.dtype).reshape(y.shape))[1]


@pytest.fixture
def taken(monkeypatch):
    """Counts the gradients that Winograd's algorithm gave, and those that it gave up."""
    counts = {True: 0, False: 0}

    def counted(inner):
        def winograd(*arguments):
            good = inner(*arguments)
            counts[bool(good)] += 1
            return good

        return winograd

    for isa in _core.supported():
        with _core.using(isa):
            kernels = _core.kernels
            monkeypatch.setattr(
                kernels, "winograd_filter_gradient", counted(kernels.winograd_filter_gradient), raising=True
            )
    return counts


@pytest.mark.parametrize("isa", _core.supported())
def test_agrees_with_double(isa, taken):
    for rank, x, filters, _, options in square_cases(24, 31, [(3, 1)]):
        with _core.using(isa):
            y, pullback = cx.vjp(conv(rank), x, filters, **options)
            gy = np.random.default_rng(8).standard_normal(y.shape).astype(np.float32)
            got = pullback(gy)[1]
        want = gradients(rank, x.astype(np.float64), filters.astype(np.float64), gy.astype(np.float64), **options)
        assert got.shape == filters.shape
        assert np.abs(got - want).max() <= PROMISE * np.abs(want).max()
    assert taken[True] >= 8
    assert not taken[False]


@pytest.mark.parametrize("shape", [(3, 61, 66, 17), (1, 120, 13, 40), (1, 9, 9, 50), (70, 8, 8, 16)])
def test_many_tiles_and_odd_sizes(shape, taken):
    rng = np.random.default_rng(1)
    x, filters = rng.standard_normal(shape).astype("f"), rng.standard_normal((37, 3, 3, shape[-1])).astype("f")
    gy = rng.standard_normal((*shape[:-1], 37)).astype("f")
    got = gradients(2, x, filters, gy, padding="same")
    want = gradients(2, x.astype("d"), filters.astype("d"), gy, padding="same")
    assert np.abs(got - want).max() <= PROMISE * np.abs(want).max()
    assert taken == {True: 1, False: 0}
    with cx.threads(2):
        assert np.array_equal(gradients(2, x, filters, gy, padding="same"), got)


def test_equal_terms_do_not_drift(taken):
    x, filters, gy = (
        np.full((1, 300, 300, 16), 0.1, "f"),
        np.ones((16, 3, 3, 16), "f"),
        np.full((300, 300, 16), 0.3, "f"),
    )
    got = gradients(2, x, filters, gy, padding="same")
    want = gradients(2, x.astype("d"), filters.astype("d"), gy, padding="same")
    assert np.abs(got - want).max() <= 2e-6 * np.abs(want).max()
    assert taken[True]


@pytest.mark.parametrize("value", [np.nan, np.inf, 1e12])
def test_what_only_masked_places_see_stays_out(value, taken):
    """An element that meets zeros alone changes nothing if it is finite; if not, what it meets is NaN."""
    rng = np.random.default_rng(2)
    x, filters = rng.standard_normal((1, 24, 24, 16)).astype("f"), rng.standard_normal((16, 3, 3, 16)).astype("f")
    gy = rng.standard_normal((1, 24, 24, 16)).astype("f")
    gy[:, 9:12, 11:14] = 0
    x[0, 10, 12, 3] = value
    got = gradients(2, x, filters, gy, padding="same")
    assert not taken[True]
    assert taken[False] == 1
    direct = gradients(2, x, filters, gy, padding="same", algorithm="direct")
    assert np.array_equal(got, direct, equal_nan=True)
    if np.isfinite(value):
        x[0, 10, 12, 3] = 0
        without = gradients(2, x.astype("d"), filters.astype("d"), gy, padding="same")
        assert np.abs(got - without).max() <= PROMISE * np.abs(without).max()
    else:
        assert np.isnan(got[..., 3]).all()
        assert np.isfinite(np.delete(got, 3, -1)).all()


def test_a_large_gradient_where_x_is_zero_stays_out(taken):
    rng = np.random.default_rng(3)
    x, filters = rng.standard_normal((1, 24, 24, 16)).astype("f"), rng.standard_normal((16, 3, 3, 16)).astype("f")
    gy = rng.standard_normal((1, 24, 24, 16)).astype("f")
    x[:, 9:12, 11:14] = 0
    gy[0, 10, 12, 5] = 1e9
    got = gradients(2, x, filters, gy, padding="same")
    want = gradients(2, x.astype("d"), filters.astype("d"), gy, padding="same")
    assert np.abs(got - want).max() <= PROMISE * np.abs(want).max()
    assert taken[False] == 1


def test_serves_transposed_convolutions_and_channels_first(taken):
    rng = np.random.default_rng(4)
    x, filters = rng.standard_normal((18, 20, 20)).astype("f"), rng.standard_normal((18, 24, 3, 3)).astype("f")
    y, pullback = cx.vjp(cx.conv_transpose2d, x, filters, layout="channels_first")
    gy = rng.standard_normal(y.shape)
    _, exact = cx.vjp(cx.conv_transpose2d, x.astype("d"), filters.astype("d"), layout="channels_first")
    got, want = pullback(gy.astype("f"))[1], exact(gy)[1]
    assert np.abs(got - want).max() <= PROMISE * np.abs(want).max()
    assert taken[True] == 1


def test_is_left_alone_where_it_does_not_pay(taken):
    assert module.LEAST == 16
    x, gy = np.ones((1, 16, 16, 15), "f"), np.ones((16, 16, 16), "f")
    gradients(2, x, np.ones((16, 3, 3, 15), "f"), gy, padding="same")
    gradients(2, x.astype("d"), np.ones((16, 3, 3, 15), "d"), gy, padding="same")
    gradients(2, x, np.ones((16, 3, 3, 15), "f"), gy[:8, :8], padding="same", stride=2)
    assert taken == {True: 0, False: 0}
