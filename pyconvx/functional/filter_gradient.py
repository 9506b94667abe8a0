"""The gradient of a convolution with respect to its filters, by the best kernel. May import the core and forms."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from .. import _core
from .arrays import Array, empty
from .parallel import num_threads
from .winograd_forms import DEPTH, Form, fills, tiles_of

__all__ = ["filter_gradient"]

FORM = Form(3, 1, 1, 3, 4)
LEAST = 16
"""Channels, and filters, of a group below which Winograd's transforms cost more than they save."""


def filter_gradient(
    x: Array,
    gy: Array,
    shape: tuple[int, ...],
    groups: int,
    axes: tuple[Any, ...],
    constants: Array,
    border: Any,
    algorithm: str,
) -> Array:
    """Gradient of filters of a shape (F, *kernel, C // groups), from x (N, D, H, W, C) and gy (N, *places, F).

    border: around x, or None.
    """
    taps = math.prod(shape[1:-1])
    gradient = empty((shape[0], taps, shape[-1]), x.dtype)
    reads = axes if border is None else (*axes, border)
    if shape[-1] == 1 and shape[0] == groups > 1:
        _core.kernels.depthwise_filter_gradient(x, gy, gradient, reads, constants, num_threads())
        return gradient.reshape(shape)
    if algorithm in ("auto", "winograd") and _winograd_pays(x, shape, groups, axes):
        tiles = tiles_of(axes, FORM)
        if _core.kernels.winograd_filter_gradient(x, gy, gradient, groups, reads, constants, tiles, num_threads()):
            return gradient.reshape(shape)
    _core.kernels.filter_gradient(x, gy, gradient, groups, reads, constants, num_threads())
    return gradient.reshape(shape)


def _winograd_pays(x: Array, shape: tuple[int, ...], groups: int, axes: tuple[Any, ...]) -> bool:
    """Whether Winograd's F(3x3, 4x4) can do it, in less time than the sum over places."""
    if x.dtype != np.float32 or axes[1].taps != 3 or axes[2].taps != 3 or axes[0].taps > DEPTH:
        return False
    if len(x) == 0 or shape[0] // groups < LEAST or shape[-1] < LEAST:
        return False
    return fills(axes, FORM) and all(regular.all() for _, _, regular, _ in tiles_of(axes, FORM))
