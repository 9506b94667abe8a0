"""Arrays with channels first, for kernels that take them last: exchanged a piece at a time, which the caches hold.

May import the core, algorithms, arrays and parallel.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
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

Shape = tuple[int, ...]


class _Piece(NamedTuple):
    samples: slice
    reads: slice  # of the elements of a channel of x
    fills: slice  # of one of the result
    x: Shape  # of both, with channels last
    y: Shape
    kernel: Any


def _cuts(candidate: Candidate, problem: Problem, y: Array) -> Iterator[tuple[slice, slice | None]]:
    """Samples, and rows of the result, of each piece; None for all rows."""
    n, height = y.shape[0], y.shape[2]
    room, sample = PIECE * num_threads(), (problem.x.nbytes + y.nbytes) // max(1, n)
    step = n if candidate.paired or not sample else max(1, room // sample)
    tall = 0 if candidate.tall is None or problem.x.shape[1] * y.shape[1] != 1 else candidate.tall(problem)
    rows = max(tall, room * height // max(1, sample) // tall * tall) if tall else height
    for start in range(0, n, max(1, step)):
        samples = slice(start, min(start + step, n))
        if sample <= room or rows >= height:
            yield samples, None
        else:
            yield from ((samples, slice(at, min(at + rows, height))) for at in range(0, height, rows))


class Exchanged:
    """What the kernel of a candidate does, for contiguous arrays with channels first.

    y: an outline of the result with channels last, as problem.x is of x.
    """

    then: Callable[[Array], None] | None = None
    """What is done with the result before its channels come first."""

    def __init__(self, candidate: Candidate, problem: Problem, y: Array) -> None:
        self._dtype, self._x, self._y = problem.x.dtype, problem.x.shape, y.shape
        self._kernels: dict[Any, Any] = {}
        self._pieces = [self._piece(candidate, problem, *cut) for cut in _cuts(candidate, problem, y)]
        self._most_x = (max((math.prod(piece.x) for piece in self._pieces), default=0),)
        self._most_y = (max((math.prod(piece.y) for piece in self._pieces), default=0),)

    def _piece(self, candidate: Candidate, problem: Problem, samples: slice, rows: slice | None) -> _Piece:
        n, axes = samples.stop - samples.start, problem.axes
        x, y = (n, *self._x[1:]), (n, *self._y[1:])
        reads, fills = slice(0, math.prod(x[1:-1])), slice(0, math.prod(y[1:-1]))
        window = None if rows is None else axes[1].window(rows.start, rows.stop)
        key: Any = n, rows and (rows.start, rows.stop)
        if rows is not None:
            low, high = 0, x[2]
            if window is None:
                axes = axes[0], axes[1].part(rows.start, rows.stop), axes[2]
            else:
                low, high, table = window
                axes = axes[0], table, axes[2]
                key = n, table.source, table.rows.tobytes(), table.codes().tobytes()
            x, y = (*x[:2], high - low, *x[3:]), (*y[:2], rows.stop - rows.start, *y[3:])
            reads, fills = slice(low * x[3], high * x[3]), slice(rows.start * y[3], rows.stop * y[3])
        if key not in self._kernels:
            part = replace(problem, x=outline(x, self._dtype), axes=axes)
            self._kernels[key] = candidate.kernel(part, outline(y, self._dtype))
        return _Piece(samples, reads, fills, x, y, self._kernels[key])

    def finish(self, kernel: Any, params: tuple[float, ...]) -> bool:
        """Have an activation applied; returns False if the kernel cannot."""
        return all([each.finish(kernel, params) for each in self._kernels.values()])

    def fill(self, x: Array, bias: Array | None, y: Array, filters: Any = None) -> Any:
        """As `fill` of a kernel, which may have filled some of y if that is not possible."""
        if isinstance(filters, np.ndarray) and len(self._pieces) > 1:
            filters = self._pieces[0].kernel.pack(filters)
            if filters is None:
                return False
        (n, *places, channels), (_, *results, outputs) = self._x, self._y
        x, y = x.reshape(n, channels, math.prod(places)), y.reshape(n, outputs, math.prod(results))
        # if there is one piece alone, y is filled when x has been read
        last = within(y, self._most_x, self._dtype) if len(self._pieces) == 1 else empty(self._most_x, self._dtype)
        sums, threads = empty(self._most_y, self._dtype), num_threads()
        for samples, reads, fills, x_shape, y_shape, kernel in self._pieces:
            given, result = last[: math.prod(x_shape)].reshape(x_shape), sums[: math.prod(y_shape)].reshape(y_shape)
            count = x_shape[0]
            _core.kernels.transpose(
                x[samples, :, reads], given.reshape(count, reads.stop - reads.start, channels), threads
            )
            flagged = kernel.fill(given, bias, result, filters)
            if flagged is not None:
                return flagged
            if self.then is not None:
                self.then(result)
            _core.kernels.transpose(
                result.reshape(count, fills.stop - fills.start, outputs), y[samples, :, fills], threads
            )
        return None
