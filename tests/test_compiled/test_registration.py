"""Who may bring compiled functions: capsules, ctypes, SciPy, numba; and what is not accepted."""

import ctypes
import gc

import numpy as np
import pytest
from foreign import activation, address, both, capsule, window

import pyconvx as cx
from pyconvx.compiled import ACTIVATION_FORMS, GRADIENT_FORMS, POOLING_FORMS, _shape

from .plugins import registered, spread, unlike

rng = np.random.default_rng(0)
ROW = b"void (const float *, float *, Py_ssize_t, void *)"


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
