"""How many threads kernels may use. May import the core."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from .._core import MAX_THREADS
from ..geometry import integer

__all__ = ["num_threads", "set_num_threads", "threads"]

VARIABLE = "PYCONVX_NUM_THREADS"


def _quota() -> int:
    """Processors that the control group lets this process use, rounded up; a large number where there is no limit."""
    try:
        with open("/sys/fs/cgroup/cpu.max") as file:
            limit, period = file.read().split()
        return MAX_THREADS if limit == "max" else max(1, -(-int(limit) // int(period)))
    except (OSError, ValueError):
        return MAX_THREADS


def _default() -> int:
    available = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    default = min(available, _quota(), MAX_THREADS)
    given = os.environ.get(VARIABLE)
    if not given:
        return default
    try:
        number = int(given)
    except ValueError:
        warnings.warn(f"{VARIABLE}={given!r} is no number; using {default}", RuntimeWarning, stacklevel=2)
        return default
    clamped = min(max(number, 1), MAX_THREADS)
    if clamped != number:
        warnings.warn(f"{VARIABLE}={given} is not in 1...{MAX_THREADS}; using {clamped}", RuntimeWarning, stacklevel=2)
    return clamped


_process = _default()
_local: ContextVar[int | None] = ContextVar("pyconvx_threads", default=None)


def _checked(n: int) -> int:
    number = integer("number of threads", n, 1)
    if number > MAX_THREADS:
        raise ValueError(f"number of threads must be at most {MAX_THREADS}, got {number}")
    return number


def num_threads() -> int:
    """Return how many threads a call made here may use.

    At the start that is the number of processors this process may run on, or what its control group's quota or the
    environment variable PYCONVX_NUM_THREADS allow. The number never changes a result, to the last bit.

    >>> import pyconvx as cx
    >>> with cx.threads(2):
    ...     cx.num_threads()
    2
    """
    return _local.get() or _process


def set_num_threads(n: int) -> None:
    """Set how many threads calls may use, in the whole process. Raises TypeError or ValueError unless 1 <= n <= 256.

    >>> import pyconvx as cx
    >>> before = cx.num_threads()
    >>> cx.set_num_threads(1)
    >>> cx.num_threads()
    1
    >>> cx.set_num_threads(before)
    """
    global _process
    _process = _checked(n)


@contextmanager
def threads(n: int) -> Iterator[None]:
    """Let calls within a `with` block, in this thread or task, use `n` threads. Raises as set_num_threads does.

    >>> import pyconvx as cx
    >>> with cx.threads(1):
    ...     cx.num_threads()
    1
    """
    token = _local.set(_checked(n))
    try:
        yield
    finally:
        _local.reset(token)
