"""What a convolution kernel is asked to do, and the algorithms that can do anything. May import the core, prepare."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field, fields
from typing import Any, ClassVar

import numpy as np

from .. import _core
from ..activation import Kernel
from .arrays import Array
from .parallel import num_threads
from .prepare import PreparedFilters, as_taps

__all__ = ["Problem", "direct", "direct_unfit", "plain"]

ROWS = 16
"""About as many as a tile has."""
MIXED = 2**18
"""Elements of weighted rows that a tile may need."""


@dataclass(eq=False, repr=False)
class Problem:
    """y = sum over taps and channels of x times filters, plus bias, as the kernels take it.

    With `transposed` it is the adjoint: x has the F channels of the filters and y their C.
    """

    packing: ClassVar[bool] = True  # filters are there to be packed

    x: Array  # (N, D, H, W, C)
    filters: Array  # (F, *kernel, C // groups)
    prepared: PreparedFilters | None
    groups: int
    transposed: bool
    bias: Array | None  # (F,), or (C,) if transposed
    axes: tuple[Any, ...]
    strides: tuple[int, ...]  # of the windows on the three axes
    constants: Array  # (4, C)
    border: Any = None  # around x, of a joint padding mode
    finish: Kernel | None = None  # the compiled activation of the result
    apart: bool = False  # y has channels first in memory
    own: dict[tuple[Any, ...], Any] = field(default_factory=dict)
    sound: bool | None = None  # whether the filters are finite, once that is known

    @property
    def per_group(self) -> tuple[int, int]:
        """(outputs, channels) of one group."""
        outputs, channels = self.filters.shape[0] // self.groups, self.filters.shape[-1]
        return (channels, outputs) if self.transposed else (outputs, channels)

    def with_arrays(self, x: Array, filters: Array | None, bias: Array | None, border: Any = None) -> Problem:
        """The same for other arrays of this form, in any shapes; filters: None for the prepared ones."""
        form = {each.name: getattr(self, each.name) for each in fields(self)}
        form |= {"x": x.reshape(self.x.shape), "bias": bias, "border": border, "own": {}}
        if filters is not None:
            form |= {"filters": filters.reshape(self.filters.shape), "sound": None}
        return Problem(**form)

    def packed(self, key: tuple[Any, ...], make: Callable[[], Any]) -> Any:
        """What `make` packs the filters into; made once, and kept by prepared filters for the calls to come."""
        # not a cached_property: before Python 3.12 that holds a lock, which a child forked meanwhile would wait for
        key = (*key, _core.kernels.ISA, self.x.dtype.char, self.groups)
        if self.prepared is not None:
            return self.prepared.packed(key, make)
        if key not in self.own:
            self.own[key] = make()
        return self.own[key]

    def finite(self) -> bool:
        """Whether no filter holds an infinity or a NaN."""

        def make() -> np.bool_:
            with np.errstate(all="ignore"):
                # the sum of what is not finite is not finite, and faster
                return np.bool_(np.isfinite(self.filters.sum()) or np.isfinite(self.filters).all())

        if self.sound is None:
            self.sound = bool(make() if self.prepared is None else self.prepared.packed(("finite",), make))
        return self.sound

    def spreads(self) -> str | None:
        """Why an algorithm that multiplies missing taps as zeros cannot do this."""
        if self.transposed and not self.finite():
            return "filters hold infinities or NaNs, which a tap that no window read must not spread"
        return None

    def mixes(self) -> str | None:
        """Why an algorithm that holds the weighted rows of a tile cannot do this."""
        taps = math.prod(axis.taps for axis in self.axes)
        if any(axis.mixed for axis in self.axes) and taps * self.x.shape[-1] * ROWS > MIXED:
            return "weighted padding would need too much scratch"
        return None

    def arranged(self, weights: Array) -> Array:
        """Weights as a kernel reads them, one after the other."""
        return np.ascontiguousarray(weights) if self.packing else weights

    def panels(self) -> Any:
        """The filters, packed for the register tile."""

        def make() -> Any:
            return _core.kernels.Panels(as_taps(self.filters, self.x.dtype), self.groups, self.transposed, self.packing)

        return self.packed(("direct", self.transposed), make)

    def weights(self, apart: bool = False) -> Array:
        """(outputs, taps, channels of a group): the filters, or those of the adjoint, one after the other, or apart as
        `columns` reads them.
        """

        def make() -> Array:
            taps = as_taps(self.filters, self.x.dtype)
            if self.transposed:  # (groups, F, taps, C) as (groups, C, taps, F)
                grouped = taps.reshape(self.groups, -1, *taps.shape[1:])
                taps = grouped.transpose(0, 3, 2, 1).reshape(-1, taps.shape[1], grouped.shape[1])
            taps = self.arranged(taps)
            return _core.kernels.filters_apart(taps) if apart and self.packing else taps

        weights: Array = self.packed(("weights", self.transposed, apart), make)
        return weights


def direct_unfit(problem: Problem) -> str | None:
    """Why the implicit GEMM cannot do a problem."""
    return problem.spreads()


def direct(problem: Problem, y: Array, places: Array | None = None) -> Any:
    """The kernel of the implicit GEMM for such arrays, which fills y, or only some places of it."""
    panels, axes, constants = problem.panels(), problem.axes, problem.constants
    return _core.kernels.Direct(problem.x, panels, y, axes, constants, num_threads(), places)


def plain(problem: Problem, y: Array) -> Any:
    """The kernel that computes one output and one tap after the other."""
    filters = problem.arranged(as_taps(problem.filters, problem.x.dtype))
    groups, transposed, axes, constants = problem.groups, problem.transposed, problem.axes, problem.constants
    return _core.kernels.Plain(problem.x, filters, groups, transposed, y, axes, constants, num_threads())
