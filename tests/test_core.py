"""The compiled core by itself: the choice of the instruction set, index tables, and what the thread pool promises."""

import itertools
import os
import shutil
import signal
import subprocess
import sys
import textwrap
import threading
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from threads import together

import pyconvx as cx
from pyconvx import _core
from pyconvx._core import FIRST_MIX, NOTHING, OUTSIDE, Axis

POOL = Path(_core.__file__).with_name("pool.c")


def python(code, **environment):
    """Run a program in a process of its own, outside the checkout."""
    return subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)],
        capture_output=True, text=True, timeout=120, cwd=os.path.dirname(sys.executable),
        env={**os.environ, **environment},
    )  # fmt: skip


@pytest.mark.parametrize("name", _core.supported())
def test_the_environment_forces_an_instruction_set(name):
    run = python("import pyconvx as cx; print(cx._core.isa())", PYCONVX_ISA=name)
    assert run.stdout.strip() == name, run.stderr


def test_an_unknown_instruction_set_names_those_supported():
    run = python("import pyconvx", PYCONVX_ISA="nonsense")
    assert run.returncode == 1
    assert "ValueError" in run.stderr
    assert "'nonsense'" in run.stderr
    for name in _core.supported():
        assert name in run.stderr


def test_the_best_instruction_set_runs_and_baseline_always_exists():
    assert _core.supported()[-1] == "baseline"
    run = python("import pyconvx as cx; print(cx._core.isa())", PYCONVX_ISA="")
    assert run.stdout.strip() == _core.supported()[0]


GOOD = dict(source=4, taps=2, step=1, row=[0, 1, 2], code=[0, 1, 2, 3])


def test_a_table_is_written_out_in_the_order_of_places():
    axis = Axis(**{**GOOD, "place": [2, 0, 1]})
    assert axis.codes().tolist() == [[1, 2], [2, 3], [0, 1]]
    assert (axis.length, axis.taps, axis.source) == (3, 2, 4)


def test_a_table_counts_what_windows_hold():
    axis = Axis(3, 2, 1, [0, 1, 2], [NOTHING, 0, OUTSIDE, NOTHING])
    assert axis.present().tolist() == [1, 2, 1]
    assert not axis.sourced


@given(data=st.data(), step=st.integers(-3, 3).filter(bool), taps=st.integers(1, 6), source=st.integers(1, 9))
def test_counts_runs_and_reach_are_those_of_the_codes(data, step, taps, source):
    """Of any table: runs of coordinates, repeated ones, constants, gaps and mixes."""
    mixed = [[0], [source - 1, 0]]
    element = st.integers(-len(mixed), source - 1) | st.sampled_from([OUTSIDE, NOTHING])
    run = st.tuples(st.integers(0, source - 1), st.integers(0, source - 1)).map(
        lambda pair: range(min(pair), max(pair))
    )
    pieces = st.lists(run | st.lists(element, max_size=3) | st.just([NOTHING] * 3), max_size=6)
    reach = (taps - 1) * abs(step)
    code = [code for piece in data.draw(pieces) for code in piece] + [0] * (reach + 1)
    rows = data.draw(st.lists(st.integers(0, len(code) - 1 - reach), max_size=5))
    rows = [row + reach if step < 0 else row for row in rows]
    axis = Axis(source, taps, step, rows, code, mixes=([1, 2], [0, source - 1, 0], [2.0, 1.0, -1.0]))
    windows = axis.codes().tolist()
    assert axis.present().tolist() == [sum(code != NOTHING for code in window) for window in windows]
    follows = [b == a + (a >= 0) and (a >= 0 or a in (OUTSIDE, NOTHING)) for a, b in itertools.pairwise(code)]
    assert axis.runs().tolist() == [[*follows, False].index(False, i) + 1 for i in range(len(code))]
    if step < 0:
        with pytest.raises(ValueError, match="rising order"):
            axis.reach()
        return
    read = [
        [c for code in window for c in ([code] if code >= 0 else mixed[FIRST_MIX - code] if code > NOTHING else [])]
        for window in windows
    ]
    highest, lowest = axis.reach()
    for place in range(len(rows)):
        assert highest[place] == max([-1, *(c for window in read[: place + 1] for c in window)])
        assert lowest[place] == min([source, *(c for window in read[place:] for c in window)])


@pytest.mark.parametrize(
    "wrong",
    [
        {"code": [0, 1, 2, 4]},  # beyond the source
        {"code": [0, 1, 2, FIRST_MIX]},  # a mix that is not there
        {"row": [0, 1, 3]},  # the last tap beyond the codes
        {"row": [0, -1, 2]},
        {"step": -3},
        {"step": 2**62, "taps": 3},
        {"taps": 0},
        {"step": 0},  # kernels divide by it
        {"source": -1},
        {"place": [0, 0, 1]},
        {"place": [0, 1]},
        {"extent": [1]},
        {"step": 2**62, "taps": 5},  # whose reach is 0 in 64 bits
        {"mixes": ([1], [4], [1.0])},
        {"mixes": ([1], [-1], [1.0])},
        {"mixes": ([1], [0], [1.0, 2.0])},
        {"mixes": ([2], [0], [1.0])},
        {"mixes": ([-1, 2], [0], [1.0])},
    ],
    ids=str,
)
def test_a_wrong_table_is_refused(wrong):
    with pytest.raises((ValueError, OverflowError)):
        Axis(**{**GOOD, **wrong})


def test_kernels_refuse_a_table_for_another_axis():
    one = Axis(1, 1, 1, [0], [0])
    x = np.ones((1, 1, 1, 5, 1), np.float32)
    y = np.empty((1, 1, 1, 3, 1), np.float32)
    with pytest.raises(ValueError, match="another length"):
        _core.kernels.pool_sum(x, y, (one, one, Axis(**GOOD)), np.zeros((4, 1), np.float32), "none", 1.0, 1)


@pytest.mark.parametrize("place", [[0, 1, 2, 3, 4], [4, 3, 2, 1, 0], [0, 2, 1, 3, 4], [1, 2, 3, 4, 0]], ids=str)
@pytest.mark.parametrize("channels", [1, 16, 40])
def test_places_whose_windows_lie_alike_may_be_visited_in_any_order_and_have_any_extent(place, channels):
    one = Axis(1, 1, 1, [0], [0])
    extent = np.array([2, 2, 3, 3, 5])
    last = Axis(10, 2, 1, np.arange(5) * 2, np.arange(10), place=place, extent=extent)
    x = np.random.default_rng(0).standard_normal((1, 1, 1, 10, channels)).astype(np.float32)
    windows = x.reshape(5, 2, channels)
    sums, largest = np.full((2, 1, 1, 1, 5, channels), np.nan, np.float32)
    winner, index = np.empty(sums.shape, np.int32), np.empty(sums.shape, np.intp)
    constants = np.zeros((4, channels), np.float32)
    axes = one, one, last
    _core.kernels.pool_sum(x, sums, axes, constants, "extent", 1.0, 1)
    np.testing.assert_allclose(sums[0, 0, 0, place], windows.sum(1) / extent[:, None], rtol=1e-6)
    for numbers in (None, winner):
        index[...] = -1
        _core.kernels.pool_extremum(x, largest, numbers, index, axes, constants, True, 1)
        np.testing.assert_array_equal(largest[0, 0, 0, place], windows.max(1))
        np.testing.assert_array_equal(index[0, 0, 0, place], windows.argmax(1) + 2 * np.arange(5)[:, None])
    np.testing.assert_array_equal(winner[0, 0, 0, place], windows.argmax(1))


# The pool

X = np.random.default_rng(0).standard_normal((4, 40, 40, 16)).astype(np.float32)
FILTERS = np.random.default_rng(1).standard_normal((32, 3, 3, 16)).astype(np.float32)


def work(threads):
    with cx.threads(threads):
        y, pullback = cx.vjp(cx.conv2d, X, FILTERS, padding="same", padding_mode="odd_reflect")
        pooled, pool_pullback = cx.vjp(cx.pool2d, y, 3, "max", stride=2, padding=1)
        return [y, *pullback(y), pooled, *pool_pullback(pooled), cx.pool2d(y, 5, "avg", stride=1, padding="same")]


def equal(some, others):
    return all(np.array_equal(a, b) for a, b in zip(some, others, strict=True))


@pytest.mark.parametrize("threads", [2, 3, 7, 16])
def test_any_number_of_threads_gives_the_same_bits(threads):
    assert equal(work(threads), work(1))


def test_calls_from_many_threads_at_once_give_the_same_bits():
    expected, wrong = work(1), []

    def call(_):
        for _ in range(3):
            if not equal(work(2), expected):
                wrong.append(threading.get_ident())

    together(call, *range(6))
    assert not wrong


FORK = """
    import os, sys, threading
    import numpy as np, pyconvx as cx
    x, filters = np.ones((8, 32, 32, 16), np.float32), np.ones((32, 3, 3, 16), np.float32)
    cx.set_num_threads(2)
    expected = cx.conv2d(x, filters)
    busy = {busy}
    stop = threading.Event()
    def keep_busy():
        while not stop.is_set():
            cx.conv2d(x, filters)
    if busy:
        other = threading.Thread(target=keep_busy)
        other.start()
    failures = 0
    for _ in range(30):
        child = os.fork()
        if child == 0:
            same = np.array_equal(cx.conv2d(x, filters), expected)
            grandchild = os.fork()
            if grandchild == 0:
                os._exit(not np.array_equal(cx.conv2d(x, filters), expected))
            os._exit(not same or os.waitpid(grandchild, 0)[1] != 0)
        failures += os.waitpid(child, 0)[1] != 0
    stop.set()
    if busy:
        other.join()
    sys.exit(failures)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
@pytest.mark.parametrize("busy", [False, True])
def test_a_forked_child_computes_with_a_pool_of_its_own(busy):
    run = python(FORK.format(busy=busy), PYTHONWARNINGS="ignore::DeprecationWarning")
    assert run.returncode == 0, run.stderr


APART = """
    import os, time
    import numpy as np, pyconvx as cx
    x, filters = np.ones((8, 32, 32, 16), np.float32), np.ones((32, 3, 3, 16), np.float32)
    def allowed(thread):
        status = dict(line.split(":", 1) for line in open(f"/proc/self/task/{thread}/status"))
        ends = [list(map(int, some.split("-"))) for some in status["Cpus_allowed_list"].split(",")]
        return {processor for some in ends for processor in range(some[0], some[-1] + 1)}
    cx.set_num_threads(2)
    before = set(os.listdir("/proc/self/task"))
    cx.conv2d(x, filters)
    (worker,) = set(os.listdir("/proc/self/task")) - before
    every = os.sched_getaffinity(0)
    for processor in every:
        os.sched_setaffinity(0, {processor})    # where this thread is from now on
        os.sched_setaffinity(0, every)
        time.sleep(0.05)                        # the worker sleeps
        cx.conv2d(x, filters)
        kept = allowed(worker)
        assert kept < every and len(kept) == len(every) - 1, (kept, every)
    os.sched_setaffinity(0, {processor})
    time.sleep(0.05)
    cx.conv2d(x, filters)
    assert allowed(worker) == {processor}
"""


@pytest.mark.skipif(
    not hasattr(os, "sched_getaffinity") or len(os.sched_getaffinity(0)) < 2, reason="one processor, or no sets of them"
)
def test_a_worker_is_kept_off_the_processor_of_its_caller():
    """Woken there, it would take turns with the caller while another processor idles."""
    run = python(APART)
    assert run.returncode == 0, run.stderr


FORKING = """
    import ctypes, os, sys, time
    pool = ctypes.CDLL({library!r})
    BLOCK = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_ssize_t, ctypes.c_int)
    kids, done = [], []
    @BLOCK
    def block(job, number, worker):
        if worker == 0 and not kids:    # as a signal handler may, where a block asks for signals
            kids.append(os.fork())
        time.sleep(0.002)
        done.append(number)
    pool.pool_run.argtypes = [BLOCK, ctypes.c_void_p, ctypes.c_ssize_t, ctypes.c_int, ctypes.c_void_p]
    stopped = pool.pool_run(block, None, 8, 2, None)
    if kids == [0]:     # here is no worker that does the block it was about to do
        kids.append(None)
        again = pool.pool_run(block, None, 8, 2, None)
        os._exit(not (stopped == 1 and again == 0 and sorted(done[-8:]) == list(range(8))))
    sys.exit(stopped != 0 or sorted(done) != list(range(8)) or os.waitpid(kids[0], 0)[1] != 0)
"""


@pytest.mark.skipif(
    not hasattr(os, "fork") or shutil.which("gcc") is None or not POOL.exists(), reason="no fork, or no sources"
)
def test_a_block_that_forks_leaves_no_wrong_result(tmp_path):
    library = tmp_path / "pool.so"
    subprocess.run(["gcc", "-O2", "-shared", "-fPIC", "-pthread", POOL, "-o", library], check=True)
    for _ in range(5):
        run = python(FORKING.format(library=str(library)), PYTHONWARNINGS="ignore::DeprecationWarning")
        assert run.returncode == 0, run.stderr


INTERRUPT = """
    import os, signal, threading, time
    import numpy as np, pyconvx as cx
    signal.signal(signal.SIGINT, signal.default_int_handler)  # which a background job inherits ignored
    {make}
    for threads in (1, 2):
        cx.set_num_threads(threads)
        started = []
        def interrupt():
            while not started:
                time.sleep(0.001)
            time.sleep(0.15)
            started.append(time.monotonic())
            os.kill(os.getpid(), signal.SIGINT)
        threading.Thread(target=interrupt, daemon=True).start()
        try:
            started.append(0)
            while True:
                {call}
        except KeyboardInterrupt:
            print(time.monotonic() - started[1])
    small = cx.conv2d(np.ones((5, 5, 1)), np.ones((1, 3, 3, 1)))
    assert (small == 9).all()
"""
CONVOLUTION = "x, filters = np.ones((64, 128, 128, 64), np.float32), np.ones((64, 3, 3, 64), np.float32)"
LONG = "x = np.ones((1_000_000, 1), np.float32)"
SLOPE = "y, pullback = cx.vjp(cx.pool1d, np.ones((100_000, 1), np.float32), 5001, '{}', stride=1, dilation={})"
NET = "net = cx.Sequential(cx.Conv2D(32, 3), cx.MaxPool2D(2), cx.Conv2D(32, 3)).build((28, 28, 32)).freeze()"
FROZEN = f"{NET}; x = np.ones((1500, 28, 28, 32), np.float32); net(x), net(x)"
LAYERS = "[cx.Conv2D(64, 3, padding=1) for _ in range(250)]"  # none of which takes long
DEEP = f"net = cx.Sequential(*{LAYERS}).build((64, 64, 64)).freeze(); x = np.ones((1, 64, 64, 64), 'f'); net(x), net(x)"
LONG_CALLS = {
    "frozen": (FROZEN, "net(x)"),
    "deep": (DEEP, "net(x)"),
    "conv": (CONVOLUTION, "cx.conv2d(x, filters)"),
    "plain": (CONVOLUTION, "cx.conv2d(x, filters, algorithm='plain')"),
    "max": (LONG, "cx.pool1d(x, 20_001, stride=1)"),
    "avg": (LONG, "cx.pool1d(x, 20_001, 'avg', stride=1, padding='same')"),
    "gradient": (SLOPE.format("avg", 1), "pullback(y)"),
    "dilated gradient": (SLOPE.format("sum", 3), "pullback(y)"),
}


TWICE = """
    import os, signal, threading, time
    import numpy as np, pyconvx as cx
    class A(Exception): pass
    class B(Exception): pass
    def raising(error):
        def handler(*_):
            ran.append(error)
            raise error
        return handler
    signal.signal(signal.SIGUSR1, raising(A))
    signal.signal(signal.SIGUSR2, raising(B))
    cx.set_num_threads({threads})
    net = cx.Sequential(cx.Conv2D(64, 3, padding=1), cx.Conv2D(64, 3, padding=1)).build((160, 160, 64)).freeze()
    x, ran, reached = np.ones((4, 160, 160, 64), np.float32), [], {{}}
    def note(error):
        while error is not None:    # the second handler may run while the first error is dealt with
            reached[id(error)] = error
            error = error.__context__
    net(x), net(x)
    def kill():
        time.sleep(0.1)
        os.kill(os.getpid(), signal.SIGUSR1)
        os.kill(os.getpid(), signal.SIGUSR2)
    for _ in range(4):
        killer = threading.Thread(target=kill)
        killer.start()
        until = time.monotonic() + 0.8
        while time.monotonic() < until:
            try:
                try:
                    net(x)
                    time.sleep(0.02)
                except (A, B) as error:
                    note(error)
            except (A, B) as error:
                note(error)
        killer.join()
    assert sorted(type(each).__name__ for each in reached.values()) == 4 * ["A"] + 4 * ["B"], (ran, reached)
    assert not cx._core._threads.pending
"""


@pytest.mark.parametrize("threads", [1, 2])
def test_what_two_signal_handlers_raise_reaches_the_caller(threads):
    run = python(TWICE.format(threads=threads))
    assert run.returncode == 0, run.stderr


@pytest.mark.parametrize("name", LONG_CALLS)
def test_ctrl_c_is_answered(name):
    """By one thread and by two."""
    make, call = LONG_CALLS[name]
    run = python(INTERRUPT.format(make=make, call=call))
    assert run.returncode == 0, run.stderr
    waited = [float(line) for line in run.stdout.splitlines()]
    assert len(waited) == 2
    # 0.1 s is promised on a machine to itself; a loaded one may delay the signal, a whole call takes many seconds
    assert max(waited) < 1.0


def test_a_signal_handler_may_compute_and_its_exception_arrives():
    class Alarm(Exception):
        def __len__(self):  # it is false
            return 0

    results = []

    def handler(number, frame):
        results.append(cx.conv2d(np.ones((5, 5, 1)), np.ones((1, 3, 3, 1))))
        raise Alarm

    before = signal.signal(signal.SIGALRM, handler)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.05)
        with pytest.raises(Alarm):
            cx.conv2d(np.ones((256, 64, 64, 32), np.float32), np.ones((64, 5, 5, 32), np.float32), algorithm="plain")
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert (results[0] == 9).all()


def test_kernels_never_see_an_unaligned_array():
    from pyconvx.functional.arrays import as_kernel_input
    from pyconvx.functional.prepare import as_taps

    unaligned = np.zeros(8 * 4 + 1, np.uint8)[1:].view(np.float32).reshape(1, 1, 1, 4, 2)
    assert not unaligned.flags.aligned
    assert as_kernel_input(unaligned, np.dtype(np.float32)).flags.aligned
    assert as_taps(unaligned[0, 0], np.dtype(np.float32)).flags.aligned


@pytest.mark.parametrize("isa", _core.supported())
@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int64])
def test_layouts_are_exchanged(dtype, isa):
    for n, rows, columns in [
        (1, 1, 1),
        (2, 3, 700),
        (3, 16, 16),
        (1, 17, 33),
        (2, 40, 600),
        (0, 2, 2),
        (2, 0, 3),
        (1, 300, 300),
    ]:
        x = np.arange(n * rows * columns, dtype=dtype).reshape(n, rows, columns)
        for threads in (1, 3):
            y = np.zeros((n, columns, rows), dtype)
            with _core.using(isa):
                _core.kernels.transpose(x, y, threads)
            assert np.array_equal(y, x.transpose(0, 2, 1))
            far = np.zeros((n, columns + 2, rows + 3), dtype)
            wide = np.zeros((n, rows + 1, columns + 5), dtype)
            wide[:, :-1, 2:-3] = x
            with _core.using(isa):
                _core.kernels.transpose(wide[:, :-1, 2:-3], far[:, 1:-1, 1:-2], threads)
            want = np.zeros_like(far)
            want[:, 1:-1, 1:-2] = x.transpose(0, 2, 1)
            assert np.array_equal(far, want)
    for other in (x[:, :-1].copy(), x.transpose(0, 2, 1), x[:, :, ::-1], x.astype(np.int16)):
        with pytest.raises(ValueError, match="do not fit"):
            _core.kernels.transpose(x, other, 1)
