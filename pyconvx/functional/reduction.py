"""How windows are reduced: by a kernel of the core, by compiled functions of plugins, or by functions in Python on
bounded blocks of windows, which compiled code lays out. May import the core, the plugins, arrays, joint and parallel.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from itertools import product
from typing import Any

import numpy as np

from .. import _core
from ..plugin import Bound
from ..pooling import Pooling, evaluate, kernel_of, slopes
from . import arrays
from .arrays import Array
from .joint import Border
from .parallel import num_threads

__all__ = ["EXTREMA", "STATISTICS", "Reduction", "divisor_of"]

BLOCK = 2**19
"""Elements of the windows that a reduction in Python sees at once."""

EXTREMA = ("max", "min")
BASIC = (*EXTREMA, "sum", "avg")
STATISTICS = {
    "lp": (0.01, 1000.0),
    "std": (-math.inf, math.inf),
    "logsumexp": (1e-30, 1e30),
    "softmax": (1e-30, 1e30),
    "mixed": (-1e30, 1e30),
    "percentile": (0.0, 100.0),
}
"""Other compiled reductions, and the range of the parameter in which they are as good as their function."""
LONG = 64
"""Elements of a window from which on they are laid one after the other for a plugin in Python, as NumPy's sums are then
as exact as may be; in shorter ones those of a tap are, and NumPy's reductions run along them in vectors."""
MOST_SORTED = 64
"""Elements of the longest window whose percentile is found by sorting in vectors; np.partition does longer ones."""


class Reduction:
    """How the windows of one call are reduced: forward and backward side by side."""

    def __init__(
        self,
        kind: Bound[Pooling],
        axes: tuple[Any, ...],
        constants: Array,
        border: Border | None,
        shape: tuple[int, ...],
        seen: np.dtype[Any],
    ) -> None:
        """axes: the index tables of x (N, D, H, W, C). border: that they refer to, of a joint padding mode. shape: of
        the result, (N, *places, C). seen: the dtype that a reduction in Python is given.
        """
        self.kind, self.axes, self.constants, self.border = kind, axes, constants, border
        self.shape, self.seen = shape, seen
        self.divisor, self.value = divisor_of(kind)
        self.taps = math.prod(axis.taps for axis in axes)
        self.statistic, self.parameter = _statistic(kind, self.taps)

    def reads(self, x: Array) -> tuple[Any, ...]:
        """How kernels read x: the index tables and, under a joint padding mode, what surrounds x."""
        return self.axes if self.border is None else (*self.axes, self.border.around(x, x.dtype))

    def kernel(self) -> Callable[..., None] | None:
        """What fills y from x, given the arrays of numbers of taps or elements that it also fills, or None for them.

        None where only a function in Python can.
        """
        name, kernels, reads, constants = self.kind.plugin.kernel, _core.kernels, self.reads, self.constants
        if name in EXTREMA:
            return lambda x, y, winner=None, index=None: kernels.pool_extremum(
                x, y, winner, index, reads(x), constants, name == "max", num_threads()
            )
        statistic, value = self.statistic, self.parameter
        if statistic is not None:
            return lambda x, y, lower=None, upper=None: kernels.pool_statistic(
                x, y, lower, upper, reads(x), constants, statistic, value, num_threads()
            )
        if name in BASIC:
            divisor, value = self.divisor, self.value
            return lambda x, y, *_: kernels.pool_sum(x, y, reads(x), constants, divisor, value, num_threads())
        compiled = self.compiled()
        if compiled is not None:
            return lambda x, y, *_: kernels.pool_foreign(x, y, reads(x), constants, *compiled, num_threads())
        return None

    def compiled(self) -> tuple[Any, tuple[float, ...]] | None:
        """The compiled function of a plugin that reduces windows, with its parameters; None if there is none."""
        return kernel_of(self.kind, self.seen, self.taps)

    def _basic(self) -> Any:
        """Which extremum, or what the sum is divided by, if that is all; else None."""
        name = self.kind.plugin.kernel
        if self.border is not None or name not in BASIC or self.statistic is not None:
            return None
        return name if name in EXTREMA else (self.divisor, self.value)

    @property
    def forgets(self) -> bool:
        """Whether the gradient needs neither x nor the result."""
        how = self._basic()
        return how is not None and how not in EXTREMA

    @property
    def _source(self) -> tuple[int, ...]:
        """The shape of x."""
        return (self.shape[0], *(axis.source for axis in self.axes), self.shape[-1])

    def planes(self) -> Any:
        """A kernel that fills y from x, which have channels first in memory, again and again; None if there is none."""
        how = self._basic()
        if how is None:
            return None
        x, y = (arrays.canonical(arrays.outline, shape, self.seen, apart=True) for shape in (self._source, self.shape))
        return _core.kernels.plane_pool(x, y, self.axes, self.constants, how, num_threads())

    def ready(self) -> Any:
        """A kernel that fills y from x, both contiguous, again and again; None if there is none."""
        how = self._basic()
        if how is None:
            return None
        x, y = (arrays.outline(shape, self.seen) for shape in (self._source, self.shape))
        return _core.kernels.Pool(x, y, self.axes, self.constants, how, num_threads())

    def forward(self, x: Array, indices: bool, backward: bool = False) -> tuple[Array, Array | None, Any]:
        """Return y (N, D, H, W, C), the index of each winner if those are asked for, and what the gradient needs."""
        y = arrays.empty(self.shape, x.dtype)
        index = arrays.empty(self.shape, np.dtype(np.intp)) if indices else None
        kernel = self.kernel()
        if self.kind.plugin.kernel in EXTREMA:
            winner = arrays.empty(self.shape, np.dtype(np.int32)) if backward else None
            if (indices or backward) and self.taps >= 2**31:
                raise MemoryError("the winner in a window of 2**31 or more elements has no number of 32 bits")
            if y.size and kernel is not None:
                kernel(x, y, winner, index)
            return y, index, winner
        if kernel is not None:
            tapped = backward and self.statistic in ("mixed", "percentile")
            lower, upper = ((np.empty(self.shape, np.int32) if tapped else None) for _ in range(2))
            if y.size:
                kernel(x, y, lower, upper)
            kept = backward and (self.statistic is not None or self.kind.plugin.kernel not in BASIC)
            return y, index, (lower, upper) if tapped else (x, y.copy()) if kept else None
        flat = y.reshape(self.shape[0], math.prod(self.shape[1:-1]), self.shape[-1])
        for at, windows, number in self._windows(x):
            flat[at] = evaluate(self.kind, windows, number)
        return y, index, (x, y.copy()) if backward else None

    def gradient(self, saved: Any, gy: Array) -> Array:
        """Gradient of x, given what forward saved and the gradient of y (N, D, H, W, C). Where channels lie apart
        there, they may do so in the result.
        """
        basic = self.statistic is None and self.kind.plugin.kernel in BASIC
        if basic and gy.size:
            planes = self._planes_gradient(saved, gy)
            if planes is not None:
                return planes
        gy = arrays.together(gy)
        once = basic and gy.size > 0 and all(axis.reads_once() for axis in self.axes)
        gx = (arrays.empty if once else np.zeros)(self._source, gy.dtype)
        if gy.size == 0:
            return gx
        if self.statistic is not None:
            self._statistic_gradient(self.statistic, saved, gy, gx)
            return gx
        if basic:
            _core.kernels.pool_gradient(gy, gx, saved, self.axes, self.divisor, self.value, num_threads(), once)
            return gx
        x, y = saved
        compiled = kernel_of(self.kind, gy.dtype, self.taps, backward=True) if x.dtype == gy.dtype else None
        if compiled is not None:
            x = x if x.strides == gx.strides else np.ascontiguousarray(x)
            _core.kernels.pool_foreign_gradient(x, y, gy, gx, self.axes, self.constants, *compiled, num_threads())
            return gx
        y = y.reshape(self.shape[0], math.prod(self.shape[1:-1]), self.shape[-1])
        gy = gy.reshape(y.shape)
        for at, windows, number in self._windows(x):
            slope = slopes(self.kind, windows, y[at].astype(self.seen, copy=False), number)
            sample, places, channels = at
            if isinstance(places, slice):
                places = np.arange(places.start, places.stop)
            gradient = np.ascontiguousarray(np.moveaxis(slope * gy[at][..., None], -1, 0), gx.dtype)
            _core.kernels.scatter_windows(gx, self.axes, places, sample, channels.start, gradient)
        return gx

    def _planes_gradient(self, winner: Array | None, gy: Array) -> Array | None:
        """The gradient by a kernel for channels that lie apart, as in gy or put so; None if it would not pay."""
        apart = arrays.channels_first(gy) and (not gy.flags.c_contiguous or gy.shape[-1] == 1)
        if not self._planes_pay(winner is not None, gy, apart):
            return None
        outlines = [arrays.canonical(arrays.outline, shape, gy.dtype, apart=True) for shape in (gy.shape, self._source)]
        kernel = _core.kernels.plane_gradient(
            outlines[0], outlines[1], self.axes, winner is not None, self.divisor, self.value, num_threads()
        )
        if kernel is None:
            return None
        gx = arrays.canonical(arrays.empty, self._source, gy.dtype, apart=True)
        kernel.fill(arrays.apart(gy), None if winner is None else arrays.apart(winner), gx)
        return gx if apart else arrays.together(gx)

    def _planes_pay(self, numbered: bool, gy: Array, apart: bool) -> bool:
        """Whether a gradient takes less time plane by plane than place by place, in nanoseconds as measured."""
        channels, wide, rise = gy.shape[-1], gy.itemsize / 4, self.axes[2].rise
        depth, height, width = self._source[1:-1]
        elements, places = depth * height * width, math.prod(self.shape[1:-1])
        shares = places * self.taps / elements  # of an element
        row = 40 + 0.12 * (1 + numbered) * wide * shares * width + (0 if rise < 3 else 0.3 * width + 25 * rise)
        by_plane = 7e4 / gy.shape[0] + channels * (200 + depth * height * row)
        by_place = places * self.taps * (10 + 0.19 * wide * channels)
        exchange = 0.25 * wide * channels  # of the gradients, and of winners, which lie together
        by_plane += exchange * (numbered * places + (0 if apart else elements + places))
        by_place += exchange * (elements + places if apart else 0)
        return bool(by_plane < by_place)

    def _statistic_gradient(self, kernel: str, saved: Any, gy: Array, gx: Array) -> None:
        if kernel not in ("mixed", "percentile"):
            x, y = saved
            x = x if x.strides == gx.strides else np.ascontiguousarray(x)
            _core.kernels.pool_statistic_gradient(
                x, y, gy, gx, self.axes, self.constants, kernel, self.parameter, num_threads()
            )
            return
        lower, upper = saved
        parts: list[tuple[Any, Any, str]]
        if kernel == "mixed":
            parts = [(lower, self.parameter, "none"), (None, 1 - self.parameter, "present")]
        else:
            weight = np.modf(self.parameter / 100 * (self._held().reshape(*self.shape[1:-1], 1) - 1))[0]
            parts = [(lower, 1 - weight, "none"), (upper, weight, "none")]
        for winner, share, divisor in parts:
            part = np.ascontiguousarray(share * gy, gy.dtype)
            _core.kernels.pool_gradient(part, gx, winner, self.axes, divisor, 1.0, num_threads())

    def _held(self) -> Array:
        """How many elements each window holds, in the order of places."""
        present = [axis.present() for axis in self.axes]
        return np.asarray(np.multiply.outer(np.multiply.outer(present[0], present[1]), present[2]).ravel())

    def _windows(self, x: Array) -> Iterator[tuple[tuple[int, Any, slice], Array, Array | None]]:
        """Bounded blocks of windows of one length: their index in (N, places, C), (places, channels, window), and their
        numbers where those are asked for.
        """
        count, channels, reads = math.prod(self.shape[1:-1]), self.shape[-1], self.reads(x)
        lengths = {math.prod(map(int, some)) for some in product(*(np.unique(axis.present()) for axis in self.axes))}
        held = self._held() if len(lengths) > 1 else None
        for length in sorted(lengths):
            found = None if held is None else np.flatnonzero(held == length)
            places = count if found is None else len(found)
            wide = min(channels, max(1, BLOCK // length))
            step = max(1, BLOCK // (length * wide))
            for sample in range(self.shape[0]):
                for start in range(0, places, step):
                    until = min(start + step, places)
                    some = np.arange(start, until) if found is None else found[start:until]
                    together = some[-1] - some[0] + 1 == len(some)
                    for first in range(0, channels, wide):
                        columns = slice(first, min(first + wide, channels))
                        at = (sample, slice(some[0], some[-1] + 1) if together else some, columns)
                        number = None
                        if self.kind.plugin.indexed:
                            number = (sample * count + some[:, None]) * channels + np.arange(channels)[columns]
                        yield at, self._laid_out(x, reads, sample, some, columns, int(length)), number

    def _laid_out(
        self, x: Array, reads: tuple[Any, ...], sample: int, places: Array, columns: slice, length: int
    ) -> Array:
        rows = np.empty((length, len(places), columns.stop - columns.start), x.dtype)
        _core.kernels.gather_windows(x, reads, self.constants, places, sample, columns.start, rows)
        windows = rows.transpose(1, 2, 0).astype(self.seen, copy=False)
        return np.ascontiguousarray(windows) if length > LONG else windows


def _statistic(kind: Bound[Pooling], taps: int) -> tuple[str | None, float]:
    """The compiled statistic that does a pooling, and its parameter; None where only its function in Python can."""
    kernel = kind.plugin.kernel
    if not isinstance(kernel, str) or kernel in BASIC:
        return None, 0.0
    parameter = float(next(iter(kind.params.values()), 50.0))
    low, high = STATISTICS[kernel]
    return (
        kernel if low <= parameter <= high and taps <= (MOST_SORTED if kernel == "percentile" else taps) else None
    ), parameter


def divisor_of(kind: Bound[Pooling]) -> tuple[str, float]:
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
