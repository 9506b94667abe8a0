"""The laws of activations. Imports the operations of pyconvx and the plugins."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray

import pyconvx as cx

from ...activation import ActivationFunction, keeps_rows, kernel_of, output_length, typed
from ...plugin import Bound, accepted, returned
from .. import reference
from ..strategies.windows import LAYOUTS, array_shape
from . import numeric, purity
from .compiled import CompiledForm, Long, long_laws
from .inputs import Table, blocks, near, near_or_far, varied
from .law import Block, Law, Subject, is_defined, require_close
from .maps import RowMap
from .memory import Function, call_row, memory_laws
from .ranks import CONV
from .shared import compiled_laws, many_law, numeric_laws, parameters_law, purity_laws, wide_law

Array = NDArray[Any]

LONGEST = 64  # of the rows that an activation is asked to take at first
WIDE = (65, 100, 128, 256, 1000)  # and then
BLOCKS = (128, 256, 1024)  # numbers that compiled forms are asked for, too
SHORT, LONGER = 4, (9, 17, LONGEST)  # how many of the shortest rows that it takes are common, and from where on others


def _sizes(bound: Bound[ActivationFunction]) -> list[int]:
    """Of the parameters that are arrays."""
    return [np.shape(value)[-1] for value in bound.params.values() if np.ndim(value)]


def taken(bound: Bound[ActivationFunction]) -> list[int]:
    """Lengths of rows that the activation takes, as far as it tells: by its `output_size` and its parameters."""
    arrays = _sizes(bound)
    fits = [n for n in range(1, LONGEST + 1) if all(size in (1, n) for size in arrays)] or arrays[:1]
    found = [n for n in fits if _takes(bound, n)]
    if not found:
        raise ValueError(f"{bound.plugin.kind} {bound!r} takes rows of no length from 1 to {LONGEST}")
    return found


def lengths(bound: Bound[ActivationFunction]) -> list[int]:
    """A few of them: the shortest, and some longer ones."""
    found = taken(bound)
    longer = (next((n for n in found if n >= least), found[-1]) for least in LONGER)
    return sorted({*found[:SHORT], *longer})


def wide(subject: Subject) -> list[int]:
    """Lengths beyond those, of a rowwise activation."""
    return _longer(subject.bound) if subject.bound.plugin.rowwise else []


def _longer(bound: Bound[ActivationFunction]) -> list[int]:
    return [n for n in WIDE if all(size in (1, n) for size in _sizes(bound)) and _takes(bound, n)]


def _takes(bound: Bound[ActivationFunction], length: int) -> bool:
    try:
        return output_length(bound, length) > 0
    except ValueError:  # glu of an odd length
        return False


def _rows(numbers: Table, *dtypes: str) -> Callable[[Subject], Any]:
    """Rows of numbers; an elementwise activation gets a column, which shrinks best."""

    def cases(subject: Subject) -> st.SearchStrategy[Block]:
        rowwise = keeps_rows(subject.bound)
        common = lengths(subject.bound) if rowwise else [1]
        drawn = [*common * 6, *taken(subject.bound)] if rowwise else common
        return blocks("x", drawn, numbers, dtypes or ("float64", "float32"), rows=3 if rowwise else 12)

    return cases


def _seen(bound: Bound[ActivationFunction], x: Array) -> Array:
    """Rows as the library passes them: one after another, unless the activation needs them."""
    return x if keeps_rows(bound) else x.reshape(-1)


def _forward(bound: Bound[ActivationFunction], x: Array) -> Any:
    with np.errstate(all="ignore"):
        return bound.plugin.function(x, **typed(bound, x))


def _derivative(bound: Bound[ActivationFunction]) -> tuple[str, Callable[..., Any], int]:
    """The name of the function that gives gradients, it, with its parameters set, and how many arrays it takes."""
    plugin = bound.plugin
    what, function, leading = "derivative", plugin.derivative, 2
    if plugin.gradient is not None:
        what, function, leading = "gradient", plugin.gradient, 3
    assert function is not None

    def run(x: Array, *others: Array) -> Any:
        with np.errstate(all="ignore"):
            return function(x, *others, **accepted(function, typed(bound, x), leading))

    return what, run, leading


def row_map(subject: Subject) -> RowMap:
    """The activation as a map of rows; the results are checked as the library checks them."""
    bound: Bound[ActivationFunction] = subject.bound

    def forward(rows: Array, at: Array) -> Array:
        x = _seen(bound, rows)
        shape = (len(x), output_length(bound, rows.shape[-1])) if bound.plugin.rowwise else x.shape
        y = returned(bound.plugin, "function", _forward(bound, x), shape, x.dtype)
        return y.reshape(len(rows), -1).astype(x.dtype, copy=False)

    def backward(rows: Array, at: Array, gy: Array) -> Array:
        what, run, leading = _derivative(bound)
        x, y, given = _seen(bound, rows), forward(rows, at), gy.astype(rows.dtype)
        shaped = [_seen(bound, each) for each in (y, given)]
        result = returned(bound.plugin, what, run(x, *shaped[: leading - 1]), x.shape, x.dtype)
        gx = result if leading == 3 else result * shaped[1]
        return gx.reshape(rows.shape)

    plugin = bound.plugin
    return RowMap(forward, backward if has_gradient(subject) else None, plugin.propagates_nan, plugin.limits)


def calls(subject: Subject, case: Block) -> list[purity.Call]:
    """The activation's functions, with what the library would call them with."""
    bound = subject.bound
    x = _seen(bound, case.array)
    found = [purity.Call("the function", lambda x: _forward(bound, x), (x,))]
    if has_gradient(subject):
        what, run, leading = _derivative(bound)
        y = np.asarray(_forward(bound, x.copy()))
        found.append(purity.Call(f"the {what}", run, (x, y, varied(y.shape, x.dtype))[:leading]))
    return found


def has_gradient(subject: Subject) -> bool:
    """Whether gradients can be taken."""
    return bool(subject.bound.plugin.gradient or subject.bound.plugin.derivative)


def _takes_gy(subject: Subject) -> bool:
    return subject.bound.plugin.gradient is not None


def _linear(subject: Subject, case: Block) -> None:
    numeric.linear(row_map(subject), case.array)


def result_form(subject: Subject, case: Block) -> None:
    """Shape and dtype, of no rows too."""
    bound, plugin = subject.bound, subject.bound.plugin
    for rows in (case.array, case.array[:0]):
        x = _seen(bound, rows)
        shape = (len(x), output_length(bound, rows.shape[-1])) if plugin.rowwise else x.shape
        y = returned(plugin, "function", _forward(bound, x), shape, x.dtype)
        if has_gradient(subject):
            what, run, leading = _derivative(bound)
            given = (y.astype(x.dtype), np.ones(shape, x.dtype))[: leading - 1]
            returned(plugin, what, run(x, *given), x.shape, x.dtype)


def definition(subject: Subject, case: Block) -> None:
    """`like`, or the reference for a built-in."""
    like = subject.like
    if isinstance(like, str):
        params = subject.bound.params if like == subject.bound.name else {}
        numeric.defined(row_map(subject), case.array, lambda x: reference.activate(x, subject.like, **params))
    else:
        numeric.defined(row_map(subject), case.array, like)


def _run(subject: Subject, case: Block | Long) -> Array:
    """The compiled function, which leaves x as it is."""
    x = _seen(subject.bound, case.array)
    seen = x.copy()
    y = cx.activate(seen, subject.bound)
    require_close("x after the compiled function", seen, x, 0, "as before")
    return y.reshape(len(case.array), -1)


def _run_back(subject: Subject, case: Block | Long) -> Array:
    """The compiled gradient."""
    bound, rows = subject.bound, case.array
    x = _seen(bound, rows)
    seen = x.copy()
    y, pullback = cx.vjp(cx.activate, seen, bound)
    result = y.copy()
    gx: Array = pullback(varied(y.shape, rows.dtype))[0]
    require_close("x after the compiled gradient", seen, x, 0, "as before")
    require_close("y after the compiled gradient", y, result, 0, "as before")
    return gx.reshape(rows.shape)


def _long(subject: Subject) -> list[tuple[int, int]]:
    if not keeps_rows(subject.bound):
        return [(n, 1) for n in (64, 65, 127, 500, 513, 1029, 5003, 20011)]
    return [(n, length) for n in (65, 300) for length in lengths(subject.bound)[-2:]]


def _each(subject: Subject) -> list[tuple[int, int]]:
    if not keeps_rows(subject.bound):
        return [(n, 1) for n in (*range(1, LONGEST + 1), *BLOCKS)]
    return [(2, length) for length in (*taken(subject.bound), *_longer(subject.bound))]


def _as_many_as(elements: int) -> Callable[[Subject], list[tuple[int, int]]]:
    """Rows with so many elements in all."""

    def sizes(subject: Subject) -> list[tuple[int, int]]:
        length = lengths(subject.bound)[-1] if keeps_rows(subject.bound) else 1
        return [(elements // length, length)]

    return sizes


def _placed(subject: Subject) -> list[tuple[int, int]]:
    if not keeps_rows(subject.bound):
        return [(n, 1) for n in (*range(1, 18), 31, 33, 64, 65, *BLOCKS, 40_000)]
    return [(2, length) for length in (*lengths(subject.bound), *_longer(subject.bound))]


def _run_placed(subject: Subject, function: Function, rows: Array, begins: int) -> Array:
    """Elements in one row, or each row that must not be cut by itself."""
    if keeps_rows(subject.bound):
        return np.stack([call_row(function, row, begins) for row in rows])
    return call_row(function, rows.ravel(), begins)[:, None]


_all, _many = _as_many_as(70_001), _as_many_as(2**19)


def _compiles(subject: Subject, backward: bool = False) -> bool:
    return any(kernel_of(subject.bound, np.dtype(dtype), backward) is not None for dtype in ("float32", "float64"))


def _compiles_back(subject: Subject) -> bool:
    return has_gradient(subject) and _compiles(subject, backward=True)


@dataclass(frozen=True)
class Convolution:
    """A convolution that the activation follows."""

    rank: int
    layout: str
    filters: int
    seed: int


def _convolutions(subject: Subject) -> st.SearchStrategy[Convolution]:
    filters = st.sampled_from(lengths(subject.bound))
    return st.builds(Convolution, st.integers(1, 3), st.sampled_from(LAYOUTS), filters, st.integers(0, 999))


def in_convolution(subject: Subject, case: Convolution) -> None:
    """Fused, and after the convolution, forward and backward."""
    bound, random = subject.bound, np.random.default_rng(case.seed)
    conv = CONV[case.rank]
    options: dict[str, Any] = {"layout": case.layout, "padding": "same"}
    x = random.standard_normal(array_shape((3,) * case.rank, 2, 2, case.layout))
    filters = random.standard_normal(array_shape((2,) * case.rank, 2, case.filters, case.layout))
    axis = -1 if case.layout == "channels_last" else 1
    z, back = cx.vjp(conv, x, filters, **options)
    want, activate_back = cx.vjp(cx.activate, z, bound, axis=axis)
    got, fused_back = cx.vjp(conv, x, filters, activation=bound, **options)
    plain = conv(x, filters, activation=bound, **options)
    rows = row_map(subject).forward(np.moveaxis(z, axis, -1).reshape(-1, case.filters), np.arange(z.size))
    by_rows = rows.reshape(*np.moveaxis(want, axis, -1).shape)
    for y, what in ((got, "convolution with pullback"), (plain, "convolution"), (want, "cx.activate")):
        allowed = 1e-10 * (1 + np.abs(by_rows))
        require_close(what, np.moveaxis(y, axis, -1), by_rows, allowed, "as the function of its result")
    if has_gradient(subject):
        gy = varied(want.shape)
        for gradient, chained, name in zip(fused_back(gy), back(*activate_back(gy)), ("x", "filters"), strict=True):
            allowed = 1e-9 * (1 + np.abs(chained).max(initial=0))
            require_close(f"gradient of {name}", gradient, chained, allowed, "by the chain rule")


FORM = CompiledForm(row_map, _compiles, _compiles_back, (("", _run, _run_back),))

LAWS = (
    *purity_laws(_rows(near), calls),
    Law(
        "result_form",
        "Results and derivatives have the shape and the dtype of x (or rows of output_size), also of no rows.",
        _rows(near),
        result_form,
    ),
    *numeric_laws(_rows, row_map, "its own element (its own row, if rowwise)", "a whole row"),
    many_law(_all, row_map),
    wide_law(
        "All that is said of rows holds for rows of up to a thousand elements, too.",
        wide,
        row_map,
        ((_takes_gy, _linear), (is_defined, definition), *FORM.compared),
    ),
    *memory_laws(FORM, _placed, _run_placed, _run_placed),
    parameters_law(_rows, row_map, FORM.compared),
    Law(
        "linear",
        "Its gradient is linear in gy.",
        _rows(near),
        _linear,
        _takes_gy,
    ),
    Law(
        "definition",
        "It is what its definition says, but where that overflows far from zero.",
        _rows(near_or_far),
        definition,
        is_defined,
    ),
    *compiled_laws(_rows, FORM),
    *long_laws("long rows", FORM, _long, _each, (_many, _many)),
    Law(
        "in_convolution",
        "A convolution with it is the convolution and then it, in rank 1 to 3 and either layout, with the gradients of "
        "the chain rule.",
        _convolutions,
        in_convolution,
        share=0.3,
    ),
)
