"""A batch through layers one after another in pieces, whose maps between them are in memory that calls share.

Pieces are as many samples as leave the maps of a layer in the cache for the next. Where all layers are compiled
kernels, each thread takes pieces of its own through all of them, and finds in its cache what it wrote; else all threads
do a piece together, layer by layer. May import the prepared layers, those that are operations and the functional core.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from .._core import Pieces, Row
from ..functional.arrays import empty
from ..functional.parallel import threads as allowed
from ..functional.ready import Ready, alone
from . import pool
from .basic import Activation, Flatten, Pad
from .layer import Array, Layer, Operation, Shape
from .prepared import Prepared, Step

__all__ = ["Dtype", "Link", "Memory", "Segment", "segments", "step_of"]

PIECE = 3 * 2**18
"""Bytes that a layer may read and fill for a piece, for each thread."""
APART = 2**22
"""Bytes of a map that a cache may hold."""
IDLE = 1 / 8
"""The part of a batch for which threads may wait, so that each does pieces by itself."""
LONG = 2**28
"""Multiply-adds, or elements of windows, of the longest piece that a thread does by itself: nobody can stop it."""
OPERATIONS = {Activation, Pad, *(getattr(pool, name) for name in pool.__all__)}
"""Layers whose result, sample by sample, is that of their operation, which keeps nothing of x. A class derived from one
may be anything.
"""

Dtype = np.dtype[Any]
Maps = dict[int, list[tuple[Array, Array]]]
"""For pieces of each size the maps between layers, as the one fills it and as the next reads it."""


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


def step_of(layer: Layer, shape: Shape, dtype: Dtype) -> Step | None:
    """How a layer is done for an x of a shape, N included, if it is one of those that are known."""
    if isinstance(layer, Prepared):
        return layer.step(shape) if all(array.dtype == dtype for array in layer.params.values()) else None
    # of more axes than a pooling says, N would be one: such a pooling takes no batches
    axes = getattr(layer, "rank", len(shape) - 2)
    if isinstance(layer, Operation) and type(layer) in OPERATIONS and 1 < len(shape) == axes + 2:
        function, arguments, options = layer.call(len(shape))
        return Step(function, shape, arguments, options)
    return None


class Link:
    """A layer in a chain, for samples of one shape."""

    def __init__(self, layer: Layer, given: Shape, dtype: Dtype) -> None:
        self.layer, self.given, self.dtype, self.flat = layer, given, dtype, type(layer) is Flatten
        self.result = layer.output_shape(given)
        self.bytes = dtype.itemsize * (math.prod(given) + math.prod(self.result))
        self.weight = sum(array.nbytes for array in layer.params.values())
        taps = math.prod((layer.window(given) or {}).get("kernel_size", ()))
        self.work = max(layer.multiply_adds(given), taps * math.prod(self.result))
        self._divides: dict[tuple[int, int], bool] = {}
        self._ready: dict[tuple[int, int], tuple[Ready, Shape]] = {}

    def step(self, samples: int) -> Step:
        """How so many samples are done."""
        step = step_of(self.layer, (samples, *self.given), self.dtype)
        if step is None:
            raise TypeError(f"{self.layer!r} is not done for {samples} samples")
        return step

    def divides(self, n: int, size: int) -> bool:
        """Whether n samples may be done in pieces of a size, with the same bits."""
        if (n, size) not in self._divides:
            whole = self.step(n)
            given = self.dtype, whole.arguments, whole.options
            self._divides[n, size] = size == n or alone(whole.function, whole.shape, self.step(size).shape, *given)
        return self._divides[n, size]

    def ready(self, samples: int, threads: int) -> tuple[Ready, Shape]:
        """The layer for so many samples and threads, and the shape of x for that."""
        key = samples, threads
        if key not in self._ready:
            step = self.step(samples)
            with allowed(threads):
                ready = Ready(step.function, step.shape, self.dtype, step.arguments, step.options)
            self._ready[key] = ready, step.shape
        return self._ready[key]

    def forget(self) -> None:
        """Let go of what was found out to choose from."""
        self._divides.clear()
        self._ready.clear()


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


def _division(links: Sequence[Link], n: int, threads: int) -> _Division | None:
    """How layers do a batch of n together; None where they do not.

    A layer reads its weights once for each piece, and what stays in the cache is what is neither written out nor read
    again.
    """
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


def segments(links: Sequence[Link], n: int, threads: int) -> list[Segment]:
    """Layers put together as far as they go together."""
    found: list[Segment] = []
    some, division = list[Link](), _whole(n, threads)
    for link in links:
        longer = _division([*some, link], n, threads)
        if longer is None:
            found.append(Segment(some, n, division))
            some, longer = [], _whole(n, threads)
        some, division = [*some, link], longer
    return [*found, Segment(some, n, division)]


class Segment:
    """Layers that a batch goes through in pieces."""

    def __init__(self, links: Sequence[Link], n: int, division: _Division) -> None:
        self.division, self.dtype = division, links[0].dtype
        self.steps = {size: [link.ready(size, division.threads) for link in links] for size in division.sizes}
        self.shape = (n, *links[-1].result)
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
        another one holds; those that no cache holds are in two blocks in turn.
        """
        maps: Maps = {}
        for samples, steps in self.steps.items():
            maps[samples] = []
            for i, ((ready, _), (_, shape)) in enumerate(pairwise(steps)):
                cached = math.prod(ready.shape) * self.dtype.itemsize <= APART
                filled = memory.array(f"map {i if cached else i % 2} of {worker}", ready.shape, self.dtype)
                maps[samples].append((filled, filled.reshape(shape)))
        return maps

    def _row(self, size: int, kernels: Sequence[Any], maps: list[tuple[Array, Array]]) -> Row:
        return Row(kernels, [ready.bias for ready, _ in self.steps[size]], [filled for filled, _ in maps])


class _Way:
    """A segment with its maps."""

    def __init__(self, segment: Segment, maps: Maps, pieces: Pieces | None) -> None:
        self.segment, self.maps, self.pieces = segment, maps, pieces

    def fill(self, x: Array, y: Array) -> None:
        """Put the result of x into y, both contiguous."""
        bounds = self.segment.division.bounds
        for number in range(len(bounds)) if self.pieces is None else self.pieces.fill(x, y):
            start, stop = bounds[number]
            steps = self.segment.steps[stop - start]
            given = x[start:stop].reshape(steps[0][1])
            for (ready, _), (filled, read) in zip(steps, self.maps[stop - start], strict=False):
                ready.fill(given, filled)
                given = read
            last, _ = steps[-1]
            last.fill(given, y[start:stop].reshape(last.shape))
