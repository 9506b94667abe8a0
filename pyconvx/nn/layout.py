"""Layers of channels first done with channels last, where kernels are faster.

May import the layers and those that are prepared.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from ..activation import activation as bind
from ..activation import keeps_rows
from ..functional.arrays import empty, exchange
from ..registry import UnknownNameError
from .basic import Activation, BatchNorm, Dropout
from .layer import Array, Layer, Run, Shape
from .prepared import OPERATIONS, PreparedConvolution
from .sequential import Parallel, Residual, Sequential

__all__ = ["Relayout", "channels_last_inside"]

FIRST, LAST = "channels_first", "channels_last"
WORTH = 2
"""Layers with filters, between as many channels as are worth it, for which channels are put last."""
MANY = 8
"""Channels of x and of the result below which lanes of places do without."""
TURNED = {*OPERATIONS, BatchNorm}
"""Layers without filters that do the same for channels last when their `layout` says so."""


class Relayout(Layer):
    """x in the other layout: `layout` is that of the result. Arrays without spatial axes are in both."""

    def __init__(self, layout: str) -> None:
        self.layout = layout
        super().__post_init__()

    def __repr__(self) -> str:
        return f"Relayout({self.layout!r})"

    def output_shape(self, input_shape: Shape) -> Shape:
        if len(input_shape) < 2:
            return input_shape
        if self.layout == FIRST:
            return (input_shape[-1], *input_shape[:-1])
        return (*input_shape[1:], input_shape[0])

    def sizes(self, shape: Shape) -> tuple[int, int, int]:
        """Samples, rows and columns of each, of an x of a shape."""
        n, *sample = shape
        channels = sample[-1] if self.layout == FIRST else sample[0]
        places = math.prod(sample) // channels if channels else 0
        return (n, places, channels) if self.layout == FIRST else (n, channels, places)

    def forward(self, x: Array, run: Run) -> Array:
        if x.ndim < 3:
            return x
        if x.dtype.char not in "fd" or not x.dtype.isnative or not x.size:
            return np.ascontiguousarray(np.moveaxis(x, *((-1, 1) if self.layout == FIRST else (1, -1))))
        n, rows, _ = self.sizes(x.shape)
        y = empty((n, *self.output_shape(x.shape[1:])), x.dtype)
        exchange(np.require(x, requirements=("C", "A")), y, n, rows)
        return y


def channels_last_inside(layers: Sequence[Layer]) -> Sequence[Layer]:
    """Frozen layers that do what these do, with channels last inside where that is worth it; else the same.

    What names of activations stand for is looked up now.
    """
    if sum(map(_worth, layers)) < WORTH:
        return layers
    turned, layout = _turn(layers, FIRST)
    return [*turned, Relayout(FIRST)] if layout == LAST else turned


def _worth(layer: Layer) -> int:
    """How many layers with filters take many channels first, and make many."""
    if isinstance(layer, (Parallel, Sequential)):
        return sum(map(_worth, layer.layers))
    if type(layer) is not PreparedConvolution or layer.layer.layout != FIRST:
        return 0
    filters, per_group, *_ = layer.params["filters"].shape
    groups = layer.layer.groups_of(filters) if per_group == 1 else 1
    return int(min(filters, per_group * groups) >= MANY)


def _turn(layers: Iterable[Layer], layout: str) -> tuple[list[Layer], str]:
    """Layers for an x of a layout in place of channels first, and the layout of their result."""
    found: list[Layer] = []
    for layer in layers:
        if _indifferent(layer):
            if not (found and layout == LAST and _fused(found[-1], layer)):
                found.append(layer)
            continue
        other = _turned(layer)
        wanted = FIRST if other is None else LAST
        if layout != wanted:
            found.append(Relayout(wanted))
        found.append(layer if other is None else other)
        layout = wanted
    return found, layout


def _indifferent(layer: Layer) -> bool:
    """Whether a layer does the same to any layout."""
    if type(layer) is Activation:
        try:
            bound: Any = bind(layer.activation)
        except UnknownNameError:  # which the layer tells of when it is run
            return False
        return not keeps_rows(bound)
    return type(layer) is Dropout or (type(layer) is Sequential and not layer.layers)


def _fused(before: Layer, layer: Layer) -> bool:
    """Let a convolution that was turned do the activation behind it, too; returns whether it does."""
    if type(layer) is not Activation or type(before) is not PreparedConvolution or before.layer.activation is not None:
        return False
    vars(before.layer)["activation"] = layer.activation
    return True


def _turned(layer: Layer) -> Layer | None:
    """The layer for channels last; None if it is not one for channels first, or not known to do the same there."""
    if type(layer) in (Parallel, Residual) and isinstance(layer, Parallel):
        return _turned_group(layer)
    if isinstance(layer, Sequential):
        return _turned_branch(layer) if type(layer) is Sequential and _worth(layer) else None
    if getattr(layer, "layout", None) == FIRST and type(layer) in TURNED:
        turned: Layer = _with_layout(layer)
        return turned
    if type(layer) is PreparedConvolution and layer.layer.layout == FIRST:
        own = _with_layout(layer.layer)
        filters = np.ascontiguousarray(np.moveaxis(layer.layer.params["filters"], 1, -1))
        filters.flags.writeable = False
        vars(own)["params"] = {**layer.layer.params, "filters": filters}
        return PreparedConvolution(own)
    return None


def _with_layout(layer: Any) -> Any:
    own = copy.copy(layer)
    vars(own).update(layout=LAST, input_shape=None)
    return own


def _turned_group(group: Parallel) -> Layer | None:
    if (group.merge == "concat" and group.layout != FIRST) or not _worth(group):
        return None
    own = copy.copy(group)
    own.layers = tuple(map(_turned_branch, group.layers))
    own.layout = LAST
    return own


def _turned_branch(branch: Layer) -> Sequential:
    """One of the layers of a group, for channels last."""
    layers, layout = _turn(branch.layers if type(branch) is Sequential else [branch], LAST)
    own = Sequential()
    own.layers = tuple(layers if layout == LAST else [*layers, Relayout(LAST)])
    return own
