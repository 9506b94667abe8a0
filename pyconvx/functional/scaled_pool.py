"""Windows of shifted and scaled channels that share no element, each reduced to its largest: a normalization and the
pooling behind it at once. May import the core, channels, largest and parallel.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from .. import _core
from .arrays import Array, empty
from .channels import channels_apart, products
from .largest import largest_of
from .parallel import num_threads

__all__ = ["ScaledPool", "scaled_pool"]


class ScaledPool:
    """`y` is the largest of each window of (x - centre) * factor + shift, or 0 where that is negative if `rectified`.

    scale: centre, factor and shift, with a number of each for each channel. axes: index tables over x, contiguous and
    of any rank, by which each of its elements is in one window; shape: of y.
    """

    def __init__(
        self, x: Array, axes: tuple[Any, ...], shape: tuple[int, ...], scale: tuple[Array, ...], rectified: bool
    ) -> None:
        self.x, self.axes, self.scale = x, axes, scale
        self.y, self.won, self.winner = empty(shape, x.dtype), empty(shape, x.dtype), empty(shape, np.dtype(np.int32))
        self._run(_core.kernels.pool_scaled, (x, self.y, self.winner, self.won), scale, rectified)

    def products(self, gy: Array) -> tuple[Array, Array]:
        """For each channel the sum of gy, and that of gy * (x - centre) over the elements that won."""
        last = self.won.ndim - 1
        return products(channels_apart(self.won, last), channels_apart(gy, gy.ndim - 1), self.scale[0])

    def gradient(self, gy: Array, shift: Array, slope: Array) -> Array:
        """(g - shift - (x - centre) * slope) * factor, where g is gy at the elements that won, and else 0."""
        gx = empty(self.x.shape, self.x.dtype)
        given = self.x, np.ascontiguousarray(gy), self.winner, gx
        self._run(_core.kernels.pool_scaled_gradient, given, (*self.scale[:2], shift, slope))
        return gx

    def _run(self, kernel: Callable[..., None], given: tuple[Array, ...], *options: Any) -> None:
        """Call a kernel with arrays of three spatial axes."""
        with_three = (array.reshape(array.shape[0], *(1,) * (5 - array.ndim), *array.shape[1:]) for array in given)
        kernel(*with_three, self.axes, *options, num_threads())


def scaled_pool(
    function: Callable[..., Any], x: Array, *args: Any, scale: tuple[Array, ...], rectified: bool, **options: Any
) -> ScaledPool | None:
    """Pool x after a shift and a scale. None where windows share elements or leave some out, where channels do not come
    last, or for another kind than max.

    function: pool#d, adaptive_pool#d or global_pool.
    """
    if x.dtype not in (np.float32, np.float64) or not x.flags.c_contiguous:
        return None
    call = largest_of(function, x.shape, x.dtype, args, options)
    if call is None:
        return None
    axes = call.axes(False)
    if math.prod(axis.taps for axis in axes) > _core.kernels.MOST_SCALED_TAPS or not all(
        axis.reads_once() for axis in axes
    ):
        return None
    return ScaledPool(x, axes, call.shape, scale, rectified)
