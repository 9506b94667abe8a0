"""The pytest plugin of pyconvx: `pytest --pyconvx-plugin NAME` runs each law of a registered plugin as its own test.

It stands beside the package because pytest loads it in every run on a machine where pyconvx is installed: until the
option is used it imports pytest alone, neither NumPy, nor Hypothesis, nor pyconvx.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

EXAMPLES = 100


def pytest_addoption(parser: pytest.Parser) -> None:
    """Two options, in a group of their own."""
    group = parser.getgroup("pyconvx", "laws of pyconvx plugins")
    group.addoption(
        "--pyconvx-plugin",
        metavar="NAME",
        action="append",
        default=[],
        help="test the laws of this padding mode, activation or pooling (may be given several times); "
        "-p MODULE imports the module that registers it",
    )
    group.addoption(
        "--pyconvx-examples",
        metavar="N",
        type=int,
        default=EXAMPLES,
        help="how many cases each law is tried on (default: %(default)s)",
    )


@pytest.hookimpl(tryfirst=True)  # so that -k and -m choose among laws, too
def pytest_collection_modifyitems(session: pytest.Session, config: pytest.Config, items: list[pytest.Item]) -> None:
    """Add the laws to what has been collected, and to its count."""
    for name in config.getoption("--pyconvx-plugin"):
        laws = list(_laws(session, name, config.getoption("--pyconvx-examples")))
        session.ihook.pytest_collectreport(report=pytest.CollectReport(f"pyconvx::{name}", "passed", None, [*laws]))
        items.extend(laws)


def _laws(session: pytest.Session, name: str, examples: int) -> Iterator[pytest.Item]:
    from pyconvx import BrokenPluginError
    from pyconvx.testing import checks

    try:
        found = checks(name, examples=examples)
    # an unknown name, a parameter without a default, no examples; what cannot be loaded, or is offered twice
    except (TypeError, ValueError, BrokenPluginError) as error:
        raise pytest.UsageError(f"--pyconvx-plugin {name}: {error}") from None
    for check in found:
        kind, law = check.subject.bound.plugin.kind, check.law.name
        yield Law.from_parent(
            session, name=f"{kind} {name}: {law}", nodeid=f"pyconvx::{kind}::{name}::{law}", check=check
        )


class Law(pytest.Item):
    """One law of one plugin, as a test."""

    def __init__(self, *, check: Callable[[], None], **options: Any) -> None:
        super().__init__(**options)
        self._check = check

    def runtest(self) -> None:
        """Try the law."""
        self._check()

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        """Tell what is wrong without the frames of this package."""
        from pyconvx.testing import LawBroken

        return str(excinfo.value) if isinstance(excinfo.value, LawBroken) else super().repr_failure(excinfo, style)

    def reportinfo(self) -> tuple[Path, None, str]:
        """What stands above a failure."""
        return self.path, None, self.name
