"""A batch through layers one after another in pieces, whose maps between them are in memory that calls share.

Pieces are as many samples as leave the maps of a layer in the cache for the next. Where all layers are compiled
kernels, each thread takes pieces of its own through all of them, and finds in its cache what it wrote; else all threads
do a piece together, layer by layer. May import links and the functional core.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from .._core import Pieces, Row
from ..functional.arrays import empty
from .layer import Array, Shape
from .links import Dtype, Unit

__all__ = ["Memory", "Segment", "segments"]

PIECE = 3 * 2**18
"""Bytes that a layer may read and fill for a piece, for each thread."""
APART = 2**22
"""Bytes of a map that a cache may hold."""
IDLE = 1 / 8
"""The part of a batch for which threads may wait, so that each does pieces by itself."""
LONG = 2**28
"""Multiply-adds, or elements of windows, of the longest piece that a thread does by itself: nobody can stop it."""
Maps = dict[int, list[Array]]
"""For pieces of each size what each link but the last fills."""


class Memory:
    """Arrays that a call uses, and the next one again, whatever the form: as large as any has asked for."""

    def __init__(self) -> None:
        self._blocks: dict[str, Array] = {}
        self._views: dict[Any, Any] = {}
        self.nbytes = 0
        """Of all blocks."""

    def array(self, block: str, shape: Shape, dtype: Dtype) -> Array:
        """An array of that shape in a block of that name, where others of that name lie, too."""
        size = math.prod(shape) * dtype.itemsize
        if block not in self._blocks or self._blocks[block].nbytes < size:
            self._blocks[block] = empty((size,), np.dtype(np.uint8))
            self._views.clear()  # those of the block that is let go
            self.nbytes = sum(each.nbytes for each in self._blocks.values())
        return self._blocks[block][:size].view(dtype).reshape(shape)

    def views(self, key: Any, make: Callable[[Memory], Any]) -> Any:
        """What `make` makes of this memory, made once."""
        if key not in self._views:
            self._views[key] = make(self)
        return self._views[key]


@dataclass
class _Division:
    """How a batch is divided for some layers."""

    bounds: list[tuple[int, int]]
    """Where each piece begins and ends."""
    workers: int
    """Threads that do pieces by themselves."""
    threads: int
    """That a layer may use for a piece."""

    @property
    def sizes(self) -> set[int]:
        return {stop - start for start, stop in self.bounds}


def _whole(n: int, threads: int) -> _Division:
    """All at once."""
    return _Division([(0, n)], 1, threads)


def _division(units: Sequence[Unit], n: int, threads: int) -> _Division | None:
    """How units do a batch of n together; None where they do not.

    A layer reads its weights once for each piece, and what stays in the cache is what is neither written out nor read
    again.
    """
    links = [link for unit in units for link in unit.links]
    if len(links) == 1:
        return _whole(n, threads)
    longest = -(-n // threads) * threads
    for workers in (threads, 1) if threads > 1 and longest - n <= n * IDLE else (1,):
        most = max(1, PIECE * (threads // workers) // max(1, *(link.bytes for link in links)))
        pieces = min(n, -(-n // (most * workers)) * workers)  # as many for each
        bounds = [(n * i // pieces, n * (i + 1) // pieces) for i in range(pieces)]
        some = _Division(bounds, min(workers, pieces), threads // workers)
        size = max(some.sizes)
        if workers > 1 and size * sum(link.work for link in links) > LONG:
            continue
        if pieces > workers and any(link.weight > size * link.bytes for link in links):
            continue
        if not all(link.divides(n, each) for link in links for each in some.sizes):
            continue
        kernels = (link.ready(samples, 1)[0].kernel for link in links for samples in some.sizes)
        if workers == 1 or all(kernels):
            return some
    return None


def segments(units: Sequence[Unit], n: int, threads: int) -> list[Segment]:
    """Units put together as far as they go together; all have links."""
    found: list[Segment] = []
    some, division = list[Unit](), _whole(n, threads)
    for unit in units:
        longer = _division([*some, unit], n, threads)
        if longer is None and some:
            found.append(Segment(some, n, division))
            some, longer = [], _division([unit], n, threads)
        some, division = [*some, unit], longer or _whole(n, threads)
    return [*found, Segment(some, n, division)]


class Segment:
    """Units that a batch goes through in pieces."""

    def __init__(self, units: Sequence[Unit], n: int, division: _Division) -> None:
        links = [link for unit in units for link in unit.links]
        self.division, self.dtype = division, links[0].dtype
        self.steps = {size: [link.ready(size, division.threads) for link in links] for size in division.sizes}
        self.shape = (n, *links[-1].result)
        self.reads, self.adds = list[int](), list[int | None]()
        """Of each link, counted over all: -1 is what the segment is given."""
        for unit in units:
            first = len(self.reads)
            for link in unit.links:
                self.reads.append(first + link.reads)
                self.adds.append(None if link.adds is None else first + link.adds)
        for link in links:
            link.forget()

    def within(self, memory: Memory) -> _Way:
        """The way of a batch through maps in some memory."""
        maps = [self._maps(worker, memory) for worker in range(self.division.workers)]
        kernels = {size: [ready.kernel for ready, _ in steps] for size, steps in self.steps.items()}
        if not all(all(some) for some in kernels.values()):
            return _Way(self, maps[0], None)
        rows = [{size: self._row(size, kernels[size], of[size]) for size in self.steps} for of in maps]
        size = max(row.scratch for row in rows[0].values())
        scratch = [memory.array(f"scratch {worker}", (size,), np.dtype(np.uint8)) for worker in range(len(rows))]
        return _Way(self, maps[0], Pieces(self.division.bounds, rows, scratch))

    def _maps(self, worker: int, memory: Memory) -> Maps:
        """Each is in a block of its own, so that a thread writes where it wrote before, and not what the cache of
        another one holds; those that no cache holds are in as few blocks as there are at a time.
        """
        read = [-1] * len(self.reads)  # the last link that reads each map
        for i, numbers in enumerate(zip(self.reads, self.adds, strict=True)):
            for number in numbers:
                if number is not None and number >= 0:
                    read[number] = i
        maps: Maps = {}
        for samples, steps in self.steps.items():
            maps[samples], until = [], list[int]()  # when each block for large maps is free
            for i, (ready, _) in enumerate(steps[:-1]):
                block = f"map {i} of {worker}"
                if math.prod(ready.shape) * self.dtype.itemsize > APART:
                    number = next((b for b, last in enumerate(until) if last < i), len(until))
                    until[number : number + 1] = [read[i]]
                    block = f"large map {number} of {worker}"
                maps[samples].append(memory.array(block, ready.shape, self.dtype))
        return maps

    def _row(self, size: int, kernels: Sequence[Any], maps: list[Array]) -> Row:
        biases = [
            ready.bias if added is None else added
            for (ready, _), added in zip(self.steps[size], self.adds, strict=True)
        ]
        return Row(kernels, biases, maps, self.reads)


class _Way:
    """A segment with its maps."""

    def __init__(self, segment: Segment, maps: Maps, pieces: Pieces | None) -> None:
        self.segment, self.maps, self.pieces = segment, maps, pieces

    def fill(self, x: Array, y: Array) -> None:
        """Put the result of x into y, both contiguous."""
        bounds = self.segment.division.bounds
        for number in range(len(bounds)) if self.pieces is None else self.pieces.fill(x, y):
            start, stop = bounds[number]
            steps, some = self.segment.steps[stop - start], y[start:stop]
            maps = [*self.maps[stop - start], some.reshape(steps[-1][0].shape), x[start:stop]]  # the last is number -1
            for (ready, shape), filled, reads, adds in zip(
                steps, maps, self.segment.reads, self.segment.adds, strict=False
            ):
                given = maps[reads].reshape(shape)
                ready.fill(given, filled, None if adds is None else maps[adds])
