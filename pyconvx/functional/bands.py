"""Convolution by rows of places as a candidate: few channels, short kernel rows. May import the core and problem."""

from __future__ import annotations

import math
from typing import Any

from .. import _core
from .arrays import Array
from .parallel import num_threads
from .problem import Problem

__all__ = ["kernel", "unfit", "wasteful"]

PRODUCTS = 8192
"""Most products of a place: longer sums are added up in parts, and amount to so much that tables cost nothing."""
NARROW = 3
"""Places of a row that lie evenly, below which a tile of one row is too low."""
NEAR = 64
"""Filters of a group from which rows a page apart cost more than tables of pointers to copies of them."""
PAGE = 4096
GAPS = 16
"""Most positions of a row that are laid out for each that is read."""


def unfit(problem: Problem) -> str | None:
    """Why rows of places cannot do a problem; None if they can."""
    taps, channels = [axis.taps for axis in problem.axes], problem.per_group[1]
    if math.prod(taps) * channels > PRODUCTS:
        return f"it is for at most {PRODUCTS} products per place, the filters have {math.prod(taps) * channels}"
    if abs(problem.axes[1].step) > GAPS or abs(problem.axes[2].step) > GAPS:
        return "taps lie far apart, and what lies between them is laid out too"
    return problem.spreads()


def wasteful(problem: Problem) -> str | None:
    """Why another algorithm is likely to be faster at a problem; None if none is."""
    outputs, _ = problem.per_group
    lengths, pieces = [axis.length for axis in problem.axes], problem.axes[2].pieces
    if lengths[2] < NARROW * len(pieces) and math.prod(lengths) > lengths[2] / len(pieces):
        return f"places of the last axis lie evenly {lengths[2] / len(pieces):.1f} at a time: other tiles are higher"
    step = problem.x.shape[-1] * int(pieces[:, 2].max(initial=0))
    if outputs > NEAR and step * problem.x.itemsize % PAGE == 0:
        return "places lie pages apart, which the nearest cache does not hold together"
    return None


def kernel(problem: Problem, y: Array) -> Any:
    """The kernel for such arrays."""
    axes, constants, panels = problem.axes, problem.constants, problem.panels()
    return _core.kernels.Bands(problem.x, panels, y, axes, constants, num_threads())
