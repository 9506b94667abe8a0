"""Networks in files: .npz, and .safetensors where that package is installed. May import layers, config and geometry."""

from __future__ import annotations

import errno
import json
import os
import secrets
import shutil
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from ..geometry import sample_shape
from .config import from_config, to_config
from .layer import Array, Layer, Params, Shape, built_shape
from .npz import arrays_in, names_in, opened, text_in

__all__ = ["arrays_of", "check_arrays", "check_names", "load", "part_of", "raise_unless_damaged", "save", "write_whole"]

CONFIG = "config"
CHECKSUM = "crc32"
FORMAT = 1
Read = Callable[[Mapping[str, Shape]], Params]
"""Reads the arrays of these names, which are all that there are."""


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
        safetensors = _module("safetensors.numpy")
        plain = {key: np.ascontiguousarray(array) for key, array in arrays.items()}
        metadata = {CONFIG: about, CHECKSUM: _checksum(about, plain)}
        write_whole(path, lambda file: file.write(safetensors.save(plain, metadata=metadata)))
    else:
        raise ValueError(f"path must end in .npz or .safetensors, got {str(path)!r}")


def write_whole(path: Path, write: Callable[[BinaryIO], Any]) -> None:
    """Write a file whole or not at all: one beside it takes its place, with its mode, when it is complete."""
    path = Path(os.path.realpath(path))  # a link goes on pointing to it
    if not path.parent.is_dir():
        raise FileNotFoundError(errno.ENOENT, "there is no such folder", str(path.parent))
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
    check_names(arrays, wanted)
    for key, array in arrays.items():
        if array.dtype not in (np.float32, np.float64) or array.shape != wanted[key]:
            raise ValueError(f"{key} must be floats of shape {wanted[key]}, got {array.dtype} of shape {array.shape}")


def check_names(names: Iterable[str], wanted: Iterable[str]) -> None:
    """ValueError unless these are just those."""
    if odd := set(names) ^ set(wanted):
        raise ValueError(f"arrays are missing or too many: {', '.join(sorted(odd))}")


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
        with (_npz if path.suffix == ".npz" else _safetensors)(path) as (text, read):
            about = json.loads(text)
            if not isinstance(about, Mapping) or about.get("format") != FORMAT:
                raise ValueError(f"it is of no format known here ({FORMAT})")
            net, shape = from_config(about.get("network")), sample_shape(about.get("input_shape"))
            net.output_shape(shape)
            _put(net, shape, read(_wanted(net, shape)))
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


def _put(net: Layer, input_shape: Shape, arrays: Params) -> None:
    """Fill a network, built for what it takes, with arrays of just its names, shapes and kind of numbers."""
    check_arrays(arrays, _wanted(net, input_shape))
    net._assume(input_shape)
    for kind in ("params", "state"):
        setattr(net, kind, part_of(kind, arrays))


def part_of(kind: str, arrays: Params) -> Params:
    """The arrays whose names begin with a kind and a slash, by the rest of their names."""
    return {key.removeprefix(f"{kind}/"): array for key, array in arrays.items() if key.startswith(f"{kind}/")}


@contextmanager
def _npz(path: Path) -> Iterator[tuple[str, Read]]:
    """The text of a file, and what reads its arrays."""

    def read(wanted: Mapping[str, Shape]) -> Params:
        check_names(names_in(file), [*wanted, CONFIG])
        return arrays_in(file, wanted)

    with opened(path) as file:
        yield text_in(file, CONFIG), read


@contextmanager
def _safetensors(path: Path) -> Iterator[tuple[str, Read]]:
    safetensors = _module("safetensors")

    def read(wanted: Mapping[str, Shape]) -> Params:
        check_names(file.keys(), wanted)
        arrays = {name: file.get_tensor(name) for name in wanted}
        if CHECKSUM not in metadata:
            raise ValueError(f"it has no checksum {CHECKSUM!r}")
        if metadata[CHECKSUM] != _checksum(metadata[CONFIG], arrays):
            raise ValueError("it is damaged: its checksum is another one")
        return arrays

    with safetensors.safe_open(path, framework="numpy") as file:
        metadata = file.metadata() or {}
        if CONFIG not in metadata:
            raise ValueError(f"it has no text {CONFIG!r}")
        yield metadata[CONFIG], read


def _module(name: str) -> Any:
    """One of safetensors; ImportError says what to install."""
    try:
        return import_module(name)
    except ImportError as error:
        raise ImportError("files that end in .safetensors need that package: pip install safetensors") from error


def _checksum(text: str, arrays: Params) -> str:
    """Of a text and of arrays, in the order of their names."""
    total = zlib.crc32(text.encode())
    for name in sorted(arrays):
        total = zlib.crc32(arrays[name].data, zlib.crc32(name.encode(), total))
    return f"{total:08x}"
