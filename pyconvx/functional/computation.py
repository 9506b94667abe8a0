"""How a problem is computed: by a kernel that is kept for others of the same form, or by one of its own.

May import the core, algorithms, arrays, operation and parallel.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from .._core import now
from ..remember import key_of
from .algorithms import Candidate, Problem, Supposed, choose
from .arrays import (
    Array,
    as_kernel_input,
    canonical,
    channels_first,
    channels_together,
    empty,
    exchange,
    outline,
    stand_in,
)
from .operation import REMEMBERED
from .parallel import num_threads

__all__ = ["Computation", "compute"]


class _Ready(NamedTuple):
    """What does a problem."""

    candidate: Candidate
    kernel: Any
    finished: bool
    """Whether it applies problem.finish."""


MOST = 512
"""Kernels that are kept for other arrays and filters of the same form."""
_kept: dict[Any, _Ready] = {}


def _made(candidate: Candidate, problem: Problem, y: Array) -> _Ready:
    kernel = candidate.kernel(problem, y)
    return _Ready(candidate, kernel, bool(problem.finish is not None and kernel.finish(*problem.finish)))


def _contiguous(array: Array) -> bool | None:
    """Whether an array is contiguous as it is (False), or with channels first in memory (True); None if neither."""
    return False if array.flags.c_contiguous else True if channels_first(array) else None


def _renewed(problem: Problem, algorithm: str, y: Array) -> tuple[_Ready, Any] | None:
    """A kernel that has served problems of the same form, and the filters of this one as it takes them; None if there
    is no such thing. All arrays are contiguous then, as they are or with channels first.
    """
    arrays = problem.x, problem.filters, y
    if problem.border is not None or not problem.x.size:
        return None
    dtype, finish = problem.x.dtype, problem.finish
    if not dtype.isnative or (finish is not None and not isinstance(finish[0], str)):
        return None
    layouts: list[bool] = []
    for array in arrays:
        first = _contiguous(array) if array.dtype == dtype and array.flags.aligned else None
        if first is None:
            return None
        layouts.append(first)
    shapes = tuple(array.shape for array in arrays)
    # a kernel holds its tables, so that no others have their addresses
    tables = *map(id, problem.axes), id(problem.constants)
    finishing = None if finish is None else (finish[0], key_of(finish[1]))  # which tells 0.0 from -0.0
    prepared = problem.prepared is not None
    options = algorithm, problem.transposed, problem.groups, problem.strides, finishing, problem.apart, prepared
    key = (*options, dtype.char, num_threads(), now(), *shapes, layouts[0], layouts[2], *tables)
    ready = _kept.get(key)
    if ready is None:
        if sum(axis.nbytes for axis in problem.axes) > REMEMBERED:
            return None
        filters = stand_in(problem.filters.shape, dtype)
        supposed = Supposed(
            canonical(outline, problem.x.shape, dtype, layouts[0]),
            filters,
            problem.prepared,
            problem.groups,
            problem.transposed,
            problem.bias,
            problem.axes,
            problem.strides,
            problem.constants,
            finish=finish,
            apart=problem.apart,
        )
        candidate = choose(supposed, algorithm)
        if not candidate.apart:
            supposed.x = outline(problem.x.shape, dtype)
        target = canonical(outline, y.shape, dtype, layouts[2] and candidate.apart)
        ready = _made(candidate, supposed, target)
        if len(_kept) >= MOST:
            _kept.clear()
        _kept[key] = ready
    pack = ready.candidate.packed
    return None if pack is None or not problem.finite() else (ready, pack(problem))


class Computation:
    """How the best algorithm for a problem, or that of a name, fills arrays like its x and some y, again and again.

    y (N, D, H, W, channels) has contiguous channels, or is contiguous with channels first. So may x be, but is not
    afterwards if the algorithm takes no such arrays.
    """

    def __init__(self, problem: Problem, algorithm: str, y: Array) -> None:
        self.problem, self._filters = problem, None
        renewed = _renewed(problem, algorithm, y)
        candidate = choose(problem, algorithm) if renewed is None else renewed[0].candidate
        if not candidate.apart:
            problem.x = as_kernel_input(problem.x, problem.x.dtype)
        self._as_it_is = candidate.apart or channels_together(y)
        if renewed is not None:
            self._ready, self._filters = renewed
        else:
            self._ready = _made(candidate, problem, y if self._as_it_is else empty(y.shape, y.dtype))

    @property
    def finished(self) -> bool:
        """Whether problem.finish is applied."""
        return self._ready.finished

    def fill(self, y: Array) -> None:
        """Fill y from problem.x, which may be another array than it is now, of the same form."""
        problem = self.problem
        filled = y if self._as_it_is else empty(y.shape, y.dtype)
        flagged = self._ready.kernel.fill(problem.x, problem.bias, filled, self._filters, problem.border)
        if flagged is not None:
            self._ready.candidate.mend(problem, filled, flagged, self._ready.finished)
        if not self._as_it_is:
            exchange(filled, np.moveaxis(y, -1, 1), y.shape[0], math.prod(y.shape[1:-1]))


def compute(problem: Problem, algorithm: str, y: Array) -> bool:
    """Fill y by the algorithm of that name, or the best for "auto"; returns whether problem.finish was applied."""
    computation = Computation(problem, algorithm, y)
    computation.fill(y)
    problem.own.clear()  # whoever holds the problem, for its gradient, need not hold packed filters as well
    return computation.finished
