"""Convolution: equality with the reference, algebra, gradients, inputs of every kind."""

import numpy as np
import pytest
from convolutions import (
    check_a_sample_is_a_batch_of_one,
    check_layouts_agree,
    check_memory_form_changes_no_bit,
    gradients_within_reference,
    referring,
    terms,
    within_reference,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from isas import ISAS, under

import pyconvx as cx
from pyconvx.functional import conv
from pyconvx.testing import reference
from pyconvx.testing.bounds import (
    absolute,
    assert_within,
    compute_dtype,
    gamma,
    roundings,
)
from pyconvx.testing.strategies import FORMS, REALS, Drawn, conv_cases, drawn, mode_names

CONV = {1: cx.conv1d, 2: cx.conv2d, 3: cx.conv3d}


@given(case=conv_cases())
def test_equals_the_reference(case):
    within_reference(case, "auto", "direct", "plain")


@pytest.mark.slow
@settings(max_examples=600)
@given(case=conv_cases())
def test_equals_the_reference_at_length(case):
    within_reference(case, "auto", "direct", "plain")


@given(case=conv_cases(values=("normal", "whole")))
def test_gradients_equal_the_reference(case):
    gradients_within_reference(case)


@pytest.mark.slow
@settings(max_examples=600)
@given(case=conv_cases(values=("normal", "whole")))
def test_gradients_equal_the_reference_at_length(case):
    gradients_within_reference(case)


@given(case=conv_cases(dtypes=("float64",), values=("normal",), empty=False), seed=st.integers(0, 99))
def test_gradients_are_central_differences(case, seed):
    """The map is linear in each argument, so that a central difference has no error but rounding."""
    random = np.random.default_rng(seed)
    arguments = [a for a in case.plain if a is not None]
    function = CONV[case.rank]
    y, pullback = cx.vjp(function, *arguments, **case.options)
    gy = random.standard_normal(y.shape)
    for at, gradient in enumerate(pullback(gy)):
        step = random.standard_normal(arguments[at].shape)
        moved = [
            function(*(a + sign * step if i == at else a for i, a in enumerate(arguments)), **case.options)
            for sign in (1, -1)
        ]
        change, slope = (gy * (moved[0] - moved[1]) / 2), gradient * step
        size = np.abs(gy * moved[0]).sum() + np.abs(gy * moved[1]).sum() + np.abs(slope).sum()
        assert abs(change.sum() - slope.sum()) <= 1e-11 * size + 1e-12


@given(case=conv_cases(dtypes=("float64",), values=("whole",), empty=False))
def test_linear(case):
    """With whole numbers nothing is rounded: conv(2 a - 3 b) is exactly 2 conv(a) - 3 conv(b), for linear padding."""
    options = {**case.options, "padding_mode": "edge"}
    a, filters, _ = case.plain
    b = np.roll(a, 1)
    f = CONV[case.rank]
    np.testing.assert_array_equal(
        f(2 * a - 3 * b, filters, **options), 2 * f(a, filters, **options) - 3 * f(b, filters, **options)
    )


@given(case=conv_cases(dtypes=("float32",), empty=False), shift=st.integers(-5, 5))
def test_wrapped_convolution_commutes_with_a_shift(case, shift):
    """Wrapped "same" padding at stride 1 has no border: shifting is exact up to the order of sums."""
    axis = next(i for i, n in enumerate(case.x.shape) if i >= len(case.x.shape) - case.rank - 1)
    if case.options["layout"] == "channels_first":
        axis = len(case.x.shape) - 1
    options = {**case.options, "padding": "same", "padding_mode": "wrap", "stride": 1}
    x, filters, bias = case.plain
    f = CONV[case.rank]
    one, two = (
        f(np.roll(x, shift, axis), filters, bias, **options),
        np.roll(f(x, filters, bias, **options), shift, axis),
    )
    size = reference.conv(absolute(x), absolute(filters), absolute(bias), **options)
    assert_within(one, two.astype(np.float64), 2 * gamma(terms(case) + 2, np.float32) * np.roll(size, shift, axis))


@given(case=conv_cases())
def test_channels_first_is_channels_last_moved(case):
    check_layouts_agree(CONV[case.rank], case)


@given(case=conv_cases())
def test_a_sample_is_a_batch_of_one(case):
    check_a_sample_is_a_batch_of_one(CONV[case.rank], case)


@given(case=conv_cases(dtypes=("float32",), values=("normal",), empty=False))
def test_samples_do_not_touch_each_other(case):
    x, filters, bias = case.plain
    x = x if x.ndim == case.rank + 2 else x[np.newaxis]
    x = np.concatenate([x, x])
    f = CONV[case.rank]
    together = f(x, filters, bias, **case.options)
    for one, y in zip(x, together, strict=True):
        size = reference.conv(absolute(one), absolute(filters), absolute(bias), **referring(case)[1])
        bound = 2 * gamma(roundings(terms(case), referring(case)[0]["padding_mode"], case.rank), np.float32) * size
        assert_within(y, f(one, filters, bias, **case.options).astype(np.float64), bound)


@given(case=conv_cases(dtypes=REALS, forms=FORMS))
def test_memory_form_does_not_change_a_bit(case):
    f = CONV[case.rank]
    got = check_memory_form_changes_no_bit(f, case)
    if got.dtype.kind == "f":
        results = []
        for arguments in (case.arguments, case.plain):
            y, pullback = cx.vjp(f, *arguments, **case.options)
            results.append(pullback(np.ones_like(y)))
        for one, other in zip(*results, strict=True):
            assert one.dtype == other.dtype
            np.testing.assert_array_equal(one, other)


@given(x=drawn((2, 6, 5, 3), REALS), filters=drawn((4, 3, 2, 3), REALS), bias=st.none() | drawn((4,), REALS))
def test_dtype_rules(x, filters, bias):
    """Integers count as their promotion with float32; the result has np.result_type; float16 computes in float32."""
    arrays = [x.plain, filters.plain] + ([] if bias is None else [bias.plain])
    y = cx.conv2d(*(d.array for d in (x, filters, bias) if d is not None))
    promoted = [a.dtype if a.dtype.kind == "f" else np.result_type(a.dtype, np.float32) for a in arrays]
    assert y.dtype == np.result_type(*promoted)
    dtype = compute_dtype(*promoted)
    wide = [a.astype(dtype) for a in arrays]
    np.testing.assert_array_equal(y, cx.conv2d(*wide).astype(y.dtype))
    _, pullback = cx.vjp(cx.conv2d, *arrays)
    for gradient, array in zip(pullback(np.ones_like(y)), arrays, strict=True):
        assert gradient.dtype == (array.dtype if array.dtype.kind == "f" else dtype)


@settings(max_examples=30)
@given(case=conv_cases(dtypes=("float32",), values=("normal",), empty=False), data=st.data())
def test_a_special_value_reaches_exactly_its_windows(case, data):
    if int(np.prod(case.x.shape)) == 0:
        return
    magnitudes = referring(case)[1]
    x, filters, bias = case.plain
    at = np.unravel_index(data.draw(st.integers(0, x.size - 1)), x.shape)
    seen = np.zeros(x.shape)
    seen[at] = 1
    # where the element takes part: a sum of positive terms is positive there. Weights that cancel do not occur.
    group = {**magnitudes, "padding_mode": _without_constant(magnitudes["padding_mode"])}
    touched = reference.conv(seen, np.ones(filters.shape), **group) > 0
    for special in (np.nan, np.inf, -np.inf):
        x[at] = special
        for isa in ISAS:
            with under(isa):
                for algorithm in ("auto", "direct", "plain"):
                    y = CONV[case.rank](x, filters, bias, **case.options, algorithm=algorithm)
                    np.testing.assert_array_equal(~np.isfinite(y), touched, err_msg=f"{algorithm}, {special}")


def _without_constant(mode):
    if isinstance(mode, tuple) and len(mode) == 2 and isinstance(mode[1], dict):
        return (mode[0], {**mode[1], "value": 0})
    return tuple(_without_constant(one) for one in mode)


@pytest.mark.parametrize("name", cx.activations.names())
@settings(max_examples=15)
@given(case=conv_cases(dtypes=("float32", "float64"), values=("normal",)))
def test_activation_is_the_activation_of_the_convolution(name, case):
    f, layout = CONV[case.rank], case.options["layout"]
    channels = case.filters.shape[0]
    if name == "glu" and channels % 2:
        return
    axis = -1 if layout == "channels_last" else -case.rank - 1
    arguments = case.plain
    z, pull_z = cx.vjp(f, *arguments, **case.options)
    y, pullback = cx.vjp(f, *arguments, **case.options, activation=name)
    rows = np.ascontiguousarray(np.moveaxis(z, axis, -1))
    separate, pull_rows = cx.vjp(cx.activate, rows, name)
    eps = np.finfo(z.dtype).eps
    np.testing.assert_array_equal(y, f(*arguments, **case.options, activation=name))
    np.testing.assert_allclose(np.moveaxis(y, axis, -1), separate, rtol=8 * eps, atol=8 * eps)
    gy = np.random.default_rng(1).standard_normal(separate.shape).astype(z.dtype)
    (grows,) = pull_rows(gy)
    expected = pull_z(np.moveaxis(grows, -1, axis))
    got = pullback(np.moveaxis(gy, -1, axis))
    # gradients are sums of many terms: compare with the size of the sums
    magnitudes = referring(case)[1]
    size = reference.conv_vjp(*map(absolute, arguments), gy=absolute(np.moveaxis(grows, -1, axis)) + 1, **magnitudes)
    for one, other, magnitude in zip(got, expected, size, strict=True):
        assert_within(one, other.astype(np.float64), gamma(500, z.dtype) * magnitude, name)


@pytest.mark.parametrize("name", mode_names())
@given(case=conv_cases(dtypes=("float64",), values=("whole",), empty=False))
def test_padding_inside_is_padding_before(name, case):
    """With whole numbers, exactly: conv(x, padding=p, padding_mode=m) is the valid conv of pad(x, p, m)."""
    x, filters, bias = case.plain
    rank, layout = case.rank, case.options["layout"]
    width = ((2, 5),) * rank
    channels = ((0, 0),)
    full = (*width, *channels) if layout == "channels_last" else (*channels, *width)
    full = full if x.ndim == rank + 1 else (*channels, *full)
    options = {**case.options, "padding": width, "padding_mode": name}
    reach = [
        (k - 1) * d + 1
        for k, d in zip(
            filters.shape[1:-1] if layout == "channels_last" else filters.shape[2:],
            options["dilation"] if isinstance(options["dilation"], tuple) else (options["dilation"],) * rank,
            strict=True,
        )
    ]
    spatial = [n for n, (b, _) in zip(x.shape, full, strict=True) if b]
    if any(n + 7 < r for n, r in zip(spatial, reach, strict=True)):
        return
    before = cx.pad(x, full, name)
    np.testing.assert_array_equal(
        CONV[rank](x, filters, bias, **options),
        CONV[rank](before, filters, bias, **{**options, "padding": "valid"}),
    )


@given(case=conv_cases())
def test_out_and_prepared_filters_give_the_same_bits(case):
    x, filters, bias = case.plain
    f = CONV[case.rank]
    y = f(x, filters, bias, **case.options)
    out = np.full_like(y, 7)
    assert f(x, filters, bias, **case.options, out=out) is out
    np.testing.assert_array_equal(out, y)
    packed = cx.prepare(filters, layout=case.options["layout"])
    np.testing.assert_array_equal(f(x, packed, bias, **case.options), y)


@given(case=conv_cases(dtypes=("float32",), values=("normal",)), threads=st.sampled_from([2, 3]))
def test_threads_do_not_change_a_bit(case, threads):
    f = CONV[case.rank]
    results = []
    for n in (1, threads):
        with cx.threads(n):
            y, pullback = cx.vjp(f, *case.plain, **case.options)
            results.append((y, *pullback(np.ones_like(y))))
    for one, other in zip(*results, strict=True):
        np.testing.assert_array_equal(one, other)


def test_the_tutorial_example():
    x = np.ones((32, 32, 3), np.float32)
    y = cx.conv2d(x, np.ones((6, 5, 5, 3), np.float32), padding="same", activation="relu")
    assert y.shape == (32, 32, 6)
    assert y[16, 16, 0] == 75
    assert y[0, 0, 0] == 27


def test_a_registered_rule_is_a_full_citizen():
    def backwards(i, n):
        return np.where((i >= 0) & (i < n), i, n - 1 - i % n)

    with cx.paddings.temporarily("backwards", backwards):
        x = Drawn((1, 5, 6, 2), "float64").plain
        filters = Drawn((3, 3, 3, 2), "float64", seed=1).plain
        options = {"padding": 4, "padding_mode": "backwards"}
        y, pullback = cx.vjp(cx.conv2d, x, filters, **options)
        told = {"padding": 4, "padding_mode": backwards}
        np.testing.assert_allclose(y, reference.conv(x, filters, **told), rtol=1e-12, atol=1e-12)
        for one, other in zip(pullback(y), reference.conv_vjp(x, filters, gy=y, **told), strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize("activation", [None, "relu", "softmax"])
@pytest.mark.parametrize("algorithm", ["auto", "direct", "bands", "winograd"])
def test_out_with_channels_first_is_filled_where_it_is(monkeypatch, algorithm, activation):
    filled, compute = [], conv.compute

    def computed(problem, algorithm, y):
        filled.append(y)
        return compute(problem, algorithm, y)

    monkeypatch.setattr(conv, "compute", computed)
    rng = np.random.default_rng(5)
    x, filters = rng.standard_normal((2, 16, 9, 11)), rng.standard_normal((24, 16, 3, 3))
    given = dict(padding="same", layout="channels_first", algorithm=algorithm, activation=activation)
    x, filters, bias = (array.astype(np.float32) for array in (x, filters, rng.standard_normal(24)))
    want = cx.conv2d(x, filters, bias, **given)
    out = np.full_like(want, 7)
    assert cx.conv2d(x, filters, bias, out=out, **given) is out
    np.testing.assert_array_equal(out, want)
    assert np.shares_memory(filled[-1], out) == (activation != "softmax")  # which needs all channels of a place
    apart = np.full((2, 24, 9, 22), 7, np.float32)[..., ::2]
    cx.conv2d(x, filters, bias, out=apart, **given)
    np.testing.assert_array_equal(apart, want)
