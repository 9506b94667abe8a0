"""What holds of every kind without a reference: order, linearity, layouts, samples, threads, NaN, dtypes."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from isas import ISAS, under
from poolings import POOL, largest_window

import pyconvx as cx
from pyconvx.testing import reference
from pyconvx.testing.bounds import assert_within, pooling_error
from pyconvx.testing.strategies import FORMS, REALS, adaptive_cases, kind_names, pool_cases

from .cases import every_kind, leaves_a_window_empty

LINEAR = ("sum", "avg")


@pytest.mark.parametrize("kind", [k for k in kind_names() if not cx.poolings[k].exact])
@settings(max_examples=40)
@given(data=st.data())
def test_other_kinds_promote_integers_and_memory_form_does_not_matter(kind, data):
    case = data.draw(pool_cases(kinds=(kind,), dtypes=REALS, forms=FORMS))
    f = POOL[case.rank]
    y = f(case.x.array, case.size, kind, **case.options, **case.params)
    dtype = np.dtype(case.x.dtype)
    assert y.dtype == (dtype if dtype.kind == "f" else np.result_type(dtype, np.float32))
    np.testing.assert_array_equal(y, f(case.x.plain, case.size, kind, **case.options, **case.params))
    compute = np.float32 if dtype == np.float16 else y.dtype
    wide = f(case.x.plain.astype(compute), case.size, kind, **case.options, **case.params)
    with np.errstate(over="ignore"):
        np.testing.assert_array_equal(y, wide.astype(y.dtype))


@pytest.mark.parametrize("kind", [k for k in kind_names() if k != "stochastic"])
@settings(max_examples=25)
@given(data=st.data(), seed=st.integers(0, 99))
def test_a_permuted_window_has_the_same_pooling(kind, data, seed):
    """Exactly where the kind sorts or compares, else within the rounding of another order."""
    case = data.draw(adaptive_cases(kinds=(kind,), dtypes=("float64",), values=("normal",)))
    x = case.x.plain if case.x.plain.ndim == case.rank + 2 else case.x.plain[np.newaxis]
    spatial = tuple(range(1, case.rank + 1))
    if case.options["layout"] == "channels_first":
        x = np.moveaxis(x, 1, -1)
    flat = x.reshape(x.shape[0], int(np.prod([x.shape[a] for a in spatial])), x.shape[-1])
    mixed = np.random.default_rng(seed).permutation(flat, axis=1)
    one, two = cx.global_pool(flat, kind, **case.params), cx.global_pool(mixed, kind, **case.params)
    bound = pooling_error(kind, largest_window(case), flat.shape[1], np.float64, case.params)
    assert_within(one, two, 2 * bound)


@pytest.mark.parametrize("kind", LINEAR)
@given(data=st.data(), seed=st.integers(0, 99))
def test_adjoint_and_linear(kind, data, seed):
    case = data.draw(pool_cases(kinds=(kind,), dtypes=("float64",), values=("whole",)))
    x = case.x.plain
    f = POOL[case.rank]

    def linear(x):
        zero = f(np.zeros_like(x), case.size, kind, **case.options, **case.params)
        return f(x, case.size, kind, **case.options, **case.params) - zero

    b = np.roll(x, 1)
    tolerance = {"rtol": 1e-12, "atol": 1e-11}  # whole numbers up to 1e3 over divisors: a few roundings
    np.testing.assert_allclose(linear(2 * x - 3 * b), 2 * linear(x) - 3 * linear(b), **tolerance)
    y, pullback = cx.vjp(f, x, case.size, kind, **case.options, **case.params)
    g = np.random.default_rng(seed).integers(-3, 4, y.shape).astype(np.float64)
    left, right = (linear(x) * g).sum(), (x * pullback(g)[0]).sum()
    assert abs(left - right) <= 1e-12 * (np.abs(linear(x) * g).sum() + 1) * max(g.size, 1)


@every_kind
@settings(max_examples=20)
@given(data=st.data())
def test_layouts_and_samples_agree(kind, data):
    case = data.draw(pool_cases(kinds=(kind,), dtypes=("float64",)))
    x, f = case.x.plain, POOL[case.rank]
    first = case.options["layout"] == "channels_first"
    batched = int(x.ndim == case.rank + 2)

    def move(a):
        return np.moveaxis(a, batched, -1) if first else np.moveaxis(a, -1, batched)

    y = f(x, case.size, kind, **case.options, **case.params)
    layout = "channels_last" if first else "channels_first"
    other = f(move(x), case.size, kind, **{**case.options, "layout": layout}, **case.params)
    np.testing.assert_array_equal(move(y), other)
    if not batched:
        np.testing.assert_array_equal(f(x[np.newaxis], case.size, kind, **case.options, **case.params)[0], y)


@every_kind
@settings(max_examples=20)
@given(data=st.data(), threads=st.sampled_from([2, 3]))
def test_threads_do_not_change_a_bit(kind, data, threads):
    case = data.draw(pool_cases(kinds=(kind,), dtypes=("float32",), values=("normal",)))
    results = []
    for n in (1, threads):
        with cx.threads(n):
            y, pullback = cx.vjp(POOL[case.rank], case.x.plain, case.size, kind, **case.options, **case.params)
            results.append((y, *pullback(np.ones_like(y))))
    for one, other in zip(*results, strict=True):
        np.testing.assert_array_equal(one, other)


@every_kind
@settings(max_examples=20)
@given(data=st.data())
def test_nan_reaches_exactly_its_windows(kind, data):
    case = data.draw(pool_cases(kinds=(kind,), dtypes=("float32",), values=("normal",), empty=False))
    case.options["padding_mode"] = None if case.options["padding_mode"] is None else "edge"
    if leaves_a_window_empty(case):
        return
    x = case.x.plain
    at = np.unravel_index(data.draw(st.integers(0, x.size - 1)), x.shape)
    x[at] = np.nan
    seen = np.zeros(x.shape)
    seen[at] = 1
    touched = reference.pool(seen, case.size, "max", rank=case.rank, **case.options) > 0
    for isa in ISAS:
        with under(isa):
            y = POOL[case.rank](x, case.size, kind, **case.options, **case.params)
            np.testing.assert_array_equal(np.isnan(y), touched)
