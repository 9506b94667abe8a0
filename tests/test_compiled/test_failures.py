"""Failures reach the caller: a status, an error of Python, a parameter that no double holds."""

import ctypes
import itertools
import shutil
import subprocess
import sysconfig
from pathlib import Path

import numpy as np
import pytest
from foreign import activation, address, array, both, capsule

import pyconvx as cx

from .plugins import fails_once, registered

rng = np.random.default_rng(0)


@pytest.mark.parametrize("threads", [1, 2])
def test_a_status_reaches_the_caller(threads):
    good = np.zeros(200_000, np.float32)
    bad = good.copy()
    bad[150_000] = 10
    with registered("activations", "strict", compiled=fails_once(7)), cx.threads(threads):
        for _ in range(2):
            with pytest.raises(RuntimeError, match="returned 7, and anything but 0") as caught:
                cx.activate(bad, "strict")
            assert caught.value.__notes__ == [
                f"in the compiled form of the activation 'strict' (registered by {registered.__module__})"
            ]
            np.testing.assert_array_equal(cx.activate(good, "strict"), good)
        filters = np.ones((8, 1, 1, 8), np.float32)
        for given in (filters, cx.prepare(filters)):
            for _ in range(2):
                with pytest.raises(RuntimeError, match="returned 7"):
                    cx.conv2d(bad[:160_000].reshape(100, 200, 8), given, activation="strict")
                assert cx.conv2d(good[:160_000].reshape(100, 200, 8), given, activation="strict").max() == 0


def fails_at_the_call(number, pointer):
    """A row function that doubles, and fails at one call only."""
    calls = itertools.count(1)

    def call(x, y, n, user):
        this = next(calls)  # at once: two threads may be here, and each call has a number of its own
        array(y, n)[...] = 2 * array(x, n)
        return int(this == number)

    return ctypes.CFUNCTYPE(ctypes.c_int, pointer, pointer, ctypes.c_ssize_t, ctypes.c_void_p)(call)


@pytest.mark.parametrize("threads", [1, 2])
def test_a_failure_that_does_not_come_again_is_one(threads):
    x, filters = rng.standard_normal((90, 90, 8)).astype(np.float32), np.ones((8, 3, 3, 8), np.float32)
    calls = [
        lambda out: cx.activate(x, "once", out=out[0]),
        lambda out: cx.conv2d(x, filters, activation="once", algorithm="plain", out=out[1]),
        lambda out: cx.conv2d(x, filters, activation="once", out=out[1]),
    ]
    for call in calls:
        compiled = fails_at_the_call(3, ctypes.POINTER(ctypes.c_float))
        out = np.full((90, 90, 8), 9, np.float32), np.full((88, 88, 8), 9, np.float32)
        with (
            registered("activations", "once", compiled=compiled),
            cx.threads(threads),
            pytest.raises(RuntimeError, match="returned 1"),
        ):
            call(out)
        assert (out[0] == 9).all(), "nothing is half written"
        assert (out[1] == 9).all()


def test_a_window_that_returns_0_failed():
    real = ctypes.POINTER(ctypes.c_double)
    form = ctypes.CFUNCTYPE(ctypes.c_int, real, ctypes.c_ssize_t, real, ctypes.c_void_p)
    with (
        registered("poolings", "refusing", compiled=form(lambda w, n, y, user: 0)),
        pytest.raises(RuntimeError, match="returned 0, which means failure in this form"),
    ):
        cx.pool1d(np.ones((4, 1)), 2, "refusing")


@pytest.fixture(scope="module")
def errors(tmp_path_factory):
    compiler = shutil.which("cc")
    headers = sysconfig.get_path("include")
    if compiler is None or not (Path(headers) / "Python.h").exists():
        pytest.skip("needs a C compiler and the headers of Python")
    target = tmp_path_factory.mktemp("errors") / "errors.so"
    source = Path(__file__).parents[1] / "foreign_errors.c"
    subprocess.run([compiler, "-shared", "-fPIC", f"-I{headers}", str(source), "-o", str(target)], check=True)
    return ctypes.CDLL(str(target))


@pytest.mark.parametrize("threads", [1, 2])
def test_an_error_of_python_reaches_the_caller_as_itself(errors, threads):
    x = np.zeros((2, 300, 300, 4), np.float32)
    bad = x.copy()
    bad[1, 200, 100, 2] = 10
    row = capsule(b"int (const float *, float *, Py_ssize_t, void *)", address(errors.refuse_row))
    rows = capsule(b"int (const float *const *, Py_ssize_t, float *, Py_ssize_t, void *)", address(errors.refuse_rows))
    with (
        registered("activations", "refusing", compiled=row),
        registered("poolings", "refusing", compiled=rows),
        cx.threads(threads),
    ):
        calls = [
            (lambda x: cx.activate(x, "refusing"), "a row beyond nine"),
            (lambda x: cx.conv2d(x, np.eye(4, dtype=np.float32)[:, None, None], activation="refusing"), "a row beyond"),
            (lambda x: cx.pool2d(x, 2, "refusing"), "a window beyond nine"),
        ]
        for call, message in calls:
            with pytest.raises(OverflowError, match=message) as caught:
                call(bad)
            assert "'refusing'" in caught.value.__notes__[0]
            assert call(x).max() == 0


def test_a_function_of_ctypes_without_restype_is_told_what_to_set():
    function = ctypes.CDLL(None).getpid
    real = ctypes.POINTER(ctypes.c_double)
    function.argtypes = [real, real, ctypes.c_ssize_t, ctypes.c_void_p]
    with (
        cx.activations.temporarily("unset", np.square, compiled=function),
        pytest.raises(RuntimeError, match="anything but 0") as caught,
    ):
        cx.activate(np.ones(3), "unset")
    assert "restype = None" in caught.value.__notes__[-1]


def test_a_parameter_that_no_double_holds_is_named():
    with (
        cx.activations.temporarily("large", lambda x, k=1: x, compiled=both(activation, np.square, 1)),
        pytest.raises(OverflowError, match="k is larger than"),
    ):
        cx.activate(np.ones(3), cx.activation("large", k=10**400))
