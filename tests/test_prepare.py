"""Prepared filters as arrays, by the protocol of NumPy 2."""

import weakref

import numpy as np
import pytest

import pyconvx as cx

LAYOUTS = ["channels_last", "channels_first"]
# NumPy 1 has no protocol for copies, and does not ask
NUMPY_ASKS = np.lib.NumpyVersion(np.__version__) >= "2.0.0"


@pytest.mark.parametrize("layout", LAYOUTS)
def test_an_array_of_them_shares_memory_unless_a_copy_is_asked_for(layout):
    filters = np.arange(36, dtype=np.float32).reshape(2, 3, 3, 2)
    packed = cx.prepare(filters, layout)
    for array in (np.asarray(packed), packed.__array__(), packed.__array__(copy=False)):
        np.testing.assert_array_equal(array, filters)
        assert np.shares_memory(array, np.asarray(packed))
        assert not array.flags.writeable
    for array in (np.array(packed), packed.__array__(copy=True), np.asarray(packed, np.float64)):
        np.testing.assert_array_equal(array, filters)
        assert not np.shares_memory(array, np.asarray(packed))
        array[...] = 0
    np.testing.assert_array_equal(packed, filters)
    assert np.asarray(packed, np.float64).dtype == np.float64


@pytest.mark.parametrize("algorithm", ["auto", "winograd", "bands", "direct", "fft"])
def test_they_are_gone_when_nobody_has_them(algorithm):
    """Calls with them that are remembered do not keep them."""
    x, groups = np.ones((1, 20, 20, 16), np.float32), 16 if algorithm == "fft" else 1
    for layout in LAYOUTS:
        given = np.moveaxis(x, -1, 1).copy() if layout == "channels_first" else x
        filters = np.ones(
            (32, 16 // groups, 3, 3) if layout == "channels_first" else (32, 3, 3, 16 // groups), np.float32
        )
        packed = cx.prepare(filters, layout)
        for _ in range(3):
            cx.conv2d(given, packed, padding=1, algorithm=algorithm, layout=layout, groups=groups)
        gone = weakref.ref(packed)
        del packed
        assert gone() is None


@pytest.mark.skipif(not NUMPY_ASKS, reason="NumPy 1 copies where it must, whatever is asked for")
def test_no_copy_is_no_copy():
    packed = cx.prepare(np.ones((1, 3, 1), np.float32))
    assert np.shares_memory(np.array(packed, copy=False), np.asarray(packed))
    assert np.array(packed, np.float32, copy=False).dtype == np.float32
    with pytest.raises(ValueError, match="without a copy"):
        np.array(packed, np.float64, copy=False)
