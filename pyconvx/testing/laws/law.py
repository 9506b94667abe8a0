"""What a law is, and how it says that it does not hold. Imports NumPy, Hypothesis and the registry.

A law is one sentence about a plugin, a strategy of the cases that it is tried on, and a function that raises `Refuted`
for a case where the sentence is false.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from hypothesis import strategies as st
from hypothesis.errors import UnsatisfiedAssumption
from numpy.typing import NDArray

from ...plugin import Bound

Array = NDArray[Any]


@dataclass(frozen=True)
class Subject:
    """The plugin that is tested, with its parameters, and what it should be like, if somebody has said so."""

    bound: Bound[Any]
    like: Any = None
    """What it should be: a plain definition (see `check_padding` and its like), the name of a built-in, or None."""


class Refuted(AssertionError):
    """A case for which a law does not hold."""

    def __init__(self, seen: str, expected: str) -> None:
        super().__init__(seen, expected)
        self.seen, self.expected = seen, expected

    def __str__(self) -> str:
        return f"{self.seen}; expected {self.expected}"


class Part(Exception):
    """An error in one part of a case that has several."""

    def __init__(self, case: Any, error: Exception) -> None:
        super().__init__(case, error)
        self.case, self.error = case, error


@contextmanager
def part(case: Any) -> Iterator[None]:
    """Context of one part of a case, which is told instead of the whole."""
    try:
        yield
    except UnsatisfiedAssumption:
        raise
    except Exception as error:
        raise Part(case, error) from error


def always(subject: Subject) -> bool:
    """A law that every plugin of its kind is held to."""
    return True


def is_defined(subject: Subject) -> bool:
    """A law about plugins of which somebody has said what they should be like."""
    return subject.like is not None


@dataclass(frozen=True)
class Law:
    """One property of the plugins of a kind. `holds(subject, case)` raises where it does not hold."""

    name: str
    statement: str
    cases: Callable[[Subject], st.SearchStrategy[Any]]
    holds: Callable[[Subject, Any], None]
    applies: Callable[[Subject], bool] = always
    share: float = 1.0
    """Of the examples that a run asks for: costly laws take fewer."""
    guards: bool = False
    """Whether those after it are not tried where it does not hold: they could break the program."""


@dataclass(frozen=True)
class Block:
    """Rows of numbers, as a plugin sees them: x (rows, length) of an activation, w (rows, k) of a pooling."""

    name: str
    array: Array  # (rows, length)

    def __str__(self) -> str:
        return f"{self.name} = {shown(self.array)}"


def shown(value: Any) -> str:
    """A value as Python would write it, with every digit; long arrays are cut short."""
    with np.printoptions(precision=17, floatmode="unique", threshold=64, linewidth=100):
        return repr(value)


def told(case: Any) -> str:
    """A case in words: every field with its value."""
    if "__str__" in vars(type(case)):
        return str(case)
    return ", ".join(f"{each.name} = {shown(getattr(case, each.name))}" for each in fields(case))


def require_same(what: str, got: Array, want: Array, why: str) -> None:
    """`got` has the shape, the dtype and the bits of `want`; NaN equals NaN."""
    if got.shape != want.shape or got.dtype != want.dtype:
        form = f"shape {want.shape} and dtype {want.dtype}"
        raise Refuted(f"{what} has shape {got.shape} and dtype {got.dtype}", f"{form} {why}")
    _require_none(~_equal(got, want), what, got, want, None, why)


def require_close(what: str, got: Array, want: Array, allowed: Any, why: str, about: Any = None) -> None:
    """`got` has the shape of `want` and lies within `allowed` of it; NaN equals NaN, an infinity itself.

    A message ends with `about`, which is written out only then: that takes longer than the comparison.
    """
    if got.shape != want.shape:
        raise Refuted(f"{what} has shape {got.shape}", f"shape {want.shape} {why}")
    with np.errstate(invalid="ignore", over="ignore"):
        far = ~(np.abs(got.astype(np.float64) - want.astype(np.float64)) <= allowed)
    _require_none(far & ~_equal(got, want), what, got, want, allowed, why, about)


def _equal(got: Array, want: Array) -> Array:
    return np.asarray((got == want) | ((got != got) & (want != want)))


def _require_none(wrong: Array, what: str, got: Array, want: Array, allowed: Any, why: str, about: Any = None) -> None:
    if not wrong.any():
        return
    at = tuple(map(int, np.argwhere(wrong)[0]))
    margin = "" if allowed is None else f" within {np.broadcast_to(allowed, wrong.shape)[at]:.2g}"
    place = f"{what}[{', '.join(map(str, at))}]" if at else what
    end = "" if about is None else f" {shown(about)}"
    raise Refuted(f"{place} is {shown(got[at].item())}", f"{shown(want[at].item())}{margin} {why}{end}")
