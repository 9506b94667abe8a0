"""Slopes by central differences, with how sure they are. Imports NumPy only.

Several steps are tried at once. Where a function is smooth, forward and backward differences approach each other as
the step shrinks; where they stop doing so, a kink or a jump is nearer than the smallest step, and the slope is unknown.
So it is where central differences do not settle: forward and backward differences of an odd function such as
tanh(1e4 x) are equal at 0 whatever the step.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

STEPS = 2.0 ** -np.arange(5, 19, 2)
RATIO = 4.0  # of a step to the next
SMOOTH = 1.1  # what the bend of a function may be off by as the step shrinks; that of |x|^p at 0 shrinks by RATIO^(p-1)
SETTLES = 0.5  # of what central differences change by, from a step to the next; 1 / RATIO^2 for a smooth function
SURE = 4  # steps, after which a slope on one side is believed
NOISE = 32 * float(np.finfo(np.float64).eps)  # a few roundings in the function
ELEMENTS = 2**15  # of the points at which a function is asked for its values at once


def slopes(function: Callable[[Array], Array], x: Array, directions: Array) -> tuple[Array, Array]:
    """Slopes (directions, m) of `function`, rows (P, n) to rows (P, m), at x (n,), and how far they may be off.

    directions: (D, n). The error is infinite where the slope is not known.
    """
    most = max(1, ELEMENTS // ((2 * len(STEPS) + 1) * x.size))
    some = [_slopes(function, x, directions[i : i + most]) for i in range(0, len(directions), most)]
    found, errors = zip(*some, strict=True)
    return np.concatenate(found), np.concatenate(errors)


def sides(function: Callable[[Array], Array], x: float) -> tuple[float, float]:
    """Between what a derivative of `function`, (P, 1) to (P, 1), may lie at x: its slopes on either side.

    From -inf to inf unless both are known, by the smallest steps.
    """
    y = function(np.concatenate([[x], x + STEPS, x - STEPS])[:, None]).ravel()
    here, high, low = y[0], y[1 : 1 + len(STEPS)], y[1 + len(STEPS) :]
    with np.errstate(all="ignore"):
        both = np.stack([(high - here) / STEPS, (here - low) / STEPS])  # (2, steps)
        noise = NOISE * (np.abs(y).max() + abs(x) + 1) / STEPS
        changes = np.abs(np.diff(both))
        settled = changes[:, 1:] <= changes[:, :-1] * SETTLES + noise[2:]
        if not settled[:, -SURE:].all():
            return -np.inf, np.inf
        off = 4 * (changes[:, -1] + noise[-1])
        return float((both[:, -1] - off).min()), float((both[:, -1] + off).max())


def _slopes(function: Callable[[Array], Array], x: Array, directions: Array) -> tuple[Array, Array]:
    """The same for a few directions."""
    shift = STEPS[:, None, None] * directions  # (steps, D, n)
    points = np.concatenate([x + shift, x - shift, np.broadcast_to(x, (1, *shift.shape[1:]))])
    y = function(points.reshape(-1, x.size)).reshape(*points.shape[:2], -1)
    high, low, here = y[: len(STEPS)], y[len(STEPS) : -1], y[-1]
    step = STEPS[:, None, None]
    with np.errstate(all="ignore"):
        central = (high - low) / (2 * step)
        bend = np.abs(high - 2 * here + low) / step
        largest = np.maximum(np.maximum(np.abs(high), np.abs(low)), np.abs(here))
        noise = NOISE * (largest + np.abs(x).max() + 1) / step
        shrinks = bend[1:] <= bend[:-1] * (SMOOTH / RATIO) + noise[1:]
        changes = np.abs(central[1:] - central[:-1])
        shrinks[1:] &= changes[1:] <= changes[:-1] * SETTLES + noise[2:]
        smooth = np.logical_and.accumulate(shrinks[::-1])[::-1]  # from this step down to the smallest
        error = np.where(smooth, changes + noise[1:], np.inf)
    error = np.where(np.isfinite(error), error, np.inf)
    best = error.argmin(0)[None]
    return np.take_along_axis(central[1:], best, 0)[0], np.take_along_axis(error, best, 0)[0]
