"""Arrays at the border of the library: what is accepted, in which precision it is computed, how layouts are seen.

Kernels see one form: (N, D, H, W, C), channels contiguous, native and aligned; views where the caller's array allows
it, else one copy. May import the core, geometry and parallel.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from .. import _core
from ..geometry import count, integer
from .parallel import num_threads

__all__ = [
    "Array",
    "Layout",
    "as_array",
    "as_gradient",
    "as_kernel_input",
    "as_output",
    "canonical",
    "channels_together",
    "check_layout",
    "compute_dtypes",
    "constant_of",
    "deliver",
    "deliver_canonical",
    "exchange",
    "from_canonical",
    "gradient_dtype",
    "integer",
    "outline",
    "overlaps",
    "stand_in",
    "to_canonical",
]

Array: TypeAlias = NDArray[Any]
Layout: TypeAlias = Literal["channels_last", "channels_first"]
SPATIAL = 3
ACCEPTED = "bool, signed and unsigned integers, float16, float32 and float64"


def as_array(name: str, value: Any) -> Array:
    """`value` as a plain ndarray of an accepted dtype; TypeError, naming the argument, for anything else."""
    if isinstance(value, np.ma.MaskedArray):
        raise TypeError(f"{name} must be an array without a mask, got a masked array: fill it first")
    if not isinstance(value, np.ndarray):
        if value is None or isinstance(value, (str, bytes)):
            raise TypeError(f"{name} must be an array, got {value!r}")
        try:
            value = np.asarray(value)
        except (ValueError, OverflowError) as error:
            raise TypeError(f"{name} must be an array of numbers, got {type(value).__name__}: {error}") from None
    if value.dtype.kind not in "biuf" or value.dtype.itemsize > 8:
        raise TypeError(f"{name} has dtype {value.dtype}; accepted are {ACCEPTED}")
    array: Array = np.asarray(value)
    return array


@lru_cache(maxsize=256)
def compute_dtypes(*given: np.dtype[Any] | None) -> tuple[np.dtype[Any], np.dtype[Any]]:
    """(dtype of the computation, dtype of the result): integers count as promoted with float32, float16 is only
    stored.
    """
    dtypes = [np.result_type(d, np.float32) if d.kind in "biu" else d for d in given if d is not None]
    result = np.result_type(*dtypes).newbyteorder("=")
    return (np.dtype(np.float32) if result == np.float16 else result), result


def gradient_dtype(array: Array, compute: np.dtype[Any]) -> np.dtype[Any]:
    """Gradients have the dtype of their argument where that can hold them, else that of the computation."""
    return array.dtype.newbyteorder("=") if array.dtype.kind == "f" else compute


def as_gradient(gy: Any, shape: tuple[int, ...], compute: np.dtype[Any]) -> Array:
    """`gy`, the gradient with respect to a result of that shape; ValueError or TypeError otherwise."""
    gy = as_array("gy", gy)
    if gy.shape != shape:
        raise ValueError(f"gy must have the shape of the result, {shape}, got {gy.shape}")
    gradient: Array = gy.astype(compute, copy=False)
    return gradient


def check_layout(layout: Any) -> None:
    """ValueError unless `layout` is one of the two, TypeError unless it is a str."""
    if not isinstance(layout, str):
        raise TypeError(f"layout must be a str, 'channels_last' or 'channels_first', got {layout!r}")
    if layout not in ("channels_last", "channels_first"):
        raise ValueError(f"layout must be 'channels_last' or 'channels_first', got {layout!r}")


def flag(name: str, value: Any) -> bool:
    """`value` as a bool; TypeError for anything else."""
    if not isinstance(value, (bool, np.bool_)):
        raise TypeError(f"{name} must be True or False (a bool), got {value!r}")
    return bool(value)


def to_canonical(name: str, x: Array, rank: int, layout: Layout) -> Array:
    """Return x, with or without N, in either layout, as a view (N, D, H, W, C); ValueError names the rank expected."""
    if x.ndim not in (rank + 1, rank + 2):
        order = "(N, {}, C)" if layout == "channels_last" else "(N, C, {})"
        form = order.format(", ".join("DHW"[SPATIAL - rank :]))
        raise ValueError(f"{name} must have {rank + 2} dimensions {form}, or {rank + 1} without N, got shape {x.shape}")
    if x.ndim == rank + 1:
        x = x[None]
    if layout == "channels_first":
        x = np.moveaxis(x, 1, -1)
    return x[(slice(None), *(None,) * (SPATIAL - rank))]


def from_canonical(y: Array, rank: int, layout: Layout, batched: bool) -> Array:
    """The inverse of to_canonical, a view."""
    y = y.reshape(y.shape[0], *y.shape[SPATIAL - rank + 1 :])
    if layout == "channels_first":
        y = np.moveaxis(y, -1, 1)
    return y if batched else y[0]


def channels_together(x: Array) -> bool:
    """Whether the channels of a place of x (N, D, H, W, C) lie next to one another."""
    return x.shape[-1] == 1 or x.strides[-1] == x.itemsize


def as_kernel_input(x: Array, dtype: np.dtype[Any], apart: bool = False) -> Array:
    """x (N, D, H, W, C) with contiguous channels, in `dtype`; itself where it is so already.

    With `apart` it may also be channels first in memory.
    """
    if (
        x.dtype == dtype
        and x.dtype.isnative
        and x.flags.aligned
        and (channels_together(x) or (apart and channels_first(x)))
        and all(stride % x.itemsize == 0 for stride in x.strides)
    ):
        return x
    first = np.moveaxis(x, -1, 1)
    if x.dtype == dtype and exchangeable(first):
        y = empty(x.shape, dtype)
        exchange(first, y, *first.shape[:2])
        return y
    return np.require(x, dtype, ["C", "A"])


def channels_first(x: Array) -> bool:
    """Whether x (N, *spatial, C) is contiguous with channels first in memory."""
    return bool(x.transpose(0, x.ndim - 1, *range(1, x.ndim - 1)).flags.c_contiguous)


def together(x: Array) -> Array:
    """x (N, D, H, W, C) contiguous; itself if it is."""
    if x.flags.c_contiguous and x.flags.aligned and x.dtype.isnative:
        return x
    return np.ascontiguousarray(as_kernel_input(x, x.dtype))


def apart(x: Array) -> Array:
    """x (N, D, H, W, C) contiguous with channels first in memory; itself if it is."""
    if channels_first(x):
        return x
    x, y = together(x), canonical(empty, x.shape, x.dtype, apart=True)
    exchange(x, np.moveaxis(y, -1, 1), x.shape[0], math.prod(x.shape[1:-1]))
    return y


def as_filters(filters: Array, shape: tuple[int, ...]) -> Array:
    """Filters, contiguous as (F, C // groups, *kernel), as an array (F, *kernel, C // groups) of that shape."""
    if shape[-1] == 1:
        return filters.reshape(shape)
    y = empty(shape, filters.dtype)
    exchange(filters, y, shape[0], shape[-1])
    return y


def exchange(x: Array, y: Array, n: int, rows: int) -> None:
    """Fill y from x, contiguous arrays of n samples: what are rows in x are columns in y."""
    columns = x.size // (n * rows) if x.size else 0
    if columns:
        _core.kernels.transpose(x.reshape(n, rows, columns), y.reshape(n, columns, rows), num_threads())


def exchangeable(array: Array) -> bool:
    """Whether the kernel that exchanges layouts can read, or fill, an array."""
    flags = array.flags
    return bool(flags.c_contiguous and flags.aligned and array.dtype.isnative and array.itemsize in (4, 8))


def as_output(out: Any, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array | None:
    """`out` if a result of that shape and dtype can be written into it; TypeError or ValueError otherwise."""
    if out is None:
        return None
    if not isinstance(out, np.ndarray) or isinstance(out, np.ma.MaskedArray):
        raise TypeError(f"out must be an ndarray, got {type(out).__name__}")
    if out.shape != shape:
        raise ValueError(f"out must have shape {shape}, got {out.shape}")
    if out.dtype != dtype:
        raise ValueError(f"out must have dtype {dtype}, got {out.dtype}")
    if not out.flags.writeable:
        raise ValueError("out must be writeable, got a read-only array")
    reach = out.itemsize if out.size else 0
    for stride, n in sorted((abs(s), n) for s, n in zip(out.strides, out.shape, strict=True) if n > 1):
        if stride < reach:
            raise ValueError(f"out must not overlap itself, got strides {out.strides} for shape {out.shape}")
        reach += (n - 1) * stride
    return out


def overlaps(out: Array, *arrays: Array | None) -> bool:
    """Whether writing into `out` might change one of `arrays`."""
    return any(a is not None and np.may_share_memory(out, a) for a in arrays)


def deliver(y: Array, out: Array | None, dtype: np.dtype[Any]) -> Array:
    """The result in `out`, or as a fresh C-contiguous array of `dtype`."""
    if out is None:
        if y.dtype == dtype:
            return np.asarray(y, order="C")
        with np.errstate(over="ignore", under="ignore"):
            return np.asarray(y, dtype, order="C")
    if y is not out:
        with np.errstate(over="ignore", under="ignore"):
            out[...] = y
    return out


def deliver_canonical(
    y: Array, rank: int, layout: Layout, batched: bool, out: Array | None, dtype: np.dtype[Any]
) -> Array:
    """The same for a result (N, D, H, W, C), in its layout."""
    if layout == "channels_first" and y.dtype == dtype and exchangeable(y) and (out is None or exchangeable(out)):
        n, shape = y.shape[0], (y.shape[-1], *y.shape[SPATIAL - rank + 1 : -1])
        result = empty((n, *shape) if batched else shape, dtype) if out is None else out
        exchange(y, result, n, math.prod(shape[1:]))
        return result
    return deliver(from_canonical(y, rank, layout, batched), out, dtype)


def constant_of(value: Any, dtype: np.dtype[Any], name: str = "value") -> Any:
    """A padding constant as a scalar of `dtype`; ValueError if that cannot hold it, TypeError if it is no number."""
    if isinstance(value, np.ndarray) and value.ndim == 0:
        value = value[()]
    if not isinstance(value, (bool, int, float, np.bool_, np.integer, np.floating)):
        raise TypeError(f"{name} must be a real number, got {value!r}")
    try:
        with np.errstate(all="ignore"):
            cast = np.array(value).astype(dtype)[()]
    except OverflowError:
        raise ValueError(f"{name} {value!r} does not fit into {dtype}") from None
    if dtype.kind == "f":
        fits = np.isfinite(cast) or not np.isfinite(float(value))
    else:
        fits = np.isfinite(float(value)) and int(cast) == value
    if not fits:
        raise ValueError(f"{name} {value!r} does not fit into {dtype}")
    return cast


def checked_shape(shape: tuple[int, ...], itemsize: int) -> tuple[int, ...]:
    """The shape of a result that is about to be made; ValueError or MemoryError, naming it, where that cannot be."""
    return count(shape, itemsize, "a result")


def empty(shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array:
    """An array whose elements are not set; ValueError for a shape that cannot be addressed."""
    return _core.empty(checked_shape(shape, dtype.itemsize), dtype)


def within(y: Array, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array:
    """An array whose elements are not set, in the memory of y, contiguous, if they fit there, else in its own."""
    if y.dtype != dtype or y.size < math.prod(shape):
        return empty(shape, dtype)
    return y.reshape(-1)[: math.prod(shape)].reshape(shape)


def canonical(
    make: Callable[[tuple[int, ...], np.dtype[Any]], Array], shape: tuple[int, ...], dtype: np.dtype[Any], apart: bool
) -> Array:
    """An array (N, D, H, W, C) from `empty` or `outline`, contiguous, or with `apart` channels first in memory."""
    if not apart:
        return make(shape, dtype)
    n, *spatial, channels = shape
    return np.moveaxis(make((n, channels, *spatial), dtype), 1, -1)


def outline(shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array:
    """The strides of a C-contiguous array, without its memory: nothing may be read from it or written to it."""
    steps = [dtype.itemsize * math.prod(shape[axis + 1 :]) for axis in range(len(shape))]
    return np.lib.stride_tricks.as_strided(np.zeros(1, dtype), shape, steps)


def stand_in(shape: tuple[int, ...], dtype: Any) -> Array:
    """An array of zeros of that shape without memory of its own."""
    return np.broadcast_to(np.zeros((), dtype), shape)
