"""How an operation is made public: one N-d planner gives a function per rank, and its gradient.

A planner checks every argument and returns a Plan: what is to be done, with the shape of the result known and nothing
computed yet. Calling the function runs the plan; `vjp` runs it and keeps what the gradient needs; `output_shape` only
looks at it.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, Concatenate, Generic, ParamSpec, Protocol, TypeVar, cast

from .arrays import Array

__all__ = ["Plan", "Pullback", "operation", "plan_of", "ranked"]

P = ParamSpec("P")
R = TypeVar("R")
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


def operation(arrays: int) -> Callable[[Callable[P, Plan[R]]], Callable[P, R]]:
    """Decorator that makes a planner public, under its name; its first `arrays` arguments are arrays."""

    def decorate(planner: Callable[P, Plan[R]]) -> Callable[P, R]:
        def function(*args: P.args, **options: P.kwargs) -> R:
            return planner(*args, **options).run()

        name, signature = planner.__name__, inspect.signature(planner)
        return _dress(function, name, planner.__doc__, planner.__module__, signature, planner, arrays)

    return decorate


def ranked(planner: Callable[Concatenate[int, P], Plan[R]], rank: int, arrays: int) -> Callable[P, R]:
    """The same for one rank of a planner that takes it first; `#` in the docstring stands for the rank."""

    def plan(*args: P.args, **options: P.kwargs) -> Plan[R]:
        return planner(rank, *args, **options)

    def function(*args: P.args, **options: P.kwargs) -> R:
        return planner(rank, *args, **options).run()

    signature = inspect.signature(planner)
    signature = signature.replace(parameters=list(signature.parameters.values())[1:])
    doc = (planner.__doc__ or "").replace("#", str(rank))
    return _dress(function, f"{planner.__name__}{rank}d", doc, planner.__module__, signature, plan, arrays)


def _dress(
    function: Callable[P, R],
    name: str,
    doc: str | None,
    module: str,
    signature: inspect.Signature,
    plan: Callable[P, Plan[R]],
    arrays: int,
) -> Callable[P, R]:
    public = cast(Any, function)
    public.__name__ = public.__qualname__ = name
    public.__doc__, public.__module__, public.__signature__ = doc, module, signature
    public.__annotations__ = {k: v.annotation for k, v in signature.parameters.items()}
    public.plan, public.arrays = plan, arrays
    return function


def plan_of(function: Any, what: str) -> tuple[Callable[..., Plan[Any]], int]:
    """Planner and number of array arguments of a public operation; TypeError for anything else."""
    plan, arrays = getattr(function, "plan", None), getattr(function, "arrays", None)
    if plan is None or arrays is None:
        raise TypeError(f"{what} must be an operation of pyconvx such as conv2d or pool2d, got {function!r}")
    return plan, arrays
