"""A chain of layers for inference: those that are known are made ready for each form of x that comes again.

May import layers, pieces and the functional core.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..functional.arrays import empty
from ..functional.ready import circumstances
from .layer import Array, Layer, Run, Shape
from .layout import channels_last_inside
from .links import Dtype, Unit, unit_of
from .pieces import Memory, segments

__all__ = ["Chain"]

MOST = 32
"""Forms of x that a chain is ready for, or has seen once."""
KEPT = 2**28
"""Bytes of memory above which it is not kept for the next call."""


class _Stretch:
    """Layers that are all known, so that nobody but the next one sees the result of one of them."""

    def __init__(self, units: list[Unit], n: int, dtype: Dtype, threads: int) -> None:
        self.units, self.given, self.shape, self.dtype = units, (n, *units[0].given), (n, *units[-1].result), dtype
        self.segments = segments([unit for unit in units if unit.links], n, threads)

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
            return _one_by_one([layer for unit in self.units for layer in unit.layers], x, run)
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
        self._inside: Sequence[Layer] | None = None
        self._known: dict[Any, list[Layer | _Stretch] | None] = {}
        self._free: list[Memory] = []

    def __reduce__(self) -> Any:
        return Chain, (self.layers,)

    @property
    def inside(self) -> Sequence[Layer]:
        """What is done in place of the layers."""
        if self._inside is None:
            self._inside = channels_last_inside(self.layers)
        return self._inside

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
            return _one_by_one(self._fitting(x.shape[1:]), x, run)
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

    def _fitting(self, shape: Shape) -> Sequence[Layer]:
        """What is to be done for samples of a shape: the layers themselves, where one of them refuses it."""
        if self.inside is not self.layers:
            try:
                for layer in self.layers:
                    shape = layer.output_shape(shape)
            except (TypeError, ValueError):
                return self.layers
        return self.inside

    def _parts(self, x: Array) -> list[Layer | _Stretch]:
        """What is done one after another for arrays like x."""
        n, *sample = x.shape
        shape, parts, units = tuple(sample), list[Layer | _Stretch](), list[Unit]()
        layers = self._fitting(shape)
        if x.dtype.char not in "fd" or not x.dtype.isnative or not x.size:
            return list(layers)
        for layer in layers:
            if units and units[-1].takes(layer):
                continue
            try:
                unit = unit_of(layer, n, shape, x.dtype)
                shape = layer.output_shape(shape)
            except (TypeError, ValueError):  # which the layer tells of when it is run
                return list(layers)
            if unit is None:
                parts += [*_closed(units, n, x.dtype), layer]
                units = []
            else:
                units.append(unit)
        return [*parts, *_closed(units, n, x.dtype)]


def _closed(units: list[Unit], n: int, dtype: Dtype) -> list[Layer | _Stretch]:
    """Layers that are all known as one, unless all only flatten."""
    if not any(unit.links for unit in units):
        return [layer for unit in units for layer in unit.layers]
    return [_Stretch(units, n, dtype, circumstances()[0])]


def _one_by_one(layers: Sequence[Layer], x: Array, run: Run) -> Array:
    for layer in layers:
        x = layer.forward(x, run)
    return x
