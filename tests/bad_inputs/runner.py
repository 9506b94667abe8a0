"""Runs cases where a crash, a hang or a hunger for memory does no harm: `python -m bad_inputs.runner`.

The process imports the library and the table once and reads names of cases, one a line. With "alone" every
case runs in a child forked for it; with "together" all run here, one after the other. Each answers with one
line of JSON, [name, complaint]; the complaint is empty where the case did what it must. The calls of
`known_good` follow every case and must keep their bits.
"""

import json
import os
import re
import resource
import signal
import sys
import traceback
import warnings

import numpy as np

import pyconvx as cx

from . import CASES, Case
from .table import BIAS, K, X, correlate


def known_good() -> bytes:
    """The bits of good calls. Whole numbers, so that the right answer of the convolution is exact."""
    y, pullback = cx.vjp(cx.conv2d, X, K, BIAS)
    assert np.array_equal(y, correlate(X, K) + BIAS), "a good convolution is wrong"
    rng = np.random.default_rng(7)
    x, filters = rng.standard_normal((2, 9, 10, 4), np.float32), rng.standard_normal((6, 3, 3, 2), np.float32)
    z, back = cx.vjp(cx.conv2d, x, filters, groups=2, padding="same", padding_mode="reflect", activation="gelu")
    pooled, where = cx.pool2d(x, 3, padding=1, return_indices=True)
    transposed = cx.conv_transpose2d(z, filters, groups=2, stride=2)
    results = [y, *pullback(y), z, *back(z), pooled, where, transposed]
    results += [
        cx.pad(x, 3, "wrap"),
        cx.activate(x, "silu"),
        cx.global_pool(x, "std"),
        cx.adaptive_pool2d(x, 4),
    ]
    return b"".join(np.ascontiguousarray(result).tobytes() for result in results)


def complaint(case: Case) -> str:
    """What is wrong with what the case does; empty if nothing is."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            result = case.call()
    except BaseException as error:
        trace = "".join(traceback.format_exception(error))
        if not isinstance(error, case.raises):
            wanted = " or ".join(kind.__name__ for kind in case.raises) or "a result"
            return f"{type(error).__name__} instead of {wanted}: {error}\n{trace}"
        missing = [pattern for pattern in case.says if not re.search(pattern, str(error))]
        if missing:
            return f"the message lacks {missing}: {type(error).__name__}: {error}"
        return ""
    if case.check is None:
        return f"no {' or '.join(kind.__name__ for kind in case.raises)}; the result: {str(result)[:300]}"
    try:
        case.check(result)
    except BaseException:
        return "a wrong result\n" + traceback.format_exc()
    return ""


def judge(case: Case, good: bytes) -> str:
    text = complaint(case)
    try:
        if known_good() != good:
            text += "\nthe known-good calls gave other bits afterwards"
    except BaseException:
        text += "\nthe known-good calls failed afterwards\n" + traceback.format_exc()
    return text


def limit_memory(extra: int) -> None:
    """Lets the address space of this process grow by `extra` bytes from here and no more."""
    with open("/proc/self/statm") as file:
        now = int(file.read().split()[0]) * resource.getpagesize()
    hard = resource.getrlimit(resource.RLIMIT_AS)[1]
    limit = now + extra if hard == resource.RLIM_INFINITY else min(now + extra, hard)
    resource.setrlimit(resource.RLIMIT_AS, (limit, hard))


def alone(case: Case, good: bytes) -> str:
    """The complaint about a case that runs in a child of this process."""
    reading, writing = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # "multi-threaded, use of fork()": that is the point
        child = os.fork()
    if child == 0:
        try:
            os.close(reading)
            signal.signal(signal.SIGALRM, signal.SIG_DFL)
            signal.alarm(case.seconds)
            limit_memory(case.memory)
            text = judge(case, good)
            with os.fdopen(writing, "wb") as pipe:
                pipe.write(b"." + text.encode(errors="replace"))
        finally:
            os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        answer = pipe.read().decode()
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if status == -signal.SIGALRM:
        return f"no answer within {case.seconds} seconds"
    if status < 0:
        return f"killed by {signal.Signals(-status).name}"
    return answer[1:] if answer else f"ended without an answer, status {status}"


def main(mode: str) -> None:
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # whatever a case prints is no answer
    good = known_good()
    if mode == "together":
        limit_memory(2**31)
    for line in sys.stdin:
        case = CASES[json.loads(line)]
        if mode == "together":
            signal.alarm(case.seconds)
            text = judge(case, good)
            signal.alarm(0)
        else:
            text = alone(case, good)
        print(json.dumps([case.name, text]), file=answers, flush=True)


if __name__ == "__main__":
    main(sys.argv[1])
