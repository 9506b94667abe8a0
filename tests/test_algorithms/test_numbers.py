"""Rounding that does not grow, and numbers that are huge or not finite, which stay in their windows."""

import numpy as np
import pytest
from convolutions import PROMISE, conv
from isas import ISAS, under

import pyconvx as cx
from pyconvx import _core
from pyconvx.functional import algorithms

from .candidates import ALONE, DENSE, FORMS, LINES, NAMES, close, reach


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize(("name", "kernel", "stride"), [*((name, (3, 3), 1) for name in NAMES), *FORMS])
def test_what_is_not_finite_stays_in_its_windows(name, kernel, stride, value):
    rng = np.random.default_rng(5)
    x = rng.standard_normal((2, 17, 19, 20)).astype(np.float32)
    groups = 20 if name in ALONE else 1
    filters = rng.standard_normal((20, *kernel, 20 // groups)).astype(np.float32)
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


@pytest.mark.parametrize(("name", "kernel", "stride"), [*((name, (3, 3), 1) for name in DENSE), *FORMS])
def test_a_huge_element_does_not_blur_windows_that_do_not_see_it(name, kernel, stride):
    rng = np.random.default_rng(7)
    filters = rng.standard_normal((32, *kernel, 32)).astype(np.float32)
    options = dict(padding="same", stride=stride)
    unseen = ~reach((2, 31, 29, 32), (1, 10, 12, 3), filters.shape, options)
    for value in (1e4, 1e6, 1e12, 1e30):
        x = rng.standard_normal((2, 31, 29, 32)).astype(np.float32)
        x[1, 10, 12, 3] = value
        exact = cx.conv2d(x.astype(np.float64), filters.astype(np.float64), algorithm="direct", **options)
        for isa in ISAS:
            with under(isa):
                y = cx.conv2d(x, filters, algorithm=name, **options)
                assert np.abs(y - exact)[unseen].max() <= PROMISE * np.abs(exact[unseen]).max(), value


@pytest.mark.parametrize("isa", _core.supported())
@pytest.mark.parametrize(
    ("shape", "filters", "padding"),
    [
        ((16, 12, 64), (64, 3, 64), "same"),
        ((8, 30, 64), (64, 9, 64), "same"),
        ((4, 44, 64), (64, 40, 64), (20, 19)),
        ((2, 9, 20, 32), (32, 3, 5, 32), "same"),
        ((2, 26, 16), (16, 7, 16), "same"),  # pieces of four taps and of three
    ],
    ids=str,
)
def test_a_huge_element_does_not_blur_samples_of_few_tiles(shape, filters, padding, isa):
    rng, rank, padding = np.random.default_rng(7), len(shape) - 2, padding if padding == "same" else (padding,)
    filters, hit = rng.standard_normal(filters).astype(np.float32), np.zeros(shape)
    at = (0, *(n // 2 for n in shape[1:-1]), 0)
    hit[at] = 1
    unseen = conv(rank)(hit, np.ones(filters.shape), padding=padding, algorithm="plain") == 0
    for value in (1e3, 1e5, 1e7, 1e30):
        x = rng.standard_normal(shape).astype(np.float32)
        x[at] = value
        exact = conv(rank)(x.astype(np.float64), filters.astype(np.float64), padding=padding, algorithm="plain")
        with _core.using(isa):
            y = conv(rank)(x, filters, padding=padding, algorithm="winograd")
        assert np.abs(y - exact)[unseen].max() <= PROMISE * np.abs(exact[unseen]).max(), value


@pytest.fixture
def again(monkeypatch):
    """What calls from now on flag, which is left as it is."""
    flagged = []
    mended = [each._replace(mend=lambda *given: flagged.append(given[2])) for each in algorithms.CANDIDATES]
    monkeypatch.setattr(algorithms, "CANDIDATES", tuple(mended))
    return flagged


def test_quiet_stretches_are_not_done_again(again):
    rng = np.random.default_rng(2)
    loud = np.repeat(np.where(rng.random(40) < 0.6, 0.01, 1), 100)[:, None]
    x = (rng.standard_normal((4000, 64)) * loud).astype(np.float32)
    cx.conv1d(x, rng.standard_normal((64, 3, 64)).astype(np.float32), padding="same", algorithm="winograd")
    assert sum(np.count_nonzero(flagged) for flagged in again) < 40  # where one follows the other


@pytest.mark.parametrize("isa", _core.supported())
@pytest.mark.parametrize(
    ("kernel", "stride", "channels"),
    [
        *((3, 1, 3), (3, 1, 64), (3, 2, 64), (5, 1, 64), (6, 2, 3)),
        pytest.param(7, 2, 3, marks=pytest.mark.xfail(strict=True, reason="inputs of squares that are not full")),
    ],
)
def test_of_a_bright_object_the_outline_alone_is_done_again(kernel, stride, channels, isa, again):
    rng = np.random.default_rng(3)
    x, filters = rng.standard_normal((120, 120, channels)), rng.standard_normal((32, kernel, kernel, channels))
    bright = np.full((120, 120, 1), 1e-3)
    bright[31:82, 31:82] = 1
    with _core.using(isa):
        cx.conv2d(*(each.astype(np.float32) for each in (x * bright, filters)), stride=stride, algorithm="winograd")
    side = 7 - -(-kernel // stride) if kernel != 3 else 4
    across = 51 // (stride * side) + 2  # tiles that see a side of it
    assert 0 < sum(np.count_nonzero(flagged) for flagged in again) <= 8 * across


@pytest.mark.parametrize("isa", _core.supported())
@pytest.mark.parametrize(("side", "stride"), [(3, 1), (5, 1), (3, 2), (5, 2), (6, 2), (7, 2), (9, 3), (10, 3), (11, 4)])
def test_a_huge_element_stays_with_the_taps_that_read_it(side, stride, isa):
    """Folded taps beyond the last meet inputs that others of their square read."""
    rng = np.random.default_rng(side)
    filters = rng.standard_normal((16, side, side, 3)).astype(np.float32)
    clean = rng.standard_normal((60, 60, 3)).astype(np.float32)
    for at in range(20, 20 + 8 * stride):
        for value in (1e4, 1e8, 1e30):
            x, hit = clean.copy(), np.zeros(clean.shape)
            x[at, 45 - at % 7, 1], hit[at, 45 - at % 7, 1] = value, 1
            unseen = cx.conv2d(hit, np.ones(filters.shape), stride=stride, algorithm="plain") == 0
            exact = cx.conv2d(x.astype(np.float64), filters.astype(np.float64), stride=stride, algorithm="plain")
            with _core.using(isa):
                y = cx.conv2d(x, filters, stride=stride, algorithm="winograd")
            assert np.abs(y - exact)[unseen].max() <= PROMISE * np.abs(exact[unseen]).max(), (at, value)


@pytest.mark.parametrize("isa", _core.supported())
def test_what_is_even_in_one_group_may_be_huge_in_another(isa):
    rng = np.random.default_rng(0)
    x, filters = rng.standard_normal((48, 48, 32)), rng.standard_normal((32, 3, 3, 16)).astype(np.float32)
    x[..., :16] *= 1e-3
    x[16:34, 16:34, :16] *= 1e9  # an object, whose tiles are far larger than the others but even
    x[25, 25, 20] = 1e6
    x = x.astype(np.float32)
    options = {"padding": 1, "groups": 2}
    exact = cx.conv2d(x.astype(np.float64), filters.astype(np.float64), **options, algorithm="plain")[..., 16:]
    with _core.using(isa):
        y = cx.conv2d(x, filters, **options, algorithm="winograd")[..., 16:]
    unseen = np.ones((48, 48), bool)
    unseen[24:27, 24:27] = False
    assert np.abs(y - exact)[unseen].max() <= PROMISE * np.abs(exact[unseen]).max()


@pytest.mark.parametrize("isa", _core.supported())
@pytest.mark.parametrize(("taps", "stride"), [(4, 3), (9, 2), (25, 2), (40, 3), (12, 8)])
def test_a_huge_element_stays_with_the_taps_of_its_phase(taps, stride, isa):
    rng = np.random.default_rng(taps)
    filters = rng.standard_normal((16, taps, 16)).astype(np.float32)
    for at in range(30, 30 + 8 * stride):
        x, hit = rng.standard_normal((2, 160, 16)).astype(np.float32), np.zeros((2, 160, 16))
        x[1, at, 3], hit[1, at, 3] = 1e8, 1
        unseen = cx.conv1d(hit, np.ones(filters.shape), stride=stride, algorithm="plain") == 0
        exact = cx.conv1d(x.astype(np.float64), filters.astype(np.float64), stride=stride, algorithm="plain")
        with _core.using(isa):
            y = cx.conv1d(x, filters, stride=stride, algorithm="winograd")
        assert np.abs(y - exact)[unseen].max() <= PROMISE * np.abs(exact[unseen]).max()


@pytest.mark.parametrize("isa", _core.supported())
@pytest.mark.parametrize(("name", "kernel", "stride"), LINES)
def test_lines_keep_their_digits(name, kernel, stride, isa):
    """With one tap that is not zero, at either end, and terms that round equally."""
    for value in (0.1, 1 / 3, 0.7):
        x, exact = np.full((12, 31, 512), value, np.float32), np.longdouble(np.float32(value)) ** 2 * 512
        for at in (0, -1):
            filters = np.zeros((16, *kernel, 512), np.float32)
            filters[:, at, at] = value
            with _core.using(isa):
                y = cx.conv2d(x, filters, stride=stride, algorithm=name)
            # half of what squares may lose so, if terms round equally that transforms weigh unequally
            assert np.abs(y - exact).max() <= 2 * PROMISE * exact


@pytest.mark.parametrize("kernel", [(3, 3), (1, 3), (1, 6)], ids=str)
def test_values_that_only_the_transform_overflows_are_done_again(kernel):
    x, filters = np.full((8, 8, 16), 1e37, np.float32), np.full((16, *kernel, 16), 1e-3, np.float32)
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
