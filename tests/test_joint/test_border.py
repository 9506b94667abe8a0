"""The border that kernels read: by every algorithm, again, by threads, in any memory, with weights, in parts."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import pyconvx as cx
from pyconvx import _core
from pyconvx.functional import joint
from pyconvx.padding import OUTSIDE

from .modes import every_mode, mode, wrapped

RNG = np.random.default_rng(0)


@pytest.mark.parametrize(
    "algorithm", ["fft", "depthwise", "dots", "planes", "columns", "bands", "direct", "plain", "winograd"]
)
def test_every_algorithm_and_prepared_filters(algorithm):
    groups = {"depthwise": 16, "fft": 16}.get(algorithm, 1)
    outputs = 3 if algorithm in ("planes", "dots") else 16
    x = RNG.standard_normal((9, 12, 16)).astype(np.float32)
    filters = RNG.standard_normal((outputs, 3, 3, 16 // groups)).astype(np.float32)
    options = dict(padding="same", padding_mode="globe", groups=groups, algorithm=algorithm)
    padded = cx.pad(x, {0: 1, 1: 1}, "globe")
    y = cx.conv2d(padded, filters, groups=groups, algorithm=algorithm)
    prepared = cx.prepare(filters)
    for _ in range(3):  # the calls that come again are known
        for each in (filters, prepared):
            np.testing.assert_array_equal(cx.conv2d(x, each, **options), y)
    out = np.empty_like(y)
    assert cx.conv2d(x, filters, out=out, **options) is out
    np.testing.assert_array_equal(out, y)


def test_a_call_that_comes_again_reads_its_own_x():
    filters = RNG.standard_normal((2, 3, 3, 1)).astype(np.float32)
    for _ in range(4):
        x = RNG.standard_normal((6, 8, 1)).astype(np.float32)
        y = cx.conv2d(x, filters, padding="same", padding_mode="globe")
        np.testing.assert_allclose(y, cx.conv2d(cx.pad(x, {0: 1, 1: 1}, "globe"), filters), rtol=1e-4, atol=1e-5)


def test_out_may_be_the_input():
    x = RNG.standard_normal((6, 8, 1)).astype(np.float32)
    filters = RNG.standard_normal((1, 3, 3, 1)).astype(np.float32)
    options = dict(padding="same", padding_mode="globe")
    for function in (cx.conv2d, cx.conv_transpose2d):
        want, same = function(x, filters, **options), x.copy()
        function(same, filters, out=same, **options)
        np.testing.assert_array_equal(same, want)
    want, same = cx.pool2d(x, 3, "avg", stride=1, **options), x.copy()
    np.testing.assert_array_equal(cx.pool2d(same, 3, "avg", stride=1, out=same, **options), want)


def test_any_memory_gives_the_bits_of_a_copy():
    x = RNG.standard_normal((2, 18, 16, 6)).astype(np.float32)
    filters = RNG.standard_normal((4, 3, 3, 3)).astype(np.float32)
    for view in (x[:, ::2, ::-1, ::2], x.astype(">f4")[:, :9, :, :3], np.asfortranarray(x[:, :9, :, :3])):
        for function in (
            lambda x: cx.conv2d(x, filters, padding="same", padding_mode="globe"),
            lambda x: cx.pool2d(x, 3, padding="same", padding_mode="globe"),
            lambda x: cx.pad(x, {1: 2, 2: 3}, "globe"),
        ):
            np.testing.assert_array_equal(function(view), function(np.ascontiguousarray(view, np.float32)))


def test_the_number_of_threads_changes_no_bit():
    x = RNG.standard_normal((2, 40, 64, 16)).astype(np.float32)
    filters = RNG.standard_normal((16, 3, 3, 16)).astype(np.float32)
    results = []
    for threads in (1, 2, 3):
        with cx.threads(threads):
            y, pullback = cx.vjp(cx.conv2d, x, filters, padding="same", padding_mode="globe")
            pooled = cx.pool2d(x, 3, "avg", padding=1, padding_mode="globe")
            results.append([y, pooled, *pullback(y)])
    for others in results[1:]:
        for one, other in zip(results[0], others, strict=True):
            np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("special", [np.nan, np.inf])
def test_what_is_not_finite_stays_in_its_windows(special):
    x = np.ones((8, 8, 1))
    x[0, 1] = special
    y = cx.conv2d(x, np.ones((1, 3, 3, 1)), padding="same", padding_mode="globe")[..., 0]
    spoilt = {(i, j) for i, j in np.argwhere(~np.isfinite(y)).tolist()}
    assert spoilt == {(0, j) for j in (0, 1, 2, 4, 5, 6)} | {(1, j) for j in (0, 1, 2)}


def test_a_weight_of_zero_is_nothing_at_all():
    rule = lambda i, n: ((i[0] % n[0], i[1] % n[1]), ((i[0] >= 0) & (i[0] < n[0])).astype(int))  # noqa: E731
    x = np.full((2, 2), np.inf)
    with cx.paddings.temporarily("test:nothing", rule, joint=True, ranks=(2,)):
        y, pullback = cx.vjp(cx.pad, x, 1, "test:nothing")
        np.testing.assert_array_equal(y[[0, -1]], 0)
        np.testing.assert_array_equal(y[1:-1], np.inf)
        np.testing.assert_array_equal(pullback(np.where(np.isfinite(y), np.nan, 1.0))[0], 2)


def test_float16_weights_are_rounded_once():
    x = np.array([[1.0, 2.0], [3.0, 65504.0]], np.float16)
    y = cx.pad(x, {0: (1, 0), 1: 0}, "test:winds")
    assert y.dtype == np.float16
    np.testing.assert_array_equal(y[0], [-2, -1])


def test_long_borders_are_made_in_parts(monkeypatch):
    x, width = RNG.standard_normal((4, 6)), ((9, 2), (-1, 23))
    y, pullback = cx.vjp(cx.pad, x, width, "test:winds")
    (gx,) = pullback(y)
    monkeypatch.setattr(joint, "PART", 7)
    monkeypatch.setattr(joint, "KEPT", 0)
    other, pullback = cx.vjp(cx.pad, x, width, "test:winds")
    np.testing.assert_array_equal(other, y)
    np.testing.assert_allclose(pullback(y)[0], gx, rtol=1e-12)


SHAPES = {
    "fft": ((3, 21, 26, 1), (2, 11, 11, 1), 1),
    "depthwise": ((3, 9, 14, 21), (21, 3, 3, 1), 21),
    "planes": ((3, 9, 40, 2), (3, 5, 3, 2), 1),
    "winograd": ((3, 13, 14, 17), (18, 3, 3, 17), 1),
    "winograd along rows": ((3, 9, 18, 17), (18, 3, 7, 17), 1),
    "winograd along columns": ((3, 13, 14, 17), (18, 5, 1, 17), 1),
    "dots": ((3, 9, 14, 33), (3, 3, 3, 33), 1),
    "columns": ((3, 9, 20, 5), (7, 3, 3, 5), 1),
    "bands": ((3, 9, 14, 5), (7, 3, 3, 5), 1),
    "direct": ((3, 9, 14, 5), (7, 3, 3, 5), 1),
    "plain": ((2, 5, 6, 2), (3, 3, 3, 2), 1),
}


@pytest.mark.parametrize("layout", ["channels_last", "channels_first"])
@pytest.mark.parametrize("special", [False, True], ids=["finite", "special"])
@every_mode
@pytest.mark.parametrize("which", SHAPES)
def test_every_algorithm_reads_the_border(which, name, params, special, layout):
    """Also where a kernel has to do something again, because of a NaN or an infinity."""
    (shape, taps, groups), algorithm = SHAPES[which], which.split()[0]
    x, filters = (RNG.standard_normal(each).astype(np.float32) for each in (shape, taps))
    if special:
        x[0, 0, 3, 0], x[-1, -1, -1, -1], x[1, 2, 0, 0] = np.nan, np.inf, 1e20
    amount = tuple(n // 2 for n in taps[1:-1])
    padded = cx.pad(x, {1: amount[0], 2: amount[1]}, mode(name, **params))
    expected = cx.conv2d(padded.astype(np.float64), filters.astype(np.float64), groups=groups, algorithm="plain")
    gy = RNG.standard_normal(expected.shape).astype(np.float32)
    wide = tuple(each.astype(np.float64) for each in (padded, filters, gy))
    wide_gx, slopes = cx.vjp(cx.conv2d, *wide[:2], groups=groups, algorithm="plain")[1](wide[2])

    def laid(array):
        return np.ascontiguousarray(np.moveaxis(array, -1, 1)) if layout == "channels_first" else array

    def back(array):
        return np.moveaxis(array, 1, -1) if layout == "channels_first" else array

    options = {"padding": amount, "padding_mode": mode(name, **params), "groups": groups, "layout": layout}
    given = laid(x), laid(filters)
    first = cx.conv2d(*given, **options, algorithm=algorithm)
    again = cx.conv2d(*given, **options, algorithm=algorithm)
    prepared = cx.prepare(given[1], layout=layout)
    ready = [cx.conv2d(given[0], prepared, **options, algorithm=algorithm) for _ in range(2)]
    y, pullback = cx.vjp(cx.conv2d, *given, **options, algorithm=algorithm)
    # of what a huge element meets there is little to keep where its tap is small
    seen = np.where(np.abs(expected) > 1e9, 1e-6 * 1e20, 0)
    for each in (first, again, *ready, y):
        got, finite = back(each), np.isfinite(expected)
        np.testing.assert_array_equal(got[~finite], expected[~finite])
        allowed = seen[finite] + 2e-4 + 1e-4 * np.abs(expected[finite])
        assert (np.abs(got[finite] - expected[finite]) <= allowed).all()
    if not special:
        gx, gf = pullback(laid(gy))
        np.testing.assert_allclose(back(gf), slopes, rtol=1e-3, atol=2e-3)
        folded = cx.vjp(cx.pad, x, {1: amount[0], 2: amount[1]}, mode(name, **params))[1]
        np.testing.assert_allclose(back(gx), folded(wide_gx.astype(np.float32))[0], rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("kind", ["max", "lp", "stochastic"])
def test_samples_in_one_place_have_one_border(kind):
    """A broadcast batch, whose samples lie zero bytes apart."""
    x = np.broadcast_to(RNG.standard_normal((1, 6, 8, 3)), (4, 6, 8, 3))
    filters = RNG.standard_normal((5, 3, 3, 3))
    options = {"padding": 1, "padding_mode": "globe"}
    np.testing.assert_array_equal(cx.conv2d(x, filters, **options), cx.conv2d(x.copy(), filters, **options))
    pooled = (cx.pool2d(each, 3, kind, stride=1, **options) for each in (x, x.copy()))
    np.testing.assert_array_equal(*pooled)
    one, two = (cx.vjp(cx.conv2d, each, filters, **options) for each in (x, x.copy()))
    for ours, theirs in zip(one[1](one[0]), two[1](two[0]), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_nothing_may_be_surrounded_by_constants():
    def island(i, n, value=3.0):
        inside = np.True_
        for at, size in zip(i, n, strict=True):
            inside = inside & (at >= 0) & (at < size)
        return tuple(np.where(inside, at, OUTSIDE) for at in i)

    with cx.paddings.temporarily("test:island", island, joint=True):
        options = {"padding": 2, "padding_mode": "test:island"}
        y = cx.conv1d(np.zeros((3, 0, 2)), np.ones((3, 3, 2)), **options)
        np.testing.assert_array_equal(y, np.full((3, 2, 3), 18.0))
        y = cx.conv2d(np.zeros((3, 0, 8, 2), np.float32), np.ones((3, 3, 3, 2), np.float32), **options)
        np.testing.assert_array_equal(y, np.full((3, 2, 10, 3), 54.0))
        y = cx.pool1d(np.zeros((3, 0, 2)), 3, "max", stride=1, **options)
        np.testing.assert_array_equal(y, np.full((3, 2, 2), 3.0))


@pytest.mark.parametrize("layout", ["channels_last", "channels_first"])
def test_threads_share_a_pullback(layout):
    """Each copies x as a kernel takes it, and looks for its samples there."""
    x, filters = RNG.random((8, 3, 64, 96)).astype(np.float32), RNG.random((4, 3, 3, 3)).astype(np.float32)
    if layout == "channels_last":
        x, filters = (np.ascontiguousarray(np.moveaxis(each, 1, -1)) for each in (x, filters))
    with cx.threads(1):
        y, pullback = cx.vjp(cx.conv2d, x, filters, padding=1, padding_mode="globe", layout=layout)
        expected = pullback(y)[1]
        with ThreadPoolExecutor(4) as pool:
            for found in pool.map(lambda _: pullback(y)[1], range(60)):
                np.testing.assert_array_equal(found, expected)


def test_a_border_that_does_not_fit_is_refused():
    elements, starts = np.zeros((1, 4, 1), np.float32), np.zeros(3, np.intp)
    with pytest.raises(ValueError, match="rows do not fit"):
        _core.kernels.Border(elements, starts, (0, 1, 1), (1, 4, 4), 2)
    with pytest.raises(ValueError, match="coordinates do not fit"):
        _core.kernels.fill_border(np.zeros((1, 1, 2, 2, 1)), (starts, starts[:2]), starts, elements)
    with pytest.raises(ValueError, match="coordinates do not fit"):
        _core.kernels.add_border(np.zeros((2, 2, 1)), (starts, starts), np.zeros((4, 4, 1)), (starts, starts[:1]), None)


def test_a_rule_is_asked_once_for_calls_of_one_form():
    asked = []

    def torus(i, n):
        asked.append(i)
        return wrapped(i, n)

    x, filters = np.ones((4, 5, 1)), np.ones((1, 3, 3, 1))
    with cx.paddings.temporarily("test:asked", torus, joint=True, ranks=(2,)):
        cx.conv2d(x, filters, padding=1, padding_mode="test:asked")
        first = len(asked)
        for _ in range(3):
            cx.conv2d(x * 2, filters, padding=1, padding_mode="test:asked")
        assert len(asked) == first
        assert sum(np.broadcast(*i).size for i in asked) <= 6 * 7  # and of the border, with the elements beside it
        cx.output_shape(cx.conv2d, (40, 50, 1), (1, 3, 3, 1), padding=1, padding_mode="test:asked")
        cx.explain(cx.conv2d, (40, 50, 1), (1, 3, 3, 1), padding=1, padding_mode="test:asked")
        cx.conv2d(np.ones((40, 50, 1)), filters, padding="valid", padding_mode="test:asked")
        assert len(asked) == first


def test_explain_counts_the_border():
    shapes = (56, 56, 64), (64, 3, 3, 64)
    plain = cx.explain(cx.conv2d, *shapes, padding="same")
    globe = cx.explain(cx.conv2d, *shapes, padding="same", padding_mode="globe")
    assert globe.output_shape == plain.output_shape == (56, 56, 64)
    assert globe.algorithm == plain.algorithm
    assert 0 <= globe.scratch - plain.scratch - 4 * (58 * 58 - 56 * 56) * 64 < 2**15  # and rows for mixes
    transposed = cx.explain(cx.conv_transpose2d, *shapes, padding="same", padding_mode="globe")
    assert transposed.output_shape == (56, 56, 64)
