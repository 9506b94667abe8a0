"""The laws that plugins of several kinds are held to, in words. Imports what checks them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hypothesis import strategies as st

from . import numeric, purity
from .inputs import Table, anywhere, near, near_or_far
from .law import Law, Subject
from .maps import RowMap

Cases = Callable[[Subject], st.SearchStrategy[Any]]


def purity_laws(cases: Cases, calls: Callable[[Subject, Any], list[purity.Call]]) -> tuple[Law, ...]:
    """Laws about `calls(subject, case)`: what the functions of a plugin do besides computing."""

    def law(name: str, statement: str, check: Callable[[list[purity.Call]], None], share: float = 1.0) -> Law:
        return Law(name, statement, cases, lambda subject, case: check(calls(subject, case)), share=share)

    return (
        law("input_untouched", "It leaves the arrays that it is given as they are.", purity.input_untouched),
        law("repeatable", "It gives the same bits whenever it is called, and remembers nothing.", purity.repeatable),
        law("many_threads", "It gives the same bits in many threads at once.", purity.many_threads, share=0.05),
        law("any_memory", "It works on views, on arrays in any order and on read-only ones.", purity.any_memory),
    )


def numeric_laws(
    cases: Callable[..., Cases], row_map: Callable[[Subject], RowMap], only_own: str, moved: str
) -> tuple[Law, ...]:
    """Laws about numbers, on `cases(numbers, *dtypes)`; what a result depends on and what is moved, in words."""

    def law(
        name: str,
        statement: str,
        numbers: Table,
        check: Callable[[RowMap, Any], None],
        *dtypes: str,
        of_gradient: bool = False,
    ) -> Law:
        def applies(subject: Subject) -> bool:
            return not of_gradient or (row_map(subject).backward is not None and not subject.bound.plugin.surrogate)

        def holds(subject: Subject, case: Any) -> None:
            check(row_map(subject), case.array)

        return Law(name, statement, cases(numbers, *dtypes), holds, applies)

    return (
        law("independent", f"A result depends on {only_own} only.", near, numeric.independent),
        law(
            "no_nan",
            "Finite numbers give no NaN, however large, and a finite gradient where the result is finite.",
            anywhere,
            numeric.no_nan,
        ),
        law("slope", "Its gradient is the slope of its function.", near, numeric.slope, "float64", of_gradient=True),
        law(
            "slope_far",
            "Its gradient is the slope of its function at large magnitudes, too.",
            near_or_far,
            numeric.slope,
            "float64",
            of_gradient=True,
        ),
        law(
            "gradient_sum",
            f"Its gradient adds up to the slope of moving {moved}.",
            near,
            numeric.gradient_sum,
            "float64",
            of_gradient=True,
        ),
        law(
            "not_a_number",
            "A NaN makes its own result NaN, unless propagates_nan=False is declared, and changes no other.",
            near,
            numeric.not_a_number,
        ),
        law(
            "infinity",
            "An infinity gives the limit (or NaN, unless limits=True is declared) and changes no other result.",
            near,
            numeric.infinity,
            "float64",
        ),
        law(
            "precision",
            "In float32 it is what it is in float64, within rounding.",
            near_or_far,
            numeric.precision,
            "float64",
        ),
        law("digits", "In float64 it is computed in float64.", near, numeric.digits, "float64"),
    )
