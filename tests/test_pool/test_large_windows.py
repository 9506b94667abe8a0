"""Windows of many elements and gradients of many blocks, divisors, and windows that hold nothing."""

import numpy as np
import pytest
from poolings import POOL

import pyconvx as cx
from pyconvx.testing import reference
from pyconvx.testing.bounds import gamma, reference_mode
from pyconvx.testing.strategies import Drawn


def test_the_mean_of_a_large_window_is_as_good_as_numpys():
    x = np.full((1, 1000, 1000, 1), 0.7, np.float32)
    assert abs(float(cx.global_pool(x, "avg")[0, 0]) - float(np.float32(0.7))) < 1e-6
    assert abs(float(cx.pool2d(x, 1000, "sum").item()) / 7e5 - 1) < 1e-6


@pytest.mark.parametrize("divisor", [1e-50, 2.0**-140])
def test_a_divisor_that_float32_cannot_hold_is_refused(divisor):
    with pytest.raises(ValueError, match="divisor"):
        cx.pool1d(np.zeros((4, 1), np.float32), 2, "avg", divisor=divisor)


@pytest.mark.parametrize("kind", ["min", "avg", "softmax", "mixed"])
@pytest.mark.parametrize(
    ("shape", "size", "options"),
    [
        ((1, 40, 40, 70), 3, {"stride": 1}),
        ((1, 60, 50, 70), 3, {"stride": 2, "padding": "same", "padding_mode": "wrap"}),
        ((1, 40, 30, 30), 4, {"stride": 1, "padding": 5, "padding_mode": "odd_reflect"}),
        ((1, 40, 24, 40), 5, {"stride": 1, "padding": "full", "padding_mode": ("edge", "constant"), "dilation": 2}),
        ((1, 1000, 1), 500, {"stride": 1, "padding": "same"}),
        ((1, 1000, 1), 300, {"stride": 1, "padding": "full", "padding_mode": "reflect", "dilation": 2}),
        ((1, 500, 300), 9, {"stride": 1, "padding": "same", "padding_mode": "symmetric"}),
        ((2, 1, 2, 2000, 3), 40, {"stride": 1, "padding": "same", "padding_mode": "wrap"}),
    ],
)
def test_bands_of_a_gradient_do_not_change_a_bit(kind, shape, size, options):
    """Long enough for many blocks in one sample, of which each owns a band of the first axis that has a length.

    A block is cut for 2**17 elements of windows.
    """
    rank = len(shape) - 2
    size = (1, 1, size) if rank == 3 else size
    x = Drawn(shape, "float32", values="whole", seed=3).plain
    _, pullback = cx.vjp(POOL[rank], x, size, kind, **options)
    random = np.random.default_rng(1)
    gy = random.standard_normal(POOL[rank](x, size, kind, **options).shape).astype(np.float32)
    with cx.threads(1):
        (one,) = pullback(gy)
    with cx.threads(3):
        np.testing.assert_array_equal(pullback(gy)[0], one)
    gy = random.integers(-4, 5, gy.shape).astype(np.float32)
    options = {**options, "padding_mode": reference_mode(options.get("padding_mode"))}
    want = reference.pool_vjp(x, size, kind, gy=gy, rank=rank, **options)
    if kind in ("avg", "softmax", "mixed"):
        np.testing.assert_allclose(pullback(gy)[0], want, rtol=0, atol=gamma(700, np.float32) * np.abs(want).max())
    else:  # sums of whole numbers are exact
        np.testing.assert_array_equal(pullback(gy)[0], want)


@pytest.mark.parametrize("kind", ["max", "sum"])
def test_a_long_window_of_many_channels(kind):
    """Its channels are reduced in several blocks, and its gradient goes back in several."""
    x = Drawn((2, 90, 80, 300), "float32", values="whole", seed=1).plain
    x[0, 17, 5, :] = 9
    y, pullback = cx.vjp(cx.global_pool, x, kind)
    np.testing.assert_array_equal(y, x.max((1, 2)) if kind == "max" else x.sum((1, 2)))
    (gx,) = pullback(y)
    if kind == "max":
        first = (x == y[:, None, None, :]).reshape(2, -1, 300).argmax(1)
        want = np.zeros((2, 7200, 300), np.float32)
        np.put_along_axis(want, first[:, None, :], y[:, None, :], 1)
        np.testing.assert_array_equal(gx, want.reshape(x.shape))
    else:
        np.testing.assert_array_equal(gx, np.broadcast_to(y[:, None, None, :], x.shape))


@pytest.mark.parametrize("samples", [0, 1])
def test_windows_that_step_over_all_elements_are_refused_before_the_data(samples):
    """Neither the first window nor the last, but those between them: elements 5 apart, of which x has 2."""
    options = {"stride": 1, "padding": 4, "dilation": 5}
    for call in (lambda: cx.pool1d(np.ones((samples, 2, 1)), 2, **options),
                 lambda: cx.output_shape(cx.pool1d, (samples, 2, 1), 2, **options)):  # fmt: skip
        with pytest.raises(ValueError, match=r"padding \(4, 4\) leaves a pooling window of size 2 without an element"):
            call()
    assert cx.output_shape(cx.pool1d, (samples, 5, 1), 2, **options) == (samples, 8, 1)
