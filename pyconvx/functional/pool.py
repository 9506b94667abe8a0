"""Pooling of any rank: windowed, adaptive and global, of every registered kind, with gradients.

Kinds with a compiled reduction run in it; any other sees its windows as bounded blocks, laid out by compiled code. May
import the rest of functional, the plugins, geometry and windows.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from .. import _core
from ..geometry import adaptive_windows, pool_windows
from ..pooling import Pooling, evaluate, pooling, slopes
from ..registry import Bound
from ..windows import adaptive_axis, one
from . import arrays
from .arrays import Array, Layout
from .operation import Pullback, operation, ranked
from .padded import Modes, constants_of, forward_axes, modes_of
from .parallel import num_threads

__all__ = [
    "adaptive_pool1d",
    "adaptive_pool2d",
    "adaptive_pool3d",
    "global_pool",
    "pool1d",
    "pool2d",
    "pool3d",
]

BLOCK = 2**17
"""Elements of the windows that a reduction in Python sees at once."""

Kind = str | Pooling | Bound[Pooling]


@dataclass
class _Plan:
    """A pooling, checked but not computed. The index tables are made when it runs."""

    rank: int
    layout: Layout
    given: Array
    x: Array  # (N, D, H, W, C)
    kind: Bound[Pooling]
    axes: Any  # a function that makes the three index tables
    modes: Modes | None
    return_indices: bool
    squeeze: bool  # drop the spatial axes of the result
    out: Array | None
    compute: np.dtype[Any]
    result: np.dtype[Any]
    spatial: tuple[int, ...]
    shape: tuple[int, ...] = field(init=False)

    def __post_init__(self) -> None:
        self.canonical = (self.x.shape[0], *(1,) * (3 - self.rank), *self.spatial, self.x.shape[-1])
        channels = (self.x.shape[-1],)
        spatial = () if self.squeeze else self.spatial
        shape = (*spatial, *channels) if self.layout == "channels_last" else (*channels, *spatial)
        self.shape = (self.x.shape[0], *shape) if self.given.ndim == self.rank + 2 else shape
        arrays.checked_shape(self.shape, max(self.compute.itemsize, 8 if self.return_indices else 1))
        self.out = arrays.as_output(self.out, self.shape, self.result)

    def run(self) -> Any:
        reduction = _Reduction(self, arrays.as_kernel_input(_plain(self.x), self.compute))
        y, index = reduction.forward()
        return self._deliver(y, index)

    def vjp(self) -> tuple[Any, Pullback]:
        exact = self.result != self.compute and self.result.kind != "f"
        compute = arrays.compute_dtypes(self.given.dtype)[0] if exact or self.compute.kind != "f" else self.compute
        x = arrays.as_kernel_input(self.x, compute)
        if self.out is not None and arrays.overlaps(self.out, x):
            x = x.copy()
        reduction = _Reduction(self, x)
        if self.compute.kind in "iu" and self.compute.itemsize == 8 and all(axis.sourced for axis in reduction.axes):
            return self._exact_vjp(compute)
        y, index = reduction.forward()
        result = self._deliver(y, index)
        saved = y.copy() if arrays.overlaps(result[0] if self.return_indices else result, y) else y

        def pullback(gy: Any) -> tuple[Array, ...]:
            """The gradient of x."""
            gy = arrays.as_gradient(gy, self.shape, compute)
            canonical = gy.reshape(self.canonical) if self.squeeze else self._canonical_of(gy)
            gx = reduction.gradient(saved, np.ascontiguousarray(canonical))
            gx = arrays.from_canonical(gx, self.rank, self.layout, self.given.ndim == self.rank + 2)
            return (np.ascontiguousarray(gx, arrays.gradient_dtype(self.given, compute)),)

        return result, pullback

    def _exact_vjp(self, compute: np.dtype[Any]) -> tuple[Any, Pullback]:
        """Extrema of 64-bit integers, which no float tells apart: winners are found in the integers themselves."""
        reduction = _Reduction(self, arrays.as_kernel_input(self.x, self.compute))
        reduction.indices = True
        y, index = reduction.forward()
        assert index is not None
        result = self._deliver(y, index if self.return_indices else None)
        n, channels = self.canonical[0], self.canonical[-1]
        size = math.prod(self.x.shape[1:-1])
        sample = np.arange(n).reshape(n, 1, 1, 1, 1)
        winners = ((sample * size + index) * channels + np.arange(channels)).ravel()

        def pullback(gy: Any) -> tuple[Array, ...]:
            """The gradient of x."""
            gy = arrays.as_gradient(gy, self.shape, compute)
            canonical = gy.reshape(self.canonical) if self.squeeze else self._canonical_of(gy)
            gx = np.zeros(self.x.shape, compute)
            np.add.at(gx.reshape(-1), winners, canonical.ravel())
            gx = arrays.from_canonical(gx, self.rank, self.layout, self.given.ndim == self.rank + 2)
            return (np.ascontiguousarray(gx, compute),)

        return result, pullback

    def _canonical_of(self, gy: Array) -> Array:
        return arrays.to_canonical("gy", gy, self.rank, self.layout)

    def _deliver(self, y: Array, index: Array | None) -> Any:
        result = arrays.deliver(self._uncanonical(y), self.out, self.result)
        if index is None:
            return result
        return result, np.ascontiguousarray(self._uncanonical(index))

    def _uncanonical(self, y: Array) -> Array:
        if self.squeeze:
            return y.reshape(self.shape)
        return arrays.from_canonical(y, self.rank, self.layout, self.given.ndim == self.rank + 2)


def _plain(x: Array) -> Array:
    """Truth values as the integers that kernels know."""
    return x.view(np.uint8) if x.dtype == np.bool_ else x


class _Reduction:
    """The windows of one call and how they are reduced: forward and backward side by side."""

    def __init__(self, plan: _Plan, x: Array) -> None:
        self.x, self.kind, self.shape = x, plan.kind, plan.canonical
        self.axes = plan.axes()
        self.constants = constants_of(plan.modes, x.shape[-1], x.dtype)
        self.indices = plan.return_indices
        if self.indices and plan.modes is not None and not all(axis.sourced for axis in self.axes):
            raise ValueError(
                "return_indices needs a padding_mode whose elements all come from x, got "
                f"{', '.join(mode.name for mode in plan.modes)}"
            )
        self.present = tuple(axis.present() for axis in self.axes)
        if math.prod(self.shape) and not all(count.all() for count in self.present):
            raise ValueError("padding must leave at least one element of x in every pooling window")
        self.divisor, self.value = _divisor(plan.kind)

    def forward(self) -> tuple[Array, Array | None]:
        """Return y (N, D, H, W, C), and the index of each winner if it was asked for."""
        y = arrays.empty(self.shape, self.x.dtype)
        index = np.empty(self.shape, np.intp) if self.indices else None
        kernel = self.kind.plugin.kernel
        if y.size == 0:
            pass
        elif kernel in ("max", "min"):
            _core.kernels.pool_extremum(self.x, y, index, self.axes, self.constants, kernel == "max", num_threads())
        elif kernel is not None:
            _core.kernels.pool_sum(self.x, y, self.axes, self.constants, self.divisor, self.value, num_threads())
        else:
            flat = y.reshape(self.shape[0], -1, self.shape[-1])
            for at, windows, number in self._windows():
                flat[at] = evaluate(self.kind, windows, number)
        return y, index

    def gradient(self, y: Array, gy: Array) -> Array:
        """Gradient of x, given the result and its gradient, all (N, D, H, W, C)."""
        gx = np.zeros(self.x.shape, self.x.dtype)
        x = self.x if self.x.strides == gx.strides else np.ascontiguousarray(self.x)
        kernel = self.kind.plugin.kernel
        if y.size == 0:
            pass
        elif kernel in ("max", "min"):
            _core.kernels.pool_extremum_gradient(x, gy, gx, self.axes, self.constants, kernel == "max", num_threads())
        elif kernel is not None:
            _core.kernels.pool_sum_gradient(gy, gx, self.axes, self.divisor, self.value, num_threads())
        else:
            y, gy = (array.reshape(self.shape[0], -1, self.shape[-1]) for array in (y, gy))
            for at, windows, number in self._windows():
                slope = slopes(self.kind, windows, y[at], number)
                sample, places, channels = at
                _core.kernels.scatter_windows(
                    gx,
                    self.axes,
                    places.ravel(),
                    sample,
                    int(channels[0]),
                    np.ascontiguousarray(slope * gy[at][..., None]),
                )
        return gx

    def _windows(self) -> Iterator[tuple[tuple[int, Array, Array], Array, Array]]:
        """Bounded blocks of windows of one length: their index in (N, places, C), (places, channels, window),
        numbers.
        """
        count = math.prod(self.shape[1:-1])
        channels = self.shape[-1]
        held = np.multiply.outer(np.multiply.outer(self.present[0], self.present[1]), self.present[2]).ravel()
        for length in np.unique(held):
            places = np.flatnonzero(held == length)
            wide = min(channels, max(1, BLOCK // length))
            step = max(1, BLOCK // (length * wide))
            for sample in range(self.shape[0]):
                for start in range(0, len(places), step):
                    some = places[start : start + step]
                    for first in range(0, channels, wide):
                        columns = np.arange(first, min(first + wide, channels))
                        windows = np.empty((len(some), len(columns), length), self.x.dtype)
                        _core.kernels.gather_windows(self.x, self.axes, self.constants, some, sample, first, windows)
                        number = (sample * count + some[:, None]) * channels + columns
                        yield (sample, some[:, None], columns), windows, number


def _divisor(kind: Bound[Pooling]) -> tuple[str, float]:
    """What the compiled sum is divided by: a name in DIVISORS and a number. Checks the parameters of avg."""
    if kind.plugin.kernel != "avg":
        return "none", 1.0
    divisor = kind.params["divisor"]
    include = arrays.flag("count_include_pad", kind.params["count_include_pad"])
    if divisor is None:
        return "extent" if include else "present", 1.0
    value = float(arrays.constant_of(divisor, np.dtype(np.float64), "divisor"))
    if isinstance(divisor, bool):
        raise TypeError(f"divisor must be a number, got {divisor!r}")
    if np.float32(abs(value)) < np.finfo(np.float32).tiny or not math.isfinite(value):
        raise ValueError(f"divisor must be finite and not 0, got {divisor!r}")
    return "value", value


def _pool(
    rank: int,
    /,
    x: Any,
    kind: Any,
    params: dict[str, Any],
    layout: Layout,
    make: Any,
    return_indices: bool,
    squeeze: bool,
    out: Any,
) -> _Plan:
    """What windowed, adaptive and global pooling share; `make(sizes)` gives windows' count, tables and modes."""
    arrays.check_layout(layout)
    given = arrays.as_array("x", x)
    view = arrays.to_canonical("x", given, rank, layout)
    if view.shape[-1] == 0:
        raise ValueError(f"x must have at least one channel, got shape {given.shape}")
    bound = pooling(kind, **params)
    kernel = bound.plugin.kernel
    _divisor(bound)
    if return_indices and kernel not in ("max", "min"):
        raise ValueError(f"return_indices is for the kinds max and min, got {bound.name!r}")
    compute, result = arrays.compute_dtypes(given.dtype)
    if kernel in ("max", "min"):
        result = given.dtype.newbyteorder("=")
        compute = np.dtype(np.uint8) if result == np.bool_ else compute if result.kind == "f" else result
    spatial, axes, modes = make(view.shape[4 - rank : 4])
    return _Plan(
        rank=rank,
        layout=layout,
        given=given,
        x=view,
        kind=bound,
        axes=axes,
        modes=modes,
        return_indices=return_indices,
        squeeze=squeeze,
        out=out,
        compute=compute,
        result=result,
        spatial=spatial,
    )


def pool(
    rank: int,
    /,
    x: Any,
    size: Any,
    kind: Kind = "max",
    *,
    stride: Any = None,
    padding: Any = "valid",
    padding_mode: Any = None,
    dilation: Any = 1,
    ceil_mode: bool = False,
    layout: Layout = "channels_last",
    return_indices: bool = False,
    out: Array | None = None,
    **params: Any,
) -> _Plan:
    """Reduce windows of x over # spatial axes to one element each, channel by channel.

    Parameters
    ----------
    x : (N, *spatial, C), or (N, C, *spatial) for layout "channels_first"; N may be absent.
    size : int or one int per spatial axis, the size of the window.
    kind : how: a name in `poolings`, or a bound one; `params` are its parameters.
    stride : int or one int per spatial axis; None is `size`.
    padding : how much, as for `conv#d`.
    padding_mode : None: padded positions hold nothing (max ignores them, avg does not count them;
        ``count_include_pad=True`` and ``divisor=`` of avg change what it divides by). A mode, or one per spatial axis:
    they hold what the mode says. dilation : int or one int per spatial axis, the distance between elements of a window.
    ceil_mode : also take windows that hang over the end, if they start within x or the padding before it.
    return_indices : for max and min, also return the flat index of each winner within the spatial extent of its sample
        and channel, as `unpool#d` takes it. The first of equals wins, and the first NaN before all.
    out : array of the result's shape and dtype to write into.

    Returns
    -------
    (N, *out, C) in the layout of x. max and min keep any real dtype; others compute as `conv#d` does.

    Raises
    ------
    TypeError for an argument of a wrong type or dtype, ValueError for a wrong value or a window without an element.

    Examples
    --------
    >>> import numpy as np, pyconvx as cx
    >>> x = np.arange(4.0**#).reshape(*(4,) * #, 1)
    >>> cx.pool#d(x, 2, "avg").shape == (*(2,) * #, 1)
    True

    Source: ONNX operators MaxPool, AveragePool and LpPool (opset 19).
    """

    def make(sizes: tuple[int, ...]) -> Any:
        windows = pool_windows(sizes, size, stride, padding, dilation, arrays.flag("ceil_mode", ceil_mode))
        modes = None if padding_mode is None else modes_of(padding_mode, rank)
        if modes is None:
            for axis, window in enumerate(windows):
                if window.out and _empty_window(window):
                    raise ValueError(
                        f"padding ({window.before}, {window.after}) leaves a pooling window of size {window.taps} "
                        f"without an element on spatial axis {axis} of size {window.source}"
                    )
        return tuple(window.out for window in windows), lambda: forward_axes(windows, modes), modes

    return _pool(rank, x, kind, params, layout, make, arrays.flag("return_indices", return_indices), False, out)


def _empty_window(window: Any) -> bool:
    """Whether the first or the last window lies wholly in the padding, or steps over all elements."""
    for i in (0, window.out - 1):
        start = i * window.stride - window.before
        first = max(0, -(start // window.dilation)) if start < 0 else 0
        if first >= window.taps or start + first * window.dilation >= window.source:
            return True
    return False


def adaptive_pool(
    rank: int,
    /,
    x: Any,
    output_size: Any,
    kind: Kind = "avg",
    *,
    layout: Layout = "channels_last",
    out: Array | None = None,
    **params: Any,
) -> _Plan:
    """Reduce x to a given size over # spatial axes: window i of m covers floor(i n / m) to ceil((i + 1) n / m) - 1.

    x: (N, *spatial, C) in either layout; output_size: int or one int per spatial axis; kind, params, layout, out: as
    for `pool#d`. Returns (N, *output_size, C). Raises TypeError or ValueError for a wrong argument.

    >>> import numpy as np, pyconvx as cx
    >>> cx.adaptive_pool#d(np.ones((*(7,) * #, 2)), 3).shape == (*(3,) * #, 2)
    True

    Source: PyTorch's adaptive average pooling.
    """

    def make(sizes: tuple[int, ...]) -> Any:
        pairs = adaptive_windows(sizes, output_size)
        return (
            tuple(out for _, out in pairs),
            lambda: (one(),) * (3 - rank) + tuple(adaptive_axis(n, out) for n, out in pairs),
            None,
        )

    return _pool(rank, x, kind, params, layout, make, False, False, out)


@operation(arrays=1)
def global_pool(
    x: Any,
    kind: Kind = "avg",
    *,
    layout: Layout = "channels_last",
    keepdims: bool = False,
    out: Array | None = None,
    **params: Any,
) -> _Plan:
    """Reduce each channel of each sample to one element.

    x: (N, *spatial, C), or (N, C, *spatial) for layout "channels_first", with one to three spatial axes; the N axis
    must be there. Returns (N, C), or with `keepdims` the shape of x with spatial axes of length 1. kind, params, out:
    as for `pool2d`. Raises TypeError or ValueError for a wrong argument.

    >>> import numpy as np, pyconvx as cx
    >>> cx.global_pool(np.arange(8.0).reshape(1, 2, 2, 2), "max")
    array([[6., 7.]])

    Source: ONNX operators GlobalAveragePool, GlobalMaxPool and GlobalLpPool.
    """
    x = arrays.as_array("x", x)
    rank = x.ndim - 2
    if rank not in (1, 2, 3):
        raise ValueError(f"x must have 3 to 5 dimensions, N, one to three spatial axes and C, got {rank + 2}")

    def make(sizes: tuple[int, ...]) -> Any:
        pairs = adaptive_windows(sizes, 1)
        return (1,) * rank, lambda: (one(),) * (3 - rank) + tuple(adaptive_axis(n, 1) for n, _ in pairs), None

    return _pool(rank, x, kind, params, layout, make, False, not arrays.flag("keepdims", keepdims), out)


pool1d, pool2d, pool3d = (ranked(pool, rank, 1) for rank in (1, 2, 3))
adaptive_pool1d, adaptive_pool2d, adaptive_pool3d = (ranked(adaptive_pool, rank, 1) for rank in (1, 2, 3))
