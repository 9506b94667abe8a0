"""Plugins that are wrong, each in one way, with the laws that must say so."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Wrong:
    """A plugin to register in `registry`; each of `laws` must find it wrong."""

    registry: str
    name: str
    laws: tuple[str, ...]
    make: Callable[[], Callable[..., Any]]  # a new function each time, for those that keep state
    fields: dict[str, Any] = field(default_factory=dict)
    like: Any = None


WRONG: list[Wrong] = []


def wrong(registry, laws, function=None, *, make=None, like=None, name=None, **fields):
    """Add a plugin to the list, under the name of the function; usable as decorator."""

    def add(function):
        called = (name or function.__name__).strip("_")
        WRONG.append(Wrong(registry, called, tuple(laws.split()), make or (lambda: function), fields, like))
        return function

    return add if function is None and make is None else add(function)
