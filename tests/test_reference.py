"""The reference itself: worked examples, NumPy, closed formulas, and its gradients against differences."""

import ast
import inspect
import itertools
import pathlib
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import pyconvx as cx
from pyconvx.pooling import evaluate
from pyconvx.testing import reference
from pyconvx.testing.bounds import reference_mode
from pyconvx.testing.strategies import adaptive_cases, conv_cases, conv_transpose_cases, pad_cases, pool_cases

NAMED = [name for name in reference.REDUCTIONS if name != "median"] + ["median"]


def test_imports_numpy_and_the_standard_library_only():
    """What it says cannot be wrong in the same way as the library."""
    folder = pathlib.Path(inspect.getfile(reference)).parent
    for file in folder.glob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                assert node.level <= 1, f"{file.name} reaches outside of the reference"
                names = [node.module] if node.level == 0 else []
            else:
                continue
            for name in names:
                top = name.split(".")[0]
                assert top == "numpy" or top in sys.stdlib_module_names, f"{file.name} imports {name}"


def test_convolution_by_hand():
    x = np.array([1.0, 2, 3, 4]).reshape(4, 1)
    filters = np.array([1.0, 10]).reshape(1, 2, 1)
    assert reference.conv(x, filters).ravel().tolist() == [21, 32, 43]
    assert reference.conv(x, filters, padding="full").ravel().tolist() == [10, 21, 32, 43, 4]
    assert reference.conv(x, filters, padding="causal", padding_mode="wrap").ravel().tolist() == [14, 21, 32, 43]
    assert reference.conv(x, filters, [100], stride=2, dilation=2).ravel().tolist() == [131]
    assert reference.conv_transpose([[1.0], [2]], filters, stride=2).ravel().tolist() == [1, 10, 2, 20]


def test_pooling_by_hand():
    x = np.array([3.0, 1, 2, 5, 4]).reshape(5, 1)
    for kind, want in {"max": [3, 5, 4], "min": [1, 2, 4], "sum": [4, 7, 4], "avg": [2, 3.5, 4]}.items():
        assert reference.pool(x, 2, kind, rank=1, ceil_mode=True).ravel().tolist() == want
    assert reference.pool(x, 3, "median", rank=1).ravel().tolist() == [2]
    y, indices = reference.pool(x, 2, rank=1, stride=1, return_indices=True)
    assert (y.ravel().tolist(), indices.ravel().tolist()) == ([3, 2, 5, 5], [0, 2, 3, 3])
    assert reference.adaptive_pool(x, 2, "sum", rank=1).ravel().tolist() == [6, 11]
    assert reference.unpool([[7.0], [8]], [[2], [2]], (4,), rank=1).ravel().tolist() == [0, 0, 8, 0]


@given(
    n=st.integers(1, 30),
    kernel=st.integers(1, 5),
    stride=st.integers(1, 5),
    dilation=st.integers(1, 4),
    before=st.integers(0, 9),
    after=st.integers(0, 9),
)
def test_counted_sizes_are_the_formulas(n, kernel, stride, dilation, before, after):
    spare = n + before + after - ((kernel - 1) * dilation + 1)
    if spare < 0:
        return
    arguments = (n, kernel, stride, dilation, before, after)
    assert reference.conv_size(*arguments) == reference.pool_size(*arguments) == spare // stride + 1
    up = -(-spare // stride) + 1
    if spare % stride and (up - 1) * stride >= n + before:
        up -= 1
    assert reference.pool_size(*arguments, ceil_mode=True) == up


@pytest.mark.parametrize("mode", ["edge", "reflect", "symmetric", "wrap"])
@given(case=pad_cases(crop=False, modes=("zeros",)))
def test_pad_is_numpy_pad(mode, case):
    pairs = reference.padding.pad_pairs(case.pad_width, len(case.x.shape))
    if np.lib.NumpyVersion(np.__version__) < "2.0.0" and any(
        max(p) >= n for p, n in zip(pairs, case.x.shape, strict=True)
    ):
        return
    want = np.pad(case.x.plain, pairs, mode=mode)
    np.testing.assert_array_equal(reference.pad(case.x.array, case.pad_width, mode), want, strict=True)


@given(case=conv_cases(dtypes=("float64",), values=("whole",), empty=False))
def test_convolution_is_a_sum_over_positions(case):
    """Every output element on its own, straight from the formula, at one place drawn from the middle."""
    x, filters, bias = case.plain
    options = {**case.options, "padding_mode": reference_mode(case.options["padding_mode"])}
    y = reference.conv(x, filters, bias, **options)
    layout, rank = options["layout"], case.rank
    y = reference.axes.standard(y, rank, layout)[0]
    x = reference.axes.standard(x, rank, layout)[0]
    w = reference.axes.standard_filters(filters, layout)
    stride = reference.axes.per_axis(options["stride"], rank)
    dilation = reference.axes.per_axis(options["dilation"], rank)
    widths = reference.amounts(options["padding"], x.shape[1:-1], w.shape[1:-1], stride, dilation)
    padded = reference.padding.pad_spatial(x, widths, options["padding_mode"])
    at, f = tuple(n // 2 for n in y.shape[:-1]), y.shape[-1] // 2
    channels = w.shape[-1]
    first = f // (w.shape[0] // options["groups"]) * channels
    total = 0.0 if bias is None else bias[f]
    for tap in np.ndindex(*w.shape[1:-1]):
        place = tuple(p * s + t * d for p, s, t, d in zip(at[1:], stride, tap, dilation, strict=True))
        total += sum(padded[(at[0], *place, first + c)] * w[(f, *tap, c)] for c in range(channels))
    assert y[(*at, f)] == total


def differences(forward, arguments, gradients, gy, what=""):
    """Each gradient against a central difference along one random direction; exact arguments are of order 1."""
    random = np.random.default_rng(0)
    for at, gradient in enumerate(gradients):
        step = random.standard_normal(gradient.shape)
        moved = [
            forward(*(a + sign * 1e-6 * step if i == at else a for i, a in enumerate(arguments))) * gy
            for sign in (1, -1)
        ]
        change = (moved[0] - moved[1]).sum() / 2e-6
        size = np.abs(moved[0]).sum() + np.abs(gradient * step).sum() + 1
        assert abs(change - (gradient * step).sum()) <= 1e-7 * size, what


@given(case=conv_cases(dtypes=("float64",), values=("normal",), empty=False))
def test_convolution_gradients(case):
    arguments = [a for a in case.plain if a is not None]
    options = {**case.options, "padding_mode": reference_mode(case.options["padding_mode"])}
    y = reference.conv(*arguments, **options)
    gy = np.random.default_rng(1).standard_normal(y.shape)
    gradients = reference.conv_vjp(*arguments, gy=gy, **options)
    differences(lambda *a: reference.conv(*a, **options), arguments, gradients, gy)


@given(case=conv_transpose_cases(dtypes=("float64",), values=("normal",), empty=False))
def test_transposed_convolution_gradients(case):
    arguments = [a for a in case.plain if a is not None]
    options = {**case.options, "padding_mode": reference_mode(case.options["padding_mode"])}
    y = reference.conv_transpose(*arguments, **options)
    gy = np.random.default_rng(1).standard_normal(y.shape)
    gradients = reference.conv_transpose_vjp(*arguments, gy=gy, **options)
    differences(lambda *a: reference.conv_transpose(*a, **options), arguments, gradients, gy)


@pytest.mark.parametrize("kind", ["sum", "avg"])
@given(case=pool_cases(kinds=("sum",), dtypes=("float64",), values=("normal",), empty=False))
def test_pooling_gradients(kind, case):
    options = {**case.options, "padding_mode": reference_mode(case.options["padding_mode"]), "rank": case.rank}
    x = case.x.plain
    y = reference.pool(x, case.size, kind, **options)
    gy = np.random.default_rng(1).standard_normal(y.shape)
    gx = reference.pool_vjp(x, case.size, kind, gy=gy, **options)
    differences(lambda x: reference.pool(x, case.size, kind, **options), [x], [gx], gy)


@given(case=adaptive_cases(kinds=("max",), dtypes=("float64",), empty=False), seed=st.integers(0, 99))
def test_slopes_of_every_kind(case, seed):
    """On elements that are 0.01 apart, steps of 1e-6 change no order."""
    random = np.random.default_rng(seed)
    x = 0.5 + 0.01 * random.permutation(int(np.prod(case.x.shape))).reshape(case.x.shape)
    options = {**case.options, "rank": case.rank}
    for kind in NAMED:
        y = reference.adaptive_pool(x, case.size, kind, **options)
        if kind == "std" and (y < 1e-9).any():
            continue  # a kink
        gy = random.standard_normal(y.shape)
        gx = reference.adaptive_pool_vjp(x, case.size, kind, gy=gy, **options)
        differences(lambda x, kind=kind: reference.adaptive_pool(x, case.size, kind, **options), [x], [gx], gy, kind)


@pytest.mark.parametrize("name", reference.ACTIVATIONS)
@given(seed=st.integers(0, 99))
def test_derivatives_of_every_activation(name, seed):
    random = np.random.default_rng(seed)
    x = random.standard_normal((3, 8)) * 3
    kinks = np.array([-6, -3, -1, -0.5, 0, 0.5, 1, 3, 6])
    if (np.abs(x[..., np.newaxis] - kinks) < 1e-3).any():
        return
    y = reference.activate(x, name)
    gy = random.standard_normal(y.shape)
    gx = reference.activate_vjp(x, name, gy=gy)
    differences(lambda x: reference.activate(x, name), [x], [gx], gy)


@given(case=pad_cases(dtypes=("float64",), values=("whole",)), seed=st.integers(0, 99))
def test_pad_gradient_is_the_adjoint(case, seed):
    mode = reference_mode(case.mode)
    x = case.x.plain
    y = reference.pad(x, case.pad_width, mode)
    g = np.random.default_rng(seed).integers(-3, 4, y.shape).astype(np.float64)
    constants = reference.pad(np.zeros_like(x), case.pad_width, mode)
    gx = reference.pad_vjp(x, case.pad_width, mode, gy=g)
    assert ((y - constants) * g).sum() == (gx * x).sum()


@pytest.mark.parametrize("kind", NAMED)
@pytest.mark.parametrize("length", [1, 2, 3])
def test_infinities_and_nan_in_every_window(kind, length):
    """The reference and the library, written apart, agree on them."""
    elements = [np.inf, -np.inf, np.nan, 2.0, -1.0]
    w = np.array(list(itertools.product(elements, repeat=length)))
    want = evaluate(cx.pooling(kind), w)
    with np.errstate(all="ignore"):
        got = reference.REDUCTIONS[kind](w)
    np.testing.assert_allclose(got, want, rtol=1e-14)
    assert np.isnan(got[np.isnan(w).any(-1)]).all()


def test_order_and_rectification_of_infinities_and_nan():
    x = np.array([np.nan, -np.inf, np.inf, -1.0, 2.0])
    np.testing.assert_array_equal(reference.activate(x, "relu"), [np.nan, 0, np.inf, 0, 2])
    w = np.array([[np.inf, 0, np.inf, 1], [-np.inf, -np.inf, -np.inf, 0], [1, 2, np.inf, -np.inf], [1, np.nan, 0, 2]])
    np.testing.assert_array_equal(reference.REDUCTIONS["median"](w), [np.inf, -np.inf, 1.5, np.nan])
    np.testing.assert_array_equal(reference.REDUCTIONS["percentile"](w, 100), [np.inf, 0, np.inf, np.nan])
