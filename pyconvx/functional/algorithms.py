"""Which compiled algorithm computes a convolution or its adjoint: an ordered list of candidates, best first.

A candidate says why it cannot do a problem, or does it; the last one can do anything. May import the candidates' files.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from . import bands, columns, depthwise, dots, fft, planes, runs, winograd
from .arrays import Array
from .problem import Problem, direct, direct_unfit, plain

__all__ = [
    "CANDIDATES",
    "Candidate",
    "Problem",
    "Supposed",
    "against",
    "check_algorithm",
    "choose",
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
    tall: Callable[[Problem], int] | None = None
    """Rows of results that belong together: pieces of so many, by `fill_part` of kernels of their own, have the bits of
    the whole. None if there are no such."""
    packed: Callable[[Problem], Any] | None = None
    """Filters as its kernel takes them, of which it is then made for any that are finite."""

    def complete(
        self,
        problem: Problem,
        y: Array,
        finished: bool,
        reported: Any,
        x: Array,
        bias: Array | None,
        filled: Array,
        filters: Array | None = None,
        border: Any = None,
    ) -> bool | None:
        """`mend` what a kernel for arrays like those of a problem and y reported of others; returns False where such
        filters are not for it.
        """
        problem = problem.with_arrays(x, filters, bias, border)
        if not problem.finite():
            return False
        self.mend(problem, filled.reshape(y.shape), reported, finished)
        return None


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
        packed=fft.spectra,
    ),
    Candidate(
        "depthwise",
        "one filter per channel: lanes are channels",
        depthwise.unfit,
        depthwise.wasteful,
        depthwise.kernel,
        packed=depthwise.panels,
    ),
    Candidate(
        "dots",
        "lanes of channels, for few filters",
        dots.unfit,
        dots.wasteful,
        dots.kernel,
        packed=dots.filters,
    ),
    Candidate(
        "planes",
        "lanes of neighbouring places, for few filters",
        planes.unfit,
        planes.wasteful,
        planes.kernel,
        apart=True,
        packed=Problem.weights,
    ),
    Candidate(
        "runs",
        "lines of tiles whose channels are runs of taps, for long filters of few channels",
        runs.unfit,
        runs.wasteful,
        runs.kernel,
        runs.mend,
        packed=runs.panels,
    ),
    Candidate(
        "winograd",
        "by tiles with fewer multiplications, for square filters and taps along one axis",
        winograd.unfit,
        winograd.wasteful,
        winograd.kernel,
        winograd.mend,
        tall=winograd.tall,
        packed=winograd.panels,
    ),
    Candidate(
        "columns",
        "implicit GEMM with lanes of neighbouring places, where channels lie apart or filters are few",
        columns.unfit,
        columns.wasteful,
        columns.kernel,
        apart=True,
        packed=columns.weights,
    ),
    Candidate(
        "bands",
        "implicit GEMM along rows of places, for few channels",
        bands.unfit,
        bands.wasteful,
        bands.kernel,
        apart=True,
        packed=Problem.panels,
    ),
    Candidate(
        "direct",
        "implicit GEMM: a register tile over a table of pointers into x",
        direct_unfit,
        _never,
        direct,
        packed=Problem.panels,
    ),
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


def against(candidate: Candidate, problem: Problem) -> str | None:
    """What speaks against a candidate; None if "auto" would take it."""
    return candidate.wasteful(problem) or candidate.unfit(problem)
