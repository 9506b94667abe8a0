"""The command: python -m benchmarks.networks. A small network beside PyTorch: training steps, and inference.

Two convolutions as in examples/train_fashion_mnist.py, the same weights for both, so that results are compared, too.
Everybody takes turns in one process; medians. Needs torch.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from functools import partial
from statistics import median
from time import perf_counter
from typing import Any

import numpy as np

import pyconvx as cx
from pyconvx import nn

from . import machine, report

SHAPE, CLASSES = (28, 28, 1), 10
BATCHES = (1, 16, 128)
STEPS = 4
"""In an epoch."""


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


def turns(calls: dict[str, Callable[[], Any]], seconds: float) -> dict[str, float]:
    """The median time of each, all in turns."""
    times: dict[str, list[float]] = {name: [] for name in calls}
    for call in calls.values():
        call()
    until = perf_counter() + seconds * len(calls)
    while perf_counter() < until or min(map(len, times.values())) < 3:
        for name, call in calls.items():
            since = perf_counter()
            call()
            times[name].append(perf_counter() - since)
    return {name: median(each) for name, each in times.items()}


def measure(norm: bool, seconds: float) -> list[dict[str, Any]]:
    """Rows of one network: what was done, and how long everybody took."""
    import torch

    random, rows = np.random.default_rng(0), []
    name = "with BatchNorm" if norm else "without BatchNorm"
    for batch in BATCHES:
        net = ours(norm)
        x = random.standard_normal((batch, *SHAPE)).astype(np.float32)
        calls: dict[str, Callable[[], Any]] = {}
        fast = net.freeze()
        calls["pyconvx"] = partial(fast, x)
        for layout in (torch.contiguous_format, torch.channels_last):
            module = theirs(net, norm).to(memory_format=layout).eval()
            given = torch.from_numpy(np.moveaxis(x, -1, 1).copy()).to(memory_format=layout)
            with torch.no_grad():
                np.testing.assert_allclose(fast(x), module(given).numpy(), rtol=1e-3, atol=1e-4)
            calls[f"torch {str(layout).removeprefix('torch.')}"] = partial(_infer, module, given)
        rows.append({"task": f"inference of {batch}, {name}", "times": turns(calls, seconds)})
        if batch == 1:
            continue
        x = random.standard_normal((STEPS * batch, *SHAPE)).astype(np.float32)
        y = random.integers(0, CLASSES, len(x))
        steps: dict[str, Callable[[], Any]] = {"pyconvx": partial(own_epoch, net, nn.SGD(1e-3, momentum=0.9), x, y)}
        for layout in (torch.contiguous_format, torch.channels_last):
            module = theirs(net, norm).to(memory_format=layout).train()
            given = torch.from_numpy(np.moveaxis(x, -1, 1).copy()).to(memory_format=layout)
            sgd = torch.optim.SGD(module.parameters(), 1e-3, momentum=0.9)
            step = partial(torch_epoch, module, sgd, given, torch.from_numpy(y))
            steps[f"torch {str(layout).removeprefix('torch.')}"] = step
        times = {who: each / STEPS for who, each in turns(steps, STEPS * seconds).items()}
        rows.append({"task": f"training step of {batch}, {name}", "times": times})
    return rows


def _infer(module: Any, x: Any) -> Any:
    import torch

    with torch.no_grad():
        return module(x)


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.networks", description=str(__doc__).splitlines()[0])
    parser.add_argument("--threads", type=int, default=1, help="of everybody (1)")
    parser.add_argument("--seconds", type=float, default=1.0, help="for each row and library (1)")
    parser.add_argument("--json", metavar="FILE", help="write all results")
    options = parser.parse_args()
    import torch

    torch.set_num_threads(options.threads)
    cx.set_num_threads(options.threads)
    rows = [row for norm in (False, True) for row in measure(norm, options.seconds)]
    names = list(rows[0]["times"])
    table = []
    for row in rows:
        row["ratio"] = min(time for name, time in row["times"].items() if name != "pyconvx") / row["times"]["pyconvx"]
        table.append([row["task"], *(f"{1e3 * row['times'][name]:.2f}" for name in names), f"{row['ratio']:.2f}"])
    print(f"{options.threads} thread(s), load {machine.load()}\n")
    print(report.table(["milliseconds", *names, "ratio"], table))
    if options.json:
        with open(options.json, "w", encoding="utf-8") as file:
            json.dump({"threads": options.threads, "machine": machine.describe(options.threads), "rows": rows}, file)


if __name__ == "__main__":
    main()
