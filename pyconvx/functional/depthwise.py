"""Depthwise convolution as a candidate: one filter per channel. May import the core, planes and problem."""

from __future__ import annotations

import math
from typing import Any

from .. import _core
from . import planes
from .arrays import Array, channels_together
from .parallel import num_threads
from .prepare import as_taps
from .problem import Problem

__all__ = ["kernel", "panels", "unfit", "wasteful"]

TAPS = 256
"""Most taps: a longer chain of products loses digits, and pointers to its rows take much memory."""


def unfit(problem: Problem) -> str | None:
    """Why the depthwise algorithm cannot do a problem; None if it can."""
    if problem.per_group != (1, 1):
        return "it is for one channel and one filter per group, a group has {1} and {0}".format(*problem.per_group)
    if problem.groups == 1:
        return "there is only one channel"
    taps = math.prod(axis.taps for axis in problem.axes)
    if taps > TAPS:
        return f"it is for at most {TAPS} taps, the filters have {taps}"
    return problem.mixes() or problem.spreads()


def wasteful(problem: Problem) -> str | None:
    """Why another algorithm is likely to be faster at a problem; None if none is."""
    channels, lanes = problem.x.shape[-1], _core.kernels.LEAST_LANES[problem.x.dtype.name]
    if channels < lanes and problem.strides[2] == 1:
        return f"there are {channels} channels, fewer than the {lanes} lanes of the narrowest vector"
    if not channels_together(problem.x) and planes.in_strips(problem):
        return "channels lie apart: strips of places read them where they are"
    return None


def panels(problem: Problem) -> Any:
    """The filters, a vector of channels after the other."""

    def make() -> Any:
        return _core.kernels.ChannelPanels(as_taps(problem.filters, problem.x.dtype), problem.packing)

    return problem.packed(("depthwise",), make)


def kernel(problem: Problem, y: Array) -> Any:
    """The kernel for such arrays."""
    axes, constants = problem.axes, problem.constants
    return _core.kernels.Depthwise(problem.x, panels(problem), y, axes, constants, num_threads())
