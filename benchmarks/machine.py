"""The machine: which cores are used, what it is, how fast it can multiply and add.

`calm` must run before numpy is imported, so numpy is imported only where it is needed.
"""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Callable
from functools import lru_cache
from typing import Any

AVAILABLE = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else list(range(os.cpu_count() or 1))
PEAK_OF = "the faster of numpy.matmul of two 1536 x 1536 matrices and pyconvx's 1x1 convolution 28x28x256 > 256"


def calm(threads: int) -> None:
    """Let the BLAS of numpy know its threads, and choose its kernels for this processor itself."""
    for name in ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE"):
        os.environ.pop(name, None)
    for name in ("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "OMP_NUM_THREADS"):
        os.environ[name] = str(threads)


def pin(threads: int) -> bool:
    """Keep this process on as many cores as it has threads, the last ones; False where that is impossible."""
    if threads > len(AVAILABLE) or not hasattr(os, "sched_setaffinity"):
        return False
    os.sched_setaffinity(0, AVAILABLE[-threads:])
    return True


def load() -> float | None:
    """Processes that wanted to run in the last minute, on average."""
    return round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None


def processor() -> str:
    try:
        with open("/proc/cpuinfo") as file:
            return next(line.split(":")[1].strip() for line in file if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def describe(threads: int) -> dict[str, Any]:
    import numpy as np

    return {
        "processor": processor(),
        "cores": os.cpu_count(),
        "cores used": threads,
        "system": platform.platform(),
        "python": platform.python_version(),
        "numpy": np.__version__,
        "date": time.strftime("%Y-%m-%d %H:%M:%S %z"),
        "load before": load(),
    }


def _best(call: Callable[[], Any], flops: int, repeats: int) -> float:
    """GFLOP/s of the fastest of several calls: a peak is what can be reached, not what is usual."""
    best = float("inf")
    for _ in range(repeats):
        start = time.perf_counter()
        call()
        best = min(best, time.perf_counter() - start)
    return flops / best / 1e9


@lru_cache
def peak(threads: int, dtype: str) -> float:
    """GFLOP/s of multiply-adds on the cores in use now: PEAK_OF."""
    import numpy as np

    import pyconvx as cx

    size = 1536
    a = np.ones((size, size), dtype)
    c = np.empty_like(a)
    x = np.ones((28, 28, 256), dtype)
    filters = cx.prepare(np.ones((256, 1, 1, 256), dtype))
    out = np.empty((28, 28, 256), dtype)
    with cx.threads(threads):
        return max(
            _best(lambda: np.matmul(a, a, out=c), 2 * size**3, 5),
            _best(lambda: cx.conv2d(x, filters, out=out), 2 * 28 * 28 * 256 * 256, 200),
        )
