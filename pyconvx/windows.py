"""Index tables: where the taps of each window lie along one axis, for the compiled core.

Joins the geometry of windows with the index map of a padding mode. A table has one entry per position of the padded
axis, not per tap of each window, so that it stays small however large the kernel; where windows are sparser than
positions, it has one entry per tap. Imports geometry, padding and the core.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from ._core import FIRST_MIX, NOTHING, OUTSIDE, Axis
from .geometry import Window
from .padding import IndexMap, PaddingMode, index_map
from .registry import Bound
from .remember import remembered

__all__ = ["adaptive_axis", "adjoint_axis", "forward_axis", "one"]

Mixes = list[tuple[list[int], list[float]]]
MAX_TABLE = 2**28  # entries (2 GiB): more is refused before it is asked for


@lru_cache(maxsize=1)
def one() -> Axis:
    """The table of an axis that is not there: one place with one tap."""
    return Axis(1, 1, 1, np.zeros(1, np.intp), np.zeros(1, np.intp))


def _positions(window: Window) -> tuple[NDArray[np.intp], int, int]:
    """Padded coordinates that windows read (0 is the first element), and the steps between windows and taps."""
    span = (window.out - 1) * window.stride + window.reach if window.out else 0
    dense = span <= window.out * window.taps or window.out == 0
    entries = span if dense else window.out * window.taps
    if entries > MAX_TABLE:
        raise MemoryError(f"an index table of {entries} entries does not fit: {window}")
    if dense:
        return np.arange(span, dtype=np.intp) - window.before, window.stride, window.dilation
    starts = np.arange(window.out, dtype=np.intp) * window.stride - window.before
    taps = np.arange(window.taps, dtype=np.intp) * window.dilation
    return (starts[:, None] + taps).ravel(), window.taps, 1


def _codes(table: IndexMap) -> tuple[NDArray[np.intp], Mixes]:
    """Codes of an index map, and the mixes that they refer to."""
    if table.weight is None:
        return table.index[0].copy(), []
    used = table.weight != 0
    first = used.argmax(0)
    columns = np.arange(table.index.shape[1])
    codes = table.index[first, columns].copy()
    plain = (used.sum(0) == 1) & (table.weight[first, columns] == 1)
    mixes: Mixes = []
    for position in np.flatnonzero(~plain):
        chosen = used[:, position]
        codes[position] = FIRST_MIX - len(mixes)
        mixes.append((table.index[chosen, position].tolist(), table.weight[chosen, position].tolist()))
    return codes, mixes


def _inside(coordinates: NDArray[np.intp], n: int) -> NDArray[np.bool_]:
    return (coordinates >= 0) & (coordinates < n)


@remembered(512)
def forward_axis(window: Window, mode: Bound[PaddingMode] | None) -> Axis:
    """The table by which windows read an axis. With mode None, padded positions hold nothing."""
    positions, step, tap_step = _positions(window)
    padded = (positions >= -window.before) & (positions < window.source + window.after)
    mixes: Mixes = []
    if mode is None:
        codes = np.where(_inside(positions, window.source), positions, NOTHING)
    else:
        codes, mixes = _codes(index_map(mode, positions, window.source))
        codes[~padded] = NOTHING  # the overhang of ceil_mode
    rows = np.arange(window.out, dtype=np.intp) * step
    extent = None
    if not padded.all():
        extent = padded[rows[:, None] + np.arange(window.taps) * tap_step].sum(1)
    return Axis(window.source, window.taps, tap_step, rows, codes, extent=extent, mixes=mixes)


@remembered(512)
def adjoint_axis(window: Window, mode: Bound[PaddingMode]) -> Axis:
    """The table of the adjoint: for each element of the axis and each tap, the window that read it with that tap.

    Elements are visited phase by phase of the stride, so that neighbours in a tile lack the same taps. An element that
    the padding shows several times has codes of its own, in which a tap may be the sum of several windows.
    """
    n, stride, dilation = window.source, window.stride, window.dilation
    place = np.argsort(np.arange(n) % stride, kind="stable") if 1 < stride < n else np.arange(n, dtype=np.intp)
    reach = window.reach - 1
    # the codes of element i, tap k stand at i + reach - k * dilation: the window that starts at i - k * dilation
    starts = np.arange(-reach, n, dtype=np.intp) + window.before
    index = starts // stride
    line = np.where((starts % stride == 0) & _inside(index, window.out), index, NOTHING)
    rows = place + reach
    extra = _repeated(window, mode)
    if not extra:
        return Axis(window.out, window.taps, -dilation, rows, line, place=place)
    mixes: Mixes = []
    pieces, at = [line], line.size
    row_of = np.arange(n, dtype=np.intp) + reach
    taps = np.arange(window.taps)
    for element, shown in extra.items():
        found: list[dict[int, float]] = [{} for _ in taps]
        for position, weight in shown:
            start = position - taps * dilation + window.before
            hit = (start % stride == 0) & _inside(start // stride, window.out)
            for k in np.flatnonzero(hit):
                i = int(start[k] // stride)
                found[k][i] = found[k].get(i, 0.0) + weight
        piece = np.full(reach + 1, NOTHING, np.intp)
        for tap, every in enumerate(found):
            sums = {i: weight for i, weight in every.items() if weight}
            if len(sums) == 1 and next(iter(sums.values())) == 1:
                piece[reach - tap * dilation] = next(iter(sums))
            elif sums:
                piece[reach - tap * dilation] = FIRST_MIX - len(mixes)
                mixes.append((list(sums), list(sums.values())))
        row_of[element] = at + reach
        pieces.append(piece)
        at += piece.size
    return Axis(window.out, window.taps, -dilation, row_of[place], np.concatenate(pieces), place=place, mixes=mixes)


def _repeated(window: Window, mode: Bound[PaddingMode]) -> dict[int, list[tuple[int, float]]]:
    """Elements that the padding shows elsewhere too: all (position, weight) at which each is read, its own included."""
    positions = np.unique(_positions(window)[0])
    table = index_map(mode, positions, window.source)
    weights = np.ones(table.index.shape) if table.weight is None else table.weight
    shown: dict[int, list[tuple[int, float]]] = {}
    for term, column in np.argwhere((weights != 0) & (table.index != OUTSIDE) & ~_inside(positions, window.source)):
        element = int(table.index[term, column])
        shown.setdefault(element, [(element, 1.0)]).append((int(positions[column]), float(weights[term, column])))
    return shown


@remembered(512)
def adaptive_axis(n: int, out: int) -> Axis:
    """Windows from floor(i n / out) to ceil((i + 1) n / out), which cover the axis evenly."""
    if out > MAX_TABLE // 16:  # some twenty temporary arrays of that length
        raise MemoryError(f"an index table for {out} windows does not fit")
    i = np.arange(out, dtype=object if n * (out + 1) > 2**62 else np.intp)
    starts, ends = (i * n // out).astype(np.intp), (-(-(i + 1) * n // out)).astype(np.intp)
    taps = int((ends - starts).max())
    if n % out == 0:
        return Axis(n, taps, 1, starts, np.arange(n))
    # windows differ in length: the codes of each are written out, and filled up with nothing
    codes = starts[:, None] + np.arange(taps)
    codes[codes >= ends[:, None]] = NOTHING
    return Axis(n, taps, 1, np.arange(out) * taps, codes.ravel(), extent=ends - starts)
