"""Activations and poolings as one thing: a map of rows, each to a row of its own. Imports NumPy only.

An elementwise activation maps rows of one element; a rowwise one, rows; a pooling, windows to rows of one element. The
laws about numbers (`numeric`) are written for such maps, once.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

MOVES = (16, 11.37, 7.719, 5.143, 3.4177, 2.3719, 1.5437, 1.0153, 0.7197)
"""Units in the last place; several tell where nobody can foresee a function, and no sums of some are others: a sine of
huge numbers might take all of them for whole turns."""


@dataclass(frozen=True)
class RowMap:
    """`forward(rows, at)` is (P, m) for rows (P, n); `backward(rows, at, gy)` is the gradient (P, n) of sum(gy * y).

    `at` (P,) are the places of the rows, which only an indexed pooling looks at.
    """

    forward: Callable[[Array, Array], Array]
    backward: Callable[[Array, Array, Array], Array] | None
    propagates_nan: bool
    limits: bool

    def at_place(self, place: int) -> Callable[[Array], Array]:
        """The map of rows that all stand at one place."""
        return lambda rows: self.forward(rows, np.full(len(rows), place))


def allowance(
    function: Callable[[Array, Array], Array],
    rows: Array,
    at: Array,
    y: Array,
    eps: float,
    scale: Any,
    moves: Sequence[float] = MOVES[:1],
) -> Array:
    """How far results y (P, m) of `function` on rows (P, n) may be off by rounding, in a precision of `eps`.

    A rounding of the input by a few units in the last place (`moves`) moves the result by so much, and the result is
    rounded itself, with a cancellation of terms up to `scale` (P, 1). It is infinite only where `function` stops being
    finite.
    """
    wide, exact = rows.astype(np.float64), y.astype(np.float64)
    moved = np.zeros(y.shape)
    with np.errstate(all="ignore"):
        here = function(wide, at)
        for units, pattern in itertools.product(moves, _signs(rows.shape[-1])):
            there = function(wide * (1 + units * eps * pattern), at)
            moved = np.maximum(moved, np.where(there == here, 0, np.abs(there - here)))
        allowed = 4 * moved + 64 * eps * (np.where(np.isfinite(exact), np.abs(exact), 0) + scale)
    return np.where(np.isnan(allowed), np.inf, allowed)


def _signs(n: int) -> Array:
    """Signs (patterns, n): all alike, and such that any two places differ in one pattern."""
    bits = np.arange(n) >> np.arange(max(n - 1, 0).bit_length())[:, None] & 1
    return np.concatenate([np.ones((1, n)), -np.ones((1, n)), 1 - 2.0 * bits])


def magnitude(rows: Array) -> Array:
    """The largest sum that elements of a row (P, n) can make, (P, 1)."""
    return np.asarray(rows.shape[-1] * (1 + np.abs(rows.astype(np.float64)).max(-1, keepdims=True, initial=0)))
