"""Networks as plain data that JSON can hold, and back. May import the layers, plugins and registries."""

from __future__ import annotations

import difflib
import json
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from ..plugin import Bound, Plugin, bind
from . import basic, conv, pool
from .layer import PLUGIN_OPTIONS, Layer, tuples
from .sequential import Parallel, Residual, Sequential

__all__ = ["from_config", "to_config"]

DEEPEST = 100
"""Groups in groups that are read."""
LAYERS: dict[str, type[Layer]] = {
    **{name: getattr(module, name) for module in (basic, conv, pool) for name in module.__all__},
    **{kind.__name__: kind for kind in (Parallel, Residual, Sequential)},
}
"""Every layer by the name of its class."""


def to_config(layer: Layer) -> dict[str, Any]:
    """A layer or network as dicts, lists, strings and numbers, without its parameters.

    Raises TypeError for an option that is neither, and for a layer that is none of this package: it could not be read.
    """
    kind = type(layer).__name__
    if LAYERS.get(kind) is not type(layer):
        what = "part of a frozen network" if layer.frozen else "no layer of pyconvx"
        raise TypeError(f"{layer!r} is {what}, and cannot be written as plain data")
    if isinstance(layer, Residual):
        inner: dict[str, Any] = {"layers": [to_config(each) for each in layer.layers[0]]}  # type: ignore[attr-defined]
        if layer.shortcut is not None:
            inner["shortcut"] = to_config(layer.shortcut)
        return {"layer": kind, **inner}
    if isinstance(layer, Parallel):
        inner = {"layers": list(map(to_config, layer)), "merge": layer.merge, "layout": layer.layout}
        return {"layer": kind, **inner}
    if isinstance(layer, Sequential):
        return {"layer": kind, "layers": list(map(to_config, layer))}
    return {"layer": kind, **{name: _plain(layer, name, value) for name, value in layer.options().items()}}


def _plain(layer: Layer, name: str, value: Any) -> Any:
    if isinstance(value, Plugin):
        return value.name
    if isinstance(value, Bound):
        given = {key: each for key, each in value.params.items() if each is not value.plugin.defaults[key]}
        params = {key: _plain(layer, name, each) for key, each in given.items()}
        return {"name": value.name, "params": params} if params else value.name
    if isinstance(value, (tuple, list)):
        return [_plain(layer, name, each) for each in value]
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, np.generic):
        return value.item()
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    raise TypeError(f"option {name} of {layer!r} cannot be written as plain data: {value!r}")


def from_config(config: Any, where: str = "network") -> Layer:
    """A layer or network of what `to_config` made, or its JSON text. Parameters are not part of it.

    Raises ValueError that says where, for a layer, option or plugin that is not known.
    """
    if isinstance(config, (str, bytes)):
        try:
            config = json.loads(config)
        except ValueError as error:
            raise ValueError(f"{where} must be JSON: {error}") from error
    if where.count(".") > DEEPEST:
        raise ValueError(f"{where[:40]}...: layers are more than {DEEPEST} deep")
    if not isinstance(config, Mapping) or not isinstance(config.get("layer"), str):
        raise ValueError(f'{where} must be a dict with the key "layer", got {config!r}')
    options = {key: value for key, value in config.items() if key != "layer"}
    kind = LAYERS.get(config["layer"])
    if kind is None:
        nearest = difflib.get_close_matches(config["layer"], LAYERS, n=1)
        hint = f"; did you mean {nearest[0]!r}?" if nearest else ""
        raise ValueError(f"{where}: there is no layer {config['layer']!r}{hint}")
    inner = options.pop("layers", None)
    layers = []
    if inner is not None:
        if not isinstance(inner, list):
            raise ValueError(f"{where}: layers must be a list, got {inner!r}")
        layers = [from_config(each, f"{where}.layers[{i}]") for i, each in enumerate(inner)]
    if "shortcut" in options:
        options["shortcut"] = from_config(options["shortcut"], f"{where}.shortcut")
    for name, value in options.items():
        if name in PLUGIN_OPTIONS:
            options[name] = _found(PLUGIN_OPTIONS[name], value, f"{where}.{name}")
        elif isinstance(value, list):
            options[name] = tuples(value)
    try:
        return kind(*layers, **options)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{where}, {config['layer']}: {error}") from error


def _found(find: Callable[..., Any], value: Any, where: str) -> Any:
    """The option as it was, once the plugin that it names is known to exist."""
    if isinstance(value, list):
        return tuple(_found(find, each, where) for each in value)
    if value is None:
        return None
    try:
        if isinstance(value, Mapping):
            if not {"name"} <= value.keys() <= {"name", "params"}:
                raise ValueError(f'a plugin is {{"name": ..., "params": {{...}}}}, got {dict(value)!r}')
            return bind(find(value["name"]).plugin, value.get("params", {}))
        find(value)
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{where}: {error}") from error
    return value
