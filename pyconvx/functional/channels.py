"""Sums and shifts of channels, for normalization and the gradient of a bias. May import the core, arrays, parallel."""

from __future__ import annotations

import math

import numpy as np

from .. import _core
from .arrays import Array, empty
from .parallel import num_threads

__all__ = ["affine", "affine_gradient", "channel_sums", "channels_apart", "moments", "products"]


def channels_apart(x: Array, axis: int) -> Array:
    """x as (outer, channels, inner), contiguous: what functions of this file take, in float32 or float64."""
    laid = np.require(x, requirements=("C", "A"))
    return laid.reshape(math.prod(x.shape[:axis]), x.shape[axis], math.prod(x.shape[axis + 1 :]))


def channel_sums(x: Array) -> Array:
    """The sum of each channel, in float64."""
    sums: Array = _core.kernels.channel_sums(x, num_threads())
    return sums


def moments(x: Array) -> tuple[Array, Array]:
    """The mean of each channel, and its variance, in float64; x must have elements."""
    return _core.kernels.channel_moments(x, num_threads())


def products(x: Array, gy: Array, centre: Array) -> tuple[Array, Array]:
    """The sum of gy of each channel, and that of gy * (x - centre), in float64."""
    sums = _core.kernels.channel_products(x, gy, centre, num_threads())
    return sums[0], sums[1]


def affine(x: Array, centre: Array, factor: Array, shift: Array, rectified: bool = False) -> Array:
    """(x - centre) * factor + shift, with a number of each for each channel; rectified: 0 where that is negative."""
    y = empty(x.shape, x.dtype)
    _core.kernels.channel_affine(x, y, centre, factor, shift, rectified, num_threads())
    return y


def affine_gradient(x: Array, gy: Array, centre: Array, factor: Array, shift: Array, slope: Array) -> Array:
    """(gy - shift - (x - centre) * slope) * factor, with a number of each for each channel."""
    gx = empty(x.shape, x.dtype)
    _core.kernels.channel_gradient(x, gy, gx, centre, factor, shift, slope, num_threads())
    return gx
