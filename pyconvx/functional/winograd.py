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
POINTS = {1: 36, 2: 81}  # products of a tile and a channel, for each stride
LEAST = {1: 16, 2: 32}  # channels, and filters, of a group below which the transforms cost more than they save
DEPTH = 8  # most taps of the first axis
PLACES = {1: 144, 2: 320}  # of the batch, below which transforming filters that are not prepared takes longer
MOST = {1: 6.0, 2: 6.7}  # products of a place and a channel, where places fill their tiles badly

Tiles = tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.intp], int]


def unfit(problem: Problem) -> str | None:
    """Why Winograd's algorithm cannot do a problem; None if it can."""
    taps = [axis.taps for axis in problem.axes]
    if problem.x.dtype != np.float32:
        return f"it is for float32, x is {problem.x.dtype}"
    if taps[1] != 3 or taps[2] != 3 or taps[0] > DEPTH:
        return f"it is for 3 x 3 taps, the filters have {' x '.join(map(str, taps))}"
    if problem.strides[1:] not in ((1, 1), (2, 2)):
        return f"it is for stride 1 or 2, got {' x '.join(map(str, problem.strides[1:]))}"
    if problem.transposed and _stride(problem) != 1:
        return "the adjoint of a strided convolution is none"
    if not problem.finite():
        return "filters hold infinities or NaNs"
    return None


def wasteful(problem: Problem) -> str | None:
    """Why another algorithm is likely to be faster at a problem; None if none is."""
    (outputs, channels), stride = problem.per_group, _stride(problem)
    if stride not in POINTS:
        return "it is for stride 1 or 2"
    if outputs < LEAST[stride] or channels < LEAST[stride]:
        return f"it pays from {LEAST[stride]} channels and filters on, a group has {channels} and {outputs}"
    lengths = [axis.length for axis in problem.axes]
    if problem.prepared is None and problem.x.shape[0] * math.prod(lengths) < PLACES[stride]:
        return f"filters that are not prepared pay from {PLACES[stride]} places on"
    if problem.axes[1].taps != 3 or problem.axes[2].taps != 3:
        return "it is for 3 x 3 taps"
    tiles = tiles_of(problem.axes, stride)
    usual = math.prod(int(regular.sum()) for _, _, regular, _ in tiles)
    if usual * 2 < math.prod(len(first) for first, _, _, _ in tiles):
        return "too few tiles lie regularly in the index tables"
    if not fills(problem.axes, stride):
        return f"a result of {lengths[1]} x {lengths[2]} fills its tiles badly"
    return None


def _stride(problem: Problem) -> int:
    """The stride of the last two axes, which is the same."""
    return problem.strides[1]


def panels(problem: Problem) -> Any:
    """The transformed filters, packed."""
    flipped, stride = (problem.axes[1].step < 0, problem.axes[2].step < 0), _stride(problem)
    key = ("winograd", problem.transposed, stride)

    def make() -> Any:
        taps = as_taps(problem.filters, problem.x.dtype)
        groups, transposed, packing = problem.groups, problem.transposed, problem.packing
        return _core.kernels.WinogradPanels(taps, groups, transposed, all(flipped), stride, packing)

    return problem.packed(key, make)


def kernel(problem: Problem, y: Array) -> Any:
    """The kernel for such arrays; what its `fill` returns is for `mend`."""
    tiles, axes, constants = tiles_of(problem.axes, _stride(problem)), problem.axes, problem.constants
    return _core.kernels.Winograd(problem.x, panels(problem), y, axes, constants, tiles, num_threads())


def mend(problem: Problem, y: Array, flagged: NDArray[np.uint8], finished: bool) -> None:
    """Do the tiles that the kernel reported again, by the direct algorithm, and the activation if that was done."""
    tiles, lengths = tiles_of(problem.axes, _stride(problem)), [axis.length for axis in problem.axes]
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


def tiles_of(axes: tuple[Any, ...], stride: int = 1) -> tuple[Tiles, Tiles]:
    """The tiles along the last two axes."""
    return _tiles(axes[1], stride), _tiles(axes[2], stride)


def fills(axes: tuple[Any, ...], stride: int = 1) -> bool:
    """Whether places fill their tiles well enough for the products to be far fewer."""
    tiles = math.prod(len(first) for first, _, _, _ in tiles_of(axes, stride))
    return tiles * POINTS[stride] <= MOST[stride] * math.prod([int(axis.length) for axis in axes[1:]])


@remembered(_core.Axis)
def _tiles(axis: Any, stride: int) -> Tiles:
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
        regular &= ~there | (axis.rows[last] - axis.rows[first] == i * spacing * stride)
    return first, count, regular, spacing
