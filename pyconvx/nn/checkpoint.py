"""Trainings in files, to go on with. May import the layers, their files, optimizers and History."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import numpy as np

from ..geometry import integer
from .history import History
from .layer import Array, Layer, Params, Shape
from .npz import arrays_in, names_in, opened, text_in
from .optimizers import Optimizer
from .save import arrays_of, check_arrays, check_names, part_of, raise_unless_damaged, write_whole

__all__ = ["copy_of", "digest", "restore", "resume", "write_checkpoint"]

ABOUT = "about"
LOOKED_AT = 2**24
"""Bytes of an array that its digest is made of, at most, but for those of one sample."""
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
    about = {
        "history": asdict(history),
        "steps": chosen.steps,
        "settings": settings,
        "network": repr(net),
        "arrays": list(arrays),
    }
    arrays[ABOUT] = np.frombuffer(json.dumps(about).encode(), np.uint8)
    write_whole(path, lambda file: np.savez(file, **arrays))


def digest(*data: Array) -> str:
    """A number that other data has another of: of their forms and elements, of large arrays those of some samples."""
    found = hashlib.sha256()
    for array in data:
        found.update(f"{array.shape} {array.dtype.str}".encode())
        samples = max(1, LOOKED_AT * len(array) // max(1, array.nbytes))
        rows = array if samples >= len(array) else array[np.linspace(0, len(array) - 1, samples).astype(np.intp)]
        found.update(rows.tobytes())
    return found.hexdigest()[:16]


def resume(path: Path, net: Layer, chosen: Optimizer, settings: Settings, epochs: int) -> tuple[History, Params]:
    """What a checkpoint of so many epochs at most holds, once all of it is known to fit."""
    try:
        with opened(path) as file:
            about = json.loads(text_in(file, ABOUT))
            if about["network"] != repr(net):
                raise ValueError(f"its network was {about['network']}, is {net!r}")
            _check_settings(about["settings"], settings)
            check_names(names_in(file), [*about["arrays"], ABOUT])
            wanted = _wanted(about["arrays"], net)
            arrays = arrays_in(file, wanted)
        check_arrays(arrays, wanted)
        parts: dict[str, Params] = {kind: part_of(kind, arrays) for kind in ("net", "best", "optimizer")}
        for key, array in arrays_of(net).items():
            if parts["net"][key].dtype != array.dtype:
                raise ValueError(f"its {key} is of {parts['net'][key].dtype}, that of the network of {array.dtype}")
        history = _history(about["history"])
        if history.epochs > epochs:
            raise ValueError(f"it holds {history.epochs} epochs, more than epochs={epochs}")
        steps = integer("steps", about["steps"], history.epochs)
    except Exception as error:
        raise_unless_damaged(error)
        raise ValueError(f"{path} is no checkpoint of this training: {error}") from error
    restore(net, parts["net"])
    chosen.state, chosen.steps = parts["optimizer"], steps
    return history, parts["best"]


def _check_settings(was: Settings, now: Settings) -> None:
    """ValueError unless they are the same; a checkpoint may know no digest of its data, as those once did."""
    for name in [*now, *(was.keys() - now.keys())]:
        if name != "data" and was.get(name) != now.get(name):
            raise ValueError(f"{name} was {was.get(name)!r}, is {now.get(name)!r}")
    if was.get("data", now["data"]) != now["data"]:
        raise ValueError("its data was other than this, of training or of validation")


def _wanted(names: Sequence[str], net: Layer) -> dict[str, Shape]:
    """The shapes of all arrays of a checkpoint, given which names the optimizer remembers something by."""
    own = {key: array.shape for key, array in arrays_of(net).items()}
    kinds = ["net", *(["best"] if any(name.startswith("best/") for name in names) else [])]
    wanted = {f"{kind}/{key}": shape for kind in kinds for key, shape in own.items()}
    for name in names:
        if name.startswith("optimizer/"):
            wanted[name] = net.params[name.partition(".")[2]].shape
    check_names(names, wanted)
    return wanted


def _history(lists: dict[str, Any]) -> History:
    """Raises ValueError for what is none of a training that has begun, with a number for each epoch in every list, or
    none where it is not measured.
    """
    check_names(lists, [each.name for each in fields(History)])
    history = History(**lists)
    for name, values in lists.items():
        if not isinstance(values, list) or not all(isinstance(value, (int, float)) for value in values):
            raise ValueError(f"its history holds {values!r}")
        measured = name in ("loss", "learning_rate", "seconds") or values
        if measured and len(values) != max(1, history.epochs):
            raise ValueError(f"its history has {history.epochs} epochs, but {len(values)} numbers of {name}")
    return history
