"""Rules of joint modes, the modes that tests are parametrized by, and cases with one of them."""

from dataclasses import replace

import numpy as np
import pytest

import pyconvx as cx
from pyconvx.padding import OUTSIDE


def wrapped(i, n):
    """What wrap does, of all axes at once."""
    return tuple(at % size for at, size in zip(i, n, strict=True))


def winds(i, n):
    """A globe on which what is beyond a pole counts the other way."""
    rows, columns = cx.paddings["globe"].function(i, n)
    return (rows, columns), np.where(i[0] // n[0] % 2 == 0, 1, -1)


def walled(i, n, value=0.0):
    """A cylinder of constants beyond the first and the last row."""
    return np.where((i[0] >= 0) & (i[0] < n[0]), i[0], OUTSIDE), i[1] % n[1]


def mode(name, **params):
    """Bound when a test runs, and not before."""
    return cx.padding(name, **params)


FORMS = [("globe", {}), ("globe", {"poles": True}), ("test:winds", {}), ("test:walled", {"value": 1.5})]
every_mode = pytest.mark.parametrize(("name", "params"), FORMS, ids=["globe", "poles", "winds", "walled"])


def even(case):
    """The case with an even number of columns, which a globe takes."""
    first = case.options["layout"] == "channels_first"
    axis = len(case.x.shape) - (1 if first else 2)
    shape = list(case.x.shape)
    shape[axis] += shape[axis] % 2
    return replace(case, x=replace(case.x, shape=tuple(shape)))


def with_mode(case, name, params):
    return even(replace(case, options={**case.options, "padding_mode": mode(name, **params)}))
