"""Poolings that are registered by a user are as good as the library's own."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from isas import ISAS, under
from poolings import POOL

import pyconvx as cx
from pyconvx.testing import reference
from pyconvx.testing.strategies import FORMS, REALS, Drawn, pool_cases


def test_a_registered_reduction_is_a_full_citizen():
    def spread(w, scale=1.0):
        return scale * (w.max(-1) - w.min(-1))

    def slope(w, y, scale):
        steps = np.arange(w.shape[-1])
        high, low = steps == w.argmax(-1)[..., np.newaxis], steps == w.argmin(-1)[..., np.newaxis]
        return scale * (high.astype(w.dtype) - low)

    with cx.poolings.temporarily("spread", spread, gradient=slope):
        x = Drawn((2, 7, 6, 3), "float64").plain
        y, pullback = cx.vjp(cx.pool2d, x, 3, "spread", stride=2, padding="same", scale=2.0)
        keywords = {"rank": 2, "stride": 2, "padding": "same", "slopes": slope, "scale": 2.0}
        np.testing.assert_array_equal(y, reference.pool(x, 3, spread, **keywords))
        want = reference.pool_vjp(x, 3, spread, gy=y, **keywords)
        np.testing.assert_allclose(pullback(y)[0], want, rtol=1e-14, atol=1e-14)  # overlapping windows: another order
        adaptive = reference.adaptive_pool(x, 4, spread, rank=2)
        np.testing.assert_array_equal(cx.adaptive_pool2d(x, 4, "spread"), adaptive)
        np.testing.assert_array_equal(cx.global_pool(x, "spread"), reference.global_pool(x, spread))


@given(data=st.data())
def test_an_exact_pooling_of_ones_own_keeps_every_dtype(data):
    """A rank filter written in Python sees windows of the dtype of x, forward and backward."""
    seen = set()

    def smallest(w):
        seen.add(w.dtype)
        return w.min(-1)

    def slope(w, y):
        seen.update([w.dtype, y.dtype])
        return (np.arange(w.shape[-1]) == w.argmin(-1)[..., np.newaxis]) * 1.0

    case = data.draw(pool_cases(kinds=("min",), dtypes=REALS, forms=FORMS, values=("whole",)))
    if np.dtype(case.x.dtype).kind != "f" and "constant" in str(case.options["padding_mode"]):
        case.options["padding_mode"] = "wrap"
    f, x = POOL[case.rank], case.x.array
    for isa in ISAS:
        with under(isa), cx.poolings.temporarily("smallest", smallest, gradient=slope, exact=True):
            y, pullback = cx.vjp(f, x, case.size, "smallest", **case.options)
            (gx,) = pullback(np.ones(y.shape))
            same, own = cx.vjp(f, x, case.size, "min", **case.options)
            np.testing.assert_array_equal(y, same, strict=True)
            np.testing.assert_array_equal(gx, own(np.ones(y.shape))[0], strict=True)
    assert seen <= {np.dtype(case.x.dtype)}
    assert seen or not y.size


def test_an_exact_pooling_must_keep_the_dtype():
    with (
        cx.poolings.temporarily("mean_of_two", lambda w: w.mean(-1), exact=True),
        pytest.raises(ValueError, match=r"must return an array of shape .* and dtype uint8, got .* float64"),
    ):
        cx.pool1d(np.ones((4, 1), np.uint8), 2, "mean_of_two")
