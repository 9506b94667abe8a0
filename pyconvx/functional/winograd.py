"""Winograd's algorithm as a candidate: when it fits, how results fall into tiles. May import the core and problem."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .. import _core
from ..remember import remembered
from .arrays import Array
from .parallel import num_threads
from .prepare import as_taps
from .problem import Problem, direct

__all__ = ["DEPTH", "fills", "kernel", "mend", "tiles_of", "unfit", "wasteful"]

OUT = 4  # places along each side of a tile
LEAST = 16  # channels, and filters, of a group below which the transforms cost more than they save
DEPTH = 8  # most taps of the first axis
PLACES = 144  # of the batch, below which transforming filters that are not prepared takes longer than is gained

Tiles = tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.intp], int]


def unfit(problem: Problem) -> str | None:
    """Why Winograd's algorithm cannot do a problem; None if it can."""
    taps = [axis.taps for axis in problem.axes]
    if problem.x.dtype != np.float32:
        return f"it is for float32, x is {problem.x.dtype}"
    if taps[1] != 3 or taps[2] != 3 or taps[0] > DEPTH:
        return f"it is for 3 x 3 taps, the filters have {' x '.join(map(str, taps))}"
    if any(stride != 1 for stride in problem.strides[1:]):
        return f"it is for stride 1, got {' x '.join(map(str, problem.strides[1:]))}"
    if not problem.finite():
        return "filters hold infinities or NaNs"
    return None


def wasteful(problem: Problem) -> str | None:
    """Why another algorithm is likely to be faster at a problem; None if none is."""
    outputs, channels = problem.per_group
    if outputs < LEAST or channels < LEAST:
        return f"it pays from {LEAST} channels and filters on, a group has {channels} and {outputs}"
    lengths = [axis.length for axis in problem.axes]
    if problem.prepared is None and problem.x.shape[0] * math.prod(lengths) < PLACES:
        return f"filters that are not prepared pay from {PLACES} places on"
    if problem.axes[1].taps != 3 or problem.axes[2].taps != 3:
        return "it is for 3 x 3 taps"
    tiles = tiles_of(problem.axes)
    usual = math.prod(int(regular.sum()) for _, _, regular, _ in tiles)
    if usual * 2 < math.prod(len(first) for first, _, _, _ in tiles):
        return "too few tiles lie regularly in the index tables"
    if not fills(problem.axes):
        return f"a result of {lengths[1]} x {lengths[2]} fills its tiles badly"
    return None


def panels(problem: Problem) -> Any:
    """The transformed filters, packed."""
    flipped = problem.axes[1].step < 0, problem.axes[2].step < 0
    key = ("winograd", problem.transposed)

    def make() -> Any:
        taps = as_taps(problem.filters, problem.x.dtype)
        return _core.kernels.WinogradPanels(taps, problem.groups, problem.transposed, all(flipped), problem.packing)

    return problem.packed(key, make)


def kernel(problem: Problem, y: Array) -> Any:
    """The kernel for such arrays; what its `fill` returns is for `mend`."""
    tiles, axes, constants = tiles_of(problem.axes), problem.axes, problem.constants
    return _core.kernels.Winograd(problem.x, panels(problem), y, axes, constants, tiles, num_threads())


def mend(problem: Problem, y: Array, flagged: NDArray[np.uint8], finished: bool) -> None:
    """Do the tiles that the kernel reported again, by the direct algorithm, and the activation if that was done."""
    tiles, lengths = tiles_of(problem.axes), [axis.length for axis in problem.axes]
    n, depth, row, column = np.nonzero(flagged)
    rows, columns = (_places(*tiles[i][:2], tiles[i][3], at) for i, at in ((0, row), (1, column)))
    base = (n * lengths[0] + depth)[:, None, None] * (lengths[1] * lengths[2])
    places = np.where(
        (rows >= 0)[:, :, None] & (columns >= 0)[:, None, :],
        base + rows[:, :, None] * lengths[2] + columns[:, None, :],
        -1,
    )
    kernel = direct(problem, y, np.ascontiguousarray(places[places >= 0]))
    if finished and problem.finish is not None and not kernel.finish(*problem.finish):
        raise AssertionError("the direct kernel finishes some places as any")
    kernel.fill(problem.x, problem.bias, y)


def _places(first: NDArray[np.intp], count: NDArray[np.intp], spacing: int, at: NDArray[np.intp]) -> NDArray[np.intp]:
    """(tiles, OUT): the places along an axis of the tiles `at`, -1 beyond the last."""
    i = np.arange(OUT)
    return np.where(i < count[at][:, None], first[at][:, None] + i * spacing, -1)


def tiles_of(axes: tuple[Any, ...]) -> tuple[Tiles, Tiles]:
    """The tiles along the last two axes."""
    return _tiles(axes[1]), _tiles(axes[2])


def fills(axes: tuple[Any, ...]) -> bool:
    """Whether places fill their tiles well enough for the products to be fewer by half."""
    tiles = math.prod(len(first) for first, _, _, _ in tiles_of(axes))
    return tiles * 36 <= 6 * math.prod([int(axis.length) for axis in axes[1:]])


@remembered(_core.Axis)
def _tiles(axis: Any) -> Tiles:
    """Tiles along an axis: first place, number of places, whether their inputs follow one another; and the spacing.

    Places of one tile are as far apart as the taps, so that a dilated convolution falls into interleaved ones.
    """
    spacing = abs(axis.step)
    residues = [np.arange(r, axis.length, OUT * spacing) for r in range(min(spacing, axis.length))]
    first = np.concatenate([np.empty(0, np.intp), *residues]).astype(np.intp)
    count = np.clip(-((first - axis.length) // spacing), 0, OUT).astype(np.intp)
    regular = np.ones(first.size, np.intp)
    for i in range(1, OUT):
        there = i < count
        last = np.where(there, first + i * spacing, first)
        regular &= ~there | (axis.rows[last] - axis.rows[first] == i * spacing)
    return first, count, regular, spacing
