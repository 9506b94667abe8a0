"""What a plugin is: an immutable named function, and a plugin together with its parameters. Imports remember."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, fields
from functools import cache
from types import FunctionType, MappingProxyType, TracebackType
from typing import Any, ClassVar, Generic, TypeVar, cast

import numpy as np
from numpy.typing import NDArray

from .remember import key_of

__all__ = ["REQUIRED", "Bound", "Plugin", "accepted", "bind", "calling", "narrower", "numbers", "returned", "unmasked"]

P = TypeVar("P", bound="Plugin")

REQUIRED = inspect.Parameter.empty
"""The value in `Plugin.defaults` of a parameter that has no default."""


Signature = tuple[tuple[str, ...], int, tuple[str, ...], Mapping[str, Any], bool, bool]


def _signature(function: Callable[..., Any]) -> Signature:
    """Positional parameters, how many of them have no keyword, those by keyword only, all defaults, and whether any
    other position or name is taken. Raises ValueError for a compiled callable that does not tell.
    """
    if isinstance(function, FunctionType) and not function.__dict__:  # as `inspect` finds it, in a tenth of the time
        code, given = function.__code__, function.__defaults__ or ()
        names = code.co_varnames[: code.co_argcount]
        only = code.co_varnames[len(names) : len(names) + code.co_kwonlyargcount]
        defaults = dict(zip(names[len(names) - len(given) :], given, strict=True)) | (function.__kwdefaults__ or {})
        several, others = bool(code.co_flags & inspect.CO_VARARGS), bool(code.co_flags & inspect.CO_VARKEYWORDS)
        return names, code.co_posonlyargcount, only, defaults, several, others
    parameters = inspect.signature(function).parameters.values()
    kinds = [parameter.kind for parameter in parameters]
    fixed = kinds.count(inspect.Parameter.POSITIONAL_ONLY)
    names = tuple(p.name for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD))
    only = tuple(p.name for p in parameters if p.kind is p.KEYWORD_ONLY)
    defaults = {p.name: p.default for p in parameters}
    several, others = inspect.Parameter.VAR_POSITIONAL in kinds, inspect.Parameter.VAR_KEYWORD in kinds
    return names, fixed, only, defaults, several, others


def _keywords(function: Callable[..., Any], leading: int, call: str) -> tuple[dict[str, Any], bool]:
    """Parameters after the `leading` positional ones, with defaults; and whether any other name is taken.

    Raises TypeError if the function cannot be called with `leading` positional arguments, as `call` shows.
    """
    if isinstance(function, np.ufunc):  # out=, where=, ... are no parameters of the mathematics
        return {}, False
    try:
        names, fixed, only, defaults, several, others = _signature(function)
    except ValueError:
        return {}, False
    if len(names) < leading and not several:
        raise TypeError(f"is called as {call}, but {function!r} takes {len(names)} positional arguments")
    return {name: defaults.get(name, REQUIRED) for name in (*names[max(leading, fixed) :], *only)}, others


@dataclass(frozen=True, eq=False)
class Plugin:
    """A named function with what the library has to know about it. Immutable, and equal only to itself.

    Subclasses set `kind`, what such a plugin is called in messages, and `arguments`, the positional arguments
    that the library passes; any further parameter of `function` is a parameter of the plugin, set by keyword.
    """

    kind: ClassVar[str] = "plugin"
    arguments: ClassVar[tuple[str, ...]] = ()

    name: str
    function: Callable[..., Any]
    owner: str
    """The module that registered the plugin, and its distribution if that offers it by an entry point."""
    defaults: Mapping[str, Any] = field(init=False, repr=False)
    """Every parameter of the plugin with its default, or `REQUIRED`."""
    plain: Any = field(init=False, repr=False, default=None)
    """The plugin bound to its defaults, once that has been asked for."""

    @property
    def takes(self) -> str:
        """Every parameter with its default, if it has one, as in "alpha=0.1, threshold"."""
        given = (key if value is REQUIRED else f"{key}={value!r}" for key, value in self.defaults.items())
        return ", ".join(given)

    @property
    def required(self) -> tuple[str, ...]:
        """The parameters that have no default."""
        return tuple(key for key, default in self.defaults.items() if default is REQUIRED)

    def __str__(self) -> str:
        return f"{self.kind} {self.name!r} (registered by {self.owner})"

    def __post_init__(self) -> None:
        for each in fields(self):
            value = getattr(self, each.name, None)
            if each.type in (bool, "bool") and not isinstance(value, bool):
                raise TypeError(
                    f"{each.name} of {self.kind} {self.name!r} must be True or False (a bool), got {value!r}"
                )
        defaults = self._parameters_of("function", self.function, self._leading())
        object.__setattr__(self, "defaults", MappingProxyType(defaults))

    def _leading(self) -> tuple[str, ...]:
        return self.arguments

    def _parameters_of(self, what: str, function: object, arguments: tuple[str, ...]) -> dict[str, Any]:
        if not callable(function):
            raise TypeError(f"{what} of {self.kind} {self.name!r} must be callable, got {function!r}")
        try:
            return _keywords(function, len(arguments), f"{what}({', '.join(arguments)})")[0]
        except TypeError as error:
            raise TypeError(f"{what} of {self.kind} {self.name!r} {error}") from None

    def _check_companion(self, what: str, function: object, arguments: tuple[str, ...]) -> None:
        """Check a derivative or gradient: callable, and requiring no parameter that the plugin has not."""
        for parameter, default in self._parameters_of(what, function, arguments).items():
            if default is REQUIRED and parameter not in self.defaults:
                raise TypeError(
                    f"{what} of {self.kind} {self.name!r} requires {parameter!r}, which is no parameter of it"
                )

    def __copy__(self: P) -> P:
        return self

    def __deepcopy__(self: P, memo: object) -> P:
        return self


@dataclass(frozen=True, eq=False, repr=False)
class Bound(Generic[P]):
    """A plugin with a value for each of its parameters; made by `bind`, hashable when the values are.

    >>> import pyconvx as cx
    >>> cx.activation("leaky_relu", alpha=0.1)
    leaky_relu(alpha=0.1)
    """

    plugin: P
    params: Mapping[str, Any]
    """Read-only, and complete: defaults are filled in."""
    key: tuple[Any, ...] | None = field(init=False, repr=False, compare=False, default=None)
    """What results that depend on it are remembered by; None for parameters that might change."""

    def __post_init__(self) -> None:
        known = key_of(self.params.values())
        object.__setattr__(self, "key", None if known is None else (self.plugin, *known))

    @property
    def name(self) -> str:
        """The plugin's canonical name."""
        return self.plugin.name

    def __repr__(self) -> str:
        return f"{self.name}({', '.join(f'{key}={value!r}' for key, value in self.params.items())})"

    # repr tells apart what == does not but an array of results does: 0.0 and -0.0, 1 and True
    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Bound):
            return NotImplemented
        return self.plugin is other.plugin and all(
            value is other.params[key]
            or (repr(value) == repr(other.params[key]) and np.array_equal(value, other.params[key]))
            for key, value in self.params.items()
        )

    def __hash__(self) -> int:
        return hash((self.plugin, *self.params.values()))

    def __reduce__(self) -> tuple[Any, ...]:
        return bind, (self.plugin, dict(self.params))


def bind(plugin: P, params: Mapping[str, Any] = MappingProxyType({})) -> Bound[P]:
    """Return `plugin` with `params`, and its defaults for those not given. NumPy scalars become Python's.

    Raises TypeError for a parameter that the plugin does not have, or requires and did not get.
    """
    if not params and plugin.plain is not None:
        return cast("Bound[P]", plugin.plain)
    for key in params:
        if key not in plugin.defaults:
            raise TypeError(
                f"{plugin.kind} {plugin.name!r} has no parameter {key!r}; its parameters: {plugin.takes or 'none'}"
            )
    values = {**plugin.defaults, **params}
    missing = [key for key in plugin.required if key not in params]
    if missing:
        raise TypeError(f"{plugin.kind} {plugin.name!r} requires a value for {', '.join(missing)}")
    for key, value in params.items():
        _check_parameter(plugin, key, plugin.defaults[key], value)
    # A NumPy scalar is a strong type: float32 data times np.float64(0.1) would be float64.
    plain = {key: _own(value) for key, value in values.items()}
    bound = Bound(plugin, MappingProxyType(plain))
    if not params:
        object.__setattr__(plugin, "plain", bound)
    return bound


def _own(value: Any) -> Any:
    """`value` such that its owner cannot change it any more, if it is of NumPy or a container of Python."""
    kind = type(value)
    if kind in (list, tuple, set):
        return kind(map(_own, value))
    if kind is dict:
        return {key: _own(each) for key, each in value.items()}
    if isinstance(value, np.generic) or (isinstance(value, np.ndarray) and value.ndim == 0):
        return value.item()
    if isinstance(value, np.ndarray):
        value = value.copy()
        value.flags.writeable = False
    return value


def _check_parameter(plugin: Plugin, key: str, default: Any, value: Any) -> None:
    """A parameter whose default is a number takes a number or numbers, but no NaN; a flag takes True or False.

    `value`, a constant that may go into any array, may be NaN or a bool.
    """
    if isinstance(default, bool):
        good, wanted = isinstance(value, (bool, np.bool_)), "True or False (a bool)"
    elif isinstance(default, (int, float)):
        good, wanted = isinstance(value, (int, float)), "a real number"
        if not good:
            try:
                numbers = np.asarray(value)
                good = numbers.size > 0 and numbers.dtype.kind in "biuf"
            except ValueError:  # a ragged list
                good = False
        if key != "value":
            good = good and not isinstance(value, (bool, np.bool_))
            if good and np.any(np.not_equal(value, value)):
                raise ValueError(f"{key} of {plugin.kind} {plugin.name!r} must not be NaN, got {value!r}")
    else:
        return
    if not good:
        raise TypeError(f"{key} of {plugin.kind} {plugin.name!r} must be {wanted}, got {value!r}")


def accepted(function: Callable[..., Any], params: Mapping[str, Any], leading: int) -> dict[str, Any]:
    """Return those of `params` that `function` takes after its `leading` positional arguments.

    >>> accepted(lambda x, y, a: a * x, {"a": 2.0, "b": 3.0}, leading=2)
    {'a': 2.0}
    """
    names, takes_any = _keywords(function, leading, "f(...)")
    return {key: value for key, value in params.items() if takes_any or key in names}


def numbers(bound: Bound[Any]) -> tuple[float, ...] | None:
    """The parameters of a plugin as compiled code gets them; None if one of them is no number."""
    values = bound.params.values()
    if not all(isinstance(value, (int, float)) for value in values):
        return None
    with calling(bound.plugin):
        return tuple(_as_double(key, value) for key, value in bound.params.items())


def _as_double(key: str, value: Any) -> float:
    try:
        return float(value)
    except OverflowError as error:
        raise OverflowError(f"{key} is larger than compiled code can take, a double: {error}") from None


class calling:
    """Context of a call into a plugin: an exception leaves as itself, with a note that names the plugin."""

    def __init__(self, plugin: Plugin, what: str = "function") -> None:
        self._plugin, self._what = plugin, what

    def __enter__(self) -> None:
        pass

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if isinstance(error, Exception):
            plugin = self._plugin
            note = f"in the {self._what} of the {plugin.kind} {plugin.name!r} (registered by {plugin.owner})"
            # what BaseException.add_note does, which Python 3.10 does not have
            with suppress(Exception):  # of an exception that takes none
                notes = getattr(error, "__notes__", ())
                error.__notes__ = [*((notes,) if isinstance(notes, str) else notes), note]


def unmasked(plugin: Plugin, what: str, result: object) -> Any:
    """Return `result`, got from a call into a plugin; an array without the class of its own that it may have.

    Such a class may compare as it likes: where an element is masked, numpy.ma finds that every condition holds. Raises
    ValueError, naming the plugin, for a masked array, whose mask would be lost.
    """
    if isinstance(result, np.ma.MaskedArray):
        raise ValueError(f"{what} of {plugin} must return arrays without a mask, got a masked array: fill it first")
    return np.asarray(result) if isinstance(result, np.ndarray) else result


@cache
def narrower(dtype: np.dtype[Any]) -> tuple[np.dtype[Any], ...]:
    """The dtypes of all numbers that an array of that dtype can hold, for `returned` where they do."""
    return tuple(np.dtype(code) for code in np.typecodes["AllInteger"] + "efd" if np.can_cast(code, dtype))


def returned(
    plugin: Plugin, what: str, result: object, shape: tuple[int, ...], dtype: np.dtype[Any], *others: np.dtype[Any]
) -> NDArray[Any]:
    """Return `result`, got from a call into a plugin, if it has that shape and that dtype (or one of the others), or
    holds truth values.

    Raises ValueError, naming the plugin, otherwise.
    """
    result = unmasked(plugin, what, result)
    if not isinstance(result, np.ndarray):
        got = f"{type(result).__name__} {result!r}"
    elif result.shape != shape or result.dtype not in (dtype, *others, np.bool_):
        got = f"shape {result.shape} and dtype {result.dtype}"
    else:
        return result
    raise ValueError(
        f"{what} of {plugin.kind} {plugin.name!r} (registered by {plugin.owner}) "
        f"must return an array of shape {shape} and dtype {dtype}, got {got}"
    )
