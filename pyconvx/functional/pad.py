"""Padding of arrays of any rank, along any axes, with its gradient. May import the plugins and arrays."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..geometry import integer
from ..padding import OUTSIDE, IndexMap, PaddingMode, index_map, padding
from ..registry import Bound
from . import arrays
from .arrays import Array
from .operation import Pullback, operation

__all__ = ["pad"]

Mode = str | PaddingMode | Bound[PaddingMode]
LOW = -(2**63)


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


@dataclass
class _Plan:
    """A padding, checked but not computed. Axes are padded in order, each from what the axes before it became."""

    x: Array
    widths: tuple[tuple[int, int], ...]
    modes: tuple[Bound[PaddingMode], ...]
    shape: tuple[int, ...]
    out: Array | None

    def tables(self) -> list[tuple[int, Array, IndexMap]]:
        """(axis, coordinates, index map) of each axis that changes."""
        tables = []
        for axis, ((before, after), mode) in enumerate(zip(self.widths, self.modes, strict=True)):
            if (before, after) != (0, 0):
                n = self.x.shape[axis]
                coordinates = np.arange(-before, n + after, dtype=np.intp)
                tables.append((axis, coordinates, index_map(mode, coordinates, n)))
        return tables

    def run(self) -> Array:
        y = self.x
        for axis, _, table in self.tables():
            y = _take(y, axis, table)
        return arrays.deliver(y if y is not self.x else y.copy(), self.out, self.x.dtype.newbyteorder("="))

    def vjp(self) -> tuple[Array, Pullback]:
        compute, _ = arrays.compute_dtypes(self.x.dtype)
        tables = self.tables()

        def pullback(gy: Any) -> tuple[Array, ...]:
            """The gradient of x."""
            gradient = arrays.as_gradient(gy, self.shape, compute)
            for axis, coordinates, table in reversed(tables):
                gradient = _give_back(gradient, axis, coordinates, table, self.x.shape[axis])
            return (np.array(gradient, arrays.gradient_dtype(self.x, compute), order="C"),)

        return self.run(), pullback


def _take(x: Array, axis: int, table: IndexMap) -> Array:
    """One axis of x, padded."""
    n = x.shape[axis]
    index = table.index[0]
    constant = index == OUTSIDE
    if n == 0:
        shape = (*x.shape[:axis], len(index), *x.shape[axis + 1 :])
        return np.full(shape, arrays.constant_of(table.value, x.dtype), x.dtype)
    y = np.take(x, np.where(constant, 0, index), axis)
    at: tuple[Any, ...] = (slice(None),) * axis
    if table.weight is not None:
        # weighted coordinates, term by term in the order of the map; all others are copied
        used = table.weight != 0
        mixed = np.flatnonzero((used.sum(0) > 1) | ((table.weight * used).sum(0) != 1) | ~used[0])
        sums: Array = np.zeros((*x.shape[:axis], len(mixed), *x.shape[axis + 1 :]), x.dtype)
        for term in range(len(table.index)):
            some = np.flatnonzero(used[term, mixed])
            if len(some):
                columns = mixed[some]
                weight = (
                    table.weight[term, columns].astype(np.int64 if x.dtype.kind in "iu" else x.dtype).astype(x.dtype)
                )
                shape = (len(some),) + (1,) * (x.ndim - axis - 1)
                sums[(*at, some)] += np.take(x, table.index[term, columns], axis) * weight.reshape(shape)
        y[(*at, mixed)] = sums
        constant = constant & used[0]
    if constant.any():
        y[(*at, constant)] = arrays.constant_of(table.value, x.dtype)
    return y


def _give_back(gradient: Array, axis: int, coordinates: Array, table: IndexMap, n: int) -> Array:
    """The adjoint of _take: what each coordinate received goes back to where it came from."""
    result = np.zeros((*gradient.shape[:axis], n, *gradient.shape[axis + 1 :]), gradient.dtype)
    at: tuple[Any, ...] = (slice(None),) * axis
    inside = np.flatnonzero((coordinates >= 0) & (coordinates < n))
    result[(*at, coordinates[inside])] = gradient[(*at, inside)]
    outside = (coordinates < 0) | (coordinates >= n)
    for term, index in enumerate(table.index):
        used = outside & (index != OUTSIDE)
        if table.weight is not None:
            used &= table.weight[term] != 0
        columns = np.flatnonzero(used)
        if len(columns):
            part = gradient[(*at, columns)]
            if table.weight is not None:
                weight = table.weight[term, columns].astype(gradient.dtype)
                part = part * weight.reshape((len(columns),) + (1,) * (gradient.ndim - axis - 1))
            np.add.at(result, (*at, index[columns]), part)
    return result


@operation(arrays=1)
def pad(
    x: Any,
    pad_width: Any,
    mode: Mode | tuple[Mode, ...] = "zeros",
    *,
    out: Array | None = None,
    **params: Any,
) -> _Plan:
    """Pad x, of any rank, as numpy.pad does, in any registered mode.

    x: array of any real dtype, which is kept. pad_width: as numpy.pad takes it: an int, (before, after), one of these
    per axis, or a mapping from axes to them; a negative amount crops. mode: a name in `paddings`, a bound one, or one
    per axis; params: parameters of the mode. Returns an array with n + before + after elements along each axis. Raises
    TypeError for an argument of a wrong type, ValueError for a wrong value or a constant that the dtype cannot hold.

    >>> import numpy as np, pyconvx as cx
    >>> cx.pad([1, 2, 3], 2, "reflect")
    array([3, 2, 1, 2, 3, 2, 1])
    >>> cx.pad([1, 2, 3], (1, -1), "constant", value=9)
    array([9, 1, 2])

    Source: numpy.pad, bit for bit in the modes that it has.
    """
    array = arrays.as_array("x", x)
    widths = _widths(pad_width, array.ndim)
    if isinstance(mode, Sequence) and not isinstance(mode, str):
        if len(mode) != array.ndim:
            raise ValueError(f"mode must be one mode, or one per axis ({array.ndim}), got {mode!r}")
        modes = tuple(padding(each, **params) for each in mode)
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
    return _Plan(array, widths, modes, shape, result)
