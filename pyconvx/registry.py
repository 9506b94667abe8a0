"""Plugins known by name: the one mechanism behind paddings, activations, poolings and picture filters.

A `Registry` maps names to immutable `Plugin` objects, and a `Bound` is a plugin together with its parameters.
Imports offers, remember and the core.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import Lock
from types import FunctionType, MappingProxyType, TracebackType
from typing import Any, ClassVar, Generic, TypeVar, cast, overload

import numpy as np
from numpy.typing import NDArray

from ._core import forget
from .offers import BrokenPluginError, Offer, Offers, loading
from .remember import key_of

__all__ = [
    "Bound",
    "BrokenPluginError",
    "Plugin",
    "Registry",
    "UnknownNameError",
    "accepted",
    "bind",
    "calling",
    "returned",
]

P = TypeVar("P", bound="Plugin")
F = TypeVar("F", bound=Callable[..., Any])
V = TypeVar("V")

REQUIRED = inspect.Parameter.empty
"""The value in `Plugin.defaults` of a parameter that has no default."""


class UnknownNameError(KeyError, ValueError):
    """A name that is in no registry; the message gives the nearest match and everything registered.

    It is a KeyError because a registry is a mapping and a ValueError because the name was an argument.
    """

    def __str__(self) -> str:
        return str(self.args[0])  # KeyError would show the repr, a quoted sentence


def _keywords(function: Callable[..., Any], leading: int, call: str) -> tuple[dict[str, Any], bool]:
    """Parameters after the `leading` positional ones, with defaults; and whether any other name is taken.

    Raises TypeError if the function cannot be called with `leading` positional arguments, as `call` shows.
    """
    if isinstance(function, np.ufunc):  # out=, where=, ... are no parameters of the mathematics
        return {}, False
    if isinstance(function, FunctionType) and not function.__dict__:  # what `inspect` finds out, in a tenth of the time
        code, defaults = function.__code__, function.__defaults__ or ()
        names = code.co_varnames[: code.co_argcount]
        if len(names) < leading and not code.co_flags & inspect.CO_VARARGS:
            raise TypeError(f"is called as {call}, but {function!r} takes {len(names)} positional arguments")
        values = (*(REQUIRED,) * (len(names) - len(defaults)), *defaults)
        first = max(leading, code.co_posonlyargcount)
        found = dict(zip(names[first:], values[first:], strict=True))
        for name in code.co_varnames[code.co_argcount : code.co_argcount + code.co_kwonlyargcount]:
            found[name] = (function.__kwdefaults__ or {}).get(name, REQUIRED)
        return found, bool(code.co_flags & inspect.CO_VARKEYWORDS)
    try:
        parameters = inspect.signature(function).parameters.values()
    except ValueError:  # a compiled callable that does not tell its signature
        return {}, False
    kinds = [parameter.kind for parameter in parameters]
    positional = [p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    if len(positional) < leading and inspect.Parameter.VAR_POSITIONAL not in kinds:
        raise TypeError(f"is called as {call}, but {function!r} takes {len(positional)} positional arguments")
    named = [p for p in positional[leading:] if p.kind is p.POSITIONAL_OR_KEYWORD]
    named += [p for p in parameters if p.kind is p.KEYWORD_ONLY]
    return {p.name: p.default for p in named}, inspect.Parameter.VAR_KEYWORD in kinds


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

    def __post_init__(self) -> None:
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
    takes = [key if value is REQUIRED else f"{key}={value!r}" for key, value in plugin.defaults.items()]
    for key in params:
        if key not in plugin.defaults:
            raise TypeError(
                f"{plugin.kind} {plugin.name!r} has no parameter {key!r}; its parameters: {', '.join(takes) or 'none'}"
            )
    values = {**plugin.defaults, **params}
    missing = [key for key, value in values.items() if value is REQUIRED]
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
            error.__notes__ = [*getattr(error, "__notes__", ()), note]


def returned(plugin: Plugin, what: str, result: object, shape: tuple[int, ...], dtype: np.dtype[Any]) -> NDArray[Any]:
    """Return `result`, got from a call into a plugin, if it has that shape and that dtype or a narrower one.

    Raises ValueError, naming the plugin, otherwise.
    """
    if not isinstance(result, np.ndarray):
        got = f"{type(result).__name__} {result!r}"
    elif result.shape != shape or not np.can_cast(result.dtype, dtype):
        got = f"shape {result.shape} and dtype {result.dtype}"
    else:
        return result
    raise ValueError(
        f"{what} of {plugin.kind} {plugin.name!r} (registered by {plugin.owner}) "
        f"must return an array of shape {shape} and dtype {dtype}, got {got}"
    )


_Entries = tuple[dict[str, P], dict[str, str]]
"""One state of a registry: plugins by name, and the canonical name of each alias. It is never modified, a writer
replaces it as a whole: so readers need no lock."""


def _check_name(name: object, what: str) -> None:
    if not isinstance(name, str):
        raise TypeError(f"{what} must be a str, got {name!r}")
    if not all(part.isidentifier() for part in re.split("[.:]", name)):
        raise ValueError(f"{what} must be identifiers joined by '.' or ':', got {name!r}")


class Registry(Mapping[str, P], Generic[P]):
    """A read-only mapping from names to plugins, which grows by `register`. Safe to use from many threads.

    `registry[name]` takes a name or an alias; iteration and `len` are over the canonical names, sorted. Plugins that
    installed packages offer by entry points are among them, and loaded when they are asked for.

    >>> import pyconvx as cx
    >>> cx.paddings["mirror"].name
    'reflect'
    >>> "Reflekt" in cx.paddings
    False
    """

    def __init__(self, kind: str, build: Callable[..., P], group: str | None = None) -> None:
        """`build(name, function, owner, **fields)` makes the plugin; `kind` is what messages call it.

        `group` is that of the entry points by which packages offer plugins.
        """
        self.kind = kind
        self._build = build
        self._offers = None if group is None else Offers(group)
        self._lock = Lock()
        self._entries: _Entries[P] = ({}, {})

    def __getitem__(self, name: str) -> P:
        plugins, aliases = self._entries
        try:
            plugin = plugins.get(aliases.get(name, name))
        except TypeError:  # not hashable
            raise TypeError(f"{self.kind} must be a name, got {name!r}") from None
        return self._missing(name) if plugin is None else plugin

    def _missing(self, name: object) -> P:
        """The one place that is reached when a name is not found: it may be offered by a package."""
        if self._offered(name):
            return self._load(cast(str, name))
        for offered in self._offers.names() if self._offers else ():  # it may be an alias of one of them
            try:
                self._load(offered)
            except BrokenPluginError:  # of somebody else's, which breaks no other name
                continue
        plugins, aliases = self._entries
        found = plugins.get(aliases.get(cast(str, name), cast(str, name)))
        if found is not None:
            return found
        import difflib  # needed for messages only, and slow to load

        known = self.names()
        folded = {each.lower(): each for each in (*aliases, *known)}
        nearest = difflib.get_close_matches(str(name).lower(), folded, n=1)
        hint = f"did you mean {folded[nearest[0]]!r}? " if nearest else ""
        raise UnknownNameError(f"unknown {self.kind} {name!r}; {hint}registered are: {', '.join(known) or 'none'}")

    def _offered(self, name: object) -> bool:
        return self._offers is not None and bool(self._offers.of(name))

    def _load(self, name: str) -> P:
        """Import and register what a package offers under a name."""
        assert self._offers is not None
        offers = self._offers.of(name)
        if len(offers) > 1:
            both = " and ".join(offer.distribution for offer in offers)
            raise BrokenPluginError(f"{self.kind} {name!r} is offered by {both}: uninstall all but one of them")
        for offer in offers:  # none, if another thread was faster
            with offer.loading(f"{self.kind} {name!r}"):
                function = offer.entry_point.load()
                if name not in self._entries[0]:  # its module has not registered it, or under another name
                    self.register(name, function)
        return self._entries[0][name]

    def __contains__(self, name: object) -> bool:
        plugins, aliases = self._entries
        return name in plugins or name in aliases or self._offered(name) or super().__contains__(name)

    def __iter__(self) -> Iterator[str]:
        return iter(self.names())

    def __len__(self) -> int:
        return len(self.names())

    def __repr__(self) -> str:
        return f"<registry: {self.kind} of {', '.join(self) or 'no name'}>"

    def offers(self, name: str) -> tuple[Offer, ...]:
        """Return what installed packages offer under a name, whether or not it is registered."""
        return () if self._offers is None else self._offers.all_of(name)

    def names(self) -> tuple[str, ...]:
        """Return the canonical names, sorted, those that packages offer among them."""
        offered = self._offers.names() if self._offers else ()
        return tuple(sorted({*self._entries[0], *offered}))

    def aliases(self, name: str | None = None) -> dict[str, str]:
        """Return alias -> canonical name: of all plugins, or of the one `name` (or an alias) stands for."""
        canonical = None if name is None else self[name].name
        return {a: c for a, c in sorted(self._entries[1].items()) if canonical in (None, c)}

    def resolve(self, given: object, params: Mapping[str, Any] = MappingProxyType({})) -> Bound[P]:
        """Return the plugin that `given` (a name, a plugin or a bound one) stands for, with `params` set.

        Raises UnknownNameError for a name that is not registered, TypeError for anything else.
        """
        if isinstance(given, str):
            return bind(self[given], params)
        if isinstance(given, Plugin) and given.kind == self.kind:
            return bind(cast(P, given), params)
        if isinstance(given, Bound) and given.plugin.kind == self.kind:
            bound = cast("Bound[P]", given)
            return bind(bound.plugin, {**bound.params, **params}) if params else bound
        raise TypeError(f"{self.kind} must be a name or a plugin of that kind, got {given!r}")

    @overload
    def register(
        self,
        name: str,
        function: None = None,
        *,
        aliases: Iterable[str] = (),
        replace: bool = False,
        **fields: Any,
    ) -> Callable[[F], F]: ...

    @overload
    def register(
        self, name: str, function: F, *, aliases: Iterable[str] = (), replace: bool = False, **fields: Any
    ) -> F: ...

    def register(
        self,
        name: str,
        function: F | None = None,
        *,
        aliases: Iterable[str] = (),
        replace: bool = False,
        **fields: Any,
    ) -> F | Callable[[F], F]:
        """Register `function` under `name` and return it; without `function`, return a decorator doing so.

        `fields` are those of the plugin's class, as `derivative` of an activation. `replace=True` puts the
        function in place of what has the name now, whose aliases then stand for the new one. A call that runs
        meanwhile goes on with the plugin it began with.

        Raises TypeError for a name that is no str or a function that is not callable, ValueError for a name
        that is malformed or taken (the message tells the owner); nothing has been registered then.
        """
        names = self._checked(name, aliases)

        def decorate(function: F) -> F:
            self._add(self._make(name, function, fields), names, replace)
            if self._offers is not None:
                self._offers.take(name)
            return function

        return decorate if function is None else decorate(function)

    def unregister(self, name: str) -> None:
        """Remove the plugin that `name` (or an alias) stands for, with all its names.

        Raises UnknownNameError if there is none.
        """
        canonical = self[name].name  # before the lock, which a miss may need
        with self._lock:
            plugins, aliases = self._entries
            self._replace({n: p for n, p in plugins.items() if n != canonical}, aliases)

    @contextmanager
    def temporarily(
        self,
        name: str,
        function: Callable[..., Any],
        *,
        aliases: Iterable[str] = (),
        replace: bool = True,
        **fields: Any,
    ) -> Iterator[P]:
        """Register for a `with` block, which gets the plugin; then the names mean again what they meant.

        Everybody sees the registration, not only the thread that made it; blocks for the same name must nest.

        >>> import pyconvx as cx
        >>> with cx.paddings.temporarily("first", lambda i, n: i * 0 + i.clip(0, n - 1)) as mode:
        ...     cx.paddings["first"] is mode
        True
        >>> "first" in cx.paddings
        False
        """
        names = self._checked(name, aliases)
        plugin = self._make(name, function, fields)
        before = self._add(plugin, names, replace)
        try:
            yield plugin
        finally:
            touched = {name, *names, *(a for a, canonical in before[1].items() if canonical == name)}
            with self._lock:
                plugins, current = self._entries
                self._replace(_with(plugins, touched, before[0]), _with(current, touched, before[1]))

    def _checked(self, name: str, aliases: Iterable[str]) -> tuple[str, ...]:
        _check_name(name, f"name of a {self.kind}")
        if isinstance(aliases, str) or not isinstance(aliases, Iterable):
            raise TypeError(f"aliases must be a tuple of names, got {aliases!r}")
        names = tuple(aliases)
        for alias in names:
            _check_name(alias, f"alias of {self.kind} {name!r}")
        if len({name, *names}) <= len(names):
            raise ValueError(f"aliases of {self.kind} {name!r} must be distinct from it and each other, got {names}")
        return names

    def _make(self, name: str, function: Callable[..., Any], fields: Mapping[str, Any]) -> P:
        owner = getattr(function, "__module__", None) or type(function).__module__
        if loading.get():
            owner = f"{owner} of {loading.get()}"
        return self._build(name, function, owner, **fields)

    def _add(self, plugin: P, names: tuple[str, ...], replace: bool) -> _Entries[P]:
        """Register and return the state before."""
        with self._lock:
            before = self._entries
            plugins, aliases = dict(before[0]), dict(before[1])
            for name in (plugin.name, *names):
                holder = plugins.get(aliases.get(name, name))
                hides = name in names and name in plugins  # the plugin of that name would be out of reach
                if holder is not None and (hides or not replace):
                    remedy = "choose another alias" if hides else "replace=True replaces it"
                    raise ValueError(
                        f"{self.kind} {name!r} is already registered by {holder.owner}, as {holder.name!r}; {remedy}"
                    )
            aliases.pop(plugin.name, None)
            plugins[plugin.name] = plugin
            aliases.update(dict.fromkeys(names, plugin.name))
            self._replace(plugins, aliases)
            return before

    def _replace(self, plugins: dict[str, P], aliases: dict[str, str]) -> None:
        self._entries = (plugins, {a: c for a, c in aliases.items() if c in plugins})
        forget()


def _with(current: dict[str, V], names: set[str], before: dict[str, V]) -> dict[str, V]:
    """`current` with every one of `names` as it was in `before`: with the old value, or absent."""
    kept = {name: value for name, value in current.items() if name not in names}
    return kept | {name: before[name] for name in names if name in before}
