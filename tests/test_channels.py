"""Sums and shifts of channels: every instruction set and dtype, against NumPy in longdouble."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from isas import ISAS, under

import pyconvx as cx
from pyconvx import _core
from pyconvx.functional import channels

every_isa = pytest.mark.parametrize("isa", _core.supported())


@st.composite
def batches(draw):
    """(x, gy, axis of the channels): of few and of many channels and places, offsets far above the spread too."""
    shape = draw(st.sampled_from([1, 2, 3, 31, 130])), draw(st.sampled_from([1, 3, 32, 129, 200]))
    inner = draw(st.sampled_from([(), (1,), (7,), (128,), (5, 60)]))
    axis = draw(st.sampled_from([1, 1 + len(inner)]))
    shape = (shape[0], shape[1], *inner) if axis == 1 else (shape[0], *inner, shape[1])
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    dtype = draw(st.sampled_from([np.float32, np.float64]))
    offset = draw(st.sampled_from([0.0, 100.0, -3e4]))
    return (rng.standard_normal(shape) + offset).astype(dtype), rng.standard_normal(shape).astype(dtype), axis


@settings(max_examples=40, deadline=None)
@given(drawn=batches(), threads=st.sampled_from([1, 3]))
def test_they_are_what_numpy_says_in_more_digits(drawn, threads):
    x, gy, axis = drawn
    wide, slopes = x.astype(np.longdouble), gy.astype(np.longdouble)
    others = tuple(i for i in range(x.ndim) if i != axis)
    rng, eps = np.random.default_rng(0), np.finfo(x.dtype).eps
    # what NumPy adds up one after the other is not exact either
    own = np.finfo(np.longdouble).eps * x.size / x.shape[axis]
    centre, factor, shift, slope = rng.standard_normal((4, x.shape[axis]))
    # as the layer has it: the numbers of a channel are rounded to the dtype of x
    centre = (centre + wide.mean()).astype(x.dtype)
    factor, shift, slope = (each.astype(x.dtype) for each in (factor, shift, slope))
    column = tuple(slice(None) if i == axis else None for i in range(x.ndim))
    moved = wide - centre.astype(np.longdouble)[column]
    count = x.size // x.shape[axis]
    size, spread = np.abs(wide).sum(others), wide.var(others)
    # what rounds off the mean of a block, (x - mean) ** 2, is far below the spread
    of_variance = (
        (40 * eps + own) * spread
        + 40 * eps**2 * np.square(wide).mean(others)
        + 8 * eps * np.sqrt(spread) * size / count
    )
    reached = np.abs(wide) + np.abs(centre.astype(np.longdouble)[column])
    shifting, scaling = np.abs(slopes).sum(others), np.abs(slopes * reached).sum(others)
    by = [each.astype(np.longdouble)[column] for each in (factor, shift, slope)]
    terms = (np.abs(slopes) + np.abs(by[1]) + reached * np.abs(by[2])) * np.abs(by[0])
    wanted = {  # and how far what is computed may be off
        "sums": (wide.sum(others), (16 * eps + own) * size),
        "mean": (wide.mean(others), (16 * eps + own) * size / count),
        "variance": (spread, of_variance + 1e-300),
        "shifts": (slopes.sum(others), (16 * eps + own) * shifting),
        "scales": ((slopes * moved).sum(others), (20 * eps + own) * scaling),
        "y": (moved * by[0] + by[1], 4 * eps * (reached * np.abs(by[0]) + np.abs(by[1]))),
        "gx": ((slopes - by[1] - moved * by[2]) * by[0], 6 * eps * terms),
    }
    for isa in ISAS:
        with under(isa), cx.threads(threads):
            given_x, got = channels.channels_apart(x, axis), {}
            got["sums"], (got["mean"], got["variance"]) = channels.channel_sums(given_x), channels.moments(given_x)
            scaled = channels.Scaled(x, axis, (centre, factor, shift))
            got["y"] = scaled.result()
            (got["shifts"], got["scales"]), got["gx"] = scaled.products(gy), scaled.gradient(gy, shift, slope)
            np.testing.assert_array_equal(scaled.result(rectified=True), np.maximum(got["y"], 0))
            for name, (want, allowed) in wanted.items():
                assert (np.abs(got[name] - want) <= allowed).all(), name


@every_isa
def test_the_bits_do_not_depend_on_the_threads(isa):
    x = np.random.default_rng(1).standard_normal((300, 17, 40)).astype(np.float32)
    found = []
    for threads in (1, 2, 7):
        with _core.using(isa), cx.threads(threads):
            found.append(
                [channels.channel_sums(x), *channels.moments(x), *channels.products(x, x[::-1].copy(), x[0, :, 0])]
            )
    for other in found[1:]:
        for one, two in zip(found[0], other, strict=True):
            np.testing.assert_array_equal(one, two)


@pytest.mark.parametrize("shape", [(0, 3, 4), (4, 3, 0), (4, 0, 3), (2000, 3, 0)])
def test_nothing_has_sums_of_nothing(shape):
    x = np.empty(shape, np.float32)
    numbers = np.ones(shape[1])
    assert channels.channel_sums(x).tolist() == [0.0] * shape[1]
    assert channels.products(x, x, numbers)[1].tolist() == [0.0] * shape[1]
    scaled = channels.Scaled(x, 1, (numbers, numbers, numbers))
    assert scaled.result().shape == scaled.gradient(x, numbers, numbers).shape == shape


def test_a_channel_that_holds_a_nan_does_not_spoil_others():
    x = np.ones((200, 5, 1))
    x[150, 2] = np.nan
    assert np.isnan(channels.channel_sums(x)).tolist() == [False, False, True, False, False]
    mean, variance = channels.moments(x)
    assert np.isnan(mean).tolist() == np.isnan(variance).tolist() == [False, False, True, False, False]


@pytest.mark.parametrize("layout", ["channels_last", "channels_first"])
def test_the_gradient_of_a_bias_is_exact_to_the_last_digits(layout):
    """200,000 places of float32 whose sum is small beside its terms."""
    gy = np.random.default_rng(2).standard_normal((1, 2, 400, 500)).astype(np.float32)
    gy = gy if layout == "channels_first" else np.ascontiguousarray(np.moveaxis(gy, 1, -1))
    x = np.zeros_like(gy[:, :1] if layout == "channels_first" else gy[..., :1])
    filters, bias = np.ones((2, 1, 1, 1), np.float32), np.zeros(2, np.float32)
    gradient = cx.vjp(cx.conv2d, x, filters, bias, layout=layout)[1](gy)[2]
    expected = gy.astype(np.float64).sum((0, 2, 3) if layout == "channels_first" else (0, 1, 2))
    np.testing.assert_allclose(gradient, expected, rtol=1e-6, atol=1e-3)


def test_there_is_a_number_for_each_channel():
    layer = cx.BatchNorm().build((4, 4, 3))
    layer.params["shift"] = np.zeros(2, np.float32)
    with pytest.raises(ValueError, match="for each of 3 channels"):
        layer(np.ones((2, 4, 4, 3), np.float32))
