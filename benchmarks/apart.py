"""Libraries in processes of their own, stopped while another has its turn. Imports machine, peers, tasks.

Threads go on looking for work for a while after a call: in one process they would take the cores from whoever is timed
next.
"""

from __future__ import annotations

import gc
import os
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from multiprocessing import get_context
from typing import Any

from . import machine, peers
from .peers import Peer, Prepared, own
from .tasks import Array, Task

SUPPORTED = hasattr(signal, "SIGSTOP")


class Worker:
    """A process with the peers of one module. It answers questions, and is stopped in between."""

    def __init__(self, module: str, reuse: bool) -> None:
        self.module = module
        self.pipe, end = get_context("spawn").Pipe()
        self.process = get_context("spawn").Process(target=_work, args=(module, reuse, end), daemon=True)
        self.process.start()
        end.close()  # or nobody would see that a worker has failed
        self.loaded = self._answer()

    def ask(self, *question: Any) -> Any:
        self._signal("SIGCONT")
        self.pipe.send(question)
        return self._answer()

    def end(self) -> None:
        self.process.kill()  # a stopped one hears of nothing else
        self.process.join()

    def _answer(self) -> Any:
        try:
            answer = self.pipe.recv()
        except EOFError:
            sys.exit(f"the process of {self.module} has failed, see above")
        self._signal("SIGSTOP")
        return answer

    def _signal(self, name: str) -> None:
        assert self.process.pid is not None
        os.kill(self.process.pid, getattr(signal, name))


class Remote(Peer):
    """A peer of another process, which keeps the task that it was given last."""

    def __init__(self, name: str, worker: Worker) -> None:
        super().__init__(name)
        self.worker = worker

    def prepare(self, task: Task) -> Prepared | None:
        return self if self.worker.ask("prepare", self.name, task, self.threads) else None

    def results(self) -> tuple[Array, ...]:
        answer: tuple[Array, ...] = self.worker.ask("results", self.name)
        return answer

    def sample(self, calls: int) -> float:
        answer: float = self.worker.ask("sample", self.name, calls)
        return answer


@contextmanager
def load(modules: Sequence[str], reuse: bool) -> Iterator[peers.Loaded]:
    """Peers in a process for each module, until the context ends."""
    workers: list[Worker] = []
    try:
        for module in modules:
            workers.append(Worker(module, reuse))
        found = [Remote(name, worker) for worker in workers for name in worker.loaded[0]]
        versions, missing = ({k: v for worker in workers for k, v in worker.loaded[i].items()} for i in (1, 2))
        yield found, versions, missing
    finally:
        for worker in workers:
            worker.end()


def _work(module: str, reuse: bool, pipe: Any) -> None:
    """What a worker does."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # that is for the process that asks
    Peer.alone, own.Own.reuse = True, reuse
    found, versions, missing = peers.load([module])
    pipe.send(([peer.name for peer in found], versions, missing))
    here = {peer.name: peer for peer in found}
    runs: dict[str, Prepared | None] = {}
    for question, name, *arguments in iter(pipe.recv, None):
        if question == "prepare":
            task, threads = arguments
            runs.pop(name, None)
            gc.collect()
            machine.pin(threads)
            here[name].set_threads(threads)
            runs[name] = here[name].prepare(task)
            pipe.send(runs[name] is not None)
        else:
            pipe.send(getattr(runs[name], question)(*arguments))
