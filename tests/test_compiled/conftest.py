"""The instruction sets under which compiled plugins are called."""

import pytest

from pyconvx import _core


@pytest.fixture(params=_core.supported(), autouse=True)
def isa(request):
    with _core.using(request.param):
        yield request.param
