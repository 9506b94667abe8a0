"""Activations of any dtype: what they are called with, parameters, rows, calls that come again, `out`."""

import ctypes
import gc
import itertools

import numpy as np
import pytest
from foreign import activation, address, array, both, capsule
from memory import peak

import pyconvx as cx
from pyconvx.functional.activate import _Plan

from .plugins import CUBE, cube, fails_once, registered, three_squares, unlike

rng = np.random.default_rng(0)


@pytest.mark.parametrize("dtype", ["float32", "float64", "float16", "int8", ">f8"])
def test_an_activation_is_compiled(dtype):
    x = (rng.standard_normal((40, 50)) * 4).astype(dtype)
    with registered("activations", "cube", **CUBE):
        y, pullback = cx.vjp(cx.activate, x, "cube")
        (gx,) = pullback(np.ones_like(y))
    wide = x.astype(np.float32 if dtype in ("float16", "int8") else np.dtype(dtype).newbyteorder("="))
    np.testing.assert_array_equal(y, cube(wide).astype(y.dtype))
    np.testing.assert_array_equal(gx, three_squares(wide).astype(gx.dtype))


def test_a_function_never_reads_what_it_writes():
    pointer = ctypes.POINTER(ctypes.c_double)

    def call(x, y, n, user):
        array(y, n)[...] = 0
        array(y, n)[...] = cube(array(x, n))

    careless = ctypes.CFUNCTYPE(None, pointer, pointer, ctypes.c_ssize_t, ctypes.c_void_p)(call)
    x, filters = rng.standard_normal((90, 90, 8)), rng.standard_normal((8, 3, 3, 8))
    sums, want = cx.conv2d(x, filters), cube(x)
    with registered("activations", "cube", compiled=careless):
        np.testing.assert_array_equal(cx.conv2d(x, filters, activation="cube"), cube(sums))
        assert cx.activate(x, "cube", out=x) is x
    np.testing.assert_array_equal(x, want)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_an_activation_that_comes_again_is_not_planned_anew(dtype, monkeypatch):
    planned, run, x = [], _Plan.run, rng.standard_normal((5, 6)).astype(dtype)
    monkeypatch.setattr(_Plan, "run", lambda plan: (planned.append(plan), run(plan))[1])
    for function in (power, lambda x, scale=1.0, offset=0.0: offset - scale * x):
        del planned[:]
        with registered("activations", "power", function, compiled=both(activation, function, 2)):
            for _ in range(3):
                for factor, params in itertools.product((1, 2), ({}, {"scale": 2}, {"scale": 3, "offset": 1})):
                    y = cx.activate(factor * x, "power", **params)
                    np.testing.assert_array_equal(y, function(factor * x, **params))
        assert len(planned) == 3


def test_out_is_filled_when_all_is_done():
    x, out = np.float32([1, 10]), np.zeros(2, np.float32)
    with registered("activations", "strict", compiled=fails_once(7)):
        for _ in range(2):
            assert cx.activate(x / 10, "strict", out=out) is out
            kept = out.copy()
            with pytest.raises(RuntimeError, match="returned 7"):
                cx.activate(x, "strict", out=out)
            np.testing.assert_array_equal(out, kept)


def test_out_of_what_cannot_fail_needs_no_copy():
    x = rng.standard_normal(300_000)
    out = np.empty_like(x)
    taken = {}
    for checked in (False, True):
        compiled = activation(np.square, "float64", checked=checked)
        with registered("activations", "squared", np.square, compiled=compiled):
            for _ in range(2):
                taken[checked] = peak(lambda: cx.activate(x, "squared", out=out))
        np.testing.assert_array_equal(out, x * x)
    assert taken[False] < x.nbytes / 4 < x.nbytes <= taken[True]
    signature = b"void (const double *, double *, Py_ssize_t, void *)"
    compiled = activation(np.square, "float64")
    with registered("activations", "squared", np.square, compiled=capsule(signature, address(compiled))):
        assert peak(lambda: cx.activate(x, "squared", out=out)) >= x.nbytes  # a function of Cython may raise


def test_a_dtype_without_a_compiled_form_is_done_in_python():
    called = []

    def double(x):
        called.append(x.dtype)
        return 2 * x

    with registered("activations", "double", double, compiled={np.float32: activation(lambda x: 2 * x, "float32")}):
        assert cx.activate(np.float32([1, 2]), "double").tolist() == [2, 4]
        assert called == []
        assert cx.activate(np.float64([1, 2]), "double").tolist() == [2, 4]
        assert called == [np.float64]


def power(x, scale=1.0, offset=0.0):
    return scale * x * x + offset


def test_parameters_arrive_in_their_order():
    compiled = both(activation, lambda x, scale, offset: scale * x * x + offset, 2)
    with registered("activations", "power", power, compiled=compiled):
        for dtype in (np.float32, np.float64):
            x = rng.standard_normal(9).astype(dtype)
            bound = cx.activation("power", offset=3, scale=0.5)
            np.testing.assert_allclose(cx.activate(x, bound), 0.5 * x * x + 3, rtol=1e-6)
        # one that is no number is for Python
        x = np.ones((2, 3))
        assert cx.activate(x, "power", scale=[1.0, 2.0, 3.0]).tolist() == [[1, 2, 3]] * 2


def test_a_check_of_parameters_is_that_of_the_function():
    def picky(x, a=1.0):
        if a < 0:
            raise ValueError("a must not be negative")
        return a * x

    with registered("activations", "picky", picky, compiled=both(activation, lambda x, a: a * x, 1)):
        with pytest.raises(ValueError, match="a must not be negative"):
            cx.activate(np.ones(3), "picky", a=-1.0)
        with pytest.raises(ValueError, match="a must not be negative"):
            cx.conv2d(np.ones((4, 4, 1)), np.ones((1, 3, 3, 1)), activation=cx.activation("picky", a=-1.0))


def test_rows_stay_whole():
    def centered(x):
        return x - x.mean()

    x = rng.standard_normal((300, 7)).astype(np.float32)
    fields = {"rowwise": True, "compiled": both(activation, centered)}
    with registered("activations", "centered", lambda x: x - x.mean(-1, keepdims=True), **fields):
        want = x - x.mean(-1, keepdims=True)
        np.testing.assert_allclose(cx.activate(x, "centered"), want, atol=1e-6)
        filters = rng.standard_normal((7, 3, 3, 2)).astype(np.float32)
        image = rng.standard_normal((9, 9, 2)).astype(np.float32)
        z = cx.conv2d(image, filters)
        for _ in range(3):
            got = cx.conv2d(image, filters, activation="centered")
            np.testing.assert_allclose(got, z - z.mean(-1, keepdims=True), atol=1e-5)
        cx.activate(x, "centered", out=x)
    np.testing.assert_allclose(x, want, atol=1e-6)


def test_a_plugin_may_go_while_it_runs():
    def gone(x):
        if "gone" in cx.activations:
            cx.activations.unregister("gone")
            gc.collect()
        return x + 1

    cx.activations.register("gone", unlike, compiled=both(activation, gone))
    x = np.zeros(100_000)
    assert (cx.activate(x, "gone") == 1).all()
    assert "gone" not in cx.activations
