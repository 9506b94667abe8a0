"""The compiled core: chooses the instruction set once, at import. Imports nothing from the rest of pyconvx."""

from __future__ import annotations

import importlib
import importlib.util
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from ._calls import Calls, Repeat, forget, now
from ._cpu import instruction_sets
from ._kernel import Kernel, Pieces, Row
from ._memory import empty
from ._tables import FIRST_MIX, NOTHING, OUTSIDE, Axis
from ._threads import MAX_THREADS

if TYPE_CHECKING:  # one stub describes the module of every instruction set
    from types import ModuleType

    import numpy as np
    from numpy.typing import NDArray

    from . import _kernels as kernels

__all__ = [
    "FIRST_MIX",
    "MAX_THREADS",
    "NOTHING",
    "OUTSIDE",
    "Axis",
    "Calls",
    "Kernel",
    "Pieces",
    "Repeat",
    "Row",
    "empty",
    "erfc",
    "forget",
    "isa",
    "kernels",
    "now",
    "supported",
    "using",
]


def _built(name: str) -> bool:
    return importlib.util.find_spec(f"{__name__}._kernels_{name}") is not None


def supported() -> tuple[str, ...]:
    """Names of the instruction sets that this processor and this build can run, best first."""
    return tuple(name for name in instruction_sets() if _built(name))


def _load(name: str) -> ModuleType:
    names = supported()
    if name not in names:
        raise ValueError(f"PYCONVX_ISA={name!r} is not one of the instruction sets supported here: {', '.join(names)}")
    return importlib.import_module(f"{__name__}._kernels_{name}")


if not TYPE_CHECKING:
    kernels = _load(os.environ.get("PYCONVX_ISA") or supported()[0])


def isa() -> str:
    """Name of the instruction set whose kernels run: "baseline", "avx2" or "avx512"."""
    return kernels.ISA


@contextmanager
def using(name: str) -> Iterator[None]:
    """Run with the kernels of another instruction set, for tests; not for use from several threads."""
    module = globals()
    before, module["kernels"] = kernels, _load(name)
    forget()
    try:
        yield
    finally:
        module["kernels"] = before
        forget()


def erfc(x: NDArray[np.floating], out: NDArray[np.floating]) -> None:
    """Fill `out` with erfc(x) = 1 - erf(x); both contiguous float32 or float64 arrays of one size."""
    kernels.erfc(x, out)
