"""The joint modes that these tests register."""

import pytest

import pyconvx as cx

from .modes import walled, winds, wrapped


@pytest.fixture(scope="module", autouse=True)
def _registered():
    with (
        cx.paddings.temporarily("test:wrapped", wrapped, joint=True),
        cx.paddings.temporarily("test:winds", winds, joint=True, ranks=(2,)),
        cx.paddings.temporarily("test:walled", walled, joint=True, ranks=(2,)),
    ):
        yield
