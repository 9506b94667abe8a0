"""Which algorithm a convolution would run, and what it costs. May import conv and algorithms."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from .algorithms import CANDIDATES, against, choose
from .operation import plan_of, supposed

__all__ = ["Explanation", "explain"]


@dataclass(frozen=True)
class Explanation:
    """What `explain` found; its str is the report."""

    algorithm: str
    """Name of the candidate that would run."""
    reasons: tuple[str, ...]
    """A line per candidate considered: why it would run, or why it cannot."""
    output_shape: tuple[int, ...]
    flops: int
    """Multiplications and additions of the sums, padding included."""
    bytes: int
    """Least bytes to be moved: x, filters and result once."""
    scratch: int
    """Bytes of scratch memory, for the number of threads that the call may use here."""

    def __str__(self) -> str:
        lines = [
            f"algorithm  {self.algorithm}",
            *(f"           {reason}" for reason in self.reasons),
            f"result     {self.output_shape}",
            f"FLOPs      {self.flops:,}",
            f"bytes      {self.bytes:,}",
            f"scratch    {self.scratch:,}",
        ]
        return "\n".join(lines)


def explain(function: Callable[..., Any], *shapes: Any, **options: Any) -> Explanation:
    """Tell which algorithm a convolution of these shapes (float32) would run, why, and what it costs.

    function: conv*d or conv_transpose*d; shapes and options as for `output_shape`. Raises what the operation would
    raise.

    >>> import pyconvx as cx
    >>> report = cx.explain(cx.conv2d, (56, 56, 64), (64, 3, 3, 64))
    >>> report.algorithm, report.flops
    ('winograd', 214990848)
    """
    if plan_of(function, "function")[1] != 3:
        raise TypeError(f"explain takes a convolution, got {function!r}")
    call: Any = supposed(function, *shapes, **options)
    problem = call.supposed()
    chosen = choose(problem, call.algorithm)
    reasons = []
    for candidate in CANDIDATES:
        if candidate is chosen:
            how = "asked for" if call.algorithm != "auto" else "the first that fits"
            reasons.append(f"{candidate.name}: {how} ({candidate.description})")
            break
        reasons.append(f"{candidate.name}: {against(candidate, problem) or 'not asked for'}")
    places = problem.x.shape[0] * math.prod(window.out for window in call.form.windows)
    flops = 2 * places * math.prod(problem.filters.shape)
    moved = (problem.x.size + problem.filters.size + math.prod(call.form.canonical_shape)) * problem.x.itemsize
    scratch = chosen.kernel(problem, call.outline(chosen)).scratch + call.copied
    return Explanation(chosen.name, tuple(reasons), call.shape, flops, moved, scratch)
