"""Kernels that go along rows of places: depthwise, lanes of places, tiles along rows, also in segments."""

import numpy as np
import pytest
from convolutions import PROMISE, conv
from isas import ISAS, under

import pyconvx as cx
from pyconvx import _core
from pyconvx.testing import reference
from pyconvx.testing.strategies import mode_names

from .candidates import close


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


def test_depthwise_agrees_with_the_reference():
    for rank, x, filters, bias, options in depthwise_cases(60, 7):
        wide = [array.astype(np.float64) for array in (x, filters, bias)]
        want = reference.conv(*wide, **options)
        gy = np.random.default_rng(8).standard_normal(want.shape).astype(x.dtype)
        exact = cx.vjp(conv(rank), *wide, algorithm="plain", **options)[1](gy.astype(np.float64))[0]
        bound = PROMISE if x.dtype == np.float32 else 1e-14
        for isa in ISAS:
            with under(isa):
                got = conv(rank)(x, filters, bias, algorithm="depthwise", **options)
                assert np.abs(got - want).max() <= bound * np.abs(want).max()
                # gx runs the candidate through the adjoint's tables: reversed taps, gaps, mixes
                gx = cx.vjp(conv(rank), x, filters, bias, **options)[1](gy)[0]
                assert np.abs(gx - exact).max() <= bound * np.abs(exact).max()


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


def test_lanes_of_places_agree_with_the_reference():
    forwards = dict.fromkeys(ISAS, 0)
    for rank, x, filters, bias, options in picture_cases(80, 9):
        wide = [array.astype(np.float64) for array in (x, filters, bias)]
        bound = PROMISE if x.dtype == np.float32 else 1e-14
        want = reference.conv(*wide, **options)
        gy = np.random.default_rng(8).standard_normal(want.shape).astype(x.dtype)
        exact = cx.vjp(conv(rank), *wide, algorithm="plain", **options)[1](gy.astype(np.float64))[0]
        for isa in ISAS:
            with under(isa):
                y, pullback = cx.vjp(conv(rank), x, filters, bias, **options)
                gx = pullback(gy)[0]
                try:
                    got = conv(rank)(x, filters, bias, algorithm="planes", **options)
                except ValueError:  # the second window axis' table may be sparse
                    got = y
                else:
                    forwards[isa] += 1
                for result, expected in ((y, want), (got, want), (gx, exact)):
                    assert np.abs(result - expected).max() <= bound * np.abs(expected).max()
    assert min(forwards.values()) > 60


def row_cases(count, seed):
    """Random configurations for tiles along rows: any stride, odd numbers of filters, sizes from 1."""
    rng = np.random.default_rng(seed)
    for rank, x, filters, _, options in picture_cases(count, seed):
        groups, (_, *kernel, channels) = options["groups"], filters.shape
        outputs = groups * int(rng.choice([1, 3, 6, 12, 16, 20, 33, 48]))
        filters = rng.standard_normal((outputs, *kernel, channels)).astype(x.dtype)
        bias = rng.standard_normal(outputs).astype(x.dtype) if rng.random() < 0.5 else None
        yield rank, x, filters, bias, {**options, "stride": tuple(int(n) for n in rng.integers(1, 4, rank))}


def test_tiles_along_rows_have_the_bits_of_the_direct_kernel():
    fits = dict.fromkeys(ISAS, 0)
    for rank, x, filters, bias, options in row_cases(120, 14):
        wide = [None if array is None else array.astype(np.float64) for array in (x, filters, bias)]
        plain, pullback = cx.vjp(conv(rank), *wide, algorithm="plain", **options)
        gy = np.random.default_rng(8).standard_normal(plain.shape).astype(x.dtype)
        exact = pullback(gy.astype(np.float64))[0]
        bound = PROMISE if x.dtype == np.float32 else 1e-14
        for isa in ISAS:
            with under(isa):
                want = conv(rank)(x, filters, bias, algorithm="direct", **options)
                try:
                    got = conv(rank)(x, filters, bias, algorithm="bands", **options)
                except ValueError:  # taps too far apart
                    continue
                fits[isa] += 1
                if np.prod(filters.shape[1:-1]) <= 512:  # else it adds its sum up in parts
                    assert np.array_equal(got, want)
                close(got, want)
                gx = cx.vjp(conv(rank), x, filters, bias, **options)[1](gy)[0]
                assert np.abs(gx - exact).max() <= bound * np.abs(exact).max()
    assert min(fits.values()) > 100


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
