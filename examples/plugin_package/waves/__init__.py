"""Plugins for signals that come in waves. Each is defined in NumPy, and compiled in `_kernels`."""

import numpy as np

import pyconvx as cx

from . import _kernels

__all__ = ["antiperiodic", "rms", "snake"]


@cx.paddings.register("waves:antiperiodic")
def antiperiodic(i, n):
    """Like wrap, with the sign changed from one period to the next: `-1 -2 -3 | 1 2 3 | -1 -2 -3`."""
    return i % n, np.where(i // n % 2, -1.0, 1.0)


@cx.activations.register(
    "waves:snake",
    derivative=lambda x, y, a: 1 + np.sin(2 * a * x),
    compiled=_kernels.SNAKE,
    compiled_derivative=_kernels.SNAKE_DERIVATIVE,
)
def snake(x, a=1.0):
    """A periodic bend: x + sin(a x)^2 / a. Ziyin et al. 2020, arXiv:2006.08195."""
    if not a > 0:
        raise ValueError(f"a must be positive, got {a}")
    return x + np.sin(a * x) ** 2 / a


def _rms_gradient(w, y):
    length = w.shape[-1]
    return np.where(y[..., None] == 0, 0, w / (y[..., None] * length))


@cx.poolings.register(
    "waves:rms", gradient=_rms_gradient, compiled=_kernels.RMS, compiled_gradient=_kernels.RMS_GRADIENT
)
def rms(w):
    """Root of the mean square of a window: the loudness of a wave."""
    return np.sqrt(np.square(w, dtype=np.float64).mean(-1)).astype(w.dtype)
