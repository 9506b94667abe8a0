"""The laws of poolings. Imports the operations of pyconvx and the plugins."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray

import pyconvx as cx

from ...plugin import Bound, accepted, returned
from ...pooling import Pooling
from .. import reference
from ..bounds import as_reduction
from ..strategies.arrays import REALS
from ..strategies.pool import PoolCase, adaptive_cases, pool_cases
from . import numeric, purity
from .compiled import CompiledForm, long_laws
from .inputs import Table, blocks, near, near_or_far, varied
from .law import Block, Law, Refuted, Subject, is_defined, require_close, shown
from .maps import RowMap, allowance, magnitude
from .memory import Function, call_slopes, call_windows, memory_laws
from .ranks import ADAPTIVE, POOL
from .shared import compiled_laws, many_law, numeric_laws, parameters_law, purity_laws, wide_law

Array = NDArray[Any]


LENGTHS = (*(1, 2, 3, 4, 5) * 4, *range(6, 26), 36, 49)  # of windows, half of them short
WIDE = (27, 49, 64, 81, 125, 128, 130, 784)  # of windows, as of 3 x 3 x 3, 9 x 9 and, of global ones, 28 x 28 elements

Rows = Any  # a case with rows of numbers: Block, Long, Changed


def _windows(numbers: Table, *dtypes: str) -> Callable[[Subject], Any]:
    return lambda subject: blocks("w", LENGTHS, numbers, dtypes or ("float64", "float32"))


def _function(bound: Bound[Pooling]) -> Callable[..., Any]:
    def run(*arrays: Array) -> Any:
        with np.errstate(all="ignore"):
            return bound.plugin.function(*arrays, **bound.params)

    return run


def _gradient(bound: Bound[Pooling]) -> Callable[..., Any]:
    gradient = bound.plugin.gradient
    assert gradient is not None

    def run(*arrays: Array) -> Any:
        with np.errstate(all="ignore"):
            return gradient(*arrays, **accepted(gradient, bound.params, len(arrays)))

    return run


def _reduced(bound: Bound[Pooling], w: Array, *index: Array) -> Array:
    """The result (...) for windows (..., k), checked as the library checks it."""
    y = _function(bound)(w, *index)
    return returned(bound.plugin, "function", y, w.shape[:-1], w.dtype).astype(w.dtype, copy=False)


def _slopes(bound: Bound[Pooling], w: Array, y: Array, *index: Array) -> Array:
    wide = (np.dtype(np.float64),) if bound.plugin.exact else ()
    return returned(bound.plugin, "gradient", _gradient(bound)(w, y, *index), w.shape, w.dtype, *wide)


def row_map(subject: Subject) -> RowMap:
    """The pooling as a map of windows to rows of one element."""
    bound: Bound[Pooling] = subject.bound

    def forward(rows: Array, at: Array) -> Array:
        return _reduced(bound, rows, *([at] if bound.plugin.indexed else []))[:, None]

    def backward(rows: Array, at: Array, gy: Array) -> Array:
        index = [at] if bound.plugin.indexed else []
        return gy * _slopes(bound, rows, _reduced(bound, rows, *index), *index)

    plugin = bound.plugin
    return RowMap(forward, backward if plugin.gradient else None, plugin.propagates_nan, plugin.limits)


def calls(subject: Subject, case: Block) -> list[purity.Call]:
    """The pooling's functions, with what the library would call them with."""
    bound, w = subject.bound, case.array
    index = (np.arange(len(w), dtype=np.intp),) if bound.plugin.indexed else ()
    found = [purity.Call("the function", _function(bound), (w, *index))]
    if bound.plugin.gradient:
        y = np.asarray(_function(bound)(w.copy(), *index))
        found.append(purity.Call("the gradient", _gradient(bound), (w, y, *index)))
    return found


def result_form(subject: Subject, case: Block) -> None:
    """Shape and dtype, for windows with any axes before their own, and for no windows."""
    bound, plugin = subject.bound, subject.bound.plugin
    rows = case.array
    for dtype in REALS if plugin.exact else (rows.dtype,):
        for w in (rows, rows[:, None], rows[None], rows[:0]):
            cast = np.clip(w, 0, 100).astype(dtype) if plugin.exact else w.copy()
            index = [np.arange(w[..., 0].size, dtype=np.intp).reshape(w.shape[:-1])] if plugin.indexed else []
            y = _reduced(bound, cast, *index)
            if plugin.exact and (kept := _function(bound)(cast, *index).dtype) != cast.dtype:
                raise Refuted(f"the function returned dtype {kept}", f"{cast.dtype} as of w, since it is exact")
            if plugin.gradient:
                _slopes(bound, cast, y, *index)


def other_axes(subject: Subject, case: Block) -> None:
    """Windows (2, 3, k) and (2, k, k), against the same one after another, (6, k) and (2 * k, k)."""
    bound, k = subject.bound, case.array.shape[-1]
    for shape in ((2, 3), (2, k)):
        w = np.resize(case.array, (math.prod(shape), k))
        index = [np.arange(len(w), dtype=np.intp)] if bound.plugin.indexed else []
        shaped = [place.reshape(shape) for place in index]
        y = _reduced(bound, w, *index)
        got = _reduced(bound, w.reshape(*shape, k).copy(), *shaped)
        require_close("result", got, y.reshape(shape), purity.slack(y.reshape(shape)), "as for windows in a row")
        if bound.plugin.gradient:
            want = _slopes(bound, w, y, *index).reshape(*shape, k)
            slopes = _slopes(bound, w.reshape(*shape, k).copy(), y.reshape(shape), *shaped)
            require_close("gradient", slopes, want, purity.slack(want), "as for windows in a row")


def any_order(subject: Subject, case: Block) -> None:
    """Backwards, rotated, and the even places before the odd ones."""
    row, w = row_map(subject), case.array
    at, eps = np.arange(len(w)), float(np.finfo(w.dtype).eps)
    y = row.forward(w, at)
    allowed = allowance(row.forward, w, at, y, eps, magnitude(w))
    for order, other in (
        ("backwards", w[:, ::-1]),
        ("rotated by one", np.roll(w, 1, -1)),
        ("with every second element first", np.concatenate([w[:, ::2], w[:, 1::2]], -1)),
    ):
        require_close("result", row.forward(other.copy(), at), y, allowed, f"{order}, as in the order given")


def single_element(subject: Subject, case: Block) -> None:
    """A number, and for an exact pooling that element."""
    y = row_map(subject).forward(case.array, np.arange(len(case.array)))
    if not np.isfinite(y).all():
        raise Refuted(f"result is {shown(y.ravel())}", "a finite number for each")
    if subject.bound.plugin.exact:
        require_close("result", y, case.array, 0, "the element")


def _of_dtype(w: Array, dtype: np.dtype[Any]) -> list[Array]:
    """Windows of about the same numbers in another dtype; of integers also as large as it, and float64, hold."""
    if dtype.kind not in "iu":
        return [w.astype(dtype)]
    least, most = max(np.iinfo(dtype).min, -(2**53)), min(np.iinfo(dtype).max, 2**53)
    whole = np.rint(np.clip(w, -100, 100))
    return [np.clip(start + whole, least, most).astype(dtype) for start in (0, most - 100, least + 100)]


def _beyond_float64(w: Array) -> Iterator[Array]:
    """Windows of about the same numbers at the ends of what integers of 64 bits hold, which float64 does not."""
    whole = 100 + np.rint(np.clip(w, -100, 100)).astype(np.int64)
    for dtype in (np.int64, np.uint64):
        info = np.iinfo(dtype)
        yield from (whole.astype(dtype) + dtype(least) for least in (info.min, 2**53, info.max - 200))


def is_an_element(subject: Subject, case: Block) -> None:
    """Some element of the window, bit for bit; of integers and truth values the one that it is of floats."""
    row, at = row_map(subject), np.arange(len(case.array))
    for w in (case.array, *(each for dtype in REALS for each in _of_dtype(case.array, np.dtype(dtype)))):
        y = row.forward(w, at)
        want = row.forward(w.astype(np.float64), at)
        what = f"result for {w.dtype}"
        require_close(what, y.astype(np.float64), want, 0, "as for the same numbers in float64, of", w)
        _require_elements(y, w)
    for w in _beyond_float64(case.array):
        _require_elements(row.forward(w, at), w)


def _require_elements(y: Array, w: Array) -> None:
    """Each result (rows, 1) is an element of its window."""
    for value, window in zip(y.ravel(), w, strict=True):
        if not (window == value).any():
            raise Refuted(f"result is {shown(value.item())} for {w.dtype}", f"one of {shown(window)}")


def _is_unordered(subject: Subject) -> bool:
    return not subject.bound.plugin.ordered


def definition(subject: Subject, case: Block) -> None:
    """`like`, or the reference for a built-in."""
    like, params = subject.like, {}
    if isinstance(like, str):
        like = reference.REDUCTIONS[like]
        params = accepted(like, subject.bound.params, 1)
    numeric.defined(row_map(subject), case.array, lambda w: np.asarray(like(w, **params)).reshape(-1, 1))


def _laid(w: Array, beside: bool) -> Array:
    """Windows (rows, k) as x: one after another along a line, or each in a channel of its own beside the others."""
    return (w.T[None] if beside else w.reshape(1, -1, 1)).copy()


def _run(subject: Subject, case: Rows, beside: bool = False) -> Array:
    """Results for windows in x, which is left as it is."""
    x = _laid(case.array, beside)
    seen = x.copy()
    y: Array = cx.pool1d(seen, case.array.shape[-1], subject.bound)
    require_close("x after the compiled function", seen, x, 0, "as before")
    return y.reshape(-1, 1)


def _run_back(subject: Subject, case: Rows, beside: bool = False) -> Array:
    """The gradient of windows in x, which is left as it is, as their results are."""
    x, k = _laid(case.array, beside), case.array.shape[-1]
    seen = x.copy()
    y, pullback = cx.vjp(cx.pool1d, seen, k, subject.bound)
    result = y.copy()
    gx: Array = pullback(varied((len(case.array),), x.dtype).reshape(y.shape))[0]
    require_close("x after the compiled gradient", seen, x, 0, "as before")
    require_close("y after the compiled gradient", y, result, 0, "as before")
    return gx[0].T.copy() if beside else gx.reshape(-1, k)


def _long(subject: Subject) -> list[tuple[int, int]]:
    return [(1, 65), (3, 130), (2, 257), (1, 600), (513, 2), (1027, 3), (70, 9), (2500, 2)]


def _each(subject: Subject) -> list[tuple[int, int]]:
    taps, windows = (*range(1, 66), 81, 100, 128), (*range(1, 66), 112, 128, 224)
    return [*((2, k) for k in taps), *((n, 3) for n in windows)]


def _placed(subject: Subject) -> list[tuple[int, int]]:
    return [*((n, 3) for n in (*range(1, 18), 31, 33, 64, 65, 128, 1500)), *((9, k) for k in (1, 2, 4, 9, 25, 100))]


def _run_placed(subject: Subject, function: Function, w: Array, begins: int) -> Array:
    return call_windows(function, w, begins)[:, None]


def _run_back_placed(subject: Subject, function: Function, w: Array, begins: int) -> Array:
    return call_slopes(function, w, _reduced(subject.bound, w), begins)


def _all(subject: Subject) -> list[tuple[int, int]]:
    return [(20_011, 4)]


def _many(subject: Subject) -> list[tuple[int, int]]:
    return [(2**17, 3)]


def _many_back(subject: Subject) -> list[tuple[int, int]]:
    return [(2**9, 2**8)]  # a gradient is asked for window by window


def _has_compiled_twin(subject: Subject) -> bool:
    """avg's divisor is applied by the library, not by its function."""
    bound = subject.bound
    return bound.plugin.kernel is not None and bound.params.get("divisor") is None


def _has_compiled_gradient(subject: Subject) -> bool:
    return subject.bound.plugin.gradient is not None and _has_compiled_twin(subject)


@st.composite
def _poolings(draw: st.DrawFn, subject: Subject) -> PoolCase:
    """Calls of pool with any geometry; padding holds nothing, zeros, or elements again."""
    case = draw(pool_cases(kinds=("max",), dtypes=("float64",), values=("normal",), empty=False))
    mode = None if case.options["padding_mode"] is None else draw(st.sampled_from(("zeros", "reflect")))
    return replace(case, kind=subject.bound.name, options={**case.options, "padding_mode": mode})


def in_pooling(subject: Subject, case: PoolCase) -> None:
    """Windowed pooling against plain NumPy, forward and backward."""
    _against_reference(subject, case, POOL[case.rank], reference.pool, reference.pool_vjp)


def _grids(subject: Subject) -> st.SearchStrategy[PoolCase]:
    drawn = adaptive_cases(kinds=("max",), dtypes=("float64",), values=("normal",), empty=False)
    return drawn.map(lambda case: replace(case, kind=subject.bound.name))


def in_adaptive(subject: Subject, case: PoolCase) -> None:
    """Adaptive pooling against plain NumPy, forward and backward; global pooling is one window of it."""
    adaptive = ADAPTIVE[case.rank]
    _against_reference(subject, case, adaptive, reference.adaptive_pool, reference.adaptive_pool_vjp)
    x = case.x.plain if case.x.plain.ndim == case.rank + 2 else case.x.plain[None]
    whole = cx.global_pool(x, subject.bound, keepdims=True, **case.options)
    want = adaptive(x, 1, subject.bound, **case.options)
    require_close("global pooling", whole, want, 1e-12 * (1 + np.abs(want)), "as adaptive pooling to one window")


def _against_reference(
    subject: Subject, case: PoolCase, operation: Any, by_definition: Any, gradient_by_definition: Any
) -> None:
    bound, x = subject.bound, case.x.plain
    kind, keywords = as_reduction(bound)
    options = {"rank": case.rank, **case.options, **keywords}
    got, pullback = cx.vjp(operation, x, case.size, bound, **case.options)
    with np.errstate(all="ignore"):
        want = by_definition(x, case.size, kind, **options)
    scale = 1 + np.abs(x).max(initial=0) * np.prod(case.size)
    require_close("pooling", got, want, 1e-9 * (scale + np.abs(want)), "as by plain NumPy with this function")
    if bound.plugin.gradient:
        gy = varied(got.shape)
        with np.errstate(all="ignore"):
            gradient = gradient_by_definition(x, case.size, kind, gy=gy, **options)
        allowed = 1e-8 * (1 + np.abs(gradient).max(initial=0))
        require_close("gradient of pooling", pullback(gy)[0], gradient, allowed, "as by plain NumPy with this gradient")


FORM = CompiledForm(
    row_map,
    _has_compiled_twin,
    _has_compiled_gradient,
    (
        ("one after another", _run, _run_back),
        ("side by side", partial(_run, beside=True), partial(_run_back, beside=True)),
    ),
)

LAWS = (
    *purity_laws(_windows(near), calls),
    Law(
        "result_form",
        "A result has the shape of the windows without their axis and their dtype (if exact, whichever), a gradient "
        "the shape of the windows; also for no windows.",
        _windows(near),
        result_form,
    ),
    Law(
        "other_axes",
        "Windows may have any axes before their own: it gives what it gives for them in a row.",
        _windows(near),
        other_axes,
    ),
    *numeric_laws(_windows, row_map, "its own window", "a whole window"),
    many_law(_all, row_map),
    wide_law(
        "All that is said of order, gradient, NaN, float32, definition and compiled form holds for windows of hundreds "
        "of elements, too.",
        lambda subject: WIDE,
        row_map,
        ((_is_unordered, any_order), (is_defined, definition), *FORM.compared),
    ),
    *memory_laws(FORM, _placed, _run_placed, _run_back_placed),
    parameters_law(_windows, row_map, FORM.compared),
    Law(
        "any_order",
        "The order of elements in a window does not matter, unless ordered=True is declared.",
        _windows(near),
        any_order,
        _is_unordered,
    ),
    Law(
        "single_element",
        "A window of one element gives a finite number, and that element if the pooling is exact.",
        lambda subject: blocks("w", [1], near),
        single_element,
    ),
    Law(
        "is_an_element",
        "A result is an element of its window, as exact=True declares, and the same one whatever the dtype.",
        _windows(near),
        is_an_element,
        lambda subject: subject.bound.plugin.exact,
    ),
    Law(
        "definition",
        "It is what its definition says, but where that overflows far from zero.",
        _windows(near_or_far),
        definition,
        is_defined,
    ),
    *compiled_laws(_windows, FORM),
    *long_laws("long rows and wide windows", FORM, _long, _each, (_many, _many_back)),
    Law(
        "in_pooling",
        "Windows of every geometry, rank and layout are reduced by it, with their gradients.",
        _poolings,
        in_pooling,
        share=0.3,
    ),
    Law(
        "in_adaptive",
        "Adaptive and global pooling of every rank and layout reduce by it, with their gradients.",
        _grids,
        in_adaptive,
        share=0.2,
    ),
)
