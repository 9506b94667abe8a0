"""How an operation is made public: one N-d planner gives a function per rank, and its gradient.

A planner checks every argument and returns a Plan: what is to be done, with the shape of the result known and nothing
computed yet. Calling the function runs the plan; `vjp` runs it and keeps what the gradient needs; `output_shape` only
looks at it. May import geometry, arrays and parallel.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import Any, Concatenate, Generic, ParamSpec, Protocol, TypeVar, cast

import numpy as np

from .._core import Calls, Repeat, now
from ..geometry import count, per_axis, told
from .arrays import Array, stand_in
from .parallel import num_threads

__all__ = [
    "REMEMBERED",
    "Plan",
    "Pullback",
    "attempt",
    "operation",
    "plan_of",
    "ranked",
    "repeated",
    "repeated_operation",
    "supposed",
]

P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T")
R_co = TypeVar("R_co", covariant=True)
Pullback = Callable[[Any], tuple[Array, ...]]


class Plan(Protocol, Generic[R_co]):
    """One call, checked but not computed."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the result."""
        ...

    def run(self) -> R_co:
        """Compute the result."""
        ...

    def vjp(self) -> tuple[R_co, Pullback]:
        """Compute the result, and return it with its pullback."""
        ...


class Repeatable(Plan[R_co], Protocol):
    """A call that can be done again for other arrays of the same form without being planned anew."""

    def repeat(self) -> Repeat | None:
        """How; None if this call cannot."""
        ...


def operation(arrays: int) -> Callable[[Callable[P, Plan[R]]], Callable[P, R]]:
    """Decorator that makes a planner public, under its name; its first `arrays` arguments are arrays."""

    def decorate(planner: Callable[P, Plan[R]]) -> Callable[P, R]:
        def function(*args: P.args, **options: P.kwargs) -> R:
            plan = planner(*args, **options)
            return attempt(plan, plan.run)

        name, signature = planner.__name__, inspect.signature(planner)
        return _dress(function, name, planner.__doc__, planner.__module__, signature, planner, arrays)

    return decorate


def ranked(planner: Callable[Concatenate[int, P], Plan[R]], rank: int, arrays: int) -> Callable[P, R]:
    """The same for one rank of a planner that takes it first; `#` in the docstring stands for the rank."""
    planned = _at_rank(planner, rank)

    def function(*args: P.args, **options: P.kwargs) -> R:
        plan = planned(*args, **options)
        return attempt(plan, plan.run)

    return _dress_ranked(function, planned, planner, rank, arrays)


REMEMBERED = 2**19
"""Bytes of index tables that a call which is to be repeated may hold."""


def repeated(
    planner: Callable[Concatenate[int, P], Repeatable[R]], rank: int, arrays: int, returns: str = "Array"
) -> Callable[P, R]:
    """The same where calls that come again skip the planning; returns: the type of the result, as `help` shows it."""
    plan = _at_rank(planner, rank)
    return _dress_ranked(_repeating(plan, arrays), plan, planner, rank, arrays, returns)


def repeated_operation(planner: Callable[P, Repeatable[R]]) -> Callable[P, R]:
    """Decorator, as `operation(arrays=1)`, where calls that come again skip the planning."""
    name, signature = planner.__name__, inspect.signature(planner)
    return _dress(_repeating(planner, 1), name, planner.__doc__, planner.__module__, signature, planner, 1)


def _repeating(planner: Callable[P, Repeatable[R]], arrays: int) -> Callable[P, R]:
    calls = Calls(windows=arrays == 1)

    def function(*args: P.args, **options: P.kwargs) -> R:
        threads = num_threads()
        y: R | None = calls.again(args, options, threads)
        if y is not None:
            return y
        since = now()
        plan = planner(*args, **options)
        y = attempt(plan, plan.run)
        calls.keep(args, options, threads, since, plan.repeat)
        return y

    return function


def _at_rank(planner: Callable[Concatenate[int, P], T], rank: int) -> Callable[P, T]:
    """A planner for one rank; arguments that it does not take are told of as those of the public function."""
    name, signature = _name_at(planner, rank), _signature_after_rank(planner)

    def plan(*args: P.args, **options: P.kwargs) -> T:
        try:
            return planner(rank, *args, **options)
        except TypeError:
            _bind(name, signature, args, options)
            raise

    return plan


def _name_at(planner: Callable[..., Any], rank: int) -> str:
    return f"{planner.__name__}{rank}d"


def _signature_after_rank(planner: Callable[..., Any]) -> inspect.Signature:
    signature = inspect.signature(planner)
    return signature.replace(parameters=list(signature.parameters.values())[1:])


def _bind(name: str, signature: inspect.Signature, args: Any, options: Any) -> inspect.BoundArguments:
    """Arguments by name; TypeError that names the function if it does not take them."""
    try:
        return signature.bind(*args, **options)
    except TypeError as error:
        raise TypeError(f"{name}(): {error}") from None


def _dress_ranked(
    function: Callable[P, R],
    plan: Callable[P, Plan[R]],
    planner: Callable[..., Any],
    rank: int,
    arrays: int,
    returns: str = "Array",
) -> Callable[P, R]:
    doc, signature = (planner.__doc__ or "").replace("#", str(rank)), _signature_after_rank(planner)
    return _dress(function, _name_at(planner, rank), doc, planner.__module__, signature, plan, arrays, returns)


def attempt(plan: Plan[Any], compute: Callable[[], T]) -> T:
    """What `compute`, of that plan, returns; a MemoryError names the shape of the result."""
    try:
        return compute()
    except MemoryError as error:
        if getattr(error, "__notes__", None):  # of a plugin, which the note names
            raise
        raise MemoryError(f"no memory for a result of shape {plan.shape}: {error}") from error


def _dress(
    function: Callable[P, R],
    name: str,
    doc: str | None,
    module: str,
    signature: inspect.Signature,
    plan: Callable[P, Plan[R]],
    arrays: int,
    returns: str = "Array",
) -> Callable[P, R]:
    public = cast(Any, function)
    public.__name__ = public.__qualname__ = name
    public.__doc__, public.__module__ = doc, module
    public.__signature__ = signature.replace(return_annotation=returns)
    public.__annotations__ = {**{k: v.annotation for k, v in signature.parameters.items()}, "return": returns}
    public.plan, public.arrays = plan, arrays
    return function


def plan_of(function: Any, what: str) -> tuple[Callable[..., Plan[Any]], int]:
    """Planner and number of array arguments of a public operation; TypeError for anything else."""
    plan, arrays = getattr(function, "plan", None), getattr(function, "arrays", None)
    if plan is None or arrays is None:
        raise TypeError(f"{what} must be an operation of pyconvx such as conv2d or pool2d, got {function!r}")
    return plan, arrays


def supposed(function: Any, /, *shapes: Any, **options: Any) -> Plan[Any]:
    """The plan of a call with a shape in place of each array; the arrays of the plan have no memory of their own."""
    plan, arrays = plan_of(function, "function")
    signature = inspect.signature(function)
    given = _bind(function.__name__, signature, shapes, options)
    for name in [*signature.parameters][:arrays]:
        if given.arguments.get(name) is not None:
            given.arguments[name] = _array_of(name, given.arguments[name])
    return plan(*given.args, **given.kwargs)


def _array_of(name: str, shape: Any) -> Array:
    if isinstance(shape, np.ndarray) or not isinstance(shape, Sequence) or isinstance(shape, (str, bytes)):
        raise TypeError(f"{name} must be given as a shape, a tuple of ints, got {told(shape)}")
    dtype = np.dtype(np.intp if name == "indices" else np.float32)
    sizes = per_axis(f"shape of {name}", shape, len(shape), 0)
    return stand_in(count(sizes, dtype.itemsize, name), dtype)
