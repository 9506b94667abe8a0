"""Unpooling: elements put back where a pooling took them from, with its gradient. May import arrays and operation."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..geometry import per_axis
from . import arrays
from .arrays import Array, Layout
from .operation import Pullback, ranked

__all__ = ["unpool1d", "unpool2d", "unpool3d"]


@dataclass(eq=False, repr=False)
class _Plan:
    """Elements put back where a pooling took them from."""

    rank: int
    layout: Layout
    given: Array
    y: Array  # (N, D, H, W, C)
    indices: Array  # the same shape
    spatial: tuple[int, ...]
    shape: tuple[int, ...]

    def _flat(self) -> Array:
        """Position of each element in (N, size, C), flattened."""
        n, c = self.y.shape[0], self.y.shape[-1]
        size = math.prod(self.spatial)
        sample = np.arange(n).reshape(n, 1, 1, 1, 1)
        return np.asarray((sample * size + self.indices) * c + np.arange(c)).ravel()

    def run(self) -> Array:
        result = np.zeros(
            (self.y.shape[0], *(1,) * (3 - self.rank), *self.spatial, self.y.shape[-1]),
            self.given.dtype.newbyteorder("="),
        )
        result.reshape(-1)[self._flat()] = self.y.ravel()
        return np.ascontiguousarray(
            arrays.from_canonical(result, self.rank, self.layout, self.given.ndim == self.rank + 2)
        )

    def vjp(self) -> tuple[Array, Pullback]:
        compute = arrays.compute_dtypes(self.given.dtype)[0]
        flat = self._flat()

        def pullback(gy: Any) -> tuple[Array, ...]:
            """The gradient of y: elements that a later one overwrote have none."""
            gy = arrays.as_gradient(gy, self.shape, compute)
            canonical = np.ascontiguousarray(arrays.to_canonical("gy", gy, self.rank, self.layout))
            owner = np.zeros(canonical.size, np.intp)
            numbers = np.arange(1, flat.size + 1)
            owner[flat] = numbers
            gradient = np.where(owner[flat] == numbers, canonical.ravel()[flat], 0).reshape(self.y.shape)
            gradient = arrays.from_canonical(gradient, self.rank, self.layout, self.given.ndim == self.rank + 2)
            return (np.ascontiguousarray(gradient, arrays.gradient_dtype(self.given, compute)),)

        return self.run(), pullback


def unpool(rank: int, /, y: Any, indices: Any, output_shape: Any, *, layout: Layout = "channels_last") -> _Plan:
    """Put each element of y back where `pool#d` with return_indices took it from; zero elsewhere.

    y, indices: (N, *spatial, C) in either layout, N may be absent; each index is flat within the spatial extent of the
    result's sample and channel. output_shape: the # spatial sizes of the result, or its whole shape. Of several
    elements with one index the last (in channels-last order) stays. Raises TypeError for indices that are no integers,
    ValueError for one out of range or for shapes that do not fit.

    >>> import numpy as np, pyconvx as cx
    >>> x = np.arange(4.0**#).reshape(*(4,) * #, 1)
    >>> y, indices = cx.pool#d(x, 2, return_indices=True)
    >>> bool(cx.unpool#d(y, indices, x.shape).max() == x.max())
    True

    Source: ONNX operator MaxUnpool.
    """
    arrays.check_layout(layout)
    given, where = arrays.as_array("y", y), arrays.as_array("indices", indices)
    if where.dtype.kind not in "iu":
        raise TypeError(f"indices must be integers, got dtype {where.dtype}")
    if where.shape != given.shape:
        raise ValueError(f"indices must have the shape of y, {given.shape}, got {where.shape}")
    view = arrays.to_canonical("y", given, rank, layout)
    if isinstance(output_shape, (str, bytes)) or not hasattr(output_shape, "__len__"):
        raise TypeError(f"output_shape must be a sequence of ints, got {output_shape!r}")
    batched = given.ndim == rank + 2
    sizes = tuple(output_shape)
    if len(sizes) == given.ndim != rank:
        inner = sizes[1:] if batched else sizes
        spatial = inner[:-1] if layout == "channels_last" else inner[1:]
        others = ((sizes[0],) if batched else (), (inner[-1] if layout == "channels_last" else inner[0],))
        expected = ((view.shape[0],) if batched else (), (view.shape[-1],))
        if others != expected:
            raise ValueError(f"output_shape {sizes} does not fit y of shape {given.shape}: N and C must agree")
        sizes = spatial
    spatial = per_axis("output_shape", sizes, rank, 0)
    size = math.prod(spatial)
    arrays.checked_shape((view.shape[0], *spatial, view.shape[-1]), given.itemsize)
    if where.size and not (int(where.min()) >= 0 and int(where.max()) < size):
        raise ValueError(
            f"indices must be in 0...{size - 1}, one less than the spatial size {spatial}, got "
            f"{int(where.min())} to {int(where.max())}"
        )
    shape = (*spatial, view.shape[-1]) if layout == "channels_last" else (view.shape[-1], *spatial)
    return _Plan(
        rank=rank,
        layout=layout,
        given=given,
        y=view,
        indices=arrays.to_canonical("indices", where, rank, layout).astype(np.intp),
        spatial=spatial,
        shape=(view.shape[0], *shape) if batched else shape,
    )


unpool1d, unpool2d, unpool3d = (ranked(unpool, rank, 2) for rank in (1, 2, 3))
