"""Which compiled algorithm computes a convolution or its adjoint: an ordered list of candidates, best first.

A candidate says why it cannot do a problem, or does it; the last one can do anything. May import the candidates' files.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from . import bands, depthwise, fft, planes, winograd
from .arrays import Array, as_kernel_input, channels_together, empty, exchange
from .problem import Problem, direct, direct_unfit, plain

__all__ = [
    "CANDIDATES",
    "Candidate",
    "Computation",
    "Problem",
    "Supposed",
    "against",
    "check_algorithm",
    "choose",
    "compute",
]


def _complete(problem: Problem, y: Array, flagged: Any, finished: bool) -> None:
    raise AssertionError("the kernel of this candidate does all there is to do")


class Candidate(NamedTuple):
    """One way to compute a Problem."""

    name: str
    description: str
    unfit: Callable[[Problem], str | None]
    """Why it cannot do the problem; None if it can."""
    wasteful: Callable[[Problem], str | None]
    """Why it is not worth it here, for "auto" to go on to the next; None if it is. Asked first: it is cheap."""
    kernel: Callable[[Problem, Array], Any]
    """The compiled kernel for such arrays: `fill(x, bias, y)` fills y (N, D, H, W, F). What it returns, if not None, is
    for `mend`. `finish(name, params)` has a compiled activation applied as well, if it returns True."""
    mend: Callable[[Problem, Array, Any, bool], None] = _complete
    """Does again what the kernel reported that it could not do, and the activation if that was done."""
    apart: bool = False
    """Whether the kernel reads and fills arrays whose channels do not lie together, those of channels_first."""
    paired: bool = False
    """Whether it may take two samples at once, so that the bits of one depend on the other."""


class Supposed(Problem):
    """A problem as far as shapes tell it: the filters count as finite and are never packed."""

    packing = False

    def finite(self) -> bool:
        """Yes."""
        return True

    def packed(self, key: tuple[Any, ...], make: Callable[[], Any]) -> Any:
        """The form of filters that are not there."""
        return make()


def _never(problem: Problem) -> None:
    return None


CANDIDATES = (
    Candidate(
        "fft",
        "tiles through Fourier transforms, for large kernels on single channels",
        fft.unfit,
        fft.wasteful,
        fft.kernel,
        fft.mend,
        paired=True,
    ),
    Candidate(
        "depthwise",
        "one filter per channel: lanes are channels",
        depthwise.unfit,
        depthwise.wasteful,
        depthwise.kernel,
    ),
    Candidate(
        "planes",
        "lanes of neighbouring places, for few filters",
        planes.unfit,
        planes.wasteful,
        planes.kernel,
        apart=True,
    ),
    Candidate(
        "winograd",
        "by tiles with fewer multiplications, for square filters",
        winograd.unfit,
        winograd.wasteful,
        winograd.kernel,
        winograd.mend,
    ),
    Candidate(
        "bands",
        "implicit GEMM along rows of places, for few channels",
        bands.unfit,
        bands.wasteful,
        bands.kernel,
        apart=True,
    ),
    Candidate("direct", "implicit GEMM: a register tile over a table of pointers into x", direct_unfit, _never, direct),
    Candidate("plain", "one output and one tap after the other", _never, _never, plain),
)


def check_algorithm(algorithm: Any) -> None:
    """ValueError unless `algorithm` is "auto" or the name of a candidate, TypeError unless it is a str."""
    names = ("auto", *(candidate.name for candidate in CANDIDATES))
    if not isinstance(algorithm, str):
        raise TypeError(f"algorithm must be a str, one of {', '.join(names)}, got {algorithm!r}")
    if algorithm not in names:
        raise ValueError(f"algorithm must be one of {', '.join(names)}, got {algorithm!r}")


def choose(problem: Problem, algorithm: str) -> Candidate:
    """The candidate of that name, or for "auto" the first that can do the problem well; ValueError if it cannot."""
    for candidate in CANDIDATES:
        if algorithm == candidate.name:
            reason = candidate.unfit(problem)
            if reason is not None:
                raise ValueError(f"algorithm {algorithm!r} cannot do this: {reason}")
            return candidate
        if algorithm == "auto" and against(candidate, problem) is None:
            return candidate
    raise AssertionError("the last candidate can do anything")


class Computation:
    """How the best algorithm for a problem, or that of a name, fills arrays like its x and some y, again and again.

    y (N, D, H, W, channels) has contiguous channels, or is contiguous with channels first. So may x be, but is not
    afterwards if the algorithm takes no such arrays.
    """

    def __init__(self, problem: Problem, algorithm: str, y: Array) -> None:
        self.problem, self.candidate = problem, choose(problem, algorithm)
        if not self.candidate.apart:
            problem.x = as_kernel_input(problem.x, problem.x.dtype)
        self._as_it_is = self.candidate.apart or channels_together(y)
        self._kernel = self.candidate.kernel(problem, y if self._as_it_is else empty(y.shape, y.dtype))
        self.finished = bool(problem.finish is not None and self._kernel.finish(*problem.finish))
        """Whether problem.finish is applied."""

    def fill(self, y: Array) -> None:
        """Fill y from problem.x, which may be another array than it is now, of the same form."""
        problem = self.problem
        filled = y if self._as_it_is else empty(y.shape, y.dtype)
        flagged = self._kernel.fill(problem.x, problem.bias, filled, None, problem.border)
        if flagged is not None:
            self.candidate.mend(problem, filled, flagged, self.finished)
        if not self._as_it_is:
            exchange(filled, np.moveaxis(y, -1, 1), y.shape[0], math.prod(y.shape[1:-1]))


def compute(problem: Problem, algorithm: str, y: Array) -> bool:
    """Fill y by the algorithm of that name, or the best for "auto"; returns whether problem.finish was applied."""
    computation = Computation(problem, algorithm, y)
    computation.fill(y)
    return computation.finished


def against(candidate: Candidate, problem: Problem) -> str | None:
    """What speaks against a candidate; None if "auto" would take it."""
    return candidate.wasteful(problem) or candidate.unfit(problem)
