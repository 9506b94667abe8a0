"""Layers as links: what is done one after another for a batch, each with what it reads, and what is known of it.

May import the prepared layers, those that are operations, groups of layers and the functional core.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from .. import _core
from ..activation import ActivationFunction, keeps_rows, kernel_of
from ..activation import activation as bind
from ..functional.parallel import num_threads
from ..functional.parallel import threads as allowed
from ..functional.ready import Moved, Ready, alone
from ..plugin import Bound
from .basic import Activation, Flatten
from .layer import Layer, Operation, Shape
from .layout import Relayout
from .prepared import OPERATIONS, Prepared, Step
from .sequential import Parallel, Residual, Sequential

__all__ = ["Dtype", "Link", "Unit", "unit_of"]

Dtype = np.dtype[Any]


class _UnknownError(Exception):
    """A layer is not done as a link."""


class Link:
    """What is done for samples of one shape."""

    adds: int | None = None
    """Which link's result is added to what it reads, if any: counted as `reads`."""
    weight = 0
    """Bytes of parameters."""

    def __init__(self, given: Shape, result: Shape, dtype: Dtype, reads: int) -> None:
        self.given, self.result, self.dtype, self.reads = given, result, dtype, reads
        """reads: the number of the link, in its unit, whose result it reads; -1 is what the unit is given."""
        self.bytes = dtype.itemsize * (math.prod(given) + math.prod(result))
        self.work = math.prod(result)
        """Multiply-adds of a sample, or elements of its windows."""
        self._ready: dict[tuple[int, int], tuple[Ready | Moved, Shape]] = {}

    def divides(self, n: int, size: int) -> bool:
        """Whether n samples may be done in pieces of a size, with the same bits."""
        return True

    def made(self, samples: int) -> tuple[Ready | Moved, Shape]:
        """It for so many samples and as many threads as are allowed, and the shape of x for that."""
        raise NotImplementedError

    def ready(self, samples: int, threads: int) -> tuple[Ready | Moved, Shape]:
        """The same for so many threads."""
        key = samples, threads
        if key not in self._ready:
            with allowed(threads):
                self._ready[key] = self.made(samples)
        return self._ready[key]

    def forget(self) -> None:
        """Let go of what was found out to choose from."""
        self._ready.clear()


class _LayerLink(Link):
    """A layer that is an operation."""

    def __init__(self, layer: Layer, given: Shape, dtype: Dtype, reads: int) -> None:
        super().__init__(given, layer.output_shape(given), dtype, reads)
        self.layer = layer
        self.weight = sum(array.nbytes for array in layer.params.values())
        taps = math.prod((layer.window(given) or {}).get("kernel_size", ()))
        self.work = max(layer.multiply_adds(given), taps * math.prod(self.result))
        self._divides: dict[tuple[int, int], bool] = {}

    def step(self, samples: int) -> Step:
        """How so many samples are done."""
        step = _step_of(self.layer, (samples, *self.given), self.dtype)
        if step is None:
            raise TypeError(f"{self.layer!r} is not done for {samples} samples")
        return step

    def divides(self, n: int, size: int) -> bool:
        if (n, size) not in self._divides:
            whole = self.step(n)
            given = self.dtype, whole.arguments, whole.options
            self._divides[n, size] = size == n or alone(whole.function, whole.shape, self.step(size).shape, *given)
        return self._divides[n, size]

    def made(self, samples: int) -> tuple[Ready | Moved, Shape]:
        step = self.step(samples)
        ready = Ready(step.function, step.shape, self.dtype, step.arguments, step.options)
        if math.prod(ready.shape) != samples * math.prod(self.result):  # memory is as large as the layer says
            raise ValueError(f"{self.layer!r} says that a result is {self.result}, but it is {ready.shape}")
        return ready, step.shape

    def forget(self) -> None:
        super().forget()
        self._divides.clear()


class _SumLink(Link):
    """The sum of two results, and an activation of that."""

    adds: int

    def __init__(self, shape: Shape, dtype: Dtype, reads: int, adds: int) -> None:
        super().__init__(shape, shape, dtype, reads)
        self.adds = adds
        self.bytes += dtype.itemsize * math.prod(shape)
        self.activation: Bound[ActivationFunction] | None = None

    def made(self, samples: int) -> tuple[Ready | Moved, Shape]:
        shape = samples, *self.given
        name, params = (None, ()) if self.activation is None else kernel_of(self.activation, self.dtype) or (None, ())
        return Moved(_core.kernels.Activate(name, params, shape, self.dtype, num_threads()), shape), shape

    def takes(self, layer: Layer) -> bool:
        """Let an activation layer be done with it; returns whether it is."""
        if type(layer) is not Activation or self.activation is not None:
            return False
        bound = bind(layer.activation)
        kernel = None if keeps_rows(bound) else kernel_of(bound, self.dtype)
        if kernel is None or not isinstance(kernel[0], str):
            return False
        self.activation = bound
        return True


class _RelayoutLink(Link):
    """Channels first to last, or back."""

    def __init__(self, layer: Relayout, given: Shape, dtype: Dtype, reads: int) -> None:
        super().__init__(given, layer.output_shape(given), dtype, reads)
        self.layer = layer

    def made(self, samples: int) -> tuple[Ready | Moved, Shape]:
        n, rows, columns = self.layer.sizes((samples, *self.given))
        kernel = _core.kernels.Transpose(n, rows, columns, self.dtype.itemsize, num_threads())
        return Moved(kernel, (samples, *self.result)), (samples, *self.given)


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


class Unit:
    """A layer as links, the last of which has its result; none where it is x in another shape."""

    def __init__(self, layers: Sequence[Layer], given: Shape, dtype: Dtype) -> None:
        self.layers, self.given, self.result, self.dtype = list(layers), given, given, dtype
        self.links: list[Link] = []

    def takes(self, layer: Layer) -> bool:
        """Let the layer behind be done with the last link; returns whether it is."""
        if self._fused(layer):
            self.layers.append(layer)
            return True
        return False

    def _fused(self, layer: Layer) -> bool:
        last = self.links[-1] if self.links else None
        return isinstance(last, _SumLink) and last.takes(layer)

    def add(self, layer: Layer, n: int, shape: Shape, reads: int) -> tuple[int, Shape]:
        """A layer that reads the result of a link, of that shape, for n samples; returns the link that has its result,
        and its shape.
        """
        link: Link
        if type(layer) is Flatten:
            return reads, layer.output_shape(shape)
        if type(layer) is Sequential:
            given = reads  # which others may read, too
            for each in layer.layers if (chain := layer.own_chain) is None else chain.inside:
                if reads == given or reads < len(self.links) - 1 or not self._fused(each):
                    reads, shape = self.add(each, n, shape, reads)
            return reads, shape
        if type(layer) in (Parallel, Residual) and isinstance(layer, Parallel) and layer.merge == "add":
            result = layer.output_shape(shape)
            (first, _), *others = [self.add(each, n, shape, reads) for each in layer.layers]
            for other, _ in others:
                self.links.append(_SumLink(result, self.dtype, first, other))
                first = len(self.links) - 1
            return first, result
        if isinstance(layer, Relayout):
            if len(shape) < 2:
                return reads, shape
            link = _RelayoutLink(layer, shape, self.dtype, reads)
        elif _step_of(layer, (n, *shape), self.dtype) is None:
            raise _UnknownError
        else:
            link = _LayerLink(layer, shape, self.dtype, reads)
        self.links.append(link)
        return len(self.links) - 1, link.result


def unit_of(layer: Layer, n: int, shape: Shape, dtype: Dtype) -> Unit | None:
    """A layer for n samples of a shape; None if it is not done by links."""
    unit = Unit([layer], shape, dtype)
    try:
        last, unit.result = unit.add(layer, n, shape, -1)
    except _UnknownError:
        return None
    return unit if last == len(unit.links) - 1 else None
