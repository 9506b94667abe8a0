"""Depthwise convolution and its gradients: equality with the reference, and what no cut of a row may change."""

import numpy as np
import pytest
from convolutions import conv, gradients_within_reference, within_reference
from hypothesis import given, settings
from isas import ISAS, under

import pyconvx as cx
from pyconvx import _core
from pyconvx.testing.strategies import FORMS, conv_cases

every_isa = pytest.mark.parametrize("isa", _core.supported())
every_dtype = pytest.mark.parametrize("dtype", [np.float32, np.float64])


@given(case=conv_cases(forms=FORMS, depthwise=True))
def test_equals_the_reference(case):
    within_reference(case, "depthwise")


@given(case=conv_cases(forms=FORMS, values=("normal", "whole"), depthwise=True))
def test_gradients_equal_the_reference(case):
    gradients_within_reference(case)


@pytest.mark.slow
@settings(max_examples=1000)
@given(case=conv_cases(forms=FORMS, values=("normal", "whole"), depthwise=True))
def test_equals_the_reference_at_length(case):
    within_reference(case, "depthwise")
    gradients_within_reference(case)


THREE = cx.padding("constant", value=3)


def arguments(shape, kernel, dtype=np.float32, seed=0):
    rng = np.random.default_rng(seed)
    channels = shape[-1]
    return rng.standard_normal(shape).astype(dtype), rng.standard_normal((channels, *kernel, 1)).astype(dtype)


@every_isa
@every_dtype
@pytest.mark.parametrize("channels", [2, 5, 12, 16, 24, 41])
@pytest.mark.parametrize(("kernel", "stride", "dilation"), [
    ((3, 3), 1, 1), ((3, 3), 2, 1), ((3, 3), 1, 2), ((1, 7), 1, 1), ((5, 5), 2, 1), ((4, 9), 1, 1), ((3, 11), 3, 2),
])  # fmt: skip
def test_the_bits_are_those_of_one_thread(kernel, stride, dilation, channels, dtype, isa):
    x, filters = arguments((2, 61, 66, channels), kernel, dtype)
    options = dict(padding="same", stride=stride, dilation=dilation, groups=channels)
    results = []
    for threads in (1, 3):
        with _core.using(isa), cx.threads(threads):
            y, pullback = cx.vjp(cx.conv2d, x, filters, algorithm="depthwise", **options)
            results.append((y, *pullback(y)))
    for one, other in zip(*results, strict=True):
        assert np.array_equal(one, other)


@every_dtype
@pytest.mark.parametrize("kernel", [(5, 5), (9, 9), (3, 9), (8, 2)])
@pytest.mark.parametrize(("stride", "dilation"), [(1, 1), (2, 1), ((1, 3), 1), (1, 2), (2, 3)])
@pytest.mark.parametrize(
    "mode",
    [
        *("zeros", "reflect", "wrap", "edge", "globe", THREE),
        *(("zeros", THREE), (THREE, "zeros"), ("reflect", THREE), (THREE, cx.padding("constant", value=5))),
    ],
)
def test_many_taps_at_borders(mode, stride, dilation, kernel, dtype):
    x, filters = arguments((2, 19, 22, 21), kernel, dtype)
    bias = np.arange(21, dtype=dtype)
    options = dict(padding=5, padding_mode=mode, stride=stride, dilation=dilation, groups=21)
    wide = [array.astype(np.float64) for array in (x, filters, bias)]
    want, exact = cx.vjp(cx.conv2d, *wide, algorithm="plain", activation="relu", **options)
    wants = want, *exact(want)[:2]
    close = 1e-5 if dtype is np.float32 else 1e-13
    for isa in ISAS:
        with under(isa), cx.threads(2):
            y, pullback = cx.vjp(cx.conv2d, x, filters, bias, algorithm="depthwise", activation="relu", **options)
            for got, expected in zip((y, *pullback(y)[:2]), wants, strict=True):
                assert np.abs(got - expected).max() <= close * np.abs(expected).max()


def by(name, x, filters, **options):
    """The result of a kernel for elements that may be anything."""
    with np.errstate(invalid="ignore"):
        return cx.conv2d(x, filters, algorithm=name, **options)


@every_isa
@every_dtype
@pytest.mark.parametrize("size", [(6, 17), (2, 2), (1, 1), (5, 40)])
@pytest.mark.parametrize("padding", [1, ((0, 4), (5, 1)), ((9, 3), (7, 30))], ids=str)
@pytest.mark.parametrize("kernel", [(3, 3), (2, 5), (3, 7), (1, 9)])
def test_zeros_beside_x_are_passed_over(kernel, padding, size, dtype, isa):
    """But infinities of filters are not, nor is anything of x."""
    x, filters = arguments((2, *size, 19), kernel, dtype)
    for options in ({}, {"stride": 2}, {"stride": (1, 3), "dilation": (1, 2)}, {"dilation": 2}):
        options = {"padding": padding, "groups": 19, **options}
        try:
            cx.output_shape(cx.conv2d, x.shape, filters.shape, **options)
        except ValueError:
            continue  # the taps are too far apart for so few places
        spoiled = x.copy()
        spoiled[0, 0, 0, :5], spoiled[1, -1, -1, 3:8] = np.nan, np.inf
        wild = filters.copy()
        wild[2, 0, 0], wild[7, -1, -1] = np.inf, np.nan
        with _core.using(isa):
            prepared = cx.prepare(filters)
            for array, forms in ((x, (filters, prepared)), (spoiled, (filters,)), (x, (wild,))):
                want = by("plain", array, forms[0], **options)
                for taps in forms * 2:  # the second call is done by a kernel that is ready
                    got = by("depthwise", array, taps, **options)
                    np.testing.assert_allclose(got, want, atol=1e-5 if dtype is np.float32 else 1e-13, rtol=0)


@every_isa
@every_dtype
@pytest.mark.parametrize("mode", ["zeros", "reflect", THREE], ids=repr)
@pytest.mark.parametrize("kernel", [(3, 3), (5, 5), (1, 4)])
def test_columns_that_are_crowded_in_the_caches(kernel, mode, dtype, isa):
    channels = 4096 // np.dtype(dtype).itemsize
    x, filters = arguments((2, 10, 11, channels), kernel, dtype)
    for options in ({}, {"stride": 2}, {"dilation": 2}, {"stride": (3, 1), "dilation": (1, 2)}):
        with _core.using(isa):
            given = dict(padding=4, padding_mode=mode, groups=channels, **options)
            got, want = (by(name, x, filters, **given) for name in ("depthwise", "plain"))
        np.testing.assert_allclose(got, want, atol=2e-5 if dtype is np.float32 else 1e-13, rtol=0)


@every_isa
@pytest.mark.parametrize(
    "view",
    [
        lambda x: x[:, ::2, 0][:, :, None],
        lambda x: x[:, ::-1, 0][:, :, None],
        lambda x: np.broadcast_to(x[:, :, :1], (2, 20, 24, 18)),
        lambda x: np.broadcast_to(x[:1, :1], (2, 20, 30, 18)),
    ],
)
@pytest.mark.parametrize("mode", ["zeros", "edge", THREE])
def test_many_taps_on_arrays_whose_places_share_memory(mode, view, isa):
    x = np.random.default_rng(1).standard_normal((2, 20, 30, 18)).astype(np.float32)
    given, (_, filters) = view(x), arguments((2, 20, 30, 18), (5, 5))
    options = dict(padding=2, padding_mode=mode, groups=18, algorithm="depthwise")
    with _core.using(isa):
        np.testing.assert_array_equal(cx.conv2d(given, filters, **options), cx.conv2d(given.copy(), filters, **options))


@every_isa
@pytest.mark.parametrize("width", [1, 2, 3, 5, 7, 12, 13, 14, 16, 29, 40])
@pytest.mark.parametrize(("kernel", "dilation"), [(3, 1), (3, 2), (5, 1), (7, 1), (8, 1), (11, 1)])
def test_a_place_has_the_same_bits_wherever_it_lies(kernel, dilation, width, isa):
    """Wrapped padding has no border: what is shifted is computed by other tiles, or one place at a time."""
    x, filters = arguments((9, width, 21), (3, kernel))
    options = dict(padding="same", padding_mode="wrap", dilation=dilation, groups=21, algorithm="depthwise")
    with _core.using(isa):
        y = cx.conv2d(x, filters, **options)
        for shift in (1, 2, 5):
            moved = cx.conv2d(np.roll(x, (shift, shift), (0, 1)), filters, **options)
            assert np.array_equal(moved, np.roll(y, (shift, shift), (0, 1)))


@every_isa
@every_dtype
@pytest.mark.parametrize("channels", [3, 9, 20, 33])
@pytest.mark.parametrize("stride", [1, 2, 3])
def test_writes_into_its_own_places_only(stride, channels, dtype, isa):
    for width in (2, 6, 11, 30, 47):
        x, filters = arguments((12, width, channels), (3, 3), dtype)
        options = dict(padding="same", stride=stride, groups=channels, algorithm="depthwise")
        with _core.using(isa):
            y = cx.conv2d(x, filters, **options)
            around = np.full(tuple(n + 4 for n in y.shape), 7, dtype)
            inner = around[2:-2, 2:-2, 2:-2]
            assert np.array_equal(cx.conv2d(x, filters, out=inner, **options), y)
        inner[...] = 7
        assert (around == 7).all()


@pytest.mark.parametrize(("kernel", "stride"), [(3, 1), (3, 2), (5, 2), (2, 3), (7, 4)])
def test_serves_the_adjoint_of_any_stride(kernel, stride):
    """With what is not finite in its windows only, and with the activation applied in the kernel."""
    x, filters = arguments((2, 14, 17, 32), (kernel, kernel))
    options = dict(stride=stride, groups=32)
    assert cx.explain(cx.conv_transpose2d, x.shape, filters.shape, **options).algorithm == "depthwise"
    z = cx.conv_transpose2d(x, filters, **options)
    for activation in ("relu", "softmax"):
        y = cx.conv_transpose2d(x, filters, activation=activation, **options)
        assert np.array_equal(y, cx.activate(z, activation))
    x[1, 5, 8, 3] = np.nan
    y = cx.conv_transpose2d(x, filters, **options)
    want = np.zeros(y.shape, bool)
    want[1, 5 * stride : 5 * stride + kernel, 8 * stride : 8 * stride + kernel, 3] = True
    assert np.array_equal(np.isnan(y), want)
    assert np.array_equal(y[~want], z[~want])


@every_isa
def test_rows_in_any_order_of_memory_give_the_bits_of_a_copy(isa):
    x, filters = arguments((2, 23, 30, 24), (3, 3))
    options = dict(padding="same", groups=24, algorithm="depthwise")
    with _core.using(isa):
        for view in (x[:, ::-1], x[:, :, ::-1], x[:, ::2, ::3], np.broadcast_to(x[:1, :1], x.shape), x[..., 1:19]):
            some = filters[: view.shape[-1]]
            some_options = {**options, "groups": view.shape[-1]}
            assert np.array_equal(cx.conv2d(view, some, **some_options), cx.conv2d(view.copy(), some, **some_options))


def test_long_rows_are_cut_into_segments():
    x, filters = arguments((1, 20_000, 8), (5,))
    for mode in ("zeros", "wrap", "odd_reflect"):
        for stride, dilation in ((1, 1), (2, 1), (1, 3)):
            options = dict(padding="same", padding_mode=mode, stride=stride, dilation=dilation, groups=8)
            want = conv(1)(x.astype("d"), filters.astype("d"), algorithm="plain", **options)
            got = conv(1)(x, filters, algorithm="depthwise", **options)
            assert np.abs(got - want).max() <= 1e-6 * np.abs(want).max()


@every_dtype
@pytest.mark.parametrize("mode", ["zeros", "odd_reflect"])
@pytest.mark.parametrize("kernel", [(17, 17), (1, 300), (3, 70)])
def test_gradients_of_many_taps(kernel, mode, dtype):
    x, filters = arguments((2, 20, 310, 10), kernel, dtype)
    options = dict(padding="same", padding_mode=mode, groups=10)
    gy = np.random.default_rng(1).standard_normal(x.shape)
    want = cx.vjp(cx.conv2d, x.astype("d"), filters.astype("d"), algorithm="plain", **options)[1](gy)[1]
    for isa in ISAS:
        with under(isa):
            got = cx.vjp(cx.conv2d, x, filters, **options)[1](gy.astype(dtype))[1]
            assert np.abs(got - want).max() <= (1e-5 if dtype == np.float32 else 1e-14) * np.abs(want).max()


def test_gradients_of_very_many_places_are_summed_in_parts():
    x, filters = arguments((36, 112, 112, 32), (3, 3))
    gy = arguments(x.shape, (3, 3), seed=1)[0]

    def gradient(part):
        return cx.vjp(cx.conv2d, x[part], filters, padding="same", groups=32)[1](gy[part])[1].astype(np.float64)

    whole, halves = gradient(slice(None)), gradient(slice(18)) + gradient(slice(18, None))
    assert np.abs(whole - halves).max() <= 1e-6 * np.abs(whole).max()


@every_isa
@every_dtype
@pytest.mark.parametrize("channels", [2, 8, 40])
@pytest.mark.parametrize("kernel", [1, 2, 3])
def test_what_reads_nothing_is_no_neighbour_of_what_reads(kernel, channels, dtype, isa):
    """In the adjoint of a strided convolution, places that no window saw follow one that a padding shows."""
    x, filters = arguments((1, 2, 7, channels), (1, kernel), dtype)
    options = dict(stride=2, padding=1, groups=channels, padding_mode=("zeros", "wrap"))
    with _core.using(isa):
        y, pullback = cx.vjp(cx.conv2d, x, filters, **options)
        gy = np.random.default_rng(1).standard_normal(y.shape).astype(dtype)
        got = pullback(gy)[0]
    want = cx.vjp(cx.conv2d, x.astype("d"), filters.astype("d"), algorithm="plain", **options)[1](gy.astype("d"))[0]
    assert np.abs(got - want).max() <= (1e-5 if dtype == np.float32 else 1e-13)


@pytest.mark.parametrize("mode", ["zeros", "edge", "reflect"])
@pytest.mark.parametrize("dilation", [1, 2, 3])
def test_any_strides_read_nothing_but_x(dilation, mode):
    """All combinations of strides with 3 x 3 taps; what lies around x in memory is NaN."""
    rng = np.random.default_rng(2)
    around = np.full((3, 24, 30, 8), np.nan, np.float32)
    around[1] = rng.standard_normal(around[1].shape)
    x, filters = around[1:2], rng.standard_normal((8, 3, 3, 1)).astype(np.float32)
    for stride in np.ndindex(5, 5):
        options = dict(stride=tuple(s + 1 for s in stride), dilation=dilation, padding=2, padding_mode=mode, groups=8)
        want = cx.conv2d(x.astype("d"), filters.astype("d"), algorithm="plain", **options)
        for isa in ISAS:
            with under(isa):
                got = cx.conv2d(x, filters, algorithm="depthwise", **options)
                assert np.abs(got - want).max() <= 1e-5 * np.abs(want).max(), stride


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_gradient_of_many_taps_does_not_depend_on_the_threads(dtype):
    """So many products that rows of places are visited in turns."""
    rng = np.random.default_rng(0)
    x, filters = (rng.standard_normal(shape).astype(dtype) for shape in ((8, 4, 4, 4, 64), (64, 5, 5, 5, 1)))
    options = dict(padding="full", padding_mode="edge", dilation=2, groups=64)
    results = []
    for threads in (1, 2, 3, 8):
        with cx.threads(threads):
            y, pullback = cx.vjp(cx.conv3d, x, filters, **options)
            results.append(pullback(np.cos(np.arange(y.size, dtype=dtype)).reshape(y.shape))[1])
    for result in results[1:]:
        np.testing.assert_array_equal(result, results[0])
