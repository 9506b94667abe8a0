"""Index tables: the adjoint from its definition, tables that would not fit, and what making one takes."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from memory import limited, peak

import pyconvx as cx
from pyconvx import _core, remember, windows
from pyconvx.geometry import Window, pool_windows
from pyconvx.padding import index_map
from pyconvx.testing.strategies import mode_names


def doubled(i, n):
    """Outside, the sum of two elements that may be one, of an element and its opposite, or of nothing at all."""
    index = np.stack([i % n, -i % n, i % n])
    weight = np.stack([np.ones(i.size), np.where(i % 3 == 0, 0.5, -1), np.where(i % 5 == 0, -1, 0)])
    inside = (i >= 0) & (i < n)
    return index, np.where(inside, [[1], [0], [0]], weight)


def adjoint_by_definition(window, mode, tap):
    """[window, element]: with which weight a window reads an element with a tap."""
    weights = np.zeros((window.out, window.source))
    for at in range(window.out):
        coordinate = np.array([at * window.stride + tap * window.dilation - window.before])
        table = index_map(cx.padding(mode), coordinate, window.source)
        weight = np.ones((1, 1)) if table.weight is None else table.weight
        for index, w in zip(table.index[:, 0], weight[:, 0], strict=True):
            if index != cx.OUTSIDE:
                weights[at, index] += w
    return weights


def check_adjoint(n, taps, stride, dilation, pads, mode, pairs=(windows.PAIRS,)):
    """By tables that are made from so many pairs of a position and a tap at once."""
    options = dict(stride=stride, dilation=dilation, padding=(pads,), padding_mode=mode)
    (out, _) = cx.output_shape(cx.conv1d, (n, 1), (1, taps, 1), **options)
    window = Window(n, taps, stride, dilation, *pads, out)
    wants = [adjoint_by_definition(window, mode, tap) for tap in range(taps)]
    for many in pairs:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(windows, "PAIRS", many)
            remember.forget()  # the table that was made of another number
            _core.forget()
            for filters, want in zip(np.eye(taps), wants, strict=True):
                _, pullback = cx.vjp(cx.conv1d, np.zeros((out, n, 1)), filters.reshape(1, taps, 1), **options)
                (gx, _) = pullback(np.eye(out)[:, :, None])
                np.testing.assert_array_equal(gx[:, :, 0], want)


@pytest.mark.parametrize("mode", [*mode_names(), "doubled"])
@given(
    n=st.integers(1, 9), taps=st.integers(1, 5), stride=st.integers(1, 4), dilation=st.integers(1, 12),
    before=st.integers(0, 25), after=st.integers(0, 25),
)  # fmt: skip
def test_the_adjoint_is_what_its_definition_says(mode, n, taps, stride, dilation, before, after):
    """Lines and rows of taps, one or several elements at once, pads of several reflections."""
    after += max(0, (taps - 1) * dilation + 1 - n - before - after)
    with cx.paddings.temporarily("doubled", doubled):
        check_adjoint(n, taps, stride, dilation, (before, after), mode, pairs=(windows.PAIRS, 7))


def test_a_long_kernel_meets_itself_in_a_reflection():
    check_adjoint(60, 41, 1, 1, (20, 20), "reflect")
    x, filters = np.random.default_rng(0).integers(-3, 4, (2, 1, 500, 1)).astype(float)
    y, pullback = cx.vjp(cx.conv1d, x, filters, padding=400, padding_mode="reflect")
    padded, unpad = cx.vjp(cx.pad, x, ((0, 0), (400, 400), (0, 0)), "reflect")
    _, plain = cx.vjp(cx.conv1d, padded, filters)
    np.testing.assert_array_equal(pullback(y)[0], unpad(plain(y)[0])[0])


@pytest.mark.parametrize("mode", ["zeros", "reflect", "odd_reflect"])
def test_taps_far_apart_take_no_memory_between_them(mode):
    out = limited(
        f"y, pullback = cx.vjp(cx.conv1d, x, f, dilation=2**28, padding=2**28, padding_mode={mode!r})\n"
        "gx, gf = pullback(np.ones_like(y))\n"
        "print(y.shape, gx.shape, np.isfinite(gx).all())"
    )
    assert out == "(5, 1) (5, 1) True"


TOO_LARGE = {
    "cx.conv1d(x, f, padding=2**31)": "(4294967299, 1)",
    "cx.conv1d(x, f, padding=2**29)": "(1073741827, 1)",
    "cx.conv2d(x[None], f[None], padding=2**28)": "(536870913, 536870915, 1)",
    "cx.vjp(cx.conv1d, x, f, padding=2**31)": "(4294967299, 1)",
    "cx.conv_transpose1d(x, f, stride=2**31)": "(8589934595, 1)",
    "cx.pad(x, ((2**40, 0), (0, 0)))": "(1099511627781, 1)",
    "cx.pad(x, 2**28)": "(536870917, 536870913)",
    "cx.pad(x[:, 0], 2**40, 'odd_reflect')": "(2199023255557,)",
    "cx.vjp(cx.pad, x[:, 0], 2**40, 'reflect')": "(2199023255557,)",
}


def test_a_result_too_large_is_named():
    code = "".join(f"try:\n  {call}\nexcept MemoryError as error:\n  print(error)\n" for call in TOO_LARGE)
    messages = limited(code).splitlines()
    for message, shape in zip(messages, TOO_LARGE.values(), strict=True):
        assert f"result of shape {shape}" in message


def test_the_overhang_of_ceil_mode_is_counted_without_writing_windows_out():
    window = Window(20_000, 3_000, 7, 1, 0, 0, 2430)
    assert (window.out - 1) * window.stride + window.taps > window.source
    assert peak(lambda: windows.forward_axis(window, None)) < 8e6  # all windows are 58 MB of positions


def test_a_table_of_mixes_takes_little_more_than_itself():
    window = Window(600, 401, 1, 1, 200, 200, 600)
    made = []
    used = peak(lambda: made.append(windows.adjoint_axis(window, cx.padding("odd_reflect"))))
    assert used < 4 * made[0].nbytes + 100 * windows.PAIRS


def test_a_transposed_convolution_longer_than_any_axis_is_refused():
    with pytest.raises(ValueError, match="size"):
        cx.conv_transpose1d(np.ones((3, 1)), np.ones((1, 1, 1)), stride=2**62, padding=2**62)


@pytest.mark.parametrize(
    ("sizes", "once"),
    [
        ((6, 2, 2, 0, 1), True),
        ((6, 3, 3, 0, 1), True),
        ((4, 2, 1, 0, 2), True),  # taps two apart, windows one apart
        ((6, 2, 1, 0, 1), False),
        ((7, 2, 2, 0, 1), False),
        ((6, 2, 2, 1, 1), False),
        ((6, 2, 3, 0, 1), False),
    ],
)
def test_an_axis_knows_whether_it_reads_each_coordinate_once(sizes, once):
    n, taps, stride, padding, dilation = sizes
    (window,) = pool_windows((n,), taps, stride, padding, dilation, False)
    axis = windows.forward_axis(window, None)
    assert axis.reads_once() is axis.reads_once() is once


def test_a_pooling_in_python_takes_little_memory_beyond_its_result():
    x = np.zeros((1600, 1600, 1), np.float32)
    slopes = {"gradient": lambda w, y: (w == y[..., None]).astype(w.dtype)}
    with cx.poolings.temporarily("largest", lambda w: w.max(-1), **slopes):
        cx.vjp(cx.pool2d, x[:9, :9], 2, "largest")  # what is kept of the registration
        taken = peak(lambda: cx.pool2d(x, 2, "largest", stride=1)) - x.nbytes
        y, pullback = cx.vjp(cx.pool2d, x, 2, "largest", stride=1)
        back = peak(lambda: pullback(y)) - x.nbytes
    assert max(taken, back) < 12 << 20  # where a number for each window takes more
