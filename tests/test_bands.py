"""The kernel along rows of places: the bits of the direct one, by whichever tiles, and no element beyond its own."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import pyconvx as cx
from pyconvx import _core


@st.composite
def cases(draw):
    """Kernel rows of few and of many products, one panel of filters and several, groups, strides and padding."""
    rank = draw(st.integers(1, 3))
    groups = draw(st.sampled_from([1, 1, 1, 2, 3]))
    channels, outputs = groups * draw(st.sampled_from([1, 2, 3, 5, 16])), groups * draw(st.integers(1, 45))
    taps = draw(st.integers(1, 9 if rank == 1 else 5 if rank == 2 else 3))
    spatial = [taps + draw(st.integers(0, 17 if rank < 3 else 5)) for _ in range(rank)]
    options = {
        "groups": groups,
        "stride": draw(st.integers(1, 3)),
        "padding": draw(st.integers(0, taps - 1)),
        "activation": draw(st.sampled_from([None, "relu", "tanh"])),
    }
    dtype = draw(st.sampled_from(["float32", "float64"]))
    return (
        rank,
        (draw(st.integers(1, 3)), *spatial, channels),
        (outputs, *[taps] * rank, channels // groups),
        options,
        dtype,
    )


@pytest.mark.parametrize("isa", _core.supported())
@settings(max_examples=60)
@given(case=cases(), offset=st.integers(0, 15), beside=st.integers(0, 3), biased=st.booleans(), seed=st.integers(0, 99))
def test_any_result_has_the_bits_of_the_direct_kernel(isa, case, offset, beside, biased, seed):
    rank, x_shape, shape, options, dtype = case
    rng, convolve = np.random.default_rng(seed), getattr(cx, f"conv{rank}d")
    x, filters = rng.standard_normal(x_shape).astype(dtype), rng.standard_normal(shape).astype(dtype)
    bias = rng.standard_normal(shape[0]).astype(dtype) if biased else None
    with _core.using(isa):
        want = convolve(x, filters, bias, algorithm="direct", **options)
        np.testing.assert_array_equal(convolve(x, filters, bias, algorithm="bands", **options), want)
        # into memory that begins anywhere in a line of the cache, with elements of others beside each place
        row = want.shape[-1] + beside
        memory = np.full(offset + want.size // want.shape[-1] * row + 16, 7, dtype)
        places = memory[offset : offset + want.size // want.shape[-1] * row].reshape(*want.shape[:-1], row)
        convolve(x, filters, bias, algorithm="bands", out=places[..., : want.shape[-1]], **options)
    np.testing.assert_array_equal(places[..., : want.shape[-1]], want)
    places[..., : want.shape[-1]] = 7
    assert np.all(memory == 7)


@pytest.mark.parametrize("isa", _core.supported())
@settings(max_examples=40, deadline=None)
@given(
    n=st.integers(1, 5),
    size=st.tuples(st.integers(1, 20), st.integers(1, 40)),
    outputs=st.sampled_from([1, 3, 5, 8, 16, 17, 33]),
    stride=st.sampled_from([1, 1, 2, 3]),
    activation=st.sampled_from([None, "tanh"]),
    dtype=st.sampled_from(["float32", "float64"]),
)
def test_rows_that_are_turned_together_have_the_bits_of_others(isa, n, size, outputs, stride, activation, dtype):
    rng = np.random.default_rng(outputs)
    x, filters = rng.standard_normal((n, *size, 2)).astype(dtype), rng.standard_normal((outputs, 3, 3, 2)).astype(dtype)
    options = dict(padding="same", stride=stride, activation=activation, algorithm="bands")
    first = (np.ascontiguousarray(np.moveaxis(array, -1, 1)) for array in (x, filters))
    with _core.using(isa):
        want = cx.conv2d(x, filters, **options)
        got = cx.conv2d(*first, layout="channels_first", **options)
    np.testing.assert_array_equal(np.moveaxis(got, 1, -1), want)
