"""Convolution with lanes of channels as a candidate: few filters. May import core, planes and problem."""

from __future__ import annotations

import math
from typing import Any

from .. import _core
from . import planes
from .arrays import Array, channels_together
from .parallel import num_threads
from .prepare import as_taps
from .problem import Problem

__all__ = ["filters", "kernel", "unfit", "wasteful"]

PRODUCTS = 8192
"""Most products of a place, as many as are added up without keeping what that rounds away."""
FULL = 3
"""Vectors of channels from which lanes of them are full enough."""
LONG = 12
"""The same where the last vector is not full."""
FEW = 128
"""Products of a place below which to find what it reads takes longer."""


def unfit(problem: Problem) -> str | None:
    """Why lanes of channels cannot do a problem; None if they can."""
    (outputs, channels), taps = problem.per_group, math.prod(axis.taps for axis in problem.axes)
    if outputs > _core.kernels.MOST_DOTS:
        return f"it is for at most {_core.kernels.MOST_DOTS} filters, a group has {outputs}"
    if taps > _core.kernels.MOST_DOTS_TAPS:
        return f"it is for at most {_core.kernels.MOST_DOTS_TAPS} taps, the filters have {taps}"
    if taps * channels > PRODUCTS:
        return f"it is for at most {PRODUCTS} products per place, the filters have {taps * channels}"
    return problem.mixes() or problem.spreads()


def wasteful(problem: Problem) -> str | None:
    """Why another algorithm is likely to be faster at a problem; None if none is."""
    (_, channels), lanes = problem.per_group, _core.kernels.LANES[problem.x.dtype.name]
    if channels < (FULL if channels % lanes == 0 else LONG) * lanes:
        return f"a group has {channels} channels, too few to fill vectors of {lanes}"
    products = math.prod(axis.taps for axis in problem.axes) * channels
    if products < FEW:
        return f"a place has {products} products, fewer than {FEW}"
    if not channels_together(problem.x) and planes.unfit(problem) is None and planes.wasteful(problem) is None:
        return "channels lie apart: lanes of places read them where they are"
    return None


def filters(problem: Problem) -> Any:
    """The filters, whose lanes are channels."""

    def make() -> Any:
        taps = as_taps(problem.filters, problem.x.dtype)
        return _core.kernels.DotFilters(taps, problem.groups, problem.transposed, problem.packing)

    return problem.packed(("dots", problem.transposed), make)


def kernel(problem: Problem, y: Array) -> Any:
    """The kernel for such arrays."""
    axes, constants = problem.axes, problem.constants
    return _core.kernels.Dots(problem.x, filters(problem), y, axes, constants, num_threads())
