"""Every candidate algorithm on every instruction set: forced by name, it agrees with the reference or says why not.

Configurations are drawn where candidates fit (3 x 3 taps, enough channels): general strategies seldom do.
"""

import numpy as np
import pytest
from convolutions import PROMISE, conv, square_cases

import pyconvx as cx
from pyconvx import _core
from pyconvx.functional.algorithms import CANDIDATES
from pyconvx.testing import reference
from pyconvx.testing.strategies import mode_names

NAMES = [candidate.name for candidate in CANDIDATES]
ALONE = ["depthwise", "dots", "fft"]  # those for groups of few filters
DENSE = [name for name in NAMES if name not in ALONE]  # those that many filters to a group suit


def close(got, want):
    assert got.shape == want.shape
    assert np.abs(got - want).max(initial=0) <= PROMISE * np.abs(want).max(initial=0)


@pytest.mark.parametrize("isa", _core.supported())
@pytest.mark.parametrize("name", DENSE)
def test_a_candidate_agrees_with_the_reference(name, isa):
    computed = 0
    for rank, x, filters, bias, options in square_cases(20, 1):
        wide = {**options, "padding_mode": options["padding_mode"]}
        want = reference.conv(x.astype(np.float64), filters.astype(np.float64), bias.astype(np.float64), **wide)
        with _core.using(isa):
            try:
                got = conv(rank)(x, filters, bias, algorithm=name, **options)
            except ValueError:  # it does not fit here; the count below says that it fits somewhere
                continue
        computed += 1
        close(got, want)
    assert computed >= 4


@pytest.mark.parametrize("isa", _core.supported())
def test_gradients_of_the_chosen_algorithms_agree_with_the_reference(isa):
    for rank, x, filters, bias, options in square_cases(14, 2):
        with _core.using(isa):
            y, pullback = cx.vjp(conv(rank), x, filters, bias, **options)
            gy = np.random.default_rng(3).standard_normal(y.shape).astype(np.float32)
            gx, gfilters, gbias = pullback(gy)
        wide = [array.astype(np.float64) for array in (x, filters, bias)]
        want_y, exact = cx.vjp(conv(rank), *wide, algorithm="plain", **options)
        want = exact(gy.astype(np.float64))
        for got, expected in zip((y, gx, gfilters, gbias), (want_y, *want), strict=True):
            close(got, expected)


@pytest.mark.parametrize("name", DENSE)
def test_prepared_filters_and_threads_do_not_change_a_bit(name):
    for rank, x, filters, bias, options in square_cases(12, 4):
        try:
            one = conv(rank)(x, filters, bias, algorithm=name, **options)
        except ValueError:
            continue
        packed = cx.prepare(filters)
        for threads in (1, 2, 5):
            with cx.threads(threads):
                assert np.array_equal(conv(rank)(x, packed, bias, algorithm=name, **options), one)


def reach(shape, at, filters_shape, options):
    """Which elements of the result see one of x."""
    hit = np.zeros(shape)
    hit[at] = 1
    return cx.conv2d(hit, np.ones(filters_shape), algorithm="plain", **options) != 0


FORMS = [("winograd", kernel, stride) for kernel, stride in ((3, 2), (4, 1), (5, 1), (6, 2), (7, 2), (13, 4))]


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize(("name", "kernel", "stride"), [*((name, 3, 1) for name in NAMES), *FORMS])
def test_what_is_not_finite_stays_in_its_windows(name, kernel, stride, value):
    rng = np.random.default_rng(5)
    x = rng.standard_normal((2, 17, 19, 20)).astype(np.float32)
    groups = 20 if name in ALONE else 1
    filters = rng.standard_normal((20, kernel, kernel, 20 // groups)).astype(np.float32)
    options = dict(padding="same", stride=stride, groups=groups)
    clean = cx.conv2d(x, filters, algorithm=name, **options)
    x[1, 8, 7, 3] = value
    y = cx.conv2d(x, filters, algorithm=name, **options)
    reached = reach(x.shape, (1, 8, 7, 3), filters.shape, options)
    assert (~np.isfinite(y) == reached).all()
    assert np.abs(y - clean)[~reached].max() <= PROMISE * np.abs(clean).max()


@pytest.mark.parametrize("isa", _core.supported())
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(
    ("x_shape", "filters_shape"),
    [
        ((5, 5, 512), (3, 3, 3, 512)),
        ((9, 9, 2048), (16, 3, 3, 2048)),
        ((6, 6, 6, 300), (16, 3, 3, 3, 300)),
        ((10_050, 1), (1, 10_000, 1)),
        ((200_100, 1), (1, 200_000, 1)),
        ((290, 320, 1), (1, 280, 280, 1)),
        ((290, 30, 2), (40, 280, 20, 2)),
        ((1, 1, 200_000), (2, 1, 1, 200_000)),
    ],
)
def test_rounding_does_not_grow_with_the_number_of_products(x_shape, filters_shape, dtype, isa):
    promise = PROMISE if dtype == np.float32 else 1e-14
    rank = len(x_shape) - 1
    for value in (0.1, 1 / 3, 0.7):  # equal terms round equally: normal data hides what this shows
        x, filters = np.full(x_shape, value, dtype), np.full(filters_shape, value, dtype)
        exact = np.longdouble(dtype(value)) ** 2 * np.prod(filters_shape[1:])
        with _core.using(isa):
            y = conv(rank)(x, filters)
            assert np.abs(y - exact).max() <= promise * exact
            if rank > 1 and filters_shape[1] == 3:  # a tap at one corner: where Winograd rounds worst
                exact = np.longdouble(dtype(value)) ** 2 * filters_shape[-1]
                for kernel, stride in ((3, 1), (3, 2), (4, 1), (5, 1)):
                    corner = np.zeros((len(filters), *filters_shape[1:-3], kernel, kernel, filters_shape[-1]), dtype)
                    corner[(slice(None), *(0,) * rank)] = value
                    y = conv(rank)(x, cx.prepare(corner), stride=stride)
                    assert np.abs(y - exact).max() <= promise * exact


@pytest.mark.parametrize("isa", _core.supported())
def test_a_depthwise_sum_of_many_taps_keeps_its_digits(isa):
    x, filters = np.full((10_050, 4), 0.1, np.float32), np.full((4, 10_000, 1), 0.1, np.float32)
    with _core.using(isa):
        y = cx.conv1d(x, filters, groups=4)
    exact = np.float64(np.float32(0.1)) ** 2 * 10_000
    assert np.abs(y - exact).max() <= PROMISE * exact


@pytest.mark.parametrize("isa", _core.supported())
@pytest.mark.parametrize(("name", "kernel", "stride"), [*((name, 3, 1) for name in DENSE), *FORMS])
def test_a_huge_element_does_not_blur_windows_that_do_not_see_it(name, kernel, stride, isa):
    rng = np.random.default_rng(7)
    filters = rng.standard_normal((32, kernel, kernel, 32)).astype(np.float32)
    options = dict(padding="same", stride=stride)
    for value in (1e4, 1e6, 1e12, 1e30):
        x = rng.standard_normal((2, 31, 29, 32)).astype(np.float32)
        x[1, 10, 12, 3] = value
        with _core.using(isa):
            y = cx.conv2d(x, filters, algorithm=name, **options)
        exact = cx.conv2d(x.astype(np.float64), filters.astype(np.float64), algorithm="direct", **options)
        unseen = ~reach(x.shape, (1, 10, 12, 3), filters.shape, options)
        assert np.abs(y - exact)[unseen].max() <= PROMISE * np.abs(exact[unseen]).max()


def test_values_that_only_the_transform_overflows_are_done_again():
    x, filters = np.full((8, 8, 16), 1e37, np.float32), np.full((16, 3, 3, 16), 1e-3, np.float32)
    y = cx.conv2d(x, filters, algorithm="winograd")
    assert np.isfinite(y).all()
    close(y, cx.conv2d(x, filters, algorithm="plain"))


def test_filters_that_are_not_finite_leave_winograd_out():
    x, filters = np.ones((32, 32, 16), np.float32), np.ones((16, 3, 3, 16), np.float32)
    assert cx.explain(cx.conv2d, x.shape, filters.shape).algorithm == "winograd"
    filters[0, 0, 0, 0] = np.inf
    with pytest.raises(ValueError, match="infinities"):
        cx.conv2d(x, filters, algorithm="winograd")
    assert np.isinf(cx.conv2d(x, filters)[..., 0]).all()


@pytest.mark.parametrize("name", NAMES)
def test_explain_tells_what_a_forced_algorithm_would_be(name):
    groups = 16 if name in ALONE else 1
    report = cx.explain(cx.conv2d, (16, 16, 16), (16, 3, 3, 16 // groups), groups=groups, algorithm=name)
    assert report.algorithm == name
    assert name in str(report)


def test_every_input_layout_and_stride_takes_the_same_path():
    rng = np.random.default_rng(6)
    x = rng.standard_normal((2, 12, 10, 32)).astype(np.float32)
    filters = rng.standard_normal((16, 3, 3, 32)).astype(np.float32)
    y = cx.conv2d(x, filters, padding=1)
    first = cx.conv2d(np.moveaxis(x, -1, 1), np.moveaxis(filters, -1, 1), padding=1, layout="channels_first")
    assert np.array_equal(np.moveaxis(first, 1, -1), y)
    flipped = cx.conv2d(x[:, ::-1], filters[:, ::-1], padding=1)[:, ::-1]
    close(flipped, y)
    strided = np.zeros((2, 24, 10, 32), np.float32)
    strided[:, ::2] = x
    assert np.array_equal(cx.conv2d(strided[:, ::2], filters, padding=1), y)


@pytest.mark.parametrize("isa", _core.supported())
@pytest.mark.parametrize("share", [0.3, 0.6, 0.9])
@pytest.mark.parametrize("shape", [(1, 48, 48, 16), (6, 14, 14, 16)])
def test_what_stands_for_missing_elements_does_not_blur_the_others(shape, share, isa):
    """Where most of a picture is masked, as the land in a chart of the sea, tiles of fill values are the usual ones."""
    rng = np.random.default_rng(0)
    x, filters = rng.standard_normal(shape).astype(np.float32), rng.standard_normal((16, 3, 3, 16)).astype(np.float32)
    first = round(share * shape[2])
    x[:, :, :first] = 1e20
    with _core.using(isa):
        y = cx.conv2d(x, filters, algorithm="winograd")
    expected = cx.conv2d(x, filters, algorithm="plain")
    np.testing.assert_allclose(y[:, :, first:], expected[:, :, first:], rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize("isa", _core.supported())
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("outputs", [1, 3, 4, 5, 7, 8, 9, 16, 17, 33, 40, 130])
def test_any_number_of_filters_and_rows_a_page_apart(outputs, dtype, isa):
    channels = 4096 // np.dtype(dtype).itemsize
    rng = np.random.default_rng(outputs)
    x = rng.standard_normal((2, 5, channels)).astype(dtype)
    filters = rng.standard_normal((outputs, 1, 2, channels)).astype(dtype)
    want = reference.conv(x.astype(np.float64), filters.astype(np.float64), padding="same")
    with _core.using(isa):
        got = cx.conv2d(x, filters, padding="same", algorithm="direct")
    assert np.abs(got - want).max() <= (PROMISE if dtype == np.float32 else 1e-14) * np.abs(want).max()


@pytest.mark.parametrize("isa", _core.supported())
@pytest.mark.parametrize(
    ("x_shape", "filters_shape", "options"),
    [
        ((1, 15, 15, 512), (512, 3, 3, 16), dict(stride=2, groups=32)),
        ((1, 14, 14, 1024), (256, 1, 1, 128), dict(groups=8)),
        ((1, 9, 1024), (256, 1, 512), dict(groups=2)),
        ((2, 7, 7, 256), (256, 3, 3, 64), dict(groups=4, stride=4, padding=3)),
    ],
)
def test_groups_of_rows_a_page_apart(x_shape, filters_shape, options, isa):
    rng = np.random.default_rng(0)
    x, filters = (rng.standard_normal(shape).astype(np.float32) for shape in (x_shape, filters_shape))
    function = conv(len(x_shape) - 2)
    with _core.using(isa):
        y, pullback = cx.vjp(function, x, filters, **options)
        gx, gfilters = pullback(y)
    wide = [array.astype(np.float64) for array in (x, filters)]
    want, exact = cx.vjp(function, *wide, algorithm="plain", **options)
    for got, expected in zip((y, gx, gfilters), (want, *exact(want)), strict=True):
        close(got, expected)


def test_an_input_that_is_broadcast_gives_the_bits_of_a_copy():
    rng = np.random.default_rng(1)
    x = np.broadcast_to(rng.standard_normal(8).astype(np.float32), (10, 10, 8))
    filters = rng.standard_normal((512, 3, 3, 4)).astype(np.float32)
    assert np.array_equal(cx.conv2d(x, filters, groups=2), cx.conv2d(x.copy(), filters, groups=2))


def depthwise_cases(count, seed):
    """Random depthwise configurations: rows of places of all lengths, kernels with code of their own and others."""
    rng = np.random.default_rng(seed)
    modes = mode_names()
    for _ in range(count):
        rank = int(rng.choice([1, 2, 2, 3]))
        channels = int(rng.choice([2, 3, 8, 15, 16, 17, 33, 40]))
        kernel = (*(int(n) for n in rng.integers(1, 3, rank - 1)), int(rng.choice([1, 2, 3, 5, 7, 9])))
        sizes = (*(int(n) for n in rng.integers(3, 6, rank - 1)), int(rng.integers(1, 47)))
        dtype = np.float32 if rng.random() < 0.7 else np.float64
        options = dict(
            padding=str(rng.choice(["same", "full", "same_lower"])), groups=channels,
            stride=int(rng.choice([1, 1, 2, 2, 3])), dilation=int(rng.choice([1, 1, 1, 2])),
            padding_mode=tuple(str(mode) for mode in rng.choice(modes, rank)),
        )  # fmt: skip
        x = rng.standard_normal((int(rng.integers(1, 3)), *sizes, channels)).astype(dtype)
        filters = rng.standard_normal((channels, *kernel, 1)).astype(dtype)
        yield rank, x, filters, rng.standard_normal(channels).astype(dtype), options


@pytest.mark.parametrize("isa", _core.supported())
def test_depthwise_agrees_with_the_reference(isa):
    for rank, x, filters, bias, options in depthwise_cases(60, 7):
        wide = [array.astype(np.float64) for array in (x, filters, bias)]
        want = reference.conv(*wide, **options)
        with _core.using(isa):
            assert np.abs(conv(rank)(x, filters, bias, algorithm="depthwise", **options) - want).max() <= (
                (PROMISE if x.dtype == np.float32 else 1e-14) * np.abs(want).max()
            )
            # gx runs the candidate through the adjoint's tables: reversed taps, gaps, mixes
            y, pullback = cx.vjp(conv(rank), x, filters, bias, **options)
            gy = np.random.default_rng(8).standard_normal(y.shape).astype(x.dtype)
            got = pullback(gy)[0]
        exact = cx.vjp(conv(rank), *wide, algorithm="plain", **options)[1](gy.astype(np.float64))[0]
        assert np.abs(got - exact).max() <= (PROMISE if x.dtype == np.float32 else 1e-14) * np.abs(exact).max()


def picture_cases(count, seed):
    """Random configurations with few filters per group and stride 1 along rows: pictures, signals and volumes."""
    rng = np.random.default_rng(seed)
    modes = mode_names()
    for _ in range(count):
        rank = int(rng.choice([1, 2, 2, 2, 3]))
        groups, channels, outputs = (int(rng.choice([1, 1, 3])), int(rng.integers(1, 5)), int(rng.integers(1, 4)))
        kernel = tuple(int(n) for n in rng.choice([1, 2, 3, 4, 7, 12], rank))
        sizes = tuple(int(n) for n in rng.integers(1, 30 if rank < 3 else 7, rank))
        dtype = np.float32 if rng.random() < 0.7 else np.float64
        options = dict(
            padding=str(rng.choice(["same", "full", "same_lower"])), groups=groups,
            stride=(*(int(n) for n in rng.integers(1, 4, rank - 1)), 1), dilation=int(rng.choice([1, 1, 2])),
            padding_mode=tuple(str(mode) for mode in rng.choice(modes, rank)),
        )  # fmt: skip
        x = rng.standard_normal((int(rng.integers(1, 3)), *sizes, channels * groups)).astype(dtype)
        filters = rng.standard_normal((outputs * groups, *kernel, channels)).astype(dtype)
        yield rank, x, filters, rng.standard_normal(outputs * groups).astype(dtype), options


@pytest.mark.parametrize("isa", _core.supported())
def test_lanes_of_places_agree_with_the_reference(isa):
    forwards = 0
    for rank, x, filters, bias, options in picture_cases(80, 9):
        wide = [array.astype(np.float64) for array in (x, filters, bias)]
        bound = PROMISE if x.dtype == np.float32 else 1e-14
        want = reference.conv(*wide, **options)
        with _core.using(isa):
            y, pullback = cx.vjp(conv(rank), x, filters, bias, **options)
            gy = np.random.default_rng(8).standard_normal(y.shape).astype(x.dtype)
            gx = pullback(gy)[0]
            try:
                got = conv(rank)(x, filters, bias, algorithm="planes", **options)
            except ValueError:  # the second window axis' table may be sparse
                got = y
            else:
                forwards += 1
        exact = cx.vjp(conv(rank), *wide, algorithm="plain", **options)[1](gy.astype(np.float64))[0]
        for result, expected in ((y, want), (got, want), (gx, exact)):
            assert np.abs(result - expected).max() <= bound * np.abs(expected).max()
    assert forwards > 60


def row_cases(count, seed):
    """Random configurations for tiles along rows: any stride, odd numbers of filters, sizes from 1."""
    rng = np.random.default_rng(seed)
    for rank, x, filters, _, options in picture_cases(count, seed):
        groups, (_, *kernel, channels) = options["groups"], filters.shape
        outputs = groups * int(rng.choice([1, 3, 6, 12, 16, 20, 33, 48]))
        filters = rng.standard_normal((outputs, *kernel, channels)).astype(x.dtype)
        bias = rng.standard_normal(outputs).astype(x.dtype) if rng.random() < 0.5 else None
        yield rank, x, filters, bias, {**options, "stride": tuple(int(n) for n in rng.integers(1, 4, rank))}


@pytest.mark.parametrize("isa", _core.supported())
def test_tiles_along_rows_have_the_bits_of_the_direct_kernel(isa):
    fits = 0
    for rank, x, filters, bias, options in row_cases(120, 14):
        with _core.using(isa):
            want = conv(rank)(x, filters, bias, algorithm="direct", **options)
            try:
                got = conv(rank)(x, filters, bias, algorithm="bands", **options)
            except ValueError:  # taps too far apart
                continue
            fits += 1
            if np.prod(filters.shape[1:-1]) <= 512:  # else it adds its sum up in parts
                assert np.array_equal(got, want)
            close(got, want)
            y, pullback = cx.vjp(conv(rank), x, filters, bias, **options)
            gy = np.random.default_rng(8).standard_normal(y.shape).astype(x.dtype)
            gx = pullback(gy)[0]
        wide = [None if array is None else array.astype(np.float64) for array in (x, filters, bias)]
        exact = cx.vjp(conv(rank), *wide, algorithm="plain", **options)[1](gy.astype(np.float64))[0]
        bound = PROMISE if x.dtype == np.float32 else 1e-14
        assert np.abs(gx - exact).max() <= bound * np.abs(exact).max()
    assert fits > 100


@pytest.mark.parametrize("isa", _core.supported())
@pytest.mark.parametrize("layout", ["channels_last", "channels_first"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("outputs", [1, 2, 4, 5, 8, 9])
def test_tiles_along_rows_of_any_height_have_the_same_bits(outputs, dtype, layout, isa):
    rng = np.random.default_rng(11)
    for places in range(1, 31):
        x = rng.standard_normal((3, places + 2, 5)).astype(dtype)
        filters = rng.standard_normal((outputs, 3, 3, 5)).astype(dtype)
        if layout == "channels_first":
            x, filters = (np.moveaxis(array, -1, -3) for array in (x, filters))
        with _core.using(isa):
            got, want = (cx.conv2d(x, filters, algorithm=name, layout=layout) for name in ("bands", "direct"))
        assert np.array_equal(got, want)


@pytest.mark.parametrize("isa", _core.supported())
@pytest.mark.parametrize("outputs", [3, 6, 12, 40])
def test_tiles_along_rows_write_into_their_own_places_only(outputs, isa):
    """Lanes beyond the last filter must not reach what is not theirs, whatever the threads and the strides of out."""
    rng = np.random.default_rng(3)
    x, filters = rng.standard_normal((2, 40, 45, 3)).astype("f"), rng.standard_normal((outputs, 3, 3, 3)).astype("f")
    with _core.using(isa):
        want = cx.conv2d(x, filters, padding="same", algorithm="direct")
        for threads in (1, 2, 3):
            with cx.threads(threads):
                assert np.array_equal(cx.conv2d(x, filters, padding="same", algorithm="bands"), want)
        for room in (np.full((2, 44, 49, outputs), 7.0, "f"), np.full((2, 44, 49, outputs + 5), 7.0, "f")):
            inner = room[:, 2:42, 2:47, :outputs]
            cx.conv2d(x, filters, padding="same", algorithm="bands", out=inner)
            assert np.array_equal(inner, want)
            inner[...] = 7
            assert (room == 7).all()


@pytest.mark.parametrize("isa", _core.supported())
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("padding", ["valid", "same"])
@pytest.mark.parametrize("kernel", [(1, 1, 4, 1), (1, 5, 3, 1), (2, 3, 2, 1), (1, 20, 20, 1)])
def test_lanes_of_places_write_into_their_own_places_only(kernel, padding, dtype, isa):
    """The last vector of a row overlaps the one before, or is cut, whatever the width, the threads and out."""
    rng = np.random.default_rng(5)
    filters = rng.standard_normal(kernel).astype(dtype)
    room = rng.standard_normal((53, 170, 1)).astype(dtype)
    for width in (21, 31, 37, 64, 83, 145):
        x = room[:, 9 : 9 + width]
        options = dict(padding=padding, algorithm="planes")
        want = cx.conv2d(x, filters, padding=padding, algorithm="plain")
        with _core.using(isa):
            y = cx.conv2d(x.copy(), filters, **options)
            around = np.full((y.shape[0] + 4, y.shape[1] + 4, y.shape[2]), 7, dtype)
            for threads in (1, 3):
                with cx.threads(threads):
                    assert np.array_equal(cx.conv2d(x, filters, out=around[2:-2, 2:-2], **options), y)
        assert np.abs(y - want).max() <= (PROMISE if dtype == np.float32 else 1e-14) * np.abs(want).max()
        around[2:-2, 2:-2] = 7
        assert (around == 7).all()


def test_long_rows_are_laid_out_in_segments():
    x = np.random.default_rng(10).standard_normal((1, 5000, 2)).astype(np.float32)
    filters = np.random.default_rng(11).standard_normal((1, 9, 2)).astype(np.float32)
    for mode in ("zeros", "wrap", "odd_reflect"):
        want = cx.conv1d(x, filters, padding="same", padding_mode=mode, algorithm="plain")
        for name in ("planes", "columns", "bands"):
            close(cx.conv1d(x, filters, padding="same", padding_mode=mode, algorithm=name), want)


def test_depthwise_with_more_than_one_filter_per_channel_is_another_algorithm():
    with pytest.raises(ValueError, match="one filter per group"):
        cx.conv2d(np.ones((8, 8, 4)), np.ones((8, 3, 3, 1)), groups=4, algorithm="depthwise")


@pytest.mark.parametrize("isa", _core.supported())
@pytest.mark.parametrize("name", NAMES)
def test_an_activation_in_the_kernel_is_one_after_it(name, isa):
    """Bit for bit, whatever the threads, the place of the result, and what is done again."""
    rng = np.random.default_rng(12)
    groups = 16 if name in ALONE else 1
    x = rng.standard_normal((2, 21, 23, 16)).astype("f")
    x[0, 5, 6, 7] = np.nan
    filters, bias = rng.standard_normal((80 // (groups // 4 or 1), 3, 3, 16 // groups)).astype("f"), None
    if groups == 1:
        bias = rng.standard_normal(80).astype("f")
    else:
        filters = filters[:16]
    options = dict(padding="same", groups=groups, algorithm=name)
    with _core.using(isa):
        z = cx.conv2d(x, filters, bias, **options)
        for activation in ("relu", "gelu", "softmax", "log_softmax", cx.activation("leaky_relu", alpha=0.3)):
            want = cx.activate(z, activation)
            for threads in (1, 2):
                with cx.threads(threads):
                    prepared = cx.prepare(filters)
                    for weights in (filters, prepared, prepared):  # the last is a repeated call
                        got = cx.conv2d(x, weights, bias, activation=activation, **options)
                        assert np.array_equal(got, want, equal_nan=True)
            room = np.full((2, 25, 29, want.shape[-1]), 7.0, "f")
            cx.conv2d(x, filters, bias, activation=activation, out=room[:, 2:23, 3:26], **options)
            assert np.array_equal(room[:, 2:23, 3:26], want, equal_nan=True)
            room[:, 2:23, 3:26] = 7
            assert (room == 7).all()


@pytest.mark.parametrize("outputs", [3, 8, 70])
def test_an_activation_of_a_transposed_convolution_in_the_kernel(outputs):
    x, filters = np.ones((9, 11, 6), "f"), np.linspace(-1, 1, 6 * 25 * outputs, dtype="f").reshape(6, 5, 5, outputs)
    for stride in (1, 2, 3):
        z = cx.conv_transpose2d(x, filters, stride=stride)
        for activation in ("relu", "softmax"):
            y = cx.conv_transpose2d(x, filters, stride=stride, activation=activation)
            assert np.array_equal(y, cx.activate(z, activation))


APART = [candidate.name for candidate in CANDIDATES if candidate.apart]
PLANAR = [  # x, filters, options: rows longer and shorter than what is turned at once, few and many channels
    ((2, 9, 200, 3), (21, 3, 3, 3), {"padding": "same", "padding_mode": "reflect"}),
    ((1, 7, 5, 40), (37, 1, 1, 40), {}),
    ((3, 6, 71, 6), (6, 3, 2, 2), {"groups": 3, "padding": 2, "padding_mode": cx.padding("constant", value=0.5)}),
    ((2, 15, 33, 2), (1, 5, 5, 2), {"padding": "same", "padding_mode": "odd_reflect"}),
    ((1, 12, 40, 5), (5, 3, 3, 1), {"groups": 5, "padding": "same"}),
    ((2, 14, 31, 4), (18, 4, 3, 4), {"stride": (1, 2), "dilation": (2, 1)}),
    ((1, 1, 1100, 1), (3, 1, 9, 1), {"padding": "full"}),
]


@pytest.mark.parametrize("isa", _core.supported())
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", APART)
def test_channels_first_goes_through_the_same_kernels_without_a_copy(name, dtype, isa):
    rng, computed = np.random.default_rng(9), 0
    for x_shape, filters_shape, options in PLANAR:
        x, filters = rng.standard_normal(x_shape).astype(dtype), rng.standard_normal(filters_shape).astype(dtype)
        bias = rng.standard_normal(filters_shape[0]).astype(dtype)
        first = [np.ascontiguousarray(np.moveaxis(array, -1, 1)) for array in (x, filters)]
        for activation in (None, "tanh", "softmax"):  # the last one looks at all channels of a place
            given = {**options, "algorithm": name, "activation": activation}
            with _core.using(isa):
                try:
                    want = np.moveaxis(cx.conv2d(x, filters, bias, **given), -1, 1)
                except ValueError:  # it does not fit here; the count below says that it fits somewhere
                    continue
                given["layout"] = "channels_first"
                packed, out = cx.prepare(first[1], layout="channels_first"), np.empty(want.shape, dtype)
                assert np.array_equal(cx.conv2d(*first, bias, **given), want)
                for _ in range(2):  # the second call goes straight to the kernel
                    assert np.array_equal(cx.conv2d(first[0], packed, bias, **given), want)
                    assert np.array_equal(cx.conv2d(first[0], packed, bias, out=out, **given), want)
                _, pullback = cx.vjp(cx.conv2d, *first, bias, **given)
                gy = rng.standard_normal(want.shape).astype(dtype)
                got = pullback(gy)
                given["layout"] = "channels_last"
                _, pullback = cx.vjp(cx.conv2d, x, filters, bias, **given)
                for one, other in zip(got[:2], pullback(np.moveaxis(gy, 1, -1))[:2], strict=True):
                    assert np.array_equal(one, np.moveaxis(other, -1, 1))
            computed += 1
    assert computed >= 9


@pytest.mark.parametrize("mode", mode_names())
@pytest.mark.parametrize("size", [3, 5])
@pytest.mark.parametrize("spatial", [(1, 18), (18, 1), (2, 18), (1, 1)])
def test_gradients_of_pictures_of_one_row(spatial, size, mode):
    """An axis of one place is read tap by tap under some modes, and the other one the other way round."""
    random = np.random.default_rng(0)
    x = random.standard_normal((160 // max(spatial), *spatial, 32))
    filters = random.standard_normal((20, size, size, 32))
    if mode == "globe" and spatial[1] % 2:
        pytest.skip("half a turn is half of an even number of columns")
    y, pullback = cx.vjp(cx.conv2d, x, filters, padding="same", padding_mode=mode, algorithm="plain")
    gy = random.standard_normal(y.shape).astype(np.float32)
    expected = pullback(gy.astype(np.float64))
    single = x.astype(np.float32), filters.astype(np.float32)
    found = cx.vjp(cx.conv2d, *single, padding="same", padding_mode=mode)[1](gy)
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one, other, atol=2e-5 * np.abs(other).max())
