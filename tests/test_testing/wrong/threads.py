"""What goes wrong where other threads run meanwhile."""

import time

import numpy as np

SHARED = np.zeros(2**20)


def by_way_of_shared_memory(x, factor=1.0):
    """A multiple of x, which lies for a while where all threads write."""
    mine = SHARED[: x.size].reshape(x.shape)
    mine[...] = x
    time.sleep(1e-5)  # other threads run
    return factor * mine
