"""Data sets in files: the idx format of MNIST and its like. Imports NumPy alone."""

from __future__ import annotations

import gzip
import math
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["load_idx", "read_idx"]

Array = NDArray[Any]
Pair = tuple[Array, Array]

DTYPES = {0x08: ">u1", 0x09: ">i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
"""By the third byte of a file."""
NAMES = {"train": "training", "t10k": "test"}


def read_idx(path: str | Path) -> Array:
    """Read an array from an idx file, which may be compressed (.gz).

    Raises OSError for a file that cannot be opened, ValueError that says why for one that is no such file, or holds
    more or less than it says.

    >>> import numpy as np, pyconvx as cx, tempfile
    >>> with tempfile.NamedTemporaryFile(suffix=".idx") as file:
    ...     _ = file.write(bytes([0, 0, 8, 2, 0, 0, 0, 2, 0, 0, 0, 3, 1, 2, 3, 4, 5, 6])); file.flush()
    ...     cx.nn.read_idx(file.name)
    array([[1, 2, 3],
           [4, 5, 6]], dtype=uint8)

    Source: the description of the file format on the page of the MNIST database, LeCun, Cortes and Burges.
    """
    path = Path(path)
    with open(path, "rb") as stream:
        compressed = stream.read(2) == b"\x1f\x8b"
        stream.seek(0)
        try:
            with gzip.open(stream) if compressed else stream as file:
                header = file.read(4)
                if len(header) < 4 or header[:2] != b"\0\0" or header[2] not in DTYPES or header[3] > 32:
                    raise ValueError("it begins with no idx header")
                ndim, dtype = header[3], np.dtype(DTYPES[header[2]])
                sizes = file.read(4 * ndim)
                if len(sizes) < 4 * ndim:
                    raise ValueError("it ends within its header")
                shape = struct.unpack(f">{ndim}I", sizes)
                wanted = math.prod(shape) * dtype.itemsize
                data = _at_most(file, wanted + 1)
                if len(data) != wanted:
                    held = "more" if len(data) > wanted else str(len(data))
                    raise ValueError(f"its shape {shape} takes {wanted} bytes, and it has {held}")
        except (EOFError, gzip.BadGzipFile, zlib.error, ValueError) as error:
            raise ValueError(f"{path} is no idx file: {error}") from error
    return np.frombuffer(data, dtype).reshape(shape).astype(dtype.newbyteorder("="))


def _at_most(file: Any, count: int) -> bytearray:
    """What there is, up to so many bytes: a header that lies costs no memory."""
    data = bytearray()
    while len(data) < count:
        part = file.read(min(count - len(data), 2**24))
        if not part:
            break
        data += part
    return data


def load_idx(folder: str | Path) -> tuple[Pair, Pair]:
    """Read pictures and labels of a data set in the form of MNIST: ((x, y) to train on, (x, y) to test on).

    folder: with train-images-idx3-ubyte, train-labels-idx1-ubyte and the same of t10k, which may end in .gz; Debian's
    package dataset-fashion-mnist puts them into /usr/share/datasets/fashion-mnist. x is (N, H, W, 1), float32 from 0 to
    1; y is (N,) int64. Raises FileNotFoundError, naming the file that is not there, and ValueError as `read_idx`.
    """
    folder = Path(folder)
    train, test = (_pair(folder, name) for name in NAMES)
    return train, test


def _pair(folder: Path, name: str) -> Pair:
    images = read_idx(_found(folder / f"{name}-images-idx3-ubyte"))
    labels = read_idx(_found(folder / f"{name}-labels-idx1-ubyte"))
    if images.ndim != 3 or labels.shape != images.shape[:1]:
        raise ValueError(f"{NAMES[name]} data in {folder}: {images.shape} are no pictures with {labels.shape} labels")
    return (images[..., None] / np.float32(255)).astype(np.float32), labels.astype(np.int64)


def _found(path: Path) -> Path:
    """The file, or its compressed form."""
    for found in (path, path.with_name(path.name + ".gz")):
        if found.is_file():
            return found
    raise FileNotFoundError(2, f"there is no such file, nor {path.name}.gz", str(path))
