"""Convolution with lanes of places for any number of filters as a candidate. May import the core and problem."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any

import numpy as np

from .. import _core
from .arrays import Array, channels_together
from .parallel import num_threads
from .problem import Problem

__all__ = ["kernel", "per_place", "unfit", "wasteful", "weights"]

PRODUCTS = 8192
"""Most products of a place: longer sums are added up in parts."""
GAPS = 16
"""Most positions of an axis from one tap to the next: what lies between them in a row is laid out, too."""
JOINED = 1 << 14
"""Most places of rows that are read as one."""
MANY = 160
"""Products of a place, of several taps, that amount to more than turning what lies apart costs."""
FEW = 6
"""Filters of a group that leave most of a panel of filters empty, so that more products are worth it."""
COSTS = {16: (3, 1.25)}
"""What turning one output of a place takes in products, and what a product here takes in those of a lane of filters; by
lanes of a vector, and with fewer:"""
SLOW = 8, 1.1
HIGH = 1.04
"""The same for more filters than half a vector holds."""
SINGLE = {"float32": 7, "float64": 5}
"""Filters of a group that are few for a single channel."""
LONG = 64
"""Places of a row from which on turning the result costs less, with 16 lanes, than doing such filters one by one."""
PART, PHASED = 1.5, 4.3
"""Outputs that are turned in the time that an element of x takes, and one of a row that is taken apart for a stride."""
ALONE = 3
"""Filters of a group that `planes` would do, one at a time and half as fast."""
STRIDED = 32
"""Filters of a group that are worth taking rows apart into more than two phases."""


def unfit(problem: Problem) -> str | None:
    """Why columns cannot do a problem; None if they can."""
    products = _products(problem)
    if products > PRODUCTS:
        return f"it is for at most {PRODUCTS} products per place, the filters have {products}"
    if not problem.axes[0].ordered or 0 in (problem.axes[1].rise, problem.axes[2].rise):
        return "places do not read evenly in the index tables"
    if abs(problem.axes[1].step) > GAPS or abs(problem.axes[2].step) > GAPS:
        return "taps lie far apart, and what lies between them is laid out too"
    return problem.spreads()


def wasteful(problem: Problem) -> str | None:
    """Why another algorithm is likely to be faster at a problem; None if none is."""
    together = not problem.apart or (channels_together(problem.x) and problem.x.shape[-1] > 1)
    if together and not _single(problem) and _filled(problem):
        return "channels lie together: lanes of filters need no turning, and few of them are empty"
    return unsuited(problem, together)


def unsuited(problem: Problem, together: bool = False) -> str | None:
    """Why lanes of filters are likely to be faster at a problem where channels lie apart, or together."""
    (outputs, channels), taps, products = problem.per_group, _taps(problem), _products(problem)
    if outputs < (2 if channels > 1 else 3 if together else 5):
        return f"a group has {outputs} filters: they do not make up for laying out what they multiply"
    most = _core.kernels.COLUMNS_AT_ONCE if together or outputs <= FEW else MANY
    if taps > 1 and products > most:
        return f"turning what lies apart costs little beside {products} products per place"
    if problem.axes[2].rise > 2 and outputs < STRIDED:
        return f"taking rows apart for a stride of {problem.strides[2]} costs much beside so few filters"
    lengths, lanes = [axis.length for axis in problem.axes], _core.kernels.LANES[problem.x.dtype.name]
    if together and _single(problem) and (lengths[2] < LONG or lanes < 16):
        return f"turning {lengths[2]} places of a row costs more than doing so few filters one by one"
    if (lengths[2] < 2 * lanes) if taps > 1 else (math.prod(lengths[1:]) < lanes):
        return "places of a row, or of all rows for one tap, do not fill a tile"
    return None


def _taps(problem: Problem) -> int:
    return math.prod(int(axis.taps) for axis in problem.axes)


def _products(problem: Problem) -> int:
    """Products of a place and a filter."""
    return problem.per_group[1] * _taps(problem)


def per_place(problem: Problem) -> float:
    """Products of a place of a group, one by one, and as many more as turning x and the result takes where channels lie
    together.
    """
    (outputs, channels), lanes = problem.per_group, _core.kernels.LANES[problem.x.dtype.name]
    laid: int = channels * math.prod(max(axis.rise, 1) for axis in problem.axes)  # elements for each place
    part = PHASED if problem.axes[2].rise > 1 else PART
    turning, loaded = COSTS.get(lanes, SLOW)
    loaded *= 1 if outputs <= lanes // 2 else HIGH
    return _products(problem) * loaded * _rows(outputs) + turning * (outputs + part * laid)


def _single(problem: Problem) -> bool:
    """Whether a few filters read one channel: then only `planes` are as fast, where rows are short."""
    outputs, channels = problem.per_group
    return channels == 1 and outputs <= SINGLE[problem.x.dtype.name]


def _filled(problem: Problem) -> bool:
    """Whether lanes of filters are full enough to be faster where channels lie together."""
    lanes = _core.kernels.LANES[problem.x.dtype.name]
    return _products(problem) * _lanes(problem.per_group[0], lanes) <= per_place(problem)


def _lanes(outputs: int, lanes: int) -> int:
    """Lanes that filters of a group take in panels of two vectors, the last of which may be one, or half of one."""
    whole, rest = divmod(outputs, 2 * lanes)
    width = 2 * lanes if rest > lanes else lanes if rest else 0
    if 0 < 2 * rest <= lanes and _core.kernels.ISA == "avx512":  # elsewhere half a vector takes the time of a whole one
        width = lanes // 2
    filled = whole * 2 * lanes + width
    return max(filled, 2 * outputs) if outputs <= ALONE else filled


def _rows(outputs: int) -> int:
    """Rows that filters of a group take in tiles of about the same height."""
    tiles = -(-outputs // _core.kernels.TILE_ROWS)
    return tiles * -(-outputs // tiles)


@lru_cache(maxsize=16)
def _every(length: int) -> Any:
    """The table of an axis whose places read the elements of the same number."""
    return _core.Axis(length, 1, 1, np.arange(length), np.arange(length))


def _in_rows(array: Array, length: int) -> bool:
    """Whether the rows of an array (N, D, H, W, C), so long, follow one another."""
    return array.shape[2] == 1 or array.strides[2] == length * array.strides[3]


def _joined(problem: Problem, y: Array) -> tuple[Array, Array, tuple[Any, ...]]:
    """x, y and the axes, of which the last two are one where all places read what lies there: tiles are fuller then."""
    depth, rows, columns = problem.axes
    height, width, x = rows.length, columns.length, problem.x
    if rows.taps * columns.taps > 1 or not 1 < height * width <= JOINED or problem.border is not None:
        return x, y, problem.axes
    plain = all(
        axis.source == axis.length and np.array_equal(axis.codes(), np.arange(axis.length)[:, None])
        for axis in (rows, columns)
    )
    if not (plain and _in_rows(x, width) and _in_rows(y, width)):
        return x, y, problem.axes
    x, y = (array.reshape(*array.shape[:2], 1, height * width, array.shape[4]) for array in (x, y))
    return x, y, (depth, _every(1), _every(height * width))


def weights(problem: Problem) -> Array:
    """The filters as the kernel takes them."""
    return problem.weights(apart=True)


def kernel(problem: Problem, y: Array) -> Any:
    """The kernel for such arrays."""
    x, y, axes = _joined(problem, y)
    return _core.kernels.Columns(x, weights(problem), problem.groups, y, axes, problem.constants, num_threads())
