"""Laws about numbers, for anything that maps rows: see `maps`. Imports NumPy.

Each takes the map and rows (P, n), and raises `Refuted` where it does not hold.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .differences import sides, slopes
from .inputs import NEAR, uneven, varied
from .law import Refuted, require_close, shown
from .maps import MOVES, RowMap, allowance, magnitude
from .purity import slack

Array = NDArray[Any]

EPS32 = float(np.finfo(np.float32).eps)
LARGEST32 = float(np.finfo(np.float32).max)
NOISE = 2.0**-46  # what 64 roundings of float64 amount to
LONGER, FINE = 2.0 ** -np.arange(10, 17, 2), 2.0**-27
"""Steps, relative to a row. float32 tells 2^-24; the rounding of steep functions in float64, as of 1 - y * y times
10,000, is small beside what they change in the shorter one."""
FEW = 997  # rows at a time, where there are many
FEWER = (5, 29, 64, 65, 100, 128, 255, 256, 513)  # at a time, of the first ones
FAR_FROM_EACH = 4  # places from a row to one whose gy is of another size
MULTIPLES = (2.0**-12, 2.0**10)


def _places(rows: Array) -> Array:
    return np.arange(len(rows), dtype=np.intp)


def _ones(at: Array, length: int, dtype: Any) -> Array:
    return np.ones((len(at), length), dtype)


def _both(
    row_map: RowMap, rows: Array, given: Callable[[Array, int, Any], Array] = uneven
) -> list[tuple[str, Callable[[Array, Array], Array], Any]]:
    """What there is to look at: results and, for a plugin with a gradient, gradients; with the scale of rounding.

    `given(at, length, dtype)` is the gy of each row.
    """
    found: list[tuple[str, Callable[[Array, Array], Array], Any]] = [("result", row_map.forward, magnitude(rows))]
    backward = row_map.backward
    if backward is not None:

        def gradient(rows: Array, at: Array) -> Array:
            y = row_map.forward(rows, at)
            return backward(rows, at, given(at, y.shape[-1], rows.dtype))

        at = _places(rows)
        gy = given(at, row_map.forward(rows, at).shape[-1], np.float64)
        scale = (rows.shape[-1] + _rounded(rows)) * _largest(gy) * _steepness(gradient, rows)
        found.append(("gradient", gradient, scale))
    return found


def _steepness(gradient: Callable[[Array, Array], Array], rows: Array) -> float:
    """The gradient at 0 if it is large: others may be what is left of it, as 1 - y^2 is of a tanh's."""
    found = np.abs(gradient(np.zeros_like(rows[:1]), np.zeros(1, np.intp)))
    return float(np.max(found, initial=1, where=np.isfinite(found)))


def _largest(gy: Array) -> Array:
    """The largest absolute number of each row, (P, 1)."""
    return np.asarray(np.abs(gy).max(-1, keepdims=True, initial=0))


def _rounded(rows: Array) -> Array:
    """What a gradient may be off by, in roundings, because the result that it is given is rounded itself, (P, 1).

    That of a log of a sum of exponentials is exp(w - y): off by as much as y is, which grows with the elements.
    """
    return np.asarray(np.abs(rows.astype(np.float64)).max(-1, keepdims=True, initial=0) / 8)


def independent(row_map: RowMap, rows: Array) -> None:
    """Rows together, one by one and in the opposite order."""
    at, eps = _places(rows), float(np.finfo(rows.dtype).eps)
    for what, function, scale in _both(row_map, rows):
        together = function(rows, at)
        allowed = allowance(function, rows, at, together, eps, scale)
        alone = np.concatenate([function(rows[i : i + 1].copy(), at[i : i + 1]) for i in at])
        _require_close(what, together, alone, allowed, "as for each by itself", rows.dtype)
        turned = function(rows[::-1].copy(), at[::-1].copy())[::-1]
        _require_close(what, turned, together, allowed, "in whatever order they are given", rows.dtype)


def no_nan(row_map: RowMap, rows: Array) -> None:
    """Finite rows, whatever their magnitude; where a result is infinite, its gradient may be anything."""
    at = _places(rows)
    y = row_map.forward(rows, at)
    if np.isnan(y).any():
        raise Refuted(f"result is {shown(y)}", "numbers")
    if row_map.backward is not None:
        finite = np.isfinite(y).all(-1)
        gx = row_map.backward(rows, at, np.ones_like(y))[finite]
        if not np.isfinite(gx).all():
            raise Refuted(f"gradient is {shown(gx)}", "finite numbers, as results are finite")


def slope(row_map: RowMap, rows: Array) -> None:
    """The gradient of each result with respect to each element, at rows where slopes are known."""
    assert row_map.backward is not None
    at = _places(rows)
    results = row_map.forward(rows, at).shape[-1]
    units = [np.broadcast_to(unit, (len(rows), results)).copy() for unit in np.eye(results)]
    gradients = np.stack([row_map.backward(rows, at, unit) for unit in units], -1)  # (P, n, m)
    for place, (row, got) in enumerate(zip(rows, gradients, strict=True)):
        directions = np.vstack([np.eye(row.size), _slanting(row.size)])
        want, error = slopes(row_map.at_place(place), row, directions)  # (n + 1, m)
        if _differentiable(want, error):
            allowed = 4 * error[:-1] + 1e-7 * np.abs(want[:-1]) + 1e-9
            require_close("gradient", got, want[:-1], allowed, "(element, result), by differences at", row)
        elif got.size == 1:
            low, high = sides(row_map.at_place(place), row[0])
            if not low <= got.item() <= high:
                raise Refuted(f"gradient is {got.item()}", f"{low:.4g} to {high:.4g}, the slopes beside {shown(row)}")


def _slanting(n: int) -> Array:
    """A direction (n,) that no two axes share alike."""
    return 1 + np.arange(n) * 0.618034 % 1


def _differentiable(want: Array, error: Array) -> bool:
    """Whether all slopes are known, and that in the last direction, the slanting one, is made of those along the axes.

    A median of three equal numbers has a slope of 0 with respect to each, and moves with all of them.
    """
    weights = _slanting(len(want) - 1)[:, None]
    made, off = (weights * want[:-1]).sum(0), (weights * error[:-1]).sum(0)
    with np.errstate(invalid="ignore"):
        agree = np.abs(made - want[-1]) <= 4 * (off + error[-1]) + 1e-6 * (1 + np.abs(made))
    return bool((agree & np.isfinite(error).all(0)).all())


def slope_along(row_map: RowMap, rows: Array) -> None:
    """The gradient in some directions: along single axes, and along all of them, no two alike; for rows of many."""
    assert row_map.backward is not None
    for place, row in enumerate(rows):
        directions = np.vstack([np.eye(row.size)[_some(row.size)], _slanting(row.size)])
        want, error = slopes(row_map.at_place(place), row, directions)  # (D, m)
        known = np.asarray(np.isfinite(error).all(-1))
        gy = varied((1, want.shape[-1]))
        along = (row_map.backward(row[None].copy(), np.array([place]), gy) * directions).sum(-1)
        allowed = 4 * (np.abs(gy) * (error + 1e-7 * np.abs(want))).sum(-1) + 1e-9 * row.size
        why = "as the row is moved along an axis, or along all (the last)"
        require_close("gradient along directions", *_but(~known, along, (gy * want).sum(-1), allowed), why)


def gradient_sum(row_map: RowMap, rows: Array) -> None:
    """The sum of a gradient is the slope of moving the whole row."""
    assert row_map.backward is not None
    for place, row in enumerate(rows):
        want, error = slopes(row_map.at_place(place), row, np.ones((1, row.size)))  # (1, m)
        gy = varied(want.shape)
        if not np.isfinite(error).all():
            continue
        total = row_map.backward(row[None].copy(), np.array([place]), gy).sum(-1)
        allowed = 4 * (np.abs(gy) * (error + 1e-7 * np.abs(want))).sum(-1) + 1e-9 * row.size
        why = "as the whole row is moved, for (row, gy) ="
        require_close("sum of the gradient", total, (gy * want).sum(-1), allowed, why, (row, gy))


def linear(row_map: RowMap, rows: Array) -> None:
    """The gradient of a sum is the sum of the gradients, and that of a multiple the multiple of the gradient."""
    backward = row_map.backward
    assert backward is not None
    at = _places(rows)
    length = row_map.forward(rows, at).shape[-1]
    one, other = uneven(at, length, rows.dtype), uneven(at + FAR_FROM_EACH, length, rows.dtype)
    first, second = backward(rows, at, one), backward(rows, at, other)
    rounding, more = (_rounding(backward, rows, *pair) for pair in ((one, first), (other, second)))
    with np.errstate(invalid="ignore", over="ignore"):
        want = first + second
        allowed = rounding + more + 1e-9 * (1 + np.abs(first) + np.abs(second))
    whole = backward(rows, at, one + other)
    require_close("gradient of gy + gy'", whole, want, allowed, "the sum of the gradients of gy and gy'")
    for factor in MULTIPLES:
        multiple = backward(rows, at, one * rows.dtype.type(factor)) / rows.dtype.type(factor)
        require_close(f"gradient of {factor:g} gy by {factor:g}", multiple, first, rounding, "the gradient of gy")


def _rounding(backward: Callable[[Array, Array, Array], Array], rows: Array, gy: Array, gx: Array) -> Array:
    """How far a gradient (P, n) for gy may be off by rounding in the dtype of the rows."""
    eps, wide = float(np.finfo(rows.dtype).eps), gy.astype(np.float64)
    scale = (rows.shape[-1] + _rounded(rows)) * _largest(wide)
    return allowance(lambda rows, at: backward(rows, at, wide), rows, _places(rows), gx, eps, scale)


def _some(length: int) -> list[int]:
    """All places of a short row; the first of a long one, its middle and its end."""
    return sorted({*range(min(length, 9)), length // 2, max(0, length - 2), length - 1})


def not_a_number(row_map: RowMap, rows: Array) -> None:
    """A NaN in the first row, by itself and beside another or an infinity."""
    others, length = _Others(row_map, rows), rows.shape[-1]
    for place, beside in itertools.product(_some(length), (None, np.nan, np.inf) if length > 1 else (None,)):
        spoilt = rows.copy()
        if beside is not None:
            spoilt[0, (place + 1) % length] = beside
        spoilt[0, place] = np.nan
        y = others.stay(spoilt)
        if row_map.propagates_nan and not np.isnan(y[0]).any():
            raise Refuted(f"result is {shown(y[0])} for {shown(spoilt[0])}", "a NaN")


def infinity(row_map: RowMap, rows: Array) -> None:
    """An infinity in the first row, or two: the limit where there is one, or NaN."""
    others, length = _Others(row_map, rows), rows.shape[-1]
    for place, sign, count in itertools.product(_some(length), (1, -1), range(1, 1 + min(length, 2))):
        places = (place + np.arange(count)) % length
        moved = np.repeat(rows[:1], 2, 0)
        moved[:, places] = sign * np.array([[1e100], [1e140]])
        less, more = row_map.forward(moved, np.zeros(2, np.intp))
        spoilt = rows.copy()
        spoilt[0, places] = sign * np.inf
        y = others.stay(spoilt)[0]
        with np.errstate(all="ignore"):
            settled = np.abs(more - less) <= 1e-6 * (1 + np.abs(less))
            grows = (np.abs(more) > 1e10 * np.abs(less)) & (np.abs(less) > 1e10) & (np.sign(more) == np.sign(less))
        limit = np.where(settled, less, np.where(grows, np.sign(more) * np.inf, np.nan))
        free = np.isnan(limit) | (np.isnan(y) & ~np.array(row_map.limits))
        allowed = np.where(np.isfinite(limit), 1e-6 * (1 + np.abs(limit)), 0)
        require_close("result", *_but(free, y, limit, allowed), "the limit, for", spoilt[0])


class _Others:
    """The results and gradients of all rows but the first, which do not change whatever is in the first."""

    def __init__(self, row_map: RowMap, rows: Array) -> None:
        self._at, eps = _places(rows), float(np.finfo(rows.dtype).eps)
        self._before = []
        for what, function, scale in _both(row_map, rows):
            before = function(rows, self._at)
            self._before.append((what, function, before, allowance(function, rows, self._at, before, eps, scale)))

    def stay(self, spoilt: Array) -> Array:
        """Return the results of all rows, the first of which is spoilt."""
        found = [function(spoilt, self._at) for _, function, _, _ in self._before]
        why = "as before, whatever is in the first row,"
        for (what, _, before, allowed), after in zip(self._before, found, strict=True):
            require_close(f"{what} of the other rows", after[1:], before[1:], allowed[1:], why, spoilt[0])
        return found[0]


def _but(free: Array, got: Array, want: Array, allowed: Array) -> tuple[Array, Array, Array]:
    """The three with 0 wherever anything is allowed."""
    return np.where(free, 0, got), np.where(free, 0, want), np.where(free, 0, allowed)


def precision(row_map: RowMap, rows: Array) -> None:
    """float32 against float64, within a few roundings of float32; where results overflow, gradients may be anything."""
    at, narrow, wide = _places(rows), rows.astype(np.float32), rows.astype(np.float64)
    overflown = ~np.isfinite(row_map.forward(narrow, at)).all(-1, keepdims=True)
    for what, function, scale in _both(row_map, rows):
        got, want = function(narrow, at), function(wide, at)
        allowed = allowance(function, wide, at, want, EPS32, scale)
        if not (np.abs(got - want) <= allowed).all():  # such as of a sine of huge numbers
            allowed = allowance(function, wide, at, want, EPS32, scale, MOVES)
        free = ~np.isfinite(want) | (np.abs(want) + allowed > LARGEST32) | (overflown & (what == "gradient"))
        require_close(f"{what} in float32", *_but(free, got, want, allowed), "as in float64")


def digits(row_map: RowMap, rows: Array) -> None:
    """Inputs that are no numbers of float32, and neighbours a few of its units away.

    Results that change between them are numbers of float32 only if they have been computed in it (or in less); what is
    zero but for its rounding may be any number.
    """
    at, x = _places(rows), rows.astype(np.float64) * (1 + 2.0**-30)
    for what, function, _ in _both(row_map, rows, _ones):
        y, z = function(x, at), function(x * (1 + 2.0**-20), at)
        with np.errstate(over="ignore", invalid="ignore"):
            narrow = (y.astype(np.float32) == y) & (z.astype(np.float32) == z)
            changes = np.isfinite(y) & np.isfinite(z) & (np.abs(y - z) > NOISE * (1 + np.abs(y)))
        if changes.sum() > 1 and narrow[changes].all():  # one may be a step that was crossed by chance
            raise Refuted(f"{what} is {shown(y)} in float64, which float32 holds", "more digits, as of another input")
        _require_fine(what, function, x, at, y)


def _require_fine(what: str, function: Callable[[Array, Array], Array], x: Array, at: Array, y: Array) -> None:
    """Where rows are made longer by less than float32 tells, results change at the rate that longer steps agree on.

    Else some term of them has been computed in float32, and stays as it was.
    """
    steps = np.concatenate([LONGER, -LONGER])
    with np.errstate(all="ignore"):
        rates = np.stack([(function(x * (1 + step), at) - y) / step for step in steps])
        rate, largest = rates.mean(0), np.abs(rates).max(0)
        fine = (function(x * (1 + FINE), at) - y) / FINE
        agreed = np.ptp(rates, 0) <= 0.02 * largest
        off = agreed & (np.abs(fine - rate) > 0.1 * largest + 2.0**-10 * (magnitude(x) + np.abs(y)))
    if off.sum() > 1:
        place = tuple(np.argwhere(off)[0])
        raise Refuted(
            f"{what} changes at the rate {fine[place]:.4g} where x is multiplied by 1 + {FINE:.2g}",
            f"{rate[place]:.4g}, as by 1 + {LONGER[0]:.2g}: part of it seems to be computed in float32",
        )


def _require_close(what: str, got: Array, want: Array, allowed: Array, why: str, dtype: Any, about: Any = None) -> None:
    """The same as `require_close`, but that one may be infinite where the other is at the end of the dtype."""
    if got.shape == want.shape:
        got, want, allowed = _but(_overflown(got, want, allowed, dtype), got, want, allowed)
    require_close(what, got, want, allowed, why, about)


def _overflown(got: Array, want: Array, allowed: Array, dtype: Any) -> Array:
    """Where one result is infinite, and the other may have become so by a rounding."""
    finite = np.abs(np.where(np.isinf(want), got, want).astype(np.float64))
    return np.asarray((np.isinf(got) != np.isinf(want)) & (finite + allowed > float(np.finfo(dtype).max)))


def _too_large(forward: Callable[[Array, Array], Array], rows: Array) -> Array:
    """Where results are finite, as float64 tells, but larger than what the dtype of the rows holds."""
    exact = np.abs(forward(rows.astype(np.float64), _places(rows)))
    return np.asarray(np.isfinite(exact) & (exact > float(np.finfo(rows.dtype).max)))


def defined(row_map: RowMap, rows: Array, definition: Callable[[Array], Array]) -> None:
    """Results against those of `definition`, of rows (P, n) in float64, within rounding of the dtype of the rows.

    A plain definition may overflow where numbers are large.
    """

    def plain(rows: Array, at: Array) -> Array:
        with np.errstate(all="ignore"):
            return np.asarray(definition(rows), np.float64)

    at, eps = _places(rows), float(np.finfo(rows.dtype).eps)
    want, got = plain(rows.astype(np.float64), at), row_map.forward(rows, at)
    allowed = allowance(plain, rows, at, want, eps, magnitude(rows))
    if got.shape == want.shape:
        large = np.abs(rows).max(-1, keepdims=True, initial=0) > NEAR
        got, want, allowed = _but(large & ~np.isfinite(want), got, want, allowed)
    _require_close("result", got, want, allowed, "by definition", rows.dtype, rows)


def compared(row_map: RowMap, rows: Array, got: Array, why: str) -> None:
    """Results of another form against those of the map, within rounding of the dtype of the rows."""
    at, eps = _places(rows), float(np.finfo(rows.dtype).eps)
    want = row_map.forward(rows, at)
    allowed = allowance(row_map.forward, rows, at, want, eps, magnitude(rows))
    _require_close("result", got, want, allowed, why, rows.dtype)


def compared_anywhere(row_map: RowMap, rows: Array, got: Array, why: str) -> None:
    """Results of another form, for rows with numbers of any size, and with NaN and infinities.

    Where the rules of `not_a_number` and `infinity` leave open what a result is, the two may differ, and where finite
    rows overflow on the way to a result of the map's own.
    """
    at, eps = _places(rows), float(np.finfo(rows.dtype).eps)
    want = row_map.forward(rows, at)
    nan, infinite = (np.asarray(found.any(-1, keepdims=True)) for found in (np.isnan(rows), np.isinf(rows)))
    if row_map.propagates_nan and got.shape == want.shape:
        for row, results in zip(rows[nan[:, 0]], got[nan[:, 0]], strict=True):
            if not np.isnan(results).any():
                raise Refuted(f"result is {shown(results)} for {shown(row)}", "a NaN")
    either_nan = np.isnan(want) | np.isnan(got)
    free = nan | infinite & either_nan & ~np.array(row_map.limits)
    free = free | ~infinite & np.isinf(want) & np.isfinite(got) & ~_too_large(row_map.forward, rows)
    allowed = np.where(np.isfinite(want), allowance(row_map.forward, rows, at, want, eps, magnitude(rows)), 0)
    _require_close("result", *_but(free, got, want, allowed), why, rows.dtype, rows)


def together(row_map: RowMap, rows: Array) -> None:
    """Many rows at once, and a few at a time."""
    at = _places(rows)
    for what, function, _ in _both(row_map, rows):
        whole = function(rows, at)
        for few in (*FEWER, FEW):
            ends = len(rows) if few == FEW else min(4 * few, len(rows))
            parts = [function(rows[i : i + few].copy(), at[i : i + few]) for i in range(0, ends, few)]
            want = np.concatenate(parts)
            require_close(what, whole[: len(want)], want, slack(want), f"as for {few} at a time")


def gradient_compared(row_map: RowMap, rows: Array, gy: Array, got: Array, why: str) -> None:
    """A gradient (P, n) that was taken in another way against `backward`, within rounding of the dtype of the rows."""
    backward = row_map.backward
    assert backward is not None
    at, eps = _places(rows), float(np.finfo(rows.dtype).eps)
    want = backward(rows, at, gy)
    allowed = allowance(
        lambda wide, at: backward(wide, at, gy.astype(np.float64)),
        rows,
        at,
        want,
        eps,
        np.abs(gy).max(initial=1) * (1 + _rounded(rows)),
    )
    _require_close("gradient", got, want, allowed, why, rows.dtype, rows)
