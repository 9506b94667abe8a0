"""Joint padding modes: what surrounds x, by itself or laid out with x, and the way back of a gradient. May import the
core, geometry, padding and arrays.

Kernels read tables of one axis each, which a rule of all axes at once is not. So the border is gathered, and tables say
which places of it are read; the gradient of x with its border is added up where that came from.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .. import _core
from ..geometry import Window
from ..padding import JointMap, PaddingMode, joint_map
from ..plugin import Bound
from ..remember import remembered
from .arrays import Array, canonical, constant_of, empty

__all__ = ["Border", "border_of", "fractional", "without_padding"]

Indices = tuple[NDArray[np.intp], ...]
Pairs = tuple[tuple[int, int], ...]

PART = 2**16  # coordinates of a mesh whose index map is made at once
KEPT = 2**20  # coordinates of a border whose index map may be remembered
HELD = 2**11  # and of one whose map its Border keeps


@dataclass(eq=False, repr=False)
class _Part:
    """Some places of the border, and what they take."""

    places: Indices
    table: JointMap  # of as many coordinates
    numbers: NDArray[np.intp]  # of the places, counted along the border

    @property
    def nbytes(self) -> int:
        return self.table.nbytes + sum(each.nbytes for each in self.places) + self.numbers.nbytes

    @property
    def sourced(self) -> bool:
        """Whether all is an element of x as it is."""
        return self.table.weight is None and self.table.outside is None


def _boxes(sizes: tuple[int, ...], widths: Pairs) -> Iterator[tuple[tuple[int, int], ...]]:
    """Boxes of coordinates that cover the border, each as (first, stop) per axis.

    They hold the outermost elements of x, too, so that a rule that maps those wrongly is told so.
    """
    axes = []
    for n, (before, after) in zip(sizes, widths, strict=True):
        low, high = -before, n + after
        cuts = np.clip([low, 1, max(1, n - 1), high], low, high).tolist()
        axes.append(list(itertools.pairwise(cuts)))
    inner = tuple(axis[1] for axis in axes)
    for box in itertools.product(*axes):
        lengths = [stop - first for first, stop in box]
        if box == inner or 0 in lengths:
            continue
        longest = int(np.argmax(lengths))
        step = max(1, PART * lengths[longest] // math.prod(lengths))
        first, stop = box[longest]
        for start in range(first, stop, step):
            yield (*box[:longest], (start, min(start + step, stop)), *box[longest + 1 :])


def _made(mode: Bound[PaddingMode], sizes: tuple[int, ...], widths: Pairs) -> Iterator[_Part]:
    for box in _boxes(sizes, widths):
        mesh = np.ix_(*(np.arange(first, stop, dtype=np.intp) for first, stop in box))
        table = joint_map(mode, mesh, sizes)
        shape = np.broadcast_shapes(*(each.shape for each in mesh))
        beyond = np.zeros(shape, np.bool_)
        for each, n in zip(mesh, sizes, strict=True):
            beyond |= (each < 0) | (each >= n)
        at = np.nonzero(beyond)
        pairs = zip(at, box, widths, strict=True)
        places = tuple(axis + (first + before) for axis, (first, _), (before, _) in pairs)
        yield _Part(places, _listed(table, shape, at), _numbers(sizes, widths, places))


def _starts(sizes: tuple[int, ...], widths: Pairs) -> NDArray[np.intp]:
    """Of each row along the last axis, in order and with its border: how many places of the border come before it."""
    whole = [n + sum(width) for n, width in zip(sizes, widths, strict=True)]
    within = np.ones(1, np.bool_)
    for n, (before, _), length in zip(sizes[:-1], widths, whole, strict=False):
        coordinates = np.arange(length) - before
        within = np.logical_and.outer(within, (coordinates >= 0) & (coordinates < n)).ravel()
    counts = np.where(within, whole[-1] - sizes[-1], whole[-1])
    return np.concatenate([[0], np.cumsum(counts[:-1])]).astype(np.intp)


def _numbers(sizes: tuple[int, ...], widths: Pairs, places: Indices) -> NDArray[np.intp]:
    """The numbers of places of the border, row by row."""
    rows = np.zeros(places[0].size, np.intp)
    within = np.ones(places[0].size, np.bool_)
    for at, n, (before, after) in zip(places[:-1], sizes, widths, strict=False):
        rows = rows * (n + before + after) + at
        within &= (at >= before) & (at < before + n)
    behind = within & (places[-1] >= widths[-1][0])
    return _starts(sizes, widths)[rows] + places[-1] - np.where(behind, sizes[-1], 0)


def _listed(table: JointMap, shape: tuple[int, ...], at: Any) -> JointMap:
    """The map of some places of a mesh, one after the other."""
    index = tuple(np.broadcast_to(each, shape)[at] for each in table.index)
    outside, weight = (None if each is None else each[at] for each in (table.outside, table.weight))
    return JointMap(index, outside, weight, table.value)


@remembered(Bound)
def _kept(mode: Bound[PaddingMode], sizes: tuple[int, ...], widths: Pairs) -> tuple[_Part, ...]:
    """All parts as one."""
    parts = list(_made(mode, sizes, widths))
    if not parts:
        return ()
    tables = [part.table for part in parts]
    counts = [part.places[0].size for part in parts]

    def whole(arrays: list[Any], default: Any) -> Any:
        if all(array is None for array in arrays):
            return None
        filled = (np.full(n, default) if each is None else each for each, n in zip(arrays, counts, strict=True))
        return np.concatenate(list(filled))

    index = tuple(map(np.concatenate, zip(*(table.index for table in tables), strict=True)))
    outside, weight = whole([t.outside for t in tables], False), whole([t.weight for t in tables], 1.0)
    places = tuple(map(np.concatenate, zip(*(part.places for part in parts), strict=True)))
    numbers = np.concatenate([part.numbers for part in parts])
    return (_Part(places, JointMap(index, outside, weight, tables[0].value), numbers),)


@dataclass(eq=False, repr=False)
class Border:
    """What surrounds x along some of its axes, which have `sizes`, under a joint mode. A negative width crops."""

    mode: Bound[PaddingMode]
    axes: tuple[int, ...]
    sizes: tuple[int, ...]
    widths: Pairs
    whole: tuple[int, ...] = field(init=False)
    """Sizes of the axes with their border."""
    own: tuple[tuple[slice, ...], tuple[slice, ...]] = field(init=False)
    """Where the elements of x that are not cropped are with the border, and without."""
    count: int = field(init=False)
    """How many places surround one sample."""
    _held: dict[str, Any] = field(init=False, default_factory=dict)  # what is made when it is needed first

    def __post_init__(self) -> None:
        spans = []
        for n, (before, after) in zip(self.sizes, self.widths, strict=True):
            first = max(0, -before)
            spans.append((first, max(first, min(n, n + after)), before))
        sizes = (n + sum(width) for n, width in zip(self.sizes, self.widths, strict=True))
        to = tuple(slice(first + before, stop + before) for first, stop, before in spans)
        object.__setattr__(self, "whole", tuple(sizes))
        object.__setattr__(self, "own", (to, tuple(slice(first, stop) for first, stop, _ in spans)))
        own = math.prod(stop - first for first, stop, _ in spans)
        object.__setattr__(self, "count", math.prod(self.whole) - own)

    def shape_with(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """The shape of x with its border."""
        return self._replaced(shape, self.whole)

    def shape_without(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """The shape of x, from that with its border."""
        return self._replaced(shape, self.sizes)

    def _replaced(self, shape: tuple[int, ...], sizes: tuple[int, ...]) -> tuple[int, ...]:
        new = list(shape)
        for axis, n in zip(self.axes, sizes, strict=True):
            new[axis] = n
        return tuple(new)

    def parts(self) -> Iterable[_Part]:
        """The index map of the border; if that is long, a bounded number of places at once."""
        if self.count > KEPT:
            return _made(self.mode, self.sizes, self.widths)
        parts = self._held.get("parts")
        if parts is None:
            parts = _kept(self.mode, self.sizes, self.widths)
            if self.count <= HELD:
                self._held["parts"] = parts
        return parts

    @property
    def weighs(self) -> bool:
        """Whether an element is taken with a weight."""
        return any(part.table.weight is not None for part in self.parts())

    @property
    def fractional(self) -> bool:
        """Whether a weight is not whole."""
        return any(fractional(part.table.weight) for part in self.parts())

    @property
    def sourced(self) -> bool:
        """Whether all is an element of x as it is."""
        return all(part.sourced for part in self.parts())

    @property
    def nbytes(self) -> int:
        """Bytes of what is held, once it is: of each place its coordinates, those that it takes, and its number; and
        where rows start.
        """
        return (8 * (2 * len(self.sizes) + 1) * self.count if self.count <= HELD else 0) + 8 * self.rows

    @property
    def rows(self) -> int:
        """How many rows along the last axis x has with its border."""
        return math.prod(self.whole[:-1])

    def _layout(self) -> tuple[Any, ...]:
        """What the compiled core has to know of the border, besides its elements."""
        layout: tuple[Any, ...] | None = self._held.get("layout")
        if layout is None:
            missing = 3 - len(self.sizes)
            before = (0,) * missing + tuple(width[0] for width in self.widths)
            layout = _starts(self.sizes, self.widths), before, (1,) * missing + self.whole, self.sizes[-1]
            self._held["layout"] = layout
        return layout

    def around(self, x: Array, dtype: np.dtype[Any], linear: bool = False) -> Any:
        """The border by itself, for kernels that read x (N, D, H, W, C). linear: constants count as 0."""
        make = _core.empty if self.count <= KEPT else empty  # which also checks whether that can be addressed
        elements = make((x.shape[0], self.count, x.shape[-1]), dtype)
        for part in self.parts():
            if part.sourced and x.dtype == dtype:
                _core.kernels.fill_border(x, part.table.index, part.numbers, elements)
            else:
                taken = _taken(self._front(x), part.table, dtype, linear)
                elements[:, part.numbers] = taken.reshape(part.numbers.size, x.shape[0], x.shape[-1]).swapaxes(0, 1)
        return _core.kernels.Border(elements, *self._layout())

    def _own(self, ndim: int) -> tuple[tuple[slice, ...], tuple[slice, ...]]:
        """`own` for an array of so many axes."""
        to, come = [slice(None)] * ndim, [slice(None)] * ndim
        for axis, one, other in zip(self.axes, *self.own, strict=True):
            to[axis], come[axis] = one, other
        return tuple(to), tuple(come)

    def _front(self, x: Array) -> Array:
        """x with the axes that have a border in front."""
        return x.transpose(*self.axes, *(axis for axis in range(x.ndim) if axis not in self.axes))

    def extend(self, x: Array, dtype: np.dtype[Any], apart: bool = False, linear: bool = False) -> Array:
        """x with its border, in `dtype`; `apart` in memory with channels first. linear: constants count as 0."""
        y = canonical(empty, self.shape_with(x.shape), dtype, apart)
        to, come = self._own(x.ndim)
        y[to] = x[come]  # of the arrays as they are: NumPy copies whole rows then
        x, filled = self._front(x), self._front(y)
        for part in self.parts():
            filled[part.places] = _taken(x, part.table, dtype, linear)
        return y

    def fold(self, gy: Array, apart: bool = False) -> Array:
        """The adjoint: the sum of what each element of x received with its images."""
        gx = canonical(empty, self.shape_without(gy.shape), gy.dtype, apart)
        if any(before < 0 or after < 0 for before, after in self.widths):
            gx[...] = 0
        to, come = self._own(gx.ndim)
        gx[come] = gy[to]
        gy = gy if gy.flags.aligned else gy.copy()
        gy, sums = self._front(gy), self._front(gx)
        for part in self.parts():
            _give_back(gy, part, sums)
        return gx


def fractional(weight: Array | None) -> bool:
    """Whether one of the weights, if there are any, is not whole."""
    return weight is not None and bool((weight != np.rint(weight)).any())


def _column(array: Array, axes: int) -> Array:
    """With so many axes of length 1 at the end."""
    return array.reshape(*array.shape, *(1,) * axes)


def _taken(x: Array, table: JointMap, dtype: np.dtype[Any], linear: bool) -> Array:
    """What places take from x, whose axes with a border are in front."""
    value = None if table.outside is None else 0 if linear else constant_of(table.value, dtype)
    rest = x.shape[len(table.index) :]
    if table.outside is not None and table.outside.all():  # also of an empty axis
        return np.full((table.outside.size, *rest), value, dtype)
    taken: Array = x[table.index].astype(dtype, copy=False)
    if table.weight is not None:
        exact = np.dtype(np.float32) if dtype == np.float16 else dtype
        weight = table.weight.astype(np.int64 if dtype.kind in "iu" else exact).astype(exact)
        with np.errstate(all="ignore"):
            taken = (taken * _column(weight, len(rest))).astype(dtype, copy=False)
        taken[table.weight == 0] = 0
    if table.outside is not None:
        taken[table.outside] = value
    return taken


def _give_back(gy: Array, part: _Part, gx: Array) -> None:
    """Add what places received to where it came from, in their order."""
    index, places, weight = part.table.index, part.places, part.table.weight
    if not part.sourced:
        used = np.ones(part.numbers.size, np.bool_) if part.table.outside is None else ~part.table.outside
        if weight is not None:
            used &= weight != 0
            weight = weight[used].astype(np.float64)
        index, places = (tuple(each[used] for each in indices) for indices in (index, places))
    axes, (*outer, last) = len(index), gx.shape[len(index) :] or (1,)
    for at in np.ndindex(*outer):
        here = (slice(None),) * axes + at
        x, y = (each[here].reshape(*each.shape[:axes], last) for each in (gx, gy))
        _core.kernels.add_border(x, index, y, places, weight)


def border_of(mode: Bound[PaddingMode], windows: tuple[Window, ...]) -> Border | None:
    """The border that windows read around x (N, D, H, W, C) under a joint mode; None if there is none."""
    widths = tuple((window.before, window.after) for window in windows)
    return _border(mode, *windows) if any(map(any, widths)) else None


@remembered(Bound, Window)
def _border(mode: Bound[PaddingMode], *windows: Window) -> Border:
    widths = tuple((window.before, window.after) for window in windows)
    axes = tuple(range(4 - len(windows), 4))
    return Border(mode, axes, tuple(window.source for window in windows), widths)


def without_padding(windows: tuple[Window, ...]) -> tuple[Window, ...]:
    """The same windows, over an axis that has its border already."""
    return tuple(window._replace(source=window.padded, before=0, after=0) for window in windows)
