"""Padding of arrays of any rank, along any axes, with its gradient. May import the plugins and arrays."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..geometry import integer
from ..padding import OUTSIDE, IndexMap, PaddingMode, index_map, odd_reflect, odd_symmetric, padding
from ..plugin import Bound
from ..remember import remembered
from . import arrays
from .arrays import Array
from .joint import Border, fractional
from .operation import Pullback, operation
from .padded import check_weights, ranks_of, separate

__all__ = ["pad"]

Mode = str | PaddingMode | Bound[PaddingMode]
LOW = -(2**63)
ODD = ((odd_reflect, 1), (odd_symmetric, 0))  # rules, and how far from an end their mirror begins
PART = 2**16  # coordinates of an axis whose index map is made at once


def _pair(value: Any) -> tuple[int, int]:
    """(before, after) from an int or a sequence of one or two ints."""
    if isinstance(value, (Sequence, np.ndarray)) and not isinstance(value, (str, bytes)) and np.shape(value) != ():
        if len(value) not in (1, 2):
            raise ValueError(f"pad_width of an axis must be an int or (before, after), got {value!r}")
        return integer("pad_width", value[0], LOW), integer("pad_width", value[-1], LOW)
    return (integer("pad_width", value, LOW),) * 2


def _widths(pad_width: Any, ndim: int) -> tuple[tuple[int, int], ...]:
    """(before, after) of each axis, from any form that numpy.pad takes."""
    if isinstance(pad_width, Mapping):
        widths = [(0, 0)] * ndim
        for axis, width in pad_width.items():
            if not -ndim <= integer("axis of pad_width", axis, LOW) < ndim:
                raise ValueError(f"pad_width names axis {axis}, but x has {ndim} dimensions")
            widths[axis] = _pair(width)
        return tuple(widths)
    if isinstance(pad_width, np.ndarray):
        pad_width = pad_width.tolist()
    if isinstance(pad_width, (str, bytes)) or not isinstance(pad_width, Sequence):
        return (_pair(pad_width),) * ndim
    if not any(isinstance(each, (Sequence, np.ndarray)) for each in pad_width):
        return (_pair(pad_width),) * ndim
    if len(pad_width) == 1:
        return (_pair(pad_width[0]),) * ndim
    if len(pad_width) != ndim:
        raise ValueError(
            f"pad_width must be an int, (before, after), or one of these per axis ({ndim}), got {pad_width!r}"
        )
    return tuple(_pair(each) for each in pad_width)


@remembered(Bound)
def _taken(mode: Bound[PaddingMode], n: int, start: int, stop: int) -> IndexMap:
    """What the coordinates start ... stop - 1, beside an axis of length n, take.

    The rule is asked for as many elements of the axis, too, so that one that changes them is found.
    """
    count = stop - start
    near = min(n, count)
    coordinates = np.concatenate([np.arange(start, stop), np.arange(near), np.arange(n - near, n)])
    table = index_map(mode, coordinates, n)
    weight = None if table.weight is None else table.weight[:, :count]
    return IndexMap(table.index[:, :count], weight, table.value)


@dataclass(eq=False, repr=False)
class _Plan:
    """A padding, checked but not computed. Axes are padded in order, each from what the axes before it became."""

    x: Array
    widths: tuple[tuple[int, int], ...]
    modes: tuple[Bound[PaddingMode], ...]
    shape: tuple[int, ...]
    out: Array | None

    def _inside(self, axis: int) -> tuple[slice, slice]:
        """The elements of an axis that are kept, and their places in the result."""
        n, (before, after) = self.x.shape[axis], self.widths[axis]
        first, stop = max(0, -before), min(n, n + after)
        stop = max(first, stop)
        return slice(first, stop), slice(first + before, stop + before)

    def _outside(self, axis: int) -> Iterator[tuple[slice, IndexMap]]:
        """The other places, a bounded number at once, and what they take."""
        n, (before, after) = self.x.shape[axis], self.widths[axis]
        for start, stop in ((-before, min(0, n + after)), (max(n, -before), n + after)):
            for first in range(start, stop, PART):
                last = min(first + PART, stop)
                yield slice(first + before, last + before), _taken(self.modes[axis], n, first, last)

    def _axes(self) -> list[int]:
        """The axes that change."""
        return [axis for axis, width in enumerate(self.widths) if width != (0, 0)]

    def run(self) -> Array:
        x, dtype = self.x, self.x.dtype.newbyteorder("=")
        if all(min(width) >= 0 for width in self.widths):
            y = np.empty(self.shape, x.dtype)  # one array: others beside it would cost more than to fill it
            kept = [self._inside(axis)[1] for axis in range(x.ndim)]
            y[tuple(kept)] = x
            for axis in self._axes():
                self._fill(y[(*_all(axis), *kept[axis:])], axis, y[(*_all(axis + 1), *kept[axis + 1 :])])
            return arrays.deliver(y, self.out, dtype)
        for axis in self._axes():  # what is cropped may be shown beside what is not
            y = np.empty((*x.shape[:axis], self.shape[axis], *x.shape[axis + 1 :]), x.dtype)
            some, places = self._inside(axis)
            y[(*_all(axis), places)] = x[(*_all(axis), some)]
            self._fill(x, axis, y)
            x = y
        return arrays.deliver(x, self.out, dtype)

    def _fill(self, x: Array, axis: int, y: Array) -> None:
        """Fill the places of an axis of y that are not elements of x, which may be a part of y."""
        start = next((start for rule, start in ODD if rule is self.modes[axis].plugin.function), None)
        if start is not None and x.dtype.kind == "f" and x.shape[axis] > 1 and min(self.widths[axis]) >= 0:
            y[...] = _reflected(x, axis, self.widths[axis], start)
            return
        for places, table in self._outside(axis):
            mixed = start is None and len(_mixed(table)) > 0  # odd modes have a meaning for bool
            check_weights("mode", self.modes[axis], x.dtype, mixed, fractional(table.weight))
            _take(x, axis, table, y[(*_all(axis), places)])

    def vjp(self) -> tuple[Array, Pullback]:
        compute, _ = arrays.compute_dtypes(self.x.dtype)

        def pullback(gy: Any) -> tuple[Array, ...]:
            """The gradient of x."""
            gradient = arrays.as_gradient(gy, self.shape, compute)
            for axis in reversed(self._axes()):
                n = self.x.shape[axis]
                gx = np.zeros((*gradient.shape[:axis], n, *gradient.shape[axis + 1 :]), compute)
                kept, places = self._inside(axis)
                gx[(*_all(axis), kept)] = gradient[(*_all(axis), places)]
                for places, table in self._outside(axis):
                    _give_back(gradient[(*_all(axis), places)], axis, table, gx)
                gradient = gx
            return (np.array(gradient, arrays.gradient_dtype(self.x, compute), order="C"),)

        return self.run(), pullback


def _all(axes: int) -> tuple[Any, ...]:
    return (slice(None),) * axes


def _mixed(table: IndexMap) -> Array:
    """The coordinates that are not one element or constant as it is, but a weighted sum."""
    if table.weight is None:
        return np.empty(0, np.intp)
    used = table.weight != 0
    return np.flatnonzero((used.sum(0) > 1) | ((table.weight * used).sum(0) != 1) | ~used[0])


def _take(x: Array, axis: int, table: IndexMap, y: Array) -> None:
    """Fill y with what coordinates of an axis of x take."""
    index, at = table.index[0], _all(axis)
    constant = index == OUTSIDE
    if x.shape[axis] == 0 or constant.all():
        y[...] = arrays.constant_of(table.value, x.dtype)
        return
    y[...] = x[(*at, np.where(constant, 0, index))]
    if table.weight is not None:
        # weighted coordinates, term by term in the order of the map; all others are copied
        used, mixed = table.weight != 0, _mixed(table)
        dtype = np.dtype(np.float32) if x.dtype == np.float16 else x.dtype
        column = (-1,) + (1,) * (x.ndim - axis - 1)
        # -0.0 plus any number is that number, the sign of a zero included; a sum of nothing is 0
        start = np.where(used[:, mixed].any(0), -0.0, 0.0).astype(dtype).reshape(column)
        sums: Array = np.broadcast_to(start, (*x.shape[:axis], len(mixed), *x.shape[axis + 1 :])).copy()
        for term in range(len(table.index)):
            some = np.flatnonzero(used[term, mixed])
            if len(some) and x.dtype == np.bool_:  # odd, which in numpy's arithmetic of bool is a logical or
                sums[(*at, some)] |= np.take(x, table.index[term, mixed[some]], axis)
            elif len(some):
                columns = mixed[some]
                weight = table.weight[term, columns].astype(np.int64 if x.dtype.kind in "iu" else dtype).astype(dtype)
                sums[(*at, some)] += np.take(x, table.index[term, columns], axis) * weight.reshape(column)
        y[(*at, mixed)] = sums
        constant = constant & used[0]
    if constant.any():
        y[(*at, constant)] = arrays.constant_of(table.value, x.dtype)


def _reflected(x: Array, axis: int, width: tuple[int, int], start: int) -> Array:
    """The odd extension of floats, one reflection about the ends after another: each is rounded, as numpy.pad does.

    All that there is so far is mirrored at once, in whole periods, which is n or n - 1 elements.
    """
    period, at = x.shape[axis] - start, _all(axis)
    before, after = width
    y = np.empty((*x.shape[:axis], before + x.shape[axis] + after, *x.shape[axis + 1 :]), x.dtype)
    first, stop = before, before + x.shape[axis]  # what there is of y
    y[(*at, slice(first, stop))] = x
    with np.errstate(over="ignore", invalid="ignore"):
        while first > 0 or stop < y.shape[axis]:
            reach = (stop - first - start) // period * period
            left, right = min(reach, first), min(reach, y.shape[axis] - stop)
            mirrored = np.flip(y[(*at, slice(first + start, first + start + left))], axis)
            y[(*at, slice(first - left, first))] = 2 * y[(*at, slice(first, first + 1))] - mirrored
            mirrored = np.flip(y[(*at, slice(stop - start - right, stop - start))], axis)
            y[(*at, slice(stop, stop + right))] = 2 * y[(*at, slice(stop - 1, stop))] - mirrored
            first, stop = first - left, stop + right
    return y


def _give_back(gy: Array, axis: int, table: IndexMap, gx: Array) -> None:
    """The adjoint of _take: add what each coordinate received to where it came from."""
    at = _all(axis)
    for term, index in enumerate(table.index):
        used = index != OUTSIDE
        if table.weight is not None:
            used &= table.weight[term] != 0
        columns = np.flatnonzero(used)
        if len(columns) == 0:
            continue
        part, to = gy[(*at, columns)], index[columns]
        if table.weight is not None:
            weight = table.weight[term, columns].astype(gy.dtype)
            part = part * weight.reshape((len(columns),) + (1,) * (gy.ndim - axis - 1))
        if np.unique(to).size == to.size:
            gx[(*at, to)] += part
        else:
            np.add.at(gx, (*at, to), part)


@dataclass(eq=False, repr=False)
class _JointPlan:
    """A padding along several axes at once, checked but not computed."""

    x: Array
    border: Border
    shape: tuple[int, ...]
    out: Array | None

    def run(self) -> Array:
        dtype = self.x.dtype.newbyteorder("=")
        check_weights("mode", self.border.mode, dtype, self.border.weighs, self.border.fractional)
        return arrays.deliver(self.border.extend(self.x, dtype), self.out, dtype)

    def vjp(self) -> tuple[Array, Pullback]:
        compute, _ = arrays.compute_dtypes(self.x.dtype)

        def pullback(gy: Any) -> tuple[Array, ...]:
            """The gradient of x."""
            gx = self.border.fold(arrays.as_gradient(gy, self.shape, compute))
            return (gx.astype(arrays.gradient_dtype(self.x, compute), copy=False),)

        return self.run(), pullback


def _joint_axes(mode: Bound[PaddingMode], pad_width: Any, ndim: int) -> tuple[int, ...]:
    """The axes that a joint mode is for: those that pad_width names, otherwise all."""
    named = isinstance(pad_width, Mapping)
    axes = tuple(sorted({axis % ndim for axis in pad_width})) if named else tuple(range(ndim))
    if len(axes) not in mode.plugin.ranks:
        what = f"pad_width names {len(axes)}" if named else f"x has {ndim}"
        raise ValueError(
            f"mode {mode.name!r} is for {ranks_of(mode)} axes at once, and {what}: give pad_width as a mapping from "
            f"the axes to be padded, such as {{0: 1, 1: 1}}"
        )
    return axes


@operation(arrays=1)
def pad(
    x: Any,
    pad_width: Any,
    mode: Mode | tuple[Mode, ...] = "zeros",
    *,
    out: Array | None = None,
    **params: Any,
) -> _Plan | _JointPlan:
    """Pad x, of any rank, as numpy.pad does, in any registered mode.

    x: array of any real dtype, which is kept. pad_width: as numpy.pad takes it: an int, (before, after), one of these
    per axis, or a mapping from axes to them; a negative amount crops. mode: a name in `paddings`, a bound one, or one
    per axis; a joint one is for all the axes that a mapping names, or for all there are. params: parameters of the
    mode. Returns an array with n + before + after elements along each axis. Raises TypeError for an argument of a wrong
    type, ValueError for a wrong value or a constant that the dtype cannot hold.

    >>> import numpy as np, pyconvx as cx
    >>> cx.pad([1, 2, 3], 2, "reflect")
    array([3, 2, 1, 2, 3, 2, 1])
    >>> cx.pad([1, 2, 3], (1, -1), "constant", value=9)
    array([9, 1, 2])
    >>> cx.pad(np.zeros((36, 72, 3)), {0: 2, 1: 2}, "globe").shape  # latitude, longitude, channels
    (40, 76, 3)

    Source: numpy.pad of NumPy 2, bit for bit in the modes that it has.
    """
    array = arrays.as_array("x", x)
    widths = _widths(pad_width, array.ndim)
    if isinstance(mode, Sequence) and not isinstance(mode, str):
        if len(mode) != array.ndim:
            raise ValueError(f"mode must be one mode, or one per axis ({array.ndim}), got {mode!r}")
        modes = separate("mode", tuple(padding(each, **params) for each in mode))
    else:
        modes = (padding(mode, **params),) * array.ndim
    for each in modes:
        if "value" in each.params:
            arrays.constant_of(each.params["value"], array.dtype, f"value of padding mode {each.name!r}")
    shape = tuple(n + before + after for n, (before, after) in zip(array.shape, widths, strict=True))
    for axis, (n, size) in enumerate(zip(array.shape, shape, strict=True)):
        if size < 0:
            raise ValueError(f"pad_width {widths[axis]} crops more than axis {axis} of size {n} has")
    arrays.checked_shape(shape, array.itemsize)
    result = arrays.as_output(out, shape, array.dtype.newbyteorder("="))
    if modes and modes[0].plugin.joint:
        axes = _joint_axes(modes[0], pad_width, array.ndim)
        sizes, pairs = tuple(array.shape[axis] for axis in axes), tuple(widths[axis] for axis in axes)
        return _JointPlan(array, Border(modes[0], axes, sizes, pairs), shape, result)
    return _Plan(array, widths, modes, shape, result)
