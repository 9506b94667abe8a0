"""Winograd's algorithms as a candidate. May import the core, problem, and their forms and costs."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .. import _core
from .arrays import Array
from .parallel import num_threads
from .prepare import as_taps
from .problem import Problem, direct
from .winograd_costs import saved
from .winograd_forms import DEPTH, Form, fills, form_of, fusible, tiles_of

__all__ = ["kernel", "mend", "panels", "tall", "unfit", "wasteful"]

SUITS = "it is for 3 x 3 to 5 x 5 taps at stride 1, three to five times the stride, or along one axis"
LARGE = 1 << 20  # elements of filters that leave the caches when they are transformed


def unfit(problem: Problem) -> str | None:
    """Why Winograd's algorithm cannot do a problem; None if it can."""
    if problem.x.dtype != np.float32:
        return f"it is for float32, x is {problem.x.dtype}"
    form = form_of(problem)
    if form is None or (not form.line and problem.axes[0].taps > DEPTH):
        taps, strides = " x ".join(str(axis.taps) for axis in problem.axes), " x ".join(map(str, problem.strides))
        return f"{SUITS}, the filters have {taps} taps at stride {strides}"
    if not form.line and (problem.axes[1].step < 0) != (problem.axes[2].step < 0):
        # of an adjoint, where one has a row of its own a place
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
    if not fused and not form.line:
        # below so many, the transforms cost more than they save
        channels *= form.fold**2
        least = 32 if form.strided else 24 if form.number == 5 and form.fold == 1 else 16
        few = form.fold > 1 and outputs >= 48 and channels >= 12
        if min(outputs, channels) < least and not few:
            return f"it pays from {least} channels and filters on, a group has {channels} and {outputs}"
    least = 320 if form.strided else 1000 if form.fold > 1 else 144
    if form.line and problem.filters.size > LARGE:
        least *= 2
    if problem.prepared is None and problem.x.shape[0] * math.prod(lengths) < least:
        return f"filters that are not prepared pay from {least} places on"
    tiles = tiles_of(problem.axes, form)
    usual = math.prod(int(regular.sum()) for _, _, regular, _ in tiles)
    if usual * 2 < math.prod(len(first) for first, _, _, _ in tiles):
        return "too few tiles lie regularly in the index tables"
    if not fills(problem.axes, form):
        return f"a result of {lengths[form.order[1]]} x {lengths[form.order[2]]} fills its tiles badly"
    if (fused or form.line) and (part := saved(problem, form, tiles)) < 1:
        return f"transforms of so few channels and filters cost more than they save: {part:.2f} of what sums take"
    return None


def _sure_form(problem: Problem) -> Form:
    form = form_of(problem)
    if form is None:
        raise AssertionError("asked for a problem that does not fit")
    return form


def panels(problem: Problem, run: int = 1) -> Any:
    """The transformed filters, packed; run: of taps, that each counts as channels of one."""
    form = _sure_form(problem)
    flipped = problem.axes[form.order[2]].step < 0  # of squares both are then, see `unfit`
    key = ("winograd", problem.transposed, flipped, *form, run)

    def make() -> Any:
        taps, kernel = as_taps(problem.filters, problem.x.dtype), tuple(int(axis.taps) for axis in problem.axes)
        kind = form.number, form.fold, kernel, form.order, form.phases
        options = problem.packing, num_threads()
        return _core.kernels.WinogradPanels(taps, problem.groups, problem.transposed, flipped, *kind, *options)

    return problem.packed(key, make)


def tall(problem: Problem) -> int:
    """Rows of places that tiles share."""
    form = _sure_form(problem)  # lines along another axis have places in one row each
    return 1 if form.line and form.order[2] != 1 else form.out * abs(int(problem.axes[1].step))


def kernel(problem: Problem, y: Array, run: int = 1, spare: int = 0) -> Any:
    """The kernel for such arrays; what its `fill` returns is for `mend`. run: as for `panels`; spare: taps at the end
    of lines that are zero for some channels.
    """
    form, axes, constants = _sure_form(problem), problem.axes, problem.constants
    tiles = tiles_of(axes, form)
    packed, threads = panels(problem, run), num_threads()
    return _core.kernels.Winograd(problem.x, packed, y, axes, constants, tiles, threads, spare)


def mend(problem: Problem, y: Array, flagged: NDArray[np.uint8], finished: bool, tiled: Problem | None = None) -> None:
    """Do the tiles that the kernel reported again, by the direct algorithm, and the activation if that was done; tiled:
    the problem whose tiles they are, if that is another of the same places.
    """
    tiled = problem if tiled is None else tiled
    form, lengths = _sure_form(tiled), [axis.length for axis in problem.axes]
    tiles = tiles_of(tiled.axes, form)
    n, depth, row, column = np.nonzero(flagged)
    sides = 1 if form.line else form.out, form.out
    rows, columns = (_places(*tiles[i][:2], tiles[i][3], sides[i], at) for i, at in ((0, row), (1, column)))
    of_axis = lengths[1] * lengths[2], lengths[2], 1  # places from one to the next
    deep, across, along = (of_axis[i] for i in form.order)
    base = (n * math.prod(lengths) + depth * deep)[:, None, None]
    places = np.where(
        (rows >= 0)[:, :, None] & (columns >= 0)[:, None, :],
        base + rows[:, :, None] * across + columns[:, None, :] * along,
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
