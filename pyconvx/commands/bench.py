"""`pyconvx bench`: how fast this machine is on layers that networks are made of. Imports the operations."""

from __future__ import annotations

import time
from argparse import ArgumentParser, Namespace
from collections.abc import Callable
from functools import partial
from statistics import median
from typing import Any

import numpy as np

import pyconvx as cx
from pyconvx import _core

LAYERS: dict[str, tuple[tuple[int, ...], tuple[int, ...], dict[str, Any]]] = {
    "the tutorial's: 32x32x3, six 5x5": ((32, 32, 3), (6, 5, 5, 3), {"padding": "same"}),
    "224x224x3, 64 of 7x7, stride 2": ((224, 224, 3), (64, 7, 7, 3), {"padding": 3, "stride": 2}),
    "56x56x64, 64 of 3x3": ((56, 56, 64), (64, 3, 3, 64), {"padding": "same"}),
    "14x14x256, 256 of 3x3": ((14, 14, 256), (256, 3, 3, 256), {"padding": "same"}),
    "56x56x64, 256 of 1x1": ((56, 56, 64), (256, 1, 1, 64), {}),
    "112x112x32, each channel 3x3": ((112, 112, 32), (32, 3, 3, 1), {"padding": "same", "groups": 32}),
    "512x512x1, one of 31x31": ((512, 512, 1), (1, 31, 31, 1), {"padding": "same", "padding_mode": "reflect"}),
}


def add_arguments(parser: ArgumentParser) -> None:
    """What the command takes."""
    parser.add_argument("--threads", type=int, help="by default as many as this process may use")
    parser.add_argument("--seconds", type=float, default=0.3, help="for each layer (default: 0.3)")


def run(arguments: Namespace) -> None:
    """Time and print."""
    if arguments.threads is not None:
        cx.set_num_threads(arguments.threads)
    print(f"{_core.isa()}, {cx.num_threads()} threads, float32, filters prepared, medians\n")
    print(f"{'layer':36}{'ms':>9}{'GFLOP/s':>9}  algorithm")
    random = np.random.default_rng(0)
    for name, (x_shape, filters_shape, options) in LAYERS.items():
        x = random.standard_normal(x_shape).astype(np.float32)
        filters = random.standard_normal(filters_shape).astype(np.float32)
        packed = cx.prepare(filters)
        seconds = _time(partial(cx.conv2d, x, packed, **options), arguments.seconds)
        told = cx.explain(cx.conv2d, x_shape, filters_shape, **options)
        print(f"{name:36}{1e3 * seconds:9.3f}{told.flops / seconds / 1e9:9.1f}  {told.algorithm}", flush=True)
    x = random.standard_normal((112, 112, 64)).astype(np.float32)
    for kind in ("max", "avg", "median"):
        seconds = _time(partial(cx.pool2d, x, 2, kind), arguments.seconds)
        print(f"{f'112x112x64, {kind} of 2x2':36}{1e3 * seconds:9.3f}", flush=True)


def _time(call: Callable[[], Any], seconds: float) -> float:
    """The median time of a call, within so many seconds."""
    call()
    times: list[float] = []
    until = time.perf_counter() + seconds
    while not times or time.perf_counter() < until:
        since = time.perf_counter()
        call()
        times.append(time.perf_counter() - since)
    return median(times)
