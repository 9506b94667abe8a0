"""Which compiled algorithm computes a convolution or its adjoint: an ordered list of candidates, best first.

A candidate says why it cannot do a problem, or does it; the last one can do anything. May import the core, the
candidates' files, arrays and parallel.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from .._core import now
from . import bands, depthwise, fft, planes, winograd
from .arrays import Array, as_kernel_input, channels_together, empty, exchange, outline, stand_in
from .parallel import num_threads
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
    renewed: tuple[bool, bool] = (True, True)
    """Whether its kernel packs other filters, given as they are: those of a convolution, and of an adjoint."""


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
        renewed=(True, False),
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
        renewed=(True, False),
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
    Candidate("plain", "one output and one tap after the other", _never, _never, plain, renewed=(False, False)),
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


class _Ready(NamedTuple):
    """What does a problem."""

    candidate: Candidate
    kernel: Any
    finished: bool
    """Whether it applies problem.finish."""


MOST = 512
"""Kernels that are kept for other arrays and filters of the same form."""
REMEMBERED = 2**16
"""Bytes of index tables that such a kernel may hold."""
_kept: dict[Any, _Ready] = {}


def _made(problem: Problem, algorithm: str, y: Array) -> _Ready:
    candidate = choose(problem, algorithm)
    kernel = candidate.kernel(problem, y)
    return _Ready(candidate, kernel, bool(problem.finish is not None and kernel.finish(*problem.finish)))


def _renewed(problem: Problem, algorithm: str, y: Array) -> tuple[_Ready, Any] | None:
    """A kernel that has served problems of the same form, and the filters of this one as it takes them; None if there
    is no such thing. All arrays are contiguous then.
    """
    arrays = problem.x, problem.filters, y
    if problem.prepared is not None or problem.border is not None or not problem.x.size:
        return None
    dtype, finish = problem.x.dtype, problem.finish
    if not dtype.isnative or (finish is not None and not isinstance(finish[0], str)):
        return None
    for array in arrays:
        if not (array.dtype == dtype and array.flags.c_contiguous and array.flags.aligned):
            return None
    shapes = tuple(array.shape for array in arrays)
    # a kernel holds its tables, so that no others have their addresses
    tables = *map(id, problem.axes), id(problem.constants)
    options = algorithm, problem.transposed, problem.groups, problem.strides, finish
    key = (*options, dtype.char, num_threads(), now(), *shapes, *tables)
    ready = _kept.get(key)
    if ready is None:
        if sum(axis.nbytes for axis in problem.axes) > REMEMBERED:
            return None
        filters = stand_in(problem.filters.shape, dtype)
        supposed = Supposed(
            outline(problem.x.shape, dtype),
            filters,
            None,
            problem.groups,
            problem.transposed,
            problem.bias,
            problem.axes,
            problem.strides,
            problem.constants,
            finish=finish,
        )
        ready = _made(supposed, algorithm, outline(y.shape, y.dtype))
        if len(_kept) >= MOST:
            _kept.clear()
        _kept[key] = ready
    if not ready.candidate.renewed[problem.transposed] or not problem.finite():
        return None
    packed = ready.kernel.pack(problem.filters)
    return None if packed is None else (ready, packed)


class Computation:
    """How the best algorithm for a problem, or that of a name, fills arrays like its x and some y, again and again.

    y (N, D, H, W, channels) has contiguous channels, or is contiguous with channels first. So may x be, but is not
    afterwards if the algorithm takes no such arrays.
    """

    def __init__(self, problem: Problem, algorithm: str, y: Array) -> None:
        self.problem, self._filters, self._as_it_is = problem, None, True
        renewed = _renewed(problem, algorithm, y)
        if renewed is not None:
            self._ready, self._filters = renewed
            return
        candidate = choose(problem, algorithm)
        if not candidate.apart:
            problem.x = as_kernel_input(problem.x, problem.x.dtype)
        self._as_it_is = candidate.apart or channels_together(y)
        self._ready = _made(problem, candidate.name, y if self._as_it_is else empty(y.shape, y.dtype))

    @property
    def finished(self) -> bool:
        """Whether problem.finish is applied."""
        return self._ready.finished

    def fill(self, y: Array) -> None:
        """Fill y from problem.x, which may be another array than it is now, of the same form."""
        problem = self.problem
        filled = y if self._as_it_is else empty(y.shape, y.dtype)
        flagged = self._ready.kernel.fill(problem.x, problem.bias, filled, self._filters, problem.border)
        if flagged is not None:
            self._ready.candidate.mend(problem, filled, flagged, self._ready.finished)
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
