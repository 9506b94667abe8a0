"""Filters that are packed a panel at a time, where all places are done with one before the next."""

import numpy as np
import pytest

import pyconvx as cx
from pyconvx import _core
from pyconvx.testing import reference

CASES = [
    ((7, 7, 40), (70, 3, 3, 40), {"padding": "same"}),
    ((3, 5, 64), (33, 3, 3, 64), {}),
    ((2, 6, 6, 24), (48, 3, 3, 8), {"padding": 1, "groups": 3}),
    ((8, 9, 130), (129, 1, 1, 130), {}),
    ((5, 5, 20), (100, 5, 5, 20), {"padding": 2, "padding_mode": "reflect", "activation": "relu"}),
    ((9, 9, 600), (20, 3, 3, 600), {"stride": 2}),
]


@pytest.mark.parametrize("isa", _core.supported())
@pytest.mark.parametrize("layout", ["channels_last", "channels_first"])
@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("algorithm", ["bands", "direct"])
@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case[0]}-{case[1]}")
def test_the_bits_of_prepared_filters(case, algorithm, dtype, threads, layout, isa):
    (shape, form, options), rng = case, np.random.default_rng(5)
    x, bias = rng.standard_normal(shape).astype(dtype), rng.standard_normal(form[0]).astype(dtype)
    if layout == "channels_first":
        x = np.ascontiguousarray(np.moveaxis(x, -1, -3))
    options = {**options, "algorithm": algorithm, "layout": layout}
    with _core.using(isa), cx.threads(threads):
        for turn in range(4):  # from the second on, calls are repeated
            filters = rng.standard_normal(form).astype(dtype)
            filters = np.ascontiguousarray(np.moveaxis(filters, -1, 1)) if layout == "channels_first" else filters
            prepared = cx.prepare(filters, layout=layout)
            given = bias if turn % 2 else None
            got = cx.conv2d(x, filters, given, **options)
            np.testing.assert_array_equal(got, cx.conv2d(x, prepared, given, **options))


@pytest.mark.parametrize("isa", _core.supported())
@pytest.mark.parametrize("algorithm", ["bands", "direct"])
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_filter_that_is_not_finite_spoils_its_own_sums_alone(bad, algorithm, isa):
    rng = np.random.default_rng(6)
    x, fine = (rng.standard_normal(shape).astype(np.float32) for shape in ((6, 6, 40), (70, 3, 3, 40)))
    for place in ((0, 0, 0, 0), (69, 2, 2, 39), (33, 1, 1, 7)):
        filters = fine.copy()
        filters[place] = bad
        with _core.using(isa):
            for _ in range(3):
                for given in (fine, filters):
                    got, want = cx.conv2d(x, given, padding=1, algorithm=algorithm), reference.conv(x, given, padding=1)
                    np.testing.assert_array_equal(np.isfinite(got), np.isfinite(want))
                    np.testing.assert_array_equal(np.isnan(got), np.isnan(want))
                    np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-4)


def test_no_memory_is_taken_for_all_of_them():
    filters = np.ones((256, 3, 3, 256), np.float32)
    kernel = cx.explain(cx.conv2d, (7, 7, 256), filters.shape, padding="same", algorithm="bands")
    assert kernel.scratch < filters.nbytes / 4
