"""Timing of several callables that take turns, so that noise hits all alike. Imports nothing of the project."""

from __future__ import annotations

import gc
import random
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import repeat
from typing import Any

WARM = 0.01
"""Seconds; a shorter call is preceded by an untimed one, because another library has just used the caches."""

SLOW = 0.1
"""Seconds; a longer call is timed three times only."""


@dataclass(frozen=True)
class Plan:
    """How long to measure."""

    seconds: float = 0.4  # for each callable
    sample: float = 0.002  # seconds that one sample lasts at least
    least: int = 5  # samples of each callable at least
    most: int = 101

    def calls(self, once: float) -> int:
        """How often to call in one sample."""
        return max(1, round(self.sample / once))

    def samples(self, once: float) -> int:
        cost = once * (self.calls(once) + (once < WARM))
        least = self.least if once < SLOW else 3
        return min(max(least, round(self.seconds / cost)), self.most)


Sampler = Callable[[int], float]
"""Seconds per call, of that many calls."""


@dataclass(frozen=True)
class Timing:
    """Seconds per call: the median of the samples and their quartiles."""

    median: float
    low: float
    high: float
    samples: int


def sample(call: Callable[[], Any], calls: int) -> float:
    """Seconds per call."""
    start = time.perf_counter()
    for _ in repeat(None, calls):
        call()
    return (time.perf_counter() - start) / calls


def _once(sampler: Sampler) -> float:
    """Roughly the seconds of one call."""
    first = sampler(1)
    return first if first > SLOW else min(sampler(1) for _ in range(3))


def interleave(samplers: Mapping[str, Sampler], plan: Plan) -> dict[str, Timing]:
    """The median of samples taken in turns, in another order each round."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        once = {name: _once(sampler) for name, sampler in samplers.items()}
        left = {name: plan.samples(seconds) for name, seconds in once.items()}
        # the last rounds would otherwise belong to the fast ones alone
        rounds = max(left.values())
        order = [(place / left[name], name) for name in samplers for place in range(left[name])]
        shuffle = random.Random(0)
        order.sort(key=lambda turn: (int(turn[0] * rounds), shuffle.random()))
        samples: dict[str, list[float]] = {name: [] for name in samplers}
        for _, name in order:
            if once[name] < WARM:
                samplers[name](1)
            samples[name].append(samplers[name](plan.calls(once[name])))
    finally:
        if enabled:
            gc.enable()
    return {name: _timing(values) for name, values in samples.items()}


def _timing(values: list[float]) -> Timing:
    low, median, high = statistics.quantiles(values, n=4, method="inclusive") if len(values) > 1 else values * 3
    return Timing(median, low, high, len(values))
