"""Padding by definition: where every element of a padded axis comes from. Imports numpy only.

A mode is a name, a rule `rule(i, n)` as plugins write it, or a pair (name or rule, parameters). An element of the
padded axis is `constant + sum of weight * x[index]`: padding is an affine map, its gradient the transposed linear part.
A joint mode, of all axes at once, is the same of a whole map: its name, or `Joint(rule)`.
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


@dataclass(frozen=True)
class Joint:
    """The rule of a joint mode, which is one of all axes at once."""

    rule: Callable[..., Any]


@dataclass(frozen=True)
class JointSource:
    """One element of a map with its border: weight * x[place], or the constant where there is no place."""

    place: tuple[int, ...] | None
    weight: float = 1
    constant: Any = 0


def _globe(place: tuple[int, ...], sizes: tuple[int, ...], poles: bool = False) -> JointSource:
    """Step over a pole, which turns the globe by half, until the latitude is one of the map."""
    (latitude, longitude), (rows, columns) = place, sizes
    if poles and rows == 1:
        latitude = 0
    while not 0 <= latitude < rows:
        if columns % 2:
            raise ValueError(f"{columns} longitudes have no half turn")
        if poles:
            latitude = -latitude if latitude < 0 else 2 * (rows - 1) - latitude
        else:
            latitude = -1 - latitude if latitude < 0 else 2 * rows - 1 - latitude
        longitude += columns // 2
    return JointSource((latitude, longitude % columns))


JOINT: dict[str, Callable[..., JointSource]] = {"globe": _globe}


def is_joint(mode: Any) -> bool:
    """Whether a mode, with or without parameters, is one of all axes at once."""
    name = mode[0] if isinstance(mode, tuple) else mode
    return isinstance(name, Joint) or (isinstance(name, str) and name in JOINT)


Places = dict[tuple[int, ...], JointSource]


def joint_sources(mode: Any, coordinates: Sequence[Sequence[int]], sizes: tuple[int, ...]) -> Places:
    """Where the elements at a mesh of coordinates, one sequence per axis, come from, by their index in the mesh."""
    name, params = mode if isinstance(mode, tuple) else (mode, {})
    shape = tuple(map(len, coordinates))
    if isinstance(name, str):
        places = {at: tuple(axis[i] for axis, i in zip(coordinates, at, strict=True)) for at in np.ndindex(*shape)}
        return {at: JOINT[name](place, sizes, **params) for at, place in places.items()}
    result = name.rule(np.ix_(*(np.array(axis, np.intp) for axis in coordinates)), sizes, **params)
    index, weight = result if isinstance(result[0], tuple) else (result, np.ones(shape))
    index, weight = [np.broadcast_to(each, shape) for each in index], np.broadcast_to(weight, shape)
    found = {}
    for at in np.ndindex(*shape):
        place = tuple(int(each[at]) for each in index)
        if OUTSIDE in place:
            found[at] = JointSource(None, constant=params.get("value", 0) if weight[at] else 0)
        else:
            found[at] = JointSource(place, float(weight[at]))
    return found


def pad_joint(x: Array, axes: Sequence[int], widths: Sequence[Pair], mode: Any, linear: bool = False) -> Array:
    """Extend some axes of x at once (a negative amount crops). The dtype stays. linear: constants count as 0."""
    rows = np.moveaxis(x, axes, range(len(axes)))
    sizes = rows.shape[: len(axes)]
    coordinates = _coordinates(sizes, widths)
    y = np.zeros((*map(len, coordinates), *rows.shape[len(axes) :]), x.dtype)
    for at, source in joint_sources(mode, coordinates, sizes).items():
        if source.place is None:
            y[at] = 0 if linear else source.constant
        elif source.weight == 1:
            y[at] = rows[source.place]
        elif x.dtype == np.bool_:
            raise TypeError(f"padding mode {mode!r} weighs elements, and bool has no arithmetic")
        elif source.weight != 0:
            y[at] = rows[source.place] * _as(source.weight, x.dtype)
    return np.moveaxis(y, range(len(axes)), axes)


def pad_joint_vjp(gy: Array, axes: Sequence[int], widths: Sequence[Pair], mode: Any, sizes: tuple[int, ...]) -> Array:
    """The transpose of pad_joint's linear part. sizes: the lengths of those axes of x."""
    rows = np.moveaxis(gy, axes, range(len(axes)))
    gx = np.zeros((*sizes, *rows.shape[len(axes) :]), gy.dtype)
    for at, source in joint_sources(mode, _coordinates(sizes, widths), sizes).items():
        if source.place is not None and source.weight != 0:
            gx[source.place] += source.weight * rows[at]
    return np.moveaxis(gx, range(len(axes)), axes)


def _coordinates(sizes: Sequence[int], widths: Sequence[Pair]) -> list[range]:
    return [range(-before, n + after) for n, (before, after) in zip(sizes, widths, strict=True)]


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
    """Pad x (N, *spatial, C) along its spatial axes, the first one first, or by a joint mode all at once."""
    if is_joint(mode):
        return pad_joint(x, range(1, 1 + len(widths)), widths, mode, linear)
    for axis, ((before, after), one) in enumerate(zip(widths, modes_per_axis(mode, len(widths)), strict=True), 1):
        x = pad_axis(x, axis, before, after, one, linear)
    return x


def pad_spatial_vjp(gy: Array, widths: Sequence[Pair], mode: Any, spatial: Sequence[int]) -> Array:
    """The transpose of pad_spatial, last axis first. spatial: the sizes before padding."""
    if is_joint(mode):
        return pad_joint_vjp(gy, range(1, 1 + len(widths)), widths, mode, tuple(spatial))
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


def _named_axes(pad_width: Any, ndim: int) -> list[int]:
    return sorted(axis % ndim for axis in pad_width) if isinstance(pad_width, dict) else list(range(ndim))


def pad(x: Any, pad_width: Any, mode: Any = "zeros", **params: Any) -> Array:
    """Extend (where an amount is negative: crop) x along every axis, the first axis first. The dtype stays.

    A joint mode is for the axes that a mapping names, or for all.
    """
    y = np.asarray(x)
    mode = (mode, params) if params else mode
    if is_joint(mode):
        axes = _named_axes(pad_width, y.ndim)
        return pad_joint(y, axes, [pad_pairs(pad_width, y.ndim)[axis] for axis in axes], mode)
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
    pairs = pad_pairs(pad_width, x.ndim)
    if is_joint(mode):
        axes = _named_axes(pad_width, x.ndim)
        return pad_joint_vjp(gy, axes, [pairs[axis] for axis in axes], mode, tuple(x.shape[axis] for axis in axes))
    modes = modes_per_axis(mode, x.ndim)
    for axis in reversed(range(x.ndim)):
        before, after = pairs[axis]
        if (before, after) != (0, 0):
            gy = pad_axis_vjp(gy, axis, before, after, modes[axis], x.shape[axis])
    return np.asarray(gy)
