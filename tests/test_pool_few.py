"""Pooling of few channels along rows of places: the same values, winners and indices as place by place, anywhere."""

import ctypes
import dataclasses
import mmap
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from poolings import POOL, value_within_reference

import pyconvx as cx
from pyconvx import _core
from pyconvx.testing.strategies import FORMS, Drawn, pool_cases, reshaped

DTYPES = ("float32", "float64")
MANY = 130  # channels that are always pooled place by place
every_isa = pytest.mark.parametrize("isa", _core.supported())
every_basic = pytest.mark.parametrize("kind", ["max", "min", "avg", "sum"])
every_extremum = pytest.mark.parametrize("kind", ["max", "min"])


@st.composite
def wide_cases(draw, kinds, values=("normal", "whole")):
    """As pool_cases, with up to 60 places more in a row, so that rows fill vectors; an even number, for a globe."""
    case = draw(pool_cases(kinds=kinds, dtypes=DTYPES, values=values))
    shape, stride = list(case.x.shape), case.options["stride"] or case.size
    stride = stride[-1] if isinstance(stride, tuple) else stride  # more places, of which the last is as it was
    shape[-2 if case.options["layout"] == "channels_last" else -1] += 2 * draw(st.integers(0, 30)) * stride
    return dataclasses.replace(case, x=dataclasses.replace(case.x, shape=tuple(shape)))


def to_many(x):
    """x with its channels again and again."""
    return np.tile(x, -(-MANY // x.shape[-1]))


def sprinkled(shape, dtype, seed):
    """Ties, zeros of either sign, infinities and NaN."""
    values = np.array([0.0, -0.0, 1, -1, 2, np.inf, -np.inf, np.nan], dtype)
    share = [0.2, 0.2, 0.15, 0.15, 0.1, 0.08, 0.08, 0.04]
    return np.random.default_rng(seed).choice(values, shape, p=share)


@every_basic
@settings(max_examples=60)
@given(data=st.data())
def test_equals_the_reference(kind, data):
    value_within_reference(data.draw(wide_cases((kind,))))


@every_isa
@every_extremum
@settings(max_examples=60)
@given(data=st.data())
def test_has_the_bits_of_many_channels(isa, kind, data):
    """With NaN, infinities and ties: values, gradients and, where padding shows elements, indices."""
    case = data.draw(wide_cases((kind,)))
    options = {**case.options, "layout": "channels_last"}
    shape = case.x.shape
    if case.options["layout"] == "channels_first":
        batched = len(shape) - case.rank - 1
        shape = (*shape[:batched], *shape[batched + 1 :], shape[batched])
    f, x, channels = POOL[case.rank], sprinkled(shape, case.x.dtype, case.x.seed), shape[-1]
    many = to_many(x)
    with _core.using(isa):
        y = f(x, case.size, kind, **options)
        np.testing.assert_array_equal(y, f(many, case.size, kind, **options)[..., :channels], strict=True)
        same, pullback = cx.vjp(f, x, case.size, kind, **options)
        np.testing.assert_array_equal(same, y)
        gy = np.random.default_rng(1).integers(-4, 5, y.shape).astype(case.x.dtype)
        _, from_many = cx.vjp(f, many, case.size, kind, **options)
        np.testing.assert_array_equal(pullback(gy)[0], from_many(to_many(gy))[0][..., :channels])
        modes = case.options["padding_mode"]
        if modes is None or not any(word in str(modes) for word in ("odd", "constant", "zeros")):
            same, indices = f(x, case.size, kind, return_indices=True, **options)
            _, want = f(many, case.size, kind, return_indices=True, **options)
            np.testing.assert_array_equal(same, y)
            np.testing.assert_array_equal(indices, want[..., :channels], strict=True)


@every_isa
@every_basic
@settings(max_examples=30)
@given(data=st.data(), form=st.sampled_from(FORMS), threads=st.sampled_from([2, 3]))
def test_views_samples_and_threads_do_not_change_a_bit(isa, kind, data, form, threads):
    case = data.draw(wide_cases((kind,), values=("normal",)))
    f, x = POOL[case.rank], Drawn(case.x.shape, case.x.dtype, form, "normal", case.x.seed)
    with _core.using(isa):
        y = f(x.plain, case.size, kind, **case.options, **case.params)
        with cx.threads(threads):
            np.testing.assert_array_equal(f(x.array, case.size, kind, **case.options, **case.params), y)
        if x.plain.ndim == case.rank + 2:
            for one, of_batch in zip(x.plain, y, strict=True):
                np.testing.assert_array_equal(f(one, case.size, kind, **case.options, **case.params), of_batch)


@every_isa
@every_basic
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    ("shape", "size", "options"),
    [
        ((1, 300, 170, 1), 3, {"stride": 2, "padding": 1}),
        ((2, 90, 70, 3), 3, {"stride": 1, "padding": 1, "padding_mode": "zeros"}),
        ((1, 60, 60, 5), 2, {}),
        ((1, 30000, 1), 9, {"stride": 1}),  # several segments
        ((1, 30000, 1), 4, {"stride": 3, "padding": "same", "padding_mode": "wrap"}),
        ((1, 5000, 2), 150, {"stride": 1}),  # several chunks of taps
        ((1, 5000, 1), 150, {"stride": 40, "padding": 75, "padding_mode": "odd_reflect"}),
        ((1, 4000, 1), 3, {"stride": 9, "dilation": 4}),  # windows sparser than positions
        ((1, 140, 60, 1), (100, 2), {"stride": 1, "padding": (30, 0), "padding_mode": "odd_symmetric"}),  # of rows
        ((1, 140, 60, 2), (100, 7), {"stride": (3, 2), "padding": (50, 3), "padding_mode": ("zeros", "edge")}),
        ((1, 12, 11, 40, 1), (9, 8, 2), {"stride": 1, "padding": "same", "padding_mode": "reflect"}),
        ((3, 5, 9, 30, 2), 3, {"stride": (1, 2, 2), "dilation": (1, 2, 1), "padding": 1}),
    ],
)
def test_long_rows_and_windows(isa, kind, dtype, shape, size, options):
    """More than one segment, chunk or block. Whole numbers: exactly the integers' extremum, and the sum of ones."""
    rank = len(shape) - 2
    f, conv = POOL[rank], {1: cx.conv1d, 2: cx.conv2d, 3: cx.conv3d}[rank]
    x = Drawn(shape, dtype, values="whole", seed=7).plain
    with _core.using(isa):
        with cx.threads(1):
            y = f(x, size, kind, **options)
        with cx.threads(3):
            np.testing.assert_array_equal(f(reshaped(x, "sliced"), size, kind, **options), y)
    if kind in ("max", "min"):
        np.testing.assert_array_equal(y, f(x.astype(np.int32), size, kind, **options))
        return
    window = np.broadcast_to(size, rank)
    ones = np.ones((shape[-1], *window, 1), dtype)
    linear = {"groups": shape[-1], "algorithm": "direct", **options, "stride": options.get("stride", size)}
    want = conv(x, ones, **linear)
    if kind == "avg":
        want /= (
            conv(np.ones_like(x), ones, **linear) if "padding_mode" not in options else np.array(window.prod(), dtype)
        )
    np.testing.assert_array_equal(y, want)


@every_isa
@every_basic
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(1, 50, 41, 1), (2, 33, 64, 3), (1, 600, 500, 1), (3, 2000, 1), (1, 17, 9, 30, 2)])
def test_grids_and_whole_images(isa, kind, dtype, shape):
    """Windows of one length and of several; whole numbers, so that sums are exact."""
    rank = len(shape) - 2
    adaptive = {1: cx.adaptive_pool1d, 2: cx.adaptive_pool2d, 3: cx.adaptive_pool3d}[rank]
    x = Drawn(shape, dtype, values="whole", seed=3).plain
    spatial = tuple(range(1, rank + 1))
    reduce = {"max": np.max, "min": np.min, "avg": np.mean, "sum": np.sum}[kind]
    with _core.using(isa):
        y = cx.global_pool(x, kind)
        grid = adaptive(x, 7, kind)
    np.testing.assert_array_equal(y, reduce(x.astype(np.float64), spatial).astype(dtype))
    for place in np.ndindex((7,) * rank):
        cut = [slice(i * n // 7, -(-(i + 1) * n // 7)) for i, n in zip(place, shape[1:-1], strict=True)]
        want = reduce(x[(slice(None), *cut)].astype(np.float64), spatial).astype(dtype)
        np.testing.assert_array_equal(grid[(slice(None), *place)], want)


@every_isa
@every_basic
@pytest.mark.parametrize("channels", [1, 2, 3, 5])
@pytest.mark.parametrize("options", [{"stride": 1}, {"stride": 2}, {"stride": 3, "padding": 1, "padding_mode": "wrap"}])
def test_nothing_is_read_outside_of_x(isa, kind, channels, options):
    """x ends where memory ends, or begins where it begins."""
    if not sys.platform.startswith("linux"):
        pytest.skip("needs mprotect")
    page = mmap.PAGESIZE
    for dtype in DTYPES:
        for width in (9, 40, 67):
            whole = Drawn((1, 5, width, channels), dtype, seed=2).plain
            size = -(-whole.nbytes // page) * page
            memory = mmap.mmap(-1, size + 2 * page)
            base = ctypes.addressof(ctypes.c_char.from_buffer(memory))
            protect = ctypes.CDLL(None).mprotect
            for guard in (base, base + page + size):
                assert protect(ctypes.c_void_p(guard), ctypes.c_size_t(page), 0) == 0
            for offset in (page, page + size - whole.nbytes):
                x = np.frombuffer(memory, dtype, whole.size, offset).reshape(whole.shape)
                x[...] = whole
                with _core.using(isa):
                    y = cx.pool2d(x, 3, kind, **options)
                    np.testing.assert_array_equal(y, cx.pool2d(whole, 3, kind, **options))
                    if kind in ("max", "min"):
                        cx.pool2d(x, 3, kind, return_indices=True, **options)
