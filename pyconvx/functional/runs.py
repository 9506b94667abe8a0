"""Long filters of few channels as a candidate: each run of so many taps of the last axis counts as one tap of as many
channels more, of inputs that overlap in memory, and what is left goes by Winograd's algorithm along lines.

May import the core, arrays, problem, and winograd with its forms and costs.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np

from .. import _core
from ..remember import remembered
from . import winograd
from .arrays import Array, empty, outline, stand_in
from .problem import Problem
from .winograd_costs import saved
from .winograd_forms import form_of, tiles_of

__all__ = ["kernel", "mend", "panels", "unfit", "wasteful"]

CHANNELS = 32
"""More of them fill vectors as they are."""
TAPS = 8
"""Fewer leave too few for runs and lines."""
WIDEST = 512
"""Channels of a run."""
MOST = 24
"""Runs of an axis."""
LONGEST = 2**17
"""Places of the last axis, at most."""
PLACES = 1024
"""Of the last axis, by which runs are chosen."""
SPARE = 8
"""Taps may be filled up with one in so many that are zero."""
BETTER = 1.05
"""Times that what tiles save must be more than without runs."""


def unfit(problem: Problem) -> str | None:
    """Why runs of taps cannot do a problem; None if they can."""
    axis = problem.axes[2]
    if problem.groups > 1 or problem.transposed:
        return "it is for one group, and for no adjoint"
    if axis.step != 1 or not axis.ordered or not axis.rise or axis.mixed or not axis.length:
        return "places of the last axis do not read neighbours in its index table, or these are weighted"
    if problem.border is not None or (problem.constants.any() and not all(_inner(each) for each in problem.axes[:2])):
        return "the border does not lie along the last axis alone"
    run = _run_of(problem)
    if run is None:
        return f"no runs of its {axis.taps} taps leave lines of taps"
    return winograd.unfit(_in_runs(problem, run))


def wasteful(problem: Problem) -> str | None:
    """Why another algorithm is likely to be faster at a problem; None if none is."""
    channels, axis = problem.per_group[1], problem.axes[2]
    if channels > CHANNELS or axis.taps < TAPS:
        return f"it is for {TAPS} taps of the last axis and more, of {CHANNELS} channels at most"
    if axis.length > LONGEST:
        return f"tables of more than {LONGEST} places take longer than runs save"
    reason = unfit(problem)
    run = None if reason else _run_of(problem)
    if run is None:
        return reason
    problem_in_runs = _in_runs(problem, run)
    reason = winograd.wasteful(problem_in_runs)
    if reason is None and winograd.unfit(problem) is None and winograd.wasteful(problem) is None:
        part = _saved(problem_in_runs) / _saved(problem)
        if part < BETTER:
            return f"tiles of the taps as they are take {part:.2f} of what they take with runs"
    return reason


def _inner(axis: Any) -> bool:
    """Whether all places read elements of x alone."""
    return bool(axis.codes().min(initial=0) >= 0)


def _saved(problem: Problem) -> float:
    form = form_of(problem)
    return 0 if form is None else saved(problem, form, tiles_of(problem.axes, form))


def _run_of(problem: Problem) -> int | None:
    """How many taps of the last axis a run has; None if no runs will do."""
    shape = problem.filters.shape
    outputs, channels = shape[0], shape[-1]
    return _best(*problem.axes, problem.strides, outputs, channels, problem.apart, _core.kernels.ISA)


@remembered(_core.Axis)
def _best(
    first: Any, rows: Any, columns: Any, strides: tuple[int, ...], outputs: int, channels: int, apart: bool, _: str
) -> int | None:
    """The number of taps that saves most, at as many places as tell it."""
    columns, taps, dtype = _begun(columns), int(columns.taps), np.dtype(np.float32)
    axes = first, rows, columns
    filters = stand_in((outputs, int(first.taps), int(rows.taps), taps, channels), dtype)
    x = outline((1, first.source, rows.source, columns.source, channels), dtype)
    problem = Problem(x, filters, None, 1, False, None, axes, strides, np.zeros((4, channels), dtype), apart=apart)
    runs = {taps}
    for count in range(2, MOST + 1):
        run = columns.rise * -(-taps // (columns.rise * count))
        spare = run * -(-taps // run) - taps
        # along another axis, it could not be told where inputs meet no tap but for some channels
        if spare == 0 or (first.taps * rows.taps == 1 and spare * SPARE <= taps):
            runs.add(run)
    fitting = sorted(run for run in runs if run > 1 and run * channels <= WIDEST)
    return max(fitting, key=lambda run: _saved(_in_runs(problem, run)), default=None)


def _begun(axis: Any) -> Any:
    """The first places of a long axis, which what is saved at a place does not depend on."""
    if axis.length <= PLACES:
        return axis
    source = axis.rise * (PLACES - 1) + axis.taps
    return _core.Axis(source, axis.taps, 1, axis.rise * np.arange(PLACES), np.arange(source))


@remembered(_core.Axis)
def _table(axis: Any, run: int) -> Any:
    """The table of an axis whose taps are runs of the taps of another."""
    taps, step = -(-axis.taps // run), max(1, run // axis.rise)
    places = axis.length + (taps - 1) * step
    return _core.Axis(places, taps, step, np.arange(axis.length), np.arange(places))


def _in_runs(problem: Problem, run: int) -> Problem:
    """The problem with runs of so many taps; its x is an outline."""
    first, rows, columns = problem.axes
    table, channels = _table(columns, run), run * problem.x.shape[4]
    shape = (*problem.x.shape[:3], _width(columns, run), problem.x.shape[4])
    line = outline(shape, problem.x.dtype)
    steps = (*line.strides[:3], line.strides[3] * columns.rise, line.strides[4])
    x = np.lib.stride_tricks.as_strided(line, (*shape[:3], table.source, channels), steps)
    return replace(
        problem,
        x=x,
        filters=_filters(problem.filters, run),
        axes=(first, rows, table),
        strides=(*problem.strides[:2], 1),
        constants=np.repeat(problem.constants, run, 0).reshape(len(problem.constants), channels),
        bias=None,
    )


def _width(axis: Any, run: int) -> int:
    """Elements of a line that all places read, in whole runs."""
    return int(axis.rise * (axis.length - 1) + run * -(-axis.taps // run))


def _filters(filters: Array, run: int) -> Array:
    """Filters (F, *kernel, C) with runs of so many taps of the last axis, the last filled up with zeros."""
    *rest, taps, channels = filters.shape
    runs = -(-taps // run)
    if taps % run:
        whole = np.zeros((*rest, runs * run, channels), filters.dtype)
        whole[..., :taps, :] = filters
        filters = whole
    return filters.reshape(*rest, runs, run * channels)


def panels(problem: Problem) -> Any:
    """The filters as the kernel takes them."""
    run = _run_of(problem)
    assert run is not None
    return winograd.panels(_in_runs(problem, run), run)


def kernel(problem: Problem, y: Array) -> Any:
    """The kernel for such arrays; what its `fill` returns is for `mend`."""
    run = _run_of(problem)
    assert run is not None
    spare = int(problem.axes[2].taps % run > 0)
    return _Runs(problem, run, winograd.kernel(_in_runs(problem, run), y, run, spare))


def mend(problem: Problem, y: Array, flagged: Array, finished: bool) -> None:
    """Do the tiles that the kernel reported again, by the direct algorithm, and the activation if that was done."""
    run = _run_of(problem)
    assert run is not None
    winograd.mend(problem, y, flagged, finished, _in_runs(problem, run))


def _longest(codes: Array) -> tuple[slice, slice]:
    """Where the longest run of neighbours lies in a line, and in x."""
    ends = np.flatnonzero(np.concatenate([[True], (np.diff(codes) != 1) | (codes[:-1] < 0), [True]]))
    i = np.argmax(np.diff(ends))
    first, until, start = int(ends[i]), int(ends[i + 1]), int(codes[ends[i]])
    return (slice(first, until), slice(start, start + until - first)) if start >= 0 else (slice(0, 0), slice(0, 0))


class _Runs:
    """A kernel of Winograd's algorithm for x laid out along its last axis, as a problem reads it."""

    def __init__(self, problem: Problem, run: int, kernel: Any) -> None:
        axis, self._x, self._kernel, self._run = problem.axes[2], problem.x.shape, kernel, run
        self._shape, self._dtype = (*self._x[:3], _width(axis, run), self._x[4]), problem.x.dtype
        self._filters, line = problem.filters.shape, axis.line()
        codes = np.concatenate([line, np.full(self._shape[3] - line.size, _core.NOTHING)])
        self._plain = bool(codes.size == axis.source and np.array_equal(codes, np.arange(codes.size)))
        self._middle, self._source = _longest(codes)
        beside = np.ones(codes.size, bool)
        beside[self._middle] = False
        self._inside, self._outside = np.flatnonzero(beside & (codes >= 0)), np.flatnonzero(beside & (codes < 0))
        self._codes = codes[self._inside]
        self._constant = np.where((codes == _core.OUTSIDE)[self._outside, None], problem.constants[2], 0)

    @property
    def scratch(self) -> int:
        """Bytes of scratch memory that a call takes."""
        return int(self._kernel.scratch) + (0 if self._plain else math.prod(self._shape) * self._dtype.itemsize)

    def finish(self, kernel: Any, params: tuple[float, ...]) -> bool:
        """Have an activation applied; returns False if the kernel cannot."""
        return bool(self._kernel.finish(kernel, params))

    def pack(self, filters: Array) -> Any:
        """Filters as `fill` takes them as well."""
        return self._kernel.pack(_filters(filters.reshape(self._filters), self._run))

    def fill(self, x: Array, bias: Array | None, y: Array, filters: Any = None, border: Any = None) -> Any:
        """As `fill` of a kernel."""
        if isinstance(filters, np.ndarray):
            filters = self.pack(filters)
        return self._kernel.fill(self._laid(x.reshape(self._x)), bias, y, filters, border)

    def _laid(self, x: Array) -> Array:
        """x as it is read along the last axis, contiguous."""
        if self._plain:
            return np.ascontiguousarray(x)
        line = empty(self._shape, self._dtype)
        line[..., self._middle, :] = x[..., self._source, :]
        line[..., self._inside, :] = x[..., self._codes, :]
        line[..., self._outside, :] = self._constant
        return line
