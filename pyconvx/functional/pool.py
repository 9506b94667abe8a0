"""Pooling of any rank: windowed, adaptive and global, of every registered kind, with gradients.

May import the rest of functional, the plugins, geometry and windows.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np

from .._core import Repeat
from ..geometry import Window, adaptive_windows, pool_windows
from ..plugin import Bound
from ..pooling import Pooling, evaluate, pooling
from ..windows import adaptive_axis, forward_axis, one
from . import arrays
from .arrays import Array, Layout
from .joint import Border, border_of, without_padding
from .operation import REMEMBERED, Pullback, repeated, repeated_operation
from .padded import check_weights, constants_of, forward_axes, modes_of
from .reduction import EXTREMA, STATISTICS, Reduction, divisor_of

__all__ = [
    "adaptive_pool1d",
    "adaptive_pool2d",
    "adaptive_pool3d",
    "global_pool",
    "pool1d",
    "pool2d",
    "pool3d",
]

Kind = str | Pooling | Bound[Pooling]


@dataclass(eq=False, repr=False)
class _Plan:
    """A pooling, checked but not computed. The index tables are made when it runs, or when a check needs them."""

    rank: int
    layout: Layout
    given: Array
    x: Array  # (N, D, H, W, C)
    kind: Bound[Pooling]
    axes: Any  # a function that makes the three index tables, or those over x with its border laid out
    constants: Array  # of the padding modes
    border: Border | None  # of a joint one
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

    @property
    def indexed(self) -> bool:
        """Whether a result depends on where in the batch it is."""
        return self.kind.plugin.indexed

    def run(self) -> Any:
        y = self._apart()
        if y is not None:
            return self._deliver(y, None)
        laid = self.border is not None and self.return_indices
        y, index, _ = self._reduction(laid).forward(self._input(laid), self.return_indices)
        return self._deliver(y, index)

    @property
    def _plain(self) -> bool:
        """Whether kernels can read x as it came, and fill a result."""
        return self.given.dtype == self.compute == self.result and self.given.flags.c_contiguous

    @property
    def _first(self) -> bool:
        """Whether channels lie apart, if arrays are contiguous: of one channel both layouts are the same."""
        return self.layout == "channels_first" and self.x.shape[-1] > 1

    def _apart(self) -> Array | None:
        """The result computed with channels first in memory, as x has them; None if it cannot be."""
        if self.return_indices or not (self._first and self._plain and self.given.flags.aligned):
            return None
        kernel = self._reduction(False).planes()
        if kernel is None:
            return None
        y = arrays.canonical(arrays.empty, self.canonical, self.compute, apart=True)
        kernel.fill(self.x, None, y)
        return y

    def repeat(self) -> Repeat | None:
        """How the same is done for other arrays of this form, if it is done by a kernel alone."""
        first = self._first
        if not self._plain or (self.return_indices and self.border is not None):
            return None
        reduction = self._reduction(False)
        if not math.prod(self.canonical) or sum(axis.nbytes for axis in reduction.axes) > REMEMBERED:
            return None
        if self.out is not None and reduction.compiled() is not None:  # it is filled when all is done
            return None
        beside = np.dtype(np.intp) if self.return_indices else None
        kernel = reduction.planes() if first and not self.return_indices else None
        if kernel is not None:
            return Repeat(kernel.fill, self.shape, self.result)
        kernel = None if self.return_indices else reduction.ready()
        fill = None if kernel is None else kernel.fill
        if fill is None:
            run = reduction.kernel()
            if run is None:
                return None
            fill = partial(_fill, run, self.x.shape, self.canonical)
        if first:
            if not arrays.exchangeable(self.given) or self.border is not None:
                return None
            fill = partial(_fill_exchanged, fill, self.x.shape, self.canonical)
        return Repeat(fill, self.shape, self.result, beside=beside)

    def vjp(self) -> tuple[Any, Pullback]:
        compute = arrays.compute_dtypes(self.given.dtype)[0]
        laid = self.border is not None
        reduction = self._reduction(laid)
        y = self._apart() if reduction.forgets else None  # with the bits of a call without gradient
        index = saved = None
        if y is None:
            x = self._input(laid)
            if self.out is not None and arrays.overlaps(self.out, x):
                x = x.copy()
            y, index, saved = reduction.forward(x, self.return_indices, backward=True)
        result = self._deliver(y, index)
        # the pullback must not keep the plan, and with it x, which most kinds need no more
        rank, layout, batched, border = self.rank, self.layout, self._batched, self.border
        shape, canonical, squeeze = self.shape, self.canonical, self.squeeze
        dtype = arrays.gradient_dtype(self.given, compute)

        def pullback(gy: Any) -> tuple[Array, ...]:
            """The gradient of x."""
            gy = arrays.as_gradient(gy, shape, compute)
            gy = gy.reshape(canonical) if squeeze else arrays.to_canonical("gy", gy, rank, layout)
            gx = reduction.gradient(saved, gy if border is None else arrays.together(gy))
            if border is not None:
                gx = border.fold(gx)
            return (arrays.deliver_canonical(gx, rank, layout, batched, None, dtype),)

        return result, pullback

    def _reduction(self, laid: bool) -> Reduction:
        """How windows are reduced, over x with the border of its joint padding mode `laid` out or not."""
        seen = self.result if self.kind.plugin.exact else self.compute
        border = None if laid else self.border
        return Reduction(self.kind, self.axes(laid), self.constants, border, self.canonical, seen)

    def _input(self, laid: bool) -> Array:
        """x as kernels take it, `laid` out with its border or not: truth values are the integers 0 and 1."""
        x = self.x.view(np.uint8) if self.x.dtype == np.bool_ else self.x
        if not laid or self.border is None:
            return arrays.as_kernel_input(x, self.compute)
        return self.border.extend(x, self.compute)

    def _deliver(self, y: Array, index: Array | None) -> Any:
        if self.squeeze:
            result = arrays.deliver(y.reshape(self.shape), self.out, self.result)
        else:
            result = arrays.deliver_canonical(y, self.rank, self.layout, self._batched, self.out, self.result)
        if index is None:
            return result
        if self.border is not None:
            own = np.arange(math.prod(self.x.shape[1:-1]), dtype=np.intp).reshape(1, *self.x.shape[1:-1], 1)
            index = self.border.extend(own, own.dtype).ravel()[index]
        if self.squeeze:
            return result, index.reshape(self.shape)
        return result, arrays.deliver_canonical(index, self.rank, self.layout, self._batched, None, index.dtype)

    @property
    def _batched(self) -> bool:
        return self.given.ndim == self.rank + 2


def _fill(
    run: Callable[..., None],
    x_shape: tuple[int, ...],
    y_shape: tuple[int, ...],
    x: Array,
    index: Array | None,
    y: Array,
    _: None,
) -> None:
    """`fill` of a kernel, for `Repeat`."""
    run(x.reshape(x_shape), y.reshape(y_shape), None, None if index is None else index.reshape(y_shape))


def _fill_exchanged(
    fill: Callable[..., None],
    x_shape: tuple[int, ...],
    y_shape: tuple[int, ...],
    x: Array,
    index: Array | None,
    y: Array,
    _: None,
) -> None:
    """The same for arrays with channels first, by a `fill` for such as have channels last."""
    n, places = x_shape[0], math.prod(y_shape[1:-1])
    last = arrays.within(y, x_shape, x.dtype)  # y is filled when x has been read
    arrays.exchange(x, last, n, x_shape[-1])
    result = arrays.empty(y_shape, y.dtype)
    number = None if index is None else arrays.empty(y_shape, index.dtype)
    fill(last, number, result, None)
    arrays.exchange(result, y, n, places)
    if number is not None and index is not None:
        arrays.exchange(number, index, n, places)


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
    """What windowed, adaptive and global pooling share; `make(sizes)` gives their count, tables, modes, border."""
    arrays.check_layout(layout)
    given = arrays.as_array("x", x)
    view = arrays.to_canonical("x", given, rank, layout)
    if view.shape[-1] == 0:
        raise ValueError(f"x must have at least one channel, got shape {given.shape}")
    bound = pooling(kind, **params)
    divisor_of(bound)
    if bound.plugin.kernel in STATISTICS:
        _check_numbers(bound)
        evaluate(bound, np.zeros((1, 1), np.float32))  # its function knows which parameters it takes
    if return_indices and bound.plugin.kernel not in EXTREMA:
        raise ValueError(f"return_indices is for the kinds max and min, got {bound.name!r}")
    compute, result = arrays.compute_dtypes(given.dtype)
    if bound.plugin.exact:
        result = given.dtype.newbyteorder("=")
        compute = np.dtype(np.uint8) if result == np.bool_ else compute if result.kind == "f" else result
    spatial, axes, modes, border = make(view.shape[4 - rank : 4])
    constants = constants_of(modes, view.shape[-1], result if bound.plugin.exact else compute)
    if modes is not None and (return_indices or result.kind in "biu"):
        if border is None:
            found = [(axis.mixed, axis.fractional, axis.sourced) for axis in axes(False)[3 - rank :]]
        else:
            found = [(border.weighs, border.fractional, border.sourced)]
        for mode, (weighs, fractional, from_x) in zip(modes, found, strict=False):
            check_weights("padding_mode", mode, result, weighs, fractional)
            if return_indices and not from_x:
                raise ValueError(f"return_indices needs a padding_mode whose elements come from x, got {mode.name!r}")
    return _Plan(
        rank=rank,
        layout=layout,
        given=given,
        x=view,
        kind=bound,
        axes=axes,
        constants=constants.astype(compute, copy=False),
        border=border,
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
        ``count_include_pad=True`` and ``divisor=`` of avg change what it divides by). A mode, or one per spatial axis
        (a joint one is for all of them): they hold what the mode says.
    dilation : int or one int per spatial axis, the distance between elements of a window.
    ceil_mode : also take windows that hang over the end, if they start within x or the padding before it.
    return_indices : for max and min, also return the flat index of each winner within the spatial extent of its sample
        and channel, as `unpool#d` takes it. The first of equals wins, and the first NaN before all.
    out : array of the result's shape and dtype to write into.

    Returns
    -------
    (N, *out, C) in the layout of x. max, min and other exact kinds keep any real dtype; others compute as `conv#d`.

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
        out = tuple(window.out for window in windows)
        border = border_of(modes[0], windows) if modes is not None and modes[0].plugin.joint else None

        def axes(laid: bool) -> Any:
            laid = laid or (border is None and modes is not None and modes[0].plugin.joint)
            return forward_axes(without_padding(windows), None) if laid else forward_axes(windows, modes)

        return out, axes, modes, border

    return _pool(rank, x, kind, params, layout, make, arrays.flag("return_indices", return_indices), False, out)


def _check_numbers(bound: Bound[Pooling]) -> None:
    for key, value in bound.params.items():
        if np.ndim(value):
            raise TypeError(f"{key} of pooling {bound.name!r} must be one number, got {value!r}")


def _empty_window(window: Window) -> bool:
    """Whether some window lies wholly in the padding, or steps over all elements."""
    if window.dilation > window.source and window.before:
        return not forward_axis(window, None).present().all()
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
            lambda _: (one(),) * (3 - rank) + tuple(adaptive_axis(n, out) for n, out in pairs),
            None,
            None,
        )

    return _pool(rank, x, kind, params, layout, make, False, False, out)


@repeated_operation
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
        return (1,) * rank, lambda _: (one(),) * (3 - rank) + tuple(adaptive_axis(n, 1) for n, _ in pairs), None, None

    return _pool(rank, x, kind, params, layout, make, False, not arrays.flag("keepdims", keepdims), out)


pool1d, pool2d, pool3d = (repeated(pool, rank, 1, "Array | tuple[Array, Array]") for rank in (1, 2, 3))
adaptive_pool1d, adaptive_pool2d, adaptive_pool3d = (repeated(adaptive_pool, rank, 1) for rank in (1, 2, 3))
