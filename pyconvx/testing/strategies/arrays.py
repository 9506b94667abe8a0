"""Arrays of every dtype, place in memory and kind of values."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray

Array = NDArray[Any]

FORMS = ("plain", "sliced", "reversed", "fortran", "swapped", "read_only", "unaligned", "broadcast")
FLOATS = ("float32", "float64", "float16")
REALS = (*FLOATS, "bool", "int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64")
VALUES = ("normal", "whole", "wide")


@dataclass(frozen=True)
class Drawn:
    """An array, by what makes it: `array` is made anew at each access, and `plain` is its C-contiguous copy."""

    shape: tuple[int, ...]
    dtype: str = "float32"
    form: str = "plain"
    values: str = "normal"
    seed: int = 0

    @property
    def plain(self) -> Array:
        random = np.random.default_rng(self.seed)
        dtype = np.dtype(self.dtype)
        if self.form == "broadcast" and self.shape:
            one = Drawn((*self.shape[:-1], 1), self.dtype, "plain", self.values, self.seed).plain
            return np.array(np.broadcast_to(one, self.shape))
        if dtype.kind == "b":
            return random.integers(0, 2, self.shape).astype(dtype)
        if dtype.kind in "iu":
            low, high = (0, 100) if dtype.kind == "u" else (-50, 50)
            return random.integers(low, high, self.shape).astype(dtype)
        if self.values == "whole":  # many ties, and sums without rounding
            return random.integers(-4, 5, self.shape).astype(dtype)
        x = random.standard_normal(self.shape)
        if self.values == "wide":  # a few elements that are a thousand times larger or smaller than the others
            x = x * 10.0 ** np.where(random.random(self.shape) < 0.1, random.integers(-3, 4, self.shape), 0)
        return x.astype(dtype)

    @property
    def array(self) -> Array:
        return reshaped(self.plain, self.form)


def reshaped(x: Array, form: str) -> Array:
    """The elements of x in another place in memory: one of FORMS."""
    if x.ndim == 0 and form in ("sliced", "reversed", "broadcast"):
        return x
    if form == "sliced":  # every second element of a larger array, along every axis
        wide = np.ones(tuple(2 * n + 1 for n in x.shape), x.dtype)
        view = wide[tuple(slice(1, None, 2) for _ in x.shape)]
        view[...] = x
        return view
    if form == "reversed":
        back = tuple(slice(None, None, -1) for _ in x.shape)
        return np.ascontiguousarray(x[back])[back]
    if form == "fortran":
        return np.asfortranarray(x)
    if form == "swapped":
        return x.astype(x.dtype.newbyteorder())
    if form == "read_only":
        x.flags.writeable = False
        return x
    if form == "unaligned":
        memory = np.zeros(x.nbytes + 1, np.uint8)
        view = memory[1:].view(x.dtype).reshape(x.shape)
        view[...] = x
        return view
    if form == "broadcast":  # a stride of 0 on the last axis
        return np.broadcast_to(x[..., :1], x.shape)
    return x


def drawn(
    shape: Any, dtypes: Sequence[str] = FLOATS, forms: Sequence[str] = FORMS, values: Sequence[str] = VALUES
) -> st.SearchStrategy[Drawn]:
    """Array descriptions of one shape (a tuple, or a strategy of tuples)."""
    shapes = shape if isinstance(shape, st.SearchStrategy) else st.just(tuple(shape))
    seeds = st.integers(0, 2**16)
    return st.builds(Drawn, shapes, st.sampled_from(dtypes), st.sampled_from(forms), st.sampled_from(values), seeds)


def arrays(
    shape: Any, dtypes: Sequence[str] = FLOATS, forms: Sequence[str] = FORMS, values: Sequence[str] = VALUES
) -> st.SearchStrategy[Array]:
    """As `drawn`, but the arrays themselves."""
    return drawn(shape, dtypes, forms, values).map(operator.attrgetter("array"))
