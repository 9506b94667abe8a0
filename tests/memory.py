"""What a call takes: the most memory at once, and what becomes of it where there is little."""

import os
import subprocess
import sys
import tracemalloc

import pytest


def peak(call):
    """Bytes of the most memory in use at once during a call, beyond that before it."""
    tracemalloc.start()
    try:
        call()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def limited(code, gigabytes=2):
    """Run a program that may have so much memory, with x (5, 1) and f (1, 3, 1); returns what it printed."""
    pytest.importorskip("resource", reason="limits are POSIX")
    if "asan" in os.environ.get("LD_PRELOAD", ""):
        pytest.skip("AddressSanitizer maps terabytes")
    head = f"import resource; resource.setrlimit(resource.RLIMIT_AS, ({gigabytes} << 30,) * 2)\n"
    head += "import numpy as np, pyconvx as cx\nx, f = np.ones((5, 1)), np.ones((1, 3, 1))\n"
    run = subprocess.run(
        [sys.executable, "-c", head + code], env={**os.environ, "OPENBLAS_NUM_THREADS": "1"},
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
    return run.stdout.strip()
