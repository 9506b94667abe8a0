"""Joint padding modes: index maps of all spatial axes at once, in every operation, and what is refused."""

import pickle
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
from convolutions import within_reference
from hypothesis import given, settings
from hypothesis import strategies as st

import pyconvx as cx
from pyconvx import _core
from pyconvx.functional import joint
from pyconvx.listing import entries
from pyconvx.padding import OUTSIDE, joint_map
from pyconvx.testing import reference
from pyconvx.testing.bounds import as_reduction, reference_mode
from pyconvx.testing.strategies import conv_cases, joint_pad_cases, pool_cases

CONV = {1: cx.conv1d, 2: cx.conv2d, 3: cx.conv3d}
TRANSPOSE = {1: cx.conv_transpose1d, 2: cx.conv_transpose2d, 3: cx.conv_transpose3d}
POOL = {1: cx.pool1d, 2: cx.pool2d, 3: cx.pool3d}
RNG = np.random.default_rng(0)


def wrapped(i, n):
    """What wrap does, of all axes at once."""
    return tuple(at % size for at, size in zip(i, n, strict=True))


def winds(i, n):
    """A globe on which what is beyond a pole counts the other way."""
    rows, columns = cx.paddings["globe"].function(i, n)
    return (rows, columns), np.where(i[0] // n[0] % 2 == 0, 1, -1)


def walled(i, n, value=0.0):
    """A cylinder of constants beyond the first and the last row."""
    return np.where((i[0] >= 0) & (i[0] < n[0]), i[0], OUTSIDE), i[1] % n[1]


@pytest.fixture(scope="module", autouse=True)
def _registered():
    with (
        cx.paddings.temporarily("test:wrapped", wrapped, joint=True),
        cx.paddings.temporarily("test:winds", winds, joint=True, ranks=(2,)),
        cx.paddings.temporarily("test:walled", walled, joint=True, ranks=(2,)),
    ):
        yield


def mode(name, **params):
    """Bound when a test runs, and not before."""
    return cx.padding(name, **params)


FORMS = [("globe", {}), ("globe", {"poles": True}), ("test:winds", {}), ("test:walled", {"value": 1.5})]
every_mode = pytest.mark.parametrize(("name", "params"), FORMS, ids=["globe", "poles", "winds", "walled"])


def even(case):
    """The case with an even number of columns, which a globe takes."""
    first = case.options["layout"] == "channels_first"
    axis = len(case.x.shape) - (1 if first else 2)
    shape = list(case.x.shape)
    shape[axis] += shape[axis] % 2
    return replace(case, x=replace(case.x, shape=tuple(shape)))


def with_mode(case, name, params):
    return even(replace(case, options={**case.options, "padding_mode": mode(name, **params)}))


# The rule of a globe.


def test_picture_of_a_globe():
    x = [[1, 2, 3, 4], [5, 6, 7, 8]]
    assert cx.pad(x, 1, "globe").tolist() == [
        [2, 3, 4, 1, 2, 3],
        [4, 1, 2, 3, 4, 1],
        [8, 5, 6, 7, 8, 5],
        [6, 7, 8, 5, 6, 7],
    ]
    assert cx.pad(x, 1, "globe", poles=True).tolist() == [
        [6, 7, 8, 5, 6, 7],
        [4, 1, 2, 3, 4, 1],
        [8, 5, 6, 7, 8, 5],
        [2, 3, 4, 1, 2, 3],
    ]


def test_the_list_of_plugins_shows_a_small_map():
    (globe,) = (entry for entry in entries("paddings") if entry.name == "globe")
    assert globe.picture == "2 3 4 1 2 3 / 4 | 1 2 3 4 | 1 / 8 | 5 6 7 8 | 5 / 6 7 8 5 6 7"
    with cx.paddings.temporarily("test:volume", wrapped, joint=True, ranks=(3,)):
        (volume,) = (entry for entry in entries("paddings") if entry.name == "test:volume")
    assert volume.picture == "8 5 6 7 8 5 / 4 | 1 2 3 4 | 1 / 8 | 5 6 7 8 | 5 / 4 1 2 3 4 1"
    (line,) = (entry for entry in entries("paddings") if entry.name == "test:wrapped")
    assert line.picture == "4 | 1 2 3 4 | 1"


@pytest.mark.parametrize("poles", [False, True])
@given(rows=st.integers(1, 5), columns=st.integers(1, 4), amount=st.integers(0, 12))
def test_a_function_on_the_sphere_is_continued(poles, rows, columns, amount):
    """The globe is padded as latitudes and longitudes go on: any function of points in space is continued."""
    columns *= 2
    if poles and rows == 1:
        return

    def space(i, j):
        latitude = np.pi * (i / (rows - 1) if poles else (i + 0.5) / rows) - np.pi / 2
        longitude = 2 * np.pi * j / columns
        x, y, z = np.cos(latitude) * np.cos(longitude), np.cos(latitude) * np.sin(longitude), np.sin(latitude)
        return x + 2 * y + 3 * z + x * y - y * z

    world = space(*np.ogrid[:rows, :columns])
    around = space(*np.ogrid[-amount : rows + amount, -amount : columns + amount])
    np.testing.assert_allclose(cx.pad(world, amount, "globe", poles=poles), around, atol=1e-12)


def test_a_single_row_of_poles_is_repeated():
    x = np.arange(4.0)[None]
    np.testing.assert_array_equal(cx.pad(x, {0: 3, 1: 0}, "globe", poles=True), np.repeat(x, 7, 0))
    assert cx.pad(np.arange(5.0)[None], 1, "globe", poles=True).shape == (3, 7)


def test_an_odd_number_of_longitudes_has_no_half_turn():
    x = np.arange(15.0).reshape(3, 5)
    np.testing.assert_array_equal(cx.pad(x, {0: 0, 1: 4}, "globe"), np.pad(x, ((0, 0), (4, 4)), "wrap"))
    with pytest.raises(ValueError, match="takes an even number of longitudes, got 5") as info:
        cx.conv2d(x[..., None], np.ones((1, 3, 3, 1)), padding="same", padding_mode="globe")
    assert "padding mode 'globe'" in info.value.__notes__[0]


def test_empty_axes_cannot_be_extended():
    for shape in ((0, 4), (3, 0)):
        with pytest.raises(ValueError, match="cannot extend an empty axis with padding mode 'globe'"):
            cx.pad(np.zeros(shape), 1, "globe")
    assert cx.pad(np.zeros((0, 4)), ((0, 0), (1, 1)), "globe").shape == (0, 6)
    nothing = np.zeros((0, 4, 4, 1))
    assert cx.conv2d(nothing, np.ones((2, 3, 3, 1)), padding=1, padding_mode="globe").shape == (0, 4, 4, 2)
    with pytest.raises(ValueError, match="empty axis"):
        cx.conv2d(np.zeros((0, 4, 1)), np.ones((1, 3, 3, 1)), padding=2, padding_mode="globe")


# Operations.


@every_mode
@settings(max_examples=30)
@given(data=st.data())
def test_pad_equals_the_reference(name, params, data):
    case = data.draw(joint_pad_cases(mode(name, **params)))
    x = case.x.plain
    by = reference_mode(case.mode)
    if isinstance(case.mode, str):  # bool, which has no weights
        return
    try:
        want = reference.pad(x, case.pad_width, by)
    except ValueError:
        with pytest.raises(ValueError, match="longitudes"):
            cx.pad(x, case.pad_width, case.mode)
        return
    if x.dtype.kind in "biu" and params.get("value") == 1.5:
        with pytest.raises(ValueError, match="does not fit"):
            cx.pad(x, case.pad_width, case.mode)
        return
    y, pullback = cx.vjp(cx.pad, x, case.pad_width, case.mode)
    np.testing.assert_array_equal(y, want, strict=True)
    gy = np.random.default_rng(1).integers(-4, 5, y.shape).astype(np.float32)
    np.testing.assert_array_equal(pullback(gy)[0], reference.pad_vjp(x, case.pad_width, by, gy=gy))


@every_mode
@settings(max_examples=30)
@given(case=conv_cases(ranks=(2,), modes=False))
def test_convolution_equals_the_reference(name, params, case):
    case = with_mode(case, name, params)
    if 0 in case.x.shape[1:]:
        return
    within_reference(case, "auto")


@every_mode
@settings(max_examples=40)
@given(case=conv_cases(dtypes=("float64",), values=("whole",), ranks=(2,), modes=False, empty=False))
def test_convolution_and_its_transpose_are_adjoint(name, params, case):
    """Gradients, the transposed convolution and its gradients, exactly, as whole numbers are not rounded."""
    case = with_mode(case, name, params)
    x, filters, _ = case.plain
    f, transpose, options = CONV[2], TRANSPOSE[2], dict(case.options)
    y, pullback = cx.vjp(f, x, filters, **options)
    y = y - f(np.zeros_like(x), filters, **options)  # without the constant
    g = np.random.default_rng(2).integers(-3, 4, y.shape).astype(np.float64)
    gx, gfilters = pullback(g)
    assert (y * g).sum() == (x * gx).sum()
    by = {**options, "padding_mode": reference_mode(options["padding_mode"])}
    for got, want in zip((gx, gfilters), reference.conv_vjp(x, filters, gy=g, **by), strict=True):
        np.testing.assert_array_equal(got, want)
    spatial = slice(-3, -1) if options["layout"] == "channels_last" else slice(-2, None)
    if options["stride"] == 1:
        kernel = filters.shape[1:3] if options["layout"] == "channels_last" else filters.shape[2:]
        pairs = reference.amounts(options["padding"], x.shape[spatial], kernel, (1, 1), _two(options["dilation"]))
        bias = np.arange(x.shape[-1 if options["layout"] == "channels_last" else -3]) + 1.0
        options["padding"] = tuple(pairs)
        back, pullback = cx.vjp(transpose, g, filters, bias, activation="relu", **options)
        first = options["layout"] == "channels_first"
        np.testing.assert_array_equal(back, np.maximum(gx + (bias[:, None, None] if first else bias), 0))
        np.testing.assert_array_equal(back, transpose(g, filters, bias, activation="relu", **options))
        by["padding"] = tuple(pairs)
        gback = np.random.default_rng(3).integers(-3, 4, back.shape).astype(np.float64)
        wants = reference.conv_transpose_vjp(g, filters, bias, gy=gback, activation="relu", **by)
        for got, want in zip(pullback(gback), wants, strict=True):
            np.testing.assert_array_equal(got, want)


def _two(value):
    return value if isinstance(value, tuple) else (value, value)


@every_mode
@pytest.mark.parametrize(
    "kind", ["max", "min", "avg", "sum", "lp", "median", "logsumexp", "std", "mixed", "stochastic"]
)
@settings(max_examples=8)
@given(data=st.data())
def test_pooling_equals_the_reference(name, params, kind, data):
    case = with_mode(data.draw(pool_cases(kinds=(kind,), dtypes=("float64",), ranks=(2,), empty=False)), name, params)
    x = case.x.plain
    options = {**case.options, **case.params}
    y, pullback = cx.vjp(POOL[2], x, case.size, kind, **options)
    kind, more = as_reduction(cx.pooling(kind, **case.params))
    by = {**case.options, **more, "padding_mode": reference_mode(options["padding_mode"]), "rank": 2}
    np.testing.assert_allclose(y, reference.pool(x, case.size, kind, **by), rtol=1e-9, atol=1e-9)
    gy = np.random.default_rng(4).standard_normal(y.shape)
    want = reference.pool_vjp(x, case.size, kind, gy=gy, **by)
    usual = np.isfinite(want)  # the slope of a root at 0
    np.testing.assert_allclose(pullback(gy)[0][usual], want[usual], rtol=1e-7, atol=1e-7)


@settings(max_examples=40)
@given(case=pool_cases(kinds=("max", "min"), dtypes=("float32", "int16"), ranks=(2,), empty=False))
def test_indices_are_those_in_x(case):
    case = with_mode(case, "globe", {})
    x = case.x.plain
    options = {**case.options, "return_indices": True}
    got = cx.pool2d(x, case.size, case.kind, **options)
    by = {**options, "padding_mode": "globe", "rank": 2}
    for one, other in zip(got, reference.pool(x, case.size, case.kind, **by), strict=True):
        np.testing.assert_array_equal(one, other)


# A rule of each axis by itself, written jointly.


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", "uint8", "int64", "bool"])
@pytest.mark.parametrize("layout", ["channels_last", "channels_first"])
@pytest.mark.parametrize("rank", [1, 2, 3])
def test_wrap_written_jointly_is_wrap(rank, layout, dtype):
    x = (RNG.standard_normal((2, *(5, 4, 6)[:rank], 3)) * 20).astype(dtype)
    x = np.moveaxis(x, -1, 1) if layout == "channels_first" else x
    axes = range(1, rank + 1) if layout == "channels_last" else range(2, rank + 2)
    width = {axis: (3, 9) for axis in axes}
    y, wanted = cx.pad(x, width, "test:wrapped"), cx.pad(x, width, "wrap")
    np.testing.assert_array_equal(y, wanted, strict=True)
    assert y.flags.c_contiguous
    options = dict(padding=2, layout=layout, stride=2, ceil_mode=True)
    both = (cx.vjp(POOL[rank], x, 3, "max", padding_mode=m, **options) for m in ("test:wrapped", "wrap"))
    (y, pullback), (wanted, other) = both
    np.testing.assert_array_equal(y, wanted, strict=True)
    gy = RNG.integers(-3, 4, y.shape).astype(np.float32)
    np.testing.assert_array_equal(pullback(gy)[0], other(gy)[0], strict=True)
    filters = RNG.integers(-3, 4, (4, *(3,) * rank, 3)).astype("float32" if dtype != "float64" else dtype)
    filters = np.moveaxis(filters, -1, 1) if layout == "channels_first" else filters
    x = RNG.integers(-9 if dtype not in ("uint8", "bool") else 0, 9, x.shape).astype(dtype)  # sums that are not rounded
    options = dict(padding="same", layout=layout, dilation=2, activation="relu")
    both = (
        cx.vjp(CONV[rank], x, filters, np.ones(4, "f"), padding_mode=m, **options) for m in ("test:wrapped", "wrap")
    )
    (y, pullback), (wanted, other) = both
    np.testing.assert_array_equal(y, wanted, strict=True)
    gy = RNG.integers(-3, 4, y.shape).astype(np.float32)
    for got, want in zip(pullback(gy), other(gy), strict=True):
        np.testing.assert_array_equal(got, want, strict=True)


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
    "dots": ((3, 9, 14, 33), (3, 3, 3, 33), 1),
    "columns": ((3, 9, 20, 5), (7, 3, 3, 5), 1),
    "bands": ((3, 9, 14, 5), (7, 3, 3, 5), 1),
    "direct": ((3, 9, 14, 5), (7, 3, 3, 5), 1),
    "plain": ((2, 5, 6, 2), (3, 3, 3, 2), 1),
}


@pytest.mark.parametrize("layout", ["channels_last", "channels_first"])
@pytest.mark.parametrize("special", [False, True], ids=["finite", "special"])
@every_mode
@pytest.mark.parametrize("algorithm", SHAPES)
def test_every_algorithm_reads_the_border(algorithm, name, params, special, layout):
    """Also where a kernel has to do something again, because of a NaN or an infinity."""
    shape, taps, groups = SHAPES[algorithm]
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
    close = {"rtol": 1e-4, "atol": 2e-4}
    for each in (first, again, *ready, y):
        np.testing.assert_allclose(back(each), expected, **close)
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


# What is refused.


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda x, f: cx.conv2d(x, f, padding_mode=("globe", "wrap")), "padding_mode 'globe' is for all axes at once"),
        (lambda x, f: cx.pool2d(x, 2, padding_mode=("wrap", "globe")), "padding_mode 'globe' is for all axes at once"),
        (lambda x, f: cx.conv1d(x[0], f[:, 0], padding_mode="globe"), "'globe' is for 2 spatial axes at once, got 1"),
        (lambda x, f: cx.pool3d(x[None], 1, padding_mode="globe"), "'globe' is for 2 spatial axes at once, got 3"),
        (lambda x, f: cx.conv_transpose1d(x[0], f[:, 0], padding_mode="globe"), "is for 2 spatial axes at once, got 1"),
        (
            lambda x, f: cx.pad(x, 1, "globe"),
            r"is for 2 axes at once, and x has 3: give pad_width as a mapping.*\{0: 1",
        ),
        (lambda x, f: cx.pad(x, {0: 1}, "globe"), "is for 2 axes at once, and pad_width names 1"),
        (lambda x, f: cx.pad(x, {0: 1, 1: 1, 2: 1}, "globe"), "pad_width names 3"),
        (lambda x, f: cx.pad(x, 1, ("globe", "wrap", "wrap")), "mode 'globe' is for all axes at once"),
        (lambda x, f: cx.pad(x, {0: -9, 1: 1}, "globe"), "crops more than axis 0"),
        (
            lambda x, f: cx.pool2d(x, 2, padding=1, padding_mode="test:walled", return_indices=True),
            "return_indices needs a padding_mode whose elements come from x, got 'test:walled'",
        ),
        (
            lambda x, f: cx.pool2d(x, 2, padding=1, padding_mode="test:winds", return_indices=True),
            "return_indices needs a padding_mode",
        ),
        (
            lambda x, f: cx.conv2d(x.astype("f"), f.astype("f"), padding_mode=mode("test:walled", value=1e300)),
            "value of padding mode 'test:walled' 1e\\+300 does not fit",
        ),
    ],
)
def test_what_is_refused_says_why(call, message):
    with pytest.raises(ValueError, match=message):
        call(np.ones((4, 6, 1)), np.ones((1, 3, 3, 1)))


def test_bool_has_no_weights():
    x = np.ones((4, 6), bool)
    for call in (
        lambda: cx.pad(x, 1, "test:winds"),
        lambda: cx.pool2d(x[..., None], 3, padding=1, padding_mode="test:winds"),
    ):
        with pytest.raises(TypeError, match="'test:winds' takes weighted sums of elements, and bool has no arithmetic"):
            call()
    assert cx.pad(x, 1, "globe").dtype == bool
    assert cx.conv2d(x[..., None], np.ones((1, 3, 3, 1), "f"), padding=1, padding_mode="test:winds").dtype == np.float32


I = (np.arange(-1, 3)[:, None], np.arange(-1, 4)[None])  # noqa: E741 - the name that a rule gives its coordinates
ROW, COLUMN = I[0] % 2, I[1] % 3


@pytest.mark.parametrize(
    ("result", "message"),
    [
        (None, "index must be a tuple of 2 arrays of integers, one per axis, got None"),
        ((ROW,), "index must be a tuple of 2 arrays"),
        ([ROW, COLUMN], "index must be a tuple of 2 arrays"),
        ((ROW, COLUMN.tolist()), "index of axis 1 must be an array of integers, got"),
        ((ROW * 1.0, COLUMN), "index of axis 0 must be an array of integers, got dtype float64"),
        ((ROW[:-1], COLUMN), r"index of axis 0 must broadcast to shape \(4, 5\), got \(3, 1\)"),
        ((ROW, COLUMN[None]), r"index of axis 1 must broadcast to shape \(4, 5\), got \(1, 1, 5\)"),
        (
            (I[0], COLUMN),
            r"0\.\.\.1 x 0\.\.\.2 or OUTSIDE; coordinate \(-1, -1\) of axes of lengths \(2, 3\) has index \(-1",
        ),
        ((ROW, I[1].clip(0)), r"coordinate \(-1, 3\) .* \(1, 3\)"),
        ((np.full((1, 1), 2**64 - 1, np.uint64), COLUMN), "every index must be in"),
        ((1 - ROW, COLUMN), r"an element must map to itself; coordinate \(0, 0\) .* has index \(1, 0\)"),
        ((np.where(I[0] == 1, OUTSIDE, ROW), COLUMN), r"must map to itself; coordinate \(1, 0\)"),
        (((ROW, COLUMN), None), "weight must be an array of real numbers, got None"),
        (((ROW, COLUMN), np.ones((4, 5), complex)), "weight must be an array of real numbers, got dtype complex128"),
        (((ROW, COLUMN), np.ones((5, 4))), r"weight must broadcast to shape \(4, 5\), got \(5, 4\)"),
        (((ROW, COLUMN), np.where(I[0] == 2, np.nan, 1)), r"weight must be finite; coordinate \(2, -1\) .* weight nan"),
        (
            ((ROW, COLUMN), np.where(I[1] == 1, 2, 1)),
            r"map to itself; coordinate \(0, 1\) .* index \(0, 1\) with weight 2",
        ),
        (((np.where(I[0] < 0, OUTSIDE, ROW), COLUMN), np.where(I[0] < 0, -1, 1)), "a constant must have the weight 1"),
    ],
)
def test_what_is_no_joint_map_is_refused_by_the_name_of_the_mode(result, message):
    with (
        cx.paddings.temporarily("broken", lambda i, n: result, joint=True),
        pytest.raises(ValueError, match=message) as info,
    ):
        joint_map(cx.padding("broken"), I, (2, 3))
    assert f"padding mode 'broken' (of {__name__})" in str(info.value)


@pytest.mark.parametrize("far", [-3, 10**9])
def test_a_mask_hides_no_index(far):
    def island(i, n):
        sea = (i[0] < 0) | (i[0] >= n[0]) | (i[1] < 0) | (i[1] >= n[1])
        return tuple(np.ma.masked_array(np.where(sea, far, at), sea) for at in np.broadcast_arrays(*i))

    with cx.paddings.temporarily("island", island, joint=True, ranks=(2,)):
        for call in (
            lambda: cx.conv2d(np.ones((4, 4, 1)), np.ones((1, 3, 3, 1)), padding=1, padding_mode="island"),
            lambda: cx.pad(np.ones((4, 4)), 1, "island"),
        ):
            with pytest.raises(ValueError, match=r"of padding mode 'island' .* got a masked array: fill it first"):
                call()


def test_a_class_of_its_own_hides_no_index():
    with (
        cx.paddings.temporarily("unequal", lambda i, n: (i[0].view(Agreeing), i[1] % n[1]), joint=True, ranks=(2,)),
        pytest.raises(ValueError, match="every index must be in"),
    ):
        cx.pad(np.ones((4, 4)), 1, "unequal")


class Agreeing(np.ndarray):
    """An array all of whose comparisons are true."""

    def __ge__(self, other):
        return np.ones(self.shape, bool)

    __lt__ = __eq__ = __ge__


@pytest.mark.parametrize("dtype", [np.int8, np.int32, np.uint16, np.intp])
def test_any_integer_dtype_is_a_joint_map(dtype):
    rule = lambda i, n: ((ROW.astype(dtype), COLUMN.astype(dtype)), np.ones((1, 1), np.int8))  # noqa: E731
    with cx.paddings.temporarily("narrow", rule, joint=True):
        table = joint_map(cx.padding("narrow"), I, (2, 3))
    assert all(index.dtype == np.intp for index in table.index)
    assert table.weight is None
    assert table.outside is None


def test_a_joint_map_tells_constants_and_weights():
    rule = lambda i, n, value=3: (  # noqa: E731
        (np.where(i[0] < 0, OUTSIDE, ROW), COLUMN), np.where((i[0] < 0) & (i[1] < 0), 0, np.where(i[0] > 1, -1, 1))
    )  # fmt: skip
    with cx.paddings.temporarily("some", rule, joint=True):
        table = joint_map(cx.padding("some"), I, (2, 3))
    assert table.value == 3
    assert table.outside.tolist() == [[False, True, True, True, True], *[[False] * 5] * 3]
    assert table.weight.tolist() == [[0, 1, 1, 1, 1], [1] * 5, [1] * 5, [-1] * 5]
    assert all((index >= 0).all() for index in table.index)


def test_a_rule_cannot_write_to_its_coordinates():
    def careless(i, n):
        i[1][...] %= n[1]
        return i

    with (
        cx.paddings.temporarily("careless", careless, joint=True, ranks=(2,)),
        pytest.raises(ValueError, match="read-only") as info,
    ):
        cx.pad(np.ones((2, 2)), 1, "careless")
    assert info.value.__notes__ == [f"in the function of the padding mode 'careless' (registered by {__name__})"]


def test_an_element_that_does_not_map_to_itself_is_found_at_the_border():
    turned = lambda i, n: (n[0] - 1 - i[0] % n[0], i[1] % n[1])  # noqa: E731
    with (
        cx.paddings.temporarily("turned", turned, joint=True, ranks=(2,)),
        pytest.raises(ValueError, match="an element must map to itself"),
    ):
        cx.pool2d(np.ones((40, 40, 1)), 3, padding=1, padding_mode="turned")


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"joint": 1}, "joint of padding mode 'bad' must be True or False"),
        ({"joint": True, "ranks": ()}, "ranks of padding mode 'bad' must be a tuple of positive ints"),
        ({"joint": True, "ranks": 2}, "ranks of padding mode 'bad' must be a tuple of positive ints"),
        ({"joint": True, "ranks": (2.0,)}, "ranks of padding mode 'bad' must be a tuple of positive ints"),
        ({"ranks": (2,)}, "padding mode 'bad' takes ranks= only with joint=True"),
    ],
)
def test_fields_that_say_nothing_are_refused(fields, message):
    with pytest.raises(TypeError, match=message):
        cx.paddings.register("bad", wrapped, **fields)


@pytest.mark.parametrize("ranks", [(4,), (1, 2, 3, 4)])
def test_ranks_that_no_operation_has_are_refused(ranks):
    with pytest.raises(ValueError, match=r"ranks of padding mode 'bad' must be among \(1, 2, 3\), got"):
        cx.paddings.register("bad", wrapped, joint=True, ranks=ranks)


def test_a_joint_mode_can_be_pickled():
    bound = mode("globe", poles=True)
    assert pickle.loads(pickle.dumps(bound)) == bound
