"""The command: python -m benchmarks.networks. A small network beside PyTorch: training steps, and inference.

Two convolutions as in examples/train_fashion_mnist.py, the same weights for both, so that results are compared, too.
Everybody takes turns, each in a process of its own; medians. Needs torch.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from functools import partial
from multiprocessing import get_context
from statistics import median
from time import perf_counter
from typing import Any

import numpy as np

import pyconvx as cx
from pyconvx import nn

from . import machine, report

SHAPE, CLASSES = (28, 28, 1), 10
BATCHES = (1, 16, 128)
STEPS = 16
"""In an epoch."""
TURNS = 4
"""In which everybody does some of a row."""
PARTS = 8
"""Of a turn, in which a frozen network and its layers alone take turns."""


def ours(norm: bool) -> Any:
    """The network of the example, with or without BatchNorm."""
    layers: list[Any] = []
    for filters in (32, 64):
        if norm:
            layers += [cx.Conv2D(filters, 3, padding=1, bias=False), cx.BatchNorm(), cx.Activation("relu")]
        else:
            layers.append(cx.Conv2D(filters, 3, padding=1, activation="relu"))
        layers.append(cx.MaxPool2D(2))
    layers += [cx.Flatten(), cx.Dense(24, activation="relu"), cx.Dense(CLASSES)]
    return cx.Sequential(*layers).build(SHAPE)


def theirs(net: Any, norm: bool) -> Any:
    """The same in PyTorch, with the same weights."""
    import torch

    layers: list[Any] = []
    for channels, filters in ((1, 32), (32, 64)):
        layers.append(torch.nn.Conv2d(channels, filters, 3, padding=1, bias=not norm))
        layers += [torch.nn.BatchNorm2d(filters)] if norm else []
        layers += [torch.nn.ReLU(), torch.nn.MaxPool2d(2)]
    layers += [torch.nn.Flatten(), torch.nn.Linear(64 * 49, 24), torch.nn.ReLU(), torch.nn.Linear(24, CLASSES)]
    module = torch.nn.Sequential(*layers)
    names = [name for name in module.state_dict() if "num_batches" not in name]
    weights = zip(names, nn.to_torch_state_dict(net).values(), strict=True)
    module.load_state_dict({name: torch.from_numpy(array) for name, array in weights}, strict=False)
    return module


def own_epoch(net: Any, optimizer: Any, x: Any, y: Any) -> None:
    """A few steps of `fit`, as an epoch."""
    nn.fit(net, x, y, optimizer=optimizer, batch_size=len(x) // STEPS, epochs=1)


def torch_epoch(module: Any, optimizer: Any, x: Any, y: Any) -> None:
    """The same."""
    import torch

    for some in torch.randperm(len(x)).split(len(x) // STEPS):
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(module(x[some]), y[some]).backward()
        optimizer.step()


TASKS = [
    (kind, batch, norm)
    for norm in (False, True)
    for batch in BATCHES
    for kind in ("inference", "training step")
    if kind == "inference" or batch > 1
]
"""The rows of the table."""
LIBRARIES = ("pyconvx", "torch contiguous_format", "torch channels_last")
ALONE = "layers alone"
"""A column of its own: what the layers of the frozen network take, each with an input that the cache holds."""


def task_of(library: str, kind: str, batch: int, norm: bool) -> Callable[[], Any]:
    """What is timed: one inference, whose result it returns, or STEPS steps of training."""
    random = np.random.default_rng(0)
    x = random.standard_normal((batch if kind == "inference" else STEPS * batch, *SHAPE)).astype(np.float32)
    y, net = random.integers(0, CLASSES, len(x)), ours(norm)
    if library == "pyconvx":
        if kind == "inference":
            return partial(net.freeze(), x)
        return partial(own_epoch, net, nn.SGD(1e-3, momentum=0.9), x, y)
    import torch

    layout = getattr(torch, library.removeprefix("torch "))
    module = theirs(net, norm).to(memory_format=layout)
    given = torch.from_numpy(np.moveaxis(x, -1, 1).copy()).to(memory_format=layout)
    if kind == "inference":
        return partial(_infer, module.eval(), given)
    sgd = torch.optim.SGD(module.parameters(), 1e-3, momentum=0.9)
    return partial(torch_epoch, module.train(), sgd, given, torch.from_numpy(y))


def _infer(module: Any, x: Any) -> Any:
    import torch

    with torch.no_grad():
        return module(x).numpy()


def work(library: str, threads: int, turn: float, pipe: Any) -> None:
    """A process of its own for each library, whose threads would else take the cores from those of another for a while.

    Answers the number of a task with its result, the times of some calls, the first of which, with threads that may
    have slept, does not count, and what its layers alone take.
    """
    if library == "pyconvx":
        cx.set_num_threads(threads)
    else:
        import torch

        torch.set_num_threads(threads)
    tasks: dict[int, Callable[[], Any]] = {}
    for number in iter(pipe.recv, None):
        if number not in tasks:
            tasks[number] = task_of(library, *TASKS[number])
        call = tasks[number]
        infers = TASKS[number][0] == "inference"
        result, times, alone = call(), [], []
        for _ in range(PARTS):
            times += timed(call, turn / PARTS)
            if infers and library == "pyconvx":
                alone.append(layers_alone(call, turn / PARTS))
        pipe.send((result if infers else None, times, alone))


def timed(call: Callable[[], Any], seconds: float) -> list[float]:
    """How long each of some calls took."""
    times: list[float] = []
    until = perf_counter() + seconds
    while not times or perf_counter() < until:
        since = perf_counter()
        call()
        times.append(perf_counter() - since)
    return times


def layers_alone(inference: Any, seconds: float) -> float:
    """The sum of what each layer of a frozen network takes when nothing else is done."""
    net, x = inference.func, inference.args[0]
    total = 0.0
    for layer in net.layers:
        call = partial(layer, x)
        x = call()
        total += median(timed(call, seconds / len(net.layers)))
    return total


def measure(threads: int, seconds: float) -> list[dict[str, Any]]:
    """Rows of the table: what was done, and how long everybody took, in TURNS turns."""
    context, pipes, workers = get_context("spawn"), {}, []
    for library in LIBRARIES:
        pipes[library], theirs_end = context.Pipe()
        arguments = library, threads, seconds / TURNS, theirs_end
        workers.append(context.Process(target=work, args=arguments, daemon=True))
        workers[-1].start()
        theirs_end.close()  # or nobody would see that a worker has failed
    rows = []
    for number, (kind, batch, norm) in enumerate(TASKS):
        times: dict[str, list[float]] = {library: [] for library in LIBRARIES}
        sums: list[float] = []
        for _ in range(TURNS):
            results = []
            for library, pipe in pipes.items():
                pipe.send(number)
                try:
                    result, some, alone = pipe.recv()
                except EOFError:
                    raise SystemExit(f"the process of {library} has failed, see above") from None
                times[library] += some
                results.append(result)
                sums += alone
            if kind == "inference":
                for result in results[1:]:
                    np.testing.assert_allclose(results[0], result, rtol=1e-3, atol=1e-4)
        each = 1 if kind == "inference" else STEPS
        name = f"{kind} of {batch}, {'with' if norm else 'without'} BatchNorm"
        middle = {library: median(some) / each for library, some in times.items()}
        rows.append({"task": name, "times": middle, ALONE: median(sums) if sums else None})
    for pipe in pipes.values():
        pipe.send(None)
    for worker in workers:
        worker.join()
    return rows


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.networks", description=str(__doc__).splitlines()[0])
    parser.add_argument("--threads", type=int, default=1, help="of everybody (1)")
    parser.add_argument("--seconds", type=float, default=1.0, help="for each row and library (1)")
    parser.add_argument("--json", metavar="FILE", help="write all results")
    options = parser.parse_args()
    rows = measure(options.threads, options.seconds)
    table = []
    for row in rows:
        row["ratio"] = min(time for name, time in row["times"].items() if name != "pyconvx") / row["times"]["pyconvx"]
        alone = "" if row[ALONE] is None else f"{1e3 * row[ALONE]:.2f}"
        times = [f"{1e3 * row['times'][name]:.2f}" for name in LIBRARIES]
        table.append([row["task"], *times, f"{row['ratio']:.2f}", alone])
    print(f"{options.threads} thread(s), load {machine.load()}\n")
    print(report.table(["milliseconds", *LIBRARIES, "ratio", ALONE], table))
    if options.json:
        with open(options.json, "w", encoding="utf-8") as file:
            json.dump({"threads": options.threads, "machine": machine.describe(options.threads), "rows": rows}, file)


if __name__ == "__main__":
    main()
