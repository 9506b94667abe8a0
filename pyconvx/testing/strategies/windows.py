"""What the calls of all windowed operations have in common: amounts of padding, sizes of arrays."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hypothesis import strategies as st

LAYOUTS = ("channels_last", "channels_first")
RANKS = (1, 2, 3)


def each_axis(values: st.SearchStrategy[int], rank: int) -> st.SearchStrategy[Any]:
    """One int for all axes, or one for each."""
    return values | st.tuples(*[values] * rank)


def padding_amounts(rank: int, largest: int) -> st.SearchStrategy[Any]:
    """Amounts of every form."""
    named = ["valid", "same", "same_lower", "full", *(["causal"] if rank == 1 else [])]
    number = st.integers(0, largest)
    pair = st.tuples(number, number)
    return st.one_of(st.sampled_from(named), number, st.tuples(*[number] * rank), st.tuples(*[pair] * rank))


def array_shape(sample: Sequence[int], channels: int, batch: int | None, layout: str) -> tuple[int, ...]:
    own = (*sample, channels) if layout == "channels_last" else (channels, *sample)
    return own if batch is None else (batch, *own)


def sizes(draw: st.DrawFn, rank: int, least: Sequence[int]) -> tuple[int, ...]:
    """Spatial sizes: the least that the windows need, and some more; at times enough for several tiles."""
    more = {1: 40, 2: 9, 3: 4}[rank]
    if rank == 2 and draw(st.integers(0, 5)) == 5:
        more = 18
    return tuple(draw(st.integers(n, n + more)) for n in least)


def batch_size(draw: st.DrawFn, empty: bool) -> int | None:
    return draw(st.sampled_from([1, None, 2, 3, *([0] if empty else [])]))


def per_axis(value: Any, rank: int) -> tuple[int, ...]:
    return value if isinstance(value, tuple) else (value,) * rank
