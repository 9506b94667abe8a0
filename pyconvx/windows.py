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
from .plugin import Bound
from .remember import remembered

__all__ = ["adaptive_axis", "adjoint_axis", "forward_axis", "one"]

Indices = NDArray[np.intp]
Mixes = tuple[Indices, Indices, NDArray[np.float64]]  # sizes, coordinates, weights
MAX_TABLE = 2**28  # entries (2 GiB): more is refused before it is asked for
PAIRS = 2**20  # of a position and a tap, that are looked at together


@lru_cache(maxsize=1)
def one() -> Axis:
    """The table of an axis that is not there: one place with one tap."""
    return Axis(1, 1, 1, np.zeros(1, np.intp), np.zeros(1, np.intp))


def _fits(entries: int, window: Window) -> None:
    if entries > MAX_TABLE:
        raise MemoryError(f"an index table of {entries} entries does not fit: {window}")


def _positions(window: Window) -> tuple[Indices, int, int]:
    """Padded coordinates that windows read (0 is the first element), and the steps between windows and taps."""
    span = (window.out - 1) * window.stride + window.reach if window.out else 0
    dense = span <= window.out * window.taps
    _fits(span if dense else window.out * window.taps, window)
    if dense:
        return np.arange(span, dtype=np.intp) - window.before, window.stride, window.dilation
    starts = np.arange(window.out, dtype=np.intp) * window.stride - window.before
    taps = np.arange(window.taps, dtype=np.intp) * window.dilation
    return (starts[:, None] + taps).ravel(), window.taps, 1


def _codes(table: IndexMap) -> tuple[Indices, Mixes | None]:
    """Codes of an index map, and the mixes that they refer to."""
    if table.weight is None:
        return table.index[0].copy(), None
    used = table.weight != 0
    first = used.argmax(0)
    columns = np.arange(table.index.shape[1])
    codes = table.index[first, columns].copy()
    plain = (used.sum(0) == 1) & (table.weight[first, columns] == 1)
    mixed = np.flatnonzero(~plain)
    codes[mixed] = FIRST_MIX - np.arange(mixed.size)
    terms = used[:, mixed]
    at, term = np.nonzero(terms.T)
    return codes, (terms.sum(0), table.index[term, mixed[at]], table.weight[term, mixed[at]])


def _inside(coordinates: Indices, n: int) -> NDArray[np.bool_]:
    return (coordinates >= 0) & (coordinates < n)


@remembered(Window, Bound)
def forward_axis(window: Window, mode: Bound[PaddingMode] | None) -> Axis:
    """The table by which windows read an axis. With mode None, padded positions hold nothing; with a joint one they are
    mixes without terms, the m-th for the m-th position of the padded axis: kernels look for them in a Border.
    """
    positions, step, tap_step = _positions(window)
    mixes = None
    if mode is None:
        codes = np.where(_inside(positions, window.source), positions, NOTHING)
    elif mode.plugin.joint:
        codes = np.where(_inside(positions, window.source), positions, FIRST_MIX - window.before - positions)
        mixes = np.zeros(window.padded, np.intp), np.empty(0, np.intp), np.empty(0)
    else:
        codes, mixes = _codes(index_map(mode, positions, window.source))
    rows = np.arange(window.out, dtype=np.intp)
    extent = None
    if window.out and (window.out - 1) * window.stride + window.reach > window.padded:  # the overhang of ceil_mode
        codes[positions >= window.source + window.after] = NOTHING
        left = window.padded - rows * window.stride
        extent = np.minimum(-(-left // window.dilation), window.taps)
    return Axis(window.source, window.taps, tap_step, rows * step, codes, extent=extent, mixes=mixes)


@remembered(Window, Bound)
def adjoint_axis(window: Window, mode: Bound[PaddingMode]) -> Axis:
    """The table of the adjoint: for each element of the axis and each tap, the window that read it with that tap.

    Elements are visited phase by phase of the stride, so that neighbours in a tile lack the same taps. An element that
    the padding shows several times has codes of its own, in which a tap may be the sum of several windows.
    """
    n, stride, dilation, taps = window.source, window.stride, window.dilation, window.taps
    place = np.argsort(np.arange(n) % stride, kind="stable") if 1 < stride < n else np.arange(n, dtype=np.intp)
    shown = _shown(window, mode)
    extra = np.unique(shown[0])
    # the codes of element i, tap k stand at i + reach - k * dilation: the window that starts at i - k * dilation. Those
    # of elements with codes of their own follow. Where that is longer, each element has a row of its taps.
    reach = window.reach - 1
    entries = n + reach + extra.size * (reach + 1)
    dense = entries <= n * taps
    _fits(min(entries, n * taps), window)
    if dense:
        step, rows = -dilation, np.arange(n, dtype=np.intp) + reach
        line = _windows(window, np.arange(-reach, n, dtype=np.intp) + window.before)
        codes = np.concatenate([line, np.full(entries - line.size, NOTHING)])
        rows[extra] = line.size + reach + np.arange(extra.size) * (reach + 1)
    else:
        step, rows = 1, np.arange(n, dtype=np.intp) * taps
        starts = np.arange(n, dtype=np.intp)[:, None] + window.before - np.arange(taps, dtype=np.intp) * dilation
        codes = _windows(window, starts).ravel()
    mixes = _meet(window, shown, codes, rows, step) if extra.size else None
    return Axis(window.out, taps, step, rows[place], codes, place=place, mixes=mixes)


def _windows(window: Window, starts: Indices) -> Indices:
    """The windows that start at padded positions; NOTHING where none does."""
    index = starts // window.stride
    return np.where((starts % window.stride == 0) & _inside(index, window.out), index, NOTHING)


def _shown(window: Window, mode: Bound[PaddingMode]) -> tuple[Indices, Indices, NDArray[np.float64]]:
    """Elements that the padding shows, the positions at which they are read, their own included, and the weights."""
    positions = np.unique(_positions(window)[0])
    table = index_map(mode, positions, window.source)
    weights = np.ones(table.index.shape) if table.weight is None else table.weight
    term, at = np.nonzero((weights != 0) & (table.index != OUTSIDE) & ~_inside(positions, window.source))
    # several terms of a position may be one element
    pairs, pair = np.unique(table.index[term, at] * positions.size + at, return_inverse=True)
    sums = np.bincount(pair, weights[term, at], pairs.size)
    elements, at = np.divmod(pairs[sums != 0], max(1, positions.size))
    own = np.unique(elements)
    order = np.argsort(np.concatenate([own, elements]), kind="stable")
    reads = (own, elements), (own, positions[at]), (np.ones(own.size), sums[sums != 0])
    elements, positions, weights = (np.concatenate(each)[order] for each in reads)
    return elements, positions, weights


def _meet(
    window: Window,
    shown: tuple[Indices, Indices, NDArray[np.float64]],
    codes: Indices,
    rows: Indices,
    step: int,
) -> Mixes:
    """Fill in the codes of elements that the padding shows; returns the mixes of windows that meet in one of them."""
    elements, positions, weights = shown
    mixes: list[Mixes] = []
    made = terms = 0
    some = max(1, PAIRS // elements.size)
    for first in range(0, window.taps, some):
        taps = np.arange(first, min(first + some, window.taps), dtype=np.intp)
        read = _windows(window, (positions + window.before) - taps[:, None] * window.dilation)
        codes[rows[elements] + taps[:, None] * step] = NOTHING
        tap, at = np.nonzero(read != NOTHING)  # all windows of an element and tap follow one another
        where, read = rows[elements[at]] + taps[tap] * step, read[tap, at]
        starts = np.flatnonzero(np.diff(where, prepend=-1))
        counts = np.diff(starts, append=where.size)
        plain = (counts == 1) & (weights[at[starts]] == 1)
        codes[where[starts]] = np.where(plain, read[starts], FIRST_MIX - made - np.cumsum(~plain) + 1)
        mixed = np.repeat(~plain, counts)
        mixes.append((counts[~plain], read[mixed], weights[at[mixed]]))
        made += mixes[-1][0].size
        terms += mixes[-1][1].size
        _fits(terms, window)
    sizes, coordinates, sums = (np.concatenate(part) for part in zip(*mixes, strict=True))
    return sizes, coordinates, sums


@remembered()
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
