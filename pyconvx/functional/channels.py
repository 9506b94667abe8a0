"""Sums and shifts of channels, for normalization and the gradient of a bias. May import the core, arrays, parallel."""

from __future__ import annotations

import math

import numpy as np

from .. import _core
from .arrays import Array, empty
from .parallel import num_threads

__all__ = ["Scaled", "channel_sums", "channels_apart", "moments", "products"]


def channels_apart(x: Array, axis: int) -> Array:
    """x as (outer, channels, inner), contiguous: what functions of this file take, in float32 or float64."""
    return np.require(x, requirements=("C", "A")).reshape(_apart(x.shape, axis))


def _apart(shape: tuple[int, ...], axis: int) -> tuple[int, int, int]:
    return math.prod(shape[:axis]), shape[axis], math.prod(shape[axis + 1 :])


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


class Scaled:
    """(x - centre) * factor + shift, and its gradients.

    scale: centre, factor and shift, with a number of each for each channel; axis: where the channels of x are.
    """

    def __init__(self, x: Array, axis: int, scale: tuple[Array, ...]) -> None:
        self.shape, self.axis, self.scale, self.rows = x.shape, axis, scale, channels_apart(x, axis)

    def result(self, rectified: bool = False) -> Array:
        """What it is; 0 where that is negative if `rectified`."""
        y, (centre, factor, shift) = empty(self.shape, self.rows.dtype), self.scale
        rows = y.reshape(self.rows.shape)
        _core.kernels.channel_affine(self.rows, rows, centre, factor, shift, rectified, num_threads())
        return y

    def products(self, gy: Array) -> tuple[Array, Array]:
        """For each channel the sum of gy, and that of gy * (x - centre)."""
        return products(self.rows, channels_apart(gy, self.axis), self.scale[0])

    def gradient(self, gy: Array, shift: Array, slope: Array) -> Array:
        """(gy - shift - (x - centre) * slope) * factor."""
        gx, (centre, factor, _) = empty(self.shape, self.rows.dtype), self.scale
        given, rows = channels_apart(gy, self.axis), gx.reshape(self.rows.shape)
        _core.kernels.channel_gradient(self.rows, given, rows, centre, factor, shift, slope, num_threads())
        return gx
