"""Large results, which kernels write past the caches where their vectors are whole lines."""

import numpy as np
import pytest

import pyconvx as cx
from pyconvx import _core

LEAST = 2**23  # bytes of a result that is large


def off_line(shape, dtype):
    """Memory for a result, in which no place begins with a line of the cache."""
    size = int(np.prod(shape))
    memory = np.empty(size + 128 // np.dtype(dtype).itemsize, dtype)
    first = -(memory.ctypes.data // memory.itemsize) % (64 // memory.itemsize) + 1
    return memory[first : first + size].reshape(shape)


@pytest.mark.parametrize("isa", _core.supported())
@pytest.mark.parametrize("activation", [None, "relu"])
@pytest.mark.parametrize(
    ("algorithm", "dtype", "x", "filters", "options"),
    [
        ("winograd", "float32", (2, 150, 150, 3), (48, 3, 3, 3), {"padding": 1}),
        ("winograd", "float32", (2, 150, 150, 4), (48, 3, 3, 2), {"padding": 1, "groups": 2}),
        ("winograd", "float32", (2, 150, 150, 4), (64, 3, 3, 2), {"padding": 1, "groups": 2}),
        ("winograd", "float32", (2, 301, 301, 3), (48, 7, 7, 3), {"padding": 3, "stride": 2}),
        ("winograd", "float32", (1, 150, 151, 20), (96, 5, 5, 20), {"padding": 2, "padding_mode": "reflect"}),
        ("winograd", "float32", (1, 150, 150, 72), (96, 3, 3, 72), {"padding": 1}),
        ("winograd", "float32", (1, 301, 301, 20), (96, 3, 3, 20), {"padding": 1, "stride": 2}),
        ("winograd", "float32", (2, 150, 150, 40), (48, 1, 5, 40), {"padding": (0, 2)}),
        ("winograd", "float32", (2, 150, 150, 20), (48, 9, 1, 20), {"padding": (4, 0), "padding_mode": "reflect"}),
        ("bands", "float32", (2, 150, 150, 3), (48, 3, 3, 3), {"padding": 1}),
        ("bands", "float32", (2, 150, 150, 8), (48, 1, 1, 8), {}),
        ("bands", "float32", (1, 150, 150, 80), (96, 3, 3, 80), {"padding": 1, "dilation": 2}),
        ("bands", "float64", (1, 150, 150, 3), (48, 3, 3, 3), {"padding": 1}),
        ("bands", "float64", (1, 150, 150, 6), (48, 3, 3, 3), {"padding": 1, "groups": 2}),
    ],
)
def test_they_have_the_bits_of_any_other(isa, activation, algorithm, dtype, x, filters, options):
    rng = np.random.default_rng(len(x) + filters[0])
    x, filters = (rng.standard_normal(shape).astype(dtype) for shape in (x, filters))
    x[0, 40, 50, 1] = np.nan  # what Winograd's algorithm leaves is done again
    bias = rng.standard_normal(len(filters)).astype(dtype)
    options = {**options, "algorithm": algorithm, "activation": activation}
    with _core.using(isa):
        got = cx.conv2d(x, filters, bias, **options)
        assert got.nbytes >= LEAST
        out = off_line(got.shape, dtype)
        cx.conv2d(x, filters, bias, out=out, **options)
        np.testing.assert_array_equal(got, out)
        with cx.threads(2):
            np.testing.assert_array_equal(cx.conv2d(x, cx.prepare(filters), bias, **options), got)
    reached = np.isnan(cx.conv2d(x, filters, bias, **{**options, "algorithm": "direct"}))
    np.testing.assert_array_equal(np.isnan(got), reached)
    assert 0 < reached.sum() < got.size / 100
