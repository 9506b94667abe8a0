"""Peak memory of one call over its inputs, beside the size of its result. Linux only.

A process measures one library once: memory that it has kept from an earlier call would hide what the next one needs.
`python -m benchmarks.memory PEER KERNEL SIZE` is such a process.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from typing import Any

KERNELS = (1, 3, 7)
CHANNELS = 16
SUPPORTED = os.access("/proc/self/clear_refs", os.W_OK)


def _kilobytes(field: str) -> int:
    with open("/proc/self/status") as file:
        return next(int(line.split()[1]) for line in file if line.startswith(field))


def measure(name: str, kernel: int, size: int) -> float:
    """(Peak during the call - memory with inputs only) / size of the result, in this process."""
    from . import machine, peers
    from .peers import own
    from .tasks import Conv

    machine.pin(1)
    modules = ["own"] if name in own.WAYS else peers.MODULES
    peer = next(peer for peer in peers.load(modules)[0] if peer.name == name)

    def task(pixels: int) -> Conv:
        return Conv("", (1, pixels, pixels, CHANNELS), (CHANNELS, kernel, kernel, CHANNELS))

    def prepare(layer: Conv) -> Callable[[], Any]:
        peer.set_threads(1)
        run = peer.prepare(layer)
        assert isinstance(run, peers.Run)
        return run.call

    prepare(task(16))()  # what a library sets up once
    layer = task(size)
    x, *_ = layer.arrays
    before = _kilobytes("VmRSS") * 1024
    if name not in own.WAYS:
        before += x.nbytes  # the others hold x in a layout of theirs: an input, too
    call = prepare(layer)
    with open("/proc/self/clear_refs", "w") as file:
        file.write("5")  # the high-water mark starts again from here: converting x does not count
    y = call()
    peak = _kilobytes("VmHWM") * 1024 - before
    del y
    return peak / (size * size * CHANNELS * 4)


def run(names: Sequence[str], size: int, kernels: Sequence[int], progress: Callable[[str], None]) -> dict[str, Any]:
    """Measure each of those peers and kernels in a process of its own."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path or os.getcwd() for path in sys.path)}
    rows = []
    for kernel in kernels:
        row: dict[str, Any] = {"task": f"{size}x{size}x{CHANNELS} > {CHANNELS}, {kernel}x{kernel}", "peaks": {}}
        for name in names:
            progress(f"memory: {kernel}x{kernel} {name}")
            command = [sys.executable, "-m", "benchmarks.memory", name, str(kernel), str(size)]
            result = subprocess.run(command, env=environment, capture_output=True, text=True)
            if result.returncode:
                raise RuntimeError(f"{' '.join(command)} failed:\n{result.stderr}")
            row["peaks"][name] = float(result.stdout.split()[-1])
        rows.append(row)
    return {"name": "memory", "title": "Peak memory of a call over its inputs / size of the result", "rows": rows}


if __name__ == "__main__":
    print(measure(sys.argv[1], int(sys.argv[2]), int(sys.argv[3])))
