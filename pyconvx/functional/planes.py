"""Convolution with lanes of neighbouring places as a candidate: pictures, few filters. May import core and problem."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any

import numpy as np

from .. import _core
from .arrays import Array
from .parallel import num_threads
from .prepare import as_taps
from .problem import Problem

__all__ = ["planes", "unfit", "wasteful"]

FEW = 0.4
"""Share of a vector's lanes that a group's filters must leave empty for lanes of places to be faster."""


@lru_cache(maxsize=256)
def _rise(axis: Any) -> int:
    """How far apart the rows of an axis lie in its table; 0 if they do not lie evenly, forwards, or in order."""
    if axis.length < 2:
        return 1
    gaps = np.diff(axis.rows)
    even = axis.ordered and gaps[0] > 0 and bool((gaps == gaps[0]).all())
    return int(gaps[0]) if even else 0


def unfit(problem: Problem) -> str | None:
    """Why lanes of places cannot do a problem; None if they can."""
    if problem.strides[2] != 1:
        return f"it is for stride 1 along the last axis, got {problem.strides[2]}"
    if _rise(problem.axes[2]) != 1:
        return "places of the last axis do not read neighbours in its index table"
    if problem.transposed and not np.isfinite(problem.filters).all():
        return "filters hold infinities or NaNs, which a tap that no window read must not spread"
    return None


def wasteful(problem: Problem) -> str | None:
    """Why another algorithm is likely to be faster at a problem; None if none is."""
    outputs, _ = problem.per_group
    lanes = _core.kernels.LANES[problem.x.dtype.name]
    if outputs > FEW * lanes:
        return f"a group has {outputs} filters, enough for lanes of filters"
    if problem.axes[2].length < 2 * lanes:
        return f"a row has {problem.axes[2].length} places, fewer than two vectors"
    if math.prod(axis.taps for axis in problem.axes) < 3:
        return "laying rows out costs more than so few taps"
    return None


def planes(problem: Problem, y: Array) -> None:
    """Fill y."""

    def make() -> Array:
        taps = as_taps(problem.filters, problem.x.dtype)
        if problem.transposed:  # (groups, F, taps, C) as (groups, C, taps, F)
            grouped = taps.reshape(problem.groups, -1, *taps.shape[1:])
            taps = grouped.transpose(0, 3, 2, 1).reshape(-1, taps.shape[1], grouped.shape[1])
        return np.ascontiguousarray(taps)

    weights = problem.packed(("planes", problem.transposed), make)
    _core.kernels.convolve_planes(
        problem.x,
        weights,
        problem.groups,
        problem.bias,
        y,
        problem.axes,
        problem.constants,
        _rise(problem.axes[1]),
        num_threads(),
    )
