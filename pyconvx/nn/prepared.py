"""Layers that only infer, with filters packed once. May import the layers and the functional core."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, cast

import numpy as np

from .. import functional
from ..functional import prepare
from . import pool
from .basic import Activation, Dense, Pad
from .blas import LARGE
from .conv import _Convolution
from .layer import Array, Layer, LayerPullback, Params, Run, Shape, Spans

__all__ = ["OPERATIONS", "Prepared", "PreparedConvolution", "PreparedDense", "Step"]

OPERATIONS = {Activation, Pad, *(getattr(pool, name) for name in pool.__all__)}
"""Layers without parameters whose result, sample by sample, is that of their operation, which keeps nothing of x. A
class derived from one may be anything.
"""


@dataclass
class Step:
    """What a layer does, as an operation: y is `function(x.reshape(shape), *arguments, **options)`."""

    function: Any
    shape: Shape
    arguments: tuple[Any, ...]
    options: dict[str, Any]


class Prepared(Layer):
    """A layer that does what another one does without training."""

    frozen = True

    def __init__(self, layer: Layer) -> None:
        self.layer, self.input_shape = layer, layer.input_shape

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        for array in self.layer.params.values():
            array.flags.writeable = False  # copies forget it

    @property
    def params(self) -> Params:
        """Those of the layer, to be read: filters are packed."""
        return cast(Params, MappingProxyType(self.layer.params))

    @params.setter
    def params(self, values: Params) -> None:
        raise ValueError(f"a frozen network keeps its parameters: {self!r}")

    @property
    def state(self) -> Params:
        """That of the layer."""
        return self.layer.state

    @state.setter
    def state(self, values: Params) -> None:
        if values:
            raise ValueError(f"a frozen network keeps its state: {self!r}")

    def step(self, shape: Shape) -> Step | None:
        """How that is done for an x of that shape, N included, and of the dtype of the parameters; None if only by
        `forward`.
        """
        raise NotImplementedError

    def __repr__(self) -> str:
        return repr(self.layer)

    def output_shape(self, input_shape: Shape) -> Shape:
        return self.layer.output_shape(input_shape)

    def param_shapes(self, input_shape: Shape) -> dict[str, Shape]:
        return self.layer.param_shapes(input_shape)

    def multiply_adds(self, input_shape: Shape) -> int:
        return self.layer.multiply_adds(input_shape)

    def window(self, input_shape: Shape) -> Mapping[str, Any] | None:
        return self.layer.window(input_shape)

    def spans(self, input_shape: Shape) -> Spans:
        return self.layer.spans(input_shape)

    def make(self, input_shape: Shape, rng: np.random.Generator, dtype: np.dtype[Any]) -> tuple[Params, Params]:
        raise ValueError(f"a frozen network has no parameters to be made: {self!r}")

    def pull(self, x: Array, run: Run) -> tuple[Array, LayerPullback]:
        raise ValueError(f"a frozen network has no gradients: {self!r}")


class PreparedConvolution(Prepared):
    """A convolution, or a transposed one."""

    layer: _Convolution

    def __init__(self, layer: _Convolution) -> None:
        super().__init__(layer)
        layout: Any = layer.layout
        self.filters = prepare(layer.params["filters"], layout)

    def step(self, shape: Shape) -> Step:
        options = self.layer.options_for(shape[1:])
        return Step(self.layer.function, shape, (self.filters, self.params.get("bias")), options)

    def forward(self, x: Array, run: Run) -> Array:
        step = self.step(x.shape)
        y: Array = step.function(x, *step.arguments, **step.options)
        return y


class PreparedDense(Prepared):
    """A dense layer: samples are places of a convolution, whose filters have one tap."""

    layer: Dense

    def __init__(self, layer: Dense) -> None:
        super().__init__(layer)
        self.filters = prepare(np.ascontiguousarray(layer.params["weights"].T[:, None]))

    def step(self, shape: Shape) -> Step | None:
        weights = self.params["weights"]
        if shape[1:] != weights.shape[:1] or not 0 < shape[0] * weights.size < LARGE:
            return None  # large ones are left to BLAS, which divides the weights, too
        options = {"activation": self.layer.activation}
        return Step(functional.conv1d, (1, *shape), (self.filters, self.params.get("bias")), options)

    def forward(self, x: Array, run: Run) -> Array:
        step = self.step(x.shape)
        if step is None or x.dtype != self.params["weights"].dtype:
            return self.layer.forward(x, run)
        y: Array = step.function(x[None], *step.arguments, **step.options)[0]
        return y
