"""Which compiled algorithm computes a convolution or its adjoint: an ordered list of candidates, best first.

A candidate says why it cannot do a problem, or does it; the last one can do anything. May import the core and prepare.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from .. import _core
from .arrays import Array
from .parallel import num_threads
from .prepare import PreparedFilters, as_taps

__all__ = ["CANDIDATES", "Candidate", "Problem", "check_algorithm", "choose"]


@dataclass
class Problem:
    """y = sum over taps and channels of x times filters, plus bias, as the kernels take it.

    With `transposed` it is the adjoint: x has the F channels of the filters and y their C.
    """

    x: Array  # (N, D, H, W, C)
    filters: Array  # (F, *kernel, C // groups)
    prepared: PreparedFilters | None
    groups: int
    transposed: bool
    bias: Array | None  # (F,), or (C,) if transposed
    axes: tuple[Any, ...]
    constants: Array  # (4, C)

    packed: Any = None

    def panels(self) -> Any:
        """The filters, packed for the register tile."""
        # not a cached_property: before Python 3.12 that holds a lock, which a child forked meanwhile would wait for
        if self.packed is None:
            dtype = self.x.dtype
            if self.prepared is not None:
                self.packed = self.prepared.packed(dtype, self.groups, self.transposed)
            else:
                self.packed = _core.kernels.Panels(as_taps(self.filters, dtype), self.groups, self.transposed)
        return self.packed


class Candidate(NamedTuple):
    """One way to compute a Problem."""

    name: str
    description: str
    unfit: Callable[[Problem], str | None]
    """Why it cannot do the problem; None if it can."""
    run: Callable[[Problem, Array], None]
    """Fill y (N, D, H, W, F)."""


def _direct_unfit(problem: Problem) -> str | None:
    if problem.transposed and not problem.panels().finite:
        return "filters hold infinities or NaNs, which a tap that no window read must not spread"
    return None


def _direct(problem: Problem, y: Array) -> None:
    _core.kernels.convolve(problem.x, problem.panels(), problem.bias, y, problem.axes, problem.constants, num_threads())


def _plain(problem: Problem, y: Array) -> None:
    filters = as_taps(problem.filters, problem.x.dtype)
    _core.kernels.convolve_plain(
        problem.x,
        filters,
        problem.groups,
        problem.transposed,
        problem.bias,
        y,
        problem.axes,
        problem.constants,
        num_threads(),
    )


CANDIDATES = (
    Candidate("direct", "implicit GEMM: a register tile over a table of pointers into x", _direct_unfit, _direct),
    Candidate("plain", "one output and one tap after the other", lambda problem: None, _plain),
)


def check_algorithm(algorithm: Any) -> None:
    """ValueError unless `algorithm` is "auto" or the name of a candidate, TypeError unless it is a str."""
    names = ("auto", *(candidate.name for candidate in CANDIDATES))
    if not isinstance(algorithm, str):
        raise TypeError(f"algorithm must be a str, one of {', '.join(names)}, got {algorithm!r}")
    if algorithm not in names:
        raise ValueError(f"algorithm must be one of {', '.join(names)}, got {algorithm!r}")


def choose(problem: Problem, algorithm: str) -> Candidate:
    """The candidate of that name, or for "auto" the first that can do the problem; ValueError if it cannot."""
    for candidate in CANDIDATES:
        if algorithm in ("auto", candidate.name):
            reason = candidate.unfit(problem)
            if reason is None:
                return candidate
            if algorithm != "auto":
                raise ValueError(f"algorithm {algorithm!r} cannot do this: {reason}")
    raise AssertionError("the last candidate can do anything")


def no_constants(channels: int, dtype: np.dtype[Any]) -> Array:
    """The constants of a linear map: zeros outside every axis."""
    return np.zeros((4, channels), dtype)
