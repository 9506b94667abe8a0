"""A chain of layers for inference: those that are known are made ready for each form of x that comes again.

May import layers, pieces and the functional core.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..functional.arrays import empty
from ..functional.ready import circumstances
from .layer import Array, Layer, Run
from .pieces import Dtype, Link, Memory, segments, step_of

__all__ = ["Chain"]

MOST = 32
"""Forms of x that a chain is ready for, or has seen once."""
KEPT = 2**28
"""Bytes of memory above which it is not kept for the next call."""


class _Stretch:
    """Layers that are all known, so that nobody but the next one sees the result of one of them."""

    def __init__(self, links: list[Link], n: int, dtype: Dtype, threads: int) -> None:
        self.links, self.given, self.shape, self.dtype = links, (n, *links[0].given), (n, *links[-1].result), dtype
        self.segments = segments([link for link in links if not link.flat], n, threads)

    def _ways(self, memory: Memory) -> list[tuple[Any, Array | None]]:
        """For each segment its way, and its result unless that is the caller's."""
        for _ in range(2):  # at the second time blocks do not grow any more
            ways = [
                (
                    segment.within(memory),
                    None
                    if segment is self.segments[-1]
                    else memory.array(f"result {i % 2}", segment.shape, self.dtype),
                )
                for i, segment in enumerate(self.segments)
            ]
        return ways

    def run(self, x: Array, run: Run, memory: Memory) -> Array:
        """The result, in an array of its own."""
        if x.shape != self.given or x.dtype != self.dtype:  # a layer before has another result than it says
            for link in self.links:
                x = link.layer.forward(x, run)
            return x
        if not (x.flags.c_contiguous and x.flags.aligned):
            x = np.require(x, requirements=("C", "A"))
        for way, y in memory.views(self, self._ways):
            y = empty(way.segment.shape, self.dtype) if y is None else y
            way.fill(x, y)
            x = y
        return x.reshape(self.shape)


class Chain:
    """Layers one after another, without training."""

    def __init__(self, layers: Sequence[Layer]) -> None:
        self.layers = layers
        self._known: dict[Any, list[Layer | _Stretch] | None] = {}
        self._free: list[Memory] = []

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
            memory = Memory()
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
        shape, parts, links = tuple(sample), list[Layer | _Stretch](), list[Link]()
        for layer in self.layers:
            try:
                link = Link(layer, shape, x.dtype)
            except (TypeError, ValueError):  # which the layer tells of when it is run
                return list(self.layers)
            if not link.flat and step_of(layer, (n, *shape), x.dtype) is None:
                parts += [*_closed(links, n, x.dtype), layer]
                links = []
            else:
                links.append(link)
            shape = link.result
        return [*parts, *_closed(links, n, x.dtype)]


def _closed(links: list[Link], n: int, dtype: Dtype) -> list[Layer | _Stretch]:
    """Layers that are all known as one, unless all only flatten."""
    if all(link.flat for link in links):
        return [link.layer for link in links]
    return [_Stretch(links, n, dtype, circumstances()[0])]
