"""Prepared filters as arrays, by the protocol of NumPy 2."""

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


@pytest.mark.skipif(not NUMPY_ASKS, reason="NumPy 1 copies where it must, whatever is asked for")
def test_no_copy_is_no_copy():
    packed = cx.prepare(np.ones((1, 3, 1), np.float32))
    assert np.shares_memory(np.array(packed, copy=False), np.asarray(packed))
    assert np.array(packed, np.float32, copy=False).dtype == np.float32
    with pytest.raises(ValueError, match="without a copy"):
        np.array(packed, np.float64, copy=False)
