"""Initializers by name: how parameters begin. Imports the registry."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from ..plugin import Bound, Plugin, calling, narrower, returned
from ..registry import Registry

__all__ = ["Initializer", "fill", "initializer", "initializers"]

Array = NDArray[Any]
Shape = tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Initializer(Plugin):
    """A registered initializer. `function(rng, shape, fan_in, fan_out, **params)` returns an array of that shape.

    fan_in is how many inputs each output of the layer sums, fan_out how many outputs each input reaches.

    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> fill("zeros", rng, (2, 2), 2, 2, np.dtype(np.float32))
    array([[0., 0.],
           [0., 0.]], dtype=float32)
    """

    kind: ClassVar[str] = "initializer"
    arguments: ClassVar[tuple[str, ...]] = ("rng", "shape", "fan_in", "fan_out")


initializers: Registry[Initializer] = Registry(Initializer.kind, Initializer, "pyconvx.initializers")
"""Every initializer by name."""


def initializer(name: str | Initializer | Bound[Initializer], /, **params: Any) -> Bound[Initializer]:
    """Return an initializer with its parameters set. Raises UnknownNameError for a name, TypeError for a parameter.

    >>> initializer("normal", scale=0.01)
    normal(scale=0.01)
    """
    return initializers.resolve(name, params)


def fill(
    given: str | Initializer | Bound[Initializer],
    rng: np.random.Generator,
    shape: Shape,
    fan_in: int,
    fan_out: int,
    dtype: np.dtype[Any],
) -> Array:
    """A parameter as an initializer makes it, in that dtype. Raises UnknownNameError for an unknown name."""
    bound = initializers.resolve(given)
    with calling(bound.plugin):
        made = bound.plugin.function(rng, shape, fan_in, fan_out, **bound.params)
    wide = np.dtype(np.float64)
    return returned(bound.plugin, "function", made, shape, wide, *narrower(wide)).astype(dtype)


@initializers.register("zeros")
def zeros(rng: np.random.Generator, shape: Shape, fan_in: int, fan_out: int) -> Array:
    """All 0, for biases."""
    return np.zeros(shape)


@initializers.register("ones")
def ones(rng: np.random.Generator, shape: Shape, fan_in: int, fan_out: int) -> Array:
    """All 1, for scales."""
    return np.ones(shape)


@initializers.register("constant")
def constant(rng: np.random.Generator, shape: Shape, fan_in: int, fan_out: int, value: float = 0.0) -> Array:
    """All `value`."""
    return np.full(shape, float(value))


@initializers.register("normal")
def normal(rng: np.random.Generator, shape: Shape, fan_in: int, fan_out: int, scale: float = 0.05) -> Array:
    """Normal numbers with standard deviation `scale`."""
    return scale * rng.standard_normal(shape)


@initializers.register("uniform")
def uniform(rng: np.random.Generator, shape: Shape, fan_in: int, fan_out: int, limit: float = 0.05) -> Array:
    """Uniform numbers between -limit and limit."""
    return rng.uniform(-limit, limit, shape)


@initializers.register("he_normal", aliases=("kaiming_normal",))
def he_normal(rng: np.random.Generator, shape: Shape, fan_in: int, fan_out: int) -> Array:
    """Normal, of variance 2 / fan_in: keeps the size of what goes through relu. He et al. 2015, arXiv:1502.01852."""
    return np.asarray(np.sqrt(2 / fan_in) * rng.standard_normal(shape))


@initializers.register("he_uniform", aliases=("kaiming_uniform",))
def he_uniform(rng: np.random.Generator, shape: Shape, fan_in: int, fan_out: int) -> Array:
    """Uniform, of variance 2 / fan_in. He et al. 2015."""
    limit = np.sqrt(6 / fan_in)
    return rng.uniform(-limit, limit, shape)


@initializers.register("glorot_normal", aliases=("xavier_normal",))
def glorot_normal(rng: np.random.Generator, shape: Shape, fan_in: int, fan_out: int) -> Array:
    """Normal, of variance 2 / (fan_in + fan_out). Glorot and Bengio 2010."""
    return np.asarray(np.sqrt(2 / (fan_in + fan_out)) * rng.standard_normal(shape))


@initializers.register("glorot_uniform", aliases=("xavier_uniform",))
def glorot_uniform(rng: np.random.Generator, shape: Shape, fan_in: int, fan_out: int) -> Array:
    """Uniform, of variance 2 / (fan_in + fan_out). Glorot and Bengio 2010."""
    limit = np.sqrt(6 / (fan_in + fan_out))
    return rng.uniform(-limit, limit, shape)


@initializers.register("lecun_normal")
def lecun_normal(rng: np.random.Generator, shape: Shape, fan_in: int, fan_out: int) -> Array:
    """Normal, of variance 1 / fan_in, as selu asks for. LeCun et al. 1998; Klambauer et al. 2017."""
    return np.asarray(np.sqrt(1 / fan_in) * rng.standard_normal(shape))


@initializers.register("orthogonal")
def orthogonal(rng: np.random.Generator, shape: Shape, fan_in: int, fan_out: int, gain: float = 1.0) -> Array:
    """Rows, or columns, of a random orthogonal matrix of shape (first, rest). Saxe et al. 2013, arXiv:1312.6120."""
    rows, columns = shape[0], int(np.prod(shape[1:]))
    q, r = np.linalg.qr(rng.standard_normal((max(rows, columns), min(rows, columns))))
    q = q * np.sign(np.diagonal(r))
    return np.asarray(gain * (q if rows >= columns else q.T).reshape(shape))
