"""Networks in files: .npz, and .safetensors where that package is installed. May import the layers and config."""

from __future__ import annotations

import errno
import json
import os
import secrets
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from .config import from_config, to_config
from .layer import Array, Layer, Params, Shape, built_shape, checked_shape

__all__ = ["arrays_of", "check_arrays", "load", "raise_unless_damaged", "save", "write_whole"]

CONFIG = "config"
FORMAT = 1


def save(net: Layer, path: str | Path) -> None:
    """Write a built network, its configuration, parameters and state, to a file that ends in .npz or .safetensors.

    Nothing is pickled. Raises ValueError for a network that is not built, or another ending.

    >>> import numpy as np, pyconvx as cx, tempfile
    >>> net = cx.nn.Sequential(cx.nn.Conv2D(2, 3), cx.nn.GlobalPool()).build((8, 8, 1))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     cx.nn.save(net, f"{folder}/net.npz")
    ...     again = cx.nn.load(f"{folder}/net.npz")
    >>> bool((again(np.ones((1, 8, 8, 1))) == net(np.ones((1, 8, 8, 1)))).all())
    True
    """
    shape = built_shape(net)
    about = json.dumps({"format": FORMAT, "input_shape": list(shape), "network": to_config(net)})
    arrays = arrays_of(net)
    check_arrays(arrays, _wanted(net, shape))
    path = Path(path)
    if path.suffix == ".npz":
        arrays[CONFIG] = np.frombuffer(about.encode(), np.uint8)
        write_whole(path, lambda file: np.savez(file, **arrays))
    elif path.suffix == ".safetensors":
        from safetensors.numpy import save

        plain = {key: np.ascontiguousarray(array) for key, array in arrays.items()}
        write_whole(path, lambda file: file.write(save(plain, metadata={CONFIG: about})))
    else:
        raise ValueError(f"path must end in .npz or .safetensors, got {str(path)!r}")


def write_whole(path: Path, write: Callable[[BinaryIO], Any]) -> None:
    """Write a file whole or not at all: one beside it takes its place, with its mode, when it is complete."""
    path = Path(os.path.realpath(path))  # a link goes on pointing to it
    beside = path.with_name(f".{path.name}.{secrets.token_hex(8)}.part")
    try:
        with open(beside, "xb") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
        if path.exists():
            shutil.copymode(path, beside)
        beside.replace(path)
    except BaseException:
        beside.unlink(missing_ok=True)
        raise


def check_arrays(arrays: Mapping[str, Array], wanted: Mapping[str, Shape]) -> None:
    """ValueError unless these are floats of just these names and shapes."""
    if wanted.keys() != arrays.keys():
        raise ValueError(f"arrays are missing or too many: {', '.join(sorted(wanted.keys() ^ arrays.keys()))}")
    for key, array in arrays.items():
        if array.dtype not in (np.float32, np.float64) or array.shape != wanted[key]:
            raise ValueError(f"{key} must be floats of shape {wanted[key]}, got {array.dtype} of shape {array.shape}")


def _wanted(net: Layer, input_shape: Shape) -> dict[str, Shape]:
    """The shapes of `arrays_of` a network for what it takes."""
    shapes = {"params": net.param_shapes(input_shape), "state": net.state_shapes(input_shape)}
    return {f"{kind}/{key}": shape for kind, each in shapes.items() for key, shape in each.items()}


def load(path: str | Path) -> Layer:
    """Read a network that `save` wrote. Only arrays of numbers and a text are read, nothing is executed.

    Raises OSError for a file that cannot be opened, ValueError that says why for one that holds no such network, or one
    whose arrays do not fit its configuration.
    """
    path = Path(path)
    if path.suffix not in (".npz", ".safetensors"):
        raise ValueError(f"path must end in .npz or .safetensors, got {str(path)!r}")
    try:
        about, arrays = _read_npz(path) if path.suffix == ".npz" else _read_safetensors(path)
        if not isinstance(about, Mapping) or about.get("format") != FORMAT:
            raise ValueError(f"it is of no format known here ({FORMAT})")
        net = from_config(about.get("network"))
        _put(net, checked_shape(about.get("input_shape")), arrays)
    except ImportError:
        raise
    except Exception as error:
        raise_unless_damaged(error)
        raise ValueError(f"{path} holds no network: {error}") from error
    return net


def raise_unless_damaged(error: Exception) -> None:
    """Raise an error of the system again, but for a place in a file that is none: its contents name that."""
    if isinstance(error, OSError) and (error.filename is not None or error.errno != errno.EINVAL):
        raise error


def arrays_of(net: Layer) -> dict[str, Any]:
    """Parameters and state in one dict, as files hold them."""
    kinds = {"params": net.params, "state": net.state}
    return {f"{kind}/{key}": array for kind, each in kinds.items() for key, array in each.items()}


def _put(net: Layer, input_shape: tuple[int, ...], arrays: Params) -> None:
    """Fill a network, built for what it takes, with arrays of just its names, shapes and kind of numbers."""
    net.output_shape(input_shape)
    check_arrays(arrays, _wanted(net, input_shape))
    net._assume(input_shape)
    for kind in ("params", "state"):
        own = {key.removeprefix(f"{kind}/"): array for key, array in arrays.items() if key.startswith(f"{kind}/")}
        setattr(net, kind, own)


def _read_npz(path: Path) -> tuple[Any, Params]:
    with open(path, "rb") as stream, np.load(stream, allow_pickle=False) as file:
        if CONFIG not in file.files:
            raise ValueError("it has no configuration")
        text = file[CONFIG]
        if text.dtype != np.uint8:
            raise ValueError("its configuration is no text")
        return json.loads(text.tobytes()), {key: file[key] for key in file.files if key != CONFIG}


def _read_safetensors(path: Path) -> tuple[Any, Params]:
    from safetensors import safe_open

    with safe_open(path, framework="numpy") as file:
        metadata = file.metadata() or {}
        if CONFIG not in metadata:
            raise ValueError("it has no configuration")
        names = list(file.keys())
        return json.loads(metadata[CONFIG]), {name: file.get_tensor(name) for name in names}
