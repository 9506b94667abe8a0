"""How far a correct result may lie from the reference, derived from the arithmetic. May import the registries.

A sum of n products in any order, with or without fused multiply-add, lies within gamma(n) * sum(|terms|) of the exact
one (Higham, Accuracy and Stability of Numerical Algorithms, section 3.1), where gamma(n) = n u / (1 - n u) and u is the
unit roundoff. Here eps = 2 u stands for u: the other half pays for the rounding of a float64 reference. The sum of
absolute terms is the reference itself, run on absolute values.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..padding import padding
from ..plugin import Bound, accepted
from ..pooling import Pooling
from . import reference
from .reference.padding import is_joint, modes_per_axis

Array = NDArray[Any]


def gamma(n: int, dtype: Any) -> float:
    """The relative error bound of n roundings, twice: see the top of the file."""
    eps = float(np.finfo(dtype).eps)
    return n * eps / (1 - n * eps)


def compute_dtype(*dtypes: Any) -> np.dtype[Any]:
    """The dtype that a convolution of these computes in."""
    floats = [np.result_type(d, np.float32) if np.dtype(d).kind != "f" else np.dtype(d) for d in dtypes]
    result = np.result_type(*floats)
    return np.dtype(np.float32) if result == np.float16 else result


def reference_mode(mode: Any) -> Any:
    """A padding mode of the library as the reference takes it: built-ins by name, others as their rule."""
    if mode is None:
        return None
    if isinstance(mode, (tuple, list)):
        return tuple(reference_mode(one) for one in mode)
    bound = mode if isinstance(mode, Bound) else padding(mode)
    name, rule = bound.name, bound.plugin.function
    if bound.plugin.joint:
        return (name if name in reference.JOINT else reference.Joint(rule), dict(bound.params))
    return (name if name in reference.PADDINGS else rule, dict(bound.params))


def absolute_mode(mode: Any) -> Any:
    """The mode with absolute weights and constants, for sums of absolute terms."""
    if isinstance(mode, (tuple, list)) and not (len(mode) == 2 and isinstance(mode[1], dict)):
        return tuple(absolute_mode(one) for one in mode)
    value = abs(mode[1].get("value", 0)) if isinstance(mode, tuple) else 0
    if is_joint(mode):
        return (reference.Joint(_absolute_joint(mode)), {"value": value})

    def rule(i: Array, n: int, value: Any = value) -> tuple[Array, Array]:
        found = reference.sources(mode, i.tolist(), n)
        terms = max([1, *(len(source.terms) for source in found)])
        index = np.full((terms, len(found)), reference.OUTSIDE, np.intp)
        weight = np.zeros((terms, len(found)))
        for at, source in enumerate(found):
            for term, (j, w) in enumerate(source.terms):
                index[term, at], weight[term, at] = j, abs(w)
        return index, weight

    return (rule, {"value": value})


def _absolute_joint(mode: Any) -> Any:
    def rule(i: tuple[Array, ...], n: tuple[int, ...], value: Any = 0) -> tuple[tuple[Array, ...], Array]:
        found = reference.joint_sources(mode, [each.ravel().tolist() for each in i], n)
        shape = tuple(each.size for each in i)
        places = np.array([source.place or (reference.OUTSIDE,) * len(n) for source in found.values()], np.intp)
        weight = np.array([abs(source.weight) for source in found.values()])
        return tuple(axis.reshape(shape) for axis in places.reshape(-1, len(n)).T), weight.reshape(shape)

    return rule


def absolute(x: Any) -> Any:
    """|x| in float64; None stays None."""
    return None if x is None else np.abs(np.asarray(x).astype(np.float64))


def roundings(terms: int, modes: Any, rank: int) -> int:
    """Roundings on the way of one term: the sum, its product, and up to three weighted elements for each odd axis."""
    if is_joint(modes):
        return terms + 3
    odd = sum("odd" in str(one) or callable(one[0]) for one in modes_per_axis(modes, rank))
    return int(terms * 3**odd + 2 * odd + 2)


def assert_within(got: Array, want: Array, bound: Any, what: str = "") -> None:
    """`got` has the shape of `want` and lies within `bound` of it, after one more rounding to its own dtype."""
    assert got.shape == want.shape, f"{what}: shape {got.shape} instead of {want.shape}"
    info = np.finfo(got.dtype)
    rounding = float(info.eps) * np.abs(want) + float(info.smallest_subnormal) if got.dtype == np.float16 else 0.0
    tiny = float(np.finfo(np.float32).tiny) if got.dtype != np.float64 else float(np.finfo(np.float64).tiny)
    error = np.abs(got.astype(np.float64) - want)
    allowed = bound + rounding + tiny
    if not (error <= allowed).all():
        at = np.unravel_index(np.argmax(np.where(error <= allowed, -np.inf, error)), error.shape)
        raise AssertionError(
            f"{what}: at {tuple(map(int, at))} got {got[at]!r}, expected {want[at]!r}: error {error[at]:.3g}, "
            f"allowed {np.broadcast_to(allowed, error.shape)[at]:.3g}; {(~(error <= allowed)).sum()} of {error.size}"
        )


def pooling_error(kind: str, largest: Array, terms: int, dtype: Any, params: dict[str, Any]) -> Array:
    """How far a pooled value may lie from the exact one. largest: the largest |element| that the window may hold.

    max, min and stochastic pick an element. Sums and means: gamma(n) * n * largest. lp: pow and the root are within
    a few roundings of a value of at most n * largest. std: a triangle inequality in the mean-square norm of the
    deviations, each within gamma(n + 1) * 2 * largest. logsumexp and softmax: exp((w - m) / t) has the relative error
    eps * 2 * largest / t, which moves a weighted mean by at most 2 * largest times that. percentile: two products.
    """
    if kind in ("max", "min", "stochastic"):
        return np.zeros_like(largest)
    scale = float(np.abs(params.get("temperature", 1.0))) if kind in ("logsumexp", "softmax") else 1.0
    if kind in ("logsumexp", "softmax"):
        return np.asarray(gamma(2 * terms + 8, dtype) * (largest + scale) * (1 + 4 * largest / scale))
    divisor = float(abs(params.get("divisor") or 1.0))
    return np.asarray(gamma(2 * terms + 8, dtype) * largest * terms / min(divisor, 1.0) * 2)


def as_reduction(bound: Bound[Pooling]) -> tuple[Any, dict[str, Any]]:
    """(kind, keywords) for the reference's pool: a built-in by name, anything else by its own function."""
    if bound.name in reference.REDUCTIONS:
        return bound.name, dict(bound.params)
    plugin, gradient = bound.plugin, bound.plugin.gradient

    def slopes(*arrays: Array, **params: Any) -> Any:
        if gradient is None:
            raise ValueError(f"pooling {plugin.name!r} has no gradient")
        return gradient(*arrays, **accepted(gradient, params, len(arrays)))

    return plugin.function, {"indexed": plugin.indexed, "slopes": slopes, **bound.params}
