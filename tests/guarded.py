"""Arrays between two pages that may not be touched: one that reads or writes beyond them ends the process.

So what computes with them runs in a process of its own, which says what it is about to do before it does it.
"""

import ctypes
import math
import mmap
import os
import subprocess
import sys
from contextlib import contextmanager

import numpy as np

PLACES = ("at the end", "at the beginning")
"""Where in its pages an array lies, next to one that may not be touched."""
MAKERS = ("empty", "empty_like", "zeros", "ones", "full", "ascontiguousarray", "require", "concatenate")
"""Functions of NumPy by which the library allocates arrays that its kernels see."""


def missing():
    """Why there are no guard pages here; None if there are."""
    if not hasattr(mmap, "MAP_ANONYMOUS"):
        return "this system has no anonymous mappings"
    return None if hasattr(ctypes.CDLL(None), "mprotect") else "this system has no mprotect"


def _forbid(address):
    mprotect = ctypes.CDLL(None, use_errno=True).mprotect
    mprotect.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)
    if mprotect(address, mmap.PAGESIZE, 0):
        raise OSError(ctypes.get_errno(), "mprotect")


def guarded(shape, dtype, where):
    """A C-contiguous array of zeros, next to the page after it or to the one before it; see PLACES."""
    nbytes = math.prod(shape) * np.dtype(dtype).itemsize
    room = -(-nbytes // mmap.PAGESIZE) * mmap.PAGESIZE
    memory = mmap.mmap(-1, room + 2 * mmap.PAGESIZE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    whole = np.frombuffer(memory, np.uint8)
    _forbid(whole.ctypes.data)
    _forbid(whole.ctypes.data + mmap.PAGESIZE + room)
    first = mmap.PAGESIZE + (room - nbytes if where == "at the end" else 0)
    return whole[first : first + nbytes].view(dtype).reshape(shape)


def placed(array, where):
    """The elements of an array in guarded memory; where is None for a plain copy."""
    if where is None:
        return array.copy()
    y = guarded(array.shape, array.dtype, where)
    y[...] = array
    return y


@contextmanager
def allocating(where):
    """Let what the library itself allocates through NumPy be guarded as well, and empty arrays hold what is no use."""
    originals = {name: getattr(np, name) for name in MAKERS}

    def guarding(name):
        def make(*args, **options):
            y = originals[name](*args, **options)
            if type(y) is not np.ndarray or not y.flags.owndata or not y.flags.c_contiguous or y.dtype.hasobject:
                return y
            moved = placed(y, where)
            if name.startswith("empty"):  # NaN, and a number
                moved.reshape(-1).view(np.uint8)[...] = 0xFF if where == "at the end" else 0x3F
            return moved

        return make

    for name in MAKERS:
        setattr(np, name, guarding(name))
    try:
        yield
    finally:
        for name, original in originals.items():
            setattr(np, name, original)


def watched(arguments, timeout):
    """Run Python with these arguments in a process of its own. Returns the last line that it printed.

    If it ends in any other way than well, the AssertionError names what it was doing: the last line it printed.
    """
    environment = {**os.environ, "PYTHONFAULTHANDLER": "1", "OPENBLAS_NUM_THREADS": "1"}
    run = subprocess.run(
        [sys.executable, *arguments], capture_output=True, text=True, timeout=timeout, env=environment, check=False
    )
    last = (run.stdout.splitlines() or ["nothing"])[-1]
    if run.returncode:
        raise AssertionError(f"ended with {run.returncode} while computing: {last}\n{run.stderr[-3000:]}")
    return last
