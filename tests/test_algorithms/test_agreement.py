"""Candidates agree with the reference, forward and backward, and say what they are."""

import functools

import numpy as np
import pytest
from convolutions import PROMISE, conv, square_cases
from isas import ISAS, under

import pyconvx as cx
from pyconvx import _core
from pyconvx.testing import reference
from pyconvx.testing.strategies import mode_names

from .candidates import ALONE, DENSE, NAMES, close


@functools.cache
def expected():
    """Cases, each with what the reference makes of it."""
    return [
        (case, reference.conv(*(array.astype(np.float64) for array in case[1:4]), **case[4]))
        for case in square_cases(20, 1)
    ]


@pytest.mark.parametrize("isa", _core.supported())
@pytest.mark.parametrize("name", DENSE)
def test_a_candidate_agrees_with_the_reference(name, isa):
    computed = 0
    for (rank, x, filters, bias, options), want in expected():
        with _core.using(isa):
            try:
                got = conv(rank)(x, filters, bias, algorithm=name, **options)
            except ValueError:  # it does not fit here; the count below says that it fits somewhere
                continue
        computed += 1
        close(got, want)
    assert computed >= 4


def test_gradients_of_the_chosen_algorithms_agree_with_the_reference():
    for rank, x, filters, bias, options in square_cases(14, 2):
        wide = [array.astype(np.float64) for array in (x, filters, bias)]
        want_y, exact = cx.vjp(conv(rank), *wide, algorithm="plain", **options)
        gy = np.random.default_rng(3).standard_normal(want_y.shape).astype(np.float32)
        wants = want_y, *exact(gy.astype(np.float64))
        for isa in ISAS:
            with under(isa):
                y, pullback = cx.vjp(conv(rank), x, filters, bias, **options)
                for got, want in zip((y, *pullback(gy)), wants, strict=True):
                    close(got, want)


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
