"""Arrays with channels first, for kernels that take them last: exchanged a piece at a time, for caches to hold it.

May import the core, algorithms, arrays and parallel.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from .. import _core
from .algorithms import Candidate, Problem
from .arrays import Array, empty, outline, within
from .parallel import num_threads

__all__ = ["Exchanged"]

PIECE = 2**21
"""Bytes that a piece of x and of the result may take for each thread, with channels last."""

REREAD = 1.5
"""Times that rows of x may be read, by all strips together, for it to be worth cutting a sample."""

Shape = tuple[int, ...]


class _Strip(NamedTuple):
    """Rows of the result of a sample, and the rows of x that they read, by a table of their own."""

    rows: slice
    low: int
    high: int
    table: Any


class _Piece(NamedTuple):
    samples: slice
    reads: slice  # of the elements of a channel of x
    fills: slice  # of one of the result
    x: Shape  # of both, with channels last
    y: Shape
    kernel: Any
    problem: Problem


def _strips(candidate: Candidate, problem: Problem, y: Array, room: int) -> list[_Strip]:
    """What a sample falls into that takes more room than there is; nothing if it stays whole."""
    height, axis = y.shape[2], problem.axes[1]
    sample = (problem.x.nbytes + y.nbytes) // y.shape[0]
    if sample <= room or candidate.tall is None or problem.x.shape[1] * y.shape[1] != 1:
        return []
    tall = candidate.tall(problem)
    rows = max(1, room * height // sample // tall) * tall
    cuts = [slice(at, min(at + rows, height)) for at in range(0, height, rows)]
    windows = [axis.window(cut.start, cut.stop) for cut in cuts]
    if len(cuts) == 1 or None in windows:
        return []
    strips = [_Strip(cut, *window) for cut, window in zip(cuts, windows, strict=True)]
    return strips if sum(strip.high - strip.low for strip in strips) <= REREAD * axis.source else []


class Exchanged:
    """What the kernel of a candidate does, for contiguous arrays with channels first.

    y: an outline of the result with channels last, as problem.x is of x.
    """

    then: Callable[[Array], None] | None = None
    """What is done with the result before its channels come first."""

    def __init__(self, candidate: Candidate, problem: Problem, y: Array) -> None:
        self._dtype, self._x, self._y = problem.x.dtype, problem.x.shape, y.shape
        self._candidate, self._finished = candidate, False
        self._kernels: dict[Any, Any] = {}
        n, room = y.shape[0], PIECE * num_threads()
        strips: list[_Strip | None] = [*_strips(candidate, problem, y, room)] if n else []
        self._cut = bool(strips)
        step = 1 if strips else n if candidate.paired else room * n // max(1, problem.x.nbytes + y.nbytes)
        self._pieces = [
            self._piece(candidate, problem, slice(start, min(start + max(1, step), n)), strip)
            for start in range(0, n, max(1, step))
            for strip in strips or [None]
        ]
        self._most_x = (max((math.prod(piece.x) for piece in self._pieces), default=0),)
        self._most_y = (max((math.prod(piece.y) for piece in self._pieces), default=0),)

    def _piece(self, candidate: Candidate, problem: Problem, samples: slice, strip: _Strip | None) -> _Piece:
        n, (first, middle, last) = samples.stop - samples.start, problem.axes
        x, y = (n, *self._x[1:]), (n, *self._y[1:])
        key: tuple[Any, ...] = (n,)
        reads, fills = slice(0, math.prod(x[1:-1])), slice(0, math.prod(y[1:-1]))
        if strip is not None:
            middle, low, high, rows = strip.table, strip.low, strip.high, strip.rows
            x, y = (*x[:2], high - low, *x[3:]), (*y[:2], rows.stop - rows.start, *y[3:])
            reads, fills = slice(low * x[3], high * x[3]), slice(rows.start * y[3], rows.stop * y[3])
            key = n, middle.source, middle.rows.tobytes(), middle.codes().tobytes()
        part = replace(problem, x=outline(x, self._dtype), axes=(first, middle, last), bias=None)
        if key not in self._kernels:
            self._kernels[key] = candidate.kernel(part, outline(y, self._dtype))
        return _Piece(samples, reads, fills, x, y, self._kernels[key], part)

    def finish(self, kernel: Any, params: tuple[float, ...]) -> bool:
        """Have an activation applied; returns False if the kernel cannot."""
        self._finished = all([each.finish(kernel, params) for each in self._kernels.values()])
        for piece in self._pieces:
            piece.problem.finish = kernel, params
        return self._finished

    def fill(self, x: Array, bias: Array | None, y: Array, filters: Any = None) -> Any:
        """As `fill` of a kernel, which may have filled some of y if that is not possible."""
        packed = filters
        if isinstance(filters, np.ndarray) and len(self._pieces) > 1:
            packed = self._pieces[0].kernel.pack(filters)
            if packed is None:
                return False
        (n, *places, channels), (_, *results, outputs) = self._x, self._y
        x, y = x.reshape(n, channels, math.prod(places)), y.reshape(n, outputs, math.prod(results))
        # if there is one piece alone, y is filled when x has been read
        last = within(y, self._most_x, self._dtype) if len(self._pieces) == 1 else empty(self._most_x, self._dtype)
        sums, threads, transpose = empty(self._most_y, self._dtype), num_threads(), _core.kernels.transpose
        noted: list[tuple[Array, Array]] = []  # of the strips of a sample
        for samples, reads, fills, x_shape, y_shape, kernel, problem in self._pieces:
            given, result = last[: math.prod(x_shape)].reshape(x_shape), sums[: math.prod(y_shape)].reshape(y_shape)
            count = x_shape[0]
            transpose(x[samples, :, reads], given.reshape(count, reads.stop - reads.start, channels), threads)
            if self._cut:
                sizes, flagged = np.empty(kernel.all_tiles, np.float32), np.zeros(kernel.all_tiles, np.uint8)
                kernel.fill_part(given, bias, result, packed, sizes, flagged)
                noted.append((sizes, flagged))
                if fills.stop == y.shape[2]:
                    of_tiles, marks = map(np.concatenate, zip(*noted, strict=True))
                    if _core.kernels.any_large(of_tiles, marks, kernel.form):
                        return False
                    noted = []
            else:
                reported = kernel.fill(given, bias, result, packed)
                if reported is not None and reported is not False:
                    form = problem, outline(y_shape, self._dtype), self._finished
                    reported = self._candidate.complete(*form, reported, given, bias, result, filters)
                if reported is False:
                    return False
            if self.then is not None:
                self.then(result)
            transpose(result.reshape(count, fills.stop - fills.start, outputs), y[samples, :, fills], threads)
        return None
