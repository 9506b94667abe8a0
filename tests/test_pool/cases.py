"""What the tests of pooling are parametrized by, and whether a window of a case holds no element."""

import pytest

from pyconvx import _core
from pyconvx.testing import reference
from pyconvx.testing.strategies import kind_names

every_isa = pytest.mark.parametrize("isa", _core.supported())
every_kind = pytest.mark.parametrize("kind", kind_names())


def leaves_a_window_empty(case):
    if case.options["padding_mode"] is not None:
        return False
    shape = (
        case.x.shape[-case.rank - 1 : -1] if case.options["layout"] == "channels_last" else case.x.shape[-case.rank :]
    )
    options = {k: v for k, v in case.options.items() if k not in ("padding_mode", "layout")}
    windows = reference.sliding(shape, case.size, **options)
    return windows.empty()
