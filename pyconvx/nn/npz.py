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

__all__ = ["arrays_in", "names_in", "opened", "text_in"]

ENDING = ".npy"
TEXT = 2**26
"""Most bytes of a text."""
HEADER = 2**16
"""Most bytes before the elements of an array."""


@contextmanager
def opened(path: Path) -> Iterator[NpzFile]:
    """A file whose arrays are read when they are asked for. Raises an error of zipfile for what is no .npz."""
    with open(path, "rb") as stream, NpzFile(stream, allow_pickle=False) as file:
        yield file


def names_in(file: NpzFile) -> list[str]:
    """Of all arrays. Raises ValueError for anything else in the file, or a name that is there twice."""
    members = _members(file)
    odd = [each for each in members if not each.endswith(ENDING) or members.count(each) > 1]
    if odd:
        raise ValueError(f"it holds {odd[0]!r}, which is no array, or one of several of that name")
    return [each.removesuffix(ENDING) for each in members]


def text_in(file: NpzFile, name: str) -> str:
    """A text, which stands as an array of bytes. Raises ValueError for anything else."""
    if name + ENDING not in _members(file):
        raise ValueError(f"it has no array {name!r}")
    array = _read(file, name, TEXT)
    if array.dtype != np.uint8:
        raise ValueError(f"its {name} is no text")
    return array.tobytes().decode()


def arrays_in(file: NpzFile, wanted: Mapping[str, tuple[int, ...]]) -> dict[str, NDArray[Any]]:
    """The arrays of these names. Raises ValueError for one that is larger than numbers of its shape are."""
    return {name: _read(file, name, 8 * math.prod(shape)) for name, shape in wanted.items()}


def _members(file: NpzFile) -> list[str]:
    archive: Any = file.zip
    names: list[str] = archive.namelist()
    return names


def _read(file: NpzFile, name: str, most: int) -> NDArray[Any]:
    """An array of at most so many bytes, as the file says before anything is unpacked: a few packed bytes may be many.

    It is asked for as it is called in the file: NumPy would prefer another one without the ending.
    """
    archive: Any = file.zip
    size = archive.getinfo(name + ENDING).file_size
    if size > most + HEADER:
        raise ValueError(f"its {name} has {size} bytes, where {most} are the most")
    array: NDArray[Any] = file[name + ENDING]
    return array
