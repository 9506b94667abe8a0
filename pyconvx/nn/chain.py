"""A chain of layers for inference: memory of the maps between them is kept, and a batch goes through in pieces.

Pieces are as many samples as leave the maps of a layer in the cache for the next. May import the prepared layers, those
that are operations and the functional core.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..functional.arrays import empty
from ..functional.ready import Ready, circumstances
from . import pool
from .basic import Activation, Flatten, Pad
from .layer import Array, Layer, Operation, Run, Shape
from .prepared import Prepared, Step

__all__ = ["Chain"]

PIECE = 2**20
"""Bytes that a layer may read and fill for a piece, for each thread."""
KNOWN = 4
"""Forms of x that a chain is ready for, each with memory of its own."""
OPERATIONS = {Activation, Pad, *(getattr(pool, name) for name in pool.__all__)}
"""Layers whose result, sample by sample, is that of their operation, which keeps nothing of x. A class derived from one
may be anything.
"""

Dtype = np.dtype[Any]
Memory = list[Array]


def _step_of(layer: Layer, shape: Shape, dtype: Dtype) -> Step | None:
    """How a layer is done for an x of a shape, N included, if it is one of those that are known."""
    if isinstance(layer, Prepared):
        return layer.step(shape) if all(array.dtype == dtype for array in layer.params.values()) else None
    if isinstance(layer, Operation) and type(layer) in OPERATIONS and len(shape) > 1:
        function, arguments, options = layer.call(len(shape))
        return Step(function, shape, arguments, options)
    return None


class _Link:
    """A layer in a chain, for samples of one shape."""

    def __init__(self, layer: Layer, given: Shape, dtype: Dtype) -> None:
        self.layer, self.given, self.flat = layer, given, type(layer) is Flatten
        self.result = layer.output_shape(given)
        self.bytes = dtype.itemsize * (math.prod(given) + math.prod(self.result))
        self.weight = sum(array.nbytes for array in layer.params.values())

    def ready(self, samples: int, n: int, dtype: Dtype) -> tuple[Ready, Shape]:
        """The layer for so many samples of n, and the shape of x for that."""
        step, whole = (_step_of(self.layer, (count, *self.given), dtype) for count in (samples, n))
        if step is None or whole is None:
            raise TypeError(f"{self.layer!r} is done for {n} samples, and not for {samples}")
        return Ready(step.function, step.shape, dtype, step.arguments, step.options, whole.shape), step.shape


def _samples(links: Sequence[_Link], threads: int) -> int:
    """How many samples a piece for some layers has; 0 where a layer would read its weights more often than that spares.

    They are read once for each piece, and what stays in the cache is what is neither written out nor read again.
    """
    most = max(1, PIECE * threads // max(1, *(link.bytes for link in links)))
    return 0 if any(link.weight > most * link.bytes for link in links) else most


class _Segment:
    """Layers that a batch goes through in pieces."""

    def __init__(self, links: Sequence[_Link], n: int, dtype: Dtype, threads: int) -> None:
        most = n if len(links) == 1 else _samples(links, threads) or n
        size = -(-n // -(-n // most))
        self.bounds = [(start, min(start + size, n)) for start in range(0, n, size)]
        self.steps: dict[int, list[tuple[Ready, Shape]]] = {
            samples: [link.ready(samples, n, dtype) for link in links]
            for samples in {stop - start for start, stop in self.bounds}
        }
        self.largest = max((math.prod(ready.shape) for ready, _ in self.steps[size][:-1]), default=0)
        """Elements of the maps between the layers."""
        self.shape = (n, *links[-1].result)

    def maps(self, memory: Memory) -> dict[int, list[Array]]:
        """The maps between the layers, in two arrays in turn, for pieces of each size."""
        return {
            samples: [
                memory[i % 2][: math.prod(ready.shape)].reshape(ready.shape) for i, (ready, _) in enumerate(steps[:-1])
            ]
            for samples, steps in self.steps.items()
        }

    def fill(self, x: Array, y: Array, maps: dict[int, list[Array]]) -> None:
        """Put the result of x into y, both contiguous."""
        for start, stop in self.bounds:
            samples = stop - start
            steps, between = self.steps[samples], maps[samples]
            given = x[start:stop]
            for i, (ready, shape) in enumerate(steps[:-1]):
                ready.fill(given.reshape(shape), between[i])
                given = between[i]
            ready, shape = steps[-1]
            ready.fill(given.reshape(shape), y[start:stop].reshape(ready.shape))


class _Stretch:
    """Layers that are all known, so that nobody but the next one sees the result of one of them."""

    def __init__(self, links: Sequence[_Link], n: int, dtype: Dtype, threads: int) -> None:
        self.links, self.given, self.shape, self.dtype = links, (n, *links[0].given), (n, *links[-1].result), dtype
        self.segments: list[_Segment] = []
        some: list[_Link] = []
        for link in links:
            if link.flat:
                continue
            if some and not _samples([*some, link], threads):
                self.segments.append(_Segment(some, n, dtype, threads))
                some = []
            some.append(link)
        self.segments.append(_Segment(some, n, dtype, threads))
        self._free: list[Any] = []

    def _memory(self) -> list[tuple[dict[int, list[Array]], Array | None]]:
        """For each segment its maps, and its result unless that is the caller's."""
        largest = max(segment.largest for segment in self.segments)
        inner = [empty((largest,), self.dtype) for _ in range(2)]
        whole = max((math.prod(segment.shape) for segment in self.segments[:-1]), default=0)
        between = [empty((whole,), self.dtype) for _ in range(2)]
        return [
            (
                segment.maps(inner),
                None
                if segment is self.segments[-1]
                else between[i % 2][: math.prod(segment.shape)].reshape(segment.shape),
            )
            for i, segment in enumerate(self.segments)
        ]

    def __call__(self, x: Array, run: Run) -> Array:
        if x.shape != self.given or x.dtype != self.dtype:  # a layer before has another result than it says
            for link in self.links:
                x = link.layer.forward(x, run)
            return x
        if not (x.flags.c_contiguous and x.flags.aligned):
            x = np.require(x, requirements=("C", "A"))
        try:
            memory = self._free.pop()
        except IndexError:  # another call is using it
            memory = self._memory()
        try:
            for segment, (maps, y) in zip(self.segments, memory, strict=True):
                y = empty(segment.shape, self.dtype) if y is None else y
                segment.fill(x, y, maps)
                x = y
        finally:
            self._free.append(memory)
        return x.reshape(self.shape)


class Chain:
    """Layers one after another, without training."""

    def __init__(self, layers: Sequence[Layer]) -> None:
        self.layers = layers
        self._known: dict[Any, list[Any]] = {}

    def __reduce__(self) -> Any:
        return Chain, (self.layers,)

    def __call__(self, x: Array, run: Run) -> Array:
        if x.dtype.char not in "fd" or not x.dtype.isnative or not x.size:
            parts: list[Any] = [layer.forward for layer in self.layers]
        else:
            key = x.shape, x.dtype.char, *circumstances()
            known = self._known.get(key)
            parts = self._parts(key, x) if known is None else known
        for part in parts:
            x = part(x, run)
        return x

    def _parts(self, key: Any, x: Array) -> list[Any]:
        """What is called one after another for arrays like x."""
        n, *sample = x.shape
        shape, parts, links = tuple(sample), list[Any](), list[_Link]()

        def close() -> None:
            if any(not link.flat for link in links):
                parts.append(_Stretch(links.copy(), n, x.dtype, circumstances()[0]))
            else:
                parts.extend(link.layer.forward for link in links)
            links.clear()

        try:
            for layer in self.layers:
                link = _Link(layer, shape, x.dtype)
                if link.flat or _step_of(layer, (n, *shape), x.dtype):
                    links.append(link)
                else:
                    close()
                    parts.append(layer.forward)
                shape = link.result
            close()
        except (TypeError, ValueError, MemoryError):
            return [layer.forward for layer in self.layers]  # which say what is wrong
        for old in list(self._known)[: 1 - KNOWN]:
            self._known.pop(old, None)
        self._known[key] = parts
        return parts
