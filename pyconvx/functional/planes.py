"""Convolution with lanes of neighbouring places as a candidate: pictures, few filters, strides 1 and 2 along rows.

May import the core, columns and problem.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

from .. import _core
from . import columns
from .arrays import Array, channels_together
from .parallel import num_threads
from .problem import Problem

__all__ = ["in_strips", "kernel", "unfit", "wasteful"]

MANY_TAPS = 25
"""Taps from which laying rows out channel by channel costs little beside the products."""
STRIPS = range(2, 12)
"""Rows of taps that strips are for."""
STRIDED = range(2, 8)
"""Those of strips whose places read every second element of a row."""
WIDEST = 16
"""Taps of a row of such windows."""
CHAIN = 128
"""Taps whose products all kernels add up in one chain, to the same bits."""
SEGMENT = 1024
"""Places of a row that the kernel lays out at once."""


class Costs(NamedTuple):
    """What rows of places take of a single channel, channels first, in multiplications of vectors, as measured."""

    tap: float  # of strips: for each filter and vector of places, and
    vector: float  # beside the taps,
    strip: float  # and for a filter of a picture
    columns: tuple[float, float, float, float]  # a tap, and what is beside, of such a vector; to lay out a tap; a row
    bands: tuple[float, float, float]  # beside the taps of a place: a vector of filters, all of them; a row


COSTS = {
    16: Costs(1.1, 2.5, 176, (0.82, 3.4, 2.2, 170), (3.4, 10.8, 46)),
    8: Costs(1.1, 6.4, 238, (0.81, 7.4, 2.9, 330), (9.6, 12.6, 106)),
}
"""By lanes; with fewer:"""
NARROW = Costs(0.87, 1.2, 172, (0.65, 3.2, 1.2, 153), (4.1, 2.9, 35))


def unfit(problem: Problem) -> str | None:
    """Why lanes of places cannot do a problem; None if they can."""
    columns = problem.axes[2]
    if problem.strides[2] > 2:
        return f"it is for strides 1 and 2 along the last axis, got {problem.strides[2]}"
    if columns.rise not in (1, 2):
        return "places of the last axis do not read neighbours, or every second element, in its index table"
    if columns.rise == 2 and not _stripped(problem):
        few = f"{STRIDED.start} to {STRIDED.stop - 1} rows of taps"
        return f"at stride 2 along the last axis it is for one channel a group and {few} at stride 1 or 2"
    return problem.spreads()


def _stripped(problem: Problem) -> bool:
    """Whether strips go down from row to row."""
    depth, rows, columns = problem.axes
    if not 1 <= rows.rise <= columns.rise or not abs(rows.step) == depth.taps == problem.per_group[1] == 1:
        return False
    near = columns.rise == 1 or (columns.taps - 1) * abs(columns.step) <= SEGMENT
    return near and rows.taps in (STRIPS if columns.rise == 1 else STRIDED) and columns.taps <= WIDEST


def wasteful(problem: Problem) -> str | None:
    """Why another algorithm is likely to be faster at a problem; None if none is."""
    outputs, channels = problem.per_group
    axis, lanes = problem.axes[2], _core.kernels.LANES[problem.x.dtype.name]
    taps = math.prod(axis.taps for axis in problem.axes)
    if (
        outputs > 1
        and problem.apart
        and axis.rise == 1
        and axis.length >= lanes
        and taps <= CHAIN
        and _stripped(problem)
    ):
        return _dearer(problem, taps, lanes)
    most = 3 if channels == 2 or taps >= MANY_TAPS else 1  # filters, as measured
    if channels == 1:
        most = 4 if axis.length < axis.rise * lanes else columns.SINGLE[problem.x.dtype.name]
    suits = columns.wasteful if channels_together(problem.x) else columns.unsuited  # or `bands`, with their bits
    if outputs > 1 and suits(problem) is None and columns.unfit(problem) is None:
        return "`columns` do more filters at a time"
    if outputs > most:
        return f"a group has {outputs} filters, more than {most}: lanes of filters are fuller"
    if axis.length < lanes and channels > 4:
        return f"a row has {axis.length} places, fewer than a vector"
    if axis.rise > 1 and problem.x.shape[-1] > 1 and (outputs > 1 or channels_together(problem.x)):
        return "lanes of channels, or of filters, read every second element as fast as any"
    if taps < 3:
        return "laying rows out costs more than so few taps"
    if (axis.taps - 1) * abs(axis.step) > 2 * axis.taps * min(axis.length, SEGMENT):
        return "taps of the last axis lie far apart, and what lies between them is laid out too"
    return None


def _dearer(problem: Problem, taps: int, lanes: int) -> str | None:
    """Why strips of a channel are likely to be slower than `columns` and `bands` at several filters, channels first."""
    outputs, costs = problem.per_group[0], COSTS.get(lanes, NARROW)
    height, width = (int(axis.length) for axis in problem.axes[1:])
    vectors, full = -(-width // lanes), 0.5 if lanes == 16 and 2 * outputs <= lanes else -(-outputs // lanes)
    strips = outputs * (vectors * (costs.tap * taps + costs.vector) + costs.strip / max(height, 1))
    tap, beside, laid, row = costs.columns
    others = {"columns": vectors * (outputs * (tap * taps + beside) + laid * taps) + row}
    vector, place, row = costs.bands
    others["bands"] = width * (full * (taps + vector) + place) + row
    name = min(others, key=others.__getitem__)
    return f"a row takes {strips / others[name]:.2f} of what `{name}` take" if strips >= others[name] else None


def in_strips(problem: Problem) -> bool:
    """Whether this is the best for pictures of one channel each: strips that go down from row to row."""
    _, rows, columns = problem.axes
    lanes = _core.kernels.LANES[problem.x.dtype.name]
    many = columns.rise > 1 and rows.taps * columns.taps >= MANY_TAPS  # which leave little to gain, as measured
    if 2 * columns.length < (4 if many else 3) * lanes or rows.length < lanes or not _stripped(problem):
        return False
    return unfit(problem) is None and wasteful(problem) is None and not any(axis.mixed for axis in problem.axes)


def kernel(problem: Problem, y: Array) -> Any:
    """The kernel for such arrays."""
    taps = problem.weights()
    rise, axes, constants = problem.axes[1].rise, problem.axes, problem.constants
    return _core.kernels.Planes(problem.x, taps, problem.groups, y, axes, constants, rise, num_threads())
