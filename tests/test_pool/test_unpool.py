"""Unpooling: it equals the definition, and puts back what a pooling took."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from poolings import POOL

import pyconvx as cx
from pyconvx.testing import reference
from pyconvx.testing.strategies import FORMS, LAYOUTS, REALS, drawn, pool_cases

UNPOOL = {1: cx.unpool1d, 2: cx.unpool2d, 3: cx.unpool3d}


@given(data=st.data(), seed=st.integers(0, 99))
def test_unpool_equals_the_reference(data, seed):
    rank = data.draw(st.integers(1, 3))
    layout = data.draw(st.sampled_from(LAYOUTS))
    random = np.random.default_rng(seed)
    y = data.draw(drawn(st.tuples(*[st.integers(1, 4)] * (rank + data.draw(st.integers(1, 2)))), REALS, FORMS))
    shape = data.draw(st.tuples(*[st.integers(1, 5)] * rank))
    indices = random.integers(0, int(np.prod(shape)), y.shape)  # with duplicates
    f = UNPOOL[rank]
    got = f(y.array, indices, shape, layout=layout)
    assert got.dtype == np.dtype(y.dtype)
    np.testing.assert_array_equal(got, reference.unpool(y.plain, indices, shape, rank=rank, layout=layout))
    np.testing.assert_array_equal(f(y.array, indices, got.shape, layout=layout), got)
    if got.dtype.kind == "f":
        _, pullback = cx.vjp(f, y.array, indices, shape, layout=layout)
        gx = random.standard_normal(got.shape).astype(got.dtype)
        want = reference.unpool_vjp(y.plain, indices, shape, gx=gx, rank=rank, layout=layout)
        np.testing.assert_array_equal(pullback(gx)[0], want)


@given(data=st.data())
def test_unpool_puts_maxima_back(data):
    case = data.draw(pool_cases(kinds=("max",), dtypes=("float32",), values=("normal",)))
    case.options.update(padding_mode=None, padding="valid", ceil_mode=False, dilation=1)
    x = case.x.plain
    layout, rank = case.options["layout"], case.rank
    spatial = x.shape[-rank - 1 : -1] if layout == "channels_last" else x.shape[-rank:]
    size = case.size if isinstance(case.size, tuple) else (case.size,) * rank
    if any(n < k for n, k in zip(spatial, size, strict=True)):
        return
    y, indices = POOL[rank](x, case.size, return_indices=True, **case.options)
    back = UNPOOL[rank](y, indices, spatial, layout=layout)
    kept = back != 0
    np.testing.assert_array_equal(back[kept], x[kept])
    assert set(np.unique(y)) - {0} == set(np.unique(back)) - {0}
