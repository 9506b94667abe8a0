"""Trainings in files, to go on with. May import the layers, their files, optimizers and History."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from ..geometry import integer
from .history import History
from .layer import Layer, Params
from .optimizers import Optimizer
from .save import arrays_of, check_arrays, raise_unless_damaged, write_whole

__all__ = ["copy_of", "restore", "resume", "write_checkpoint"]

Settings = dict[str, Any]


def copy_of(net: Layer) -> Params:
    """Its parameters and state."""
    return {key: array.copy() for key, array in arrays_of(net).items()}


def restore(net: Layer, arrays: Params) -> None:
    """Set them."""
    for key, array in arrays_of(net).items():
        array[...] = arrays[key]


def write_checkpoint(
    path: Path, net: Layer, chosen: Optimizer, history: History, best: Params, settings: Settings
) -> None:
    """A checkpoint, whole or not at all."""
    arrays: dict[str, Any] = {f"net/{key}": array for key, array in arrays_of(net).items()}
    arrays |= {f"best/{key}": array for key, array in best.items()}
    arrays |= {f"optimizer/{key}": array for key, array in chosen.state.items()}
    about = {"history": asdict(history), "steps": chosen.steps, "settings": settings, "network": repr(net)}
    arrays["about"] = np.frombuffer(json.dumps(about).encode(), np.uint8)
    write_whole(path, lambda file: np.savez(file, **arrays))


def resume(path: Path, net: Layer, chosen: Optimizer, settings: Settings) -> tuple[History, Params]:
    """What a checkpoint holds, once all of it is known to fit."""
    try:
        with open(path, "rb") as stream, np.load(stream, allow_pickle=False) as file:
            about = json.loads(file["about"].tobytes())
            parts: dict[str, Params] = {"net": {}, "best": {}, "optimizer": {}}
            for key in file.files:
                kind, _, name = key.partition("/")
                if name:
                    parts[kind][name] = file[key]
        if about["network"] != repr(net):
            raise ValueError(f"its network was {about['network']}, is {net!r}")
        for name, value in settings.items():
            if about["settings"].get(name, value) != value:
                raise ValueError(f"{name} was {about['settings'][name]!r}, is {value!r}")
        shapes = {key: array.shape for key, array in arrays_of(net).items()}
        check_arrays(parts["net"], shapes)
        for key, array in arrays_of(net).items():
            if parts["net"][key].dtype != array.dtype:
                raise ValueError(f"its {key} is of {parts['net'][key].dtype}, that of the network of {array.dtype}")
        if parts["best"]:
            check_arrays(parts["best"], shapes)
        remembered = {key: net.params[key.partition(".")[2]].shape for key in parts["optimizer"]}
        check_arrays(parts["optimizer"], remembered)
        steps, history = integer("steps", about["steps"], 0), History(**about["history"])
        for values in asdict(history).values():
            if not isinstance(values, list) or not all(isinstance(value, (int, float)) for value in values):
                raise ValueError(f"its history holds {values!r}")
    except Exception as error:
        raise_unless_damaged(error)
        raise ValueError(f"{path} is no checkpoint of this training: {error}") from error
    restore(net, parts["net"])
    chosen.state, chosen.steps = parts["optimizer"], steps
    return history, parts["best"]
