"""Numbers that the laws are tried on. Imports NumPy, Hypothesis and the forms of cases.

A case is drawn as bytes: some say how many rows of which length and dtype there are, the others each name a number in a
table: what plugins stumble over first, simplest numbers before others, then random ones. One draw of bytes costs
Hypothesis a tenth of many draws of floats, and shrinks to few and simple numbers. All are numbers of float32, so that
one case serves both dtypes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray

from .law import Block

Table = Callable[[int], NDArray[np.float32]]
"""256 numbers, those at the end according to a seed."""

FORM, NUMBERS = 4, 75  # bytes
FLOATS = ("float64", "float32")
SIMPLE = (0, 1, -1, 0.5, -0.5, 2, -2, 3, -3, 0.25, -0.75, 1.5, -5, 6, 7, -8, -17, 25, -0.0, 1e-3, -1e-6, -4e-3)
NEAR = 30  # the largest of the numbers that feature maps usually hold
FAR = (NEAR, 50, 89, 100, 300, 720, 1000, 3000, 10000, 40000, 1000000)
"""exp overflows at 88.8 in float32 and at 709.8 in float64; what is exact there goes on."""
HUGE = (1e5, 1e10, 1e15)


def near(seed: int) -> NDArray[np.float32]:
    """Numbers as feature maps hold them."""
    random = np.random.default_rng(seed)
    usual, wide = 3 * random.standard_normal(256), random.uniform(-NEAR, NEAR, 256)
    return _table(SIMPLE, np.where(random.random(256) < 0.5, usual, wide))


def far(seed: int) -> NDArray[np.float32]:
    """Large numbers of both signs, where slopes can still be told by differences."""
    random = np.random.default_rng(seed)
    return _table((*FAR, *(-x for x in FAR)), random.choice((-1, 1), 256) * 10 ** random.uniform(1.5, 6, 256))


def crowded(seed: int) -> NDArray[np.float32]:
    """Large numbers that differ little from each other, as of temperatures in kelvin."""
    random = np.random.default_rng(seed)
    offset = random.choice((-1, 1)) * 10 ** random.uniform(2, 4)
    numbers: NDArray[np.float64] = offset * (1 + 10 ** random.uniform(-4, -1) * random.standard_normal(256))
    return numbers.astype(np.float32)


def near_or_far(seed: int) -> NDArray[np.float32]:
    """Either, and now and then all far from zero and near each other."""
    if seed % 8 == 7:
        return crowded(seed)
    return np.stack([near(seed)[:128], far(seed)[:128]], 1).ravel()


def anywhere(seed: int) -> NDArray[np.float32]:
    """Any magnitude whose square float32 holds."""
    huge = np.array([*HUGE, *(-x for x in HUGE)], np.float32)
    return np.concatenate([near_or_far(seed)[: 256 - len(huge)], huge])


def special(seed: int) -> NDArray[np.float32]:
    """Any magnitude, and now and then what is no number or not finite."""
    numbers = anywhere(seed)
    numbers[7::8] = np.resize((np.nan, np.inf, -np.inf), 32)
    return numbers


def _table(first: Sequence[float], rest: NDArray[np.float64]) -> NDArray[np.float32]:
    """Every third number of the rest is one of the first again, so that windows have ties."""
    numbers = np.where(np.arange(256) % 3 == 0, np.resize(first, 256), rest)
    numbers[: len(first)] = first
    return numbers.astype(np.float32)


def blocks(
    name: str, lengths: Sequence[int], table: Table, dtypes: Sequence[str] = FLOATS, rows: int = 3
) -> st.SearchStrategy[Block]:
    """Up to so many rows of one of the lengths."""

    def block(drawn: bytes) -> Block:
        row, length, dtype, seed = drawn[:FORM]
        names = np.resize(np.frombuffer(drawn, np.uint8, offset=FORM), (1 + row % rows, lengths[length % len(lengths)]))
        return Block(name, table(seed)[names].astype(dtypes[dtype % len(dtypes)]))

    return st.binary(min_size=FORM + NUMBERS, max_size=FORM + NUMBERS).map(block)


def uneven(at: NDArray[Any], length: int, dtype: Any = np.float64) -> Any:
    """Rows (P, length) for places (P,): numbers of float32 of both signs, from 1e-4 to 1e3, the same for every call."""
    place, element = at[:, None], np.arange(length)
    size = 10 ** (7 * ((0.3 + place * 0.618034 + element * 0.414214) % 1) - 4)
    sign = np.where((place * 3 + element * 5) % 7 < 4, 1, -1)
    return (sign * size).astype(np.float32).astype(dtype)


def varied(shape: tuple[int, ...], dtype: Any = np.float64) -> Any:
    """Numbers of both signs and different sizes, the same for every call."""
    return ((np.arange(int(np.prod(shape))) * 7 % 11 - 4.5) / 4).astype(dtype).reshape(shape)
