"""The names of candidates, forms of filters, and the promise that results are held to."""

import numpy as np
from convolutions import PROMISE

import pyconvx as cx
from pyconvx.functional.algorithms import CANDIDATES

NAMES = [candidate.name for candidate in CANDIDATES]
ALONE = ["depthwise", "dots", "fft"]  # those for groups of few filters
DENSE = [name for name in NAMES if name not in ALONE]  # those that many filters to a group suit


def close(got, want):
    assert got.shape == want.shape
    assert np.abs(got - want).max(initial=0) <= PROMISE * np.abs(want).max(initial=0)


def reach(shape, at, filters_shape, options):
    """Which elements of the result see one of x."""
    hit = np.zeros(shape)
    hit[at] = 1
    return cx.conv2d(hit, np.ones(filters_shape), algorithm="plain", **options) != 0


SQUARES = [("winograd", (side, side), stride) for side, stride in ((3, 2), (4, 1), (5, 1), (6, 2), (7, 2), (13, 4))]
LINES = [
    *[("winograd", kernel, 1) for kernel in ((1, 2), (1, 3), (4, 1), (1, 5), (3, 6), (7, 2), (11, 1))],
    *[("winograd", kernel, stride) for kernel, stride in (((1, 4), 2), ((6, 1), 2), ((2, 9), 3))],
]
FORMS = SQUARES + LINES
