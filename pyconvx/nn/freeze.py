"""A copy of a network for inference: filters prepared, batch statistics folded, activations fused.

Imports the layers, those that are prepared, and their chain.
"""

from __future__ import annotations

import copy
from typing import Any, TypeGuard, TypeVar

import numpy as np

from .basic import Activation, BatchNorm, Dense, Dropout
from .chain import Chain
from .conv import _Convolution, _SeparableConv
from .layer import Array, Layer, Params, built_shape, overrides
from .prepared import PreparedConvolution, PreparedDense
from .sequential import Parallel, Sequential

__all__ = ["frozen"]

L = TypeVar("L", bound=Layer)


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
    if layer.frozen:
        return layer
    if _does(layer, Sequential):
        kept: list[Layer] = []
        each: Any
        for each in _flat(layer):
            before: Any = kept[-1] if kept else None
            if _does(each, Dropout):
                continue
            if _does(each, BatchNorm) and _open(before) and _same_axis(before, each):
                kept[-1] = _folded(before, each)
            elif _does(each, Activation) and _open(before) and _same_axis(before, each):
                kept[-1] = _with(before, {"activation": each.activation}, before.params)
            else:
                kept.append(each)
        return _group(layer, kept)
    if isinstance(layer, (Parallel, Sequential)):
        return _group(layer, list(layer))
    parts = _flat(layer)
    if parts != [layer]:
        chain = Sequential(*parts)
        chain.input_shape = layer.input_shape
        return _frozen(chain)
    own = copy.copy(layer)
    own.params, own.state = _copies(layer.params), _copies(layer.state)
    if own.params or own.state:
        vars(own)["frozen"] = True
    if _does(own, _Convolution):
        return PreparedConvolution(own)
    return PreparedDense(own) if _does(own, Dense) else own


def _copies(arrays: Params) -> Params:
    """The arrays as they are now, which nobody changes: some of them are packed once."""
    copies = {name: array.copy() for name, array in arrays.items()}
    for array in copies.values():
        array.flags.writeable = False
    return copies


def _group(layer: Sequential | Parallel, layers: list[Layer]) -> Layer:
    group = copy.copy(layer)
    group.layers = tuple(map(_frozen, layers))
    if isinstance(group, Sequential):
        group.chain = Chain(group.layers)
    return group


def _flat(layer: Layer) -> list[Layer]:
    """The layers that a layer is made of, one after another."""
    if _does(layer, Sequential):
        return [inner for each in layer for inner in _flat(each)]
    if _does(layer, _SeparableConv):
        first, second = layer.steps()
        first.input_shape = layer.input_shape
        second.input_shape = None if layer.input_shape is None else first.output_shape(layer.input_shape)
        return [first, second]
    return [layer]


def _does(layer: Any, kind: type[L]) -> TypeGuard[L]:
    """Whether a layer does what those of a kind do."""
    return isinstance(layer, kind) and not overrides(layer, kind)


def _is_plain(layer: Any) -> bool:
    return _does(layer, _Convolution) or _does(layer, Dense)


def _open(layer: Any) -> bool:
    """Whether a layer is linear, so that something can be folded into it."""
    return _is_plain(layer) and layer.activation is None


def _same_axis(layer: Any, after: Activation | BatchNorm) -> bool:
    return isinstance(layer, Dense) or layer.layout == after.layout


def _with(layer: Any, options: dict[str, Any], params: Params) -> Any:
    made = copy.copy(layer)
    for name, value in options.items():
        setattr(made, name, value)
    made.params = dict(params)
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
