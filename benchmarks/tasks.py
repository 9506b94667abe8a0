"""What is timed: a convolution, a pooling or an activation as data, and groups of them. Imports numpy only."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
PerAxis = int | tuple[int, ...]


def random(shape: tuple[int, ...], dtype: str = "float32", seed: int = 0) -> Array:
    """Normal numbers, the same for everybody."""
    return np.asarray(np.random.default_rng(seed).standard_normal(shape, np.dtype(dtype).type))


@dataclass(frozen=True)
class Conv:
    """A convolution; with `backward`, its gradients of x and filters instead."""

    name: str
    x: tuple[int, ...]  # (N, *spatial, C)
    filters: tuple[int, ...]  # (F, *kernel, C // groups)
    stride: PerAxis = 1
    padding: PerAxis | None = None  # None: (k - 1) * dilation // 2 of each axis
    dilation: PerAxis = 1
    groups: int = 1
    padding_mode: str = "zeros"  # or "reflect"
    bias: bool = False
    activation: str | None = None  # or "relu"
    dtype: str = "float32"
    backward: bool = False
    threads: int | None = None  # None: those of the command line

    @property
    def rank(self) -> int:
        return len(self.x) - 2

    @property
    def kernel(self) -> tuple[int, ...]:
        return self.filters[1:-1]

    def per_axis(self, value: PerAxis) -> tuple[int, ...]:
        return (value,) * self.rank if isinstance(value, int) else value

    @property
    def pads(self) -> tuple[int, ...]:
        if self.padding is not None:
            return self.per_axis(self.padding)
        return tuple((k - 1) * d // 2 for k, d in zip(self.kernel, self.per_axis(self.dilation), strict=True))

    @property
    def y(self) -> tuple[int, ...]:
        """Shape of the result, channels last."""
        axes = zip(
            self.x[1:-1], self.kernel, self.pads, self.per_axis(self.stride), self.per_axis(self.dilation), strict=True
        )
        return (self.x[0], *((n + 2 * p - (k - 1) * d - 1) // s + 1 for n, k, p, s, d in axes), self.filters[0])

    @property
    def flops(self) -> int:
        """Multiplications and additions of the definition, whatever an algorithm saves; those of two gradients."""
        return 2 * math.prod(self.y) * math.prod(self.filters[1:]) * (2 if self.backward else 1)

    @property
    def bytes(self) -> int:
        """Least bytes to be moved: x, filters and result once."""
        return (math.prod(self.x) + math.prod(self.filters) + math.prod(self.y)) * np.dtype(self.dtype).itemsize

    @property
    def tolerance(self) -> float:
        """How far two libraries may be apart, as a part of the largest result."""
        return 1e-11 if self.dtype == "float64" else 1e-4

    @property
    def arrays(self) -> tuple[Array, Array, Array | None, Array]:
        """x, filters, bias and the gradient of y, channels last."""
        return _arrays(self)

    @property
    def single_picture(self) -> tuple[Array, Array] | None:
        """x and filter without channels, if that is all there is and the result has the size of x."""
        single = self.x[0] == self.x[-1] == self.filters[0] == self.filters[-1] == 1
        plain = {*self.per_axis(self.stride), *self.per_axis(self.dilation), self.groups} == {1}
        more = self.backward or self.bias or self.activation
        if more or not (single and plain and self.y == self.x and all(k % 2 for k in self.kernel)):
            return None
        x, filters, _, _ = self.arrays
        return x[0, ..., 0], filters[0, ..., 0]


@lru_cache(maxsize=1)
def _arrays(task: Conv) -> tuple[Array, Array, Array | None, Array]:
    """Those of the latest task only: together they would fill the memory."""
    scale = np.asarray(math.prod(task.filters[1:]) ** -0.5, task.dtype)
    bias = random(task.filters[:1], task.dtype, 2) if task.bias else None
    gy = random(task.y if task.backward else (1,), task.dtype, 3)
    return random(task.x, task.dtype), random(task.filters, task.dtype, 1) * scale, bias, gy


@dataclass(frozen=True)
class Pool:
    """A pooling of two spatial axes."""

    name: str
    x: tuple[int, ...]  # (N, H, W, C)
    size: int
    stride: int
    kind: str = "max"
    padding: int = 0
    indices: bool = False  # for max: return where the winners were, too
    nan: bool = False  # one element of x in a thousand is NaN
    dtype: str = "float32"
    threads: int | None = None

    flops = 0
    tolerance = 1e-5

    @property
    def y(self) -> tuple[int, ...]:
        n, *spatial, c = self.x
        return (n, *((s + 2 * self.padding - self.size) // self.stride + 1 for s in spatial), c)

    @property
    def bytes(self) -> int:
        return (math.prod(self.x) + math.prod(self.y)) * np.dtype(self.dtype).itemsize

    @property
    def array(self) -> Array:
        x = random(self.x, self.dtype)
        if self.nan:
            x.ravel()[::1000] = np.nan
        return x


@dataclass(frozen=True)
class Activate:
    """An activation; rowwise ones work on rows of the last axis."""

    name: str
    x: tuple[int, ...]
    dtype: str = "float32"
    threads: int | None = None

    flops = 0
    tolerance = 1e-5

    @property
    def y(self) -> tuple[int, ...]:
        return (*self.x[:-1], self.x[-1] // 2) if self.name == "glu" else self.x

    @property
    def bytes(self) -> int:
        return (math.prod(self.x) + math.prod(self.y)) * np.dtype(self.dtype).itemsize

    @property
    def array(self) -> Array:
        return np.multiply(random(self.x, self.dtype), 3, dtype=self.dtype)


Task = Conv | Pool | Activate


@dataclass(frozen=True)
class Comparison:
    """ratio = the best time of `against` / the time of `ours`."""

    label: str
    ours: str = "pyconvx"
    against: tuple[str, ...] | None = None  # names; None: every other library


@dataclass(frozen=True)
class Group:
    """Tasks that are reported in one table; `own` names the ways of calling pyconvx."""

    name: str
    title: str
    tasks: tuple[Task, ...]
    own: tuple[str, ...] = ("pyconvx",)
    comparisons: tuple[Comparison, ...] = (Comparison("ratio"),)
    bars: bool = True  # whether the chart shows it
