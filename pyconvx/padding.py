"""Padding modes: with what a border is filled, as an index map per axis or of all axes at once. Imports registry.

The rule of a mode says for coordinates of the padded axis, -before ... n + after - 1, which element of the
axis each one takes. `index_map` calls it and checks the answer, so that compiled code may follow the table
unchecked. The rule of a joint mode says the same of all axes at once; `joint_map` calls and checks it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import reduce
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from .plugin import Bound, Plugin, calling, unmasked
from .registry import Registry

__all__ = ["OUTSIDE", "IndexMap", "JointMap", "PaddingMode", "index_map", "joint_map", "padding", "paddings"]

Indices = NDArray[np.intp]
Weights = NDArray[np.float64]

RANKS = (1, 2, 3)

OUTSIDE = int(np.iinfo(np.intp).min)
"""In an index map: the coordinate takes the constant. Not -1, so that a map that forgets to wrap raises."""


@dataclass(frozen=True, eq=False)
class PaddingMode(Plugin):
    """A registered padding mode. `function(i, n, **params)` is its rule, an index map along one axis.

    `i` is an array (L,) of coordinates of an axis of length n, any of them and in any order; the axis
    itself has 0 ... n-1. The rule returns for each the index of the element it takes, or `OUTSIDE` where it
    takes the constant: the parameter `value` if the rule has one, else 0. It may also return a pair (index,
    weight), each of shape (L,) or (terms, L), and a coordinate takes the weighted sum of its terms.
    Elements of the axis must map to themselves.

    >>> import numpy as np, pyconvx as cx
    >>> with cx.paddings.temporarily("bounce", lambda i, n: np.minimum(i % (2 * n), 2 * n - 1 - i % (2 * n))):
    ...     cx.pad([1, 2, 3], 2, "bounce")
    array([2, 1, 1, 2, 3, 3, 2])

    With `joint` the rule is one of all padded axes at once. `i` is a tuple of one read-only array of coordinates per
    axis, which broadcast against each other to a mesh, and `n` the tuple of lengths; both have as many entries as there
    are axes, a number in `ranks`. The rule returns a tuple of one index array per axis, each of which broadcasts to the
    mesh; `OUTSIDE` in any of them stands for the constant. It may also return a pair (that tuple, weight).

    >>> with cx.paddings.temporarily("torus", lambda i, n: (i[0] % n[0], i[1] % n[1]), joint=True, ranks=(2,)):
    ...     cx.pad([[1, 2], [3, 4]], 1, "torus")
    array([[4, 3, 4, 3],
           [2, 1, 2, 1],
           [4, 3, 4, 3],
           [2, 1, 2, 1]])
    """

    kind: ClassVar[str] = "padding mode"
    arguments: ClassVar[tuple[str, ...]] = ("i", "n")

    joint: bool = False
    """Whether the rule is one of all padded axes at once, and not of each by itself."""
    ranks: tuple[int, ...] = RANKS
    """For how many axes a joint rule is."""

    def __post_init__(self) -> None:
        super().__post_init__()
        ranks = self.ranks
        if not isinstance(ranks, tuple) or not ranks or not all(type(rank) is int and rank > 0 for rank in ranks):
            raise TypeError(f"ranks of {self.kind} {self.name!r} must be a tuple of positive ints, got {ranks!r}")
        if not set(ranks) <= set(RANKS):
            raise ValueError(f"ranks of {self.kind} {self.name!r} must be among {RANKS}, got {ranks!r}")
        if ranks != RANKS and not self.joint:
            raise TypeError(f"{self.kind} {self.name!r} takes ranks= only with joint=True")

    def __reduce__(self) -> tuple[Any, ...]:
        return _named, (self.name,)


def _named(name: str) -> PaddingMode:
    return paddings[name]


paddings: Registry[PaddingMode] = Registry(PaddingMode.kind, PaddingMode, "pyconvx.paddings")
"""Every padding mode by name."""


def padding(mode: str | PaddingMode | Bound[PaddingMode], /, **params: Any) -> Bound[PaddingMode]:
    """Return a padding mode with its parameters set, for use as `padding_mode`.

    Raises UnknownNameError for an unknown name, TypeError for a parameter that the mode does not have.

    >>> import pyconvx as cx
    >>> cx.padding("constant", value=7)
    constant(value=7)
    """
    return paddings.resolve(mode, params)


@dataclass(eq=False, repr=False)
class IndexMap:
    """A checked table for L coordinates of one axis: each takes the sum over T terms of weight * x[index].

    Where the index is `OUTSIDE` and the weight 1, the term is `value`; a term of weight 0 has index `OUTSIDE`
    and is nothing at all, whatever `value`. A constant is always the only term of its coordinate.
    """

    index: Indices  # (T, L)
    weight: Weights | None  # (T, L); None when T is 1 and all weights are 1
    value: Any

    @property
    def nbytes(self) -> int:
        """Bytes held."""
        return self.index.nbytes + (0 if self.weight is None else self.weight.nbytes)


def index_map(bound: Bound[PaddingMode], i: Indices, n: int) -> IndexMap:
    """Return what the coordinates `i` (L of them) of an axis of length `n` take under a padding mode.

    Raises ValueError, naming the mode and the first coordinate concerned, if its rule returns anything but an
    index map, and if `n` is 0 and the mode would need an element.

    >>> index_map(padding("reflect"), np.arange(-2, 5), 3).index
    array([[2, 1, 0, 1, 2, 1, 0]])
    """
    value = bound.params.get("value", 0)
    if i.size == 0:
        return IndexMap(np.empty((1, 0), np.intp), None, value)
    coordinates = i.view()
    coordinates.flags.writeable = False
    with calling(bound.plugin), np.errstate(all="ignore"):  # as compiled code; an empty axis gives i % 0
        result = bound.plugin.function(coordinates, n, **bound.params)
    index, weight = _terms(bound, i, result)

    def require(condition: NDArray[np.bool_], what: str) -> None:
        """`condition` must hold for every term of every coordinate."""
        if not condition.all():
            term, at = np.argwhere(~np.broadcast_to(condition, index.shape))[0]
            raise _error(
                bound,
                f"{what}; coordinate {i[at]} of an axis of length {n} has "
                f"index {index[term, at]} with weight {weight[term, at]:g}",
            )

    constant = index == OUTSIDE
    if n == 0 and not constant.all():
        raise ValueError(f"cannot extend an empty axis with {bound.plugin.kind} {bound.name!r}")
    require(((index >= 0) & (index < n)) | constant, f"every index must be in 0...{n - 1} or OUTSIDE")
    require(np.isfinite(weight), "every weight must be finite")
    used = weight != 0
    require(
        ~(constant & used) | ((weight == 1) & (used.sum(0) == 1)),
        "a constant must be the only term, of weight 1",
    )
    inside = (i >= 0) & (i < n)
    own = np.where(index == i, weight, 0).sum(0) == 1
    require(~inside | (own & ((index == i) | ~used)), "an element of the axis must map to itself")
    table = np.where(used, index, OUTSIDE).astype(np.intp)
    return IndexMap(table, None if len(table) == 1 and (weight == 1).all() else weight, value)


def _terms(bound: Bound[PaddingMode], i: Indices, result: Any) -> tuple[NDArray[Any], Weights]:
    """The index and the weight that a rule returned, both brought to shape (T, L)."""
    pair = result if isinstance(result, tuple) and len(result) == 2 else (result, np.ones(i.shape))
    index, weight = (_own(bound, each) for each in pair)
    for what, array, kinds in (("index", index, "iu"), ("weight", weight, "biuf")):
        numbers = "integers" if array is index else "real numbers"
        if not isinstance(array, np.ndarray):
            raise _error(bound, f"{what} must be an array of {numbers}, got {array!r}")
        if array.dtype.kind not in kinds:
            raise _error(bound, f"{what} must be an array of {numbers}, got dtype {array.dtype}")
        if array.ndim > 2 or array.shape[-1:] != i.shape or 0 in array.shape:
            raise _error(bound, f"{what} must have shape ({i.size},) or (terms, {i.size}), got {array.shape}")
    if index.ndim == weight.ndim == 2 and len(index) != len(weight):
        raise _error(bound, f"index has {len(index)} terms and weight has {len(weight)}")
    index, weight = np.broadcast_arrays(np.atleast_2d(index), np.atleast_2d(weight))
    return index, weight.astype(np.float64)


def _own(bound: Bound[PaddingMode], result: Any) -> Any:
    """What a rule returned; an array is copied, so that what has been checked is not filled anew for another thread."""
    result = unmasked(bound.plugin, "function", result)
    return result.copy() if isinstance(result, np.ndarray) else result


def _error(bound: Bound[PaddingMode], problem: str) -> ValueError:
    plugin = bound.plugin
    return ValueError(f"{plugin.kind} {plugin.name!r} (of {plugin.owner}) gave no index map: {problem}")


@dataclass(eq=False, repr=False)
class JointMap:
    """A checked table for a mesh of coordinates of several axes: each takes weight * x[index], or the constant `value`.

    A weight of 0 is nothing at all, whatever the element.
    """

    index: tuple[Indices, ...]  # one per axis; they broadcast to the mesh, and are 0 where `outside`
    outside: NDArray[np.bool_] | None  # of the mesh: where the constant is; None if nowhere
    weight: Weights | None  # of the mesh; None when all weights are 1
    value: Any

    @property
    def nbytes(self) -> int:
        """Bytes held."""
        more = (array.nbytes for array in (self.outside, self.weight) if array is not None)
        return sum(index.nbytes for index in self.index) + sum(more)


def joint_map(bound: Bound[PaddingMode], i: tuple[Indices, ...], n: tuple[int, ...]) -> JointMap:
    """Return what a mesh of coordinates of axes of lengths `n` takes under a joint padding mode.

    i: one array of coordinates per axis; they broadcast against each other to the mesh. Raises ValueError, naming the
    mode and the first coordinate concerned, if the rule returns anything but an index map, and if a length is 0 and the
    mode would need an element.

    >>> joint_map(padding("globe"), (np.array([[-1]]), np.arange(4)), (2, 4)).index
    (array([[0]]), array([[2, 3, 0, 1]]))
    """
    value = bound.params.get("value", 0)
    shape = np.broadcast_shapes(*(each.shape for each in i))
    if 0 in shape:
        return JointMap(tuple(np.zeros(shape, np.intp) for _ in n), None, None, value)
    coordinates = tuple(each.view() for each in i)
    for each in coordinates:
        each.flags.writeable = False
    with calling(bound.plugin), np.errstate(all="ignore"):
        result = bound.plugin.function(coordinates, n, **bound.params)
    index, weight = _joint_parts(bound, shape, len(n), result)

    def require(condition: NDArray[np.bool_], what: str) -> None:
        """`condition` must hold all over the mesh."""
        if not condition.all():
            at = tuple(np.argwhere(~np.broadcast_to(condition, shape))[0])
            place, source = (tuple(int(np.broadcast_to(a, shape)[at]) for a in arrays) for arrays in (i, index))
            weighed = "" if weight is None else f" with weight {np.broadcast_to(weight, shape)[at]:g}"
            raise _error(bound, f"{what}; coordinate {place} of axes of lengths {n} has index {source}{weighed}")

    constant = _any(each == OUTSIDE for each in index)
    if 0 in n and not constant.all():
        raise ValueError(f"cannot extend an empty axis with {bound.plugin.kind} {bound.name!r}")
    good = (((each >= 0) & (each < size)) | (each == OUTSIDE) for each, size in zip(index, n, strict=True))
    require(_all(good), f"every index must be in {' x '.join(f'0...{size - 1}' for size in n)} or OUTSIDE")
    own = _all(each == at for each, at in zip(index, i, strict=True))
    if weight is not None:
        require(np.isfinite(weight), "every weight must be finite")
        require(~constant | (weight == 0) | (weight == 1), "a constant must have the weight 1")
        own = own & (weight == 1)
        constant = constant & (weight != 0)
    inside = _all((at >= 0) & (at < size) for at, size in zip(i, n, strict=True))
    require(~inside | own, "an element must map to itself")
    index = tuple(np.where(each == OUTSIDE, 0, each).astype(np.intp) for each in index)
    outside = None
    if constant.any():
        outside = np.ascontiguousarray(np.broadcast_to(constant, shape))
        index = tuple(np.where(outside, 0, each) for each in index)
    if weight is None or (weight == 1).all():
        return JointMap(index, outside, None, value)
    return JointMap(index, outside, np.array(np.broadcast_to(weight, shape), np.float64), value)


def _all(conditions: Iterable[NDArray[np.bool_]]) -> NDArray[np.bool_]:
    return reduce(np.logical_and, conditions)


def _any(conditions: Iterable[NDArray[np.bool_]]) -> NDArray[np.bool_]:
    return reduce(np.logical_or, conditions)


def _joint_parts(
    bound: Bound[PaddingMode], shape: tuple[int, ...], axes: int, result: Any
) -> tuple[tuple[NDArray[Any], ...], NDArray[Any] | None]:
    """The index of each axis and the weight, if there is one, that a joint rule returned."""
    pair = isinstance(result, tuple) and len(result) == 2 and isinstance(result[0], tuple)
    index, weight = result if pair else (result, None)
    if not isinstance(index, tuple) or len(index) != axes:
        raise _error(bound, f"index must be a tuple of {axes} arrays of integers, one per axis, got {index!r}")
    index, weight = tuple(_own(bound, each) for each in index), _own(bound, weight)
    parts = [(f"index of axis {axis}", each, "iu", "integers") for axis, each in enumerate(index)]
    if pair:
        parts.append(("weight", weight, "biuf", "real numbers"))
    for what, array, kinds, numbers in parts:
        if not isinstance(array, np.ndarray):
            raise _error(bound, f"{what} must be an array of {numbers}, got {array!r}")
        if array.dtype.kind not in kinds:
            raise _error(bound, f"{what} must be an array of {numbers}, got dtype {array.dtype}")
        if len(array.shape) > len(shape) or any(
            size not in (1, whole) for size, whole in zip(array.shape[::-1], shape[::-1], strict=False)
        ):
            raise _error(bound, f"{what} must broadcast to shape {shape}, got {array.shape}")
    return index, weight


# The built-in modes. The pictures show two or more coordinates on either side of the axis 1 2 3.


@paddings.register("zeros", aliases=("torch:zeros", "pywt:zero"))
def zeros(i: Indices, n: int) -> Indices:
    """`0 0 | 1 2 3 | 0 0`."""
    return np.where((i >= 0) & (i < n), i, OUTSIDE)


@paddings.register(
    "constant",
    aliases=(
        "numpy:constant",
        "torch:constant",
        "scipy:constant",
        "scipy:grid_constant",
        "opencv:constant",
        "onnx:constant",
    ),
)
def constant(i: Indices, n: int, value: float = 0) -> Indices:
    """`7 7 | 1 2 3 | 7 7` for value=7. numpy.pad's "constant" with one constant value."""
    return zeros(i, n)


@paddings.register(
    "edge",
    aliases=(
        "replicate",
        "numpy:edge",
        "torch:replicate",
        "scipy:nearest",
        "opencv:replicate",
        "onnx:edge",
        "pywt:constant",
    ),
)
def edge(i: Indices, n: int) -> Indices:
    """`1 1 | 1 2 3 | 3 3`. numpy.pad's "edge"."""
    return np.clip(i, 0, n - 1)


@paddings.register(
    "reflect",
    aliases=(
        "mirror",
        "numpy:reflect",
        "torch:reflect",
        "scipy:mirror",
        "opencv:reflect_101",
        "onnx:reflect",
        "pywt:reflect",
    ),
)
def reflect(i: Indices, n: int) -> Indices:
    """`1 2 3 2 | 1 2 3 | 2 1 2 3`, and `1 1 | 1 | 1 1`. numpy.pad's "reflect"."""
    period = max(2 * n - 2, 1)
    i = i % period
    return np.minimum(i, period - i)


@paddings.register(
    "symmetric",
    aliases=("numpy:symmetric", "scipy:reflect", "scipy:grid_mirror", "opencv:reflect", "pywt:symmetric"),
)
def symmetric(i: Indices, n: int) -> Indices:
    """`3 3 2 1 | 1 2 3 | 3 2 1 1`. numpy.pad's "symmetric"."""
    i = i % (2 * n)
    return np.minimum(i, 2 * n - 1 - i)


@paddings.register(
    "wrap",
    aliases=(
        "circular",
        "numpy:wrap",
        "torch:circular",
        "scipy:wrap",
        "scipy:grid_wrap",
        "opencv:wrap",
        "onnx:wrap",
        "pywt:periodic",
    ),
)
def wrap(i: Indices, n: int) -> Indices:
    """`3 1 2 3 | 1 2 3 | 1 2 3 1`. numpy.pad's "wrap"."""
    return i % n


def _odd(index: Indices, i: Indices, n: int, period: int) -> tuple[Indices, Weights]:
    """Terms of the odd extension, which turns the axis around its ends: 2 * end - mirrored.

    `index` is the even extension. Over a period the odd one rises by twice the step from the first element to
    the last, so any coordinate is plus or minus one element, and a multiple of that step. Where the even extension
    comes upon an end the terms of that element are one, as in numpy.pad.
    """
    if n == 1:  # the end on either side is that element, whatever it is
        return np.zeros_like(i), np.ones(i.shape)
    periods, phase = np.divmod(i, period)
    mirrored = phase >= n
    first, last = np.zeros_like(i), np.full_like(i, n - 1)
    own, rise, fall = np.where(mirrored, -1, 1), 2 * (periods + mirrored), -2 * periods
    on_first, on_last = ~mirrored & (index == first), ~mirrored & (index == last)
    own = own + np.where(on_first, fall, 0) + np.where(on_last, rise, 0)
    weights = own, np.where(on_first, 0, fall), np.where(on_last, 0, rise)
    return np.stack([index, first, last]), np.stack(weights).astype(np.float64)


@paddings.register("odd_reflect", aliases=("pywt:antireflect",))
def odd_reflect(i: Indices, n: int) -> tuple[Indices, Weights]:
    """`-2 -1 0 | 1 2 3 | 4 5 6`: 2 * edge - reflect. numpy.pad's "reflect" with reflect_type="odd"."""
    return _odd(reflect(i, n), i, n, max(2 * n - 2, 1))


@paddings.register("odd_symmetric")
def odd_symmetric(i: Indices, n: int) -> tuple[Indices, Weights]:
    """`-1 0 1 | 1 2 3 | 3 4 5`: 2 * edge - symmetric. numpy.pad's "symmetric" with reflect_type="odd"."""
    return _odd(symmetric(i, n), i, n, 2 * n)


@paddings.register("globe", joint=True, ranks=(2,))
def globe(i: tuple[Indices, ...], n: tuple[int, ...], poles: bool = False) -> tuple[Indices, ...]:
    """A map of the world: rows are latitudes from pole to pole, columns longitudes all the way round.

    Beyond the first and last column it goes on at the other side; beyond a pole on the other side of the globe, half a
    turn away, which takes an even number of columns. The map `1 2 3 4` over `5 6 7 8`, and what surrounds it:

        2   3 4 1 2   3
            -------
        4 | 1 2 3 4 | 1
        8 | 5 6 7 8 | 5
            -------
        6   7 8 5 6   7

    poles: the first and the last row are the poles themselves, and beyond them follow the rows next to them; otherwise
    the poles lie half a row beyond the map, whose rows are repeated.

    Source: the double Fourier sphere of P. E. Merilees, The pseudospectral approximation applied to the shallow water
    equations on a sphere, Atmosphere 11 (1973).
    """
    (latitude, longitude), (rows, columns) = i, n
    if poles and rows == 1:
        latitude = np.zeros_like(latitude)
    half = max(rows - 1 if poles else rows, 1)  # rows from pole to pole
    crossed = (latitude - (latitude > 0) if poles else latitude) // half  # how many poles lie in between
    row, beyond = latitude - crossed * half, crossed % 2 == 1
    if columns % 2 and beyond.any():
        raise ValueError(f"crossing a pole is half a turn, which takes an even number of longitudes, got {columns}")
    return np.where(beyond, rows - 1 - row, row), (longitude + np.where(beyond, columns // 2, 0)) % columns
