"""Filters made ready once: packed forms are kept, so that each call with them saves the packing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from .._core import Calls
from .arrays import Array, Layout, as_array, check_layout

__all__ = ["PreparedFilters", "filters_of", "prepare"]


class PreparedFilters:
    """Immutable filters for `conv*d` and `conv_transpose*d`, made by `prepare`. Safe to use from many threads.

    Holds a copy of its own, and each packed form that a call has asked for.
    """

    __slots__ = ("__weakref__", "_array", "_calls", "_packed", "layout", "shape")

    layout: Layout
    shape: tuple[int, ...]
    _array: Array  # (F, *kernel, C // groups), read-only
    _packed: dict[tuple[Any, ...], Any]
    _calls: Calls  # with these filters

    def __init__(self, filters: Array, layout: Layout) -> None:
        canonical = np.moveaxis(filters, 1, -1) if layout == "channels_first" else filters
        array = np.array(canonical, order="C", dtype=filters.dtype.newbyteorder("="))
        array.flags.writeable = False
        set_ = object.__setattr__
        set_(self, "_array", array)
        set_(self, "_packed", {})
        set_(self, "_calls", Calls())
        set_(self, "layout", layout)
        set_(self, "shape", filters.shape)

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"prepared filters are immutable, cannot set {name!r}")

    def __reduce__(self) -> tuple[Any, ...]:
        return PreparedFilters, (np.asarray(self), self.layout)

    @property
    def dtype(self) -> np.dtype[Any]:
        """The dtype of the filters."""
        dtype: np.dtype[Any] = self._array.dtype
        return dtype

    @property
    def ndim(self) -> int:
        """Number of dimensions."""
        return len(self.shape)

    @property
    def nbytes(self) -> int:
        """Bytes of the copy and of every packed form made so far."""
        return int(self._array.nbytes + sum(form.nbytes for form in list(self._packed.values())))

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:
        array = np.moveaxis(self._array, -1, 1) if self.layout == "channels_first" else self._array
        if copy is False and dtype is not None and array.dtype != dtype:
            raise ValueError(f"prepared filters of dtype {array.dtype} are not {np.dtype(dtype)} without a copy")
        return np.array(array, dtype) if copy else np.asarray(array, dtype)

    def __repr__(self) -> str:
        return f"PreparedFilters(shape={self.shape}, dtype={self.dtype}, layout={self.layout!r})"

    def packed(self, key: tuple[Any, ...], make: Callable[[], Any]) -> Any:
        """The packed form of that key, made by `make` on the first request."""
        form = self._packed.get(key)
        if form is None:
            # two threads may both pack; setdefault lets one win, and both are right
            form = self._packed.setdefault(key, make())
        return form


def as_taps(filters: Array, dtype: np.dtype[Any]) -> Array:
    """(F, *kernel, C) as (F, taps, C), native and aligned, a view where possible."""
    flat = filters.reshape(filters.shape[0], -1, filters.shape[-1])
    if (
        flat.dtype == dtype
        and flat.dtype.isnative
        and flat.flags.aligned
        and all(stride % flat.itemsize == 0 for stride in flat.strides)
    ):
        return flat
    return np.require(flat, dtype, ["C", "A"])


def filters_of(filters: Any, rank: int, layout: Layout) -> tuple[Array, PreparedFilters | None]:
    """Filters as (F, *kernel, C // groups), and their prepared form if that is what was given."""
    if isinstance(filters, PreparedFilters):
        if filters.layout != layout:
            raise ValueError(f"filters were prepared for layout {filters.layout!r}, got layout {layout!r}")
        array, prepared = filters._array, filters
    else:
        array, prepared = as_array("filters", filters), None
    if array.ndim != rank + 2:
        form = "(F, {}, C // groups)" if layout == "channels_last" else "(F, C // groups, {})"
        sizes = ", ".join(["kd", "kh", "kw"][3 - rank :])
        raise ValueError(f"filters must have {rank + 2} dimensions {form.format(sizes)}, got shape {array.shape}")
    if prepared is None and layout == "channels_first":
        array = np.moveaxis(array, 1, -1)
    if 0 in array.shape:
        raise ValueError(
            "filters must have at least one filter, one kernel element per axis and one channel, "
            f"got shape {getattr(filters, 'shape', array.shape)}"
        )
    return array, prepared


def prepare(filters: Any, layout: Layout = "channels_last") -> PreparedFilters:
    """Make filters ready for many calls: accepted wherever filters are, they are packed once per use instead of per
    call.

    filters: (F, *kernel, C // groups), or (F, C // groups, *kernel) for layout "channels_first", of rank 1 to 3; a copy
    is kept. With algorithm "auto" another algorithm than for plain filters may be the best, which rounds otherwise.
    Raises TypeError for a dtype that is not accepted, ValueError for a wrong number of dimensions.

    >>> import numpy as np, pyconvx as cx
    >>> packed = cx.prepare(np.ones((6, 5, 5, 3), np.float32))
    >>> cx.conv2d(np.ones((32, 32, 3), np.float32), packed, padding="same").shape
    (32, 32, 6)
    """
    check_layout(layout)
    array = as_array("filters", filters)
    if array.ndim not in (3, 4, 5):
        raise ValueError(f"filters must have 3 to 5 dimensions, got shape {array.shape}")
    if 0 in array.shape:
        raise ValueError(f"filters must not be empty, got shape {array.shape}")
    return PreparedFilters(array, layout)
