"""Pooling of channels that lie apart, each a plane of its own: as with channels together."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from poolings import POOL, value_within_reference
from test_pool_few import DTYPES, every_basic, every_isa, sprinkled, wide_cases

import pyconvx as cx
from pyconvx import _core

MANY = 40
"""Channels from which those that lie together are not put apart."""
CASES = {
    "n": st.integers(1, 2),
    "channels": st.integers(2, 5),
    "size": st.tuples(st.integers(1, 12), st.sampled_from([1, 2, 3, 7, 8, 9, 15, 16, 17, 24, 33, 40, 300, 9000])),
    "window": st.tuples(st.integers(1, 4), st.integers(1, 5)),
    "stride": st.tuples(st.integers(1, 3), st.integers(1, 3)),
    "padding": st.tuples(*(st.tuples(st.integers(0, 2), st.integers(0, 2)) for _ in range(2))),
    "dilation": st.sampled_from([1, 1, 1, (2, 1), (1, 2)]),
    "ceil_mode": st.booleans(),
    "seed": st.integers(0, 99),
}

every_form = pytest.mark.parametrize(
    ("kind", "params"),
    [("max", {}), ("min", {}), ("sum", {}), ("avg", {}), ("avg", {"count_include_pad": True}), ("avg", {"divisor": 3})],
)


def apart(case):
    """The case with channels first."""
    if case.options["layout"] == "channels_first":
        return case
    *shape, channels = case.x.shape
    shape.insert(len(shape) - case.rank, channels)
    x, options = dataclasses.replace(case.x, shape=tuple(shape)), {**case.options, "layout": "channels_first"}
    return dataclasses.replace(case, x=x, options=options)


@every_basic
@settings(max_examples=60)
@given(data=st.data())
def test_equals_the_reference(kind, data):
    value_within_reference(apart(data.draw(wide_cases((kind,)))))


@every_isa
@every_form
@settings(max_examples=60, deadline=None)
@given(dtype=st.sampled_from(DTYPES), **CASES)
def test_equals_channels_last(
    isa, dtype, kind, params, n, channels, size, window, stride, padding, dilation, ceil_mode, seed
):
    exact = kind in ("max", "min")
    rng = np.random.default_rng(seed)
    shape = (n, channels, *size)
    x = sprinkled(shape, dtype, seed) if exact else rng.standard_normal(shape).astype(dtype)
    options = dict(kind=cx.pooling(kind, **params), stride=stride, padding=padding, ceil_mode=ceil_mode)
    options["dilation"] = dilation
    last = np.ascontiguousarray(np.moveaxis(x, 1, -1))
    with _core.using(isa):
        try:
            want = np.moveaxis(cx.pool2d(last, window, **options), -1, 1)
        except ValueError:  # a window that does not fit
            return
        out, results = np.zeros(want.shape, dtype), []
        for threads in (1, 3):
            with cx.threads(threads):
                results += [cx.pool2d(x, window, layout="channels_first", **options) for _ in range(2)]
        cx.pool2d(x, window, layout="channels_first", out=out, **options)
        results.append(cx.vjp(cx.pool2d, x, window, layout="channels_first", **options)[0])
    if exact:
        np.testing.assert_array_equal(results[0], want)
    else:
        np.testing.assert_allclose(results[0], want, rtol=0, atol=1e-5 if dtype == "float32" else 1e-14)
    for result in (*results[1:], out):
        np.testing.assert_array_equal(result, results[0])


@every_isa
@every_form
@settings(max_examples=60, deadline=None)
@given(dtype=st.sampled_from(DTYPES), **{**CASES, "channels": st.integers(1, 5)}, huge=st.booleans())
def test_gradients_and_indices_have_the_bits_of_those_of_many_channels(
    isa, dtype, kind, params, n, channels, size, window, stride, padding, dilation, ceil_mode, seed, huge
):
    """Of many channels that lie together, the first ones are those of few, or of such that lie apart."""
    exact = kind in ("max", "min")
    rng = np.random.default_rng(seed)
    shape = (n, *size, channels)
    x = sprinkled(shape, dtype, seed) if exact else rng.standard_normal(shape).astype(dtype)
    options = dict(kind=cx.pooling(kind, **params), stride=stride, padding=padding, ceil_mode=ceil_mode)
    options |= dict(dilation=dilation, return_indices=exact)
    many = MANY
    with _core.using(isa):
        try:
            want, pull = cx.vjp(cx.pool2d, np.resize(x.T, (many, *x.T.shape[1:])).T.copy(), window, **options)
        except ValueError:  # a window that does not fit
            return
        index = want[1][..., :channels] if exact else None
        gy = rng.standard_normal((*(want[0] if exact else want).shape[:3], channels)).astype(dtype)
        if huge:
            gy[rng.random(gy.shape) < 0.1] = np.inf
        (want,) = pull(np.resize(gy.T, (many, *gy.T.shape[1:])).T.copy())
        for layout, move in (("channels_last", np.asarray), ("channels_first", lambda x: np.moveaxis(x, 1, -1))):
            apart = layout == "channels_first"
            given_x, given_gy = (np.ascontiguousarray(np.moveaxis(a, -1, 1)) if apart else a for a in (x, gy))
            for threads in (1, 3):
                with cx.threads(threads):
                    result, pull = cx.vjp(cx.pool2d, given_x, window, layout=layout, **options)
                    (gx,) = pull(given_gy)
                    again = [cx.pool2d(given_x, window, layout=layout, **options) for _ in range(2)]
                assert gx.flags.c_contiguous
                np.testing.assert_array_equal(move(gx), want[..., :channels])
                for other in again:
                    np.testing.assert_array_equal(np.asarray(other), np.asarray(result))
                if exact:
                    np.testing.assert_array_equal(move(result[1]), index)


@pytest.mark.parametrize("kind", ["max", "sum"])
@pytest.mark.parametrize("rank", [1, 3])
def test_gradients_of_other_ranks(rank, kind):
    rng = np.random.default_rng(rank)
    for size, window, stride in ((5, 2, 2), (9, 3, 1), (8, 3, 3), (17, 4, 2)):
        x = rng.standard_normal((2, *(size,) * rank, MANY)).astype("f")
        options = dict(kind=kind, stride=stride, padding="same")
        y, pull = cx.vjp(POOL[rank], x, window, **options)
        gy = rng.standard_normal(y.shape).astype("f")
        (want,) = pull(gy)
        x, gy, want = (np.ascontiguousarray(np.moveaxis(a, -1, 1)) for a in (x, gy, want))
        (got,) = cx.vjp(POOL[rank], x, window, layout="channels_first", **options)[1](gy)
        np.testing.assert_array_equal(got, want)


@pytest.mark.parametrize("kind", ["max", "avg"])
def test_arrays_that_are_not_contiguous(kind):
    rng = np.random.default_rng(1)
    x, around = rng.standard_normal((2, 3, 20, 50)).astype("f"), np.full((2, 3, 14, 29), 7, "f")
    for given_x in (x[:, :, ::-1], x[:, :, 2:, 3:], x[:, ::2], x.transpose(0, 1, 3, 2)):
        want = np.moveaxis(cx.pool2d(np.ascontiguousarray(np.moveaxis(given_x, 1, -1)), 3, stride=2, kind=kind), -1, 1)
        got = cx.pool2d(given_x, 3, stride=2, kind=kind, layout="channels_first")
        np.testing.assert_allclose(got, want, atol=1e-6)
    want = cx.pool2d(x, 3, stride=2, kind=kind, layout="channels_first")
    inner = around[:, :, 2:11, 2:26]
    cx.pool2d(x, 3, stride=2, kind=kind, layout="channels_first", out=inner)
    np.testing.assert_array_equal(inner, want)
    inner[...] = 7
    assert (around == 7).all()


@pytest.mark.parametrize("rank", [1, 2, 3])
def test_the_second_call_gives_the_same(rank):
    """Which is a repeated one, for any x of that form."""
    rng = np.random.default_rng(rank)
    for channels, size in ((1, 9), (3, 9), (3, 1)):
        for kind in ("max", "avg", "median"):
            results, options = [], dict(kind=kind, padding=int(size > 1), stride=1)
            for _ in range(3):
                x = rng.standard_normal((2, channels, *(size,) * rank))
                window = min(3, size)
                want = np.moveaxis(POOL[rank](np.ascontiguousarray(np.moveaxis(x, 1, -1)), window, **options), -1, 1)
                results.append(POOL[rank](x, window, layout="channels_first", **options))
                np.testing.assert_allclose(results[-1], want, atol=1e-14)
            assert not np.array_equal(results[0], results[1])


@pytest.mark.parametrize("dtype", ["float32", "float64", "int32", "uint8", "float16"])
@pytest.mark.parametrize("kind", sorted(cx.poolings))
def test_every_pooling_gives_the_same_again(kind, dtype):
    """The second call is a repeated one, which exchanges layouts where there is no kernel for channels first."""
    rng = np.random.default_rng(3)
    for channels, options in ((3, {}), (9, {}), (5, {"padding_mode": "reflect"}), (17, {"stride": 3})):
        given = dict(stride=2, padding=1, kind=kind) | options
        with_indices = kind in ("max", "min")
        for indices in {False, with_indices}:
            for _ in range(3):
                x = (rng.standard_normal((2, channels, 9, 14)) * 20).astype(dtype)
                last = np.ascontiguousarray(np.moveaxis(x, 1, -1))
                if indices:
                    want, index = cx.pool2d(last, 3, return_indices=True, **given)
                    got, found = cx.pool2d(x, 3, layout="channels_first", return_indices=True, **given)
                    np.testing.assert_array_equal(np.moveaxis(found, 1, -1), index)
                else:
                    want = cx.pool2d(last, 3, **given)
                    got = cx.pool2d(x, 3, layout="channels_first", **given)
                assert got.flags.c_contiguous
                assert got.dtype == want.dtype
                np.testing.assert_allclose(
                    np.moveaxis(got, 1, -1), want, rtol=1e-3 if dtype == "float16" else 1e-5, atol=1e-4
                )
