"""Channels first by kernels that take them last: pieces that are exchanged one by one have the bits of a whole."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import pyconvx as cx
from pyconvx import _core, remember
from pyconvx.functional import algorithms, exchanged
from pyconvx.testing import reference

NAMES = [candidate.name for candidate in algorithms.CANDIDATES]


def first(array):
    return np.ascontiguousarray(np.moveaxis(array, -1, 1))


def repeated(x, filters, *rest, **options):
    """The result of the second call of a form, which is made as all that follow."""
    _core.forget()
    for _ in range(2):
        y = cx.conv2d(x, filters, *rest, layout="channels_first", **options)
    return y


CASES = [
    ((5, 21, 19, 16), (24, 3, 3, 16), {"padding": 1}),
    ((1, 50, 17, 16), (24, 3, 3, 16), {"padding": 1, "padding_mode": "reflect", "activation": "gelu"}),
    ((2, 40, 18, 16), (24, 3, 3, 16), {"padding": (2, 1), "padding_mode": "wrap", "activation": "softmax"}),
    ((1, 47, 30, 16), (32, 5, 5, 16), {"padding": 2, "padding_mode": cx.padding("constant", value=1.5)}),
    ((1, 49, 31, 32), (32, 3, 3, 32), {"stride": 2, "padding": 1}),
    ((3, 44, 33, 3), (64, 7, 7, 3), {"stride": 2, "padding": 3}),
    ((1, 53, 22, 16), (16, 3, 3, 16), {"dilation": 2, "padding": 2}),
    ((2, 33, 20, 24), (24, 3, 3, 1), {"padding": 1, "groups": 24}),
    ((1, 40, 20, 32), (32, 3, 3, 8), {"padding": 3, "groups": 4, "activation": "relu"}),
    ((4, 9, 9, 40), (2, 3, 3, 40), {"padding": 1}),
    ((1, 37, 20, 8), (8, 3, 3, 8), {"padding": 1, "padding_mode": "odd_reflect"}),
    ((6, 40, 44, 1), (2, 13, 13, 1), {"padding": 6}),
]


@pytest.mark.parametrize("isa", _core.supported())
@pytest.mark.parametrize("algorithm", ["auto", *NAMES])
@pytest.mark.parametrize("case", CASES, ids=range(len(CASES)))
def test_pieces_have_the_bits_of_a_whole(case, algorithm, isa, monkeypatch):
    """Which one thread exchanges; the pieces are done by one and by two."""
    (shape, form, options), rng = case, np.random.default_rng(7)
    x, filters = (first(rng.standard_normal(s).astype(np.float32)) for s in (shape, form))
    bias = rng.standard_normal(form[0]).astype(np.float32)
    prepared = cx.prepare(filters, layout="channels_first")
    with _core.using(isa), cx.threads(1):
        monkeypatch.setattr(exchanged, "PIECE", 2**40)
        try:
            cx.explain(cx.conv2d, x.shape, filters.shape, algorithm=algorithm, layout="channels_first", **options)
        except ValueError:  # it does not fit
            return
        whole = repeated(x, filters, bias, algorithm=algorithm, **options)
        for piece in (1, 2**13, 2**15):
            monkeypatch.setattr(exchanged, "PIECE", piece)
            for threads, given_filters in itertools.product((1, 2), (filters, prepared)):
                with cx.threads(threads):
                    if algorithm == "auto" and given_filters is prepared:
                        want = cx.conv2d(x, prepared, bias, layout="channels_first", **options)
                    else:
                        want = whole
                    got = repeated(x, given_filters, bias, algorithm=algorithm, **options)
                np.testing.assert_array_equal(got, want)


@pytest.mark.parametrize("isa", _core.supported())
@pytest.mark.parametrize("bright", [1e3, 1e7, 1e-6])
def test_what_is_usual_is_asked_of_whole_samples(bright, isa):
    rng = np.random.default_rng(10)
    x, filters = rng.standard_normal((2, 32, 160, 160), np.float32), rng.standard_normal((32, 32, 3, 3), np.float32)
    x[1, :, 67:77] *= np.float32(bright)
    doubles = x.astype(np.float64), filters.astype(np.float64)
    want = cx.conv2d(*doubles, padding=1, layout="channels_first", algorithm="direct")
    with _core.using(isa):
        y = cx.conv2d(x, filters, padding=1, layout="channels_first")
        for threads in (1, 2, 1):
            with cx.threads(threads):
                for _ in range(2):
                    assert np.array_equal(cx.conv2d(x, filters, padding=1, layout="channels_first"), y)
    of_rows = [abs(each).max(axis=(0, 1, 3)) for each in (y - want, want)]
    assert (of_rows[0] < 2e-5 * np.maximum(of_rows[1], 100)).all(), np.argmax(of_rows[0])


@pytest.mark.parametrize("mode", ["wrap", "odd_reflect", "odd_symmetric"])
def test_samples_stay_whole_where_strips_would_read_all_of_them(mode):
    plan, _ = cx.functional.operation.plan_of(cx.conv2d, "function")
    for name, cut in ((mode, False), ("zeros", True), ("reflect", True)):
        call = plan(
            np.zeros((16, 300, 300), np.float32),
            np.zeros((16, 16, 3, 3), np.float32),
            padding=1,
            padding_mode=name,
            layout="channels_first",
            algorithm="winograd",
        )
        problem = call.supposed()
        candidate = algorithms.choose(problem, "winograd")
        assert bool(exchanged._strips(candidate, problem, call.outline(candidate), 2**21)) == cut


@pytest.mark.parametrize("isa", _core.supported())
def test_what_is_not_finite_stays_in_its_windows(isa, monkeypatch):
    monkeypatch.setattr(exchanged, "PIECE", 1)
    rng = np.random.default_rng(8)
    x, filters = rng.standard_normal((2, 30, 20, 16), np.float32), rng.standard_normal((24, 3, 3, 16), np.float32)
    with _core.using(isa):
        for turn in range(3):
            x[1, 11 + turn, 7, 3] = np.inf if turn else np.nan
            got = cx.conv2d(first(x), first(filters), padding=1, layout="channels_first")
            with np.errstate(invalid="ignore"):
                want = first(reference.conv(x, filters, padding=1))
            np.testing.assert_array_equal(np.isnan(got), np.isnan(want))
            np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-4)
            filters[0, 0, 0, 0] = np.inf if turn == 1 else 1


@settings(max_examples=100, deadline=None)
@given(
    st.integers(1, 40),
    st.integers(1, 5),
    st.integers(1, 3),
    st.integers(0, 6),
    st.sampled_from(["zeros", "edge", "reflect", "symmetric", "wrap", "odd_reflect"]),
    st.data(),
)
def test_windows_of_tables(n, taps, stride, pad, mode, data):
    try:
        cx.output_shape(cx.conv1d, (n, 1), (1, taps, 1), padding=pad, padding_mode=mode, stride=stride)
    except ValueError:
        return
    plan, _ = cx.functional.operation.plan_of(cx.conv2d, "function")
    x, filters = np.zeros((n, taps, 1)), np.zeros((1, taps, taps, 1))
    axis = plan(x, filters, padding=(pad, 0), padding_mode=(mode, "zeros"), stride=(stride, 1)).supposed().axes[1]
    first_place = data.draw(st.integers(0, axis.length - 1))
    until = data.draw(st.integers(first_place + 1, axis.length))
    window = axis.window(first_place, until)
    read = axis.codes()[first_place:until]
    if axis.mixed or not (read >= 0).any():
        assert window is None
        return
    low, high, table = window
    assert (low, high) == (read[read >= 0].min(), read[read >= 0].max() + 1)
    assert table.source == high - low
    np.testing.assert_array_equal(table.codes(), np.where(read >= 0, read - low, read))


def test_memory_is_that_of_a_piece(monkeypatch):
    remember.forget()
    x, filters = np.ones((32, 200, 200), np.float32), np.ones((32, 32, 3, 3), np.float32)
    asked = []
    with cx.threads(1):
        for _ in range(2):
            y = cx.conv2d(x, filters, padding=1, layout="channels_first")
        monkeypatch.setattr(exchanged, "empty", lambda shape, dtype: asked.append(shape) or np.empty(shape, dtype))
        cx.conv2d(x, filters, padding=1, layout="channels_first")
    assert asked
    assert sum(np.prod(shape) for shape in asked) * 4 < y.nbytes / 2
