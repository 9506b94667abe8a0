"""Where a maximum or a minimum is: indices, ties, NaN, exact dtypes, and the gradient that goes there."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from isas import ISAS, under
from poolings import POOL, told

import pyconvx as cx
from pyconvx import _core
from pyconvx.testing import reference
from pyconvx.testing.strategies import FORMS, REALS, pool_cases

from .cases import every_isa


@pytest.mark.parametrize("kind", ["max", "min"])
@given(data=st.data())
def test_indices_say_where_the_extremum_is(kind, data):
    """Equal to the reference with many ties, and they find the value again."""
    case = data.draw(pool_cases(kinds=(kind,), dtypes=REALS, values=("whole",)))
    options = dict(case.options)
    if options["padding_mode"] is not None:
        options["padding_mode"] = "reflect"
    x = case.x.plain
    want_y, want = reference.pool(x, case.size, kind, rank=case.rank, return_indices=True, **options)
    gy = np.ones(want_y.shape, x.dtype if x.dtype.kind == "f" else np.float64)
    expected = reference.pool_vjp(x, case.size, kind, gy=gy, rank=case.rank, **options)
    for isa in ISAS:
        with under(isa):
            y, indices = POOL[case.rank](x, case.size, kind, return_indices=True, **options)
            same = POOL[case.rank](x, case.size, kind, **options)
            (again, _), pullback = cx.vjp(POOL[case.rank], x, case.size, kind, return_indices=True, **options)
            assert indices.dtype == np.intp
            assert y.dtype == x.dtype
            np.testing.assert_array_equal(y, want_y)
            np.testing.assert_array_equal(indices, want)
            np.testing.assert_array_equal(same, y)
            np.testing.assert_array_equal(again, y)
            np.testing.assert_array_equal(pullback(gy)[0], expected)


@pytest.mark.parametrize("kind", ["max", "min"])
@given(data=st.data())
def test_exact_kinds_keep_every_dtype(kind, data):
    case = data.draw(pool_cases(kinds=(kind,), dtypes=REALS, forms=FORMS))
    if "odd" in str(case.options["padding_mode"]) or "constant" in str(case.options["padding_mode"]):
        case.options["padding_mode"] = "edge"
    _, options = told(case)
    y = POOL[case.rank](case.x.array, case.size, kind, **case.options)
    assert y.dtype == np.dtype(case.x.dtype)
    np.testing.assert_array_equal(y, reference.pool(case.x.plain, case.size, kind, rank=case.rank, **options))


@pytest.mark.parametrize("dtype", ["int64", "uint64", "int32", "uint8", "bool", "float16"])
def test_extreme_integers_are_not_rounded(dtype):
    info = np.iinfo(dtype) if np.dtype(dtype).kind in "iu" else None
    low, high = (info.min, info.max) if info else (0, 1)
    x = np.array([low, high - 1 if info else high, high, low], dtype).reshape(1, 4, 1)
    assert cx.pool1d(x, 4, "max")[0, 0, 0] == high
    assert cx.pool1d(x, 4, "min")[0, 0, 0] == low
    if info:
        assert cx.pool1d(x[:, :2], 2, "max")[0, 0, 0] == high - 1


@every_isa
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("kind", ["max", "min"])
def test_ties_nan_and_infinities(isa, kind, dtype):
    sign = 1 if kind == "max" else -1
    inf, nan = sign * np.inf, np.nan
    windows = {
        (3, 3, 1): (3, 0),
        (1, 3, 3): (3, 1),
        (0.0, -0.0, -1): (0.0, 0),
        (1, nan, 5): (nan, 1),
        (nan, 2, nan): (nan, 0),
        (-inf, -inf, -inf): (-inf, 0),
        (-inf, 2, inf): (inf, 2),
        (inf, inf, nan): (nan, 2),
    }
    for window, (value, index) in windows.items():
        x = np.array([v if v in (inf, -inf) else sign * v for v in window], dtype).reshape(1, 3, 1)
        x = np.repeat(x, 20, axis=2)  # enough channels for every width of vector, and a rest
        with _core.using(isa):
            y, indices = cx.pool1d(x, 3, kind, return_indices=True)
        expected = value if value in (inf, -inf) else sign * value
        np.testing.assert_array_equal(y, np.full((1, 1, 20), expected, dtype), err_msg=str(window))
        np.testing.assert_array_equal(indices, np.full((1, 1, 20), index), err_msg=str(window))


@pytest.mark.parametrize("dtype", [np.int64, np.uint64])
@pytest.mark.parametrize("kind", ["max", "min"])
def test_integers_that_no_float_tells_apart(kind, dtype):
    big = np.iinfo(dtype).max
    x = np.array([[big - 1], [big], [2**53], [2**53 + 1]], dtype)
    y, pullback = cx.vjp(cx.pool1d, x, 2, kind)
    assert y.dtype == dtype
    assert np.array_equal(y, cx.pool1d(x, 2, kind))
    (gx,) = pullback(np.array([[3.0], [5.0]]))
    assert gx.ravel().tolist() == ([0, 3, 0, 5] if kind == "max" else [3, 0, 5, 0])


@pytest.mark.parametrize("kind", ["max", "min"])
@given(data=st.data())
def test_the_gradient_of_an_extremum_goes_where_the_exact_winner_came_from(kind, data):
    """The result has the bits of the plain call, in any dtype and mode: weighted modes wrap around in integers."""
    dtypes = [dtype for dtype in REALS if dtype != "float16"]  # weighted modes compute it in float32
    case = data.draw(pool_cases(kinds=(kind,), dtypes=dtypes, values=("whole",)))
    if np.dtype(case.x.dtype).kind != "f" and "constant" in str(case.options["padding_mode"]):
        case.options["padding_mode"] = "odd_symmetric" if case.x.dtype != "bool" else "edge"
    x = case.x.plain
    _, options = told(case)
    want_y = reference.pool(x, case.size, kind, rank=case.rank, **options)
    gy = np.random.default_rng(1).integers(-4, 5, want_y.shape).astype(np.float64)
    want = reference.pool_vjp(x, case.size, kind, gy=gy, rank=case.rank, **options)
    for isa in ISAS:
        with under(isa):
            y, pullback = cx.vjp(POOL[case.rank], x, case.size, kind, **case.options)
            np.testing.assert_array_equal(y, POOL[case.rank](x, case.size, kind, **case.options), strict=True)
            np.testing.assert_array_equal(y, want_y)
            np.testing.assert_array_equal(pullback(gy)[0], want)  # whole numbers: exact


def test_a_weighted_sum_that_wraps_around_wins_as_it_is():
    """200, 2 * 200 - 50 = 350, which is 94 in uint8: the winner is 200 itself."""
    x = np.array([[200], [50]], np.uint8)
    y, pullback = cx.vjp(cx.pool1d, x, 2, padding=((1, 0),), padding_mode="odd_reflect", stride=2)
    assert y.ravel().tolist() == [200]
    assert pullback(np.ones((1, 1)))[0].ravel().tolist() == [1, 0]
    y, pullback = cx.vjp(cx.pool1d, x, 2, "min", padding=((1, 0),), padding_mode="odd_reflect", stride=2)
    assert y.ravel().tolist() == [94]
    assert pullback(np.ones((1, 1)))[0].ravel().tolist() == [2, -1]


@pytest.mark.parametrize("mode", ["constant", "odd_reflect", ("wrap", "zeros")])
@pytest.mark.parametrize("samples", [0, 1])
def test_indices_of_what_is_no_element_are_refused_before_the_data(mode, samples):
    options = {"padding": 1, "padding_mode": mode, "return_indices": True}
    for call in (lambda: cx.pool2d(np.ones((samples, 4, 4, 1)), 2, **options),
                 lambda: cx.output_shape(cx.pool2d, (samples, 4, 4, 1), 2, **options)):  # fmt: skip
        with pytest.raises(ValueError, match="return_indices needs a padding_mode whose elements come from x"):
            call()
    assert cx.output_shape(cx.pool2d, (samples, 4, 4, 1), 2, **{**options, "padding": 0}) == (samples, 2, 2, 1)


@pytest.mark.parametrize("kind", ["max", "third"])
def test_bool_has_no_weighted_sums(kind):
    x = np.eye(4, dtype=bool)[..., np.newaxis]
    with cx.poolings.temporarily("third", lambda w: np.sort(w, -1)[..., 2], exact=True):
        for mode in ("odd_reflect", ("edge", "odd_symmetric")):
            with pytest.raises(TypeError, match=r"padding_mode 'odd_.*' takes weighted sums.*bool has no arithmetic"):
                cx.pool2d(x, 3, kind, padding=1, padding_mode=mode)
            assert cx.pool2d(x, 3, kind, padding_mode=mode).dtype == bool
            assert cx.pool2d(x, 3, "avg", padding=1, padding_mode=mode).dtype == np.float32
        with pytest.raises(ValueError, match="value of padding mode 'constant' 5 does not fit into bool"):
            cx.pool2d(x, 3, kind, padding=1, padding_mode=cx.padding("constant", value=5))
    with pytest.raises(TypeError, match="bool has no arithmetic"):
        reference.pool(x, 3, "max", rank=2, padding=1, padding_mode="odd_reflect")
