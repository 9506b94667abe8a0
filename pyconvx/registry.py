"""Plugins known by name: the one mechanism behind paddings, activations, poolings and picture filters.

A `Registry` maps names to plugins. Imports plugin, remember, offers and the core.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import fields as dataclass_fields
from dataclasses import is_dataclass
from threading import RLock
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Generic, TypeVar, cast, overload

from . import remember
from ._core import forget
from .offers import BrokenPluginError, Offers, distribution_of, loading, loading_from
from .plugin import Bound, P, Plugin, bind

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

__all__ = ["Registry", "UnknownNameError"]

OWN_FIELDS = ("name", "function", "owner")
"""What a registry sets by itself in every plugin."""

F = TypeVar("F", bound=Callable[..., Any])
V = TypeVar("V")


class UnknownNameError(KeyError, ValueError):
    """A name that is in no registry; the message gives the nearest match and everything registered.

    It is a KeyError because a registry is a mapping and a ValueError because the name was an argument.
    """

    def __str__(self) -> str:
        return str(self.args[0])  # KeyError would show the repr, a quoted sentence


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
        self._lock = RLock()  # a finalizer of what a plugin held may unregister another
        self._entries: _Entries[P] = ({}, {})

    def _registered(self, name: object) -> P | None:
        plugins, aliases = self._entries
        try:
            return plugins.get(aliases.get(name, name))  # type: ignore[call-overload]
        except TypeError:  # not hashable
            raise TypeError(f"{self.kind} must be a name, got {name!r}") from None

    def __getitem__(self, name: str) -> P:
        plugin = self._registered(name)
        return self._missing(name) if plugin is None else plugin

    def __contains__(self, name: object) -> bool:
        # what a package offers is there, even if it cannot be loaded
        return self._registered(name) is not None or self._offered(name) or super().__contains__(name)

    def _missing(self, name: object) -> P:
        """The one place that is reached when a name is not found: it may be offered by a package."""
        if self._offered(name):
            return self._load(str(name))
        for offered in self._offers.names() if self._offers else ():  # it may be an alias of one of them
            try:
                self._load(offered)
            except BrokenPluginError:  # of somebody else's, which breaks no other name
                continue
        plugin = self._registered(name)
        if plugin is not None:
            return plugin
        import difflib  # needed for messages only, and slow to load

        known = self.names()
        folded = {each.lower(): each for each in (*self._entries[1], *known)}
        nearest = difflib.get_close_matches(str(name).lower(), folded, n=1)
        hint = f"did you mean {folded[nearest[0]]!r}? " if nearest else ""
        raise UnknownNameError(f"unknown {self.kind} {name!r}; {hint}registered are: {', '.join(known) or 'none'}")

    def _offered(self, name: object) -> bool:
        return self._offers is not None and isinstance(name, str) and bool(self._offers.of(name))

    def _load(self, name: str) -> P:
        """Import and register what a package offers under a name."""
        assert self._offers is not None
        offers = self._offers.of(name)
        if len(offers) > 1:
            both = " and ".join(map(distribution_of, offers))
            raise BrokenPluginError(f"{self.kind} {name!r} is offered by {both}: uninstall all but one of them")
        for offer in offers:  # none, if another thread was faster
            with loading(f"{self.kind} {name!r}", offer):
                function = offer.load()
                if name not in self._entries[0]:  # its module has not registered it, or under another name
                    if isinstance(function, type):
                        raise TypeError(f"{function!r} is a class, and a function is wanted")
                    try:
                        self.register(name, function)
                    except ValueError:
                        if getattr(self._registered(name), "function", None) is not function:
                            raise  # else another thread was faster
        return self._entries[0][name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.names())

    def __len__(self) -> int:
        return len(self.names())

    def __repr__(self) -> str:
        return f"<registry: {self.kind} of {', '.join(self) or 'no name'}>"

    def offers(self, name: str) -> tuple[EntryPoint, ...]:
        """Return what installed packages offer under a name, whether or not it is registered."""
        return () if self._offers is None else self._offers.all_of(name)

    def names(self) -> tuple[str, ...]:
        """Return the canonical names, sorted, those that packages offer among them."""
        offered = self._offers.names() if self._offers else ()
        return tuple(sorted({*self._entries[0], *offered}))

    def loadable(self) -> Iterator[P]:
        """Every plugin, by name, but those of packages that cannot be loaded: they break no name but their own."""
        for name in self.names():
            try:
                yield self[name]
            except BrokenPluginError:
                continue

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
        _check_name(name, f"name of {'an' if self.kind[0] in 'aeiou' else 'a'} {self.kind}")
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
        offer = loading_from.get()
        # a module that is loaded may import those of others, whose plugins are not from its distribution
        if offer is not None and (name == offer.name or owner.partition(".")[0] == offer.module.partition(".")[0]):
            owner = f"{owner} of {distribution_of(offer)}"
        if fields:
            self._check_fields(name, fields)
        return self._build(name, function, owner, **fields)

    def _check_fields(self, name: str, given: Iterable[str]) -> None:
        """TypeError for what is no field of the plugins here."""
        if not is_dataclass(self._build):
            return
        known = [each.name for each in dataclass_fields(self._build) if each.init and each.name not in OWN_FIELDS]
        for field in given:
            if field not in known:
                import difflib

                nearest = difflib.get_close_matches(field, known, n=1)
                hint = f"did you mean {nearest[0]!r}? " if nearest else ""
                told = ", ".join(known) or "none"
                raise TypeError(f"{self.kind} {name!r} has no field {field!r}; {hint}its fields are: {told}")

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
        before, _ = self._entries
        self._entries = (plugins, {a: c for a, c in aliases.items() if c in plugins})
        forget()
        if any(plugins.get(name) is not plugin for name, plugin in before.items()):
            remember.forget()


def _with(current: dict[str, V], names: set[str], before: dict[str, V]) -> dict[str, V]:
    """`current` with every one of `names` as it was in `before`: with the old value, or absent."""
    kept = {name: value for name, value in current.items() if name not in names}
    return kept | {name: before[name] for name in names if name in before}
