"""A cache for pure functions of shapes and options, which calls of one form share. Imports nothing from pyconvx.

All functions share one budget of bytes; what was used longest ago goes first. No lock is held: each step is one
operation on a dictionary, which nothing interrupts, so that a child forked meanwhile waits for nobody. Threads that
meet may lose an entry, or its bytes in the count, which is taken anew before anything has to go.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from itertools import count
from struct import pack
from types import MappingProxyType
from typing import Any, TypeVar

import numpy as np

__all__ = ["BUDGET", "forget", "key_of", "remembered"]

R = TypeVar("R")
Key = tuple[Any, ...]

BUDGET = 2**26
"""Bytes that all results kept may have; a larger one is not kept."""

LEAST = 2**12  # bytes that an entry counts for at least: its key, and results that do not tell theirs
DTYPES = [np.dtype(char) for char in "?bBhHiIlLqQefd"]
PLAIN = {int, str, bool, type(None), *map(type, DTYPES), *(dtype.type for dtype in DTYPES if dtype.kind in "iu")}
INT = {int}


def key_of(values: Collection[Any], kinds: Mapping[type, bool] = MappingProxyType({})) -> Key | None:
    """What `values` are known by: keys are equal only where no function can tell the values apart.

    None where there is no such key, for a value that may change: anything but numbers, strings, None, dtypes, tuples of
    these, and objects of exactly the types `kinds`, which are known by their `key` (True) or by == (False).
    """
    types = tuple(map(type, values))  # to a dictionary 1, True and 1.0 are one key
    key = [types, *values]
    at = 0
    for kind in types:
        at += 1
        if kind in PLAIN:
            continue
        known = key[at]
        if kind is tuple:
            known = known if INT.issuperset(map(type, known)) else key_of(known)
        elif kind is float:
            known = pack("d", known)  # tells -0.0 from 0.0, and NaN equals itself
        elif kind not in kinds:
            return None
        elif kinds[kind]:
            known = known.key
        if known is None:
            return None
        key[at] = known
    return tuple(key)


class _Entry:
    __slots__ = ("last", "result", "size")

    def __init__(self, result: Any, size: int) -> None:
        self.result, self.size, self.last = result, size, next(_clock)


_clock = count()
_stores: list[dict[Key, _Entry]] = []  # one of each function
_held = 0


def _size_of(result: Any) -> int:
    """Bytes of a table, or of a tuple of them; nothing for anything else."""
    if isinstance(result, tuple):
        return sum(map(_size_of, result))
    return int(getattr(result, "nbytes", 0))


def _keep(store: dict[Key, _Entry], key: Key, result: Any, size: int) -> None:
    """Put a result into its store, and if that is too much let go of what was used longest ago, for a while to come."""
    global _held
    if size > BUDGET:
        return
    entry = _Entry(result, max(LEAST, size))
    store[key] = entry
    _held += entry.size
    if _held > BUDGET:
        entries = [(*item, each) for each in _stores for item in each.copy().items()]
        entries.sort(key=lambda item: item[1].last)
        held = sum(entry.size for _, entry, _ in entries)
        for old, entry, each in entries[:-1]:
            if held <= BUDGET - BUDGET // 8:
                break
            each.pop(old, None)
            held -= entry.size
        _held = held


def forget() -> None:
    """Let all results go: a plugin has gone that keys and results may hold, with what its function holds in turn."""
    global _held
    for store in _stores:
        store.clear()
    _held = 0


def remembered(*kinds: type) -> Callable[[Callable[..., R]], Callable[..., R]]:
    """Decorator: remember the results of calls whose arguments have a key; see `key_of`.

    kinds: further types of arguments, which do not change; known by their `key` if they have one, else by ==. A result
    counts for its `nbytes`, and so do arguments that it keeps alive; a tuple for those of its elements.
    """

    def decorate(function: Callable[..., R]) -> Callable[..., R]:
        store: dict[Key, _Entry] = {}
        known_by = {kind: hasattr(kind, "key") for kind in kinds}
        _stores.append(store)

        def call(*args: Any) -> R:
            key = key_of(args, known_by)
            if key is None:
                return function(*args)
            entry = store.get(key)
            if entry is None:
                result = function(*args)
                _keep(store, key, result, _size_of((result, args)))
                return result
            entry.last = next(_clock)
            found: R = entry.result
            return found

        return call

    return decorate
