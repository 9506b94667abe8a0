"""An operation made ready for arrays of one form, for those who know that they will do it again.

May import the core, algorithms, arrays, operation and parallel.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from .._core import Repeat, now
from .algorithms import choose
from .arrays import Array, stand_in
from .operation import plan_of
from .parallel import num_threads

__all__ = ["Ready", "circumstances"]


def circumstances() -> tuple[int, int]:
    """What a ready operation was made for beside arrays and options: where it is another now, make it anew."""
    return num_threads(), now()


class Ready:
    """`function(x, *arguments, **options)` for any x of a shape and dtype, contiguous and aligned.

    part_of: the shape of a batch of which x is a part: its results have the same bits as those of the whole. Raises
    what the function raises for such an x.
    """

    def __init__(
        self,
        function: Any,
        shape: tuple[int, ...],
        dtype: np.dtype[Any],
        arguments: tuple[Any, ...],
        options: Mapping[str, Any],
        part_of: tuple[int, ...] | None = None,
    ) -> None:
        planner, arrays = plan_of(function, "function")
        self.function, self.arguments, self.options = function, arguments, dict(options)
        plan: Any = planner(np.zeros(shape, dtype), *arguments, **options)
        if part_of not in (None, shape) and hasattr(plan, "supposed"):
            whole: Any = planner(stand_in(part_of, dtype), *arguments, **options)
            chosen = choose(whole.supposed(), "auto")
            if chosen is not choose(plan.supposed(), "auto") and chosen.unfit(plan.problem()) is None:
                self.options["algorithm"] = chosen.name
                plan = planner(np.zeros(shape, dtype), *arguments, **self.options)
        self.shape: tuple[int, ...] = plan.shape
        self._bias = arguments[1] if arrays > 2 and len(arguments) > 1 else None
        self._repeat: Repeat | None = plan.repeat() if hasattr(plan, "repeat") else None

    def fill(self, x: Array, y: Array) -> None:
        """Put the result of x into y, which is contiguous, and shares no memory with it."""
        if self._repeat is None or not self._repeat.into(x, self._bias, y):
            self.function(x, *self.arguments, **self.options, out=y)
