"""Picture filters: small kernels for pictures, by name. Imports registry.

The kernels are written for cross-correlation, the operation of `conv2d`: the coefficient on the right meets
the pixel on the right.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from .plugin import Plugin, bind, calling, unmasked
from .registry import Registry

__all__ = ["PictureFilter", "filters"]

Kernel = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class PictureFilter(Plugin):
    """A registered picture filter. `function(**params)` returns its kernel, a 2-D array of numbers.

    >>> import pyconvx as cx
    >>> cx.filters["sobel_x"]()
    array([[-1.,  0.,  1.],
           [-2.,  0.,  2.],
           [-1.,  0.,  1.]], dtype=float32)

    >>> import numpy as np, pyconvx as cx
    >>> with cx.filters.temporarily("motion", lambda size=5: np.eye(size) / size):
    ...     cx.filters["motion"](size=2)
    array([[0.5, 0. ],
           [0. , 0.5]], dtype=float32)
    """

    kind: ClassVar[str] = "filter"

    def __reduce__(self) -> tuple[Any, ...]:
        return _named, (self.name,)

    def __call__(self, **params: Any) -> Kernel:
        """Return the kernel (kh, kw), a new float32 array.

        Raises TypeError for a parameter that the filter does not have, ValueError for one with a wrong value or
        a filter that returns no kernel.
        """
        bound = bind(self, params)
        with calling(self):
            kernel = self.function(**bound.params)
        kernel = unmasked(self, "function", kernel)
        try:
            kernel = np.array(kernel)
            if kernel.dtype.kind not in "biufO":  # NumPy would turn complex numbers and text into float32
                raise TypeError(f"dtype {kernel.dtype} is not real")
            kernel = kernel.astype(np.float32)
        except (TypeError, ValueError) as error:
            raise ValueError(
                f"filter {self.name!r} (registered by {self.owner}) returned no array of real numbers: {error}"
            ) from error
        if kernel.ndim != 2 or kernel.size == 0:
            raise ValueError(
                f"filter {self.name!r} (registered by {self.owner}) must return a two-dimensional kernel, "
                f"got shape {kernel.shape}"
            )
        return kernel

    def as_filters(self, channels: int = 1, **params: Any) -> Kernel:
        """Return filters (channels, kh, kw, 1) that apply the kernel to each channel; use groups=channels.

        Raises ValueError for fewer than one channel, and what calling the filter raises.

        >>> import numpy as np, pyconvx as cx
        >>> picture = np.ones((4, 4, 3), np.float32)
        >>> cx.conv2d(picture, cx.filters["box"].as_filters(3), groups=3).shape
        (2, 2, 3)
        """
        channels = _whole("channels", channels)
        if channels < 1:
            raise ValueError(f"channels must be at least 1, got {channels}")
        return np.repeat(self(**params)[None, :, :, None], channels, axis=0)


def _named(name: str) -> PictureFilter:
    return filters[name]


filters: Registry[PictureFilter] = Registry(PictureFilter.kind, PictureFilter, "pyconvx.filters")
"""Every picture filter by name."""


def _whole(name: str, value: Any) -> int:
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, (int, np.integer)):
        raise TypeError(f"{name} must be an int, got {value!r}")
    return int(value)


def _size(size: int) -> int:
    if _whole("size", size) < 1 or size % 2 == 0:
        raise ValueError(f"size must be odd and positive, so that the kernel has a centre; got {size}")
    return size


@filters.register("identity")
def identity(size: int = 3) -> NDArray[Any]:
    """Nothing changes: 1 in the centre."""
    kernel = np.zeros((_size(size), size))
    kernel[size // 2, size // 2] = 1
    return kernel


def _edge(smooth: int, middle: int) -> NDArray[Any]:
    """The kernel of an edge detector: a difference from left to right, smoothed from top to bottom."""
    return np.outer([smooth, middle, smooth], [-1, 0, 1])


@filters.register("sobel_x")
def sobel_x() -> NDArray[Any]:
    """Brightness rising to the right. Sobel and Feldman 1968."""
    return _edge(1, 2)


@filters.register("sobel_y")
def sobel_y() -> NDArray[Any]:
    """Brightness rising downwards. Sobel and Feldman 1968."""
    return _edge(1, 2).T


@filters.register("prewitt_x")
def prewitt_x() -> NDArray[Any]:
    """Brightness rising to the right, unweighted. Prewitt 1970."""
    return _edge(1, 1)


@filters.register("prewitt_y")
def prewitt_y() -> NDArray[Any]:
    """Brightness rising downwards, unweighted. Prewitt 1970."""
    return _edge(1, 1).T


@filters.register("scharr_x")
def scharr_x() -> NDArray[Any]:
    """Brightness rising to the right, weighted to be the same in all directions. Scharr 2000."""
    return _edge(3, 10)


@filters.register("scharr_y")
def scharr_y() -> NDArray[Any]:
    """Brightness rising downwards, weighted to be the same in all directions. Scharr 2000."""
    return _edge(3, 10).T


@filters.register("laplacian")
def laplacian() -> NDArray[Any]:
    """Second derivative, over the four nearest neighbours."""
    return np.array([[0, 1, 0], [1, -4, 1], [0, 1, 0]])


@filters.register("laplacian_8")
def laplacian_8() -> NDArray[Any]:
    """Second derivative, over all eight neighbours."""
    return np.array([[1, 1, 1], [1, -8, 1], [1, 1, 1]])


@filters.register("sharpen")
def sharpen() -> NDArray[Any]:
    """The picture minus its Laplacian."""
    return np.array([[0, -1, 0], [-1, 5, -1], [0, -1, 0]])


@filters.register("box")
def box(size: int = 3) -> NDArray[Any]:
    """Mean over a square."""
    return np.full((_size(size), size), 1 / size**2)


@filters.register("gaussian")
def gaussian(sigma: float = 1.0, size: int | None = None) -> NDArray[Any]:
    """Blur by a normal distribution of deviation `sigma` pixels, cut at 3 sigma or to `size`; its sum is 1."""
    if not (sigma > 0 and math.isfinite(sigma)):
        raise ValueError(f"sigma must be positive and finite, got {sigma}")
    radius = math.ceil(3 * sigma) if size is None else _size(size) // 2
    line: NDArray[Any] = np.exp(-0.5 * (np.arange(-radius, radius + 1) / sigma) ** 2)
    line /= line.sum()
    return np.outer(line, line)


@filters.register("emboss")
def emboss() -> NDArray[Any]:
    """The picture as a relief, lit from the upper left."""
    return np.array([[-2, -1, 0], [-1, 1, 1], [0, 1, 2]])
