"""Pooling by definition: list the elements of every window, reduce them, one window position after the other.

Imports numpy only. A kind is a name, a reduction `function(w)` as plugins write it (the window on the last axis), or
one that also takes the flat position of the result in (N, *outputs, C): `function(w, index)` with indexed=True.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from .axes import Array, Pair, amounts, per_axis, pool_size, standard, unstandard
from .padding import pad_spatial, pad_spatial_vjp
from .reduction import REDUCTIONS, SLOPES


@dataclass(frozen=True)
class Windows:
    """The windows of one call. Coordinates are those of the padded map when `widths` says so."""

    coordinates: tuple[tuple[tuple[int, ...], ...], ...]  # [axis][output] -> the coordinates that hold an element
    positions: tuple[tuple[int, ...], ...]  # [axis][output] -> how many positions lie within the padded extent
    widths: tuple[Pair, ...]  # how far the map was padded: elements only, (0, 0) where padding holds nothing

    @property
    def outputs(self) -> tuple[int, ...]:
        return tuple(len(axis) for axis in self.coordinates)

    def empty(self) -> bool:
        """Whether some window holds no element."""
        return any(len(one) == 0 for axis in self.coordinates for one in axis)

    def each(self) -> Iterator[tuple[tuple[int, ...], tuple[Any, ...], int]]:
        """(output position, the selection of its elements, how many positions lie in the padded extent)."""
        for output in np.ndindex(*self.outputs):
            chosen = [axis[o] for axis, o in zip(self.coordinates, output, strict=True)]
            count = [axis[o] for axis, o in zip(self.positions, output, strict=True)]
            yield output, np.ix_(*(np.array(c, np.intp) for c in chosen)), int(np.prod(count))


def sliding(
    spatial: Sequence[int],
    size: Any,
    *,
    stride: Any = None,
    padding: Any = "valid",
    dilation: Any = 1,
    ceil_mode: bool = False,
    elements_in_padding: bool = False,
) -> Windows:
    """The windows of pool: position o, tap t lies at coordinate o * stride - before + t * dilation."""
    rank = len(spatial)
    size, dilation = per_axis(size, rank), per_axis(dilation, rank)
    stride = size if stride is None else per_axis(stride, rank)
    widths = amounts(padding, spatial, size, stride, dilation)
    coordinates, positions = [], []
    for n, k, s, d, (before, after) in zip(spatial, size, stride, dilation, widths, strict=True):
        count = pool_size(n, k, s, d, before, after, ceil_mode)
        windows = [[o * s - before + t * d for t in range(k)] for o in range(count)]
        padded = [[i for i in window if -before <= i < n + after] for window in windows]
        if elements_in_padding:
            coordinates.append(tuple(tuple(i + before for i in window) for window in padded))
        else:
            coordinates.append(tuple(tuple(i for i in window if 0 <= i < n) for window in windows))
        positions.append(tuple(len(window) for window in padded))
    used = tuple(widths) if elements_in_padding else ((0, 0),) * rank
    return Windows(tuple(coordinates), tuple(positions), used)


def adaptive(spatial: Sequence[int], output_size: Any) -> Windows:
    """The windows of adaptive_pool: from floor(o * n / outputs) to ceil((o + 1) * n / outputs)."""
    axes = tuple(
        tuple(tuple(range(o * n // out, -(-(o + 1) * n // out))) for o in range(out))
        for n, out in zip(spatial, per_axis(output_size, len(spatial)), strict=True)
    )
    positions = tuple(tuple(len(window) for window in axis) for axis in axes)
    return Windows(axes, positions, ((0, 0),) * len(spatial))


def _reducers(
    kind: Any, slopes: Any, indexed: bool, params: dict[str, Any]
) -> tuple[Callable[..., Any], Callable[..., Any]]:
    """Return reduce(w, index, positions) and slope(w, y, index, positions)."""
    if callable(kind):
        if indexed:
            return (
                lambda w, index, positions: kind(w, index, **params),
                lambda w, y, index, positions: slopes(w, y, index, **params),
            )
        return (
            lambda w, index, positions: kind(w, **params),
            lambda w, y, index, positions: slopes(w, y, **params),
        )
    if kind == "avg":
        include, divisor = params.get("count_include_pad", False), params.get("divisor")

        def count(w: Array, positions: int) -> float:
            if divisor is not None:
                return float(divisor)
            return float(positions if include else w.shape[-1])

        return (
            lambda w, index, positions: w.sum(-1) / count(w, positions),
            lambda w, y, index, positions: np.full(w.shape, 1 / count(w, positions)),
        )
    return (
        lambda w, index, positions: REDUCTIONS[kind](w, **params),
        lambda w, y, index, positions: SLOPES[kind](w, y, **params),
    )


def _elements(padded: Array, select: tuple[Any, ...]) -> Array:
    """One window of padded (N, *padded, C): (N, C, window)."""
    window = padded[(slice(None), *select)]
    return np.moveaxis(window.reshape(padded.shape[0], int(np.prod(window.shape[1:-1])), padded.shape[-1]), 1, -1)


def _numbers(x: Array, windows: Windows) -> Array:
    """The flat position of every result in (N, *outputs, C)."""
    shape = (x.shape[0], *windows.outputs, x.shape[-1])
    return np.arange(int(np.prod(shape))).reshape(shape)


def _reduce(x: Array, windows: Windows, kind: Any, mode: Any, indexed: bool, params: dict[str, Any]) -> Array:
    """From x (N, *spatial, C) to (N, *outputs, C)."""
    padded = pad_spatial(x, windows.widths, mode)
    reduce, _ = _reducers(kind, None, indexed, params)
    number = _numbers(x, windows)
    y = np.zeros(number.shape, x.dtype if kind in ("max", "min") else np.float64)
    with np.errstate(all="ignore"):
        for output, select, positions in windows.each():
            at: Any = (slice(None), *output)
            y[at] = reduce(_elements(padded, select), number[at], positions)
    return y


def _reduce_vjp(
    x: Array,
    windows: Windows,
    gy: Array,
    kind: Any,
    mode: Any,
    slopes: Any,
    indexed: bool,
    params: dict[str, Any],
) -> Array:
    """From gy (N, *outputs, C) to gx (N, *spatial, C): every window gives its slopes back to its elements."""
    padded = pad_spatial(x, windows.widths, mode)
    reduce, slope = _reducers(kind, slopes, indexed, params)
    number = _numbers(x, windows)
    gpadded = np.zeros(padded.shape)
    with np.errstate(all="ignore"):
        for output, select, positions in windows.each():
            at: Any = (slice(None), *output)
            w = _elements(padded, select)  # (N, C, window)
            y = np.asarray(reduce(w, number[at], positions))
            gw = gy[at][..., np.newaxis] * slope(w, y, number[at], positions)
            sizes = tuple(one.size for one in select)
            gpadded[(slice(None), *select)] += np.moveaxis(gw, -1, 1).reshape(w.shape[0], *sizes, w.shape[1])
    return pad_spatial_vjp(gpadded, windows.widths, mode, x.shape[1:-1])


def _value_dtype(x: Array, kind: Any) -> Array:
    """The kinds max and min keep the dtype of x; every other kind is computed in float64."""
    return x if kind in ("max", "min") else x.astype(np.float64)


def _indices(x: Array, windows: Windows, kind: Any, mode: Any) -> Array:
    """Where in the flat spatial extent of its sample and channel the first extremum of every window lies."""
    spatial = x.shape[1:-1]
    own = np.arange(int(np.prod(spatial))).reshape(1, *spatial, 1)
    padded, origin = pad_spatial(x, windows.widths, mode), pad_spatial(own, windows.widths, mode)
    indices = np.zeros((x.shape[0], *windows.outputs, x.shape[-1]), np.intp)
    for output, select, _ in windows.each():
        w = _elements(padded, select)
        first = (np.argmax if kind == "max" else np.argmin)(w, axis=-1)  # a NaN counts as the extremum
        at: Any = (slice(None), *output)
        indices[at] = _elements(origin, select)[0, 0][first]
    return indices


def pool(
    x: Any,
    size: Any,
    kind: Any = "max",
    *,
    rank: int,
    stride: Any = None,
    padding: Any = "valid",
    padding_mode: Any = None,
    dilation: Any = 1,
    ceil_mode: bool = False,
    layout: str = "channels_last",
    return_indices: bool = False,
    slopes: Any = None,
    indexed: bool = False,
    **params: Any,
) -> Any:
    """Every window of x reduced to one number; with return_indices also where it was. slopes is not used."""
    x, batched = standard(x, rank, layout)
    windows = sliding(
        x.shape[1:-1], size, stride=stride, padding=padding, dilation=dilation, ceil_mode=ceil_mode,
        elements_in_padding=padding_mode is not None,
    )  # fmt: skip
    mode = "zeros" if padding_mode is None else padding_mode
    y = unstandard(_reduce(_value_dtype(x, kind), windows, kind, mode, indexed, params), batched, layout)
    if not return_indices:
        return y
    return y, unstandard(_indices(x, windows, kind, mode), batched, layout)


def pool_vjp(
    x: Any,
    size: Any,
    kind: Any = "max",
    *,
    gy: Any,
    rank: int,
    stride: Any = None,
    padding: Any = "valid",
    padding_mode: Any = None,
    dilation: Any = 1,
    ceil_mode: bool = False,
    layout: str = "channels_last",
    slopes: Any = None,
    indexed: bool = False,
    **params: Any,
) -> Array:
    """The gradient of sum(gy * pool(x, ...)). A user's kind brings slopes(w, y): dy/dw, shaped as w."""
    x, batched = standard(x, rank, layout)
    windows = sliding(
        x.shape[1:-1], size, stride=stride, padding=padding, dilation=dilation, ceil_mode=ceil_mode,
        elements_in_padding=padding_mode is not None,
    )  # fmt: skip
    mode = "zeros" if padding_mode is None else padding_mode
    gy = standard(gy, rank, layout)[0].astype(np.float64)
    gx = _reduce_vjp(_value_dtype(x, kind), windows, gy, kind, mode, slopes, indexed, params)
    return unstandard(gx, batched, layout)


def adaptive_pool(
    x: Any,
    output_size: Any,
    kind: Any = "avg",
    *,
    rank: int,
    layout: str = "channels_last",
    slopes: Any = None,
    indexed: bool = False,
    **params: Any,
) -> Array:
    """Reduce x to output_size windows along every axis."""
    x, batched = standard(x, rank, layout)
    windows = adaptive(x.shape[1:-1], output_size)
    return unstandard(_reduce(_value_dtype(x, kind), windows, kind, "zeros", indexed, params), batched, layout)


def adaptive_pool_vjp(
    x: Any,
    output_size: Any,
    kind: Any = "avg",
    *,
    gy: Any,
    rank: int,
    layout: str = "channels_last",
    slopes: Any = None,
    indexed: bool = False,
    **params: Any,
) -> Array:
    """The gradient of sum(gy * adaptive_pool(x, ...))."""
    x, batched = standard(x, rank, layout)
    gy = standard(gy, rank, layout)[0].astype(np.float64)
    windows = adaptive(x.shape[1:-1], output_size)
    gx = _reduce_vjp(_value_dtype(x, kind), windows, gy, kind, "zeros", slopes, indexed, params)
    return unstandard(gx, batched, layout)


def global_pool(
    x: Any, kind: Any = "avg", *, layout: str = "channels_last", keepdims: bool = False, **params: Any
) -> Array:
    """Reduce x (with its N axis) to one number per sample and channel: (N, C), or with axes of length 1."""
    rank = np.ndim(x) - 2
    y = adaptive_pool(x, 1, kind, rank=rank, layout=layout, **params)
    return y if keepdims else y.reshape(y.shape[0], y.shape[-1] if layout == "channels_last" else y.shape[1])


def global_pool_vjp(
    x: Any,
    kind: Any = "avg",
    *,
    gy: Any,
    layout: str = "channels_last",
    keepdims: bool = False,
    **params: Any,
) -> Array:
    """The gradient of sum(gy * global_pool(x, ...))."""
    rank = np.ndim(x) - 2
    gy = np.asarray(gy)
    if not keepdims:
        ones = (1,) * rank
        samples, channels = gy.shape
        gy = gy.reshape((samples, *ones, channels) if layout == "channels_last" else (samples, channels, *ones))
    return adaptive_pool_vjp(x, 1, kind, gy=gy, rank=rank, layout=layout, **params)


def _winners(y: Array, indices: Array) -> Iterator[tuple[tuple[int, ...], tuple[int, int, int]]]:
    """(position in y, (sample, flat position, channel) it goes to), of all that nothing later overwrites."""
    last = {}
    for at in itertools.product(*map(range, y.shape)):
        last[at[0], int(indices[at]), at[-1]] = at
    for target, at in last.items():
        yield at, target


def unpool(y: Any, indices: Any, output_shape: Sequence[int], *, rank: int, layout: str = "channels_last") -> Array:
    """Zeros, and every element of y at its index; of several the last stays. output_shape: spatial sizes."""
    y, batched = standard(y, rank, layout)
    indices = standard(indices, rank, layout)[0]
    x = np.zeros((y.shape[0], int(np.prod(output_shape)), y.shape[-1]), y.dtype)
    for at, target in _winners(y, indices):
        x[target] = y[at]
    return unstandard(x.reshape(y.shape[0], *output_shape, y.shape[-1]), batched, layout)


def unpool_vjp(
    y: Any, indices: Any, output_shape: Sequence[int], *, gx: Any, rank: int, layout: str = "channels_last"
) -> Array:
    """The gradient of sum(gx * unpool(y, ...)) with respect to y: an overwritten element has none."""
    y, batched = standard(y, rank, layout)
    indices = standard(indices, rank, layout)[0]
    gx = standard(gx, rank, layout)[0].reshape(y.shape[0], int(np.prod(output_shape)), y.shape[-1])
    gy = np.zeros(y.shape)
    for at, target in _winners(y, indices):
        gy[at] = gx[target]
    return unstandard(gy, batched, layout)
