"""A padding mode of your own: a rule that says which element each outside coordinate takes, and its sign."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

import pyconvx as cx


@cx.paddings.register("antiperiodic")
def antiperiodic(i: NDArray[np.intp], n: int) -> tuple[NDArray[np.intp], NDArray[Any]]:
    """Wrap around, and change the sign with every turn: `-2 -3 | 1 2 3 | -1 -2`."""
    turns = i // n
    return i % n, np.where(turns % 2 == 0, 1.0, -1.0)


print(cx.pad(np.array([1.0, 2.0, 3.0]), 4, mode="antiperiodic"))

# It is now a mode like any other: in a convolution, per axis, in either layout, with exact gradients.
x = np.random.default_rng(0).normal(size=(6, 8, 1))
filters = cx.filters["laplacian"].as_filters().astype(np.float64)
y, pullback = cx.vjp(cx.conv2d, x, filters, padding="same", padding_mode=("antiperiodic", "wrap"))
gx, gfilters = pullback(np.ones_like(y))
print("result", y.shape, "gradients", gx.shape, gfilters.shape)

# By hand: three turns of the picture, the outer ones with the other sign, convolved without padding.
padded = np.concatenate([-x[-1:], x, -x[:1]])
padded = np.concatenate([padded[:, -1:], padded, padded[:, :1]], axis=1)
assert np.allclose(y, cx.conv2d(padded, filters))
