"""Plugins that installed packages offer by entry points: read when they are asked for, loaded one by one.

The name of an entry point is that of the plugin, its value the function: `snake = "my_package.activations:snake"`.
Loading imports the module, which registers it. Imports nothing from pyconvx.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

__all__ = ["BrokenPluginError", "Offers", "distribution_of", "loading", "loading_from"]

loading_from: ContextVar[EntryPoint | None] = ContextVar("loading_from", default=None)
"""The entry point whose plugin is being loaded."""


class BrokenPluginError(ImportError):
    """A plugin that an installed package offers cannot be loaded; the message names plugin and package."""


def distribution_of(offer: EntryPoint) -> str:
    """The distribution that has an entry point, with its version, as in "my_package 1.0"."""
    assert offer.dist is not None  # only one that is made by hand has none
    return f"{offer.dist.name} {offer.dist.version}"


@contextmanager
def loading(what: str, offer: EntryPoint) -> Iterator[None]:
    """Context of importing and registering the plugin `what`."""
    token = loading_from.set(offer)
    try:
        yield
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # SystemExit, too: a module that ends the program is a broken one
        told = f"{type(error).__name__}: {error}"
        raise BrokenPluginError(
            f"{what}, offered by {distribution_of(offer)} as {offer.value!r}, cannot be loaded: {told}"
        ) from error
    finally:
        loading_from.reset(token)


class Offers:
    """The entry points of a group, by name, read when first asked for."""

    def __init__(self, group: str) -> None:
        self.group = group
        self._known: dict[str, tuple[EntryPoint, ...]] | None = None
        self._taken: frozenset[str] = frozenset()

    def _all(self) -> dict[str, tuple[EntryPoint, ...]]:
        if self._known is None:
            from importlib.metadata import entry_points  # slow to load, and needed by few

            found: dict[str, tuple[EntryPoint, ...]] = {}
            for offer in entry_points(group=self.group):
                found[offer.name] = (*found.get(offer.name, ()), offer)
            self._known = found
        return self._known

    def names(self) -> tuple[str, ...]:
        """What is offered and has not been taken."""
        return tuple(sorted(self._all().keys() - self._taken))

    def of(self, name: str) -> tuple[EntryPoint, ...]:
        """Who offers a name, unless it has been taken."""
        return () if name in self._taken else self.all_of(name)

    def all_of(self, name: str) -> tuple[EntryPoint, ...]:
        """Who offers a name."""
        return self._all().get(name, ())

    def take(self, name: str) -> None:
        """Offer a name no more: a plugin has been registered under it."""
        self._taken |= {name}
