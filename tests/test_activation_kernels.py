"""Compiled activations: that they are the functions registered in Python, on every instruction set, whatever the shape.

Everything is driven by the registry: a plugin with a kernel is tested by being registered.
"""

import numpy as np
import pytest

import pyconvx as cx
from pyconvx import _core
from pyconvx.activation import evaluate, needs_result, parameters, pull, sloped_by_result
from pyconvx.plugin import accepted

COMPILED = [name for name in cx.activations if cx.activations[name].kernel is not None]
ELEMENTWISE = [name for name in COMPILED if not cx.activations[name].rowwise]
ROWWISE = [name for name in COMPILED if cx.activations[name].rowwise]
FLOATS = ["float32", "float64"]

# Sums, products with a parameter and choices: the same operations as in NumPy, so the same bits.
EXACT = {
    *("identity", "relu", "relu6", "leaky_relu", "prelu", "softsign", "hard_sigmoid", "hard_swish", "hard_tanh"),
    *("soft_shrink", "hard_shrink", "threshold"),
}
PARAMETERS = {
    "leaky_relu": [{"alpha": -0.3}, {"alpha": 2}],
    "prelu": [{"alpha": 0.1}],
    "elu": [{"alpha": 1.7}],
    "celu": [{"alpha": 0.7}, {"alpha": -2.0}],
    "softplus": [{"beta": 0.5}, {"beta": -2.0, "threshold": 5.0}],
    "hard_tanh": [{"min": -0.5, "max": 7}],
    "soft_shrink": [{"threshold": 1.25}, {"threshold": 0}],
    "hard_shrink": [{"threshold": 1.25}],
    "threshold": [{"threshold": -1, "value": 0.1}],
}
CASES = [(name, params) for name in ELEMENTWISE for params in ({}, *PARAMETERS.get(name, ()))]
cases = pytest.mark.parametrize(("name", "params"), CASES, ids=lambda value: str(value))

# Units in the last place by which a kernel may be off its definition: a few roundings, and functions of an error below
# 1. Where the argument of an exponential is rounded, a tail magnifies that by the argument, up to 104 or 745: in
# gelu_tanh, in celu and softplus for a parameter, and in the definition of gelu (computed in float64 and no better).
UNITS = 6


def units(name, params, dtype):
    magnified = name == "gelu_tanh" or (name in ("celu", "softplus") and params) or (name, dtype) == ("gelu", "float64")
    return UNITS + (4 * (104 if dtype == "float32" else 745) if magnified else 0)


@pytest.fixture(params=_core.supported(), autouse=True)
def isa(request):
    with _core.using(request.param):
        yield request.param


def samples(dtype):
    """Numbers of every magnitude and both signs, dense where functions bend, and the special ones."""
    info = np.finfo(dtype)
    tiny, huge = np.log2(float(info.smallest_subnormal)), np.log2(float(info.max))
    positive = np.concatenate([
        np.exp2(np.linspace(tiny, huge, 3001, endpoint=False)), np.linspace(0, 8, 2003), np.linspace(8, 120, 1501),
        np.linspace(600, 760, 101), np.array([1, 3, 6, 0.5, 20, np.inf, float(info.max), float(info.smallest_normal)]),
    ]).astype(dtype)  # fmt: skip
    return np.concatenate([positive, -positive, [0.0, -0.0, np.nan]]).astype(dtype)


def definition(bound, x):
    with np.errstate(all="ignore"):
        return np.asarray(bound.plugin.function(x, **bound.params)).astype(x.dtype, copy=False)


def slope(bound, x):
    """The gradient for gy = 1 as the Python derivative has it."""
    function = bound.plugin.derivative
    with np.errstate(all="ignore"):
        return np.asarray(function(x, definition(bound, x), **accepted(function, bound.params, 2))).astype(x.dtype)


def same_bits(a, b):
    return a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()


def assert_close(y, expected, allowed, absolute=0.0):
    """y, of a float dtype, is within so many of its units of `expected`, float64; or the same infinity or NaN."""
    with np.errstate(all="ignore"):
        rounded = expected.astype(y.dtype)
        unit = np.spacing(np.abs(rounded)).astype(np.float64)
        error = np.abs(y.astype(np.float64) - expected)
        good = (error <= allowed * unit + absolute) | (y == rounded) | (np.isnan(y) & np.isnan(rounded))
    assert good.all(), (y[~good][:5], expected[~good][:5])


def test_kernels_and_plugins_name_each_other():
    assert {cx.activations[name].kernel for name in COMPILED} == set(_core.kernels.ACTIVATIONS)
    assert set(COMPILED) == {name for name, p in cx.activations.items() if p.owner == "pyconvx.activation.built_in"}


@pytest.mark.parametrize("dtype", FLOATS)
@cases
def test_values_are_those_of_the_definition(name, params, dtype):
    bound = cx.activation(name, **params)
    x = samples(dtype)
    y = evaluate(bound, x)
    if name in EXACT:
        assert np.array_equal(y, definition(bound, x), equal_nan=True)
    else:
        # silu and mish are defined by x times an exponential, which is rounded where it is subnormal in float64
        subnormal = np.finfo(dtype).smallest_subnormal * np.clip(np.abs(x.astype(np.float64)), 1, 1000)
        assert_close(y, definition(bound, x.astype(np.float64)), units(name, params, dtype), subnormal)


# To 60 digits by mpmath, then rounded: where the definitions, in float64, are no better than the kernels.
VALUES = {
    "elu": {-1e-09: -9.999999995e-10, -0.375: -0.3127107212090278, -5.5: -0.995913228561536},
    "gelu": {
        -0.25: -0.10032341857926907, -5.25: -3.992604271156575e-07, -20.5: -2.206758018052147e-92,
        -37.75: -1.41976277548636e-310, 0.0078125: 0.003930599256725333, 3.5: 3.4991857982233756,
    },
    "silu": {
        -1.5: -0.2736382857095345, -90.5: -4.4977774936829656e-38, -600.25: -1.238994579285438e-258,
        -742.0: -4.2065e-320,
    },
    "mish": {-1.5: -0.29809974216680674, -90.5: -4.4977774936829656e-38, -742.0: -4.2065e-320},
    "tanh_shrink": {
        1e-08: 3.3333333333333335e-25, 0.0125: 6.510009791357441e-07, 0.75: 0.11485104761271268,
        1.5: 0.5948517463551336, -3.25: -2.253002364513474,
    },
    "softplus": {-0.4375: 0.49813454751437536, -50.5: 1.1698459177061964e-22, 3.25: 3.288041371687783},
    "log_sigmoid": {0.4375: -0.49813454751437536, 50.5: -1.1698459177061964e-22, -3.25: -3.288041371687783},
}  # fmt: skip


@pytest.mark.parametrize("name", VALUES)
def test_values_to_the_last_places(name):
    x = np.array(list(VALUES[name]))
    assert_close(evaluate(cx.activation(name), x), np.array(list(VALUES[name].values())), 5)


@pytest.mark.parametrize("dtype", FLOATS)
@cases
def test_derivatives_are_those_of_the_definition(name, params, dtype):
    bound = cx.activation(name, **params)
    x = samples(dtype)
    gx = pull(bound, x, x, np.ones_like(x))
    if name in EXACT - {"softsign"}:
        assert np.array_equal(gx, slope(bound, x), equal_nan=True)
    else:
        # where gelu, silu and mish turn, their derivative is a difference of terms below 1; and that of mish is defined
        # as a sum with x times what has cancelled
        turns = name in ("gelu", "gelu_tanh", "silu", "mish")
        cancels = np.where((x > -6) & (x < 40), 8 * np.finfo(dtype).eps * np.maximum(1, x), 0) if turns else 0.0
        tail = np.finfo(dtype).smallest_normal * 1e-3 if name != "softsign" else 0.0  # Python rounds subnormals twice
        assert_close(gx, slope(bound, x.astype(np.float64)), 2 * units(name, params, dtype), cancels + tail)


@pytest.mark.parametrize("dtype", FLOATS)
@cases
def test_a_gradient_is_the_incoming_one_times_the_derivative(name, params, dtype):
    bound = cx.activation(name, **params)
    x = samples(dtype)
    gy = np.random.default_rng(0).normal(size=x.shape).astype(dtype)
    with np.errstate(all="ignore"):
        expected = gy * pull(bound, x, x, np.ones_like(x))
    assert np.array_equal(pull(bound, x, x, gy), expected, equal_nan=True)


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("name", ELEMENTWISE)
def test_a_result_depends_on_no_other_element(name, dtype):
    bound = cx.activation(name)
    x = samples(dtype)[::37].copy()
    y, gx = evaluate(bound, x), pull(bound, x, x, x)
    for n in range(1, 71):
        for start in (0, 1, 13):
            part = x[start : start + n].copy()
            assert same_bits(evaluate(bound, part), y[start : start + n])
            assert same_bits(pull(bound, part, part, part), gx[start : start + n])
            assert same_bits(evaluate(bound, x[start : start + n]), y[start : start + n])  # at any address


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("name", COMPILED)
def test_any_number_of_threads_gives_the_same_bits(name, dtype):
    x = np.random.default_rng(0).normal(size=(707, 142)).astype(dtype) * 4
    bound = cx.activation(name)
    y = evaluate(bound, x)
    gx = pull(bound, x, y, y)
    for threads in (2, 3):
        assert same_bits(evaluate(bound, x, threads=threads), y)
        assert same_bits(pull(bound, x, y, y, threads), gx)


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("name", COMPILED)
def test_any_array_gives_the_bits_of_a_plain_one(name, dtype):
    x = np.random.default_rng(0).normal(size=(5, 7, 12)).astype(dtype) * 4
    y = cx.activate(x, name)
    padded = np.zeros((5, 7, 24), dtype)
    padded[..., ::2] = x
    unaligned = np.zeros(x.nbytes + 1, np.uint8)[1:].view(dtype).reshape(x.shape)
    unaligned[...] = x
    frozen = x.copy()
    frozen.flags.writeable = False
    swapped = x.astype(x.dtype.newbyteorder(">"))
    for other in (padded[..., ::2], np.asfortranarray(x), unaligned, frozen, swapped, x[::-1, :, :].copy()[::-1]):
        assert same_bits(cx.activate(other, name), y)
    out = np.full(y.shape, 7, dtype)
    assert cx.activate(x, name, out=out) is out
    assert same_bits(out, y)
    strided = np.full((*y.shape[:-1], 2 * y.shape[-1]), 7, dtype)
    cx.activate(x, name, out=strided[..., ::2])
    assert same_bits(strided[..., ::2].copy(), y)
    assert (strided[..., 1::2] == 7).all()
    moved = cx.activate(np.moveaxis(x, -1, 1), name, axis=1)
    assert same_bits(np.moveaxis(moved, 1, -1).copy(), y)


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("name", [name for name in COMPILED if cx.activations[name].output_size is None])
def test_out_may_be_x_or_overlap_it(name, dtype):
    x = np.random.default_rng(0).normal(size=(40, 33)).astype(dtype) * 4
    y = cx.activate(x, name)
    same = x.copy()
    assert cx.activate(same, name, out=same) is same
    assert same_bits(same, y)
    memory = np.zeros((41, 33), dtype)
    memory[:40] = x
    cx.activate(memory[:40], name, out=memory[1:])
    assert same_bits(memory[1:].copy(), y)


@pytest.mark.parametrize("name", COMPILED)
def test_float16_is_computed_in_float32(name):
    x = np.random.default_rng(0).normal(size=(9, 10)).astype(np.float16) * 4
    with np.errstate(all="ignore"):
        expected = cx.activate(x.astype(np.float32), name).astype(np.float16)
    assert same_bits(cx.activate(x, name), expected)
    out = np.empty_like(expected)
    assert same_bits(cx.activate(x, name, out=out), expected)


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("name", ROWWISE)
def test_rows_are_those_of_the_definition(name, dtype):
    rng = np.random.default_rng(0)
    bound, eps = cx.activation(name), float(np.finfo(dtype).eps)
    for length in (*range(2, 71, 2), 2500):
        x = (rng.normal(size=(5, length)) * 6).astype(dtype)
        wide = x.astype(np.float64)
        y = evaluate(bound, x)
        gy = rng.normal(size=y.shape).astype(dtype)
        expected = definition(bound, wide)
        # a logarithm of a sum loses what the largest element of its row has
        absolute = 4 * eps * np.abs(wide).max() if name == "log_softmax" else 0.0
        assert (np.abs(y - expected) <= np.maximum(40 * eps * np.abs(expected), absolute)).all()
        gradient = bound.plugin.gradient(wide, definition(bound, wide), gy.astype(np.float64))
        scale = np.abs(gy.astype(np.float64)).sum(-1).max()
        error = np.abs(pull(bound, x, y, gy) - gradient)
        assert (error <= np.maximum(40 * eps * np.abs(gradient), 8 * eps * scale)).all()
        for row in range(5):
            assert same_bits(evaluate(bound, x[row : row + 1]), y[row : row + 1])


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("name", ROWWISE)
@pytest.mark.parametrize(
    "row",
    [
        [0, 0], [3, -np.inf], [-np.inf, -np.inf], [np.inf, 0], [np.inf, np.inf], [np.nan, 1], [1, np.nan], [1e30, 1e30],
        [-1e30, 1e30], [90, -90, 0, 0], [0.0, -0.0], [1e-40, -1e-40],
        [*np.arange(30.0), np.nan], [*np.arange(31.0), np.inf], [np.nan, *np.arange(31.0)],
    ],
)  # fmt: skip
def test_special_rows(name, row, dtype):
    x = np.array([row if len(row) % 2 == 0 else [*row, 0.0]], dtype)
    bound = cx.activation(name)
    expected = definition(bound, x.astype(np.float64))
    eps = float(np.finfo(dtype).eps)
    smallest = float(np.finfo(dtype).smallest_subnormal)
    assert evaluate(bound, x) == pytest.approx(expected, rel=16 * eps, abs=smallest, nan_ok=True)


def test_parameters_that_are_numbers_are_compiled():
    for name, params in CASES:
        bound = cx.activation(name, **params)
        assert parameters(bound) == tuple(float(value) for value in bound.params.values())
        assert not needs_result(bound, np.dtype(np.float32))
    slopes = cx.activation("prelu", alpha=[0.5, 2.0])
    assert parameters(slopes) is None
    assert needs_result(slopes, np.dtype(np.float32))
    assert cx.activate(np.array([[-1.0, -1.0], [3.0, 4.0]]), slopes).tolist() == [[-0.5, -2.0], [3.0, 4.0]]


@pytest.mark.parametrize(
    ("name", "params"),
    [
        ("celu", {"alpha": 0}), ("softplus", {"beta": 0.0}), ("hard_tanh", {"min": 2, "max": 1}),
        ("soft_shrink", {"threshold": -1.0}),
    ],
)  # fmt: skip
def test_wrong_parameters_raise_before_anything_is_written(name, params):
    bound = cx.activation(name, **params)
    for x in (np.ones(3, np.float32), np.ones(0)):
        out = np.full_like(x, 7)
        with pytest.raises(ValueError, match="got"):
            cx.activate(x, bound, out=out)
        with pytest.raises(ValueError, match="got"):
            cx.vjp(cx.activate, x, bound)
        assert (out == 7).all()
    with pytest.raises(ValueError, match="got"):
        cx.conv1d(np.ones((5, 1)), np.ones((1, 2, 1)), activation=bound)


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("name", COMPILED)
@pytest.mark.parametrize("layout", ["channels_last", "channels_first"])
def test_a_convolution_applies_it_to_its_sums(name, layout, dtype):
    rng = np.random.default_rng(0)
    shapes = ((9, 11, 5), (6, 3, 3, 5)) if layout == "channels_last" else ((5, 9, 11), (6, 5, 3, 3))
    x, filters = (rng.normal(size=shape).astype(dtype) for shape in shapes)
    options = {"layout": layout, "padding": "same"}
    expected = cx.activate(cx.conv2d(x, filters, **options), name, axis=-1 if layout == "channels_last" else 0)
    for threads in (1, 2):
        with cx.threads(threads):
            assert same_bits(cx.conv2d(x, filters, activation=name, **options), expected)
    out = np.empty_like(expected)
    assert cx.conv2d(x, filters, activation=name, out=out, **options) is out
    assert same_bits(out, expected)


def test_kernels_refuse_what_they_cannot_read():
    x = np.ones((4, 4), np.float32)
    run = _core.kernels.activate
    for arguments, error in (
        (("nonsense", (), x, x), ValueError),
        (("threshold", (1.0, 2.0, 3.0), x, x), ValueError),
        (("relu", (), x[:, ::2], x[:, ::2]), ValueError),
        (("relu", (), x, np.empty((4, 4))), ValueError),
        (("relu", (), x, np.empty((3, 4), np.float32)), ValueError),
        (("glu", (), x, x), ValueError),
        (("relu", (), x.astype(np.int32), x.astype(np.int32)), TypeError),
    ):
        with pytest.raises(error):
            run(*arguments, 1)
    with pytest.raises(ValueError, match="do not fit"):
        _core.kernels.activate_gradient("relu", (), x, x, x, np.empty((4, 3), np.float32), 1)


RESULTS = [name for name, plugin in cx.activations.items() if sloped_by_result(cx.activation(plugin))]


@pytest.mark.parametrize("name", RESULTS)
def test_the_result_stands_for_what_it_was_made_of(name):
    x = np.array(
        [-np.inf, -3, -1e-300, -0.0, 0.0, 1e-300, 0.5, 6, np.nextafter(6, 0), np.nextafter(6, 7), 9, np.inf, np.nan]
    )
    plugin = cx.activations[name]
    y = plugin.function(x)
    np.testing.assert_array_equal(plugin.derivative(y, y), plugin.derivative(x, y))
    assert {"relu", "relu6"} == set(RESULTS)
