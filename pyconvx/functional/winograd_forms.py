"""How convolutions fall into the tiles of Winograd's algorithms: squares of places, or lines.

May import the core and problem.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .. import _core
from ..remember import remembered
from .problem import Problem

__all__ = ["DEPTH", "Form", "Tiles", "fills", "form_of", "fusible", "line", "products_of", "tiles_of"]

MOST = 0.74  # of the multiplications of a sum over taps
DEPTH = 8  # most taps of the axis that no square lies along; of lines there may be WINOGRAD_SUMS, times their pieces
LINE = 8  # points of a line: more is the number of its form
FOLDS = 4  # largest stride whose inputs are folded
ORDERS = (0, 1, 2), (1, 0, 2), (0, 2, 1), (2, 0, 1), (1, 2, 0), (2, 1, 0)

Tiles = tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.intp], int]


class Form(NamedTuple):
    """How a convolution falls into tiles: F(out x out, taps x taps) after folding, or at stride 2 without; or along one
    axis into lines, F(out, taps) for each piece of its taps.
    """

    number: int  # of the transforms: the taps along a side, or 2 for three taps at stride 2, or LINE + those of a piece
    fold: int  # elements along a side that become one, with as many channels squared
    stride: int
    taps: int  # along a side of the filters as they are
    out: int  # places along a side of a tile
    order: tuple[int, int, int] = (0, 1, 2)  # of the axes: tiles lie along the last two, lines along the last
    pieces: int = 1  # of the taps of a line, which are those of each phase of its stride

    @property
    def strided(self) -> bool:
        """Whether it is the form for stride 2 that folds nothing."""
        return self.number == 2

    @property
    def line(self) -> bool:
        """Whether tiles are lines."""
        return self.number > LINE

    @property
    def phases(self) -> int:
        """Of the stride of lines."""
        return self.stride if self.line else 1

    @property
    def places(self) -> int:
        """Of a tile."""
        return self.out if self.line else self.out**2

    def sums(self, problem: Problem) -> int:
        """Sums of a point: taps of the axis that tiles do not lie along, for each piece."""
        return int(problem.axes[self.order[0]].taps) * self.pieces

    @property
    def products(self) -> int:
        """Multiplications for a tile and a channel, by a tap of the axis that tiles do not lie along."""
        return LINE * self.pieces if self.line else (81 if self.strided else 36) * self.fold**2


def form_of(problem: Problem) -> Form | None:
    """The form that suits the taps and strides; None if none does."""
    return _square(problem) or line(problem.axes, problem.strides, problem.transposed)


def line(axes: tuple[Any, ...], strides: tuple[int, ...], transposed: bool = False) -> Form | None:
    """The lines with the fewest multiplications, where one axis at most has more taps beside theirs."""
    best, least = None, math.inf
    for order in ORDERS:
        deep, across, taps = (int(axes[i].taps) for i in order)
        stride = strides[order[2]]
        if across > 1 or taps <= stride or (transposed and max(strides) > 1):
            continue
        for piece in (2, 3, 4, 5, 6):
            pieces, out = stride * -(-taps // (piece * stride)), LINE + 1 - piece
            if deep * pieces <= _core.kernels.WINOGRAD_SUMS and deep * pieces / out < least:
                best, least = Form(LINE + piece, 1, stride, taps, out, order, pieces), deep * pieces / out
    return best


def _square(problem: Problem) -> Form | None:
    (taps, other), (stride, same) = (axis.taps for axis in problem.axes[1:]), problem.strides[1:]
    if taps != other or stride != same:
        return None
    if stride == 1:
        return Form(taps, 1, 1, taps, 7 - taps) if 3 <= taps <= 5 else None
    if problem.transposed:
        return None
    if stride == 2 and taps == 3:
        return Form(2, 1, 2, 3, 4)
    folded = -(-taps // stride)
    if not 3 <= folded <= 5 or stride > FOLDS or problem.groups > 1:
        return None
    if any(axis.step != 1 for axis in problem.axes[1:]):
        return None
    return Form(folded, stride, stride, taps, 7 - folded)


def products_of(problem: Problem, form: Form) -> int:
    """Products of a point: channels after folding, of each of its sums."""
    return form.sums(problem) * problem.per_group[1] * form.fold**2


def fusible(problem: Problem, form: Form) -> bool:
    """Whether the kernel does products and transforms together, as for few channels."""
    groups, channels = problem.groups, problem.per_group[1]  # groups are not folded
    return bool(_core.kernels.fusible(form.number, products_of(problem, form), groups, channels))


def tiles_of(axes: tuple[Any, ...], form: Form) -> tuple[Tiles, Tiles]:
    """The tiles along their two axes."""
    across, along = axes[form.order[1]], axes[form.order[2]]
    return _tiles(across, form.stride, 1 if form.line else form.out), _tiles(along, form.stride, form.out)


def fills(axes: tuple[Any, ...], form: Form) -> bool:
    """Whether places fill their tiles well enough for the products to be far fewer than there are taps."""
    tiles = 1.0
    for _, count, _, _ in tiles_of(axes, form):
        narrow = np.count_nonzero(count <= 2) if form.number == 3 else 0  # with four points of six
        tiles *= len(count) - narrow / 3
    places = math.prod([int(axes[i].length) for i in form.order[1:]])
    return tiles * form.products <= MOST * (form.taps if form.line else form.taps**2) * places


@remembered(_core.Axis)
def _tiles(axis: Any, stride: int, out: int) -> Tiles:
    """Tiles along an axis: first place, number of places, whether their inputs follow one another; and the spacing.

    Places of one tile are as far apart as the taps, so that a dilated convolution falls into interleaved ones.
    """
    spacing = abs(axis.step)
    residues = [np.arange(r, axis.length, out * spacing) for r in range(min(spacing, axis.length))]
    first = np.concatenate([np.empty(0, np.intp), *residues]).astype(np.intp)
    count = np.clip(-((first - axis.length) // spacing), 0, out).astype(np.intp)
    regular = np.ones(first.size, np.intp)
    for i in range(1, out):
        there = i < count
        last = np.where(there, first + i * spacing, first)
        regular &= ~there | (axis.rows[last] - axis.rows[first] == i * spacing * stride)
    return first, count, regular, spacing
