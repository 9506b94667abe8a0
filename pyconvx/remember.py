"""A cache for pure functions of shapes and options, which calls of one form share. Imports nothing from pyconvx."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any, TypeVar

__all__ = ["remembered"]

R = TypeVar("R")


def _exact(value: Any) -> bool:
    """Whether the elements of a tuple are told apart by ==: to a cache, (1,), (True,) and (1.0,) are one key."""
    return all(_exact(each) if type(each) is tuple else type(each) in (int, str) for each in value)


def remembered(maxsize: int) -> Callable[[Callable[..., R]], Callable[..., R]]:
    """Decorator: remember the results of the last `maxsize` calls whose arguments can be told apart."""

    def decorate(function: Callable[..., R]) -> Callable[..., R]:
        cached = lru_cache(maxsize, typed=True)(function)

        def call(*args: Any) -> R:
            for arg in args:
                if type(arg) is tuple and not _exact(arg):
                    return function(*args)
            try:
                hash(args)
            except TypeError:
                return function(*args)
            return cached(*args)

        return call

    return decorate
