"""Idx files: what they hold, and what is no such file."""

import gzip
import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyconvx import nn

CODES = {"u1": 8, "i1": 9, "i2": 11, "i4": 12, "f4": 13, "f8": 14}


def idx(array):
    """An array as the bytes of such a file."""
    code = CODES[array.dtype.str[1:]]
    header = bytes([0, 0, code, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape)
    return header + array.astype(array.dtype.newbyteorder(">")).tobytes()


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("dtype", CODES)
def test_arrays_come_back(dtype, packed, tmp_path):
    array = np.arange(-3, 9).reshape(3, 2, 2).astype(dtype)
    (tmp_path / "a").write_bytes(gzip.compress(idx(array)) if packed else idx(array))
    got = nn.read_idx(tmp_path / "a")
    assert got.dtype == array.dtype
    assert np.array_equal(got, array)


WHOLE = idx(np.arange(12, dtype=np.uint8).reshape(3, 4))


@given(st.integers(0, len(WHOLE) - 1) | st.just(-1), st.binary(max_size=8))
def test_what_is_no_such_file_is_told(tmp_path_factory, cut, instead):
    data = WHOLE[:cut] + instead if cut >= 0 else gzip.compress(WHOLE)[:-9] + instead
    path = tmp_path_factory.mktemp("idx") / "a"
    path.write_bytes(data)
    message = ""
    try:
        got = nn.read_idx(path)
    except ValueError as error:
        message = str(error)
    assert "is no idx file" in message or got.size == len(data) - 4 - 4 * got.ndim or got.dtype != np.uint8


def test_a_header_that_lies_costs_no_memory(tmp_path):
    (tmp_path / "a").write_bytes(bytes([0, 0, 14, 3]) + struct.pack(">3I", 2**31, 2**31, 7) + b"12345678")
    with pytest.raises(ValueError, match="takes"):
        nn.read_idx(tmp_path / "a")


def test_a_folder_of_pictures_and_labels(tmp_path):
    pictures = np.random.default_rng(0).integers(0, 256, (6, 4, 5)).astype(np.uint8)
    for name in ("train", "t10k"):
        (tmp_path / f"{name}-images-idx3-ubyte.gz").write_bytes(gzip.compress(idx(pictures)))
        (tmp_path / f"{name}-labels-idx1-ubyte").write_bytes(idx(np.arange(6, dtype=np.uint8)))
    (x, y), (x_test, _) = nn.load_idx(tmp_path)
    assert (x.shape, x.dtype, y.dtype) == ((6, 4, 5, 1), np.float32, np.int64)
    assert np.array_equal(x_test[..., 0], pictures / np.float32(255))
    (tmp_path / "t10k-labels-idx1-ubyte").write_bytes(idx(np.arange(5, dtype=np.uint8)))
    with pytest.raises(ValueError, match=r"test data .* are no pictures with \(5,\) labels"):
        nn.load_idx(tmp_path)
    (tmp_path / "t10k-labels-idx1-ubyte").unlink()
    with pytest.raises(FileNotFoundError, match="t10k-labels"):
        nn.load_idx(tmp_path)
