"""Inputs that crashed, hung or fooled other libraries, and the answer each must get here.

One entry a case (see `table`), grouped by subject; `runner` executes them in processes of their own.
"""

from . import (
    arguments,
    arrays,
    backward,
    environment,
    names,
    numeric,
    operations,
    pads,
    plugins,
    shapes,
    tools,
)
from .table import TABLE, Case

__all__ = ["CASES", "Case"]

CASES: dict[str, Case] = {case.name: case for case in TABLE}
# Imported for the entries they add to TABLE, in this order.
SUBJECTS = (
    numeric,
    shapes,
    backward,
    pads,
    arrays,
    plugins,
    environment,
    names,
    operations,
    arguments,
    tools,
)
REPEATED = [case.name for case in TABLE if CASES[case.name] is not case]
if REPEATED:
    raise RuntimeError(f"two cases have one name: {REPEATED}")
