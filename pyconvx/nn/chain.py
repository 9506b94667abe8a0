"""A chain of layers for inference: those that are known are made ready for each form of x that comes again.

May import layers, pieces and the functional core.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from ..functional.arrays import empty
from ..functional.ready import circumstances
from .layer import Array, Layer, Run
from .layout import channels_last_inside
from .links import Dtype, Unit, unit_of
from .pieces import Memory, segments
from .sequential import Parallel, Sequential, one_after_another

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
        self._inside: tuple[int, Sequence[Layer]] | None = None
        self._known: dict[Any, list[Layer | _Stretch] | None] = {}
        self._free: list[Memory] = []

    def __reduce__(self) -> Any:
        return Chain, (self.layers,)

    @property
    def inside(self) -> Sequence[Layer]:
        """What is done in place of the layers, as long as names stand for what they do now."""
        _, generation = circumstances()
        if self._inside is None or self._inside[0] != generation:
            inside = channels_last_inside(self.layers)
            _chain_parts(inside)
            self._inside = generation, inside
        return self._inside[1]

    def __call__(self, x: Array, run: Run) -> Array:
        try:
            return self._done(x, run)
        except (TypeError, ValueError) as error:
            if not _all_own(self.layers):
                raise
            refused = error
        one_after_another(self.layers, x, run)  # which tell of themselves what is wrong
        raise refused

    def _done(self, x: Array, run: Run) -> Array:
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
            return _one_by_one(self.inside, x, run)
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
        n, *sample = x.shape
        shape, parts, units = tuple(sample), list[Layer | _Stretch](), list[Unit]()
        if x.dtype.char not in "fd" or not x.dtype.isnative or not x.size:
            return list(self.inside)
        try:
            for layer in self.inside:
                if units and units[-1].takes(layer):
                    continue
                unit = unit_of(layer, n, shape, x.dtype)
                shape = layer.output_shape(shape)
                if unit is None:
                    parts += [*_closed(units, n, x.dtype), layer]
                    units = []
                else:
                    units.append(unit)
            return [*parts, *_closed(units, n, x.dtype)]
        except (TypeError, ValueError):  # which a layer tells of when it is run
            return list(self.inside)


def _closed(units: list[Unit], n: int, dtype: Dtype) -> list[Layer | _Stretch]:
    """Layers that are all known as one, unless all only flatten."""
    if not any(unit.links for unit in units):
        return [layer for unit in units for layer in unit.layers]
    return [_Stretch(units, n, dtype, circumstances()[0])]


def _chain_parts(layers: Sequence[Layer]) -> None:
    """Give layers in groups that were made for a chain one of their own, for where the group is no link."""
    for layer in layers:
        if isinstance(layer, Sequential) and layer.chain is None:
            layer.chain = Chain(layer.layers)
        elif isinstance(layer, Parallel):
            _chain_parts(layer.layers)


def _all_own(layers: Iterable[Layer]) -> bool:
    """Whether all layers are the library's, which keep nothing of a run."""
    return all(
        _all_own(layer) if isinstance(layer, (Parallel, Sequential)) else type(layer).__module__.startswith(__package__)
        for layer in layers
    )


def _one_by_one(layers: Sequence[Layer], x: Array, run: Run) -> Array:
    for layer in layers:
        x = layer.forward(x, run)
    return x
