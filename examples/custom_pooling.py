"""A pooling of your own: how a window becomes one number, and the slope of that number in each element."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

import pyconvx as cx

Array = NDArray[Any]


def shares(w: Array, y: Array) -> Array:
    """The gradient of lse: the share of each element in the sum."""
    result: Array = np.exp(w - y[..., None])
    return result


@cx.poolings.register("lse", gradient=shares)
def lse(w: Array) -> Array:
    """Log of the sum of exponentials, a smooth maximum. The last axis of w is the window."""
    m: Array = w.max(-1)
    rest: Array = np.log(np.exp(w - m[..., None]).sum(-1))
    return m + rest


x = np.random.default_rng(0).normal(size=(1, 12, 12, 2))  # (N, H, W, C)
print("windows of 3 x 3:", cx.pool2d(x, 3, "lse").shape)
print("a grid of 2 x 5: ", cx.adaptive_pool2d(x, (2, 5), "lse").shape)
print("whole channels:  ", cx.global_pool(x, "lse").shape)

# Never below the maximum, and the slopes of a window sum to 1.
y, pullback = cx.vjp(cx.pool2d, x, 3, "lse")
(gx,) = pullback(np.ones_like(y))
assert np.all(y >= cx.pool2d(x, 3, "max"))
assert np.allclose(cx.pool2d(gx, 3, "sum"), 1)
