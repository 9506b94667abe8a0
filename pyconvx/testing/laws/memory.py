"""Compiled functions called by themselves, on memory with guards around it, which may begin anywhere.

Imports the compiled forms of plugins and the comparisons of laws.
"""

from __future__ import annotations

import ctypes
import itertools
from collections.abc import Callable, Sequence
from ctypes import CFUNCTYPE, c_int, c_ssize_t, c_void_p
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..._core import _compiled
from ...compiled import Foreign, foreign_of
from ...plugin import numbers
from .compiled import Applies, CompiledForm, Long, Series, Sizes, agree, gradient_agrees, series_cases
from .inputs import FLOATS
from .law import Law, Refuted, Subject, part, require_same

Array = NDArray[Any]

GUARD, ALIGNED = 256, 64  # bytes before and after, and what an address is a multiple of
READ, WRITTEN = 0x7F, 0xFF  # bytes of a huge number, which must reach no result, and of a NaN
BEGINS = (0, 1)  # elements beyond such an address
SUCCESS = {_compiled.WINDOW: 1}  # what a function of that form returns, if not 0

PROTOTYPES = {
    _compiled.ROW: CFUNCTYPE(None, c_void_p, c_void_p, c_ssize_t, c_void_p),
    _compiled.CHECKED_ROW: CFUNCTYPE(c_int, c_void_p, c_void_p, c_ssize_t, c_void_p),
    _compiled.WINDOW: CFUNCTYPE(c_int, c_void_p, c_ssize_t, c_void_p, c_void_p),
    _compiled.ROWS: CFUNCTYPE(c_int, c_void_p, c_ssize_t, c_void_p, c_ssize_t, c_void_p),
    _compiled.SLOPES: CFUNCTYPE(c_int, c_void_p, c_ssize_t, c_void_p, c_void_p, c_ssize_t, c_void_p),
}


class Guarded:
    """Elements with guards before and after them: `values` to be read, or as many as these to be written."""

    def __init__(self, name: str, values: Array, begins: int, written: bool = False) -> None:
        self.name, self._guard = name, WRITTEN if written else READ
        self._memory = np.full(values.nbytes + 2 * GUARD + 2 * ALIGNED, self._guard, np.uint8)
        beyond = -(self._memory.ctypes.data + GUARD) % ALIGNED
        self._start = GUARD + beyond + begins * values.itemsize
        self.elements = self._memory[self._start : self._start + values.nbytes].view(values.dtype)
        self._before = None if written else values
        if not written:
            self.elements[...] = values

    @property
    def address(self) -> int:
        return self._memory.ctypes.data + self._start

    def require_intact(self) -> None:
        """Nothing has been written beside the elements, nor to those that are to be read."""
        elements = self.elements
        spoilt = np.flatnonzero(self._memory != self._guard) - self._start
        outside = spoilt[(spoilt < 0) | (spoilt >= elements.nbytes)]
        if outside.size:
            raise Refuted(
                f"{self.name}[{outside[0] // elements.itemsize}] was written to",
                f"nothing beside its {elements.size} elements",
            )
        if self._before is not None:
            require_same(self.name, elements, self._before, "as before the call")


@dataclass(frozen=True)
class Function:
    """A compiled function of a plugin, with the parameters that it gets."""

    foreign: Foreign
    params: tuple[float, ...]

    def __call__(self, *arguments: Any) -> None:
        form, address, own = self.foreign
        params = (ctypes.c_double * max(1, len(self.params)))(*self.params)
        user = own or (ctypes.addressof(params) if self.params else None)
        status = PROTOTYPES[form](address)(*arguments, user)
        success = SUCCESS.get(form, 0)
        if status not in (None, success):
            raise Refuted(f"the compiled function returned {status}", f"{success}, as of a call that has not failed")


def function_of(subject: Subject, dtype: str, backward: bool) -> Function | None:
    """The compiled function of a plugin for a dtype, or its gradient, if there is one."""
    bound = subject.bound
    params, foreign = numbers(bound), foreign_of(bound.plugin.kernel, np.dtype(dtype), backward)
    return None if params is None or foreign is None else Function(foreign, params)


def _pointers(arrays: Sequence[Guarded]) -> Any:
    return (c_void_p * len(arrays))(*(array.address for array in arrays))


def call_row(function: Function, x: Array, begins: int) -> Array:
    """What a function of an activation makes of one row."""
    read, written = Guarded("x", x, begins), Guarded("y", x, begins, written=True)
    function(read.address, written.address, x.size)
    for each in (written, read):
        each.require_intact()
    return written.elements


def call_windows(function: Function, w: Array, begins: int) -> Array:
    """The results (P,) of a compiled pooling for windows (P, k)."""
    if function.foreign[0] == _compiled.WINDOW:
        return np.array([_call_window(function, each.astype(np.float64), begins) for each in w], w.dtype)
    rows = [Guarded(f"rows[{tap}]", w[:, tap], begins) for tap in range(w.shape[-1])]
    y = Guarded("y", w[:, 0], begins, written=True)
    function(_pointers(rows), len(rows), y.address, len(w))
    for each in (y, *rows):
        each.require_intact()
    return y.elements


def _call_window(function: Function, window: Array, begins: int) -> Any:
    """The window may be written to."""
    read, y = Guarded("window", window, begins), Guarded("y", window[:1], begins, written=True)
    function(read.address, window.size, y.address)
    y.require_intact()
    return y.elements[0]


def call_slopes(function: Function, w: Array, y: Array, begins: int) -> Array:
    """The gradient (P, k) of a compiled pooling for windows (P, k) and their results (P,)."""
    rows = [Guarded(f"rows[{tap}]", w[:, tap], begins) for tap in range(w.shape[-1])]
    slopes = [Guarded(f"slopes[{tap}]", w[:, tap], begins, written=True) for tap in range(w.shape[-1])]
    results = Guarded("y", y, begins)
    function(_pointers(rows), len(rows), results.address, _pointers(slopes), len(w))
    for each in (*slopes, results, *rows):
        each.require_intact()
    return np.stack([each.elements for each in slopes], -1)


Run = Callable[[Subject, Function, Array, int], Array]
"""What a compiled function makes of rows, which begin so many elements beyond an aligned address."""


def memory_laws(form: CompiledForm, sizes: Sizes, run: Run, run_back: Run) -> tuple[Law, Law]:
    """The laws about memory on rows of those sizes, for a compiled form and its gradient."""

    def compare(subject: Subject, function: Function, case: Long, begins: int, backward: bool) -> None:
        maps, rows = form.row_map(subject), case.array
        where = f", in memory that begins {begins * rows.itemsize} bytes beyond an aligned address"
        got = (run_back if backward else run)(subject, function, rows, begins)
        if backward:
            results = maps.forward(rows[:1], np.arange(1)).shape[-1]
            gradient_agrees(maps, rows, np.ones((len(rows), results), rows.dtype), got, where)
        else:
            agree(maps, rows, got, where)

    def holds(backward: bool) -> Callable[[Subject, Series], None]:
        def all_hold(subject: Subject, series: Series) -> None:
            for dtype in FLOATS:
                function = function_of(subject, dtype, backward)
                if function is None:
                    continue
                for case, begins in itertools.product(series, BEGINS):
                    one = replace(case, dtype=dtype)
                    with part(one):
                        compare(subject, function, one, begins, backward)

        return all_hold

    def has(backward: bool, applies: Applies) -> Applies:
        return lambda subject: applies(subject) and any(function_of(subject, each, backward) for each in FLOATS)

    where = "wherever they begin"
    return (
        Law(
            "compiled_memory",
            f"Its compiled form writes the results that it is asked for and nothing beside them, {where}.",
            series_cases(sizes),
            holds(False),
            has(False, form.applies),
            0.01,
            guards=True,
        ),
        Law(
            "compiled_gradient_memory",
            f"Its compiled gradient writes what it is asked for and nothing beside it, {where}.",
            series_cases(sizes),
            holds(True),
            has(True, form.applies_back),
            0.01,
            guards=True,
        ),
    )
