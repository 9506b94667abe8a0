"""What every pooling in windows is held to, and its options as the reference takes them."""

import numpy as np
from isas import ISAS, under

import pyconvx as cx
from pyconvx.testing import reference
from pyconvx.testing.bounds import absolute, as_reduction, assert_within, gamma, pooling_error, reference_mode
from pyconvx.testing.strategies import Drawn

POOL = {1: cx.pool1d, 2: cx.pool2d, 3: cx.pool3d}


def largest_window(case, modes=None):
    """A bound on |element| over the whole call, extended as the padding modes do."""
    x = absolute(case.x.plain)
    return (x.max(initial=0) + 4) * (3 ** (case.rank + 2) if "odd" in str(modes) else 1)


def window_length(case):
    size = case.size if isinstance(case.size, tuple) else (case.size,) * case.rank
    return int(np.prod(size))


def told(case):
    """The reference's kind and keywords for a windowed case."""
    kind, keywords = as_reduction(cx.pooling(case.kind, **case.params))
    return kind, {**case.options, "padding_mode": reference_mode(case.options["padding_mode"]), **keywords}


def well_conditioned(case):
    """std has no derivative at 0, and stochastic picks by comparing sums, whose float32 rounding is not fixed."""
    return Drawn(case.x.shape, "float64", "plain", "normal", case.x.seed).plain


def value_within_reference(case):
    """On every instruction set."""
    kind, options = told(case)
    x = case.x.plain if case.kind != "stochastic" else well_conditioned(case)
    want = reference.pool(x, case.size, kind, rank=case.rank, **options)
    bound = pooling_error(
        case.kind, largest_window(case, case.options["padding_mode"]), window_length(case), x.dtype, case.params
    )
    if "odd" in str(case.options["padding_mode"]):  # an element is then a sum itself
        bound = bound + gamma(100, x.dtype) * largest_window(case, "odd")
    for isa in ISAS:
        with under(isa):
            got = POOL[case.rank](x, case.size, case.kind, **case.options, **case.params)
            assert got.dtype == x.dtype
            assert_within(got, np.asarray(want, np.float64), bound, case.kind)
