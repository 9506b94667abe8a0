"""Arrays in .npz files, of which nothing is unpacked but what is wanted. Imports nothing from pyconvx."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib.npyio import NpzFile
from numpy.typing import NDArray

__all__ = ["arrays_in", "opened", "text_in"]

TEXT = 2**26
"""Most bytes of a text."""
HEADER = 2**16
"""Most bytes before the elements of an array."""


@contextmanager
def opened(path: Path) -> Iterator[NpzFile]:
    """A file whose arrays are read when they are asked for. Raises an error of zipfile for what is no .npz."""
    with open(path, "rb") as stream, NpzFile(stream, allow_pickle=False) as file:
        yield file


def text_in(file: NpzFile, name: str) -> str:
    """A text, which stands as an array of bytes. Raises ValueError for anything else."""
    if name not in file.files:
        raise ValueError(f"it has no {name}")
    _check_size(file, name, TEXT)
    array = file[name]
    if array.dtype != np.uint8:
        raise ValueError(f"its {name} is no text")
    return array.tobytes().decode()


def arrays_in(file: NpzFile, wanted: Mapping[str, tuple[int, ...]]) -> dict[str, NDArray[Any]]:
    """The arrays of these names. Raises ValueError for one that is larger than numbers of its shape are."""
    for name, shape in wanted.items():
        _check_size(file, name, 8 * math.prod(shape))
    return {name: file[name] for name in wanted}


def _check_size(file: NpzFile, name: str, most: int) -> None:
    """What a file says of a size is the most that is read: a few packed bytes may be many."""
    archive: Any = file.zip
    size = archive.getinfo(f"{name}.npy").file_size
    if size > most + HEADER:
        raise ValueError(f"its {name} has {size} bytes, where {most} are the most")
