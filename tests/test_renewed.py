"""Kernels that serve problems of one form again and again give what a kernel of its own would give, to the last bit."""

import inspect

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import pyconvx as cx
from pyconvx import _core, remember
from pyconvx.functional import algorithms, computation

NAMES = [candidate.name for candidate in algorithms.CANDIDATES]


def anew(function, *args, **options):
    """The same by kernels of its own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(computation, "_renewed", lambda *_: None)
        return with_gradients(function, *args, **options)


def with_gradients(function, *args, **options):
    y, pullback = cx.vjp(function, *args, **options)
    return (y, *pullback(np.cos(np.arange(y.size, dtype=y.dtype)).reshape(y.shape)))


def alike(got, want):
    for one, other in zip(got, want, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("isa", _core.supported())
@pytest.mark.parametrize("layout", ["channels_last", "channels_first"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("prepared", [False, True], ids=["arrays", "prepared"])
@pytest.mark.parametrize(
    ("algorithm", "function"), [*((name, cx.conv2d) for name in ("auto", *NAMES)), ("auto", cx.conv_transpose2d)]
)
def test_other_filters_of_the_same_form(algorithm, function, prepared, dtype, layout, isa):
    rng, computed = np.random.default_rng(3), 0
    for channels, groups, options in (
        (16, 1, {"padding": 1}),
        (16, 1, {"padding": 1, "padding_mode": "reflect", "activation": "gelu"}),
        (16, 16, {"padding": 2, "dilation": 2}),
        (2, 1, {"stride": 2}),
    ):
        if function is cx.conv_transpose2d:
            options.pop("padding_mode", None)
        with _core.using(isa):
            for turn in range(4):
                x = rng.standard_normal((2, 12, 13, channels)).astype(dtype)
                filters = rng.standard_normal((channels, 3, 3, channels // groups)).astype(dtype)
                if turn == 2:
                    filters[0, 1, 1, 0] = np.nan
                given = {**options, "groups": groups, "layout": layout}
                if layout == "channels_first":
                    x, filters = (np.ascontiguousarray(np.moveaxis(a, -1, 1)) for a in (x, filters))
                if algorithm != "auto":
                    given["algorithm"] = algorithm
                filters = cx.prepare(filters, layout=layout) if prepared else filters
                bias = rng.standard_normal(channels).astype(dtype) if turn % 2 else None
                arrays = (x, filters) if bias is None else (x, filters, bias)
                try:
                    got = with_gradients(function, *arrays, **given)
                except ValueError:  # it does not fit
                    continue
                computed += 1
                alike(got, anew(function, *arrays, **given))
    assert computed or (algorithm, dtype) in (("winograd", "float64"), ("runs", "float64"))


def test_tables_of_another_mode_are_other_tables():
    x, filters = np.arange(600, dtype=np.float32).reshape(1, 10, 20, 3), np.ones((8, 3, 3, 3), np.float32)
    for mode in ("zeros", "edge", "reflect", "wrap", cx.padding("constant", value=2.5), "zeros", "edge"):
        options = {"padding": 1, "padding_mode": mode}
        alike(with_gradients(cx.conv2d, x, filters, **options), anew(cx.conv2d, x, filters, **options))


def test_a_padding_mode_that_is_replaced_is_not_the_one_of_before():
    x, filters = np.arange(64, dtype=np.float64).reshape(1, 8, 8, 1), np.ones((1, 3, 3, 1))
    results = []
    for shift in (0, 1):
        with cx.paddings.temporarily("shifted", lambda i, n, shift=shift: np.where(i < 0, shift, np.clip(i, 0, n - 1))):
            results.append(cx.vjp(cx.conv2d, x, filters, padding=1, padding_mode="shifted")[0])
    assert not np.array_equal(*results)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.integers(1, 3), st.integers(3, 9), st.integers(1, 20)), min_size=2, max_size=8),
    st.sampled_from(["float32", "float64"]),
    st.integers(1, 3),
)
def test_forms_in_any_order(forms, dtype, threads):
    rng = np.random.default_rng(1)
    with cx.threads(threads):
        for n, size, channels in forms:
            x = rng.standard_normal((n, size, size, channels)).astype(dtype)
            filters = rng.standard_normal((4, 3, 3, channels)).astype(dtype)
            alike(with_gradients(cx.conv2d, x, filters, padding=1), anew(cx.conv2d, x, filters, padding=1))


def test_parameters_that_are_equal_and_not_the_same():
    x, filters = np.full((1, 4, 4, 16), -1, np.float32), np.ones((16, 3, 3, 16), np.float32)
    for alpha in (0.0, -0.0, 0.0):
        activation = cx.activation("leaky_relu", alpha=alpha)
        y = cx.vjp(cx.conv2d, x, filters, padding=1, activation=activation)[0]
        np.testing.assert_array_equal(
            np.signbit(y), np.signbit(anew(cx.conv2d, x, filters, padding=1, activation=activation)[0])
        )


def test_tables_that_are_let_go_and_made_anew(monkeypatch):
    monkeypatch.setattr(remember, "BUDGET", 2**15)
    rng = np.random.default_rng(4)
    for turn in range(60):
        size, mode = 5 + turn % 7, ("zeros", "edge", "reflect", "wrap")[turn % 4]
        x, filters = rng.standard_normal((1, size, size, 3)), rng.standard_normal((4, 3, 3, 3))
        options = {"padding": 1, "padding_mode": mode}
        alike(with_gradients(cx.conv2d, x, filters, **options), anew(cx.conv2d, x, filters, **options))


def unaligned(array):
    memory = np.empty(array.nbytes + 1, np.uint8)[1:]
    other = memory.view(array.dtype).reshape(array.shape)
    other[...] = array
    assert not other.flags.aligned
    return other


def test_arrays_that_lie_otherwise():
    rng = np.random.default_rng(2)
    x, filters = (rng.standard_normal(shape).astype(np.float32) for shape in ((2, 12, 12, 16), (16, 3, 3, 16)))
    want = with_gradients(cx.conv2d, x, filters, padding=1)
    for other_x in (x, unaligned(x), np.asfortranarray(x), x.astype(">f4")):
        for other in (filters, unaligned(filters), np.asfortranarray(filters), filters.astype(">f4")):
            got = with_gradients(cx.conv2d, other_x, other, padding=1)
            np.testing.assert_allclose(got[0], want[0], rtol=1e-4, atol=1e-4)


def test_no_more_kernels_are_kept_than_that(monkeypatch):
    monkeypatch.setattr(computation, "MOST", 4)
    for n in range(1, 20):
        with_gradients(cx.conv2d, np.ones((n, 5, 5, 1), np.float32), np.ones((1, 3, 3, 1), np.float32))
        assert len(computation._kept) <= 4
    large = np.ones((1, 30_000, 1), np.float32)
    before = len(computation._kept)
    with_gradients(cx.conv1d, large, np.ones((1, 3, 1), np.float32))
    assert len(computation._kept) == before, "tables of 750 kB are not kept"


def test_pullbacks_with_prepared_filters_pack_once_and_those_of_arrays_hold_no_packed_filters():
    rng = np.random.default_rng(4)
    x, filters = (rng.standard_normal(shape, np.float32) for shape in ((20, 20, 32), (32, 3, 3, 32)))
    prepared = cx.prepare(filters)
    y, pullback = cx.vjp(cx.conv2d, x, prepared, padding="same")
    forward = prepared.nbytes
    pullback(y)
    both = prepared.nbytes
    assert both > forward > filters.nbytes
    pullback(y)
    cx.vjp(cx.conv2d, x, prepared, padding="same")[1](y)
    assert prepared.nbytes == both
    y, pullback = cx.vjp(cx.conv2d, x, filters, padding="same")
    pullback(y)
    problem = inspect.getclosurevars(pullback).nonlocals["problem"]
    assert problem.own == {}


def test_prepared_and_plain_filters_of_one_form_have_kernels_of_their_own():
    rng = np.random.default_rng(11)
    x, filters = (rng.standard_normal(shape, np.float32) for shape in ((7, 7, 64), (64, 3, 3, 64)))
    prepared = cx.prepare(filters)
    named = {name: with_gradients(cx.conv2d, x, filters, padding=1, algorithm=name) for name in ("winograd", "bands")}
    for _ in range(2):  # for few places, transforms of filters cost more than they save, unless they are kept
        np.testing.assert_array_equal(with_gradients(cx.conv2d, x, filters, padding=1)[0], named["bands"][0])
        np.testing.assert_array_equal(with_gradients(cx.conv2d, x, prepared, padding=1)[0], named["winograd"][0])
    assert not np.array_equal(named["winograd"][0], named["bands"][0])
