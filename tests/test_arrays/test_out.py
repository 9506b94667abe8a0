"""`out` is filled, or refused and left as it was, wherever it lies and whatever goes wrong."""

import numpy as np
import pytest

import pyconvx as cx

from .operations import (
    BIAS,
    FORMS,
    K1,
    K2,
    K3,
    X1,
    X2,
    X3,
    bits,
    normal,
    read_only,
)

WITH_OUT = {
    "conv1d": (cx.conv1d, (X1, K1), {}),
    "conv2d": (cx.conv2d, (X2, K2, BIAS), {"groups": 2, "padding": "same"}),
    "conv2d gelu": (cx.conv2d, (X2, K2), {"groups": 2, "activation": "gelu"}),
    "conv2d softmax": (cx.conv2d, (X2, K2), {"groups": 2, "activation": "softmax"}),
    "conv2d first": (
        cx.conv2d,
        (normal(2, 3, 9, 8), normal(5, 3, 3, 3)),
        {"layout": "channels_first", "activation": "tanh"},
    ),
    "conv2d of one": (cx.conv2d, (X2[0], K2), {"groups": 2}),
    "conv3d": (cx.conv3d, (X3, K3), {}),
    "conv_transpose1d": (cx.conv_transpose1d, (normal(2, 7, 6), K1), {"stride": 2}),
    "conv_transpose2d": (cx.conv_transpose2d, (normal(2, 5, 4, 6), K2), {"groups": 2, "stride": 2}),
    "conv_transpose3d": (cx.conv_transpose3d, (X3, K3), {}),
    "pool1d": (cx.pool1d, (X1, 2), {}),
    "pool2d": (cx.pool2d, (X2, 3), {"stride": 1, "padding": 1}),
    "pool2d avg": (cx.pool2d, (X2, 3, "avg"), {"ceil_mode": True}),
    "pool2d median": (cx.pool2d, (X2, 3, "median"), {}),
    "pool3d": (cx.pool3d, (X3, 2, "std"), {"layout": "channels_first"}),
}
with_out = pytest.mark.parametrize("name", WITH_OUT)


def framed(shape, dtype=np.float32):
    """A view of that shape inside a larger array of 77, with gaps, and the larger array."""
    whole = np.full([2 * n + 2 for n in shape], 77, dtype)
    return whole[tuple(slice(1, 1 + 2 * n, 2) for n in shape)], whole


@with_out
def test_out_is_filled_and_returned(name):
    f, args, options = WITH_OUT[name]
    expected = f(*args, **options)
    out = np.full_like(expected, np.nan)
    assert f(*args, **options, out=out) is out
    assert bits(out) == bits(expected)


@with_out
@pytest.mark.parametrize("form", ["framed", "fortran", "backwards", "unaligned", "transposed"])
def test_out_may_lie_anyhow_in_memory(name, form):
    f, args, options = WITH_OUT[name]
    expected = f(*args, **options)
    out, whole = framed(expected.shape)
    if form != "framed":
        out = FORMS[form](np.full_like(expected, 77))
    assert f(*args, **options, out=out) is out
    assert bits(out) == bits(expected)
    if form == "framed":
        out[...] = 77
        assert (whole == 77).all(), "something was written beside out"


def test_out_of_a_pool_with_indices():
    expected, where = cx.pool2d(X2, 2, return_indices=True)
    out = np.empty_like(expected)
    result, indices = cx.pool2d(X2, 2, return_indices=True, out=out)
    assert result is out
    assert bits((out, indices)) == bits((expected, where))


def test_out_of_an_exact_dtype():
    x = (X2 * 40).astype(np.int8)
    out = np.empty_like(cx.pool2d(x, 2))
    assert out.dtype == np.int8
    assert bits(cx.pool2d(x, 2, out=out)) == bits(cx.pool2d(x, 2))


@with_out
def test_out_that_is_refused_stays_as_it_was(name):
    f, args, options = WITH_OUT[name]
    expected = f(*args, **options)
    shape = expected.shape
    itself = np.lib.stride_tricks.as_strided(np.full(expected.size, 77, np.float32), shape, [4] * len(shape))
    refused = {
        "a wrong dtype": np.full(shape, 77, np.float64),
        "a wrong kind": np.full(shape, 77, np.int32),
        "one too many": np.full((*shape[:-1], shape[-1] + 1), 77, np.float32),
        "one too few": np.full((*shape[:-1], shape[-1] - 1), 77, np.float32),
        "an axis of one to broadcast": np.full((1, *shape), 77, np.float32),
        "read-only": read_only(np.full(shape, 77, np.float32)),
        "itself": itself,
    }
    for what, out in refused.items():
        with pytest.raises((TypeError, ValueError), match="out"):
            f(*args, **options, out=out)
        assert (out == 77).all(), what


@with_out
def test_nothing_is_half_written_on_an_error(name):
    f, args, options = WITH_OUT[name]
    expected = f(*args, **options)
    out = np.full_like(expected, 77)
    with pytest.raises(ValueError, match="padding"):
        f(*args, **{**options, "padding": -1}, out=out)
    assert (out == 77).all()


def test_an_activation_that_raises_midway_leaves_out_as_it_was():
    x, filters = normal(1, 300, 300, 4), normal(4, 1, 1, 4)
    calls = []

    def falters(block):
        calls.append(block.size)
        if sum(calls) > 200_000:
            raise ArithmeticError("midway")
        return block * 1

    out = np.full((1, 300, 300, 4), 77, np.float32)
    with cx.activations.temporarily("test:falters", falters), pytest.raises(ArithmeticError, match="midway"):
        cx.conv2d(x, filters, activation="test:falters", out=out)
    assert len(calls) > 1
    assert (out == 77).all()


def test_a_pooling_that_raises_midway_leaves_out_as_it_was():
    x = normal(1, 400, 400, 4)
    calls = []

    def falters(windows):
        calls.append(windows.shape)
        if len(calls) > 1:
            raise ArithmeticError("midway")
        return windows.sum(-1)

    out = np.full((1, 200, 200, 4), 77, np.float32)
    with cx.poolings.temporarily("test:falters", falters), pytest.raises(ArithmeticError, match="midway"):
        cx.pool2d(x, 2, "test:falters", out=out)
    assert len(calls) > 1
    assert (out == 77).all()


SAME_SHAPE = {
    "conv2d": lambda x, **out: cx.conv2d(x, K2[:4], groups=2, padding="same", **out),
    "conv2d pointwise": lambda x, **out: cx.conv2d(x, K2[:4, :1, :1], groups=2, **out),
    "conv2d relu": lambda x, **out: cx.conv2d(x, K2[:4], groups=2, padding="same", activation="relu", **out),
    "conv_transpose2d": lambda x, **out: cx.conv_transpose2d(x, K2[:4], groups=2, padding="same", **out),
    "pool2d max": lambda x, **out: cx.pool2d(x, 3, stride=1, padding=1, **out),
    "pool2d of one": lambda x, **out: cx.pool2d(x, 1, **out),
    "pool2d std": lambda x, **out: cx.pool2d(x, 3, "std", stride=1, padding=1, **out),
}


@pytest.mark.parametrize("name", SAME_SHAPE)
@pytest.mark.parametrize("shift", [0, 1, 4, 32, 100, 575, 576])
def test_out_that_overlaps_x(name, shift):
    """Right, as if x had been copied first, or refused with x as it was."""
    f = SAME_SHAPE[name]
    expected = bits(f(X2))
    memory = np.full(3 * X2.size, 77, np.float32)
    x = memory[X2.size : 2 * X2.size].reshape(X2.shape)
    for start in (X2.size - shift, X2.size + shift):
        x[...] = X2
        out = memory[start : start + X2.size].reshape(X2.shape)
        try:
            assert f(x, out=out) is out
        except ValueError as error:
            assert "out" in str(error)  # noqa: PT017
            assert bits(x) == bits(X2)
        else:
            assert bits(out) == expected


def test_out_that_is_x_backwards():
    x = X2.copy()
    out = x[:, ::-1]
    try:
        cx.pool2d(x, 3, stride=1, padding=1, out=out)
    except ValueError:
        assert bits(x) == bits(X2)
    else:
        assert bits(out) == bits(cx.pool2d(X2, 3, stride=1, padding=1))


def test_out_interleaved_with_x_is_no_overlap():
    """Two views of one memory that share no element."""
    memory = np.zeros((2, 9, 8, 4, 2), np.float32)
    memory[..., 0] = X2
    cx.pool2d(memory[..., 0], 3, stride=1, padding=1, out=memory[..., 1])
    assert bits(memory[..., 1]) == bits(cx.pool2d(X2, 3, stride=1, padding=1))
    assert bits(memory[..., 0]) == bits(X2)
