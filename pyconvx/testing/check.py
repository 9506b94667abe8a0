"""Laws tried on many cases: `check_padding`, `check_activation`, `check_pooling`, `check_all`, and `law_tests`.

Imports the laws and the registries. Runs are deterministic: the same plugin meets the same cases every time.
"""

from __future__ import annotations

import traceback
import warnings
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import hypothesis
import numpy as np
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.errors import Flaky, Unsatisfiable, UnsatisfiedAssumption

from ..activation import ActivationFunction, activations
from ..geometry import integer
from ..offers import BrokenPluginError
from ..padding import PaddingMode, paddings
from ..plugin import Bound, Plugin
from ..pooling import Pooling, poolings
from ..registry import Registry, UnknownNameError
from . import reference
from .laws import LAWS
from .laws.law import Law, Part, Refuted, Subject, told

__all__ = [
    "Check",
    "LawBroken",
    "check_activation",
    "check_all",
    "check_padding",
    "check_pooling",
    "checks",
    "law_tests",
]

EXAMPLES = 100

PACKAGE = Path(__file__).parent.parent
OTHERS = (PACKAGE, Path(str(np.__file__)).parent, Path(hypothesis.__file__).parent)  # whose lines are not a plugin's

REGISTRIES: tuple[Registry[Any], ...] = (paddings, activations, poolings)


class LawBroken(AssertionError):
    """A plugin does not keep one or more of its laws; the message tells which, for what input, and what was seen."""

    def __init__(self, messages: dict[str, str]) -> None:
        super().__init__(messages)
        self.laws = tuple(messages)
        """The names of the laws."""

    def __str__(self) -> str:
        return "\n\n".join(self.args[0].values())


class Failure(NamedTuple):
    """What is wrong, in words, and the exception that tells where, unless it is a result that is wrong."""

    message: str
    cause: BaseException | None = None


@dataclass(frozen=True)
class Check:
    """One law of one plugin, to be tried: call it."""

    subject: Subject
    law: Law
    examples: int

    def __call__(self) -> None:
        """Try the law on as many cases; raise LawBroken for the simplest case found where it does not hold."""
        __tracebackhide__ = True  # pytest shows the message alone
        found = self.found()
        if found is not None:
            raise LawBroken({self.law.name: found.message}) from found.cause

    def failure(self) -> str | None:
        """What is wrong, in words, or None."""
        found = self.found()
        return None if found is None else found.message

    def found(self) -> Failure | None:
        """What is wrong, or None."""
        failures: list[tuple[Any, BaseException]] = []
        refusals: list[tuple[Any, BaseException | None]] = []

        def holds(case: Any) -> None:
            try:
                self.law.holds(self.subject, case)
            except UnsatisfiedAssumption as error:
                refusals.append((case, error.__context__))
                raise
            except Part as error:
                failures.append((error.case, error.error))
                raise
            except SystemExit as error:  # of the plugin: the run goes on
                failures.append((case, error))
                raise RuntimeError("a plugin has ended the program") from error
            except Exception as error:
                failures.append((case, error))
                raise

        run = settings(
            max_examples=max(1, round(self.examples * self.law.share)),
            derandomize=True,
            database=None,
            deadline=None,
            phases=(Phase.generate, Phase.shrink),
            report_multiple_bugs=False,
            suppress_health_check=list(HealthCheck),
        )(given(self.law.cases(self.subject))(holds))
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", RuntimeWarning)  # as of np.nanmax where all is NaN
                run()
        except Exception as error:
            if isinstance(error, Unsatisfiable) and refusals:
                case, refusal = refusals[-1]
                said = "a refusal" if refusal is None else f"{type(refusal).__name__}: {refusal}"
                return self._told(
                    case, Refuted(f"{said}, as for every case that was tried", "a result for some of them")
                )
            if not failures:
                raise
            case, last = failures[-1]
            if isinstance(error, Flaky):
                return self._told(case, last, "\n  only     sometimes: called again, it did something else")
            return self._told(case, last)
        return None

    def _own_notes(self, error: BaseException) -> Iterable[str]:
        """Notes that the library made, which name the plugin; Hypothesis adds some that show the case."""
        notes = getattr(error, "__notes__", ())
        return (note for note in notes if self.subject.bound.plugin.name in note and "holds(" not in note)

    def _told(self, case: Any, error: BaseException, more: str = "") -> Failure:
        plugin = self.subject.bound.plugin
        if isinstance(error, Refuted):
            seen, expected = error.seen, error.expected
        else:
            notes = "".join(f" ({note})" for note in self._own_notes(error))
            seen, expected = f"{type(error).__name__}: {error}{notes}{_place(error)}", "no exception"
            if _by_the_library(error):
                expected = "what the library takes"
        message = (
            f"{plugin.kind} {self.subject.bound!r} (registered by {plugin.owner}) breaks a law.\n"
            f"  law      {self.law.name}: {self.law.statement}\n"
            f"  for      {_indented(told(case))}\n"
            f"  seen     {_indented(seen)}\n"
            f"  expected {_indented(expected)}{more}"
        )
        return Failure(message, None if isinstance(error, Refuted) else error)


def _lines(error: BaseException) -> list[traceback.FrameSummary]:
    return list(traceback.extract_tb(error.__traceback__))


def _place(error: BaseException) -> str:
    """The last line that was run of neither pyconvx, NumPy nor Hypothesis: the plugin's."""
    for line in reversed(_lines(error)):
        if line.filename.startswith("<") or not any(Path(line.filename).is_relative_to(other) for other in OTHERS):
            return f" ({line.filename}, line {line.lineno}, in {line.name})"
    return ""


def _by_the_library(error: BaseException) -> bool:
    """Whether the library has refused what the plugin returned."""
    raised_in = Path(_lines(error)[-1].filename)
    return raised_in.is_relative_to(PACKAGE) and not raised_in.is_relative_to(PACKAGE / "testing")


def _indented(text: str) -> str:
    return text.replace("\n", "\n           ")


def checks(given: str | Plugin | Bound[Any], *, like: Any = None, examples: int = EXAMPLES) -> list[Check]:
    """Every law of a plugin: a name (of any kind; of several, if it is in several registries), or a bound plugin.

    like, examples: as for `check_padding`, `check_activation` and `check_pooling`. Raises UnknownNameError for a name
    that no registry has, BrokenPluginError for one that cannot be loaded, TypeError for anything else that is no such
    plugin, and what wrong options raise there.

    >>> import pyconvx as cx
    >>> [check.law.name for check in cx.testing.checks("reflect")][4:7]
    ['index_range', 'interior', 'independent']
    >>> cx.testing.checks("reflect", examples=5)[4]()  # raises LawBroken if the law does not hold
    """
    if isinstance(given, str):
        found = _all_named(given)
    else:
        plugin = given.plugin if isinstance(given, Bound) else given
        found = [registry.resolve(given) for registry in REGISTRIES if registry.kind == getattr(plugin, "kind", None)]
        if not found:
            raise TypeError(f"plugin must be a name, a padding mode, an activation or a pooling, got {given!r}")
    return [check for bound in found for check in _checks(bound, like, examples)]


def _all_named(name: str) -> list[Bound[Any]]:
    """The plugins of a name in every registry that has it; if one cannot be loaded, each is told."""
    found, broken = [], []
    for registry in REGISTRIES:
        if name in registry:
            try:
                found.append(registry.resolve(name))
            except BrokenPluginError as error:
                broken.append(error)
    if broken:
        others = [f"{bound.plugin} can be loaded" for bound in found]
        raise BrokenPluginError("\n".join([*map(str, broken), *others])) from broken[0]
    if not found:
        raise UnknownNameError(_unknown(name))
    return found


def _unknown(name: str) -> str:
    """What the registries say to a name that none of them has."""
    said = []
    for registry in REGISTRIES:
        try:
            registry[name]
        except UnknownNameError as error:
            said.append(str(error))
    return "\n".join(said)


def _definitions(plugin: Plugin) -> tuple[str, ...]:
    """The built-ins that `like` may name."""
    known: dict[str, Iterable[str]] = {
        PaddingMode.kind: reference.JOINT if getattr(plugin, "joint", False) else reference.PADDINGS,
        ActivationFunction.kind: reference.ACTIVATIONS,
        Pooling.kind: reference.REDUCTIONS,
    }
    return tuple(known[plugin.kind])


def _checks(bound: Bound[Any], like: Any, examples: int) -> list[Check]:
    plugin, definitions = bound.plugin, _definitions(bound.plugin)
    if integer("examples", examples, 1) and isinstance(like, str) and like not in definitions:
        raise ValueError(f"like must be a function or one of {', '.join(definitions)}, got {like!r}")
    if not (like is None or isinstance(like, str) or callable(like)):
        raise TypeError(f"like must be a function or the name of a built-in {plugin.kind}, got {like!r}")
    if like is None and plugin.owner.startswith("pyconvx.") and bound.name in definitions:
        like = bound.name  # a built-in is what the reference says
    subject = Subject(bound, like)
    return [Check(subject, law, examples) for law in LAWS[plugin.kind] if law.applies(subject)]


def _run(all_checks: Iterable[Check]) -> None:
    """Raise LawBroken with whatever is wrong, up to what could break the program."""
    failures: dict[str, Failure] = {}
    for check in all_checks:
        found = check.found()
        if found is not None:
            failures[check.law.name] = found
            if check.law.guards:
                break
    if failures:
        causes = (found.cause for found in failures.values() if found.cause is not None)
        raise LawBroken({name: found.message for name, found in failures.items()}) from next(causes, None)


def check_padding(
    mode: str | PaddingMode | Bound[PaddingMode],
    /,
    *,
    like: str | Callable[..., Any] | None = None,
    examples: int = EXAMPLES,
    **params: Any,
) -> None:
    """Try every law of padding modes on a mode: its index map, its gradient, and the operations that read through it.

    mode: a name, or a bound one; params: its parameters. like: a plain definition to compare with, `like(x, before,
    after)` of a vector x (n,), which returns it padded (before + n + after,), as numpy.pad does; for a joint mode
    `like(x, pad_width)`, with one (before, after) per axis; or the name of a built-in. examples: how many cases each
    law is tried on.

    Raises LawBroken, an AssertionError, if a law does not hold, and tells the simplest case found.

    >>> import numpy as np, pyconvx as cx
    >>> with cx.paddings.temporarily("last", lambda i, n: np.where(i < n, i % n, n - 1)):
    ...     cx.testing.check_padding("last", examples=10)
    """
    _run(_checks(paddings.resolve(mode, params), like, examples))


def check_activation(
    activation: str | ActivationFunction | Bound[ActivationFunction],
    /,
    *,
    like: str | Callable[..., Any] | None = None,
    examples: int = EXAMPLES,
    **params: Any,
) -> None:
    """Try every law of activations on one: its function, its derivative, and convolutions that it follows.

    activation: a name, or a bound one; params: its parameters. like: a plain definition to compare with, `like(x)` of
    float64 x (rows, length), which returns y; or the name of a built-in. examples: how many cases each law is tried on.

    Raises LawBroken, an AssertionError, if a law does not hold, and tells the simplest case found.

    >>> import numpy as np, pyconvx as cx
    >>> with cx.activations.temporarily("square", np.square, derivative=lambda x, y: x):
    ...     cx.testing.check_activation("square", examples=10)  # doctest: +IGNORE_EXCEPTION_DETAIL
    Traceback (most recent call last):
        ...
    LawBroken: activation square() (registered by numpy) breaks a law.
    """
    _run(_checks(activations.resolve(activation, params), like, examples))


def check_pooling(
    kind: str | Pooling | Bound[Pooling],
    /,
    *,
    like: str | Callable[..., Any] | None = None,
    examples: int = EXAMPLES,
    **params: Any,
) -> None:
    """Try every law of poolings on one: its reduction, its gradient, and the operations that use it.

    kind: a name, or a bound one; params: its parameters. like: a plain definition to compare with, `like(w)` of
    float64 windows w (rows, k), which returns y (rows,); or the name of a built-in. examples: how many cases each law
    is tried on.

    Raises LawBroken, an AssertionError, if a law does not hold, and tells the simplest case found.

    >>> import numpy as np, pyconvx as cx
    >>> with cx.poolings.temporarily("range", lambda w: w.max(-1) - w.min(-1)):
    ...     cx.testing.check_pooling("range", like=lambda w: np.ptp(w, -1), examples=10)
    """
    _run(_checks(poolings.resolve(kind, params), like, examples))


def check_all(*, examples: int = EXAMPLES) -> None:
    """Check every registered padding mode, activation and pooling that needs no parameter.

    examples: how many cases each law is tried on. Raises LawBroken, which tells of all that do not keep their laws.
    With 100 examples and the built-in plugins alone it takes some minutes.
    """
    broken: dict[str, str] = {}
    for registry in REGISTRIES:
        for name in registry:
            try:
                plugin = registry[name]
            except BrokenPluginError as error:  # of somebody else's, which keeps no other from being checked
                broken[f"{registry.kind} {name}: cannot be loaded"] = str(error)
                continue
            if plugin.required:
                continue
            try:
                _run(_checks(registry.resolve(plugin), None, examples))
            except LawBroken as error:
                broken[f"{registry.kind} {name}: {', '.join(error.laws)}"] = str(error)
    if broken:
        raise LawBroken(broken)


def law_tests(given: str | Plugin | Bound[Any], *, like: Any = None, examples: int = EXAMPLES) -> Callable[..., None]:
    """Return a test for pytest that runs each law of a plugin by itself: `test_snake = law_tests("snake")`.

    given: a name (of any kind; of several, if it is in several registries), a plugin or a bound one. like, examples: as
    for `check_padding`, `check_activation` and `check_pooling`. The plugin must be registered by then.

    >>> import pyconvx as cx
    >>> test_reflect = cx.testing.law_tests("reflect")
    """
    import pytest  # only for those who call this

    found = checks(given, like=like, examples=examples)

    @pytest.mark.parametrize("check", found, ids=[check.law.name for check in found])
    def test(check: Check) -> None:
        __tracebackhide__ = True
        check()

    return test
