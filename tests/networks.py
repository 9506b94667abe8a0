"""Networks of several tests, small data that they learn, and what they have learned, bit for bit."""

import numpy as np

from pyconvx import nn
from pyconvx.nn.save import arrays_of

rng = np.random.default_rng(0)


def pictures_net(*units):
    """Two convolutions and dense layers, whose maps of some samples are several pieces; all but the last rectify."""
    *hidden, last = units
    return nn.Sequential(
        nn.Conv2D(16, 3, padding=1, activation="relu"),
        nn.MaxPool2D(2),
        nn.Conv2D(24, 3, padding=1, activation="relu"),
        nn.MaxPool2D(2),
        nn.Flatten(),
        *(nn.Dense(each, activation="relu") for each in hidden),
        nn.Dense(last),
    ).build((32, 32, 3))


def bits(net):
    """What a network has learned."""
    return {key: array.tobytes() for key, array in arrays_of(net).items()}


def data(n=32):
    """Samples, and whether their first number is positive."""
    x = rng.standard_normal((n, 4)).astype(np.float32)
    return x, (x[:, 0] > 0).astype(int)


def dense(units):
    """A network of one layer, not built."""
    return nn.Sequential(nn.Dense(units))
