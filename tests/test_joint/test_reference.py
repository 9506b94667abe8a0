"""Every operation equals the definition under joint modes, and wrap written jointly is wrap."""

import numpy as np
import pytest
from convolutions import within_reference
from hypothesis import given, settings
from hypothesis import strategies as st

import pyconvx as cx
from pyconvx.testing import reference
from pyconvx.testing.bounds import as_reduction, reference_mode
from pyconvx.testing.strategies import conv_cases, joint_pad_cases, pool_cases

from .modes import every_mode, mode, with_mode

RNG = np.random.default_rng(0)
CONV = {1: cx.conv1d, 2: cx.conv2d, 3: cx.conv3d}
TRANSPOSE = {1: cx.conv_transpose1d, 2: cx.conv_transpose2d, 3: cx.conv_transpose3d}
POOL = {1: cx.pool1d, 2: cx.pool2d, 3: cx.pool3d}


@every_mode
@settings(max_examples=30)
@given(data=st.data())
def test_pad_equals_the_reference(name, params, data):
    case = data.draw(joint_pad_cases(mode(name, **params)))
    x = case.x.plain
    by = reference_mode(case.mode)
    if isinstance(case.mode, str):  # bool, which has no weights
        return
    try:
        want = reference.pad(x, case.pad_width, by)
    except ValueError:
        try:
            assert cx.pad(x, case.pad_width, case.mode).size == 0  # for which the rule is not asked
        except ValueError as error:
            assert "longitudes" in str(error)  # noqa: PT017
        return
    if x.dtype.kind in "biu" and params.get("value") == 1.5:
        with pytest.raises(ValueError, match="does not fit"):
            cx.pad(x, case.pad_width, case.mode)
        return
    y, pullback = cx.vjp(cx.pad, x, case.pad_width, case.mode)
    np.testing.assert_array_equal(y, want, strict=True)
    gy = np.random.default_rng(1).integers(-4, 5, y.shape).astype(np.float32)
    np.testing.assert_array_equal(pullback(gy)[0], reference.pad_vjp(x, case.pad_width, by, gy=gy))


@every_mode
@settings(max_examples=30)
@given(case=conv_cases(ranks=(2,), modes=False))
def test_convolution_equals_the_reference(name, params, case):
    case = with_mode(case, name, params)
    if 0 in case.x.shape[1:]:
        return
    within_reference(case, "auto")


@every_mode
@settings(max_examples=40)
@given(case=conv_cases(dtypes=("float64",), values=("whole",), ranks=(2,), modes=False, empty=False))
def test_convolution_and_its_transpose_are_adjoint(name, params, case):
    """Gradients, the transposed convolution and its gradients, exactly, as whole numbers are not rounded."""
    case = with_mode(case, name, params)
    x, filters, _ = case.plain
    f, transpose, options = CONV[2], TRANSPOSE[2], dict(case.options)
    y, pullback = cx.vjp(f, x, filters, **options)
    y = y - f(np.zeros_like(x), filters, **options)  # without the constant
    g = np.random.default_rng(2).integers(-3, 4, y.shape).astype(np.float64)
    gx, gfilters = pullback(g)
    assert (y * g).sum() == (x * gx).sum()
    by = {**options, "padding_mode": reference_mode(options["padding_mode"])}
    for got, want in zip((gx, gfilters), reference.conv_vjp(x, filters, gy=g, **by), strict=True):
        np.testing.assert_array_equal(got, want)
    spatial = slice(-3, -1) if options["layout"] == "channels_last" else slice(-2, None)
    if options["stride"] == 1:
        kernel = filters.shape[1:3] if options["layout"] == "channels_last" else filters.shape[2:]
        pairs = reference.amounts(options["padding"], x.shape[spatial], kernel, (1, 1), _two(options["dilation"]))
        bias = np.arange(x.shape[-1 if options["layout"] == "channels_last" else -3]) + 1.0
        options["padding"] = tuple(pairs)
        back, pullback = cx.vjp(transpose, g, filters, bias, activation="relu", **options)
        first = options["layout"] == "channels_first"
        np.testing.assert_array_equal(back, np.maximum(gx + (bias[:, None, None] if first else bias), 0))
        np.testing.assert_array_equal(back, transpose(g, filters, bias, activation="relu", **options))
        by["padding"] = tuple(pairs)
        gback = np.random.default_rng(3).integers(-3, 4, back.shape).astype(np.float64)
        wants = reference.conv_transpose_vjp(g, filters, bias, gy=gback, activation="relu", **by)
        for got, want in zip(pullback(gback), wants, strict=True):
            np.testing.assert_array_equal(got, want)


def _two(value):
    return value if isinstance(value, tuple) else (value, value)


@every_mode
@pytest.mark.parametrize(
    "kind", ["max", "min", "avg", "sum", "lp", "median", "logsumexp", "std", "mixed", "stochastic"]
)
@settings(max_examples=8)
@given(data=st.data())
def test_pooling_equals_the_reference(name, params, kind, data):
    case = with_mode(data.draw(pool_cases(kinds=(kind,), dtypes=("float64",), ranks=(2,), empty=False)), name, params)
    x = case.x.plain
    options = {**case.options, **case.params}
    y, pullback = cx.vjp(POOL[2], x, case.size, kind, **options)
    kind, more = as_reduction(cx.pooling(kind, **case.params))
    by = {**case.options, **more, "padding_mode": reference_mode(options["padding_mode"]), "rank": 2}
    np.testing.assert_allclose(y, reference.pool(x, case.size, kind, **by), rtol=1e-9, atol=1e-9)
    gy = np.random.default_rng(4).standard_normal(y.shape)
    want = reference.pool_vjp(x, case.size, kind, gy=gy, **by)
    usual = np.isfinite(want)  # the slope of a root at 0
    np.testing.assert_allclose(pullback(gy)[0][usual], want[usual], rtol=1e-7, atol=1e-7)


@settings(max_examples=40)
@given(case=pool_cases(kinds=("max", "min"), dtypes=("float32", "int16"), ranks=(2,), empty=False))
def test_indices_are_those_in_x(case):
    case = with_mode(case, "globe", {})
    x = case.x.plain
    options = {**case.options, "return_indices": True}
    got = cx.pool2d(x, case.size, case.kind, **options)
    by = {**options, "padding_mode": "globe", "rank": 2}
    for one, other in zip(got, reference.pool(x, case.size, case.kind, **by), strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", "uint8", "int64", "bool"])
@pytest.mark.parametrize("layout", ["channels_last", "channels_first"])
@pytest.mark.parametrize("rank", [1, 2, 3])
def test_wrap_written_jointly_is_wrap(rank, layout, dtype):
    x = (RNG.standard_normal((2, *(5, 4, 6)[:rank], 3)) * 20).astype(dtype)
    x = np.moveaxis(x, -1, 1) if layout == "channels_first" else x
    axes = range(1, rank + 1) if layout == "channels_last" else range(2, rank + 2)
    width = {axis: (3, 9) for axis in axes}
    y, wanted = cx.pad(x, width, "test:wrapped"), cx.pad(x, width, "wrap")
    np.testing.assert_array_equal(y, wanted, strict=True)
    assert y.flags.c_contiguous
    options = dict(padding=2, layout=layout, stride=2, ceil_mode=True)
    both = (cx.vjp(POOL[rank], x, 3, "max", padding_mode=m, **options) for m in ("test:wrapped", "wrap"))
    (y, pullback), (wanted, other) = both
    np.testing.assert_array_equal(y, wanted, strict=True)
    gy = RNG.integers(-3, 4, y.shape).astype(np.float32)
    np.testing.assert_array_equal(pullback(gy)[0], other(gy)[0], strict=True)
    filters = RNG.integers(-3, 4, (4, *(3,) * rank, 3)).astype("float32" if dtype != "float64" else dtype)
    filters = np.moveaxis(filters, -1, 1) if layout == "channels_first" else filters
    x = RNG.integers(-9 if dtype not in ("uint8", "bool") else 0, 9, x.shape).astype(dtype)  # sums that are not rounded
    options = dict(padding="same", layout=layout, dilation=2, activation="relu")
    both = (
        cx.vjp(CONV[rank], x, filters, np.ones(4, "f"), padding_mode=m, **options) for m in ("test:wrapped", "wrap")
    )
    (y, pullback), (wanted, other) = both
    np.testing.assert_array_equal(y, wanted, strict=True)
    gy = RNG.integers(-3, 4, y.shape).astype(np.float32)
    for got, want in zip(pullback(gy), other(gy), strict=True):
        np.testing.assert_array_equal(got, want, strict=True)
