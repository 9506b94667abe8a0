"""The gradient of a convolution with respect to its filters, by the best kernel. May import the core and forms."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from .. import _core
from .arrays import Array, empty
from .parallel import num_threads
from .winograd_forms import DEPTH, Form, fills, line, tiles_of

__all__ = ["filter_gradient"]

SQUARE = Form(3, 1, 1, 3, 4)
LEAST = 16
"""Channels, and filters, of a group below which Winograd's transforms cost more than they save."""


class Costs(NamedTuple):
    """What lines take, in multiplications of vectors, as measured with 16 lanes."""

    call: int = 70_000
    line: int = 270
    inputs: int = 80  # to transform a vector of the channels of a piece, and
    slopes: int = 170  # of the gradients of outputs
    place: float = 1.15  # of a place and tap that are summed without transforms, more than a product


COSTS = Costs()


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
    form = _form(x, shape, groups, axes) if algorithm in ("auto", "winograd") else None
    if form is not None:
        kind = tiles_of(axes, form), form.number, form.order, form.phases
        if _core.kernels.winograd_filter_gradient(x, gy, gradient, groups, reads, constants, *kind, num_threads()):
            return gradient.reshape(shape)
    _core.kernels.filter_gradient(x, gy, gradient, groups, reads, constants, num_threads())
    return gradient.reshape(shape)


def _form(x: Array, shape: tuple[int, ...], groups: int, axes: tuple[Any, ...]) -> Form | None:
    """The tiles by which Winograd's algorithms do it in less time than the sum over places, or None."""
    if x.dtype != np.float32 or len(x) == 0 or shape[0] // groups < LEAST or shape[-1] < LEAST:
        return None
    if axes[1].taps == axes[2].taps == 3 and axes[0].taps <= DEPTH:
        form: Form | None = SQUARE
    else:
        form = line(axes, tuple(_stride(axis) for axis in axes))
    if form is None or not fills(axes, form):
        return None
    tiles = tiles_of(axes, form)
    if not all(regular.all() for _, _, regular, _ in tiles):
        return None
    count = len(x) * int(axes[form.order[0]].length) * math.prod(len(first) for first, _, _, _ in tiles)
    return form if not form.line or _line_pays(shape, groups, axes, form, count, len(x)) else None


def _line_pays(shape: tuple[int, ...], groups: int, axes: tuple[Any, ...], form: Form, lines: int, batch: int) -> bool:
    lanes, deep = _core.kernels.LANES["float32"], int(axes[form.order[0]].taps)
    vectors, inputs = -(-shape[0] // groups // lanes) * groups, -(-shape[-1] // lanes) * groups
    products = shape[-1] * vectors
    places = batch * math.prod(int(axis.length) for axis in axes)
    each = COSTS.line + COSTS.slopes * vectors + deep * form.pieces * COSTS.inputs * inputs
    each += deep * form.products * products
    return COSTS.call + lines * each < COSTS.place * places * math.prod(shape[1:-1]) * products


def _stride(axis: Any) -> int:
    """Positions from one place to the next."""
    return int(axis.rows[1] - axis.rows[0]) if axis.length > 1 else 1
