"""Laws of compiled forms where loops go wrong that a few numbers do not reach: long rows, wide windows, many threads.

Imports the numbers of laws. What is compared is up to the laws of each kind.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray

import pyconvx as cx

from . import numeric
from .inputs import FLOATS, near, varied
from .law import Law, Subject, part, require_same
from .maps import RowMap

Array = NDArray[Any]

THREADS, TURNS = 4, 2
SAMPLED = 4000  # elements of many that are compared with the Python form


def agree(row_map: RowMap, rows: Array, got: Array, where: str = "") -> None:
    """Compiled results (P, m) are those of the Python form, within rounding of the dtype of the rows (P, n)."""
    numeric.compared(row_map, rows, got, f"by the Python form{where}")


def gradient_agrees(row_map: RowMap, rows: Array, gy: Array, got: Array, where: str = "") -> None:
    """The same of a compiled gradient (P, n) of sum(gy * y)."""
    numeric.gradient_compared(row_map, rows, gy, got, f"by the Python form{where}, for")


def gradient_agrees_anywhere(row_map: RowMap, rows: Array, gy: Array, got: Array) -> None:
    """The same for rows with numbers of any size, and with NaN and infinities, which spoil no other row.

    In a row that has one, and where the Python form is not finite, a gradient may be anything.
    """
    assert row_map.backward is not None
    want = row_map.backward(rows, np.arange(len(rows)), gy)
    free = ~np.isfinite(rows).all(-1, keepdims=True) | ~np.isfinite(want)
    if got.shape == want.shape:
        got = np.where(free, want, got)
    gradient_agrees(row_map, rows, gy, got)


def gy_for(row_map: RowMap, rows: Array) -> Array:
    """Numbers (P, m) for gradients with respect to rows (P, n), as the laws pass them to a pullback."""
    results = row_map.forward(rows[:1], np.arange(1)).shape[-1]
    gy: Array = varied((len(rows), results), rows.dtype)
    return gy


def _sample(rows: Array) -> Array:
    """Places of some of many rows, the first and the last among them."""
    count = min(len(rows), max(2, SAMPLED // rows.shape[-1]))
    return np.unique(np.linspace(0, len(rows) - 1, count).astype(int))


@dataclass(frozen=True)
class Long:
    """Many numbers, by what makes them."""

    rows: int
    length: int
    dtype: str
    seed: int

    @property
    def array(self) -> Array:
        """Rows (rows, length) of numbers as feature maps hold them."""
        random = np.random.default_rng(self.seed)
        return near(self.seed)[random.integers(0, 256, (self.rows, self.length))].astype(self.dtype)


Sizes = Callable[[Subject], Sequence[tuple[int, int]]]
"""Numbers of rows, with their lengths."""

Applies = Callable[[Subject], bool]
Run = Callable[[Subject, Any], Array]
"""What a compiled form makes of the rows of a case."""


@dataclass(frozen=True)
class CompiledForm:
    """The compiled forms of one kind of plugins: what has them, and how they are run, forward and backward."""

    row_map: Callable[[Subject], RowMap]
    applies: Applies
    applies_back: Applies
    runs: tuple[tuple[str, Run, Run], ...]
    """By where rows lie in x, in words."""

    def agrees(self, subject: Subject, case: Any) -> None:
        """Results are those of the Python form."""
        for where, run, _ in self.runs:
            agree(self.row_map(subject), case.array, run(subject, case), where and f", {where}")

    def gradient_agrees(self, subject: Subject, case: Any) -> None:
        """Gradients are those of the Python form."""
        rows, maps = case.array, self.row_map(subject)
        for where, _, run_back in self.runs:
            gradient_agrees(maps, rows, gy_for(maps, rows), run_back(subject, case), where and f", {where}")

    @property
    def compared(self) -> tuple[tuple[Applies, Callable[[Subject, Any], None]], ...]:
        """Both, with the plugins that they are said of."""
        return (self.applies, self.agrees), (self.applies_back, self.gradient_agrees)


def long_cases(sizes: Sizes) -> Callable[[Subject], st.SearchStrategy[Long]]:
    def cases(subject: Subject) -> st.SearchStrategy[Long]:
        several = st.sampled_from(sizes(subject))
        return st.builds(lambda size, *more: Long(*size, *more), several, st.sampled_from(FLOATS), st.integers(0, 999))

    return cases


@dataclass(frozen=True)
class Series:
    """Cases of a few numbers, one of each size, up to where loops over vectors have come to an end."""

    sizes: tuple[tuple[int, int], ...]
    dtype: str
    seed: int

    def __iter__(self) -> Iterator[Long]:
        for rows, length in self.sizes:
            yield Long(rows, length, self.dtype, self.seed)


def series_cases(sizes: Sizes) -> Callable[[Subject], st.SearchStrategy[Series]]:
    def cases(subject: Subject) -> st.SearchStrategy[Series]:
        return st.builds(Series, st.just(tuple(sizes(subject))), st.sampled_from(FLOATS), st.integers(0, 999))

    return cases


def long_laws(what: str, form: CompiledForm, sizes: Sizes, each: Sizes, many: tuple[Sizes, Sizes]) -> tuple[Law, ...]:
    """The laws on cases of `sizes`, on those of `each` size, and of `many` numbers for threads, forward and backward;
    `what` names them.
    """
    row_map = form.row_map
    _, run, run_back = form.runs[0]

    def agrees(subject: Subject, rows: Array, got: Array, at: Array) -> None:
        agree(row_map(subject), rows[at], got[at])

    def agrees_back(subject: Subject, rows: Array, got: Array, at: Array) -> None:
        gradient_agrees(row_map(subject), rows[at], gy_for(row_map(subject), rows)[at], got[at])

    def in_threads(
        function: Callable[[Subject, Long], Array], agrees: Callable[[Subject, Array, Array, Array], None]
    ) -> Callable[[Subject, Long], None]:
        def holds(subject: Subject, case: Long) -> None:
            with cx.threads(1):
                alone = function(subject, case)
            for _ in range(TURNS):
                with cx.threads(THREADS):
                    together = function(subject, case)
                require_same("result", together, alone, "as by one thread")
            agrees(subject, case.array, alone, _sample(case.array))

        return holds

    def law(name: str, statement: str, of: Sizes, holds: Any, applies: Any, share: float) -> Law:
        return Law(name, statement, long_cases(of), holds, applies, share)

    def in_turn(holds: Callable[[Subject, Long], None]) -> Callable[[Subject, Series], None]:
        def all_hold(subject: Subject, case: Series) -> None:
            for one in case:
                with part(one):
                    holds(subject, one)

        return all_hold

    same = "Its compiled form is its Python form on"
    number = "however few numbers there are, and whatever is left beside whole vectors"
    return (
        Law(
            "compiled_each",
            f"Its compiled form is its Python form {number}.",
            series_cases(each),
            in_turn(form.agrees),
            form.applies,
            0.02,
        ),
        Law(
            "compiled_gradient_each",
            f"The gradient of its compiled form is that of its Python form {number}.",
            series_cases(each),
            in_turn(form.gradient_agrees),
            form.applies_back,
            0.02,
        ),
        law("compiled_long", f"{same} {what}, too.", sizes, form.agrees, form.applies, 0.15),
        law(
            "compiled_gradient_long",
            f"The gradient of its compiled form is that of its Python form on {what}, too.",
            sizes,
            form.gradient_agrees,
            form.applies_back,
            0.15,
        ),
        law(
            "compiled_threads",
            "Its compiled form gives the same bits in many threads as in one, those of its Python form within "
            "rounding.",
            many[0],
            in_threads(run, agrees),
            form.applies,
            0.03,
        ),
        law(
            "compiled_gradient_threads",
            "The gradient of its compiled form has the same bits in many threads as in one, those of its Python form "
            "within rounding.",
            many[1],
            in_threads(run_back, agrees_back),
            form.applies_back,
            0.03,
        ),
    )
