"""A network with other options, weights kept. May import the layers."""

from __future__ import annotations

import copy
from dataclasses import fields, replace
from typing import Any

from . import pool
from .layer import PLUGIN_OPTIONS, Layer, require_known
from .sequential import Parallel, Sequential

__all__ = ["replaced"]


def replaced(net: Layer, **options: Any) -> Layer:
    """A network like `net`, whose layers have these options wherever they have them and they are not None.

    So that ``activation="gelu"`` changes every activation there is, and gives none to a layer without one. `kind`
    changes MaxPool and AvgPool layers, too, and `activation` Activation layers. Parameters and state are the same
    arrays. Raises TypeError for an option that no layer has, ValueError for one by which parameters would have another
    shape, as the number of filters.

    >>> import pyconvx as cx
    >>> net = cx.nn.Sequential(cx.nn.Conv2D(8, 3, activation="relu"), cx.nn.MaxPool2D(2), cx.nn.Conv2D(2, 1))
    >>> net.replace(activation="gelu", kind="avg")
    Sequential(Conv2D(8, 3, activation='gelu'), Pool2D(2, kind='avg'), Conv2D(2, 1))
    """
    for name in options.keys() & PLUGIN_OPTIONS.keys():
        require_known(PLUGIN_OPTIONS[name], options[name])
    used: set[str] = set()
    result = _replaced(net, options, used)
    if used != options.keys():
        raise TypeError(f"no layer has the option {', '.join(sorted(options.keys() - used))}")
    return result


def _replaced(layer: Layer, options: dict[str, Any], used: set[str]) -> Layer:
    if isinstance(layer, (Sequential, Parallel)):
        group = copy.copy(layer)
        group.layers = tuple(_replaced(each, options, used) for each in layer)
        return group
    if "kind" in options and isinstance(layer, (pool._MaxPool, pool._AvgPool)):
        layer = _any_pool(layer)
    if layer.frozen:
        raise TypeError(f"a frozen network has no options to be replaced: {layer!r}")
    own = {field.name for field in fields(layer)} & options.keys()
    used |= own
    changed = {name: options[name] for name in own if getattr(layer, name) is not None}
    made = replace(layer, **changed)
    made.params, made.state, made.input_shape = layer.params, layer.state, layer.input_shape
    if layer.input_shape is not None:
        shapes = {name: array.shape for name, array in layer.params.items()}
        if made.param_shapes(layer.input_shape) != shapes:
            raise ValueError(f"{made!r} would have other parameters than {layer!r}, which are kept")
    return made


def _any_pool(layer: pool._Pool) -> Layer:
    """A MaxPool or AvgPool layer as Pool, whose kind is an option."""
    options = {name: value for name, value in layer.options().items() if name != "size"}
    made: Layer = getattr(pool, f"Pool{layer.rank}D")(layer.size, layer.kind, **options)
    made.input_shape = layer.input_shape
    return made
