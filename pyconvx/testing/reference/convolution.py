"""Convolution and its adjoint by definition: pad a copy, then one sum for every tap. Imports numpy only.

Ranks are read off the filters: (F, *kernel, C // groups), or (F, C // groups, *kernel) for channels_first.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from .activation import activate, activate_vjp
from .axes import (
    Array,
    Pair,
    amounts,
    conv_size,
    per_axis,
    reach,
    standard,
    standard_filters,
    transpose_size,
    unstandard,
    unstandard_filters,
)
from .padding import pad_spatial, pad_spatial_vjp

Axes = Sequence[int]


def _at(tap: Axes, stride: Axes, dilation: Axes, outputs: Axes) -> tuple[slice, ...]:
    """Selects, out of a padded map (N, *padded, C), what one tap sees in every window: (N, *outputs, C)."""
    spatial = (
        slice(t * d, t * d + (out - 1) * s + 1, s) if out else slice(0, 0)
        for t, s, d, out in zip(tap, stride, dilation, outputs, strict=True)
    )
    return (slice(None), *spatial)


def _split(x: Array, groups: int) -> Array:
    """(..., channels) as (..., groups, channels // groups)."""
    return x.reshape(*x.shape[:-1], groups, x.shape[-1] // groups)


def _join(x: Array) -> Array:
    """The way back: (..., groups, channels // groups) as (..., channels)."""
    return x.reshape(*x.shape[:-2], x.shape[-2] * x.shape[-1])


def _sums(padded: Array, filters: Array, stride: Axes, dilation: Axes, outputs: Axes, groups: int) -> Array:
    """y[n, p, f] = sum over taps t and channels c of padded[n, p * s + t * d, c] * filters[f, t, c]."""
    y = np.zeros((padded.shape[0], *outputs, groups, filters.shape[0] // groups))
    for tap in np.ndindex(*filters.shape[1:-1]):
        seen = _split(padded[_at(tap, stride, dilation, outputs)], groups)  # (N, *outputs, G, C // G)
        weights = filters[(slice(None), *tap)].reshape(groups, -1, filters.shape[-1])  # (G, F // G, C // G)
        y += np.einsum("...gc,gfc->...gf", seen, weights)
    return _join(y)


def _spread(y: Array, filters: Array, stride: Axes, dilation: Axes, padded: Axes, groups: int) -> Array:
    """The adjoint of _sums in padded: every y[n, p, f] adds y * filters[f, t, c] at [n, p * s + t * d, c]."""
    spread = np.zeros((y.shape[0], *padded, groups, filters.shape[-1]))
    for tap in np.ndindex(*filters.shape[1:-1]):
        weights = filters[(slice(None), *tap)].reshape(groups, -1, filters.shape[-1])
        at = _at(tap, stride, dilation, y.shape[1:-1])
        spread[at] += np.einsum("...gf,gfc->...gc", _split(y, groups), weights)
    return _join(spread)


def _pairings(padded: Array, y: Array, kernel: Axes, stride: Axes, dilation: Axes, groups: int) -> Array:
    """The adjoint of _sums in filters: the sum over n, p of y[n, p, f] * padded[n, p * s + t * d, c]."""
    filters = np.zeros((y.shape[-1], *kernel, padded.shape[-1] // groups))
    positions = int(np.prod(y.shape[:-1]))  # of all samples
    parts = _split(y, groups).reshape(positions, groups, y.shape[-1] // groups)
    for tap in np.ndindex(*kernel):
        seen = _split(padded[_at(tap, stride, dilation, y.shape[1:-1])], groups)
        pairing = np.einsum("pgf,pgc->gfc", parts, seen.reshape(positions, *seen.shape[-2:]))
        filters[(slice(None), *tap)] = pairing.reshape(y.shape[-1], filters.shape[-1])
    return filters


def conv(
    x: Any,
    filters: Any,
    bias: Any = None,
    *,
    stride: Any = 1,
    padding: Any = "valid",
    padding_mode: Any = "zeros",
    dilation: Any = 1,
    groups: int = 1,
    activation: Any = None,
    layout: str = "channels_last",
) -> Array:
    """Cross-correlation of x with the filters, in float64, in the layout of x."""
    filters = standard_filters(filters, layout)
    kernel = filters.shape[1:-1]
    x, batched = standard(x, len(kernel), layout)
    stride, dilation = per_axis(stride, len(kernel)), per_axis(dilation, len(kernel))
    widths = amounts(padding, x.shape[1:-1], kernel, stride, dilation)
    outputs = _outputs(x.shape[1:-1], kernel, stride, dilation, widths)
    padded = pad_spatial(x.astype(np.float64), widths, padding_mode)
    y = _sums(padded, filters, stride, dilation, outputs, groups)
    if bias is not None:
        y = y + np.asarray(bias).astype(np.float64)
    if activation is not None:
        y = activate(y, activation)
    return unstandard(y, batched, layout)


def conv_vjp(
    x: Any,
    filters: Any,
    bias: Any = None,
    *,
    gy: Any,
    stride: Any = 1,
    padding: Any = "valid",
    padding_mode: Any = "zeros",
    dilation: Any = 1,
    groups: int = 1,
    activation: Any = None,
    layout: str = "channels_last",
) -> tuple[Array, ...]:
    """(gx, gfilters) or (gx, gfilters, gbias): the gradients of sum(gy * conv(x, filters, bias, ...))."""
    gy = _before_activation(
        conv,
        x,
        filters,
        bias,
        gy,
        activation,
        layout,
        dict(stride=stride, padding=padding, padding_mode=padding_mode, dilation=dilation, groups=groups),
    )
    filters = standard_filters(filters, layout)
    kernel = filters.shape[1:-1]
    x, batched = standard(x, len(kernel), layout)
    stride, dilation = per_axis(stride, len(kernel)), per_axis(dilation, len(kernel))
    widths = amounts(padding, x.shape[1:-1], kernel, stride, dilation)
    padded = pad_spatial(x.astype(np.float64), widths, padding_mode)
    gpadded = _spread(gy, filters, stride, dilation, padded.shape[1:-1], groups)
    gx = pad_spatial_vjp(gpadded, widths, padding_mode, x.shape[1:-1])
    gfilters = _pairings(padded, gy, kernel, stride, dilation, groups)
    return _gradients(gx, gfilters, gy, bias, batched, layout)


def conv_transpose(
    x: Any,
    filters: Any,
    bias: Any = None,
    *,
    stride: Any = 1,
    padding: Any = "valid",
    output_padding: Any = 0,
    padding_mode: Any = "zeros",
    dilation: Any = 1,
    groups: int = 1,
    activation: Any = None,
    layout: str = "channels_last",
) -> Array:
    """The adjoint of conv with the same filters: x has F channels, y has C. Constants contribute nothing."""
    filters = standard_filters(filters, layout)
    kernel = filters.shape[1:-1]
    x, batched = standard(x, len(kernel), layout)
    stride, dilation = per_axis(stride, len(kernel)), per_axis(dilation, len(kernel))
    sizes, widths = transpose_axes(x.shape[1:-1], kernel, stride, dilation, padding, output_padding)
    padded = [n + before + after for n, (before, after) in zip(sizes, widths, strict=True)]
    spread = _spread(x.astype(np.float64), filters, stride, dilation, padded, groups)
    y = pad_spatial_vjp(spread, widths, padding_mode, sizes)
    if bias is not None:
        y = y + np.asarray(bias).astype(np.float64)
    if activation is not None:
        y = activate(y, activation)
    return unstandard(y, batched, layout)


def conv_transpose_vjp(
    x: Any,
    filters: Any,
    bias: Any = None,
    *,
    gy: Any,
    stride: Any = 1,
    padding: Any = "valid",
    output_padding: Any = 0,
    padding_mode: Any = "zeros",
    dilation: Any = 1,
    groups: int = 1,
    activation: Any = None,
    layout: str = "channels_last",
) -> tuple[Array, ...]:
    """(gx, gfilters) or (gx, gfilters, gbias): the gradients of sum(gy * conv_transpose(...))."""
    gy = _before_activation(
        conv_transpose,
        x,
        filters,
        bias,
        gy,
        activation,
        layout,
        dict(
            stride=stride,
            padding=padding,
            output_padding=output_padding,
            padding_mode=padding_mode,
            dilation=dilation,
            groups=groups,
        ),
    )
    filters = standard_filters(filters, layout)
    kernel = filters.shape[1:-1]
    x, batched = standard(x, len(kernel), layout)
    stride, dilation = per_axis(stride, len(kernel)), per_axis(dilation, len(kernel))
    _, widths = transpose_axes(x.shape[1:-1], kernel, stride, dilation, padding, output_padding)
    padded = pad_spatial(gy, widths, padding_mode, linear=True)
    gx = _sums(padded, filters, stride, dilation, x.shape[1:-1], groups)
    gfilters = _pairings(padded, x.astype(np.float64), kernel, stride, dilation, groups)
    return _gradients(gx, gfilters, gy, bias, batched, layout)


def transpose_axes(
    spatial: Axes, kernel: Axes, stride: Axes, dilation: Axes, padding: Any, output_padding: Any
) -> tuple[list[int], list[Pair]]:
    """Sizes of y, and the amounts around y that hold every tap: (before, after), after never cropping y."""
    rank = len(spatial)
    sizes, widths = [], []
    for n, k, s, d, p, more in zip(
        spatial,
        kernel,
        stride,
        dilation,
        per_axis(padding, rank),
        per_axis(output_padding, rank),
        strict=True,
    ):
        size, (before, _) = transpose_size(n, k, s, d, p, more)
        end = (n - 1) * s + reach(k, d) - before  # one past the last coordinate of y that a tap touches
        sizes.append(size)
        widths.append((before, max(end - size, 0)))
    return sizes, widths


def _outputs(spatial: Axes, kernel: Axes, stride: Axes, dilation: Axes, widths: Sequence[Pair]) -> list[int]:
    return [
        conv_size(n, k, s, d, before, after)
        for n, k, s, d, (before, after) in zip(spatial, kernel, stride, dilation, widths, strict=True)
    ]


def _before_activation(
    forward: Any,
    x: Any,
    filters: Any,
    bias: Any,
    gy: Any,
    activation: Any,
    layout: str,
    options: dict[str, Any],
) -> Array:
    """Bring gy to (N, *outputs, channels) before the activation, whose input is computed once more."""
    rank = np.ndim(filters) - 2
    g: Array = standard(gy, rank, layout)[0].astype(np.float64)
    if activation is None:
        return g
    z = standard(forward(x, filters, bias, layout=layout, **options), rank, layout)[0]
    return activate_vjp(z, activation, gy=g)


def _gradients(gx: Array, gfilters: Array, gy: Array, bias: Any, batched: bool, layout: str) -> tuple[Array, ...]:
    both = unstandard(gx, batched, layout), unstandard_filters(gfilters, layout)
    return both if bias is None else (*both, gy.sum(axis=tuple(range(gy.ndim - 1))))
