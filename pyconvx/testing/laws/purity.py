"""Laws about functions that hold whatever they compute: no side effects, no memory, no dependence on where arrays lie.

Written for calls of a plugin's functions; imports NumPy and the forms of arrays.
"""

from __future__ import annotations

import itertools
import pickle
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from types import FrameType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..strategies.arrays import reshaped
from .law import Refuted, require_close, require_same

Array = NDArray[Any]

VIEWS = ("sliced", "reversed", "fortran", "read_only")
THREADS, TURNS = 4, 3


@dataclass(frozen=True)
class Call:
    """One of the functions of a plugin with what it is called with; `run(*arrays)` returns one or more arrays."""

    what: str
    run: Callable[..., Any]
    arrays: tuple[Array, ...]

    def results(self, arrays: Sequence[Array]) -> list[Array]:
        """What the function returns, as a list."""
        with np.errstate(all="ignore"):
            found = self.run(*arrays)
        return list(map(np.asarray, found if isinstance(found, tuple) else (found,)))

    def fresh(self, turned: bool = False) -> list[Array]:
        """Arrays that nobody else has; `turned`: others of the same shapes."""
        return [np.flip(array).copy() if turned else array.copy() for array in self.arrays]

    def require_same(self, got: Sequence[Array], want: Sequence[Array], why: str) -> None:
        """Results have the bits of others."""
        if len(got) != len(want):
            raise Refuted(f"{self.what} returned {len(got)} arrays", f"{len(want)} {why}")
        for one, other in zip(got, want, strict=True):
            require_same(f"what {self.what} returned", one, other, why)


def copies(arrays: Sequence[Array]) -> list[Array]:
    """Copies of them all."""
    return [array.copy() for array in arrays]


def input_untouched(calls: Sequence[Call]) -> None:
    """Arrays that may be written to are as before, and so are the random numbers that all of the program shares."""
    np.random.random()  # noqa: NPY002 - so that no seed gives their state
    for call in calls:
        given, random = call.fresh(), _shared_random()
        call.results(given)
        for after, before in zip(given, call.arrays, strict=True):
            require_same(f"an array that {call.what} was given", after, before, "as before the call")
        if _shared_random() != random:
            raise Refuted(f"{call.what} seeded NumPy's global random numbers, or drew some", "them as they were before")


def _shared_random() -> bytes:
    """What tells the next random numbers of numpy.random itself."""
    return pickle.dumps(np.random.get_state(legacy=False))  # noqa: NPY002


def repeatable(calls: Sequence[Call]) -> None:
    """Called again, with calls of every function between; and for arrays that have changed in place."""
    for call in calls:
        given, other = call.fresh(), call.fresh(turned=True)
        first = call.results(given)
        kept = copies(first)
        between = copies(call.results(other))
        call.require_same(first, kept, "after the next call, as before it")
        for turned in (True, False):
            for each in calls:  # a gradient may not rest on what the function has seen last
                each.results(each.fresh(turned))
            call.require_same(call.results(given), kept, "as when called before")
        for array, values in zip(given, other, strict=True):
            array[...] = values
        for got, want in zip(call.results(given), between, strict=True):
            require_close(f"what {call.what} returned", got, want, slack(want), "as the array has other elements now")


def many_threads(calls: Sequence[Call]) -> None:
    """Four threads and two inputs, each thread giving way after every line of the plugin.

    They come first: what a plugin keeps for inputs like these is not made by one thread alone.
    """
    for call in calls:
        inputs = [call.fresh(turned) for turned in (False, True)]

        def turns(thread: int, call: Call = call, inputs: Any = inputs) -> list[tuple[int, list[Array]]]:
            before = sys.gettrace()
            sys.settrace(_give_way)
            try:
                return [(turn % 2, copies(call.results(inputs[turn % 2]))) for turn in range(thread, thread + TURNS)]
            finally:
                sys.settrace(before)

        with ThreadPoolExecutor(THREADS) as pool:
            found = list(pool.map(turns, range(THREADS)))
        wants = [copies(call.results(arrays)) for arrays in inputs]
        for which, results in itertools.chain.from_iterable(found):
            call.require_same(results, wants[which], "as in a thread by itself")


def _give_way(frame: FrameType, event: str, argument: Any) -> Any:
    """A trace function that lets other threads run between any two lines, but for NumPy's own."""
    if frame.f_globals.get("__name__", "").startswith("numpy"):
        return None
    time.sleep(1e-6)
    return _give_way


def any_memory(calls: Sequence[Call]) -> None:
    """Views of larger arrays, reversed, column by column, read-only, which stay as they are."""
    for call in calls:
        want = call.results(call.fresh())
        for form in VIEWS:
            given = [reshaped(array, form) for array in call.fresh()]
            got = call.results(given)
            for after, before in zip(given, call.arrays, strict=True):
                require_same(f"an array ({form}) that {call.what} was given", after, before, "as before the call")
            for one, other in zip(got, want, strict=True):
                require_close(f"what {call.what} returned", one, other, slack(other), f"({form}) as for a plain array")


def slack(want: Array) -> Array:
    """What NumPy's vector and scalar forms of a function may differ by; nothing for integers."""
    if want.dtype.kind != "f":
        return np.zeros(want.shape)
    finite = np.where(np.isfinite(want), np.abs(want), 0)
    return np.full(want.shape, 256 * float(np.finfo(want.dtype).eps) * (1 + finite.max(initial=0)))
