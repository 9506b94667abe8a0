"""Runs the tasks of a group: prepare, compare the results, time, compute the ratios. Imports the rest but report."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from . import machine
from .peers import Peer, Prepared
from .peers.own import REFERENCE, WAYS
from .tasks import Array, Comparison, Group, Task
from .timing import Plan, Timing, interleave

REFERENCE_FLOPS = 2e9
"""A task larger than this is not compared with the slow reference, where it is the only one to compare with."""

Row = dict[str, Any]


class WrongResult(Exception):
    """Two libraries disagree."""


def difference(ours: Sequence[Array], theirs: Sequence[Array]) -> float:
    """Largest difference as a part of the largest magnitude, over pairs of arrays; infinite for another shape."""
    worst = 0.0
    for a, b in zip(ours, theirs, strict=False):
        if a.shape != b.shape or not np.array_equal(np.isnan(a), np.isnan(b)):
            return math.inf
        scale = max(float(np.nanmax(np.abs(b))), 1e-30)
        worst = max(worst, float(np.nanmax(np.abs(a.astype(np.float64) - b))) / scale)
    return worst


def check(task: Task, runs: dict[str, Prepared], others: Iterable[str]) -> float:
    """Compare all results with the first that is not ours; return the largest difference."""
    judge = next(iter(others), None)
    if judge is not None:
        expected = runs[judge].results()
    else:
        defined = REFERENCE.prepare(task) if task.flops <= REFERENCE_FLOPS else None
        judge, expected = REFERENCE.name, defined.results() if defined else ()
    expected = tuple(np.array(y) for y in expected)
    worst = 0.0
    for name, run in runs.items():
        apart = difference(run.results(), expected)
        if not apart <= task.tolerance:
            raise WrongResult(f"{task.name}: {name} and {judge} are {apart:.1e} of max|y| apart")
        worst = max(worst, apart)
    return worst


def prepare(task: Task, peers: Iterable[Peer], threads: int) -> dict[str, Prepared]:
    """Those peers that can do the task, by name."""
    runs = {}
    for peer in peers:
        peer.set_threads(threads)
        run = peer.prepare(task)
        if run is not None:
            runs[peer.name] = run
    return runs


def compare(comparison: Comparison, times: dict[str, Timing], others: Sequence[str]) -> tuple[float, str] | None:
    """The ratio and whose the best time is; None where there is nothing to compare."""
    against = others if comparison.against is None else comparison.against
    rivals = [name for name in against if name in times and name != comparison.ours]
    if comparison.ours not in times or not rivals:
        return None
    best = min(rivals, key=lambda name: times[name].median)
    return times[best].median / times[comparison.ours].median, best


def run_task(group: Group, task: Task, peers: Sequence[Peer], plan: Plan, threads: int) -> Row | None:
    """Measure one task; None if it asks for more threads than there are cores. peers: ours among them."""
    threads = task.threads or threads
    if not machine.pin(threads) and task.threads:
        return None
    taking = [peer for peer in peers if peer.name in group.own or peer.name not in WAYS]
    runs = prepare(task, taking, threads)
    others = [name for name in runs if name not in WAYS]
    apart = check(task, runs, others)
    times = interleave({name: run.sample for name, run in runs.items()}, plan)
    ours = times[group.comparisons[0].ours].median
    row: Row = {
        "task": task.name,
        "threads": threads,
        "dtype": task.dtype,
        "times": {name: asdict(timing) for name, timing in times.items()},
        "ratios": {},
        "difference": apart,
        "gigabytes_per_second": task.bytes / ours / 1e9,
    }
    if task.flops:
        row["gflops"] = task.flops / ours / 1e9
        row["peak"] = machine.peak(threads, task.dtype)
    for comparison in group.comparisons:
        found = compare(comparison, times, others)
        if found is not None:
            row["ratios"][comparison.label] = {"ratio": found[0], "best": found[1]}
    return row


def summary(rows: Sequence[Row], label: str) -> dict[str, Any] | None:
    """Geometric mean and minimum of a comparison over the rows that have it."""
    ratios = {row["task"]: row["ratios"][label]["ratio"] for row in rows if label in row["ratios"]}
    if not ratios:
        return None
    mean = math.exp(sum(map(math.log, ratios.values())) / len(ratios))
    least = min(ratios, key=lambda task: ratios[task])
    return {"tasks": len(ratios), "geometric_mean": mean, "minimum": ratios[least], "minimum_at": least}


def run_group(
    group: Group,
    tasks: Sequence[Task],
    peers: Sequence[Peer],
    plan: Plan,
    threads: int,
    progress: Callable[[str], None],
) -> dict[str, Any]:
    """Measure some tasks of a group one after the other; one with a wrong result is not timed but named in `errors`."""
    rows, errors = [], []
    for task in tasks:
        progress(f"{group.name}: {task.name}")
        try:
            row = run_task(group, task, peers, plan, threads)
        except WrongResult as error:
            errors.append(str(error))
        else:
            rows += [] if row is None else [row]
    machine.pin(threads)
    labels = [comparison.label for comparison in group.comparisons]
    return {
        "name": group.name,
        "title": group.title,
        "rows": rows,
        "errors": errors,
        "summaries": {label: found for label in labels if (found := summary(rows, label))},
        "bars": group.bars,
    }
