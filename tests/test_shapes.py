"""Sizes of results: what is returned, what output_shape says, and windows counted one by one."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import pyconvx as cx
from pyconvx.testing import reference
from pyconvx.testing.bounds import reference_mode
from pyconvx.testing.strategies import adaptive_cases, conv_cases, conv_transpose_cases, pad_cases, pool_cases

CONV = {1: cx.conv1d, 2: cx.conv2d, 3: cx.conv3d}
TRANSPOSE = {1: cx.conv_transpose1d, 2: cx.conv_transpose2d, 3: cx.conv_transpose3d}
POOL = {1: cx.pool1d, 2: cx.pool2d, 3: cx.pool3d}
ADAPTIVE = {1: cx.adaptive_pool1d, 2: cx.adaptive_pool2d, 3: cx.adaptive_pool3d}


@given(case=conv_cases())
def test_conv(case):
    x, filters, bias = case.plain
    shapes = (x.shape, filters.shape) if bias is None else (x.shape, filters.shape, bias.shape)
    shape = cx.output_shape(CONV[case.rank], *shapes, **case.options)
    options = {**case.options, "padding_mode": reference_mode(case.options["padding_mode"])}
    assert shape == CONV[case.rank](x, filters, bias, **case.options).shape
    assert shape == reference.conv(x, filters, bias, **options).shape
    assert all(type(n) is int for n in shape)


@given(case=conv_transpose_cases())
def test_conv_transpose(case):
    x, filters, bias = case.plain
    shapes = (x.shape, filters.shape) if bias is None else (x.shape, filters.shape, bias.shape)
    shape = cx.output_shape(TRANSPOSE[case.rank], *shapes, **case.options)
    options = {**case.options, "padding_mode": reference_mode(case.options["padding_mode"])}
    assert shape == TRANSPOSE[case.rank](x, filters, bias, **case.options).shape
    assert shape == reference.conv_transpose(x, filters, bias, **options).shape


@given(case=pool_cases(kinds=("max", "avg")))
def test_pool(case):
    arguments = (case.size, case.kind)
    shape = cx.output_shape(POOL[case.rank], case.x.shape, *arguments, **case.options, **case.params)
    options = {**case.options, "padding_mode": reference_mode(case.options["padding_mode"])}
    assert shape == POOL[case.rank](case.x.plain, *arguments, **case.options, **case.params).shape
    assert shape == reference.pool(case.x.plain, *arguments, rank=case.rank, **options, **case.params).shape


@given(case=adaptive_cases(kinds=("avg",)))
def test_adaptive_pool(case):
    shape = cx.output_shape(ADAPTIVE[case.rank], case.x.shape, case.size, case.kind, **case.options)
    want = reference.adaptive_pool(case.x.plain, case.size, case.kind, rank=case.rank, **case.options)
    assert shape == want.shape
    assert shape == ADAPTIVE[case.rank](case.x.plain, case.size, case.kind, **case.options).shape


@given(case=pad_cases())
def test_pad(case):
    shape = cx.output_shape(cx.pad, case.x.shape, case.pad_width, case.mode)
    assert shape == cx.pad(case.x.plain, case.pad_width, case.mode).shape
    pairs = reference.padding.pad_pairs(case.pad_width, len(case.x.shape))
    assert shape == tuple(n + sum(pair) for n, pair in zip(case.x.shape, pairs, strict=True))


@given(n=st.integers(1, 40), kernel=st.integers(1, 7), stride=st.integers(1, 9), dilation=st.integers(1, 4))
def test_same_gives_n_over_s_rounded_up(n, kernel, stride, dilation):
    options = {"stride": stride, "dilation": dilation}
    for padding in ("same", "same_lower"):
        shape = cx.output_shape(cx.conv1d, (n, 1), (1, kernel, 1), padding=padding, **options)
        assert shape == (-(-n // stride), 1)
        shape = cx.output_shape(cx.conv_transpose1d, (n, 1), (1, kernel, 1), padding=padding, **options)
        assert shape == (n * stride, 1)


@given(
    n=st.integers(1, 30),
    layers=st.lists(st.tuples(st.integers(1, 4), st.integers(1, 3), st.integers(1, 3)), min_size=1, max_size=3),
)
def test_receptive_field_is_what_a_gradient_sees(n, layers):
    """An output of a stack of all-ones convolutions depends on exactly the elements of its receptive field."""
    field = cx.receptive_field([{"kernel_size": k, "stride": s, "dilation": d} for k, s, d in layers])
    x = np.zeros((field.size + field.stride + n, 1))
    pullbacks, y = [], x
    for k, s, d in layers:
        y, pullback = cx.vjp(cx.conv1d, y, np.ones((1, k, 1)), stride=s, dilation=d)
        pullbacks.append(pullback)
    seen = []
    for output in (0, 1):
        g = np.zeros_like(y)
        g[output] = 1
        for pullback in reversed(pullbacks):
            g = pullback(g)[0]
        seen.append(np.flatnonzero(g))
    assert seen[0][-1] - seen[0][0] + 1 == field.size
    assert seen[0][0] == field.start
    assert seen[1][0] - seen[0][0] == field.stride


def test_receptive_field_per_axis():
    field = cx.receptive_field([{"kernel_size": (3, 5), "padding": (1, 2)}, (2, 2)])
    assert (field.size, field.stride, field.start) == ((4, 6), (2, 2), (-1, -2))


@pytest.mark.parametrize("n", range(1, 9))
@pytest.mark.parametrize("stride", [1, 2, 3])
@pytest.mark.parametrize("before", [0, 1])
@pytest.mark.parametrize("after", [0, 1])
def test_ceil_mode_covers_every_element(n, stride, before, after):
    """Every element is in a window wherever windows leave no gap, and no window starts behind the elements."""
    size = 3
    if n + before + after < size:
        return
    y, pullback = cx.vjp(
        cx.pool1d, np.ones((n, 1)), size, "sum", stride=stride, padding=((before, after),), ceil_mode=True
    )
    (gx,) = pullback(np.ones_like(y))
    assert (gx > 0).all()
    assert (y > 0).all()
    want = reference.pool_size(n, size, stride, 1, before, after, ceil_mode=True)
    assert len(y) == want


def test_an_adaptive_pooling_too_large_for_its_tables_raises():
    with pytest.raises(MemoryError, match="2147483648 windows"):
        cx.adaptive_pool1d(np.ones((1, 8, 1), np.float32), 2**31)
