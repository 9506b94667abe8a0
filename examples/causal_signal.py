"""One dimension: a filter that only looks back, as a running mean of a signal that arrives over time."""

import numpy as np

import pyconvx as cx

signal = np.array([0, 0, 0, 4, 4, 4, 4, 0, 0], dtype=np.float64)[:, None]  # (9, 1): time and one channel
mean_of_four = np.full((1, 4, 1), 0.25)

y = cx.conv1d(signal, mean_of_four, padding="causal")
print(y[:, 0])

# What comes later changes nothing that was said before.
later = signal.copy()
later[6:] = 100
assert np.array_equal(cx.conv1d(later, mean_of_four, padding="causal")[:6], y[:6])
