"""Layers of channels first done with channels last, where kernels are faster: an exchange before them, and one behind.

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
from . import pool
from .basic import Activation, BatchNorm, Dropout, Pad
from .layer import Array, Layer, Run, Shape
from .prepared import PreparedConvolution
from .sequential import Parallel, Residual, Sequential

__all__ = ["Exchange", "channels_last_inside", "indifferent"]

FIRST, LAST = "channels_first", "channels_last"
WORTH = 2
"""Layers with filters for which an exchange is done."""
TURNED = {Activation, BatchNorm, Pad, *(getattr(pool, name) for name in pool.__all__)}
"""Layers without filters that do the same for channels last when their `layout` says so."""


class Exchange(Layer):
    """x in the other layout: `layout` is that of the result. Arrays without spatial axes are in both."""

    def __init__(self, layout: str) -> None:
        self.layout, self.input_shape = layout, None

    def __repr__(self) -> str:
        return f"Exchange({self.layout!r})"

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
    """Frozen layers that do what these do, with channels last inside where that is worth it; else the same."""
    if sum(_filters(layer) for layer in layers) < WORTH:
        return layers
    turned, layout = _turn(layers, FIRST)
    return [*turned, Exchange(FIRST)] if layout == LAST else turned


def _filters(layer: Layer) -> int:
    """How many layers with filters take channels first."""
    if isinstance(layer, (Parallel, Sequential)):
        return sum(map(_filters, layer.layers))
    return type(layer) is PreparedConvolution and layer.layer.layout == FIRST


def _turn(layers: Iterable[Layer], layout: str) -> tuple[list[Layer], str]:
    """Layers for an x of a layout in place of channels first, and the layout of their result."""
    found: list[Layer] = []
    for layer in layers:
        if indifferent(layer):
            found.append(layer)
            continue
        other = _turned(layer)
        wanted = FIRST if other is None else LAST
        if layout != wanted:
            found.append(Exchange(wanted))
        found.append(layer if other is None else other)
        layout = wanted
    return found, layout


def indifferent(layer: Layer) -> bool:
    """Whether a layer does the same to any layout."""
    if type(layer) is Activation:
        bound: Any = bind(layer.activation)
        return not keeps_rows(bound)
    return type(layer) is Dropout or (type(layer) is Sequential and not layer.layers)


def _turned(layer: Layer) -> Layer | None:
    """The layer for channels last; None if it is not one for channels first, or not known to do the same there."""
    if type(layer) in (Parallel, Residual) and isinstance(layer, Parallel):
        return _turned_group(layer)
    if isinstance(layer, Sequential):
        return _turned_branch(layer) if type(layer) is Sequential and _filters(layer) else None
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
    if (group.merge == "concat" and group.layout != FIRST) or not _filters(group):
        return None
    own = copy.copy(group)
    own.layers = tuple(map(_turned_branch, group.layers))
    own.layout = LAST
    return own


def _turned_branch(branch: Layer) -> Sequential:
    """One of the layers of a group, for channels last."""
    layers, layout = _turn(branch.layers if type(branch) is Sequential else [branch], LAST)
    own = Sequential()
    own.layers = tuple(layers if layout == LAST else [*layers, Exchange(LAST)])
    return own
