"""The gradient of filters: Winograd's F(3x3, 4x4), and those of lines, beside the sum over places."""

import numpy as np
import pytest
from convolutions import PROMISE, conv, line_cases, square_cases

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


@pytest.mark.parametrize("isa", _core.supported())
def test_lines_agree_with_double(isa, taken, monkeypatch):
    monkeypatch.setattr(module, "COSTS", module.Costs(*(0,) * 4, place=100))  # or few of these small ones would pay
    for rank, x, filters, _, options in line_cases(40, 7):
        with _core.using(isa):
            y, pullback = cx.vjp(conv(rank), x, filters, **options)
            gy = np.random.default_rng(8).standard_normal(y.shape).astype(np.float32)
            got = pullback(gy)[1]
            with cx.threads(3):
                np.testing.assert_array_equal(pullback(gy)[1], got)
        want = gradients(rank, x.astype(np.float64), filters.astype(np.float64), gy.astype(np.float64), **options)
        assert got.shape == filters.shape
        assert np.abs(got - want).max() <= PROMISE * np.abs(want).max()
    assert taken[True] >= 30
    assert not taken[False]


@pytest.mark.parametrize(
    ("x", "filters"),
    [((4, 1501, 34), (70, 3, 34)), ((50, 61, 33), (40, 9, 33)), ((2, 66, 61, 40), (70, 5, 2, 40))],
    ids=str,
)
def test_many_lines(x, filters, taken):
    rng, rank = np.random.default_rng(1), len(x) - 2
    x, filters = rng.standard_normal(x).astype("f"), rng.standard_normal(filters).astype("f")
    gy = rng.standard_normal((*x.shape[:-1], len(filters))).astype("f")
    got = gradients(rank, x, filters, gy, padding="same")
    want = gradients(rank, x.astype("d"), filters.astype("d"), gy, padding="same")
    assert np.abs(got - want).max() <= PROMISE * np.abs(want).max()
    assert taken == {True: 1, False: 0}
    x[0, 7, ..., 2] = np.inf  # it is given up, and what is not finite spoils what it meets
    got = gradients(rank, x, filters, gy, padding="same")
    assert taken == {True: 1, False: 1}
    np.testing.assert_array_equal(got, gradients(rank, x, filters, gy, padding="same", algorithm="direct"))


def test_what_saves_little_is_summed(taken):
    rng = np.random.default_rng(1)
    for length, channels in ((40, 16), (40, 64), (2000, 16)):
        x = rng.standard_normal((1, length, channels)).astype("f")
        filters = rng.standard_normal((channels, 3, channels)).astype("f")
        gradients(1, x, filters, x, padding="same")
    assert taken == {True: 0, False: 0}


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


def by_taps(x, gy, kernel, stride, dilation, groups):
    """The gradient of filters as its definition says, in double: x is padded, one matrix product for each tap."""
    spatial, samples = gy.shape[1:-1], x.shape[0]
    per_x, per_gy = x.shape[-1] // groups, gy.shape[-1] // groups
    gradient = np.empty((groups, per_gy, *kernel, per_x))
    gy = gy.reshape(samples, -1, groups, per_gy).astype("d")
    for tap in np.ndindex(*kernel):
        ends = [t * d + (n - 1) * s + 1 for t, d, s, n in zip(tap, dilation, stride, spatial, strict=True)]
        cut = tuple(slice(t * d, e, s) for t, d, e, s in zip(tap, dilation, ends, stride, strict=True))
        read = x[(slice(None), *cut)].reshape(samples, -1, groups, per_x).astype("d")
        gradient[(slice(None), slice(None), *tap)] = np.einsum("npgc,npgf->gfc", read, gy)
    return gradient.reshape(-1, *kernel, per_x)


# Every way to cut the work: samples in one chunk, rows of a chunk, pieces of a row, cells of channels, of taps of
# either axis and of filters; lanes of filters or of what lies side by side; rows that share nothing and are laid out
# tap by tap.
CUTS = {
    "samples in a chunk": ((70, 3, 2, 21), 9, (2, 2), {}),
    "one place per sample": ((300, 1, 1, 40), 33, (1, 1), {}),
    "rows in a chunk": ((2, 29, 13, 7), 11, (3, 3), {}),
    "pieces of a row": ((1, 3, 401, 5), 6, (2, 3), {}),
    "cells of channels": ((1, 9, 8, 150), 20, (3, 2), {}),
    "channels in place": ((2, 9, 8, 131), 37, (1, 1), {}),
    "in place with gaps": ((2, 9, 11, 30), 37, (1, 1), {"stride": (2, 3)}),
    "cells of rows": ((1, 30, 12, 20), 17, (23, 5), {}),
    "cells of taps": ((1, 1, 700, 3), 20, (1, 400), {}),
    "cells of filters": ((1, 9, 8, 60), 130, (3, 3), {}),
    "few filters": ((2, 29, 13, 1), 1, (7, 5), {}),
    "few filters of channels": ((1, 12, 13, 19), 3, (3, 3), {}),
    "few filters, long rows": ((1, 2, 700, 1), 2, (1, 300), {}),
    "few filters, taps apart": ((1, 12, 40, 2), 2, (2, 3), {"dilation": (5, 13)}),
    "taps apart": ((1, 40, 12, 5), 12, (3, 3), {"dilation": (13, 2)}),
    "taps far apart": ((1, 1, 1500, 5), 12, (1, 3), {"dilation": (1, 700)}),
    "windows far apart": ((1, 90, 80, 3), 12, (2, 3), {"stride": (31, 17)}),
    "groups": ((2, 11, 13, 24), 24, (3, 3), {"groups": 3}),
    "small groups": ((1, 11, 13, 24), 24, (3, 3), {"groups": 12}),
    "more filters than channels": ((1, 11, 13, 8), 24, (3, 3), {"groups": 8}),
    "padding": ((1, 11, 13, 8), 24, (3, 3), {"padding": ((4, 0), (2, 1))}),
}


@pytest.mark.parametrize("dtype", ["f", "d"])
@pytest.mark.parametrize("cut", CUTS)
@pytest.mark.parametrize("isa", _core.supported())
def test_every_way_to_cut_the_work(isa, cut, dtype):
    shape, f, kernel, options = CUTS[cut]
    rng = np.random.default_rng(7)
    x = rng.standard_normal(shape).astype(dtype)
    groups = options.get("groups", 1)
    filters = np.zeros((f, *kernel, shape[-1] // groups), dtype)
    with _core.using(isa):
        y, pullback = cx.vjp(cx.conv2d, x, filters, algorithm="direct", **options)
        gy = rng.standard_normal(y.shape).astype(dtype)
        got = pullback(gy)[1]
        with cx.threads(3):
            assert np.array_equal(pullback(gy)[1], got)
    (top, bottom), (left, right) = options.get("padding", ((0, 0), (0, 0)))
    padded = np.pad(x, ((0, 0), (top, bottom), (left, right), (0, 0)))
    want = by_taps(padded, gy, kernel, options.get("stride", (1, 1)), options.get("dilation", (1, 1)), groups)
    assert np.abs(got - want).max() <= (2e-6 if dtype == "f" else 4e-15) * np.abs(want).max()


@pytest.mark.parametrize("kernel", [1, 3])
@pytest.mark.parametrize("function", [cx.conv2d, cx.conv_transpose2d])
@pytest.mark.parametrize("groups", [1, 16])
def test_no_sample_has_a_gradient_of_zeros(groups, function, kernel):
    x, filters = np.zeros((0, 12, 12, 16), "f"), np.ones((16, kernel, kernel, 16 // groups), "f")
    y, pullback = cx.vjp(function, x, filters, groups=groups)
    gx, gfilters = pullback(y)
    assert gx.shape == x.shape
    assert np.array_equal(gfilters, np.zeros_like(filters))
