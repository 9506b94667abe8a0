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

__all__ = ["BrokenPluginError", "Offer", "Offers", "loading"]

loading: ContextVar[str] = ContextVar("loading", default="")
"""The distribution whose plugin is being loaded, with its version."""


class BrokenPluginError(ImportError):
    """A plugin that an installed package offers cannot be loaded; the message names plugin and package."""


class Offer:
    """An entry point, and the distribution that has it, with its version, as in "my_package 1.0"."""

    __slots__ = ("distribution", "entry_point")  # no dataclass: making one takes as long as importing this file

    def __init__(self, distribution: str, entry_point: EntryPoint) -> None:
        self.distribution, self.entry_point = distribution, entry_point

    @contextmanager
    def loading(self, what: str) -> Iterator[None]:
        """Context of importing and registering the plugin `what`."""
        token = loading.set(self.distribution)
        try:
            yield
        except Exception as error:
            told = f"{type(error).__name__}: {error}"
            raise BrokenPluginError(
                f"{what}, offered by {self.distribution} as {self.entry_point.value!r}, cannot be loaded: {told}"
            ) from error
        finally:
            loading.reset(token)


class Offers:
    """The entry points of a group, by name, read when first asked for."""

    def __init__(self, group: str) -> None:
        self.group = group
        self._known: dict[str, tuple[Offer, ...]] | None = None
        self._taken: frozenset[str] = frozenset()

    def _all(self) -> dict[str, tuple[Offer, ...]]:
        if self._known is None:
            from importlib.metadata import distributions  # slow to load, and needed by few

            found: dict[str, tuple[Offer, ...]] = {}
            seen: set[str] = set()
            for distribution in distributions():
                # what is installed twice along sys.path counts where it comes first, as for imports
                name = distribution.metadata["Name"]
                if name is None or name.lower() in seen:
                    continue
                seen.add(name.lower())
                for entry_point in distribution.entry_points:
                    if entry_point.group == self.group:
                        offer = Offer(f"{name} {distribution.version}", entry_point)
                        found[entry_point.name] = (*found.get(entry_point.name, ()), offer)
            self._known = found
        return self._known

    def names(self) -> tuple[str, ...]:
        """What is offered and has not been taken."""
        return tuple(sorted(self._all().keys() - self._taken))

    def of(self, name: object) -> tuple[Offer, ...]:
        """Who offers a name, unless it has been taken."""
        return () if name in self._taken else self.all_of(name)

    def all_of(self, name: object) -> tuple[Offer, ...]:
        """Who offers a name."""
        return self._all().get(name, ()) if isinstance(name, str) else ()

    def take(self, name: str) -> None:
        """Offer a name no more: a plugin has been registered under it."""
        self._taken |= {name}
