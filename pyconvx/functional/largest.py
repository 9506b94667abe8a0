"""The max pooling behind another operation, for those who do both at once. May import the core, arrays, operation."""

from __future__ import annotations

import math
from collections.abc import Mapping
from types import FunctionType
from typing import Any

import numpy as np

from .._core import now
from ..remember import remembered
from .arrays import stand_in
from .operation import plan_of

__all__ = ["largest_of"]


def largest_of(
    pool: Any, shape: tuple[int, ...], dtype: np.dtype[Any], arguments: tuple[Any, ...], options: Mapping[str, Any]
) -> Any:
    """The plan of `pool(x, *arguments, **options)` for any x (N, *spatial, C) of that shape and dtype.

    pool: pool#d, adaptive_pool#d or global_pool. None where the result has no elements, where channels do not come
    last, under a joint padding mode, for another kind than max, or for another number of axes.
    """
    return _plan(pool, shape, dtype, arguments, tuple(options.items()), now())


@remembered(FunctionType)
def _plan(
    pool: Any, shape: tuple[int, ...], dtype: np.dtype[Any], arguments: Any, options: Any, generation: int
) -> Any:
    planner, _ = plan_of(pool, "pool")
    plan: Any = planner(stand_in(shape, dtype), *arguments, **dict(options))
    plain = len(shape) == plan.rank + 2 and plan.layout == "channels_last" and plan.border is None
    return plan if plain and plan.kind.plugin.kernel == "max" and math.prod(plan.canonical) > 0 else None
