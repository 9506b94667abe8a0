"""Poolings, by rows and by windows: geometries, gradients, parameters, threads, `out`."""

import ctypes
import itertools
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from foreign import activation, array, both, pooling, window

import pyconvx as cx
from pyconvx.functional.pool import _Plan as PoolPlan

from .plugins import SPREAD, cube, registered, spread, spread_gradient, unlike

rng = np.random.default_rng(0)


def test_a_pooling_that_comes_again_is_not_planned_anew(monkeypatch):
    planned, run, x = [], PoolPlan.run, rng.standard_normal((9, 8, 5))
    monkeypatch.setattr(PoolPlan, "run", lambda plan: (planned.append(plan), run(plan))[1])
    for function in (lambda w, scale=1.0: scale * w.sum(-1), lambda w, scale=1.0: -scale * w.sum(-1)):
        del planned[:]
        with registered("poolings", "scaled", function, compiled=both(pooling, function, 1)):
            for _ in range(3):
                for factor, params in itertools.product((1, 2), ({}, {"scale": 3})):
                    y = cx.pool2d(factor * x, 2, "scaled", **params)
                    want = cx.testing.reference.pool(factor * x, 2, lambda w, f=function, p=params: f(w, **p), rank=2)
                    np.testing.assert_allclose(y, want, rtol=1e-12)
        assert len(planned) == 2


def test_out_of_a_pooling_is_filled_when_all_is_done():
    def call(rows, taps, y, n, user):
        w = np.stack([array(rows[t], n) for t in range(taps)], -1)
        array(y, n)[...] = w.max(-1)
        return 7 if w.max() > 5 else 0

    real = ctypes.POINTER(ctypes.c_double)
    form = ctypes.CFUNCTYPE(
        ctypes.c_int, ctypes.POINTER(real), ctypes.c_ssize_t, real, ctypes.c_ssize_t, ctypes.c_void_p
    )
    x, out = np.ones((8, 2)), np.zeros((4, 2))
    with registered("poolings", "strict", lambda w: w.max(-1), compiled=form(call)):
        for _ in range(2):
            assert cx.pool1d(x, 2, "strict", out=out) is out
            kept = out.copy()
            with pytest.raises(RuntimeError, match="returned 7"):
                cx.pool1d(9 * x, 2, "strict", out=out)
            np.testing.assert_array_equal(out, kept)
        for _ in range(3):
            np.testing.assert_array_equal(cx.pool1d(x, 2, "strict"), kept)
            with pytest.raises(RuntimeError, match="returned 7"):
                cx.pool1d(9 * x, 2, "strict")


GEOMETRIES = [
    {"size": 2},
    {"size": 3, "stride": 1},
    {"size": 3, "stride": 2, "padding": 1},
    {"size": 2, "stride": 5},
    {"size": (3, 2), "stride": (1, 3), "dilation": (2, 1), "padding": "same"},
    {"size": 3, "stride": 2, "ceil_mode": True},
    {"size": 3, "stride": 1, "padding": 2, "padding_mode": "reflect"},
    {"size": 3, "stride": 2, "padding": 4, "padding_mode": "odd_reflect"},
    {"size": 3, "stride": 1, "padding": 1, "padding_mode": ("wrap", cx.padding("constant", value=2))},
    {"size": (9, 10)},
]


@pytest.mark.parametrize("geometry", GEOMETRIES, ids=str)
@pytest.mark.parametrize("channels", [1, 2, 5, 70, 300])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_pooling_is_compiled(geometry, channels, dtype):
    x = rng.standard_normal((2 if channels < 300 else 1, 9, 10, channels)).astype(dtype)
    with registered("poolings", "spread", spread, gradient=spread_gradient):
        want, back = cx.vjp(cx.pool2d, x, kind="spread", **geometry)
        gy = rng.standard_normal(want.shape).astype(dtype)
        (slope,) = back(gy)
    for compiled in (SPREAD, {**SPREAD, "compiled": window(spread)}):
        with registered("poolings", "spread", unlike, **compiled):
            y, pullback = cx.vjp(cx.pool2d, x, kind="spread", **geometry)
            (gx,) = pullback(gy)
        np.testing.assert_array_equal(y, want)
        np.testing.assert_allclose(gx, slope, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("layout", ["channels_last", "channels_first"])
def test_adaptive_and_global_poolings_are_compiled(layout):
    x = rng.standard_normal((2, 11, 13, 4)).astype(np.float32)
    calls = [
        lambda: cx.adaptive_pool2d(x, (3, 4), "spread", layout=layout),
        lambda: cx.global_pool(x, "spread", layout=layout),
        lambda: cx.pool1d(x[0], 3, "spread", layout=layout),
        lambda: cx.pool3d(x[..., None], 2, "spread") if layout == "channels_last" else cx.pool2d(x, 2, "spread"),
    ]
    with registered("poolings", "spread", spread):
        want = [call() for call in calls]
    with registered("poolings", "spread", **SPREAD):
        for call, y in zip(calls, want, strict=True):
            np.testing.assert_array_equal(call(), y)


def test_an_exact_pooling_keeps_any_dtype():
    second = {"compiled": both(pooling, lambda w: np.sort(w, -1)[..., 1]), "exact": True}
    with registered("poolings", "second", lambda w: np.sort(w, -1)[..., 1], **second):
        for dtype in (np.float32, np.float64, np.float16, np.uint8, np.bool_):
            y = cx.pool1d(np.array([[1], [0], [1], [1]], dtype), 4, "second")
            assert y.dtype == dtype
            assert y.tolist() == [[1]]


def test_parameters_of_a_pooling():
    def above(w, limit=0.0):
        return (w > limit).sum(-1).astype(w.dtype)

    x = rng.standard_normal((8, 8, 3))
    for compiled in (both(pooling, above, 1), window(lambda w, limit: (w > limit).sum(), 1)):
        with registered("poolings", "above", above, compiled=compiled):
            got = cx.pool2d(x, 2, "above", limit=0.5)
        np.testing.assert_array_equal(got, cx.pool2d((x > 0.5).astype(float), 2, "sum"))


@pytest.mark.parametrize("compiled", [both(pooling, spread), window(spread)], ids=["rows", "window"])
def test_threads_give_the_same_bits(compiled):
    x = rng.standard_normal((2, 64, 64, 9)).astype(np.float32)
    with registered("poolings", "spread", compiled=compiled):
        with cx.threads(1):
            want = cx.pool2d(x, 3, "spread", stride=2)
        with cx.threads(2):
            assert cx.pool2d(x, 3, "spread", stride=2).tobytes() == want.tobytes()


def test_a_check_of_parameters_has_windows_of_the_real_length():
    def rise(w, scale=1.0):
        return scale * (w.max(-1) - w[..., 4])

    x = rng.standard_normal((9, 9, 2))
    compiled = window(lambda w, scale: scale * (w.max() - w[4]), 1)
    with registered("poolings", "rise", rise, ordered=True, compiled=compiled):
        np.testing.assert_allclose(cx.pool2d(x, 3, "rise", scale=2.0), 2 * cx.pool2d(x, 3, "rise"))
    with registered("activations", "scaled", np.vectorize(lambda x, a=1.0: a * x), compiled=both(activation, cube)):
        pass
    with registered("activations", "scaled", lambda x, a=1: a * x, compiled=both(activation, lambda x, a: a * x, 1)):
        with pytest.raises(OverflowError) as caught:
            cx.activate(x, "scaled", a=10**400)
        assert "'scaled'" in caught.value.__notes__[0]


def test_python_poolings_of_tall_images_take_no_square_time():
    x = rng.standard_normal((200_000, 1, 1)).astype(np.float32)
    with registered("poolings", "spread", spread):
        assert cx.pool2d(x, (1, 1), "spread").shape == x.shape  # a minute, where places were counted again and again


@pytest.mark.skipif(shutil.which("gcc") is None, reason="the page is for GCC and Clang")
def test_the_loops_of_the_page_on_poolings(tmp_path):
    page = Path(__file__).parents[2].joinpath("docs", "write_pooling.md").read_text(encoding="utf-8")
    source, target = tmp_path / "rms.c", tmp_path / "rms.so"
    source.write_text(page.split("```c\n")[1].split("```")[0])
    flags = ["-O3", "-fno-math-errno", "-Wall", "-Werror", "-Wno-psabi", "-shared", "-fPIC"]
    subprocess.run(["gcc", *flags, str(source), "-o", str(target), "-lm"], check=True)
    real = ctypes.POINTER(ctypes.c_float)
    form = ctypes.CFUNCTYPE(
        ctypes.c_int, ctypes.POINTER(real), ctypes.c_ssize_t, real, ctypes.c_ssize_t, ctypes.c_void_p
    )
    compiled = form(("rms", ctypes.CDLL(str(target))))
    with cx.poolings.temporarily("rms", lambda w: np.sqrt((w * w).mean(-1)), compiled={"float32": compiled}):
        cx.testing.check_pooling("rms", examples=20)
