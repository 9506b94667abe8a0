"""Convolution by Fourier transforms: it agrees with the reference, and spreads nothing that the definition does not."""

import numpy as np
import pytest
from isas import ISAS, under

import pyconvx as cx
from pyconvx import _core
from pyconvx.functional import fft
from pyconvx.functional.problem import plain
from pyconvx.testing import reference
from pyconvx.testing.strategies import mode_names

PROMISE = {np.dtype("f"): 1e-5, np.dtype("d"): 1e-14}  # of max|y|


def close(got, want, dtype):
    assert got.shape == want.shape
    assert np.abs(got - want).max(initial=0) <= PROMISE[np.dtype(dtype)] * np.abs(want).max(initial=0)


def cases(count, seed):
    """Random configurations with one channel per group: (rank, x, filters, bias, options)."""
    rng = np.random.default_rng(seed)
    modes = mode_names()
    for _ in range(count):
        rank = int(rng.choice([1, 2, 2, 2, 3]))
        groups, outputs = int(rng.choice([1, 1, 2, 5])), int(rng.choice([1, 1, 2, 3]))
        kernel = tuple(int(n) for n in rng.choice([1, 2, 5, 8, 13, 20], rank))
        sizes = tuple(int(n) for n in rng.integers(1, 80, rank))
        if rank == 3:
            kernel, sizes = (1, *kernel[1:]), (int(rng.integers(1, 4)), *sizes[1:])
        dtype = np.float32 if rng.random() < 0.7 else np.float64
        options = dict(
            padding=str(rng.choice(["same", "full", "same_lower"])), groups=groups,
            dilation=int(rng.choice([1, 1, 1, 2, 3])),
            padding_mode=tuple(str(mode) for mode in rng.choice(modes, rank)),
        )  # fmt: skip
        x = rng.standard_normal((int(rng.integers(1, 3)), *sizes, groups)).astype(dtype)
        filters = rng.standard_normal((outputs * groups, *kernel, 1)).astype(dtype)
        bias = rng.standard_normal(outputs * groups).astype(dtype) if rng.random() < 0.5 else None
        yield rank, x, filters, bias, options


def conv(rank):
    return {1: cx.conv1d, 2: cx.conv2d, 3: cx.conv3d}[rank]


def test_transforms_agree_with_the_reference():
    for rank, x, filters, bias, options in cases(60, 1):
        want = reference.conv(*(a if a is None else a.astype(np.float64) for a in (x, filters, bias)), **options)
        for isa in ISAS:
            with under(isa):
                close(conv(rank)(x, filters, bias, algorithm="fft", **options), want, x.dtype)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("rows", fft.LENGTHS)
def test_transforms_of_all_lengths(rows, dtype, monkeypatch):
    rng = np.random.default_rng(rows)
    monkeypatch.setattr(fft, "_tile", lambda *_: (tile, 0.0))
    for columns in fft.LENGTHS[:: -1 if rows % 3 else 1][:4]:
        tile = rows, columns
        x = rng.standard_normal((rows + 5, columns + 40, 1)).astype(dtype)
        filters = rng.standard_normal((1, 19, 23, 1)).astype(dtype)
        wide = x.astype(np.float64), filters.astype(np.float64)
        want = cx.conv2d(*wide, padding="same", padding_mode="wrap", algorithm="direct")
        for isa in ISAS:
            with under(isa):
                close(cx.conv2d(x, filters, padding="same", padding_mode="wrap", algorithm="fft"), want, dtype)


@pytest.mark.parametrize("isa", _core.supported())
def test_an_adjoint_by_transforms_agrees_with_the_definition(isa):
    """Its tables are read in reverse, with gaps."""
    fits = 0
    for rank, x, filters, _, options in cases(60, 2):
        gy = conv(rank)(x, filters, **options)
        transpose = {1: cx.conv_transpose1d, 2: cx.conv_transpose2d, 3: cx.conv_transpose3d}[rank]
        options = {**options, "padding_mode": "zeros"}
        with _core.using(isa):
            plan = transpose.plan(gy, filters, **options)
            problem, got = plan.problem(), np.empty(plan.form.canonical_shape, x.dtype)
            if fft.unfit(problem) is not None:  # several filters are as many channels of the adjoint
                continue
            fits += 1
            assert fft.kernel(problem, got).fill(problem.x, None, got) is None
        want = np.empty(got.shape)
        wide = transpose.plan(gy.astype(np.float64), filters.astype(np.float64), **options).problem()
        plain(wide, want).fill(wide.x, None, want)
        close(got, want, x.dtype)
    assert fits > 20


@pytest.mark.parametrize("mode", ["zeros", "reflect", "wrap", "odd_reflect"])
def test_the_gradients_of_a_picture_agree_with_the_definition(mode):
    rng = np.random.default_rng(4)
    x, filters = rng.standard_normal((90, 110, 1)), rng.standard_normal((2, 25, 21, 1))
    options = dict(padding="same", padding_mode=mode)
    want, exact = cx.vjp(cx.conv2d, x, filters, algorithm="plain", **options)
    assert cx.explain(cx.conv2d, x.shape, filters.shape, **options).algorithm == "fft"
    y, pullback = cx.vjp(cx.conv2d, x.astype(np.float32), filters.astype(np.float32), **options)
    for got, expected in zip((y, *pullback(y)), (want, *exact(y.astype(np.float64))), strict=True):
        close(got, expected, np.float32)


@pytest.mark.parametrize("outputs", [1, 3])
@pytest.mark.parametrize("groups", [1, 4])
def test_threads_strides_and_prepared_filters_change_no_bit(groups, outputs):
    rng = np.random.default_rng(5)
    room = rng.standard_normal((2, 150, 171, groups + 2)).astype(np.float32)
    x, filters = room[:, 3:140, 2:165, :groups], rng.standard_normal((outputs * groups, 17, 17, 1)).astype(np.float32)
    options = dict(padding="same", groups=groups, algorithm="fft")
    want = cx.conv2d(x.copy(), cx.prepare(filters), **options)
    around = np.full((2, 141, 167, outputs * groups + 2), 7, np.float32)
    out = around[:, 2:-2, 2:-2, 1:-1]
    for threads in (1, 2, 5):
        with cx.threads(threads):
            assert np.array_equal(cx.conv2d(x, cx.prepare(filters), **options), want)
            assert np.array_equal(cx.conv2d(x, cx.prepare(filters), out=out, **options), want)
            assert np.array_equal(out, want)
    out[...] = 7
    assert (around == 7).all()
    for _ in range(2):  # other transforms may be best where those of filters count
        close(cx.conv2d(x, filters, **options), want, np.float32)


@pytest.mark.parametrize("many", [False, True])
def test_what_is_not_finite_or_huge_stays_in_its_windows(many):
    """One element, whose tile is done again by itself, or one in each tile, so that all are."""
    rng = np.random.default_rng(6)
    x = rng.standard_normal((2, 401, 397, 1)).astype(np.float32)
    filters = rng.standard_normal((1, 11, 13, 1)).astype(np.float32)
    at = np.zeros(x.shape, bool)
    at[(slice(None), slice(7, None, 60), slice(9, None, 50)) if many else (1, 200, 33)] = True
    options = dict(padding="same", padding_mode="reflect")
    seen = cx.conv2d(at.astype(np.float32), np.ones_like(filters), algorithm="plain", **options) > 0
    wide = np.where(at, 0, x).astype(np.float64), filters.astype(np.float64)
    exact = cx.conv2d(*wide, algorithm="direct", **options)[~seen]  # where the elements are not seen
    for value in (np.nan, np.inf, -np.inf, 1e30, 1e12, 1e6):
        x[at] = value
        for isa in ISAS:
            with under(isa):
                y = cx.conv2d(x, filters, algorithm="fft", **options)
                if not np.isfinite(value):
                    assert (~np.isfinite(y) == seen).all(), value
                assert np.abs(y[~seen] - exact).max() <= 1e-5 * np.abs(exact).max(), value


def test_a_tile_of_zeros_beside_another_gives_zeros():
    x = np.zeros((600, 600, 1), np.float32)
    x[:200] = np.random.default_rng(7).standard_normal((200, 600, 1))
    y = cx.conv2d(x, np.ones((1, 31, 31, 1), np.float32), padding="same", algorithm="fft")
    assert (y[500:] == 0).all()


def test_sums_that_only_the_transform_overflows_are_done_again():
    x, filters = np.full((64, 64, 1), 1e36, np.float32), np.full((1, 9, 9, 1), 1e-3, np.float32)
    y = cx.conv2d(x, filters, algorithm="fft")
    assert np.isfinite(y).all()
    close(y, cx.conv2d(x, filters, algorithm="plain"), np.float32)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_rounding_does_not_grow_with_the_size(dtype):
    for value in (0.1, 1 / 3, 0.7):
        x, filters = np.full((300, 310, 1), value, dtype), np.full((1, 100, 120, 1), value, dtype)
        y = cx.conv2d(x, filters, algorithm="fft")
        exact = np.longdouble(dtype(value)) ** 2 * 12_000
        assert np.abs(y - exact).max() <= PROMISE[np.dtype(dtype)] * exact


@pytest.mark.parametrize(
    ("x", "filters", "options", "match"),
    [
        ((64, 64, 3), (1, 9, 9, 3), {}, "one channel"),
        ((64, 64, 1), (1, 9, 9, 1), {"stride": 2}, "neighbours"),
        ((9, 64, 64, 1), (1, 3, 9, 9, 1), {}, "first of three axes"),
        ((600, 600, 1), (1, 300, 300, 1), {}, "300 x 300"),
    ],
)
def test_what_transforms_cannot_do_is_refused_with_the_reason(x, filters, options, match):
    function = conv(len(x) - 1)
    with pytest.raises(ValueError, match=match):
        function(np.ones(x, np.float32), np.ones(filters, np.float32), algorithm="fft", **options)


def test_filters_that_are_not_finite_leave_transforms_out():
    x, filters = np.ones((300, 300, 1), np.float32), np.ones((1, 31, 31, 1), np.float32)
    assert cx.explain(cx.conv2d, x.shape, filters.shape).algorithm == "fft"
    cx.conv2d(x, filters)
    filters[0, 0, 0, 0] = np.inf
    for _ in range(2):
        assert np.isinf(cx.conv2d(x, filters)).all()
    with pytest.raises(ValueError, match="infinities"):
        cx.conv2d(x, filters, algorithm="fft")


@pytest.mark.parametrize(("kernel", "algorithm"), [(3, "planes"), (5, "planes"), (31, "fft"), (63, "fft")])
def test_transforms_are_for_large_kernels(kernel, algorithm):
    report = cx.explain(cx.conv2d, (512, 512, 1), (1, kernel, kernel, 1), padding="same")
    assert report.algorithm == algorithm


def test_scratch_is_bounded():
    for dtype in (np.float32, np.float64):
        for kernel in (9, 31, 63, 101):
            with cx.threads(1):
                plan = cx.conv2d.plan(np.ones((900, 900, 1), dtype), np.ones((2, kernel, kernel, 1), dtype))
                y = np.empty(plan.form.canonical_shape, dtype)
                assert fft.kernel(plan.problem(), y).scratch < 1.2 * 2**20


@pytest.mark.parametrize("mode", ["odd_reflect", "odd_symmetric", "constant"])
@pytest.mark.parametrize("groups", [1, 3])
def test_tiles_that_are_done_again_read_their_own_padding(groups, mode):
    rng = np.random.default_rng(8)
    x = rng.standard_normal((2, 301, 297, groups)).astype(np.float32)
    filters = rng.standard_normal((2 * groups, 15, 13, 1)).astype(np.float32)
    bias = rng.standard_normal(2 * groups).astype(np.float32)
    x[1, 299, 2, 0] = np.nan
    options = dict(padding="same", padding_mode=mode, groups=groups)
    y = cx.conv2d(x, filters, bias, algorithm="fft", **options)
    want = cx.conv2d(x, filters, bias, algorithm="plain", **options)
    assert (np.isnan(y) == np.isnan(want)).all()
    close(np.nan_to_num(y), np.nan_to_num(want), np.float32)
