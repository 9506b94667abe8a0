"""An activation of your own: the function, its derivative, and a parameter."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

import pyconvx as cx

Array = NDArray[Any]


def slope(x: Array, y: Array, a: float) -> Array:
    """The derivative of snake. It may use the result y as well, where that is cheaper."""
    return 1 + np.sin(2 * a * x)


@cx.activations.register("snake", derivative=slope)
def snake(x: Array, a: float = 1.0) -> Array:
    """Return x + sin(a x)^2 / a, which can learn periodic signals (Ziyin, Hartwig and Ueda, 2020)."""
    return x + np.sin(a * x) ** 2 / a


x = np.random.default_rng(0).normal(size=(8, 8, 3))
filters = np.random.default_rng(1).normal(size=(4, 3, 3, 3))
y, pullback = cx.vjp(cx.conv2d, x, filters, padding="same", activation=cx.activation("snake", a=0.5))
gx, gfilters = pullback(np.ones_like(y))

# A difference quotient in a random direction agrees with the gradient.
direction, step = np.random.default_rng(2).normal(size=x.shape), 1e-6
options: dict[str, Any] = {"padding": "same", "activation": cx.activation("snake", a=0.5)}
forward, backward = (cx.conv2d(x + s * direction, filters, **options).sum() for s in (step, -step))
quotient = (forward - backward) / (2 * step)
print(f"gradient {np.sum(gx * direction):.6f}, difference quotient {quotient:.6f}")
assert np.isclose(np.sum(gx * direction), quotient)
