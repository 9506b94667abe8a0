"""Stochastic pooling: an element of each window, in proportion, and the same for the same seed."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

import pyconvx as cx
from pyconvx.testing.strategies import Drawn


@given(seed=st.integers(0, 999))
def test_stochastic_picks_an_element_and_follows_its_seed(seed):
    x = np.abs(Drawn((2, 9, 8, 3), "float64", seed=seed).plain)
    y = cx.pool2d(x, 2, "stochastic", seed=seed)
    windows = np.lib.stride_tricks.sliding_window_view(x, (2, 2), (1, 2))[:, ::2, ::2].reshape(*y.shape, 4)
    assert (windows == y[..., np.newaxis]).any(-1).all()
    np.testing.assert_array_equal(y, cx.pool2d(x, 2, "stochastic", seed=seed))
    assert (y != cx.pool2d(x, 2, "stochastic", seed=seed + 1)).any()
    x[...] = 0
    x[:, ::2, ::2] = 1  # the only one with a probability
    assert (cx.pool2d(x, 2, "stochastic", seed=seed) == 1).all()


def test_stochastic_picks_in_proportion():
    x = np.tile(np.array([1.0, 3.0, -5.0, 4.0]), 20000).reshape(1, -1, 1)
    picks = cx.pool1d(x, 4, "stochastic", seed=3)
    values, counts = np.unique(picks, return_counts=True)
    np.testing.assert_array_equal(values, [1, 3, 4])
    # binomial with 20000 draws: the standard deviation of a share is below 0.0036; five of them
    np.testing.assert_allclose(counts / 20000, [1 / 8, 3 / 8, 1 / 2], atol=0.018)
