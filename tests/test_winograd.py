"""Winograd's algorithms, of few channels above all, whose products and transforms are done together."""

import numpy as np
import pytest
from convolutions import PROMISE
from hypothesis import given, settings
from hypothesis import strategies as st

import pyconvx as cx
from pyconvx import _core
from pyconvx.functional import winograd_costs, winograd_forms
from pyconvx.testing import reference
from pyconvx.testing.strategies import mode_names

SIDES = [(3, 1), (3, 1), (4, 1), (5, 1), (3, 2), (5, 2), (6, 2), (7, 2), (9, 2), (9, 3), (13, 4)]


@st.composite
def squares(draw):
    """x, filters and options of squares of taps, folded or not, in groups or not, with few channels and with many."""
    side, stride = draw(st.sampled_from(SIDES))
    rank, alone = draw(st.sampled_from([2, 2, 3])), stride == 1 or side == 3
    depth = draw(st.integers(1, 3)) if rank == 3 else 1
    groups = draw(st.sampled_from([1, 1, 2, 3, 8])) if alone else 1
    channels = draw(st.sampled_from([1, 2, 3, 4, 5, 8, 12, 16, 20, 33] if alone else [1, 2, 3, 5, 7]))
    outputs = draw(st.integers(1, 40 if groups == 1 else 18))
    wide = draw(st.sampled_from([20, 20, 70]))  # enough for tiles that lie in x beside one another
    spatial = [max(1, side - 3 + draw(st.integers(0, most))) for most in (20, wide)]
    first = [depth + draw(st.integers(0, 2))] if rank == 3 else []
    rng = np.random.default_rng(draw(st.integers(0, 99)))
    x = rng.standard_normal((draw(st.integers(1, 2)), *first, *spatial, groups * channels)).astype(np.float32)
    filters = rng.standard_normal((groups * outputs, *[depth][: rank - 2], side, side, channels)).astype(np.float32)
    options = {
        "groups": groups,
        "stride": (1, stride, stride)[3 - rank :],
        "padding": (0, draw(st.integers(0, side)), draw(st.integers(0, side)))[3 - rank :],
        "padding_mode": draw(st.sampled_from(mode_names())),
        "dilation": (1, *[draw(st.integers(1, 2 if alone else 1))] * 2)[3 - rank :],
    }
    bias = rng.standard_normal(len(filters)).astype(np.float32) if draw(st.booleans()) else None
    return rank, x, filters, bias, options


@st.composite
def lines(draw):
    """The same of taps along one axis, any, and perhaps some along another."""
    rank = draw(st.integers(1, 3))
    along, beside = draw(st.permutations(range(rank)))[0], draw(st.sampled_from([1, 1, 2, 3]))
    taps, deep = [1] * rank, draw(st.integers(0, rank - 1))
    taps[deep] = beside
    taps[along] = draw(st.sampled_from([2, 3, 3, 4, 5, 6, 7, 8, 9, 11, 14, 20]))
    stride, dilation = ([draw(st.sampled_from([1, 1, 1, 2, 3, 5])) for _ in range(rank)] for _ in range(2))
    most = 1, 3, 9, 29
    groups, channels = draw(st.sampled_from([1, 1, 2, 3])), draw(st.sampled_from([1, 2, 5, 8, 16, 20, 33]))
    outputs = draw(st.integers(1, 40 if groups == 1 else 18))
    spatial = [max(1, reach - 2 + draw(st.integers(0, most[-1] if i == along else most[3 - rank]))) for i, reach in
               enumerate((n - 1) * d + 1 for n, d in zip(taps, dilation, strict=True))]  # fmt: skip
    rng = np.random.default_rng(draw(st.integers(0, 99)))
    x = rng.standard_normal((draw(st.integers(1, 2)), *spatial, groups * channels)).astype(np.float32)
    filters = rng.standard_normal((groups * outputs, *taps, channels)).astype(np.float32)
    options = {
        "groups": groups,
        "stride": tuple(stride),
        "padding": tuple(draw(st.integers(0, n)) for n in taps),
        "padding_mode": draw(st.sampled_from(mode_names())),
        "dilation": tuple(dilation),
    }
    bias = rng.standard_normal(len(filters)).astype(np.float32) if draw(st.booleans()) else None
    return rank, x, filters, bias, options


def cases():
    return st.one_of(squares(), lines())


def computed(rank, *arguments, **options):
    """What the function of that rank gives, or None if it refuses."""
    try:
        return getattr(cx, f"conv{rank}d")(*arguments, **options)
    except ValueError:
        return None


@pytest.mark.parametrize("isa", _core.supported())
@settings(max_examples=120)
@given(case=cases())
def test_it_agrees_with_the_reference(isa, case):
    rank, x, filters, bias, options = case
    with _core.using(isa):
        got = computed(rank, x, filters, bias, algorithm="winograd", **options)
    if got is None:
        return
    wide = [array if array is None else array.astype(np.float64) for array in (x, filters, bias)]
    want = reference.conv(*wide, **options)
    assert np.abs(got - want).max(initial=0) <= PROMISE * np.abs(want).max(initial=0)


@pytest.mark.parametrize("isa", _core.supported())
@settings(max_examples=60)
@given(case=cases(), offset=st.integers(0, 15), beside=st.integers(0, 3), name=st.sampled_from(["relu", "tanh"]))
def test_any_threads_and_results_have_the_same_bits(isa, case, offset, beside, name):
    rank, x, filters, bias, options = case
    options = {**options, "algorithm": "winograd", "activation": name}
    with _core.using(isa):
        want = computed(rank, x, filters, bias, **options)
        if want is None:
            return
        for threads in (2, 3):
            with cx.threads(threads):
                np.testing.assert_array_equal(computed(rank, x, cx.prepare(filters), bias, **options), want)
        for n in range(len(x)):
            np.testing.assert_array_equal(computed(rank, x[n : n + 1], filters, bias, **options), want[n : n + 1])
        # into memory that begins anywhere in a line of the cache, with elements of others beside each place
        row, places = want.shape[-1] + beside, want.size // max(1, want.shape[-1])
        memory = np.full(offset + places * row + 16, 7, np.float32)
        out = memory[offset : offset + places * row].reshape(*want.shape[:-1], row)[..., : want.shape[-1]]
        computed(rank, x, filters, bias, out=out, **options)
    np.testing.assert_array_equal(out, want)
    out[...] = 7
    assert np.all(memory == 7)


@pytest.mark.parametrize("isa", _core.supported())
@pytest.mark.parametrize("side", [side for side in SIDES if side[1] > 1 and side[0] > 3], ids="{0[0]} by {0[1]}".format)
@pytest.mark.parametrize(("factor", "mode"), [(3000, "wrap"), (3000, "edge"), (np.nan, "wrap"), (np.nan, "zeros")])
def test_what_no_tap_reads_does_not_depend_on_other_samples(isa, side, factor, mode):
    (taps, stride), rng = side, np.random.default_rng(0)
    for width, channels in ((29, 1), (30, 2), (33, 3)):
        x = rng.standard_normal((3, 9, width, channels)).astype(np.float32)
        filters = rng.standard_normal((8, taps, taps, channels)).astype(np.float32)
        x[:, :, 0] *= factor  # so that tiles are done again that see it, or may not be
        options = {"stride": stride, "padding": 6, "padding_mode": ("zeros", mode), "algorithm": "winograd"}
        with _core.using(isa):
            together = cx.conv2d(x, filters, **options)
            for n in range(len(x)):
                np.testing.assert_array_equal(cx.conv2d(x[n : n + 1], filters, **options)[0], together[n])


@pytest.mark.parametrize("isa", _core.supported())
@settings(max_examples=60)
@given(
    case=cases(),
    value=st.sampled_from([np.nan, np.inf, -np.inf, 3e38]),
    at=st.integers(0, 10**6),
    mode=st.sampled_from(["zeros", "edge", "wrap"]),
)
def test_what_is_not_finite_stays_in_its_windows(isa, case, value, at, mode):
    rank, x, filters, _, options = case
    options["padding_mode"] = mode  # whose places each show one element, or none
    hit = np.zeros_like(x)
    x.flat[at % x.size], hit.flat[at % x.size] = value, 1
    with _core.using(isa), np.errstate(all="ignore"):
        got = computed(rank, x, filters, algorithm="winograd", **options)
        if got is None:
            return
        reached = computed(rank, hit, np.ones_like(filters), algorithm="plain", **options) != 0
        want = computed(rank, x.astype(np.float64), filters.astype(np.float64), algorithm="plain", **options)
    assert np.isfinite(got)[~reached].all()
    size = np.abs(want[~reached]).max(initial=0)
    assert np.abs(got[~reached] - want[~reached]).max(initial=0) <= 1e-5 * size
    if not np.isfinite(value):  # or sums may be too large for a float
        np.testing.assert_array_equal(np.isnan(got[reached]), np.isnan(want[reached]))


@pytest.mark.parametrize("isa", _core.supported())
@pytest.mark.parametrize(
    ("x", "filters", "options", "name"),
    [
        ((1, 224, 224, 3), (64, 7, 7, 3), {"stride": 2, "padding": 3}, "winograd"),
        ((1, 28, 28, 256), (256, 3, 3, 8), {"padding": 1, "groups": 32}, "winograd"),
        ((1, 31, 29, 24), (24, 5, 5, 24), {"padding": 2}, "winograd"),
        ((1, 224, 224, 3), (64, 3, 3, 3), {"padding": "same"}, "winograd"),
        ((1, 224, 224, 3), (8, 5, 5, 3), {"padding": "same"}, "bands"),
        ((1, 64, 64, 1), (16, 3, 3, 1), {"padding": 1}, "bands"),
        ((1, 64, 64, 3), (4, 3, 3, 3), {"padding": 1}, "columns"),
        ((1, 100, 100, 2), (4, 5, 5, 2), {"padding": 2}, "columns"),
        ((1, 1500, 80), (256, 3, 80), {"padding": "same"}, "winograd"),
        ((1, 4000, 64), (64, 3, 64), {"padding": "same", "dilation": 8}, "winograd"),
        ((1, 40, 50, 48), (40, 1, 7, 48), {"padding": "same"}, "winograd"),
        ((1, 40, 50, 48), (40, 7, 1, 48), {"padding": "same"}, "winograd"),
        ((1, 40, 50, 48), (40, 3, 5, 48), {"padding": "same", "stride": (1, 2)}, "winograd"),
        ((1, 16, 28, 28, 32), (32, 5, 1, 1, 32), {"padding": "same"}, "winograd"),
        ((1, 3000, 64), (128, 4, 64), {"padding": 1, "stride": 2}, "winograd"),
        ((1, 3000, 64), (128, 16, 64), {"padding": "same", "stride": 8}, "winograd"),
        ((1, 56, 56, 64), (64, 2, 2, 64), {}, "winograd"),
        ((1, 1500, 64), (64, 3, 64), {"padding": "same", "stride": 2}, "bands"),
        ((1, 16000, 2), (64, 9, 2), {"padding": "same"}, "bands"),
        ((1, 500, 64), (64, 7, 4), {"padding": "same", "groups": 16}, "columns"),
    ],
)
def test_it_is_chosen_where_it_pays(isa, x, filters, options, name):
    with _core.using(isa):
        lanes, function = _core.kernels.LANES["float32"], getattr(cx, f"conv{len(x) - 2}d")
        if lanes >= 8:  # what it costs was measured with vectors of 8 and 16
            assert cx.explain(function, x, filters, **options).algorithm == name


@pytest.mark.parametrize("isa", _core.supported())
def test_adjoints_that_lack_taps_are_left_to_others(isa):
    """Strided along another axis, most of what lines would sum is nothing."""
    with _core.using(isa):
        told = cx.explain(cx.conv_transpose3d, (1, 8, 28, 28, 64), (64, 3, 1, 1, 64), stride=(1, 2, 2))
    assert told.algorithm != "winograd"


@pytest.mark.parametrize("isa", _core.supported())
def test_what_is_saved_grows_with_channels(isa):
    saved: dict[bool, list[float]] = {True: [], False: []}  # in strips, and one by one, which takes longer
    with _core.using(isa):
        for channels in (1, 2, 4, 8, 16, 32):
            x, filters = np.zeros((1, 40, 40, channels), np.float32), np.ones((32, 3, 3, channels), np.float32)
            problem = cx.conv2d.plan(x, filters).supposed()
            form = winograd_forms.form_of(problem)
            times = winograd_costs.saved(problem, form, winograd_forms.tiles_of(problem.axes, form))
            saved[_core.kernels.in_strips(channels)].append(times)
    assert all(each == sorted(each) for each in saved.values())
    assert saved[True][0] < 1 < saved[False][-1]


@pytest.mark.parametrize("isa", _core.supported())
@pytest.mark.parametrize(("channels", "filters", "groups", "options"), [
    (64, 90, 1, {}), (96, 160, 2, {"padding_mode": "wrap"}), (64, 64, 1, {"stride": 2}), (3, 1030, 1, {}),
], ids=str)  # fmt: skip
def test_threads_transform_filters_to_the_bits_of_one(channels, filters, groups, options, isa):
    rng = np.random.default_rng(channels)
    x = rng.standard_normal((1, 12, 13, channels)).astype(np.float32)
    taps = rng.standard_normal((filters, 3, 3, channels // groups)).astype(np.float32)
    options = {"padding": 1, "algorithm": "winograd", "groups": groups, **options}
    with _core.using(isa):
        with cx.threads(1):
            expected = cx.conv2d(x, taps, **options)
        for threads in (2, 3, 8):
            with cx.threads(threads):
                for _ in range(3):  # the first time, and as a call that is remembered
                    assert np.array_equal(cx.conv2d(x, taps, **options), expected)
