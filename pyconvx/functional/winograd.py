"""Winograd's algorithm as a candidate: when it fits, how results fall into tiles.

May import the core, columns and problem.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .. import _core
from ..remember import remembered
from . import columns
from .arrays import Array
from .parallel import num_threads
from .prepare import as_taps
from .problem import Problem, direct

__all__ = [
    "DEPTH",
    "Form",
    "fills",
    "form_of",
    "kernel",
    "mend",
    "panels",
    "saved",
    "tall",
    "tiles_of",
    "unfit",
    "wasteful",
]

SUITS = "it is for 3 x 3 to 5 x 5 taps at stride 1, or three to five times the stride"
MOST = 0.74  # of the multiplications of a sum over taps
DEPTH = 8  # most taps of the first axis
FOLDS = 4  # largest stride whose inputs are folded


class Costs(NamedTuple):
    """What a tile takes whose products and transforms are done together, in multiplications of vectors, as measured."""

    tile: int  # to find it
    inputs: int  # to transform a vector of its channels
    fold: int  # to find each further row of the squares that are folded
    output: int  # to transform a vector of outputs back, for each place of the tile
    products: int  # of a vector of filters with a channel
    place: int  # what a place takes of a group that is summed tap by tap, beside multiplications, and
    columns: float  # what a tap takes of a channel beside them, if that is done by `columns`


COSTS = {16: Costs(165, 395, 855, 7, 38, 30, 0.3), 8: Costs(505, 345, 2575, 12, 49, 49, 0.5)}  # by lanes; with fewer:
NARROW = Costs(1460, 76, 2240, 10, 47, 42, 0.5)
STRIPS = {16: Costs(133, 27, 220, 9, 38, 12, 0.3), 8: Costs(390, 17, 310, 12, 49, 22, 0.5)}
"""The same where tiles are transformed in strips of neighbours; `inputs`: an element of the rows of a tile."""
NARROW_STRIPS = Costs(310, 0, 130, 8, 45, 15, 0.5)
HALF = 0.75  # of what a vector of outputs takes, where they fill half of one at most
CALL = (
    1000  # multiplications of vectors that a call takes more; charged to each sample, so that others change no choice
)
EXCHANGE = 14  # to bring a vector of channels together, or take one of outputs apart, of each place

Tiles = tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.intp], int]


class Form(NamedTuple):
    """How a convolution falls into tiles: F(out x out, taps x taps) after folding, or at stride 2 without."""

    number: int  # of the transforms: the taps along a side, or 2 for three taps at stride 2
    fold: int  # elements along a side that become one, with as many channels squared
    stride: int
    taps: int  # along a side of the filters as they are
    out: int  # places along a side of a tile

    @property
    def strided(self) -> bool:
        """Whether it is the form for stride 2 that folds nothing."""
        return self.number == 2

    @property
    def products(self) -> float:
        """Multiplications for a place and a channel, where places fill their tiles."""
        return (81 if self.strided else 36) * self.fold**2 / self.out**2


def form_of(problem: Problem) -> Form | None:
    """The form that suits the taps and strides of the last two axes; None if none does."""
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


def unfit(problem: Problem) -> str | None:
    """Why Winograd's algorithm cannot do a problem; None if it can."""
    if problem.x.dtype != np.float32:
        return f"it is for float32, x is {problem.x.dtype}"
    if form_of(problem) is None or problem.axes[0].taps > DEPTH:
        taps, strides = " x ".join(str(axis.taps) for axis in problem.axes), " x ".join(map(str, problem.strides))
        return f"{SUITS}, the filters have {taps} taps at stride {strides}"
    if (problem.axes[1].step < 0) != (
        problem.axes[2].step < 0
    ):  # of an adjoint, where one has a row of its own a place
        return "the index tables hold the taps of the two axes in different orders"
    if not problem.finite():
        return "filters hold infinities or NaNs"
    return None


def wasteful(problem: Problem) -> str | None:
    """Why another algorithm is likely to be faster at a problem; None if none is."""
    (outputs, channels), form = problem.per_group, form_of(problem)
    if form is None:
        return SUITS
    lengths, fused = [axis.length for axis in problem.axes], fusible(problem, form)
    if not fused:
        # below so many, the transforms cost more than they save
        channels *= form.fold**2
        least = 32 if form.strided else 24 if form.number == 5 and form.fold == 1 else 16
        few = form.fold > 1 and outputs >= 48 and channels >= 12
        if min(outputs, channels) < least and not few:
            return f"it pays from {least} channels and filters on, a group has {channels} and {outputs}"
    least = 320 if form.strided else 144 if form.fold == 1 else 1000
    if problem.prepared is None and problem.x.shape[0] * math.prod(lengths) < least:
        return f"filters that are not prepared pay from {least} places on"
    tiles = tiles_of(problem.axes, form)
    usual = math.prod(int(regular.sum()) for _, _, regular, _ in tiles)
    if usual * 2 < math.prod(len(first) for first, _, _, _ in tiles):
        return "too few tiles lie regularly in the index tables"
    if not fills(problem.axes, form):
        return f"a result of {lengths[1]} x {lengths[2]} fills its tiles badly"
    if fused and (part := saved(problem, form, tiles)) < 1:
        return f"transforms of so few channels and filters cost more than they save: {part:.2f} of what sums take"
    return None


def products_of(problem: Problem, form: Form) -> int:
    """Products of a point: channels after folding, for each tap of the first axis."""
    return int(problem.axes[0].taps) * problem.per_group[1] * form.fold**2


def fusible(problem: Problem, form: Form) -> bool:
    """Whether the kernel does products and transforms together, as for few channels."""
    groups, channels = problem.groups, problem.per_group[1]  # groups are not folded
    return bool(_core.kernels.fusible(form.strided, products_of(problem, form), groups, channels))


def saved(problem: Problem, form: Form, tiles: tuple[Tiles, Tiles]) -> float:
    """What sums over taps take, in parts of what tiles take that are transformed."""
    (outputs, channels), lanes = problem.per_group, _core.kernels.LANES["float32"]
    run, taps = channels * problem.groups * form.fold, [int(axis.taps) for axis in problem.axes]
    whole, half = divmod(outputs, lanes)
    part = 0.0 if half == 0 else 0.5 if half <= _core.kernels.LEAST_LANES["float32"] else 1.0
    vectors, back = problem.groups * (whole + part), problem.groups * (whole + max(part, HALF * (half > 0)))
    inputs = -(-run // lanes) * form.fold * taps[0]
    if _core.kernels.in_strips(run):
        costs = STRIPS.get(lanes, NARROW_STRIPS)
        tile: float = costs.tile + costs.inputs * run * taps[0]
    else:
        costs = COSTS.get(lanes, NARROW)
        tile = costs.tile + costs.inputs * inputs
    tile += costs.fold * (form.fold - 1)
    tile += back * (costs.output * form.out**2 + costs.products * products_of(problem, form))
    if problem.apart:
        tile += EXCHANGE * form.out**2 * (vectors + inputs)
    places, products = math.prod(int(axis.length) for axis in problem.axes[1:]), math.prod(taps) * channels * vectors
    sums = products + costs.place * problem.groups
    if not problem.apart and columns.wasteful(problem) is None and columns.unfit(problem) is None:
        some = columns.per_place(problem) / lanes + costs.columns * math.prod(taps) * channels + 4
        sums = min(sums, problem.groups * some)
    return places * sums / (tile * len(tiles[0][0]) * len(tiles[1][0]) + CALL)


def _sure_form(problem: Problem) -> Form:
    form = form_of(problem)
    if form is None:
        raise AssertionError("asked for a problem that does not fit")
    return form


def panels(problem: Problem) -> Any:
    """The transformed filters, packed."""
    form = _sure_form(problem)
    flipped = problem.axes[1].step < 0  # and then both are, see `unfit`
    key = ("winograd", problem.transposed, *form)

    def make() -> Any:
        taps, kernel = as_taps(problem.filters, problem.x.dtype), (form.taps, form.taps)
        groups, transposed, packing = problem.groups, problem.transposed, problem.packing
        return _core.kernels.WinogradPanels(taps, groups, transposed, flipped, form.number, form.fold, kernel, packing)

    return problem.packed(key, make)


def tall(problem: Problem) -> int:
    """Rows of places that tiles share."""
    return _sure_form(problem).out * abs(int(problem.axes[1].step))


def kernel(problem: Problem, y: Array) -> Any:
    """The kernel for such arrays; what its `fill` returns is for `mend`."""
    form, axes, constants = _sure_form(problem), problem.axes, problem.constants
    tiles = tiles_of(axes, form)
    return _core.kernels.Winograd(problem.x, panels(problem), y, axes, constants, tiles, num_threads())


def mend(problem: Problem, y: Array, flagged: NDArray[np.uint8], finished: bool) -> None:
    """Do the tiles that the kernel reported again, by the direct algorithm, and the activation if that was done."""
    form, lengths = _sure_form(problem), [axis.length for axis in problem.axes]
    tiles = tiles_of(problem.axes, form)
    n, depth, row, column = np.nonzero(flagged)
    rows, columns = (_places(*tiles[i][:2], tiles[i][3], form.out, at) for i, at in ((0, row), (1, column)))
    base = (n * lengths[0] + depth)[:, None, None] * (lengths[1] * lengths[2])
    places = np.where(
        (rows >= 0)[:, :, None] & (columns >= 0)[:, None, :],
        base + rows[:, :, None] * lengths[2] + columns[:, None, :],
        -1,
    )
    kernel = direct(problem, y, np.ascontiguousarray(places[places >= 0]))
    if finished and problem.finish is not None and not kernel.finish(*problem.finish):
        raise AssertionError("the direct kernel finishes some places as any")
    kernel.fill(problem.x, problem.bias, y, None, problem.border)


def _places(
    first: NDArray[np.intp], count: NDArray[np.intp], spacing: int, out: int, at: NDArray[np.intp]
) -> NDArray[np.intp]:
    """(tiles, out): the places along an axis of the tiles `at`, -1 beyond the last."""
    i = np.arange(out)
    return np.where(i < count[at][:, None], first[at][:, None] + i * spacing, -1)


def tiles_of(axes: tuple[Any, ...], form: Form) -> tuple[Tiles, Tiles]:
    """The tiles along the last two axes."""
    return _tiles(axes[1], form.stride, form.out), _tiles(axes[2], form.stride, form.out)


def fills(axes: tuple[Any, ...], form: Form) -> bool:
    """Whether places fill their tiles well enough for the products to be far fewer than there are taps."""
    tiles = 1.0
    for _, count, _, _ in tiles_of(axes, form):
        narrow = np.count_nonzero(count <= 2) if form.number == 3 else 0  # with four points of six
        tiles *= len(count) - narrow / 3
    places = math.prod([int(axis.length) for axis in axes[1:]])
    return tiles * form.out**2 * form.products <= MOST * form.taps**2 * places


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
