"""Long filters of few channels, whose runs of taps count as channels."""

import numpy as np
import pytest
from convolutions import PROMISE, conv
from hypothesis import given
from hypothesis import strategies as st

import pyconvx as cx
from pyconvx import _core
from pyconvx.functional import runs
from pyconvx.testing import reference

MODES = ["zeros", "reflect", "wrap", "edge", "symmetric", cx.padding("constant", value=1.5)]
REASONS = ("no runs", "along one axis", "border", "neighbours", "index tables")


@st.composite
def cases(draw):
    rank, channels = draw(st.integers(1, 3)), draw(st.integers(1, 4))
    taps, stride = draw(st.integers(2, 41)), draw(st.integers(1, 6))
    kernel = (*(draw(st.integers(1, 3)) for _ in range(rank - 1)), taps)
    padding = tuple((draw(st.integers(0, k)), draw(st.integers(0, k))) for k in kernel)
    spatial = (*(draw(st.integers(k, k + 4)) for k in kernel[:-1]), draw(st.integers(taps, 3 * taps + 20)))
    rng = np.random.default_rng(draw(st.integers(0, 9)))
    x = rng.standard_normal((draw(st.integers(1, 2)), *spatial, channels)).astype(np.float32)
    filters = rng.standard_normal((draw(st.integers(1, 20)), *kernel, channels)).astype(np.float32)
    mode = draw(st.sampled_from(MODES))
    return rank, x, filters, dict(stride=(*(1,) * (rank - 1), stride), padding=padding, padding_mode=mode)


@given(cases(), st.booleans(), st.sampled_from(["channels_last", "channels_first"]))
def test_runs_agree_with_the_reference_where_they_fit(case, prepared, layout):
    rank, x, filters, options = case
    mode = options["padding_mode"]
    known = mode if isinstance(mode, str) else (mode.name, dict(mode.params))
    want = reference.conv(x.astype(np.float64), filters.astype(np.float64), **options | {"padding_mode": known})
    if layout == "channels_first":
        x, filters, want = (np.moveaxis(each, -1, 1) for each in (x, filters, want))
    for isa in _core.supported():
        with _core.using(isa):
            given = cx.prepare(filters, layout) if prepared else filters
            try:
                y = conv(rank)(x, given, layout=layout, algorithm="runs", **options)
            except ValueError as error:
                why = str(error)
            else:
                why = None
            if why is not None:
                assert any(reason in why for reason in REASONS)
                continue
            for got in (y, conv(rank)(x, given, layout=layout, algorithm="runs", **options)):
                assert np.abs(got - want).max(initial=0) <= PROMISE * np.abs(want).max(initial=0)


@pytest.mark.parametrize("isa", _core.supported())
@pytest.mark.parametrize(("taps", "stride"), [(80, 4), (61, 1), (59, 3), (250, 1), (47, 1), (9, 2), (13, 2), (49, 4)])
@pytest.mark.parametrize("value", [np.nan, np.inf, 1e4, 1e8, 1e30], ids=str)
def test_an_element_stays_with_the_places_that_read_it(taps, stride, value, isa):
    """Though some channels of the last run meet no tap, where there are no so many."""
    rng = np.random.default_rng(taps)
    filters = rng.standard_normal((8 if taps < 50 else 24, taps, 1)).astype(np.float32)
    for at in range(330, 334):
        x, hit = rng.standard_normal((1, 900, 1)).astype(np.float32), np.zeros((1, 900, 1))
        x[0, at], hit[0, at] = value, 1
        options = dict(stride=stride, padding="same", algorithm="plain")
        unseen = cx.conv1d(hit, np.ones(filters.shape), **options) == 0
        exact = cx.conv1d(x.astype(np.float64), filters.astype(np.float64), **options)
        with _core.using(isa):
            y = cx.conv1d(x, filters, **options | {"algorithm": "runs"})
        assert np.abs(y[unseen] - exact[unseen]).max() <= PROMISE * np.abs(exact[unseen]).max()
        assert np.array_equal(np.isnan(y), np.isnan(exact))


@pytest.mark.parametrize(
    ("shape", "filters", "stride"),
    [
        ((16000, 1), (64, 80, 1), 4),
        ((16000, 1), (80, 251, 1), 1),
        ((32000, 1), (257, 512, 1), 128),
        ((8000, 2), (64, 64, 2), 2),
    ],
    ids=str,
)
def test_sound_is_done_in_runs(shape, filters, stride):
    assert cx.explain(cx.conv1d, shape, filters, stride=stride).algorithm == "runs"


def test_runs_are_chosen_by_few_places_of_a_long_axis(monkeypatch):
    """Tables of all places would take longer than what is chosen."""
    lengths, saved = [], runs.saved

    def seen(problem, form, tiles):
        lengths.append(int(problem.axes[2].length))
        return saved(problem, form, tiles)

    monkeypatch.setattr(runs, "saved", seen)
    assert cx.explain(cx.conv1d, (30000, 1), (64, 83, 1), stride=4).algorithm == "runs"
    assert lengths.count(runs.PLACES) >= 5
    assert sum(length > runs.PLACES for length in lengths) <= 2


def test_a_call_that_comes_again_reads_its_own_arrays():
    rng = np.random.default_rng(0)
    for padding in ("valid", "same"):
        for _ in range(3):
            x, filters = rng.standard_normal((2, 900, 1)), rng.standard_normal((32, 48, 1))
            given = x.astype(np.float32), filters.astype(np.float32)
            y = cx.conv1d(*given, padding=padding, activation="relu", algorithm="runs")
            want = np.maximum(cx.conv1d(*given, padding=padding, algorithm="plain"), 0)
            assert np.abs(y - want).max() <= PROMISE * want.max()


@pytest.mark.parametrize("isa", _core.supported())
@pytest.mark.parametrize(("rank", "padding"), [(1, 5), (1, ((0, 47),)), (2, ((0, 0), (47, 5)))], ids=str)
def test_what_a_constant_pads_along_the_last_axis_is_read(rank, padding, isa):
    rng, options = np.random.default_rng(0), dict(padding=padding, padding_mode=cx.padding("constant", value=1.5))
    x = rng.standard_normal((1, *(5,) * (rank - 1), 600, 1)).astype(np.float32)
    filters = rng.standard_normal((32, *(3,) * (rank - 1), 48, 1)).astype(np.float32)
    with _core.using(isa):
        y = conv(rank)(x, filters, **options, algorithm="runs")
        want = conv(rank)(x, filters, **options, algorithm="plain")
    assert np.abs(y - want).max() <= PROMISE * np.abs(want).max()


def test_what_is_not_for_runs_is_told():
    mode = cx.padding("constant", value=1.5)
    with pytest.raises(ValueError, match="the last axis alone"):
        cx.conv2d(np.ones((5, 50, 1)), np.ones((8, 3, 12, 1)), padding=1, padding_mode=mode, algorithm="runs")
    x, filters = np.ones((50, 4), np.float32), np.ones((8, 12, 2), np.float32)
    with pytest.raises(ValueError, match="one group"):
        cx.conv1d(x, filters, groups=2, algorithm="runs")
    with pytest.raises(ValueError, match="neighbours"):
        cx.conv1d(x, np.ones((8, 12, 4), np.float32), dilation=2, algorithm="runs")
    with pytest.raises(ValueError, match="weighted"):
        cx.conv1d(x, np.ones((8, 12, 4), np.float32), padding=5, padding_mode="odd_reflect", algorithm="runs")
    with pytest.raises(ValueError, match="float32"):
        cx.conv1d(x.astype(np.float64), np.ones((8, 12, 4)), algorithm="runs")
