"""An operation made ready for arrays of one form, for those who know that they will do it again.

May import the core, algorithms, arrays, operation and parallel.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from .._core import Kernel, Repeat, now
from .algorithms import choose
from .arrays import Array, stand_in
from .operation import attempt, plan_of
from .parallel import num_threads

__all__ = ["Moved", "Ready", "alone", "circumstances"]


def circumstances() -> tuple[int, int]:
    """What a ready operation was made for beside arrays and options: where it is another now, make it anew."""
    return num_threads(), now()


def alone(function: Any, shape: tuple[int, ...], part: tuple[int, ...], dtype: np.dtype[Any], *given: Any) -> bool:
    """Whether the results of a part of a batch have the same bits where it is done by itself.

    shape, part: of x; given: arguments and options of the operation.
    """
    planner, _ = plan_of(function, "function")
    arguments, options = given
    plans: list[Any] = [planner(stand_in(each, dtype), *arguments, **options) for each in (shape, part)]
    if any(getattr(plan, "indexed", False) for plan in plans):
        return False
    if not all(hasattr(plan, "supposed") for plan in plans):
        return True
    chosen, other = (choose(plan.supposed(), "auto") for plan in plans)
    return chosen is other and not chosen.paired


class Ready:
    """`function(x, *arguments, **options)` for any x of a shape and dtype, contiguous and aligned.

    Raises what the function raises for such an x.
    """

    def __init__(
        self,
        function: Any,
        shape: tuple[int, ...],
        dtype: np.dtype[Any],
        arguments: tuple[Any, ...],
        options: Mapping[str, Any],
    ) -> None:
        planner, arrays = plan_of(function, "function")
        plan: Any = planner(np.zeros(shape, dtype), *arguments, **options)
        self._planner, self._arguments, self._options = planner, arguments, options
        self.shape: tuple[int, ...] = plan.shape
        self.bias: Array | None = arguments[1] if arrays > 2 and len(arguments) > 1 else None
        self._repeat: Repeat | None = plan.repeat() if hasattr(plan, "repeat") else None

    @property
    def kernel(self) -> Kernel | None:
        """What does all of it, without Python; None if there is no such kernel."""
        return None if self._repeat is None else self._repeat.kernel

    def fill(self, x: Array, y: Array, other: Array | None = None) -> None:
        """Put the result of x into y, which is contiguous, and shares no memory with it. other: None."""
        if self._repeat is None or not self._repeat.into(x, self.bias, y):
            plan = self._planner(x, *self._arguments, **self._options, out=y)
            attempt(plan, plan.run)


class Moved:
    """What a kernel alone does, as `Ready` does an operation."""

    bias = None

    def __init__(self, kernel: Any, shape: tuple[int, ...]) -> None:
        self.kernel: Kernel | None = kernel
        self.shape = shape
        self._fill = kernel.fill

    def fill(self, x: Array, y: Array, other: Array | None = None) -> None:
        """Put the result of x, and of the array that is added if there is one, into y; all are contiguous."""
        self._fill(x, other, y)
