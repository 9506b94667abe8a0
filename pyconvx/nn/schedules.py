"""Schedules by name: by what the learning rate is multiplied as training goes on. Imports the registry."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

from ..plugin import Bound, Plugin, calling
from ..registry import Registry

__all__ = ["Schedule", "factor", "schedule", "schedules"]


@dataclass(frozen=True, eq=False)
class Schedule(Plugin):
    """A registered schedule. `function(progress, **params)` returns a factor, for a progress from 0 to 1.

    >>> round(factor("cosine", 0.5), 6)
    0.5
    """

    kind: ClassVar[str] = "schedule"
    arguments: ClassVar[tuple[str, ...]] = ("progress",)


schedules: Registry[Schedule] = Registry(Schedule.kind, Schedule, "pyconvx.schedules")
"""Every schedule by name."""


def schedule(name: str | Schedule | Bound[Schedule], /, **params: Any) -> Bound[Schedule]:
    """Return a schedule with its parameters set. Raises UnknownNameError for a name, TypeError for a parameter.

    >>> schedule("step", drops=2)
    step(drops=2, factor=0.1)
    """
    return schedules.resolve(name, params)


def factor(given: str | Schedule | Bound[Schedule], progress: float) -> float:
    """The factor of a schedule. Raises UnknownNameError for an unknown name, ValueError for a factor that is none."""
    bound = schedules.resolve(given)
    with calling(bound.plugin):
        found = float(bound.plugin.function(progress, **bound.params))
    if not 0 <= found < math.inf:
        raise ValueError(f"schedule {bound!r} must give factors of at least 0, got {found} at {progress}")
    return found


@schedules.register("constant")
def constant(progress: float) -> float:
    """Always 1."""
    return 1.0


@schedules.register("linear")
def linear(progress: float, end: float = 0.0) -> float:
    """From 1 to `end` in a straight line."""
    return 1 - (1 - end) * progress


@schedules.register("cosine")
def cosine(progress: float, end: float = 0.0) -> float:
    """From 1 to `end` along half a cosine. Loshchilov and Hutter 2017, arXiv:1608.03983."""
    return end + (1 - end) * (1 + math.cos(math.pi * progress)) / 2


@schedules.register("step")
def step(progress: float, drops: int = 3, factor: float = 0.1) -> float:
    """Times `factor` at each of so many drops, evenly apart."""
    if drops < 0 or factor <= 0:
        raise ValueError(f"drops must be at least 0 and factor positive, got {drops} and {factor}")
    return float(factor ** min(int(progress * (drops + 1)), drops))


@schedules.register("one_cycle")
def one_cycle(progress: float, rise: float = 0.3, start: float = 0.04, end: float = 1e-4) -> float:
    """Up from `start` to 1 during the share `rise`, then down to `end`, both along half a cosine.

    Smith and Topin 2018, arXiv:1708.07120.
    """
    if not 0 < rise < 1:
        raise ValueError(f"rise must be a share between 0 and 1, got {rise}")
    if progress < rise:
        return start + (1 - start) * (1 - math.cos(math.pi * progress / rise)) / 2
    return end + (1 - end) * (1 + math.cos(math.pi * (progress - rise) / (1 - rise))) / 2
