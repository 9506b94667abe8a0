"""A copy of a network for inference: filters prepared, batch statistics folded, activations fused.

Imports the layers and the functional core.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from ..functional import prepare
from .basic import Activation, BatchNorm, Dense, Dropout
from .conv import _Convolution
from .layer import Array, Layer, LayerPullback, Params, Run, Shape, built_shape
from .sequential import Parallel, Sequential

__all__ = ["frozen"]


def frozen(net: Layer) -> Layer:
    """A copy of a built network that only infers, faster: it has no gradients and does not learn what `net` learns.

    Filters are prepared; what BatchNorm does without training is folded into the convolution or dense layer before it;
    an Activation layer becomes the activation of the layer before it; Dropout is left out. Results are those of `net`
    within rounding. Raises ValueError for a network that is not built.

    >>> import numpy as np, pyconvx as cx
    >>> net = cx.nn.Sequential(cx.nn.Conv2D(8, 3), cx.nn.BatchNorm(), cx.nn.Activation("relu"), cx.nn.Dropout(0.2))
    >>> fast = net.build((8, 8, 1)).freeze()
    >>> fast
    Sequential(Conv2D(8, 3, activation='relu'))
    >>> x = np.ones((1, 8, 8, 1), np.float32)
    >>> bool(np.allclose(fast(x), net(x), atol=1e-6))
    True
    """
    built_shape(net)
    return _frozen(net)


def _frozen(layer: Layer) -> Layer:
    if isinstance(layer, Sequential):
        kept: list[Layer] = []
        for each in _flat(layer):
            before: Any = kept[-1] if kept else None
            if isinstance(each, Dropout):
                continue
            if isinstance(each, BatchNorm) and _open(before) and _same_axis(before, each):
                kept[-1] = _folded(before, each)
            elif isinstance(each, Activation) and _open(before) and _same_axis(before, each):
                kept[-1] = _with(before, {"activation": each.activation}, before.params)
            else:
                kept.append(each)
        return _group(layer, kept)
    if isinstance(layer, Parallel):
        return _group(layer, list(layer))
    own = copy.copy(layer)
    own.params = {name: array.copy() for name, array in layer.params.items()}
    own.state = {name: array.copy() for name, array in layer.state.items()}
    return _Prepared(own) if isinstance(own, _Convolution) else own


def _group(layer: Sequential | Parallel, layers: list[Layer]) -> Layer:
    group = copy.copy(layer)
    group.layers = tuple(map(_frozen, layers))
    return group


def _flat(layer: Sequential) -> list[Layer]:
    """The layers, those of inner Sequentials among them."""
    return [inner for each in layer for inner in (_flat(each) if isinstance(each, Sequential) else [each])]


def _open(layer: Any) -> bool:
    """Whether a layer is linear, so that something can be folded into it."""
    return isinstance(layer, (_Convolution, Dense)) and layer.activation is None


def _same_axis(layer: Any, after: Activation | BatchNorm) -> bool:
    return isinstance(layer, Dense) or layer.layout == after.layout


def _with(layer: Any, options: dict[str, Any], params: Params) -> Any:
    made = replace(layer, **options)
    made.params, made.state, made.input_shape = dict(params), layer.state, layer.input_shape
    return made


def _folded(layer: Any, norm: BatchNorm) -> Any:
    """A linear layer with the factor and the offset of each of its outputs."""
    factor, offset = norm.factors()
    name = "weights" if isinstance(layer, Dense) else "filters"
    weights = layer.params[name]
    column: Array = factor
    if name == "filters":
        if layer.operation == "conv_transpose":  # outputs lie along the channels of filters, group by group
            groups = layer.groups_of(weights.shape[0])
            count, per_group = weights.shape[0] // groups, len(factor) // groups
            each = np.repeat(factor.reshape(groups, per_group), count, 0)
            axis = 1 if layer.layout == "channels_first" else weights.ndim - 1
            shape = [1] * weights.ndim
            shape[0], shape[axis] = weights.shape[0], per_group
            column = each.reshape(shape)
        else:
            column = factor.reshape(-1, *(1,) * (weights.ndim - 1))
    bias = layer.params.get("bias", np.zeros(len(factor)))
    params = {name: (weights * column).astype(weights.dtype), "bias": (bias * factor + offset).astype(weights.dtype)}
    return _with(layer, {"bias": True}, params)


class _Prepared(Layer):
    """A convolution whose filters are packed once."""

    frozen = True

    def __init__(self, layer: _Convolution) -> None:
        self.layer, self.input_shape = layer, layer.input_shape
        self.params, self.state = layer.params, layer.state
        layout: Any = layer.layout
        self.filters = prepare(layer.params["filters"], layout)

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

    def make(self, input_shape: Shape, rng: np.random.Generator, dtype: np.dtype[Any]) -> tuple[Params, Params]:
        raise ValueError(f"a frozen network has no parameters to be made: {self!r}")

    def forward(self, x: Array, run: Run) -> Array:
        layer = self.layer
        options = layer.options_of(layer.channels_of(x.shape[1:]))
        y: Array = layer.function(x, self.filters, self.params.get("bias"), **options)
        return y

    def pull(self, x: Array, run: Run) -> tuple[Array, LayerPullback]:
        raise ValueError(f"a frozen network has no gradients: {self!r}")
