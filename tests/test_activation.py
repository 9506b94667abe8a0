"""Registered activations: values, derivatives, precision and limits; and what is refused from a plugin."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import pyconvx as cx
from pyconvx.activation import BLOCK, evaluate, keeps_rows, pull

ELEMENTWISE = [name for name in cx.activations if not cx.activations[name].rowwise]
ROWWISE = [name for name in cx.activations if cx.activations[name].rowwise]
FLOATS = ["float32", "float64"]
INF = math.inf


def value(name, *x, dtype="float64", **params):
    return evaluate(cx.activation(name, **params), np.array(x, dtype))


def slope(name, *x, dtype="float64", **params):
    x = np.array(x, dtype)
    bound = cx.activation(name, **params)
    return pull(bound, x, evaluate(bound, x), np.ones_like(x))


def test_every_elementwise_activation_is_defined_here():
    assert set(DEFINITIONS) == set(ELEMENTWISE)
    assert sorted(ROWWISE) == ["glu", "log_softmax", "softmax"]


# Definitions as the papers write them, in plain Python and so in float64, for x where they do not cancel or overflow.
SELU_ALPHA, SELU_SCALE = 1.6732632423543772848170429916717, 1.0507009873554804934193349852946


def logistic(x):
    return math.exp(min(x, 0)) / (1 + math.exp(-abs(x)))


DEFINITIONS = {
    "identity": lambda x: x,
    "relu": lambda x: max(x, 0),
    "relu6": lambda x: min(max(x, 0), 6),
    "leaky_relu": lambda x: x if x > 0 else 0.01 * x,
    "prelu": lambda x: x if x > 0 else 0.25 * x,
    "elu": lambda x: x if x > 0 else math.expm1(x),
    "selu": lambda x: SELU_SCALE * (x if x > 0 else SELU_ALPHA * math.expm1(x)),
    "celu": lambda x: max(x, 0) + min(0, math.expm1(x)),
    "gelu": lambda x: x * math.erfc(-x / math.sqrt(2)) / 2,
    "gelu_tanh": lambda x: x * logistic(2 * math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)),
    "silu": lambda x: x / (1 + math.exp(-x)),
    "mish": lambda x: x * math.tanh(math.log1p(math.exp(x))),
    "softplus": lambda x: x if x > 20 else math.log1p(math.exp(x)),
    "softsign": lambda x: x / (1 + abs(x)),
    "sigmoid": lambda x: 1 / (1 + math.exp(-x)),
    "log_sigmoid": lambda x: -math.log1p(math.exp(-x)),
    "hard_sigmoid": lambda x: min(max(x / 6 + 0.5, 0), 1),
    "hard_swish": lambda x: x * min(max(x + 3, 0), 6) / 6,
    "hard_tanh": lambda x: min(max(x, -1), 1),
    "tanh": math.tanh,
    "tanh_shrink": lambda x: x - math.tanh(x) if abs(x) > 0.01 else x**3 / 3 - 2 * x**5 / 15 + 17 * x**7 / 315,
    "soft_shrink": lambda x: math.copysign(max(abs(x) - 0.5, 0), x),
    "hard_shrink": lambda x: x if abs(x) > 0.5 else 0,
    "threshold": lambda x: x if x > 0 else 0,
}


def bound_of_error(y, dtype):
    """What rounding allows: an exponential of z, rounded to |z| eps, has that as its relative error."""
    with np.errstate(divide="ignore"):
        exponent = np.where(y == 0, 0, np.abs(np.log(np.abs(y))))
    return np.finfo(dtype).eps * (16 + 4 * exponent) * np.abs(y) + 4 * np.finfo(dtype).smallest_normal


# Numbers are drawn once for all activations: drawing takes longer than computing.


@given(x=hnp.arrays("float32", st.integers(0, 40), elements=st.floats(-30, 30, width=32)))
def test_float32_is_right_to_a_few_units_in_the_last_place(x):
    for name in ELEMENTWISE:
        y = value(name, *x, dtype="float32")
        expected = np.array([DEFINITIONS[name](v) for v in x.tolist()])
        assert y.dtype == np.float32
        assert (np.abs(y - expected) <= bound_of_error(expected, np.float32)).all(), name


@given(x=hnp.arrays("float64", st.integers(0, 40), elements=st.floats(-30, 30)))
def test_float64_is_the_definition(x):
    for name in ELEMENTWISE:
        expected = np.array([DEFINITIONS[name](v) for v in x.tolist()])
        # the definition itself cancels to this extent where it subtracts
        cancels = np.finfo(np.float64).eps * np.abs(x) if name in ("tanh_shrink", "soft_shrink") else 0
        assert (np.abs(value(name, *x) - expected) <= bound_of_error(expected, np.float64) + cancels).all(), name


@given(x=hnp.arrays("float32", st.integers(1, 40), elements=st.floats(-30, 30, width=32)))
def test_float32_derivative_is_that_of_float64(x):
    # silu, mish and gelu have a minimum near -1, where their derivative is a difference of terms below 1
    cancels = np.where((x > -4) & (x < 0), 16 * np.finfo(np.float32).eps, 0)
    for name in ELEMENTWISE:
        d = slope(name, *x, dtype="float32")
        expected = slope(name, *x)
        assert d.dtype == np.float32
        assert (np.abs(d - expected) <= bound_of_error(expected, np.float32) + cancels).all(), name


KINKS = np.array([-3, -1, -0.5, 0, 0.5, 1, 3, 6, 20])
SMOOTH = st.floats(-25, 25).filter(lambda v: np.abs(v - KINKS).min() > 1e-3)


@given(
    rows=hnp.arrays("float64", (3, 4), elements=SMOOTH), slopes=hnp.arrays("float64", (3, 4), elements=st.floats(-2, 2))
)
def test_derivative_is_the_limit_of_differences(rows, slopes):
    step = 1e-5
    shifts = step * np.eye(rows.size).reshape(-1, *rows.shape)  # of one element each
    for name in cx.activations:
        bound = cx.activation(name)
        y = evaluate(bound, rows)
        gy = np.ascontiguousarray(slopes[:, : y.shape[1]])
        change = evaluate(bound, rows + shifts) - evaluate(bound, rows - shifts)
        expected = (change * gy).sum((1, 2)).reshape(rows.shape) / (2 * step)
        # second-order error step^2 |f'''|, and rounding eps |f| / step
        allowed = np.maximum(1e-7 * np.abs(expected), 5e-9)
        assert (np.abs(pull(bound, rows, y, gy) - expected) <= allowed).all(), name


@pytest.mark.parametrize(
    ("name", "x", "expected"),
    [
        ("relu", 0, 0), ("relu6", 0, 0), ("relu6", 6, 0), ("leaky_relu", 0, 0.01), ("prelu", 0, 0.25), ("elu", 0, 1),
        ("selu", 0, SELU_ALPHA * SELU_SCALE), ("celu", 0, 1), ("hard_sigmoid", -3, 0), ("hard_sigmoid", 3, 0),
        ("hard_swish", -3, 0), ("hard_swish", 3, 1), ("hard_tanh", -1, 0), ("hard_tanh", 1, 0), ("soft_shrink", 0.5, 0),
        ("soft_shrink", -0.5, 0), ("hard_shrink", 0.5, 0), ("hard_shrink", -0.5, 0), ("threshold", 0, 0),
    ],
)  # fmt: skip
def test_derivative_at_a_kink(name, x, expected):
    """The subgradients of torch."""
    assert slope(name, x) == [pytest.approx(expected, rel=1e-15)]


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize(
    ("name", "low", "high"),
    [
        ("identity", -INF, INF), ("relu", 0, INF), ("relu6", 0, 6), ("leaky_relu", -INF, INF), ("prelu", -INF, INF),
        ("elu", -1, INF), ("selu", -SELU_ALPHA * SELU_SCALE, INF), ("celu", -1, INF), ("gelu", 0, INF),
        ("gelu_tanh", 0, INF), ("silu", 0, INF), ("mish", 0, INF), ("softplus", 0, INF), ("softsign", -1, 1),
        ("sigmoid", 0, 1), ("log_sigmoid", -INF, 0), ("hard_sigmoid", 0, 1), ("hard_swish", 0, INF),
        ("hard_tanh", -1, 1), ("tanh", -1, 1), ("tanh_shrink", -INF, INF), ("soft_shrink", -INF, INF),
        ("hard_shrink", -INF, INF), ("threshold", 0, INF),
    ],
)  # fmt: skip
def test_infinities_give_the_limit(name, low, high, dtype):
    huge = float(np.finfo(dtype).max) / 2
    expected = np.array([low, high], dtype)
    assert value(name, -INF, INF, dtype=dtype) == pytest.approx(expected, rel=1e-6, abs=0)
    finite = np.isfinite(expected)
    assert value(name, -huge, huge, dtype=dtype)[finite] == pytest.approx(expected[finite], rel=1e-6, abs=0)
    assert np.isfinite(slope(name, -INF, -huge, -1e4, 1e4, huge, INF, dtype=dtype)).all()


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize(
    "name",
    ["identity", "relu", "elu", "celu", "gelu", "gelu_tanh", "silu", "mish", "softplus", "hard_swish", "threshold"],
)
def test_the_largest_numbers_are_kept(name, dtype):
    largest = np.finfo(dtype).max
    assert value(name, largest / 3, largest, dtype=dtype).tolist() == [largest / 3, largest]


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("name", list(cx.activations))
def test_nan_propagates_and_nothing_warns(name, dtype):
    x = np.array([[math.nan, 1.0], [INF, -INF], [1e30, -1e30], [1e-40, 0.0]], dtype)
    bound = cx.activation(name)
    y = evaluate(bound, x)
    pull(bound, x, y, np.ones_like(y))
    assert np.isnan(y[0, 0])
    assert not np.isnan(y[2:]).any()


@pytest.mark.parametrize("name", ["gelu", "gelu_tanh", "silu", "mish", "sigmoid", "softplus", "log_sigmoid"])
def test_far_tails_do_not_cancel(name):
    x = 10.0 if name == "log_sigmoid" else -10.0
    expected = DEFINITIONS[name](x)
    assert expected != 0
    assert value(name, x, dtype="float32") == [pytest.approx(expected, rel=1e-4 if name == "gelu_tanh" else 1e-5)]


def test_derivatives_of_saturated_functions_do_not_cancel():
    e = math.exp(-20)
    assert slope("sigmoid", -20, 20, dtype="float32") == pytest.approx([e / (1 + e) ** 2] * 2, rel=1e-6)
    assert slope("tanh", -20, 20, dtype="float32") == pytest.approx([4 * math.exp(-40)] * 2, rel=1e-6)


def test_parameters():
    assert value("leaky_relu", -1, alpha=0.5) == [-0.5]
    assert value("elu", -1, alpha=2.0) == [2 * math.expm1(-1)]
    assert value("celu", -1, alpha=2.0) == [2 * math.expm1(-0.5)]
    assert value("softplus", 1, beta=2.0) == [pytest.approx(math.log1p(math.exp(2)) / 2)]
    assert value("softplus", 1, threshold=0.5) == [1]
    assert value("hard_tanh", -5, 5, min=-2.0, max=3.0).tolist() == [-2, 3]
    assert value("soft_shrink", -5, threshold=2.0) == [-3]
    assert value("hard_shrink", 1, 3, threshold=2.0).tolist() == [0, 3]
    assert value("threshold", 1, 3, threshold=2.0, value=7).tolist() == [7, 3]
    for name, params in (("celu", {"alpha": 0}), ("softplus", {"beta": 0}), ("hard_tanh", {"min": 2, "max": 1})):
        with pytest.raises(ValueError, match="got") as info:
            value(name, 1, **params)
        assert info.value.__notes__ == [
            f"in the function of the activation {name!r} (registered by pyconvx.activation.built_in)"
        ]


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("alpha", [[0.5, 2.0, -1.0], np.array([0.5, 2.0, -1.0]), np.float64(0.5), 1])
def test_prelu_takes_a_slope_per_channel(alpha, dtype):
    x = np.array([[[-1, -2, -3], [4, 5, -6]]], dtype)
    bound = cx.activation("prelu", alpha=alpha)
    y = evaluate(bound, x)
    factor = np.where(x > 0, 1, alpha)
    assert y.dtype == dtype
    assert (y == x * factor).all()
    assert (pull(bound, x, y, np.ones_like(x)) == factor).all()
    assert keeps_rows(bound) == (np.ndim(alpha) > 0)


ROWS = hnp.arrays("float64", hnp.array_shapes(min_dims=1, max_dims=3, max_side=6), elements=st.floats(-700, 700))


@given(ROWS)
def test_softmax_is_a_distribution(x):
    y = value("softmax", *x)
    assert (y >= 0).all()
    assert y.sum(-1) == pytest.approx(np.ones(x.shape[:-1]))
    log = evaluate(cx.activation("log_softmax"), x)
    assert (log <= 0).all()
    assert np.exp(log) == pytest.approx(y, rel=1e-9, abs=1e-300)
    shifted = evaluate(cx.activation("softmax"), x + 100)
    assert shifted == pytest.approx(y, rel=1e-9)


def test_rows():
    assert value("softmax", 1e30, 1e30, dtype="float32").tolist() == [0.5, 0.5]
    assert value("softmax", 0, -INF).tolist() == [1, 0]
    assert value("log_softmax", 0, -INF).tolist() == [0, -INF]
    assert value("log_softmax", 30, 0, dtype="float32")[0] == pytest.approx(-math.exp(-30), rel=1e-6)
    assert value("glu", 3, 5, 0, 1e4).tolist() == [1.5, 5]
    assert value("glu").shape == (0,)
    with pytest.raises(ValueError, match="even length, got 3"):
        value("glu", 1, 2, 3)
    with pytest.raises(ValueError, match="must have an axis"):
        evaluate(cx.activation("softmax"), np.array(1.0))


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("name", list(cx.activations))
@pytest.mark.parametrize("shape", [(0,), (0, 4), (3, 0), (2 * BLOCK + 6,), (BLOCK // 4 + 3, 6), (1, 2, 3, 4)])
def test_blocks_are_not_seen_in_the_result(name, shape, dtype):
    x = np.random.default_rng(0).normal(size=shape).astype(dtype)
    bound = cx.activation(name)
    y = evaluate(bound, x)
    assert y.dtype == dtype
    assert y.shape == (x.shape if name != "glu" else (*shape[:-1], shape[-1] // 2))
    gx = pull(bound, x, y, y)
    assert gx.shape == x.shape
    if bound.plugin.rowwise and x.ndim > 1 and x.size:
        assert evaluate(bound, x[-1:].copy()).tolist() == y[-1:].tolist()
    elif x.size:
        some = slice(x.size // 2, x.size // 2 + 5)
        if not bound.plugin.rowwise:
            # vector and scalar forms of NumPy's functions may differ in the last bit
            assert evaluate(bound, x.ravel()[some]) == pytest.approx(
                y.ravel()[some], rel=4 * float(np.finfo(dtype).eps)
            )
    if name != "glu":
        inplace = x.copy()
        assert evaluate(bound, inplace, inplace) is inplace
        assert np.array_equal(inplace, y)


def test_a_plugin_sees_bounded_blocks_whole_rows_and_cannot_write():
    seen = []

    def look(x):
        seen.append(x.shape)
        assert not x.flags.writeable
        return x

    with cx.activations.temporarily("look", look):
        evaluate(cx.activation("look"), np.zeros((3, BLOCK)))
    with cx.activations.temporarily("look", look, rowwise=True):
        evaluate(cx.activation("look"), np.zeros((BLOCK // 8, 16)))
        evaluate(cx.activation("look"), np.zeros((2, 2, 2 * BLOCK)))
    assert seen == [(BLOCK,)] * 3 + [(BLOCK // 16, 16)] * 2 + [(1, 2 * BLOCK)] * 4
    with (
        cx.activations.temporarily("careless", lambda x: np.maximum(x, 0, out=x)),
        pytest.raises(ValueError, match="read-only"),
    ):
        evaluate(cx.activation("careless"), np.zeros(3))


@pytest.mark.parametrize(
    ("result", "got"),
    [
        (None, "NoneType None"),
        ([0.0, 0.0], r"list \[0.0, 0.0\]"),
        (np.zeros(3, np.float32), r"shape \(3,\)"),
        (np.float32(0), "float32"),
        (np.zeros(2), "dtype float64"),
        (np.zeros(2, complex), "dtype complex128"),
        (np.ma.zeros(2, np.float32), "a masked array: fill it first"),
    ],
)
def test_what_a_plugin_must_return(result, got):
    x = np.zeros(2, np.float32)
    broken = lambda *arguments: result  # noqa: E731
    with cx.activations.temporarily("broken", broken), pytest.raises(ValueError, match=got) as info:
        evaluate(cx.activation("broken"), x)
    assert f"function of activation 'broken' (registered by {__name__}) must return" in str(info.value)
    for what in ("derivative", "gradient"):
        with (
            cx.activations.temporarily("broken", np.negative, **{what: broken}),
            pytest.raises(ValueError, match=f"{what} of activation 'broken' .* {got}"),
        ):
            pull(cx.activation("broken"), x, x, x)


def test_truth_values_are_numbers():
    with cx.activations.temporarily("step", lambda x: x > 0, derivative=lambda x, y: np.zeros(x.shape, np.bool_)):
        y = evaluate(cx.activation("step"), np.array([-1.0, 1.0]))
        assert y.dtype == np.float64
        assert y.tolist() == [0, 1]
        assert pull(cx.activation("step"), y, y, y).dtype == np.float64


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.int8, np.int64])
def test_other_dtypes_are_refused(dtype):
    x = np.ones(3)
    with (
        cx.activations.temporarily("other", lambda x: x.astype(dtype), derivative=lambda x, y: x.astype(dtype)),
        pytest.raises(ValueError, match=f"function of activation 'other' .* dtype float64, got .*{np.dtype(dtype)}"),
    ):
        cx.activate(x, "other")
    with (
        cx.activations.temporarily("other", np.copy, derivative=lambda x, y: x.astype(dtype)),
        pytest.raises(ValueError, match=f"derivative of activation 'other' .* dtype float64, got .*{np.dtype(dtype)}"),
    ):
        cx.vjp(cx.activate, x, "other")[1](x)
    with (
        cx.poolings.temporarily("other", lambda w: w.max(-1).astype(dtype)),
        pytest.raises(ValueError, match=f"function of pooling 'other' .* dtype float64, got .*{np.dtype(dtype)}"),
    ):
        cx.pool1d(np.ones((1, 4, 1)), 2, "other")


def test_a_missing_derivative_says_how_to_add_one():
    x = np.ones(2)
    with cx.activations.temporarily("square", np.square):
        assert evaluate(cx.activation("square"), x).tolist() == [1, 1]
        with pytest.raises(ValueError, match=r"'square' .* has no derivative; register it with derivative="):
            pull(cx.activation("square"), x, x, x)
    with (
        cx.activations.temporarily("square", np.square, rowwise=True),
        pytest.raises(ValueError, match=r"'square' .* has no derivative; register it with gradient="),
    ):
        pull(cx.activation("square"), x, x, x)


def test_a_plugin_is_checked_when_it_is_registered():
    with pytest.raises(TypeError, match="derivative of activation 'a' must be callable, got 3"):
        cx.activations.register("a", np.sin, derivative=3)
    with pytest.raises(TypeError, match=r"derivative\(x, y\), but .* takes 1"):
        cx.activations.register("a", np.sin, derivative=lambda x: x)
    with pytest.raises(TypeError, match="requires 'k', which is no parameter of it"):
        cx.activations.register("a", np.sin, derivative=lambda x, y, k: x)
    with pytest.raises(TypeError, match="takes gradient="):
        cx.activations.register("a", np.sin, rowwise=True, derivative=lambda x, y: x)
    with pytest.raises(TypeError, match="only with rowwise=True"):
        cx.activations.register("a", np.sin, output_size=abs)
    assert "a" not in cx.activations


def test_derivatives_take_the_parameters_that_they_name():
    with cx.activations.temporarily(
        "snake", lambda x, a=1.0, b=2.0: a * x + b, derivative=lambda x, y, a: a * (x * 0 + 1)
    ):
        bound = cx.activation("snake", a=3)
        assert pull(bound, np.ones(2), np.ones(2), np.ones(2)).tolist() == [3, 3]


@pytest.mark.parametrize("size", [0, -1, 1.5, None, "2", True, np.zeros(2)], ids=repr)
def test_an_output_size_that_is_none_is_refused(size):
    with cx.activations.temporarily("odd", lambda x: x, rowwise=True, output_size=lambda length: size):
        for call in (
            lambda: cx.activate(np.ones((2, 4)), "odd"),
            lambda: cx.conv1d(np.ones((5, 1)), np.ones((2, 3, 1)), activation="odd"),
            lambda: cx.output_shape(cx.conv1d, (5, 1), (2, 3, 1), activation="odd"),
        ):
            with pytest.raises(ValueError, match="output_size of activation 'odd'"):
                call()


def test_an_exception_in_output_size_names_the_activation():
    def broken(length):
        raise KeyError(length)

    with cx.activations.temporarily("broken", lambda x: x, rowwise=True, output_size=broken):
        for call in (
            lambda: cx.activate(np.ones((2, 4)), "broken"),
            lambda: cx.conv1d(np.ones((5, 1)), np.ones((2, 3, 1)), activation="broken"),
        ):
            with pytest.raises(KeyError) as info:
                call()
            assert any("output_size of the activation 'broken'" in note for note in info.value.__notes__)


@pytest.mark.parametrize("name", ["relu", "tanh", "softmax", "glu"])
def test_a_single_number_has_no_axis(name):
    if name in ("softmax", "glu"):
        with pytest.raises(ValueError, match="axis"):
            cx.activate(np.float64(-1.0), name)
    else:
        for x in (np.float32(-1.0), -2.0, np.array(3.0)):
            y, pullback = cx.vjp(cx.activate, x, name)
            assert y.shape == ()
            assert y == cx.activate(x, name) == cx.activate([x], name)[0]
            assert pullback(1.0)[0].shape == ()


@pytest.mark.parametrize("name", ["softmax", "glu"])
def test_a_number_has_no_axis(name):
    with pytest.raises(ValueError, match=rf"x must have an axis for activation {name}\(\), got the shape \(\)"):
        cx.activate(3.0, name)
