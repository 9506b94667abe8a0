"""Padding by definition: where every element of a padded axis comes from. Imports numpy only.

A mode is a name, a rule `rule(i, n)` as plugins write it, or a pair (name or rule, parameters). An element of the
padded axis is `constant + sum of weight * x[index]`: padding is an affine map, its gradient the transposed linear part.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from .axes import Array, Pair, per_axis

OUTSIDE = np.iinfo(np.intp).min


@dataclass(frozen=True)
class Source:
    """One element of a padded axis: constant + sum of weight * x[index] over terms of (index, weight)."""

    terms: tuple[tuple[int, float], ...]
    constant: Any = 0


def _copy(index: int) -> Source:
    return Source(((index, 1),))


def _constant(i: int, n: int, value: Any = 0) -> Source:
    return _copy(i) if 0 <= i < n else Source((), value)


def _edge(i: int, n: int) -> Source:
    return _copy(min(max(i, 0), n - 1))


def _wrap(i: int, n: int) -> Source:
    while i < 0:
        i += n
    while i >= n:
        i -= n
    return _copy(i)


def _reflect(i: int, n: int) -> Source:
    if n == 1:
        return _copy(0)
    while not 0 <= i < n:
        i = -i if i < 0 else 2 * (n - 1) - i
    return _copy(i)


def _symmetric(i: int, n: int) -> Source:
    while not 0 <= i < n:
        i = -1 - i if i < 0 else 2 * n - 1 - i
    return _copy(i)


def _odd(i: int, n: int, mirror: Callable[[int], int]) -> Source:
    """2 * edge - (the element at the mirrored coordinate), which may itself lie outside."""
    if 0 <= i < n:
        return _copy(i)
    edge = 0 if i < 0 else n - 1
    total = {edge: 2.0}
    for index, weight in _odd(mirror(i), n, mirror).terms:
        total[index] = total.get(index, 0.0) - weight
    return Source(tuple((index, weight) for index, weight in total.items() if weight != 0))


def _odd_reflect(i: int, n: int) -> Source:
    return _copy(0) if n == 1 else _odd(i, n, lambda i: -i if i < 0 else 2 * (n - 1) - i)


def _odd_symmetric(i: int, n: int) -> Source:
    return _copy(0) if n == 1 else _odd(i, n, lambda i: -1 - i if i < 0 else 2 * n - 1 - i)


PADDINGS: dict[str, Callable[..., Source]] = {
    "zeros": _constant,
    "constant": _constant,
    "edge": _edge,
    "reflect": _reflect,
    "symmetric": _symmetric,
    "wrap": _wrap,
    "odd_reflect": _odd_reflect,
    "odd_symmetric": _odd_symmetric,
}


def sources(mode: Any, coordinates: Sequence[int], n: int) -> list[Source]:
    """Where the elements at these coordinates of an axis of length n come from."""
    name, params = mode if isinstance(mode, tuple) else (mode, {})
    if isinstance(name, str):
        if n < 1 and name not in ("zeros", "constant"):
            raise ValueError(f"nothing to extend: {name!r} on an axis of length {n}")
        return [PADDINGS[name](i, n, **params) for i in coordinates]
    result = name(np.array(coordinates, np.intp), n, **params)
    index, weight = result if isinstance(result, tuple) else (result, np.ones(len(coordinates)))
    index, weight = np.broadcast_arrays(np.atleast_2d(index), np.atleast_2d(weight))  # (T, L) both
    found = []
    for at in range(len(coordinates)):
        pairs = [(int(j), float(w)) for j, w in zip(index[:, at], weight[:, at], strict=True) if j != OUTSIDE]
        found.append(Source(tuple(pairs), 0 if pairs else params.get("value", 0)))
    return found


def pad_axis(
    x: Array, axis: int, before: int, after: int, mode: Any, linear: bool = False, logical: bool = False
) -> Array:
    """Extend one axis of x (a negative amount crops). The dtype stays. linear: constants count as 0.

    logical: for bool, a sum is true where any of its elements is.
    """
    n = x.shape[axis]
    rows = np.moveaxis(x, axis, 0)
    found = sources(mode, range(-before, n + after), n)
    y = np.zeros((len(found), *rows.shape[1:]), x.dtype)
    for at, source in enumerate(found):
        if source.terms == () and not linear:
            y[at] = source.constant
        elif len(source.terms) == 1 and source.terms[0][1] == 1:
            y[at] = rows[source.terms[0][0]]  # a copy, so that infinities and every dtype pass
        else:
            if x.dtype == np.bool_ and logical:
                y[at] = np.any([rows[index] for index, _ in source.terms], axis=0)
                continue
            if x.dtype == np.bool_:
                raise TypeError(f"padding mode {mode!r} takes weighted sums, and bool has no arithmetic")
            for index, weight in source.terms:
                y[at] += rows[index] * _as(weight, x.dtype)
    return np.moveaxis(y, 0, axis)


def _as(weight: float, dtype: np.dtype[Any]) -> Any:
    """The weight in the dtype; -1 becomes the largest unsigned value, as that arithmetic is modular."""
    return np.array(int(weight) if dtype.kind in "iu" else weight).astype(dtype)


def pad_axis_vjp(gy: Array, axis: int, before: int, after: int, mode: Any, n: int) -> Array:
    """The transpose of pad_axis's linear part: every element of gy goes back to its sources. n: the length of x."""
    rows = np.moveaxis(gy, axis, 0)
    gx = np.zeros((n, *rows.shape[1:]), gy.dtype)
    for at, source in enumerate(sources(mode, range(-before, n + after), n)):
        for index, weight in source.terms:
            gx[index] += weight * rows[at]
    return np.moveaxis(gx, 0, axis)


def pad_spatial(x: Array, widths: Sequence[Pair], mode: Any, linear: bool = False) -> Array:
    """Pad x (N, *spatial, C) along its spatial axes, the first one first."""
    for axis, ((before, after), one) in enumerate(zip(widths, modes_per_axis(mode, len(widths)), strict=True), 1):
        x = pad_axis(x, axis, before, after, one, linear)
    return x


def pad_spatial_vjp(gy: Array, widths: Sequence[Pair], mode: Any, spatial: Sequence[int]) -> Array:
    """The transpose of pad_spatial, last axis first. spatial: the sizes before padding."""
    modes = modes_per_axis(mode, len(widths))
    for axis in reversed(range(len(widths))):
        before, after = widths[axis]
        gy = pad_axis_vjp(gy, axis + 1, before, after, modes[axis], spatial[axis])
    return gy


def modes_per_axis(mode: Any, rank: int) -> tuple[Any, ...]:
    """One mode per axis. A pair whose second member is a dict is one mode with its parameters."""
    single = isinstance(mode, tuple) and len(mode) == 2 and isinstance(mode[1], dict)
    return (mode,) * rank if single else per_axis(mode, rank)


def pad_pairs(pad_width: Any, ndim: int) -> list[Pair]:
    """numpy.pad's pad_width as one pair per axis."""
    if isinstance(pad_width, dict):
        pairs = [(0, 0)] * ndim
        for axis, width in pad_width.items():
            pairs[axis] = (width, width) if np.ndim(width) == 0 else tuple(width)
        return pairs
    table = np.broadcast_to(np.asarray(pad_width), (ndim, 2))
    return [(int(before), int(after)) for before, after in table]


def pad(x: Any, pad_width: Any, mode: Any = "zeros", **params: Any) -> Array:
    """Extend (where an amount is negative: crop) x along every axis, the first axis first. The dtype stays."""
    y = np.asarray(x)
    mode = (mode, params) if params else mode
    for axis, ((before, after), one) in enumerate(
        zip(pad_pairs(pad_width, y.ndim), modes_per_axis(mode, y.ndim), strict=True)
    ):
        if (before, after) != (0, 0):
            y = pad_axis(y, axis, before, after, one, logical=one in ("odd_reflect", "odd_symmetric"))
    return y


def pad_vjp(x: Any, pad_width: Any, mode: Any = "zeros", *, gy: Any, **params: Any) -> Array:
    """The gradient of sum(gy * pad(x, ...)) with respect to x."""
    x, gy = np.asarray(x), np.asarray(gy).astype(np.float64)
    mode = (mode, params) if params else mode
    pairs, modes = pad_pairs(pad_width, x.ndim), modes_per_axis(mode, x.ndim)
    for axis in reversed(range(x.ndim)):
        before, after = pairs[axis]
        if (before, after) != (0, 0):
            gy = pad_axis_vjp(gy, axis, before, after, modes[axis], x.shape[axis])
    return np.asarray(gy)
