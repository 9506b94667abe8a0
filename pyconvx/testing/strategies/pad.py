"""Calls of pad."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from hypothesis import strategies as st

from ...padding import PaddingMode
from ...plugin import Bound
from .arrays import REALS, Drawn, drawn
from .plugins import bound_mode, copied, padding_modes


@dataclass(frozen=True)
class PadCase:
    """A call of pad: pad(x, pad_width, mode)."""

    x: Drawn
    pad_width: Any
    mode: Any


@st.composite
def pad_cases(
    draw: st.DrawFn,
    dtypes: Sequence[str] = REALS,
    forms: Sequence[str] = ("plain",),
    values: Sequence[str] = ("normal", "whole"),
    crop: bool = True,
    modes: Sequence[Any] = (),
) -> PadCase:
    """Calls of pad on arrays of 1 to 4 axes, with amounts far longer than an axis, and negative ones."""
    ndim = draw(st.integers(1, 4))
    shape = tuple(draw(st.integers(1, 6 if ndim < 4 else 3)) for _ in range(ndim))
    largest = 20 if ndim < 3 else 7
    pairs = []
    for n in shape:
        before = draw(st.integers(-n if crop else 0, largest))
        after = draw(st.integers(max(-n, -n - before) if crop else 0, largest))
        pairs.append((before, after))
    form = draw(st.sampled_from(["pairs", "dict", "pair", "int"]))
    width: Any = tuple(pairs)
    if form == "dict":
        width = {axis: pair for axis, pair in enumerate(pairs) if axis % 2 == 0}
    elif form in ("pair", "int") and min(min(pair) for pair in pairs) >= 0:
        width = pairs[0] if form == "pair" else pairs[0][0]
    mode = draw(st.sampled_from(tuple(modes)) if modes else padding_modes(ndim))
    x = draw(drawn(shape, dtypes, forms, values))
    if np.dtype(x.dtype).kind != "f":  # a constant that every integer holds
        one = bound_mode("constant", 1)
        mode = tuple(one if isinstance(m, Bound) else m for m in mode) if isinstance(mode, tuple) else (
            one if isinstance(mode, Bound) else mode
        )  # fmt: skip
    return PadCase(x, width, copied(mode) if x.dtype == "bool" else mode)


@st.composite
def joint_pad_cases(
    draw: st.DrawFn,
    mode: Bound[PaddingMode],
    dtypes: Sequence[str] = REALS,
    forms: Sequence[str] = ("plain",),
    values: Sequence[str] = ("normal", "whole"),
) -> PadCase:
    """Calls of pad in a joint mode, along as many of up to four axes as it is for; most of them of even length."""
    rank = draw(st.sampled_from(mode.plugin.ranks))
    ndim = draw(st.integers(rank, max(rank, 4)))
    axes = sorted(draw(st.permutations(range(ndim)))[:rank])
    shape = tuple(draw(st.integers(1, 3).map(lambda n: 2 * n) | st.integers(1, 3)) for _ in range(ndim))
    width = {}
    for axis in axes:
        n = shape[axis]
        before = draw(st.integers(-n, 9 if rank < 3 else 3))
        width[axis] = before, draw(st.integers(max(-n, -n - before), 9 if rank < 3 else 3))
    by_name = ndim > rank or draw(st.booleans())
    x = draw(drawn(shape, dtypes, forms, values))
    return PadCase(x, width if by_name else tuple(width.values()), copied(mode) if x.dtype == "bool" else mode)
