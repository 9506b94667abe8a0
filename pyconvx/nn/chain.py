"""A chain of layers for inference: memory of the maps between them is kept, and a batch goes through in pieces.

Pieces are as many samples as leave the maps of a layer in the cache for the next. May import the prepared layers, those
that are operations and the functional core.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from ..functional.arrays import empty
from ..functional.ready import Ready, alone, circumstances
from . import pool
from .basic import Activation, Flatten, Pad
from .layer import Array, Layer, Operation, Run, Shape
from .prepared import Prepared, Step

__all__ = ["Chain"]

PIECE = 3 * 2**18
"""Bytes that a layer may read and fill for a piece, for each thread."""
APART = 2**22
"""Bytes of a map that a cache may hold."""
MOST = 32
"""Forms of x that a chain is ready for, or has seen once."""
KEPT = 2**28
"""Bytes of memory above which it is not kept for the next call."""
OPERATIONS = {Activation, Pad, *(getattr(pool, name) for name in pool.__all__)}
"""Layers whose result, sample by sample, is that of their operation, which keeps nothing of x. A class derived from one
may be anything.
"""

Dtype = np.dtype[Any]
Maps = dict[int, list[tuple[Array, Array]]]
"""For pieces of each size the maps between layers, as the one fills it and as the next reads it."""


class _Memory:
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

    def views(self, key: Any, make: Callable[[_Memory], Any]) -> Any:
        """What `make` makes of this memory, made once."""
        if key not in self._views:
            self._views[key] = make(self)
        return self._views[key]


def _step_of(layer: Layer, shape: Shape, dtype: Dtype) -> Step | None:
    """How a layer is done for an x of a shape, N included, if it is one of those that are known."""
    if isinstance(layer, Prepared):
        return layer.step(shape) if all(array.dtype == dtype for array in layer.params.values()) else None
    # of more axes than a pooling says, N would be one: such a pooling takes no batches
    axes = getattr(layer, "rank", len(shape) - 2)
    if isinstance(layer, Operation) and type(layer) in OPERATIONS and 1 < len(shape) == axes + 2:
        function, arguments, options = layer.call(len(shape))
        return Step(function, shape, arguments, options)
    return None


class _Link:
    """A layer in a chain, for samples of one shape."""

    def __init__(self, layer: Layer, given: Shape, dtype: Dtype) -> None:
        self.layer, self.given, self.dtype, self.flat = layer, given, dtype, type(layer) is Flatten
        self.result = layer.output_shape(given)
        self.bytes = dtype.itemsize * (math.prod(given) + math.prod(self.result))
        self.weight = sum(array.nbytes for array in layer.params.values())

    def step(self, samples: int) -> Step:
        """How so many samples are done."""
        step = _step_of(self.layer, (samples, *self.given), self.dtype)
        if step is None:
            raise TypeError(f"{self.layer!r} is not done for {samples} samples")
        return step

    def divides(self, n: int, sizes: Sequence[int]) -> bool:
        """Whether n samples may be done in pieces of these sizes, with the same bits."""
        whole = self.step(n)
        given = self.dtype, whole.arguments, whole.options
        return all(size == n or alone(whole.function, whole.shape, self.step(size).shape, *given) for size in sizes)

    def ready(self, samples: int) -> tuple[Ready, Shape]:
        """The layer for so many samples, and the shape of x for that."""
        step = self.step(samples)
        return Ready(step.function, step.shape, self.dtype, step.arguments, step.options), step.shape


def _bounds(links: Sequence[_Link], n: int, threads: int) -> list[tuple[int, int]] | None:
    """Where the pieces for some layers begin and end; None where these do not go together.

    A layer reads its weights once for each piece, and what stays in the cache is what is neither written out nor read
    again.
    """
    if len(links) == 1:
        return [(0, n)]
    most = max(1, PIECE * threads // max(1, *(link.bytes for link in links)))
    size = -(-n // -(-n // most))
    bounds = [(start, min(start + size, n)) for start in range(0, n, size)]
    sizes = sorted({stop - start for start, stop in bounds})
    if any(link.weight > most * link.bytes or not link.divides(n, sizes) for link in links):
        return None
    return bounds


class _Segment:
    """Layers that a batch goes through in pieces, as `_bounds` tells."""

    def __init__(self, links: Sequence[_Link], n: int, bounds: list[tuple[int, int]]) -> None:
        self.bounds = bounds
        self.steps: dict[int, list[tuple[Ready, Shape]]] = {
            samples: [link.ready(samples) for link in links] for samples in {stop - start for start, stop in bounds}
        }
        self.shape = (n, *links[-1].result)

    def maps(self, memory: _Memory, dtype: Dtype) -> Maps:
        """The maps between the layers, for pieces of each size.

        Each is in a block of its own, so that a thread writes where it wrote before, and not what the cache of another
        one holds; those that no cache holds are in two blocks in turn.
        """
        maps: Maps = {}
        for samples, steps in self.steps.items():
            maps[samples] = []
            for i, ((ready, _), (_, shape)) in enumerate(pairwise(steps)):
                cached = math.prod(ready.shape) * dtype.itemsize <= APART
                filled = memory.array(f"map {i if cached else i % 2}", ready.shape, dtype)
                maps[samples].append((filled, filled.reshape(shape)))
        return maps

    def fill(self, x: Array, y: Array, maps: Maps) -> None:
        """Put the result of x into y, both contiguous."""
        for start, stop in self.bounds:
            steps = self.steps[stop - start]
            given = x[start:stop].reshape(steps[0][1])
            for (ready, _), (filled, read) in zip(steps, maps[stop - start], strict=False):
                ready.fill(given, filled)
                given = read
            last, _ = steps[-1]
            last.fill(given, y[start:stop].reshape(last.shape))


class _Stretch:
    """Layers that are all known, so that nobody but the next one sees the result of one of them."""

    def __init__(self, links: Sequence[_Link], n: int, dtype: Dtype, threads: int) -> None:
        self.links, self.given, self.shape, self.dtype = links, (n, *links[0].given), (n, *links[-1].result), dtype
        self.segments: list[_Segment] = []
        some, bounds = list[_Link](), [(0, n)]
        for link in links:
            if link.flat:
                continue
            longer = _bounds([*some, link], n, threads)
            if longer is None:
                self.segments.append(_Segment(some, n, bounds))
                some, longer = [], [(0, n)]
            some, bounds = [*some, link], longer
        self.segments.append(_Segment(some, n, bounds))

    def _views(self, memory: _Memory) -> list[tuple[Maps, Array | None]]:
        """For each segment its maps, and its result unless that is the caller's."""
        for _ in range(2):  # at the second time blocks do not grow any more
            views = [
                (
                    segment.maps(memory, self.dtype),
                    None
                    if segment is self.segments[-1]
                    else memory.array(f"result {i % 2}", segment.shape, self.dtype),
                )
                for i, segment in enumerate(self.segments)
            ]
        return views

    def run(self, x: Array, run: Run, memory: _Memory) -> Array:
        """The result, in an array of its own."""
        if x.shape != self.given or x.dtype != self.dtype:  # a layer before has another result than it says
            for link in self.links:
                x = link.layer.forward(x, run)
            return x
        if not (x.flags.c_contiguous and x.flags.aligned):
            x = np.require(x, requirements=("C", "A"))
        for segment, (maps, y) in zip(self.segments, memory.views(self, self._views), strict=True):
            y = empty(segment.shape, self.dtype) if y is None else y
            segment.fill(x, y, maps)
            x = y
        return x.reshape(self.shape)


class Chain:
    """Layers one after another, without training."""

    def __init__(self, layers: Sequence[Layer]) -> None:
        self.layers = layers
        self._known: dict[Any, list[Layer | _Stretch] | None] = {}
        self._free: list[_Memory] = []

    def __reduce__(self) -> Any:
        return Chain, (self.layers,)

    def __call__(self, x: Array, run: Run) -> Array:
        key = x.shape, x.dtype.char, x.dtype.isnative, *circumstances()
        parts = self._known.get(key)
        if parts is None:
            # a form that does not come again is not worth being made ready for
            again = key in self._known
            if len(self._known) >= MOST and not again:
                self._known.clear()
                self._free.clear()
            parts = self._known[key] = self._parts(x) if again else None
        if parts is None:
            for layer in self.layers:
                x = layer.forward(x, run)
            return x
        try:
            memory = self._free.pop()
        except IndexError:  # other calls are using all there is
            memory = _Memory()
        try:
            for part in parts:
                x = part.run(x, run, memory) if isinstance(part, _Stretch) else part.forward(x, run)
        finally:
            if memory.nbytes <= KEPT:
                self._free.append(memory)
        return x

    def _parts(self, x: Array) -> list[Layer | _Stretch]:
        """What is done one after another for arrays like x."""
        if x.dtype.char not in "fd" or not x.dtype.isnative or not x.size:
            return list(self.layers)
        n, *sample = x.shape
        shape, parts, links = tuple(sample), list[Layer | _Stretch](), list[_Link]()
        for layer in self.layers:
            try:
                link = _Link(layer, shape, x.dtype)
            except (TypeError, ValueError):  # which the layer tells of when it is run
                return list(self.layers)
            if not link.flat and _step_of(layer, (n, *shape), x.dtype) is None:
                parts += [*_closed(links, n, x.dtype), layer]
                links = []
            else:
                links.append(link)
            shape = link.result
        return [*parts, *_closed(links, n, x.dtype)]


def _closed(links: list[_Link], n: int, dtype: Dtype) -> list[Layer | _Stretch]:
    """Layers that are all known as one, unless all only flatten."""
    if all(link.flat for link in links):
        return [link.layer for link in links]
    return [_Stretch(links, n, dtype, circumstances()[0])]
