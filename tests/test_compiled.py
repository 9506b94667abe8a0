"""Plugins that bring compiled functions: who may write them, what they are called with, and how they fail."""

import ctypes
import gc
import itertools
import shutil
import subprocess
import sysconfig
from pathlib import Path

import numpy as np
import pytest
from foreign import activation, address, array, both, capsule, pooling, pooling_gradient, window
from memory import peak

import pyconvx as cx
from pyconvx import _core
from pyconvx.compiled import ACTIVATION_FORMS, GRADIENT_FORMS, POOLING_FORMS, _shape
from pyconvx.functional.activate import _Plan
from pyconvx.functional.pool import _Plan as PoolPlan

ROW = b"void (const float *, float *, Py_ssize_t, void *)"
rng = np.random.default_rng(0)


@pytest.fixture(params=_core.supported(), autouse=True)
def isa(request):
    with _core.using(request.param):
        yield request.param


def unlike(*_):
    """A definition in Python that must not be called: the compiled form is."""
    raise AssertionError("the function in Python was called")


def registered(registry, name, function=unlike, **fields):
    return getattr(cx, registry).temporarily(name, function, **fields)


def cube(x):
    return x * x * x


def three_squares(x):
    return 3 * x * x


CUBE = {
    "derivative": unlike,
    "compiled": both(activation, cube),
    "compiled_derivative": both(activation, three_squares),
}


# Activations


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


ALGORITHMS = [
    ("winograd", (20, 20, 20), (20, 3, 3, 20), {}),
    ("direct", (12, 13, 5), (7, 3, 3, 5), {}),
    ("bands", (12, 13, 32), (32, 3, 3, 32), {}),
    ("depthwise", (12, 13, 32), (32, 3, 3, 1), {"groups": 32}),
    ("planes", (12, 40, 1), (1, 3, 3, 1), {}),
    ("columns", (12, 40, 3), (7, 3, 3, 3), {}),
    ("dots", (12, 13, 40), (3, 3, 3, 40), {}),
    ("fft", (70, 70, 1), (1, 31, 31, 1), {}),
    ("plain", (9, 9, 2), (3, 3, 3, 2), {}),
]


@pytest.mark.parametrize(("name", "x", "filters", "options"), ALGORITHMS, ids=[each[0] for each in ALGORITHMS])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_it_ends_a_convolution_by_any_algorithm(name, x, filters, options, dtype):
    if name == "winograd" and dtype == "float64":
        name = "auto"
    x, filters = rng.standard_normal(x).astype(dtype), rng.standard_normal(filters).astype(dtype)
    bias = rng.standard_normal(len(filters)).astype(dtype)
    with registered("activations", "cube", **CUBE):
        got = cx.conv2d(x, filters, bias, activation="cube", algorithm=name, **options)
    np.testing.assert_array_equal(got, cube(cx.conv2d(x, filters, bias, algorithm=name, **options)))


@pytest.mark.parametrize(("taps", "mode"), [((3, 3), "zeros"), ((2, 5), "globe"), ((15, 15), "zeros")], ids=str)
@pytest.mark.parametrize(
    "options",
    [{}, {"stride": 2}, {"dilation": 2, "padding": 14}, {"padding": ((0, 7), (3, 1)), "stride": (3, 1)}],
    ids=str,
)
@pytest.mark.parametrize("x", [(2, 18, 16, 17), (1, 17, 160, 128)], ids=["one segment", "segments"])
def test_it_ends_each_line_of_a_depthwise_convolution_once(x, taps, options, mode):
    x = rng.standard_normal(x).astype(np.float32)
    filters = rng.standard_normal((x.shape[-1], *taps, 1)).astype(np.float32)
    options = {"padding": 1, "groups": x.shape[-1], "padding_mode": mode, "algorithm": "depthwise", **options}
    with registered("activations", "cube", **CUBE):
        got = cx.conv2d(x, filters, activation="cube", **options)
        into = np.empty_like(got)
        assert cx.conv2d(x, filters, activation="cube", out=into, **options) is into
    np.testing.assert_array_equal(got, cube(cx.conv2d(x, filters, **options)))
    np.testing.assert_array_equal(into, got)


@pytest.mark.parametrize("layout", ["channels_last", "channels_first"])
@pytest.mark.parametrize(("name", "x", "filters", "options"), ALGORITHMS, ids=[each[0] for each in ALGORITHMS])
def test_it_is_given_elements_of_the_result_alone(name, x, filters, options, layout):
    """All of which are positive here: lanes that stand for none are zero."""
    lowest, pointer = [], ctypes.POINTER(ctypes.c_float)

    def call(x, y, n, user):
        lowest.append(array(x, n).min())
        array(y, n)[...] = array(x, n)

    watching = ctypes.CFUNCTYPE(None, pointer, pointer, ctypes.c_ssize_t, ctypes.c_void_p)(call)
    several = 7 if name == "bands" else filters[0]  # which leave lanes of a vector empty
    x, filters = (rng.random(shape).astype(np.float32) + 1 for shape in (x, (several, *filters[1:])))
    if layout == "channels_first":
        x, filters = np.ascontiguousarray(np.moveaxis(x, -1, 0)), np.ascontiguousarray(np.moveaxis(filters, -1, 1))
    with registered("activations", "watching", compiled=watching):
        cx.conv2d(x, filters, activation="watching", algorithm=name, layout=layout, **options)
    assert lowest
    assert min(lowest) > 0


@pytest.mark.parametrize("layout", ["channels_last", "channels_first"])
@pytest.mark.parametrize("prepared", [False, True])
def test_calls_that_come_again(layout, prepared):
    x = rng.standard_normal((2, 9, 9, 9)).astype(np.float32)
    filters = rng.standard_normal((9, 3, 3, 9) if layout == "channels_last" else (9, 9, 3, 3)).astype(np.float32)
    given = cx.prepare(filters, layout=layout) if prepared else filters
    want = cube(cx.conv2d(x, given, layout=layout))
    with registered("activations", "cube", **CUBE):
        for _ in range(4):
            np.testing.assert_array_equal(cx.conv2d(x, given, layout=layout, activation="cube"), want)


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


def test_gradients_of_a_convolution():
    x, filters = rng.standard_normal((9, 9, 4)), rng.standard_normal((5, 3, 3, 4))
    with registered("activations", "cube", **CUBE):
        y, pullback = cx.vjp(cx.conv2d, x, filters, activation="cube")
        got = pullback(np.ones_like(y))
    z, back = cx.vjp(cx.conv2d, x, filters)
    for one, other in zip(got, back(three_squares(z)), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-12)


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


# Poolings


def spread(w):
    return w.max(-1) - w.min(-1)


def spread_gradient(w, y):
    slopes = np.zeros_like(w)
    np.put_along_axis(slopes, w.argmax(-1)[..., None], 1, -1)
    low = w.argmin(-1)[..., None]
    np.put_along_axis(slopes, low, np.take_along_axis(slopes, low, -1) - 1, -1)
    return slopes


SPREAD = {
    "gradient": unlike,
    "compiled": both(pooling, spread),
    "compiled_gradient": both(pooling_gradient, spread_gradient),
}
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
    x = rng.standard_normal((2, 9, 10, channels)).astype(dtype)
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


# Failures


def fails_once(status):
    """A row function that fails for a row with a number above 9."""
    pointer = ctypes.POINTER(ctypes.c_float)

    def call(x, y, n, user):
        array(y, n)[...] = array(x, n)
        return status if array(x, n).max(initial=0) > 9 else 0

    return ctypes.CFUNCTYPE(ctypes.c_int, pointer, pointer, ctypes.c_ssize_t, ctypes.c_void_p)(call)


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
                f"in the compiled form of the activation 'strict' (registered by {__name__})"
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
    source = Path(__file__).with_name("foreign_errors.c")
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


# Who may bring them


def test_a_capsule_is_named_by_its_signature():
    double = activation(lambda x: 2 * x, "float32")
    for name in (
        ROW,
        b"void (float *, float *, Py_ssize_t, void *)",
        b"void(float const *x, float *y, npy_intp n, void *user) noexcept nogil",
        b"void (const npy_float32 *, npy_float32 *, ptrdiff_t, void *)",
        b"void (__pyx_t_5numpy_float32_t const *, __pyx_t_5numpy_float32_t *, __pyx_t_5numpy_intp_t, void *)",
        b"void (const float *restrict x, float y[], Py_ssize_t n, void *)",
        b"void (*)(const float *, float *, Py_ssize_t, void *)",
        b"void (*function)(const float *, float *, Py_ssize_t, const double *parameters)",
    ):
        with registered("activations", "double", compiled=capsule(name, address(double))):
            assert cx.activate(np.float32([1, 2]), "double").tolist() == [2, 4]


def test_data_of_its_own():
    table = np.array([5.0, 6.0])
    pointer = ctypes.POINTER(ctypes.c_float)

    def look_up(x, y, n, user):
        values = ctypes.cast(user, ctypes.POINTER(ctypes.c_double))
        for i in range(n):
            y[i] = values[int(x[i])]

    function = ctypes.CFUNCTYPE(None, pointer, pointer, ctypes.c_ssize_t, ctypes.c_void_p)(look_up)
    with_data = capsule(ROW, address(function), table.ctypes.data)
    with registered("activations", "table", compiled=with_data):
        assert cx.activate(np.float32([0, 1, 0]), "table").tolist() == [5, 6, 5]
    with (
        pytest.raises(ValueError, match="has parameters \\(a\\), which its compiled functions get in place of data"),
        registered("activations", "table", lambda x, a=1: x, compiled=with_data),
    ):
        pass


def test_the_registry_keeps_them_alive():
    given = both(activation, lambda x: x + 1)
    cx.activations.register("kept", unlike, compiled=given)
    try:
        given.clear()
        gc.collect()
        others = [both(activation, lambda x: 100 * x) for _ in range(3)]
        assert len(others) == 3
        assert cx.activate(np.float32([1]), "kept").tolist() == [2]
        assert cx.activate(np.float64([1]), "kept").tolist() == [2]
    finally:
        cx.activations.unregister("kept")


def test_a_low_level_callable():
    LowLevelCallable = pytest.importorskip("scipy").LowLevelCallable
    largest = window(lambda w: w.max())
    x = rng.standard_normal((6, 6, 2)).astype(np.float32)
    with registered("poolings", "largest", compiled=LowLevelCallable(largest)):
        np.testing.assert_array_equal(cx.pool2d(x, 2, "largest"), cx.pool2d(x, 2))
    scalar = c_function(ctypes.c_double, ctypes.c_double, ctypes.c_void_p)
    with pytest.raises(ValueError, match=r"has the signature 'double \(double, void \*\)', accepted are"):
        cx.poolings.register("wrong", unlike, compiled=LowLevelCallable(scalar))


def test_a_filter_of_scipy_is_taken_as_it_is():
    ndimage = pytest.importorskip("scipy.ndimage")
    from scipy import LowLevelCallable

    function = LowLevelCallable(window(lambda w: w.max() - w[4]))
    x = rng.standard_normal((7, 8))
    with registered("poolings", "rise", ordered=True, compiled=function):
        got = cx.pool2d(x[..., None], 3, "rise", stride=1, padding="same", padding_mode="scipy:mirror")[..., 0]
    np.testing.assert_array_equal(got, ndimage.generic_filter(x, function, 3, mode="mirror"))


def test_a_cfunc_of_numba():
    numba = pytest.importorskip("numba")
    types = numba.types

    @numba.cfunc(types.void(types.CPointer(types.float32), types.CPointer(types.float32), types.intp, types.voidptr))
    def halve(x, y, n, user):
        for i in range(n):
            y[i] = x[i] * np.float32(0.5)

    pointer = types.CPointer(types.float64)

    @numba.cfunc(types.int32(types.CPointer(pointer), types.intp, pointer, types.intp, types.voidptr))
    def first(rows, taps, y, n, user):
        for i in range(n):
            y[i] = rows[0][i]
        return 0

    with registered("activations", "halve", compiled=halve), registered("poolings", "first", compiled=first):
        assert cx.activate(np.float32([1, 2]), "halve").tolist() == [0.5, 1]
        assert cx.pool1d(np.arange(6.0)[:, None], 2, "first").ravel().tolist() == [0, 2, 4]


def test_every_form_is_read_as_what_it_is():
    forms = (*ACTIVATION_FORMS, *POOLING_FORMS, *GRADIENT_FORMS)
    shapes = [_shape(form.signature) for form in forms]
    assert None not in shapes
    assert len(set(shapes)) == len(forms)
    for wrong in (
        "int (double *, long unsigned, double *, void *)",
        "int unsigned (double *, npy_intp, double *, void *)",
    ):
        assert _shape(wrong) is None
    for wrong in (
        "",
        "float",
        "void (float)",
        "int (*)(int)",
        "void (*)(*)(float *)",
        "struct s *(void *)",
        "void (unsigned *, float *)",
        "(",
    ):
        assert _shape(wrong) not in shapes


def c_function(result, *arguments):
    return ctypes.CFUNCTYPE(result, *arguments)(lambda *_: None)


F, D = (ctypes.POINTER(each) for each in (ctypes.c_float, ctypes.c_double))
WRONG = {
    "an int": (123, TypeError, "must be a PyCapsule named by its C signature"),
    "a str": ("f", TypeError, "must be a PyCapsule"),
    "a function in Python": (np.sin, TypeError, "must be a PyCapsule"),
    "NULL": (ctypes.CFUNCTYPE(None, F, F, ctypes.c_ssize_t, ctypes.c_void_p)(), TypeError, "NULL pointer"),
    "of the GIL": (
        ctypes.PYFUNCTYPE(None, F, F, ctypes.c_ssize_t, ctypes.c_void_p)(lambda *_: None),
        TypeError,
        "needs no GIL",
    ),
    "without a signature": (ctypes.CDLL(None).abs, TypeError, "argtypes and restype"),
    "another signature": (c_function(None, F, D, ctypes.c_ssize_t, ctypes.c_void_p), ValueError, "accepted are"),
    "too few arguments": (c_function(None, F, F, ctypes.c_ssize_t), ValueError, "accepted are"),
    "one of a pooling": (window(spread), ValueError, "accepted are"),
    "a capsule without a name": (capsule(None), ValueError, "capsule without a name"),
    "a capsule of another kind": (capsule(b"numpy.dtype"), ValueError, "'numpy.dtype'"),
    "a dtype that there is not": ({"int8": capsule(ROW)}, ValueError, "keys 'float32' and 'float64', once, got 'int8'"),
    "no dtype": ({3j: capsule(ROW)}, ValueError, "keys"),
    "float32 for float64": ({"float64": capsule(ROW)}, ValueError, "accepted are"),
    "None for a dtype": ({"float32": None}, TypeError, "must be a PyCapsule"),
    "None as a dtype": ({None: capsule(ROW)}, ValueError, "keys"),
    "a dtype twice": ({"float32": capsule(ROW), np.float32: capsule(ROW)}, ValueError, "once"),
    "of another byte order": ({">f4": capsule(ROW)}, ValueError, "keys"),
    "no dtype at all": ({}, ValueError, "must have the key"),
    "a dict in a dict": ({"float32": {"float32": capsule(ROW)}}, TypeError, "must be a PyCapsule"),
}


@pytest.mark.parametrize("given", WRONG)
@pytest.mark.parametrize("field", ["compiled", "compiled_derivative"])
def test_what_is_not_accepted(given, field):
    function, error, message = WRONG[given]
    with pytest.raises(error, match=message) as caught:
        cx.activations.register("wrong", unlike, derivative=unlike, **{field: function})
    assert "activation 'wrong'" in str(caught.value)
    if error is ValueError and "accepted" in message:
        assert "(const double *x, double *y, Py_ssize_t n, void *user)" in str(caught.value)
    assert "wrong" not in cx.activations


def test_what_does_not_go_together():
    row = activation(np.sin, "float64")
    for fields, message in (
        ({"compiled_derivative": row}, "with derivative=, its definition"),
        ({"kernel": "relu", "compiled": row}, "kernel= or compiled="),
        ({"rowwise": True, "compiled_derivative": row}, "is elementwise"),
        ({"rowwise": True, "output_size": lambda n: n // 2, "compiled": row}, "not both"),
    ):
        with pytest.raises(TypeError, match=message):
            cx.activations.register("wrong", unlike, **fields)
    with pytest.raises(TypeError, match="indexed=True or compiled="):
        cx.poolings.register("wrong", lambda w, index: w, indexed=True, compiled=window(spread))
    many = {f"p{i}": 1.0 for i in range(9)}
    function = eval(f"lambda x, {', '.join(f'{key}=1.0' for key in many)}: x")
    with pytest.raises(ValueError, match="9 parameters, and compiled functions get 8 at most"):
        cx.activations.register("wrong", function, compiled=row)


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


@pytest.mark.skipif(shutil.which("gcc") is None, reason="the page is for GCC and Clang")
def test_the_loops_of_the_page_on_poolings(tmp_path):
    page = Path(__file__).parents[1].joinpath("docs", "write_pooling.md").read_text(encoding="utf-8")
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
