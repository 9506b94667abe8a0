"""Pooling and unpooling: every registered kind against the reference, gradients, indices, ties, NaN."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from poolings import POOL, largest_window, told, value_within_reference, well_conditioned

import pyconvx as cx
from pyconvx import _core
from pyconvx.pooling import evaluate, slopes
from pyconvx.testing import reference
from pyconvx.testing.bounds import as_reduction, assert_within, gamma, pooling_error, reference_mode
from pyconvx.testing.strategies import (
    FORMS,
    LAYOUTS,
    REALS,
    Drawn,
    adaptive_cases,
    drawn,
    kind_names,
    pool_cases,
)

ADAPTIVE = {1: cx.adaptive_pool1d, 2: cx.adaptive_pool2d, 3: cx.adaptive_pool3d}
UNPOOL = {1: cx.unpool1d, 2: cx.unpool2d, 3: cx.unpool3d}
LINEAR = ("sum", "avg")
every_isa = pytest.mark.parametrize("isa", _core.supported())
every_kind = pytest.mark.parametrize("kind", kind_names())


def gradient_within_reference(case, seed):
    kind, options = told(case)
    x = well_conditioned(case)
    arguments = (case.size, case.kind)
    y, pullback = cx.vjp(POOL[case.rank], x, *arguments, **case.options, **case.params)
    np.testing.assert_array_equal(y, POOL[case.rank](x, *arguments, **case.options, **case.params))
    gy = np.random.default_rng(seed).standard_normal(y.shape)
    (gx,) = pullback(gy)
    want = reference.pool_vjp(x, case.size, kind, gy=gy, rank=case.rank, **options)
    assert gx.shape == x.shape
    # float64 slopes of order 1 to 100 on well separated elements: 1e-9 is far above rounding, far below a mistake
    np.testing.assert_allclose(gx, want, rtol=1e-9, atol=1e-9 * max(1, np.abs(gy).sum()))
    np.testing.assert_array_equal(gx, pullback(gy)[0])


@every_isa
@every_kind
@settings(max_examples=25)
@given(data=st.data())
def test_equals_the_reference(isa, kind, data):
    case = data.draw(pool_cases(kinds=(kind,)))
    with _core.using(isa):
        value_within_reference(case)


@every_kind
@settings(max_examples=25)
@given(data=st.data(), seed=st.integers(0, 99))
def test_gradient_equals_the_reference(kind, data, seed):
    gradient_within_reference(data.draw(pool_cases(kinds=(kind,))), seed)


@pytest.mark.slow
@every_isa
@every_kind
@settings(max_examples=400)
@given(data=st.data(), seed=st.integers(0, 99))
def test_equals_the_reference_at_length(isa, kind, data, seed):
    case = data.draw(pool_cases(kinds=(kind,)))
    with _core.using(isa):
        value_within_reference(case)
        gradient_within_reference(case, seed)


@every_isa
@pytest.mark.parametrize("kind", ["max", "min", "avg", "sum"])
@given(data=st.data())
def test_float32_gradient_of_compiled_kinds(isa, kind, data):
    case = data.draw(pool_cases(kinds=(kind,), dtypes=("float32",), values=("normal", "whole")))
    reference_kind, options = told(case)
    x = case.x.plain
    if "odd" in str(case.options["padding_mode"]) and kind in ("max", "min"):
        return  # rounding decides between elements that the exact sums do not tell apart
    with _core.using(isa):
        y, pullback = cx.vjp(POOL[case.rank], x, case.size, kind, **case.options, **case.params)
        gy = np.random.default_rng(1).integers(-4, 5, y.shape).astype(np.float32)
        (gx,) = pullback(gy)
    want = reference.pool_vjp(x, case.size, reference_kind, gy=gy, rank=case.rank, **options)
    assert gx.dtype == np.float32
    if kind in ("max", "min"):  # whole numbers: exact, wherever ties go
        np.testing.assert_array_equal(gx, want)
    else:
        assert_within(gx, want, gamma(200, np.float32) * (np.abs(gy).sum() + 1) * 2 * 3**case.rank, kind)


@every_kind
@settings(max_examples=25)
@given(data=st.data(), seed=st.integers(0, 99))
def test_adaptive_equals_the_reference(kind, data, seed):
    case = data.draw(adaptive_cases(kinds=(kind,)))
    reduction, keywords = as_reduction(cx.pooling(case.kind, **case.params))
    x = case.x.plain if kind != "stochastic" else well_conditioned(case)
    f, options = ADAPTIVE[case.rank], {**case.options, **case.params}
    got = f(x, case.size, kind, **options)
    want = reference.adaptive_pool(x, case.size, reduction, rank=case.rank, **case.options, **keywords)
    terms = int(np.prod(x.shape)) + 1
    assert_within(
        got, np.asarray(want, np.float64), pooling_error(kind, largest_window(case), terms, x.dtype, case.params)
    )
    x = well_conditioned(case)
    y, pullback = cx.vjp(f, x, case.size, kind, **options)
    gy = np.random.default_rng(seed).standard_normal(y.shape)
    want = reference.adaptive_pool_vjp(x, case.size, reduction, gy=gy, rank=case.rank, **case.options, **keywords)
    np.testing.assert_allclose(pullback(gy)[0], want, rtol=1e-9, atol=1e-9)


@every_kind
@settings(max_examples=20)
@given(data=st.data(), keepdims=st.booleans(), layout=st.sampled_from(LAYOUTS), rank=st.integers(1, 3))
def test_global_equals_the_reference(kind, data, keepdims, layout, rank):
    shape = data.draw(st.tuples(*[st.integers(1, 5)] * (rank + 2)))
    x = data.draw(drawn(shape, ("float64",), ("plain",), ("normal",))).plain
    reduction, keywords = as_reduction(cx.pooling(kind))
    options = {"layout": layout, "keepdims": keepdims}
    y, pullback = cx.vjp(cx.global_pool, x, kind, **options)
    np.testing.assert_array_equal(y, cx.global_pool(x, kind, **options))
    np.testing.assert_allclose(y, reference.global_pool(x, reduction, **options, **keywords), rtol=1e-11, atol=1e-11)
    gy = np.random.default_rng(1).standard_normal(y.shape)
    want = reference.global_pool_vjp(x, reduction, gy=gy, **options, **keywords)
    np.testing.assert_allclose(pullback(gy)[0], want, rtol=1e-9, atol=1e-9)


@every_kind
@settings(max_examples=20)
@given(data=st.data(), seed=st.integers(0, 99))
def test_gradient_is_a_central_difference(kind, data, seed):
    """Elements are at least 0.01 apart, so that steps of 1e-6 change no order; the error is of the order of 1e-10."""
    if kind == "stochastic":
        return  # which element is picked depends on all of them, and does not follow the gradient
    case = data.draw(pool_cases(kinds=(kind,), empty=False))
    case.options["padding_mode"] = None if "odd" in str(case.options["padding_mode"]) else case.options["padding_mode"]
    if _leaves_a_window_empty(case) or case.params.get("p", 2) < 1.5:
        return
    random = np.random.default_rng(seed)
    x = random.permutation(int(np.prod(case.x.shape))).reshape(case.x.shape) * 0.01 + 0.5

    def f(x):
        return POOL[case.rank](x, case.size, kind, **case.options, **case.params)

    y, pullback = cx.vjp(POOL[case.rank], x, case.size, kind, **case.options, **case.params)
    gy, step, h = random.standard_normal(y.shape), random.standard_normal(x.shape), 1e-6
    if kind == "std" and (y < 1e-6).any():
        return  # the norm of the deviations has a kink at 0
    slope = pullback(gy)[0] * step
    change = (f(x + h * step) - f(x - h * step)) / (2 * h) * gy
    size = np.abs(slope).sum() + np.abs(gy).sum() * np.abs(x).max()
    assert abs(change.sum() - slope.sum()) <= 1e-6 * size


def _leaves_a_window_empty(case):
    if case.options["padding_mode"] is not None:
        return False
    shape = (
        case.x.shape[-case.rank - 1 : -1] if case.options["layout"] == "channels_last" else case.x.shape[-case.rank :]
    )
    options = {k: v for k, v in case.options.items() if k not in ("padding_mode", "layout")}
    windows = reference.sliding(shape, case.size, **options)
    return windows.empty()


@every_isa
@pytest.mark.parametrize("kind", ["max", "min"])
@given(data=st.data())
def test_indices_say_where_the_extremum_is(isa, kind, data):
    """Equal to the reference with many ties, and they find the value again."""
    case = data.draw(pool_cases(kinds=(kind,), dtypes=REALS, values=("whole",)))
    options = dict(case.options)
    if options["padding_mode"] is not None:
        options["padding_mode"] = "reflect"
    x = case.x.plain
    want_y, want = reference.pool(x, case.size, kind, rank=case.rank, return_indices=True, **options)
    with _core.using(isa):
        y, indices = POOL[case.rank](x, case.size, kind, return_indices=True, **options)
        same = POOL[case.rank](x, case.size, kind, **options)
        (again, _), pullback = cx.vjp(POOL[case.rank], x, case.size, kind, return_indices=True, **options)
    assert indices.dtype == np.intp
    assert y.dtype == x.dtype
    np.testing.assert_array_equal(y, want_y)
    np.testing.assert_array_equal(indices, want)
    np.testing.assert_array_equal(same, y)
    np.testing.assert_array_equal(again, y)
    gy = np.ones(y.shape, y.dtype if y.dtype.kind == "f" else np.float64)
    mode = options["padding_mode"]
    expected = reference.pool_vjp(x, case.size, kind, gy=gy, rank=case.rank, **{**options, "padding_mode": mode})
    np.testing.assert_array_equal(pullback(gy)[0], expected)


@pytest.mark.parametrize("kind", ["max", "min"])
@given(data=st.data())
def test_exact_kinds_keep_every_dtype(kind, data):
    case = data.draw(pool_cases(kinds=(kind,), dtypes=REALS, forms=FORMS))
    if "odd" in str(case.options["padding_mode"]) or "constant" in str(case.options["padding_mode"]):
        case.options["padding_mode"] = "edge"
    _, options = told(case)
    y = POOL[case.rank](case.x.array, case.size, kind, **case.options)
    assert y.dtype == np.dtype(case.x.dtype)
    np.testing.assert_array_equal(y, reference.pool(case.x.plain, case.size, kind, rank=case.rank, **options))


@pytest.mark.parametrize("dtype", ["int64", "uint64", "int32", "uint8", "bool", "float16"])
def test_extreme_integers_are_not_rounded(dtype):
    info = np.iinfo(dtype) if np.dtype(dtype).kind in "iu" else None
    low, high = (info.min, info.max) if info else (0, 1)
    x = np.array([low, high - 1 if info else high, high, low], dtype).reshape(1, 4, 1)
    assert cx.pool1d(x, 4, "max")[0, 0, 0] == high
    assert cx.pool1d(x, 4, "min")[0, 0, 0] == low
    if info:
        assert cx.pool1d(x[:, :2], 2, "max")[0, 0, 0] == high - 1


@pytest.mark.parametrize("kind", [k for k in kind_names() if not cx.poolings[k].exact])
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


@every_isa
@every_kind
@settings(max_examples=20)
@given(data=st.data())
def test_nan_reaches_exactly_its_windows(isa, kind, data):
    case = data.draw(pool_cases(kinds=(kind,), dtypes=("float32",), values=("normal",), empty=False))
    case.options["padding_mode"] = None if case.options["padding_mode"] is None else "edge"
    if _leaves_a_window_empty(case):
        return
    x = case.x.plain
    at = np.unravel_index(data.draw(st.integers(0, x.size - 1)), x.shape)
    x[at] = np.nan
    seen = np.zeros(x.shape)
    seen[at] = 1
    touched = reference.pool(seen, case.size, "max", rank=case.rank, **case.options) > 0
    with _core.using(isa):
        y = POOL[case.rank](x, case.size, kind, **case.options, **case.params)
    np.testing.assert_array_equal(np.isnan(y), touched)


@every_isa
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("kind", ["max", "min"])
def test_ties_nan_and_infinities(isa, kind, dtype):
    sign = 1 if kind == "max" else -1
    inf, nan = sign * np.inf, np.nan
    windows = {
        (3, 3, 1): (3, 0),
        (1, 3, 3): (3, 1),
        (0.0, -0.0, -1): (0.0, 0),
        (1, nan, 5): (nan, 1),
        (nan, 2, nan): (nan, 0),
        (-inf, -inf, -inf): (-inf, 0),
        (-inf, 2, inf): (inf, 2),
        (inf, inf, nan): (nan, 2),
    }
    for window, (value, index) in windows.items():
        x = np.array([v if v in (inf, -inf) else sign * v for v in window], dtype).reshape(1, 3, 1)
        x = np.repeat(x, 20, axis=2)  # enough channels for every width of vector, and a rest
        with _core.using(isa):
            y, indices = cx.pool1d(x, 3, kind, return_indices=True)
        expected = value if value in (inf, -inf) else sign * value
        np.testing.assert_array_equal(y, np.full((1, 1, 20), expected, dtype), err_msg=str(window))
        np.testing.assert_array_equal(indices, np.full((1, 1, 20), index), err_msg=str(window))


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


@given(seed=st.integers(0, 999))
def test_stochastic_picks_an_element_and_follows_its_seed(seed):
    x = np.abs(Drawn((2, 9, 8, 3), "float64", seed=seed).plain)
    y = cx.pool2d(x, 2, "stochastic", seed=seed)
    windows = np.lib.stride_tricks.sliding_window_view(x, (2, 2), (1, 2))[:, ::2, ::2].reshape(*y.shape, 4)
    assert (windows == y[..., np.newaxis]).any(-1).all()
    np.testing.assert_array_equal(y, cx.pool2d(x, 2, "stochastic", seed=seed))
    assert (y != cx.pool2d(x, 2, "stochastic", seed=seed + 1)).any()
    x[...] = 0
    x[:, ::2, ::2] = 1  # the only one with a probability
    assert (cx.pool2d(x, 2, "stochastic", seed=seed) == 1).all()


def test_stochastic_picks_in_proportion():
    x = np.tile(np.array([1.0, 3.0, -5.0, 4.0]), 20000).reshape(1, -1, 1)
    picks = cx.pool1d(x, 4, "stochastic", seed=3)
    values, counts = np.unique(picks, return_counts=True)
    np.testing.assert_array_equal(values, [1, 3, 4])
    # binomial with 20000 draws: the standard deviation of a share is below 0.0036; five of them
    np.testing.assert_allclose(counts / 20000, [1 / 8, 3 / 8, 1 / 2], atol=0.018)


def test_a_registered_reduction_is_a_full_citizen():
    def spread(w, scale=1.0):
        return scale * (w.max(-1) - w.min(-1))

    def slope(w, y, scale):
        steps = np.arange(w.shape[-1])
        high, low = steps == w.argmax(-1)[..., np.newaxis], steps == w.argmin(-1)[..., np.newaxis]
        return scale * (high.astype(w.dtype) - low)

    with cx.poolings.temporarily("spread", spread, gradient=slope):
        x = Drawn((2, 7, 6, 3), "float64").plain
        y, pullback = cx.vjp(cx.pool2d, x, 3, "spread", stride=2, padding="same", scale=2.0)
        keywords = {"rank": 2, "stride": 2, "padding": "same", "slopes": slope, "scale": 2.0}
        np.testing.assert_array_equal(y, reference.pool(x, 3, spread, **keywords))
        want = reference.pool_vjp(x, 3, spread, gy=y, **keywords)
        np.testing.assert_allclose(pullback(y)[0], want, rtol=1e-14, atol=1e-14)  # overlapping windows: another order
        adaptive = reference.adaptive_pool(x, 4, spread, rank=2)
        np.testing.assert_array_equal(cx.adaptive_pool2d(x, 4, "spread"), adaptive)
        np.testing.assert_array_equal(cx.global_pool(x, "spread"), reference.global_pool(x, spread))


def test_pooling_of_a_known_map():
    x = np.arange(16, dtype=np.float32).reshape(4, 4, 1)
    y, indices = cx.pool2d(x, 2, return_indices=True)
    assert y[..., 0].tolist() == [[5, 7], [13, 15]]
    assert indices[..., 0].tolist() == [[5, 7], [13, 15]]
    assert cx.pool2d(x, 2, "avg")[..., 0].tolist() == [[2.5, 4.5], [10.5, 12.5]]
    assert cx.pool1d(x[0], 3, "avg", stride=1, padding=1, count_include_pad=True)[0, 0] == np.float32(1) / np.float32(3)
    assert cx.pool1d(x[0], 3, "avg", stride=1, padding=1)[0, 0] == 0.5
    assert cx.pool1d(x[0], 3, "avg", stride=1, padding=1, divisor=2)[1, 0] == 1.5


@pytest.mark.parametrize("dtype", [np.int64, np.uint64])
@pytest.mark.parametrize("kind", ["max", "min"])
def test_integers_that_no_float_tells_apart(kind, dtype):
    big = np.iinfo(dtype).max
    x = np.array([[big - 1], [big], [2**53], [2**53 + 1]], dtype)
    y, pullback = cx.vjp(cx.pool1d, x, 2, kind)
    assert y.dtype == dtype
    assert np.array_equal(y, cx.pool1d(x, 2, kind))
    (gx,) = pullback(np.array([[3.0], [5.0]]))
    assert gx.ravel().tolist() == ([0, 3, 0, 5] if kind == "max" else [3, 0, 5, 0])


def test_the_mean_of_a_large_window_is_as_good_as_numpys():
    x = np.full((1, 1000, 1000, 1), 0.7, np.float32)
    assert abs(float(cx.global_pool(x, "avg")[0, 0]) - float(np.float32(0.7))) < 1e-6
    assert abs(float(cx.pool2d(x, 1000, "sum").item()) / 7e5 - 1) < 1e-6


@pytest.mark.parametrize("divisor", [1e-50, 2.0**-140])
def test_a_divisor_that_float32_cannot_hold_is_refused(divisor):
    with pytest.raises(ValueError, match="divisor"):
        cx.pool1d(np.zeros((4, 1), np.float32), 2, "avg", divisor=divisor)


@every_isa
@pytest.mark.parametrize("kind", ["max", "min"])
@given(data=st.data())
def test_the_gradient_of_an_extremum_goes_where_the_exact_winner_came_from(isa, kind, data):
    """The result has the bits of the plain call, in any dtype and mode: weighted modes wrap around in integers."""
    dtypes = [dtype for dtype in REALS if dtype != "float16"]  # weighted modes compute it in float32
    case = data.draw(pool_cases(kinds=(kind,), dtypes=dtypes, values=("whole",)))
    if np.dtype(case.x.dtype).kind != "f" and "constant" in str(case.options["padding_mode"]):
        case.options["padding_mode"] = "odd_symmetric" if case.x.dtype != "bool" else "edge"
    x = case.x.plain
    _, options = told(case)
    with _core.using(isa):
        y, pullback = cx.vjp(POOL[case.rank], x, case.size, kind, **case.options)
        np.testing.assert_array_equal(y, POOL[case.rank](x, case.size, kind, **case.options), strict=True)
        gy = np.random.default_rng(1).integers(-4, 5, y.shape).astype(np.float64)
        (gx,) = pullback(gy)
    np.testing.assert_array_equal(y, reference.pool(x, case.size, kind, rank=case.rank, **options))
    want = reference.pool_vjp(x, case.size, kind, gy=gy, rank=case.rank, **options)
    np.testing.assert_array_equal(gx, want)  # whole numbers: exact


def test_a_weighted_sum_that_wraps_around_wins_as_it_is():
    """200, 2 * 200 - 50 = 350, which is 94 in uint8: the winner is 200 itself."""
    x = np.array([[200], [50]], np.uint8)
    y, pullback = cx.vjp(cx.pool1d, x, 2, padding=((1, 0),), padding_mode="odd_reflect", stride=2)
    assert y.ravel().tolist() == [200]
    assert pullback(np.ones((1, 1)))[0].ravel().tolist() == [1, 0]
    y, pullback = cx.vjp(cx.pool1d, x, 2, "min", padding=((1, 0),), padding_mode="odd_reflect", stride=2)
    assert y.ravel().tolist() == [94]
    assert pullback(np.ones((1, 1)))[0].ravel().tolist() == [2, -1]


@pytest.mark.parametrize("kind", ["min", "avg", "softmax", "mixed"])
@pytest.mark.parametrize(
    ("shape", "size", "options"),
    [
        ((1, 60, 50, 70), 3, {"stride": 1}),
        ((1, 60, 50, 70), 3, {"stride": 2, "padding": "same", "padding_mode": "wrap"}),
        ((1, 64, 40, 30), 4, {"stride": 1, "padding": 5, "padding_mode": "odd_reflect"}),
        ((1, 64, 40, 40), 5, {"stride": 1, "padding": "full", "padding_mode": ("edge", "constant"), "dilation": 2}),
        ((1, 3000, 1), 700, {"stride": 1, "padding": "same"}),
        ((1, 3000, 1), 700, {"stride": 1, "padding": "full", "padding_mode": "reflect", "dilation": 2}),
        ((1, 500, 300), 9, {"stride": 1, "padding": "same", "padding_mode": "symmetric"}),
        ((2, 1, 2, 3000, 3), 40, {"stride": 1, "padding": "same", "padding_mode": "wrap"}),
    ],
)
def test_bands_of_a_gradient_do_not_change_a_bit(kind, shape, size, options):
    """Long enough for many blocks in one sample, of which each owns a band of the first axis that has a length."""
    rank = len(shape) - 2
    size = (1, 1, size) if rank == 3 else size
    x = Drawn(shape, "float32", values="whole", seed=3).plain
    _, pullback = cx.vjp(POOL[rank], x, size, kind, **options)
    random = np.random.default_rng(1)
    gy = random.standard_normal(POOL[rank](x, size, kind, **options).shape).astype(np.float32)
    with cx.threads(1):
        (one,) = pullback(gy)
    with cx.threads(3):
        np.testing.assert_array_equal(pullback(gy)[0], one)
    gy = random.integers(-4, 5, gy.shape).astype(np.float32)
    options = {**options, "padding_mode": reference_mode(options.get("padding_mode"))}
    want = reference.pool_vjp(x, size, kind, gy=gy, rank=rank, **options)
    if kind in ("avg", "softmax", "mixed"):
        np.testing.assert_allclose(pullback(gy)[0], want, rtol=0, atol=gamma(700, np.float32) * np.abs(want).max())
    else:  # sums of whole numbers are exact
        np.testing.assert_array_equal(pullback(gy)[0], want)


@pytest.mark.parametrize("kind", ["max", "sum"])
def test_a_long_window_of_many_channels(kind):
    """Its channels are reduced in several blocks, and its gradient goes back in several."""
    x = Drawn((2, 90, 80, 300), "float32", values="whole", seed=1).plain
    x[0, 17, 5, :] = 9
    y, pullback = cx.vjp(cx.global_pool, x, kind)
    np.testing.assert_array_equal(y, x.max((1, 2)) if kind == "max" else x.sum((1, 2)))
    (gx,) = pullback(y)
    if kind == "max":
        first = (x == y[:, None, None, :]).reshape(2, -1, 300).argmax(1)
        want = np.zeros((2, 7200, 300), np.float32)
        np.put_along_axis(want, first[:, None, :], y[:, None, :], 1)
        np.testing.assert_array_equal(gx, want.reshape(x.shape))
    else:
        np.testing.assert_array_equal(gx, np.broadcast_to(y[:, None, None, :], x.shape))


@pytest.mark.parametrize("mode", ["constant", "odd_reflect", ("wrap", "zeros")])
@pytest.mark.parametrize("samples", [0, 1])
def test_indices_of_what_is_no_element_are_refused_before_the_data(mode, samples):
    options = {"padding": 1, "padding_mode": mode, "return_indices": True}
    for call in (lambda: cx.pool2d(np.ones((samples, 4, 4, 1)), 2, **options),
                 lambda: cx.output_shape(cx.pool2d, (samples, 4, 4, 1), 2, **options)):  # fmt: skip
        with pytest.raises(ValueError, match="return_indices needs a padding_mode whose elements come from x"):
            call()
    assert cx.output_shape(cx.pool2d, (samples, 4, 4, 1), 2, **{**options, "padding": 0}) == (samples, 2, 2, 1)


@pytest.mark.parametrize("samples", [0, 1])
def test_windows_that_step_over_all_elements_are_refused_before_the_data(samples):
    """Neither the first window nor the last, but those between them: elements 5 apart, of which x has 2."""
    options = {"stride": 1, "padding": 4, "dilation": 5}
    for call in (lambda: cx.pool1d(np.ones((samples, 2, 1)), 2, **options),
                 lambda: cx.output_shape(cx.pool1d, (samples, 2, 1), 2, **options)):  # fmt: skip
        with pytest.raises(ValueError, match=r"padding \(4, 4\) leaves a pooling window of size 2 without an element"):
            call()
    assert cx.output_shape(cx.pool1d, (samples, 5, 1), 2, **options) == (samples, 8, 1)


@pytest.mark.parametrize("kind", ["max", "third"])
def test_bool_has_no_weighted_sums(kind):
    x = np.eye(4, dtype=bool)[..., np.newaxis]
    with cx.poolings.temporarily("third", lambda w: np.sort(w, -1)[..., 2], exact=True):
        for mode in ("odd_reflect", ("edge", "odd_symmetric")):
            with pytest.raises(TypeError, match=r"padding_mode 'odd_.*' takes weighted sums.*bool has no arithmetic"):
                cx.pool2d(x, 3, kind, padding=1, padding_mode=mode)
            assert cx.pool2d(x, 3, kind, padding_mode=mode).dtype == bool
            assert cx.pool2d(x, 3, "avg", padding=1, padding_mode=mode).dtype == np.float32
        with pytest.raises(ValueError, match="value of padding mode 'constant' 5 does not fit into bool"):
            cx.pool2d(x, 3, kind, padding=1, padding_mode=cx.padding("constant", value=5))
    with pytest.raises(TypeError, match="bool has no arithmetic"):
        reference.pool(x, 3, "max", rank=2, padding=1, padding_mode="odd_reflect")


@every_isa
@given(data=st.data())
def test_an_exact_pooling_of_ones_own_keeps_every_dtype(isa, data):
    """A rank filter written in Python sees windows of the dtype of x, forward and backward."""
    seen = set()

    def smallest(w):
        seen.add(w.dtype)
        return w.min(-1)

    def slope(w, y):
        seen.update([w.dtype, y.dtype])
        return (np.arange(w.shape[-1]) == w.argmin(-1)[..., np.newaxis]) * 1.0

    case = data.draw(pool_cases(kinds=("min",), dtypes=REALS, forms=FORMS, values=("whole",)))
    if np.dtype(case.x.dtype).kind != "f" and "constant" in str(case.options["padding_mode"]):
        case.options["padding_mode"] = "wrap"
    f, x = POOL[case.rank], case.x.array
    with _core.using(isa), cx.poolings.temporarily("smallest", smallest, gradient=slope, exact=True):
        y, pullback = cx.vjp(f, x, case.size, "smallest", **case.options)
        (gx,) = pullback(np.ones(y.shape))
        same, own = cx.vjp(f, x, case.size, "min", **case.options)
    np.testing.assert_array_equal(y, same, strict=True)
    np.testing.assert_array_equal(gx, own(np.ones(y.shape))[0], strict=True)
    assert seen <= {np.dtype(case.x.dtype)}
    assert seen or not y.size


def test_an_exact_pooling_must_keep_the_dtype():
    with (
        cx.poolings.temporarily("mean_of_two", lambda w: w.mean(-1), exact=True),
        pytest.raises(ValueError, match=r"must return an array of shape .* and dtype uint8, got .* float64"),
    ):
        cx.pool1d(np.ones((4, 1), np.uint8), 2, "mean_of_two")


STATISTICS = [
    ("lp", {"p": 1}), ("lp", {"p": 2}), ("lp", {"p": 3}), ("lp", {"p": 1.5}), ("lp", {"p": 0.5}), ("std", {}),
    ("logsumexp", {}), ("logsumexp", {"temperature": 0.1}), ("softmax", {}), ("softmax", {"temperature": 3}),
    ("mixed", {}), ("mixed", {"alpha": 0}), ("median", {}), ("percentile", {"q": 30}), ("percentile", {"q": 100}),
]  # fmt: skip
every_statistic = pytest.mark.parametrize(("kind", "params"), STATISTICS)


@every_isa
@every_statistic
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("shape", [(2, 3, 21), (1, 8, 8, 5), (1, 9, 8, 37), (1, 60, 50, 3)])
def test_compiled_statistics_equal_their_functions(isa, kind, params, dtype, shape):
    """Windows of one chunk and of many, and channels that fill vectors and that do not; with gradients."""
    x = Drawn(shape, "float64", seed=5).plain.astype(dtype)
    spatial = tuple(range(1, x.ndim - 1))
    w = np.moveaxis(x.reshape(x.shape[0], int(np.prod([shape[a] for a in spatial])), x.shape[-1]), 1, -1)
    bound = cx.pooling(kind, **params)
    exact = w.astype(np.float64)
    want = evaluate(bound, exact)
    with _core.using(isa):
        y, pullback = cx.vjp(cx.global_pool, x, bound)
        one = cx.global_pool(np.ascontiguousarray(x[..., 1:2]), bound)
        (gx,) = pullback(np.ones_like(y))
    np.testing.assert_array_equal(one[..., 0], y[..., 1])  # whatever the lane
    tolerance = 1e-5 if dtype == np.float32 else 1e-13
    np.testing.assert_allclose(y, want, rtol=tolerance, atol=tolerance)
    slope = np.moveaxis(slopes(bound, exact, want), -1, 1).reshape(x.shape)
    np.testing.assert_allclose(gx, slope, rtol=10 * tolerance, atol=10 * tolerance)


@every_isa
@every_statistic
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_compiled_statistics_of_infinities_and_nan(isa, kind, params, dtype):
    bound = cx.pooling(kind, **params)
    for length in (1, 2, 3):
        w = np.array(list(itertools.product([np.inf, -np.inf, np.nan, 2, -1, 0], repeat=length)), dtype)
        with _core.using(isa):
            y = cx.pool1d(np.ascontiguousarray(w.T), length, bound)
        np.testing.assert_allclose(y[0], evaluate(bound, w), rtol=1e-5 if dtype == np.float32 else 1e-13)


@every_isa
@pytest.mark.parametrize("kind", ["lp", "std"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_compiled_norms_neither_overflow_nor_vanish(isa, kind, dtype):
    """Of the largest elements whose norm is finite, and of the smallest."""
    info = np.finfo(dtype)
    for scale in (info.max / 16, info.tiny, 1, info.max**0.5, info.tiny**0.5):
        x = (np.array([[3], [4], [-3], [0]]) * dtype(scale)).astype(dtype)
        with _core.using(isa):
            y, pullback = cx.vjp(cx.pool1d, x, 4, kind)
            want = (34**0.5 if kind == "lp" else 7.5**0.5) * float(scale)
            np.testing.assert_allclose(float(y[0, 0]), want, rtol=1e-6)
            assert np.isfinite(pullback(np.ones((1, 1)))[0]).all()


def test_parameters_beyond_the_compiled_range_are_the_functions():
    x = Drawn((40, 3), "float64").plain
    np.testing.assert_array_equal(cx.pool1d(x, 4, "lp", p=np.inf), np.abs(x).reshape(10, 4, 3).max(1))
    np.testing.assert_allclose(cx.pool1d(x, 4, "logsumexp", temperature=1e-200), x.reshape(10, 4, 3).max(1), rtol=1e-15)
    np.testing.assert_allclose(cx.pool1d(x, 4, "softmax", temperature=1e200), x.reshape(10, 4, 3).mean(1), atol=1e-14)
    with pytest.raises(ValueError, match="p must be positive"):
        cx.output_shape(cx.pool1d, (40, 3), 4, "lp", p=0)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("value", [0.1, 7.3, 1 / 3])
@pytest.mark.parametrize("size", [3, 7, 9])
def test_a_flat_window_has_no_deviation(size, value, dtype):
    x = np.full((1, 12, 12, 5), value, dtype)
    y, pullback = cx.vjp(cx.pool2d, x, size, "std", stride=1)
    assert (y == 0).all()
    assert (pullback(np.ones_like(y))[0] == 0).all()


@every_isa
@every_statistic
@pytest.mark.parametrize("channels", [1, 3, 17, 64])
def test_places_done_together_have_the_bits_of_each_alone(isa, kind, params, channels):
    """Also next to elements whose powers or exponentials overflow."""
    x = Drawn((1, 5, 23, channels), "float64", seed=6).plain.astype(np.float32)
    x[0, 3, 7, 0], x[0, 2, 11, -1], x[0, 0, 20, 0] = 1e30, np.nan, -np.inf
    with _core.using(isa):
        for size, stride, dilation in itertools.product((2, 3), (1, 2, 3), (1, 2)):
            reach = (size - 1) * dilation + 1
            y = cx.pool2d(x, size, kind, stride=stride, dilation=dilation, **params)
            for place in range(y.shape[2]):
                window = x[:, :, place * stride : place * stride + reach]
                one = cx.pool2d(window, size, kind, stride=(stride, 1), dilation=dilation, **params)
                np.testing.assert_array_equal(y[:, :, place : place + 1], one)


@pytest.mark.parametrize(
    ("kind", "name"),
    [("lp", "p"), ("percentile", "q"), ("logsumexp", "temperature"), ("softmax", "temperature"), ("mixed", "alpha")],
)
@pytest.mark.parametrize("value", [[1, 2], np.array([1, 2])])
def test_a_parameter_of_a_statistic_is_one_number(kind, name, value):
    for call in (
        lambda: cx.pool2d(np.ones((4, 4, 1)), 2, kind, **{name: value}),
        lambda: cx.global_pool(np.ones((1, 4, 4, 1)), kind, **{name: value}),
    ):
        with pytest.raises(TypeError, match=f"{name} of pooling '{kind}' must be one number, got"):
            call()
