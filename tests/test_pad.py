"""Padding: bitwise numpy.pad, the reference, every registered mode, gradients."""

import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from memory import peak

import pyconvx as cx
from pyconvx.testing import reference
from pyconvx.testing.bounds import absolute, absolute_mode, assert_within, gamma, reference_mode
from pyconvx.testing.strategies import FORMS, Drawn, mode_names, pad_cases

NUMPY = {
    "zeros": {"mode": "constant"},
    "edge": {"mode": "edge"},
    "reflect": {"mode": "reflect"},
    "symmetric": {"mode": "symmetric"},
    "wrap": {"mode": "wrap"},
    "odd_reflect": {"mode": "reflect", "reflect_type": "odd"},
    "odd_symmetric": {"mode": "symmetric", "reflect_type": "odd"},
}
EVEN = ("zeros", "edge", "reflect", "symmetric", "wrap")
# Before NumPy 2.0 numpy.pad does not repeat a reflection evenly; compare within one reflection there.
NUMPY_REPEATS = np.lib.NumpyVersion(np.__version__) >= "2.0.0"


def widths(case):
    return reference.padding.pad_pairs(case.pad_width, len(case.x.shape))


def short(case):
    """Whether no amount passes a single reflection."""
    return all(max(pair) < n for pair, n in zip(widths(case), case.x.shape, strict=True))


@pytest.mark.parametrize("name", EVEN)
@given(case=pad_cases(crop=False, forms=FORMS, modes=("zeros",)))
def test_is_numpy_pad_bitwise(name, case):
    if not NUMPY_REPEATS and not short(case):
        return
    got = cx.pad(case.x.array, case.pad_width, name)
    want = np.pad(case.x.plain, widths(case), **NUMPY[name])
    assert got.dtype == want.dtype
    np.testing.assert_array_equal(got, want, strict=True)


@given(case=pad_cases(crop=False, modes=("zeros",)), value=st.sampled_from([0, 1, 7]))
def test_constant_is_numpy_pad_bitwise(case, value):
    x = case.x.array
    value = min(value, 1) if x.dtype == bool else value
    want = np.pad(x, widths(case), constant_values=value)
    np.testing.assert_array_equal(cx.pad(x, case.pad_width, "constant", value=value), want, strict=True)


@pytest.mark.parametrize("name", ["odd_reflect", "odd_symmetric"])
@given(case=pad_cases(crop=False, forms=FORMS, modes=("zeros",)))
def test_odd_modes_are_numpy_pad_bitwise(name, case):
    """Integers and floats, any number of reflections, which numpy rounds one by one."""
    if not NUMPY_REPEATS and not short(case):
        return
    with np.errstate(all="ignore"):
        want = np.pad(case.x.plain, widths(case), **NUMPY[name])
    np.testing.assert_array_equal(cx.pad(case.x.array, case.pad_width, name), want, strict=True)


@pytest.mark.parametrize("name", ["odd_reflect", "odd_symmetric"])
@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
@pytest.mark.parametrize("width", [(3, 3), (0, 40), (17, 2), (200, 100)])
def test_odd_modes_are_numpy_pad_bitwise_for_any_float(name, dtype, width):
    """Zeros of either sign, infinities and overflow included."""
    if not NUMPY_REPEATS and max(width) > 3:
        return
    values = [0.0, -0.0, 1.0, -1.5, 1e-7, float(np.finfo(dtype).max) * 0.75, np.inf, -np.inf, np.nan]
    random = np.random.default_rng(0)
    with np.errstate(all="ignore"):
        for x in random.choice(values, (200, 4)).astype(dtype), random.standard_normal((50, 4)).astype(dtype):
            got, want = cx.pad(x, ((0, 0), width), name), np.pad(x, ((0, 0), width), **NUMPY[name])
            np.testing.assert_array_equal(got, want, strict=True)
            np.testing.assert_array_equal(np.signbit(got[~np.isnan(got)]), np.signbit(want[~np.isnan(want)]))


@pytest.mark.parametrize("name", ["odd_reflect", "odd_symmetric"])
@pytest.mark.parametrize("width", [(-2, 9), (8, -3), (-1, -1), (-4, 30)])
def test_odd_modes_extend_first_and_crop_then(name, width):
    x = np.random.default_rng(0).standard_normal((2, 5, 3)).astype(np.float32)
    whole = cx.pad(x, ((0, 0), tuple(max(amount, 0) for amount in width), (0, 0)), name)
    first, stop = max(-width[0], 0), whole.shape[1] + min(width[1], 0)
    y = cx.pad(x, ((0, 0), width, (0, 0)), name)
    assert y.flags.c_contiguous
    np.testing.assert_allclose(y, whole[:, first:stop], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", ["odd_reflect", "odd_symmetric"])
def test_odd_modes_need_no_more_memory_than_their_result(name):
    width = (2**27, 4 - 2**27)
    assert peak(lambda: cx.pad(np.arange(3.0), width, name)) < 2**25
    assert cx.pad(np.arange(3.0), width, name).shape == (7,)


@pytest.mark.parametrize("name", ["odd_reflect", "odd_symmetric"])
@pytest.mark.parametrize("value", [0.1, np.inf, np.nan, 3e38, -0.0])
@pytest.mark.parametrize("width", [(1, 0), (3, 4), (20, 30)])
def test_odd_modes_extend_a_single_element_as_it_is(name, value, width):
    x = np.array([[value], [1.5]], np.float32)
    want = np.pad(x, ((0, 0), width), **NUMPY[name])
    np.testing.assert_array_equal(cx.pad(x, ((0, 0), width), name), want, strict=True)
    np.testing.assert_array_equal(reference.pad(x.astype(np.float64), ((0, 0), width), name), want.astype(np.float64))
    y = cx.conv1d(x[:1].T, np.ones((1, 1, 1), "f"), padding=[width], padding_mode=name)
    np.testing.assert_array_equal(y[:, 0], want[0])
    assert np.array_equal(np.signbit(y[:, 0]), np.signbit(want[0])) or value == 0


def test_a_rule_need_not_be_hashable():
    class Rule:
        __hash__ = None

        def __call__(self, i, n):
            return np.clip(i, 0, n - 1)

    with cx.paddings.temporarily("test:rule", Rule()):
        for dtype in ("f", "d", "i"):
            x = np.arange(3).astype(dtype)
            np.testing.assert_array_equal(cx.pad(x, 2, "test:rule"), cx.pad(x, 2, "edge"))


@pytest.mark.parametrize("mode", ["reflect", "odd_symmetric", "zeros"])
def test_long_pads_are_made_in_parts(mode, monkeypatch):
    x, width = np.random.default_rng(0).standard_normal((2, 5, 3)), ((0, 1), (9, 23), (-1, 4))
    y, pullback = cx.vjp(cx.pad, x, width, mode)
    (gx,) = pullback(y)
    monkeypatch.setattr(sys.modules[cx.pad.__module__], "PART", 4)
    other, pullback = cx.vjp(cx.pad, x, width, mode)
    np.testing.assert_array_equal(other, y)
    np.testing.assert_allclose(pullback(y)[0], gx, rtol=1e-13)  # parts add up in another order


@given(case=pad_cases(dtypes=("float32", "float64", "int32", "bool"), values=("normal",)))
def test_equals_the_reference(case):
    """Every registered mode, one per axis too, with crops."""
    x, mode = case.x.plain, reference_mode(case.mode)
    got, want = cx.pad(x, case.pad_width, case.mode), reference.pad(x, case.pad_width, mode)
    assert got.dtype == x.dtype
    if "odd" not in str(case.mode) or x.dtype.kind != "f":
        np.testing.assert_array_equal(got, want)
    else:
        want = reference.pad(x.astype(np.float64), case.pad_width, mode)
        size = reference.pad(absolute(x), case.pad_width, absolute_mode(mode))
        assert_within(got, want, gamma(3**x.ndim * 4 + 8, x.dtype) * size)


@given(case=pad_cases(dtypes=("float32", "float64"), values=("normal",)), seed=st.integers(0, 99))
def test_gradient_equals_the_reference(case, seed):
    x, mode = case.x.plain, reference_mode(case.mode)
    y, pullback = cx.vjp(cx.pad, x, case.pad_width, case.mode)
    np.testing.assert_array_equal(y, cx.pad(x, case.pad_width, case.mode))
    gy = np.random.default_rng(seed).standard_normal(y.shape).astype(x.dtype)
    (gx,) = pullback(gy)
    assert gx.dtype == x.dtype
    want = reference.pad_vjp(x, case.pad_width, mode, gy=gy)
    size = reference.pad_vjp(absolute(x), case.pad_width, absolute_mode(mode), gy=absolute(gy))
    assert_within(gx, want, gamma(3 * y.size + 8, x.dtype) * size)
    np.testing.assert_array_equal(gx, pullback(gy)[0])


@given(case=pad_cases(dtypes=("float64",), values=("whole",)), seed=st.integers(0, 99))
def test_adjoint(case, seed):
    """<pad(x) - pad(0), g> = <x, pullback(g)>, exactly for whole numbers; the constants are pad(0)."""
    x = case.x.plain
    y, pullback = cx.vjp(cx.pad, x, case.pad_width, case.mode)
    g = np.random.default_rng(seed).integers(-3, 4, y.shape).astype(np.float64)
    constants = cx.pad(np.zeros_like(x), case.pad_width, case.mode)
    assert ((y - constants) * g).sum() == (x * pullback(g)[0]).sum()


@given(case=pad_cases(forms=FORMS))
def test_memory_form_does_not_change_a_bit(case):
    got = cx.pad(case.x.array, case.pad_width, case.mode)
    np.testing.assert_array_equal(got, cx.pad(case.x.plain, case.pad_width, case.mode), strict=True)
    assert got.dtype.isnative


@pytest.mark.parametrize("name", mode_names())
@given(case=pad_cases(dtypes=("float64",), crop=False, modes=("zeros",)))
def test_cropping_takes_back_what_was_added(name, case):
    x, pairs = case.x.plain, widths(case)
    back = tuple((-before, -after) for before, after in pairs)
    np.testing.assert_array_equal(cx.pad(cx.pad(x, pairs, name), back, name), x)


@pytest.mark.parametrize("name", mode_names())
def test_aliases_are_the_same_mode(name):
    x = Drawn((3, 4), "float64").plain
    for alias, canonical in cx.paddings.aliases().items():
        if canonical == name:
            np.testing.assert_array_equal(cx.pad(x, 5, alias), cx.pad(x, 5, name))


@pytest.mark.parametrize("name", [n for n in EVEN if n not in ("zeros",)])
def test_special_values_and_negative_zero_are_copied(name):
    x = np.array([-0.0, np.nan, np.inf, 1e-45, 3.0], np.float32)
    got = cx.pad(x, 9, name)
    want = np.pad(x, 9, **NUMPY[name])
    assert got.tobytes() == want.tobytes()


def test_pictures_of_the_modes():
    x = [1, 2, 3]
    assert cx.pad(x, 2, "reflect").tolist() == [3, 2, 1, 2, 3, 2, 1]
    assert cx.pad(x, (1, 0), "wrap").tolist() == [3, 1, 2, 3]
    assert cx.pad(x, 1, "odd_reflect").tolist() == [0, 1, 2, 3, 4]
    assert cx.pad(x, (-1, 1), "constant", value=9).tolist() == [2, 3, 9]
    assert cx.pad([[1, 2], [3, 4]], ((1, 0), (0, 1)), ("edge", "wrap")).tolist() == [[1, 2, 1], [1, 2, 1], [3, 4, 3]]


@pytest.mark.parametrize("name", [m for m in mode_names() if m not in ("zeros", "constant")])
def test_an_empty_axis_cannot_be_extended(name):
    with pytest.raises(ValueError, match="empty axis"):
        cx.pad(np.zeros((0, 3)), ((1, 1), (0, 0)), name)
    assert cx.pad(np.zeros((0, 3)), ((0, 0), (1, 1)), name).shape == (0, 5)


def test_zeros_extend_an_empty_axis():
    np.testing.assert_array_equal(cx.pad(np.ones((0, 2)), ((1, 1), (0, 0))), np.zeros((2, 2)))


def test_a_weighted_rule_and_its_gradient():
    def fading(i, n):
        return np.clip(i, 0, n - 1), 0.5 ** np.maximum(np.maximum(-i, i - n + 1), 0)

    with cx.paddings.temporarily("fading", fading):
        x = np.array([4.0, 8.0])
        y, pullback = cx.vjp(cx.pad, x, 2, "fading")
        np.testing.assert_array_equal(y, [1, 2, 4, 8, 4, 2])
        np.testing.assert_array_equal(pullback(np.ones(6))[0], [1.75, 1.75])
        np.testing.assert_array_equal(y, reference.pad(x, 2, fading))


def test_bool_has_no_weighted_sums():
    """But the odd modes of numpy, which are a logical or."""

    def half(i, n):
        return i.clip(0, n - 1), np.where((i < 0) | (i >= n), 0.5, 1.0)

    x = np.ones((3, 4), bool)
    with cx.paddings.temporarily("test:half", half):
        for call in (cx.pad, lambda *a: cx.vjp(cx.pad, *a)):
            with pytest.raises(TypeError, match=r"mode .*'test:half' takes weighted sums.*bool has no arithmetic"):
                call(x, 2, "test:half")
        np.testing.assert_array_equal(cx.pad(x, ((2, 2), (0, 0)), ("edge", "test:half")), np.ones((7, 4), bool))


@pytest.mark.parametrize("joint", [False, True])
def test_fractions_of_integers_are_refused(joint):
    """A half of 200 is no 0, which is what casting weights to integers would make of it."""

    def half(i, n):
        if joint:
            (i,), (n,) = i, n
        index = i.clip(0, n - 1)
        return ((index,) if joint else index), np.where((i < 0) | (i >= n), 0.5, 1.0)

    fields = {"joint": True, "ranks": (1,)} if joint else {}
    x = np.array([200, 100], np.uint8)
    with cx.paddings.temporarily("half", half, **fields):
        with pytest.raises(TypeError, match="mode 'half' takes fractions of elements, which uint8 does not hold"):
            cx.pad(x, 1, "half")
        with pytest.raises(TypeError, match="padding_mode 'half' takes fractions of elements"):
            cx.pool1d(x[:, None], 2, "min", padding=1, stride=1, padding_mode="half")
        assert cx.pad(x.astype(np.float32), 1, "half").tolist() == [100, 200, 100, 50]
        assert cx.pool1d(x[:, None], 2, "avg", padding=1, stride=1, padding_mode="half").ravel().tolist() == [
            150,
            150,
            75,
        ]
