"""The laws that plugins of several kinds are held to, in words. Imports what checks them."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray

from ...plugin import bind
from . import numeric, purity
from .compiled import Applies, CompiledForm, Sizes, gradient_agrees_anywhere, gy_for, long_cases
from .inputs import FLOATS, Table, anywhere, near, near_or_far, special
from .law import Block, Law, Refuted, Subject, shown
from .maps import RowMap

Array = NDArray[Any]
Cases = Callable[[Subject], st.SearchStrategy[Any]]
Compared = Callable[[Subject, Any], None]

FACTORS = (0.8, 1.25, -1)  # by which a parameter differs from what it is


def purity_laws(cases: Cases, calls: Callable[[Subject, Any], list[purity.Call]]) -> tuple[Law, ...]:
    """Laws about `calls(subject, case)`: what the functions of a plugin do besides computing."""

    def law(name: str, statement: str, check: Callable[[list[purity.Call]], None], share: float = 1.0) -> Law:
        return Law(name, statement, cases, lambda subject, case: check(calls(subject, case)), share=share)

    return (
        # first, before a plugin has met most of what it may keep something for
        law("many_threads", "It gives the same bits in many threads at once.", purity.many_threads, share=0.05),
        law(
            "input_untouched",
            "It leaves the arrays that it is given, and NumPy's global random numbers, as they are.",
            purity.input_untouched,
        ),
        law("repeatable", "It gives the same bits whenever it is called, and remembers nothing.", purity.repeatable),
        law(
            "any_memory",
            "It works on views, on arrays in any order and on read-only ones, and leaves them as they are.",
            purity.any_memory,
        ),
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
        law("independent", f"A result and its gradient depend on {only_own} only.", near, numeric.independent),
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
            "A NaN makes its own result NaN, unless propagates_nan=False is declared, and changes no other "
            "result or gradient.",
            near,
            numeric.not_a_number,
        ),
        law(
            "infinity",
            "An infinity gives the limit (or NaN, unless limits=True is declared) and changes no other result or "
            "gradient.",
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


def many_law(sizes: Sizes, row_map: Callable[[Subject], RowMap]) -> Law:
    """The law about many rows, of which there are as `sizes` tells."""
    return Law(
        "many",
        "For many rows at once it gives what it gives for a few at a time.",
        long_cases(sizes),
        lambda subject, case: numeric.together(row_map(subject), case.array),
        share=0.03,
    )


@dataclass(frozen=True)
class Wide:
    """Rows of many numbers, all of them different, of several lengths."""

    lengths: tuple[int, ...]
    seed: int

    def __iter__(self) -> Iterator[Array]:
        random = np.random.default_rng(self.seed)
        for n in self.lengths:
            rows = np.stack([random.permutation(n) for _ in range(2)])
            yield ((rows + random.uniform(0.2, 0.8, (2, n))) * (20 / n) - 10).astype(np.float32).astype(np.float64)


def wide_law(
    statement: str,
    lengths: Callable[[Subject], Sequence[int]],
    row_map: Callable[[Subject], RowMap],
    more: Sequence[tuple[Applies, Compared]],
) -> Law:
    """The law about rows of many elements; what `more` has to say of a Block holds too, where it applies."""

    def cases(subject: Subject) -> st.SearchStrategy[Wide]:
        return st.builds(Wide, st.just(tuple(lengths(subject))), st.integers(0, 999))

    def one_holds(subject: Subject, rows: Array) -> None:
        maps = row_map(subject)
        numeric.independent(maps, rows)
        numeric.precision(maps, rows)
        numeric.not_a_number(maps, rows)
        if maps.backward is not None and not subject.bound.plugin.surrogate:
            numeric.slope_along(maps, rows)
        for (applies, holds), dtype in itertools.product(more, FLOATS):
            if applies(subject):
                holds(subject, Block("rows", rows.astype(dtype)))

    def holds(subject: Subject, case: Wide) -> None:
        for rows in case:
            try:
                one_holds(subject, rows)
            except Refuted as error:
                raise Refuted(f"{error.seen} for {rows.shape[-1]} elements", error.expected) from None

    return Law("wide", statement, cases, holds, lambda subject: bool(lengths(subject)), share=0.03)


def compiled_laws(cases: Callable[..., Cases], form: CompiledForm) -> tuple[Law, ...]:
    """The laws about a compiled form and its gradient, on numbers as usual and on what is huge or not finite."""

    def anywhere(subject: Subject, case: Any) -> None:
        for _, run, _ in form.runs:
            maps = form.row_map(subject)
            numeric.compared_anywhere(maps, case.array, run(subject, case), "by the Python form, for")

    def gradient_anywhere(subject: Subject, case: Any) -> None:
        rows, maps = case.array, form.row_map(subject)
        for _, _, run_back in form.runs:
            gradient_agrees_anywhere(maps, rows, gy_for(maps, rows), run_back(subject, case))

    return (
        Law(
            "compiled",
            "Its compiled form is its Python form, within rounding.",
            cases(near_or_far),
            form.agrees,
            form.applies,
        ),
        Law(
            "compiled_gradient",
            "The gradient of its compiled form is that of its Python form, within rounding.",
            cases(near_or_far),
            form.gradient_agrees,
            form.applies_back,
        ),
        Law(
            "compiled_anywhere",
            "Its compiled form is its Python form for huge numbers, NaN and infinities, too, as far as it is declared "
            "what they give.",
            cases(special),
            anywhere,
            form.applies,
        ),
        Law(
            "compiled_gradient_anywhere",
            "The gradient of its compiled form is that of its Python form for huge numbers, too, and a NaN or an "
            "infinity changes no other.",
            cases(special),
            gradient_anywhere,
            form.applies_back,
        ),
    )


@dataclass(frozen=True)
class Changed:
    """Rows, and a parameter that is not what it was."""

    parameter: str
    value: float
    rows: Any

    @property
    def array(self) -> Array:
        return self.rows.array  # type: ignore[no-any-return]

    def __str__(self) -> str:
        return f"{self.parameter} = {shown(self.value)}, {self.rows}"


def _another(value: float, factor: float) -> float:
    """A number of the same type that is a little less or more, or of the other sign; of a truth value the other one."""
    if isinstance(value, bool):
        return not value
    if factor < 0 and value:
        return -value
    if isinstance(value, int):
        return value + (1 if factor > 1 else -1)
    return value * factor or (factor - 1) / 8


def changeable(subject: Subject) -> list[tuple[str, float]]:
    """The parameters that are numbers or truth values, with what they are."""
    params = subject.bound.params.items()
    return [(name, value) for name, value in params if type(value) in (bool, int, float) and math.isfinite(value)]


def has_changeable(subject: Subject) -> bool:
    """Whether there is one."""
    return bool(changeable(subject))


def changed(cases: Cases) -> Cases:
    """Cases with another value of a parameter."""

    def of(subject: Subject) -> st.SearchStrategy[Changed]:
        return st.builds(
            lambda named, factor, rows: Changed(named[0], _another(named[1], factor), rows),
            st.sampled_from(changeable(subject)),
            st.sampled_from(FACTORS),
            cases(subject),
        )

    return of


def with_another(subject: Subject, case: Changed) -> Subject | None:
    """The plugin with the other value; None if that has gone past another parameter, as a lower limit above an upper
    one, or is refused.
    """
    before = subject.bound.params[case.parameter]
    others = [value for name, value in changeable(subject) if name != case.parameter and not isinstance(value, bool)]
    if not isinstance(before, bool) and any((value < before) != (value < case.value) for value in others):
        return None
    try:
        return replace(subject, bound=bind(subject.bound.plugin, {**subject.bound.params, case.parameter: case.value}))
    except Exception:
        return None


def turned_round(subject: Subject, case: Changed) -> bool:
    """Whether the other value has the other sign."""
    return bool(subject.bound.params[case.parameter] * case.value < 0)


def parameters_law(
    cases: Callable[..., Cases],
    row_map: Callable[[Subject], RowMap],
    compared: Sequence[tuple[Applies, Compared]],
) -> Law:
    """The law about parameters; `compared` holds compiled forms to those in Python, where they apply."""

    def holds(subject: Subject, case: Changed) -> None:
        other, negative = with_another(subject, case), turned_round(subject, case)
        if other is None:
            return
        try:
            maps = row_map(other)
            y = maps.forward(case.array, np.arange(len(case.array)))
        except Exception:  # a plugin may refuse other values, however it does
            return
        if negative and not np.isfinite(y).all():
            return  # it has no meaning with this sign
        if maps.backward is not None and not subject.bound.plugin.surrogate and not negative:
            numeric.slope(maps, case.array.astype(np.float64))
        for applies, compare in compared:
            if applies(other):
                compare(other, case)

    return Law(
        "parameters",
        "With other values of its parameters its gradient is the slope of its function, too, and its compiled form its "
        "Python form.",
        changed(cases(near)),
        holds,
        has_changeable,
        share=0.5,
    )
