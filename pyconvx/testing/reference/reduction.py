"""What a window becomes, and how it answers to each of its elements, by definition. Imports numpy only.

w is (..., window) and y is (...); SLOPES give dy/dw in the shape of w. The divisors of "avg" are in pooling.py, which
knows them. "stochastic" draws numbers: pass its function to the reference instead of the name.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from .axes import Array


def _one_hot(index: Array, length: int) -> Array:
    return np.asarray(np.arange(length) == index[..., np.newaxis], np.float64)


def _max(w: Array) -> Array:
    return np.asarray(w.max(-1))


def _max_slope(w: Array, y: Array) -> Array:
    return _one_hot(np.argmax(w, axis=-1), w.shape[-1])  # the first one; a NaN counts as the largest


def _min(w: Array) -> Array:
    return np.asarray(w.min(-1))


def _min_slope(w: Array, y: Array) -> Array:
    return _one_hot(np.argmin(w, axis=-1), w.shape[-1])


def _sum(w: Array) -> Array:
    return np.asarray(w.sum(-1))


def _sum_slope(w: Array, y: Array) -> Array:
    return np.ones(w.shape)


def _avg(w: Array) -> Array:
    return np.asarray(w.mean(-1))


def _avg_slope(w: Array, y: Array) -> Array:
    return np.full(w.shape, 1 / w.shape[-1])


def _lp(w: Array, p: float = 2.0) -> Array:
    return np.asarray((np.abs(w) ** p).sum(-1) ** (1 / p))


def _lp_slope(w: Array, y: Array, p: float = 2.0) -> Array:
    y = y[..., np.newaxis]
    ratio = np.abs(w) / np.where(y == 0, 1.0, y)
    return np.where(w == 0, 0.0, np.sign(w) * np.where(ratio > 0, ratio, 1.0) ** (p - 1))


def _percentile(w: Array, q: float = 50.0) -> Array:
    """Linear between the two ordered elements around position q / 100 * (window - 1)."""
    ordered = np.sort(w, axis=-1)
    low, high, fraction = _around(w.shape[-1], q)
    below, above = ordered[..., low], ordered[..., high]
    between = below if fraction == 0 else (1 - fraction) * below + fraction * above
    y = np.where(below == above, below, between)  # two equal infinities have nothing between them
    return np.where(np.isnan(w).any(-1), np.nan, y)


def _percentile_slope(w: Array, y: Array, q: float = 50.0) -> Array:
    order = np.argsort(w, axis=-1, kind="stable")
    low, high, fraction = _around(w.shape[-1], q)
    size = w.shape[-1]
    return (1 - fraction) * _one_hot(order[..., low], size) + fraction * _one_hot(order[..., high], size)


def _around(size: int, q: float) -> tuple[int, int, float]:
    position = q / 100 * (size - 1)
    low = int(np.floor(position))
    return low, min(low + 1, size - 1), position - low


def _logsumexp(w: Array, temperature: float = 1.0) -> Array:
    return np.asarray(temperature * np.logaddexp.reduce(w / temperature, axis=-1))


def _shares(w: Array, temperature: float = 1.0) -> Array:
    top = w.max(-1, keepdims=True) if temperature > 0 else w.min(-1, keepdims=True)
    e = np.exp(np.where(w == top, 0.0, w - top) / temperature)  # an infinity that is the top has a share too
    return np.asarray(e / e.sum(-1, keepdims=True))


def _logsumexp_slope(w: Array, y: Array, temperature: float = 1.0) -> Array:
    return _shares(w, temperature)


def _softmax(w: Array, temperature: float = 1.0) -> Array:
    share = _shares(w, temperature)
    return np.asarray(np.where(share == 0, 0.0, w * share).sum(-1))


def _softmax_slope(w: Array, y: Array, temperature: float = 1.0) -> Array:
    return np.asarray(_shares(w, temperature) * (1 + (w - y[..., np.newaxis]) / temperature))


def _mixed(w: Array, alpha: float = 0.5) -> Array:
    return np.asarray(alpha * w.max(-1) + (1 - alpha) * w.mean(-1))


def _mixed_slope(w: Array, y: Array, alpha: float = 0.5) -> Array:
    return np.asarray(alpha * _max_slope(w, y) + (1 - alpha) / w.shape[-1])


def _deviation(w: Array) -> Array:
    """From the mean, which of equal numbers is that number: the rounding of a mean would be taken for a deviation."""
    flat = (w == w[..., :1]).all(-1, keepdims=True) & np.isfinite(w[..., :1])
    return np.asarray(np.where(flat, 0.0, w - w.mean(-1, keepdims=True)))


def _std(w: Array) -> Array:
    return np.asarray(np.sqrt((_deviation(w) ** 2).mean(-1)))


def _std_slope(w: Array, y: Array) -> Array:
    y = y[..., np.newaxis]
    slope = _deviation(w) / (w.shape[-1] * np.where(y == 0, 1.0, y))
    return np.where(y == 0, 0.0, slope)


REDUCTIONS: dict[str, Callable[..., Any]] = {
    "max": _max,
    "min": _min,
    "avg": _avg,
    "sum": _sum,
    "lp": _lp,
    "median": _percentile,
    "percentile": _percentile,
    "logsumexp": _logsumexp,
    "softmax": _softmax,
    "mixed": _mixed,
    "std": _std,
}

SLOPES: dict[str, Callable[..., Any]] = {
    "max": _max_slope,
    "min": _min_slope,
    "avg": _avg_slope,
    "sum": _sum_slope,
    "lp": _lp_slope,
    "median": _percentile_slope,
    "percentile": _percentile_slope,
    "logsumexp": _logsumexp_slope,
    "softmax": _softmax_slope,
    "mixed": _mixed_slope,
    "std": _std_slope,
}
