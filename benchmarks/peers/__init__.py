"""The libraries compared, one file each, behind one interface. A library that is not installed is left out and named.

A file here offers `PEERS`, a tuple of `Peer`s, and `VERSION`.
"""

from __future__ import annotations

import importlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

from .. import timing
from ..tasks import Array, Task

MODULES = ("pytorch", "onnx_runtime", "open_vino", "scipy_ndimage", "opencv")


class Prepared(Protocol):
    """A task made ready: everything that a user would do once is done."""

    def results(self) -> tuple[Array, ...]:
        """Arrays, channels last: to be compared with those of others."""

    def sample(self, calls: int) -> float:
        """Seconds per call."""


@dataclass(frozen=True)
class Run:
    """One made ready in this process."""

    call: Callable[[], Any]
    """What is timed."""
    read: Callable[[Any], tuple[Array, ...]]
    """What call returned as arrays, channels last."""

    def results(self) -> tuple[Array, ...]:
        return self.read(self.call())

    def sample(self, calls: int) -> float:
        return timing.sample(self.call, calls)


class Peer(ABC):
    """One way of using one library, in the memory layout that suits it best."""

    alone: ClassVar[bool] = False
    """Whether no other library is timed in this process, so that threads may wait as they like."""

    def __init__(self, name: str) -> None:
        self.name = name

    def set_threads(self, threads: int) -> None:
        """What is prepared from now on uses that many threads."""
        self.threads = threads

    @abstractmethod
    def prepare(self, task: Task) -> Prepared | None:
        """Make a task ready; None if the library, or this way of using it, cannot do it."""


Loaded = tuple[Sequence[Peer], dict[str, str], dict[str, str]]
"""The peers that can be used, their versions, and for each that cannot the reason."""


def load(modules: Sequence[str]) -> Loaded:
    """Those of some files."""
    peers: list[Peer] = []
    versions: dict[str, str] = {}
    missing: dict[str, str] = {}
    for name in modules:
        try:
            module = importlib.import_module(f"{__name__}.{name}")
        except ImportError as error:
            missing[name] = str(error)
        else:
            peers += module.PEERS
            versions[name] = module.VERSION
    return peers, versions, missing
