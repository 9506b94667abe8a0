"""The form of a case, and the few words its entries are written with."""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

import pyconvx as cx

V, T, M = ValueError, TypeError, MemoryError
Kinds = type[BaseException] | tuple[type[BaseException], ...]


@dataclass(frozen=True)
class Case:
    """One call, and what it must do: raise one of `raises` with a message that matches all of `says`,
    or return something that `check` accepts. With both, either will do.

    `script` is run by a fresh interpreter instead, with `environment` added, and must end with status 0.
    """

    name: str
    call: Callable[[], Any] | None = None
    raises: tuple[type[BaseException], ...] = ()
    says: tuple[str, ...] = ()
    check: Callable[[Any], None] | None = None
    script: str = ""
    environment: dict[str, str] = field(default_factory=dict)
    slow: bool = False
    memory: int = 2**30  # bytes that it may add to the address space of the process
    seconds: int = 20  # of wall clock, after which it counts as hanging


TABLE: list[Case] = []


def number(value: float) -> str:
    """A pattern for `value` standing alone, not as a part of a longer number or word."""
    return rf"(?<![\w.]){re.escape(repr(value))}(?!\w)(?!\.\d)"


def word(text: str) -> str:
    """A pattern for `text` as whole words."""
    return rf"(?<!\w){re.escape(text)}(?!\w)"


# How a message may put the commonest constraints.
POSITIVE = r"positive|>= ?1|at least (1|one)|> ?0|1 or more|greater than (0|zero)|non-?zero"
NOT_NEGATIVE = r"negative|>= ?0|at least (0|zero)|0 or more"
INTEGER = r"\bint"
ACCEPTED_DTYPES = (r"float16", r"float32", r"float64")


def call_of(function: str | Callable[..., Any], args: tuple[Any, ...], options: dict[str, Any]) -> Callable[[], Any]:
    def call() -> Any:
        f = getattr(cx, function) if isinstance(function, str) else function
        return f(*args, **options)

    return call


def fails(
    name: str,
    kinds: Kinds,
    says: Iterable[str],
    function: str | Callable[..., Any],
    /,
    *args: Any,
    **options: Any,
) -> None:
    """An entry: this call must raise one of `kinds`."""
    kinds = kinds if isinstance(kinds, tuple) else (kinds,)
    TABLE.append(Case(name, call_of(function, args, options), kinds, tuple(says)))


def works(name: str, expected: Any, function: str | Callable[..., Any], /, *args: Any, **options: Any) -> None:
    """An entry: this call is legal and gives `expected` (an array, or a check of the result)."""
    check = expected if callable(expected) else same_as(expected)
    TABLE.append(Case(name, call_of(function, args, options), check=check))


def either(
    name: str,
    expected: Any,
    kinds: Kinds,
    says: Iterable[str],
    function: str | Callable[..., Any],
    /,
    *args: Any,
    **options: Any,
) -> None:
    """An entry: this call must give `expected` or raise one of `kinds`."""
    kinds = kinds if isinstance(kinds, tuple) else (kinds,)
    check = expected if callable(expected) else same_as(expected)
    TABLE.append(Case(name, call_of(function, args, options), kinds, tuple(says), check))


def same_as(expected: Any) -> Callable[[Any], None]:
    def check(result: Any) -> None:
        same(result, expected)

    return check


def same(result: Any, expected: Any) -> None:
    """The result is this array: shape, values (NaN equal to NaN) and, for an array, dtype."""
    values = np.asarray(expected)
    if isinstance(expected, np.ndarray):
        assert result.dtype == expected.dtype, f"dtype {result.dtype} instead of {expected.dtype}"
    assert np.shape(result) == values.shape, f"shape {np.shape(result)} instead of {values.shape}"
    assert np.array_equal(result, values, equal_nan=values.dtype.kind == "f"), f"{result!r} instead of {expected!r}"


def anything(result: Any) -> None:
    """Any result will do: the case only asks that the process survives."""


def fresh(*shape: int, dtype: Any = np.float32) -> Any:
    """Small whole numbers, different along every axis, so that sums are exact in any order."""
    return (np.arange(np.prod(shape, dtype=int)).reshape(shape) * 7 % 11 - 5).astype(dtype)


# The base of the list: x (1, 8, 8, 1) and one 3x3 filter; and the same for the other ranks.
X1, K1 = fresh(1, 8, 1), fresh(1, 3, 1)
X2, K2 = fresh(1, 8, 8, 1), fresh(1, 3, 3, 1)
X3, K3 = fresh(1, 4, 4, 4, 1), fresh(1, 3, 3, 3, 1)
X, K, BIAS = X2, K2, fresh(1)


def correlate(x: Any, filters: Any) -> Any:
    """The valid 2-D cross-correlation of one-channel x and one filter, from its definition."""
    h, w = x.shape[1] - filters.shape[1] + 1, x.shape[2] - filters.shape[2] + 1
    return sum(
        x[:, i : i + h, j : j + w] * filters[0, i, j] for i in range(filters.shape[1]) for j in range(filters.shape[2])
    )


def pull(function: str, args: tuple[Any, ...], gy: Any, /, **options: Any) -> Any:
    """The gradients of one operation for this gy."""
    _, pullback = cx.vjp(getattr(cx, function), *args, **options)
    return pullback(gy)
