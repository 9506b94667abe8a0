"""Matrix products of NumPy on one thread. Imports nothing from pyconvx.

The threads of OpenBLAS stay awake for some time after a product, and take the processor from the threads of
convolutions that come next: on two cores a step of training may take 1.6 times as long. Products that are small beside
convolutions are therefore done on one.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["product"]

LARGE = 2**28
"""Multiplications from which on several threads are worth it."""
SMALL = 2**13
"""And those up to which OpenBLAS takes one by itself."""
NAMES = ("scipy_openblas_{}_num_threads64_", "openblas_{}_num_threads64_", "openblas_{}_num_threads")


def _nothing(*_: int) -> int:
    return 1


LEFT_ALONE: tuple[Callable[..., int], Callable[..., int]] = (_nothing, _nothing)


class _Threads:
    """How many threads OpenBLAS has, as long as someone wants it to have one."""

    def __init__(self) -> None:
        self.lock, self.users, self.usual = threading.Lock(), 0, 0
        self.calls: tuple[Callable[..., int], Callable[..., int]] | None = None

    def found(self) -> tuple[Callable[..., int], Callable[..., int]]:
        """The functions that get and set the number; such that do nothing where NumPy uses another library."""
        if self.calls is None:
            import ctypes  # at the first product, for an import of pyconvx should cost little

            try:
                library: Any = ctypes.CDLL(np.linalg._umath_linalg.__file__)
                name = next(name for name in NAMES if hasattr(library, name.format("get")))
                self.calls = getattr(library, name.format("get")), getattr(library, name.format("set"))
            except (AttributeError, OSError, StopIteration):
                self.calls = LEFT_ALONE
        return self.calls

    def __enter__(self) -> None:
        get, put = self.found()
        with self.lock:
            if self.users == 0:
                self.usual = get()
                if self.usual > 1:
                    put(1)
            self.users += 1

    def __exit__(self, *raised: object) -> None:
        _, put = self.found()
        with self.lock:
            self.users -= 1
            if self.users == 0 and self.usual > 1:
                put(self.usual)


_threads = _Threads()


def _in_child() -> None:
    """A forked child has none of the threads that were in a product, nor what they held."""
    if _threads.users and _threads.usual > 1:
        _threads.found()[1](_threads.usual)
    _threads.lock, _threads.users = threading.Lock(), 0


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_in_child)


def product(a: NDArray[Any], b: NDArray[Any]) -> NDArray[Any]:
    """a @ b, of matrices; on one thread unless it is large."""
    if not (a.ndim == b.ndim == 2 and SMALL < a.size * b.shape[1] < LARGE):
        return np.asarray(a @ b)
    with _threads:
        return np.asarray(a @ b)
