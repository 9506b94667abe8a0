"""A shift and a scale of channels with a pooling behind: every instruction set and dtype, against NumPy."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import pyconvx as cx
from pyconvx import _core
from pyconvx.functional.scaled_pool import scaled_pool

every_isa = pytest.mark.parametrize("isa", _core.supported())
RANKS = {1: cx.pool1d, 2: cx.pool2d, 3: cx.pool3d}


@st.composite
def problems(draw):
    """(x, window, scale, rectified): windows that tile x; equal elements, infinities and NaN are frequent."""
    rank = draw(st.sampled_from(sorted(RANKS)))
    window = tuple(draw(st.lists(st.integers(1, 4), min_size=rank, max_size=rank)))
    places = draw(st.lists(st.integers(1, 5), min_size=rank, max_size=rank))
    channels = draw(st.sampled_from([1, 3, 8, 17, 64, 300]))
    shape = (draw(st.integers(1, 3)), *(n * k for n, k in zip(places, window, strict=True)), channels)
    random = np.random.default_rng(draw(st.integers(0, 2**32)))
    dtype = draw(st.sampled_from([np.float32, np.float64]))
    x = random.integers(-3, 4, shape) if draw(st.booleans()) else random.standard_normal(shape)
    x = x.astype(dtype)
    if draw(st.booleans()):
        odd = random.random(shape) < 0.1
        x[odd] = random.choice([np.nan, np.inf, -np.inf, 1e30], odd.sum())
    centre, factor, shift = random.standard_normal((3, channels)).astype(dtype)
    factor[random.random(channels) < 0.2] = 0
    return x, window, (centre, factor, shift), draw(st.booleans())


def windows_of(x, window):
    """(N, *places, C, elements of a window)"""
    rank = len(window)
    split = x.reshape(len(x), *(n for k, size in zip(window, x.shape[1:-1], strict=True) for n in (size // k, k)), -1)
    places, taps = range(1, 2 * rank, 2), range(2, 2 * rank + 1, 2)
    laid = split.transpose(0, *places, 2 * rank + 1, *taps)
    return laid.reshape(*laid.shape[: rank + 2], -1)


def joined(w, window, shape):
    """The way back."""
    rank, places = len(window), w.shape[1:-2]
    split = w.reshape(w.shape[0], *places, w.shape[-2], *window)
    order = [axis for i in range(rank) for axis in (1 + i, 2 + rank + i)]
    return split.transpose(0, *order, 1 + rank).reshape(shape)


@every_isa
@settings(max_examples=80, deadline=None)
@given(problem=problems(), threads=st.sampled_from([1, 3]))
def test_it_is_a_scale_a_rectifier_and_a_pooling(isa, problem, threads):
    x, window, (centre, factor, shift), rectified = problem
    eps = np.finfo(x.dtype).eps
    with _core.using(isa), cx.threads(threads), np.errstate(all="ignore"):
        found = scaled_pool(RANKS[len(window)], x, window, scale=(centre, factor, shift), rectified=rectified)
        assert found is not None
        laid = windows_of(x, window)
        scaled = (laid - centre[:, None]) * factor[:, None] + shift[:, None]
        np.testing.assert_array_equal(np.take_along_axis(laid, found.winner[..., None], -1)[..., 0], found.won)
        largest = np.where(np.isnan(scaled).any(-1), np.nan, scaled.max(-1))
        expected = np.where(largest <= 0, 0, largest) if rectified else largest
        size = np.abs(centre[:, None] * factor[:, None]) + np.abs(laid * factor[:, None]) + np.abs(shift[:, None])
        allowed = 4 * eps * np.where(np.isfinite(size), size, 0).max(-1)
        assert (np.isnan(found.y) == np.isnan(expected)).all()
        same = (found.y == expected) | np.isnan(expected)
        assert (same | (np.abs(found.y - expected) <= allowed)).all()
        won = np.take_along_axis(scaled, found.winner[..., None], -1)[..., 0]
        assert ((won == largest) | (np.abs(won - largest) <= allowed) | np.isnan(largest)).all()

        random = np.random.default_rng(0)
        gy = random.standard_normal(found.y.shape).astype(x.dtype)
        shifts, slopes = random.standard_normal((2, x.shape[-1])).astype(x.dtype)
        gx = found.gradient(gy, shifts, slopes)
        spread = np.where(np.arange(laid.shape[-1]) == found.winner[..., None], gy[..., None], 0)
        off = laid - centre[:, None]
        wanted = (spread - shifts[:, None] - off * slopes[:, None]) * factor[:, None]
        terms = (
            np.abs(spread)
            + np.abs(shifts[:, None])
            + (np.abs(laid) + np.abs(centre[:, None])) * np.abs(slopes[:, None])
        )
        allowed = 6 * eps * terms * np.abs(factor[:, None])
        close = np.abs(windows_of(gx, window) - wanted) <= np.where(np.isfinite(allowed), allowed, np.inf)
        odd = ~np.isfinite(wanted)
        assert (close | odd).all()
        np.testing.assert_array_equal(np.isnan(windows_of(gx, window)), np.isnan(wanted))
        np.testing.assert_array_equal(joined(windows_of(gx, window), window, x.shape), gx)
        first, second = found.products(gy)
        axes = tuple(range(gy.ndim - 1))
        np.testing.assert_allclose(first, gy.astype(np.float64).sum(axes), rtol=1e-5, atol=1e-4)
        terms = gy.astype(np.float64) * (found.won.astype(np.float64) - centre)
        sums = terms.sum(axes)
        sure = np.isfinite(sums) & (np.abs(terms).sum(axes) < 1e6)
        np.testing.assert_allclose(second[sure], sums[sure], rtol=1e-5, atol=1e-2)


@every_isa
def test_the_first_of_equals_and_the_first_nan_win(isa):
    x = np.array([[1, 2, 2, 0, np.nan, 5, np.nan, 1, -1, -1, -2, -3]], np.float32)[..., None]
    one, zero = np.ones(1, np.float32), np.zeros(1, np.float32)
    with _core.using(isa):
        found = scaled_pool(cx.pool1d, x, 4, scale=(zero, one, zero), rectified=True)
        assert found.winner.ravel().tolist() == [1, 0, 0]
        np.testing.assert_array_equal(found.y.ravel(), [2, np.nan, 0])
        found = scaled_pool(cx.pool1d, x, 4, scale=(zero, -one, zero), rectified=False)
        assert found.winner.ravel().tolist() == [3, 0, 3]


@pytest.mark.parametrize(
    "options",
    [
        {"size": 2, "stride": 1},
        {"size": 3},  # leaves elements out
        {"size": 2, "padding": "same", "padding_mode": "reflect", "stride": 1},
        {"size": 2, "kind": "avg"},
        {"size": 2, "kind": "min"},
        {"size": 2, "dilation": 2},
        {"size": 8, "layout": "channels_first"},
    ],
)
def test_other_poolings_are_left_to_others(options):
    x, numbers = np.ones((2, 8, 8, 8), np.float32), np.ones(8)
    options = dict(options)
    size = options.pop("size")
    assert scaled_pool(cx.pool2d, x, size, scale=(numbers,) * 3, rectified=True, **options) is None


def test_other_arrays_are_left_to_others():
    numbers = np.ones(3)
    for x in (
        np.ones((2, 8, 8, 3), np.float16),
        np.ones((2, 8, 8, 3), np.int32),
        np.ones((2, 8, 16, 3))[:, :, ::2],
        np.ones((8, 8, 3)),
        np.ones((0, 8, 8, 3)),
    ):
        assert scaled_pool(cx.pool2d, x, 2, scale=(numbers,) * 3, rectified=True) is None
    assert scaled_pool(cx.pool1d, np.ones((1, 130, 3)), 65, scale=(numbers,) * 3, rectified=True) is None


def test_there_is_a_number_for_each_channel():
    x = np.ones((1, 4, 4, 3))
    with pytest.raises(ValueError, match="a number for each channel"):
        scaled_pool(cx.pool2d, x, 2, scale=(np.ones(3), np.ones(2), np.ones(3)), rectified=True)


@every_isa
def test_the_bits_do_not_depend_on_the_threads(isa):
    random = np.random.default_rng(1)
    x, scale = random.standard_normal((40, 16, 16, 40)).astype(np.float32), random.standard_normal((3, 40))
    results = []
    for threads in (1, 2, 7):
        with _core.using(isa), cx.threads(threads):
            found = scaled_pool(cx.pool2d, x, 2, scale=tuple(scale), rectified=True)
            gy = found.y * 3
            results.append([found.y, found.won, *found.products(gy), found.gradient(gy, scale[0], scale[1])])
    for other in results[1:]:
        for one, two in zip(results[0], other, strict=True):
            np.testing.assert_array_equal(one, two)
