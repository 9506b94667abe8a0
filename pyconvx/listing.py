"""Everything registered, as tables: what `pyconvx plugins` prints. Imports the registries and the plugins."""

from __future__ import annotations

import html
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from .activation import ActivationFunction, activations, evaluate
from .offers import BrokenPluginError, distribution_of
from .padding import OUTSIDE, PaddingMode, index_map, joint_map, paddings
from .picture import filters
from .plugin import Bound, Plugin
from .pooling import Pooling, poolings
from .pooling import evaluate as pooled
from .registry import Registry

__all__ = ["KINDS", "Entry", "Listing", "entries", "plugins"]

KINDS: dict[str, Registry[Any]] = {
    "paddings": paddings,
    "activations": activations,
    "poolings": poolings,
    "filters": filters,
}
AXIS, PAD = 3, 4  # elements, and how far they are padded on either side, in the picture of a padding mode
MAP = 2, 2, 4  # sizes of the last axes in the picture of a joint mode
WINDOW = (1.0, 4.0, 2.0, 2.0)
BARS = "▁▂▃▄▅▆▇█"
CURVE = np.linspace(-4, 4, 17)


@dataclass(frozen=True)
class Entry:
    """What is known about a plugin. Where it cannot be loaded, `problem` says why and the rest is empty."""

    name: str
    parameters: str = ""
    aliases: tuple[str, ...] = ()
    compiled: bool | None = None
    """Whether it runs in the compiled loops, for parameters that are numbers; None for what does not run in loops."""
    differentiable: bool | None = None
    owner: str = ""
    picture: str = ""
    problem: str = ""


def entries(kind: str) -> list[Entry]:
    """Every plugin of a kind, a key of KINDS, sorted by name."""
    return [_entry(KINDS[kind], name, PICTURES[kind]) for name in KINDS[kind].names()]


def _entry(registry: Registry[Any], name: str, picture: Callable[[Bound[Any]], str]) -> Entry:
    try:
        plugin: Plugin = registry[name]
    except BrokenPluginError as error:
        return Entry(name, problem=" ".join(str(error).split()))
    module = plugin.owner.split()[0]
    unused = [distribution_of(offer) for offer in registry.offers(name) if offer.module != module]
    return Entry(
        name,
        plugin.takes,
        tuple(registry.aliases(name)),
        *_abilities(plugin),
        _owner(plugin.owner),
        "" if plugin.required else _drawn(picture, registry.resolve(plugin)),
        f"the name is also offered by {', '.join(unused)}" if unused else "",
    )


def _abilities(plugin: Plugin) -> tuple[bool | None, bool | None]:
    """Whether it is compiled, and whether it has a gradient."""
    if isinstance(plugin, PaddingMode):
        return True, True  # an index map is a table that compiled loops read, and its gradient the same table
    if isinstance(plugin, ActivationFunction):
        return plugin.kernel is not None, plugin.derivative is not None or plugin.gradient is not None
    if isinstance(plugin, Pooling):
        return plugin.kernel is not None, plugin.gradient is not None
    return None, None


def _owner(module: str) -> str:
    """A module with its distribution, if it has one."""
    if " " in module:  # it says so itself
        return module
    top = module.partition(".")[0]
    found = _distributions(top)
    return found if top == "pyconvx" and found else " of ".join(filter(None, (module, found)))


@lru_cache
def _distributions(top: str) -> str:
    """The distributions that a package is from, with their versions."""
    from importlib.metadata import packages_distributions, version

    return ", ".join(f"{name} {version(name)}" for name in sorted(set(packages_distributions().get(top, ()))))


def _drawn(picture: Callable[[Bound[Any]], str], bound: Bound[Any]) -> str:
    """A plugin may fail at what it is drawn with; that is no reason to list nothing."""
    try:
        with np.errstate(all="ignore"):
            return picture(bound)
    except Exception as error:
        return f"({type(error).__name__}: {' '.join(str(error).split())})"


def _padded(bound: Bound[Any]) -> str:
    """The elements 1 2 3, or those of a small map, and what surrounds them."""
    if bound.plugin.joint:
        return _surrounded(bound)
    i = np.arange(-PAD, AXIS + PAD, dtype=np.intp)
    table = index_map(bound, i, AXIS)
    read = np.where(table.index == OUTSIDE, bound.params.get("value", 0), table.index + 1)
    weight = 1.0 if table.weight is None else table.weight
    numbers = [f"{number:g}" for number in (read * weight).sum(0)]
    sides = numbers[:PAD], numbers[PAD : PAD + AXIS], numbers[PAD + AXIS :]
    return " | ".join(map(" ".join, sides))


def _surrounded(bound: Bound[Any]) -> str:
    """A map of rows, 1 2 3 4 and 5 6 7 8, and what is around it; of three axes the first of two such maps."""
    sizes = MAP[-min(bound.plugin.ranks) :]
    lines = [np.arange(-1, n + 1) if axis >= len(sizes) - 2 else np.arange(1) for axis, n in enumerate(sizes)]
    table = joint_map(bound, np.ix_(*lines), sizes)
    read = np.arange(1.0, np.prod(sizes) + 1).reshape(sizes)[table.index]
    read = read * (1.0 if table.weight is None else table.weight)
    shape = tuple(map(len, lines))
    read = np.broadcast_to(np.where(False if table.outside is None else table.outside, table.value, read), shape)
    rows = [[f"{number:g}" for number in row] for row in read.reshape(-1, shape[-1])]
    own = range(1, len(rows) - 1) if len(sizes) > 1 else range(1)
    pictures = (
        f"{row[0]} | {' '.join(row[1:-1])} | {row[-1]}" if at in own else " ".join(row) for at, row in enumerate(rows)
    )
    return " / ".join(pictures)


def _curve(bound: Bound[Any]) -> str:
    """The activation from -4 to 4 as bars between its least and its largest value."""
    y = evaluate(bound, CURVE[:-1] if bound.plugin.output_size else CURVE)
    finite = y[np.isfinite(y)]
    low, high = (finite.min(), finite.max()) if finite.size else (0, 0)
    heights = (y - low) / (high - low or 1) * (len(BARS) - 1)
    return "".join(BARS[round(float(height))] if np.isfinite(height) else "·" for height in heights)


def _reduced(bound: Bound[Any]) -> str:
    """A window, and what it becomes."""
    window = np.array([[WINDOW]])
    y = pooled(bound, window, np.zeros((1, 1), np.intp))
    return f"{' '.join(f'{number:g}' for number in WINDOW)} > {y.item():.3g}"


def _shaped(bound: Bound[Any]) -> str:
    """The shape of a picture filter."""
    return " x ".join(map(str, np.shape(bound.plugin.function(**bound.params))))


PICTURES = {"paddings": _padded, "activations": _curve, "poolings": _reduced, "filters": _shaped}


COLUMNS = ("name", "parameters", "compiled", "gradient", "picture", "aliases", "owner")


@dataclass(frozen=True)
class Listing:
    """Tables of plugins: their str, and in a notebook themselves. `entries` has them by kind."""

    entries: dict[str, list[Entry]]

    def __str__(self) -> str:
        return "\n\n".join(f"{kind}\n{_table(each)}" for kind, each in self.entries.items())

    def _repr_html_(self) -> str:
        return "".join(
            f"<h4>{kind}</h4><table><thead>{_html_row(COLUMNS, 'th')}</thead><tbody>"
            f"{''.join(_html_row(row, 'td') for row in map(_cells, _loaded(each)))}</tbody></table>"
            f"{''.join(f'<p>{html.escape(line)}</p>' for line in _problems(each))}"
            for kind, each in self.entries.items()
        )


def plugins(*kinds: str) -> Listing:
    """Everything that has a name, also by installed packages: the tables of `pyconvx plugins`.

    kinds: "paddings", "activations", "poolings", "filters"; all if none is named. Raises ValueError for another.

    >>> import pyconvx as cx
    >>> print(cx.plugins("paddings"))
    paddings
    name ... parameters ... compiled  gradient  picture ...
    constant ... value=0 ... yes       yes       0 0 0 0 | 1 2 3 | 0 0 0 0 ...
    ...
    """
    for kind in kinds:
        if kind not in KINDS:
            raise ValueError(f"a kind must be one of {', '.join(KINDS)}, got {kind!r}")
    return Listing({kind: entries(kind) for kind in kinds or KINDS})


def _html_row(cells: Iterable[str], tag: str) -> str:
    return "<tr>" + "".join(f"<{tag}>{html.escape(cell)}</{tag}>" for cell in cells) + "</tr>"


def _loaded(found: list[Entry]) -> list[Entry]:
    return [entry for entry in found if entry.owner]


def _cells(entry: Entry) -> tuple[str, ...]:
    flags = ("" if flag is None else "yes" if flag else "no" for flag in (entry.compiled, entry.differentiable))
    return (entry.name, entry.parameters, *flags, entry.picture, ", ".join(entry.aliases), entry.owner)


def _problems(found: list[Entry]) -> list[str]:
    return [f"! {entry.name}: {entry.problem}" for entry in found if entry.problem]


def _table(found: list[Entry]) -> str:
    """One line for each."""
    return "\n".join([*_aligned([COLUMNS, *map(_cells, _loaded(found))]), *_problems(found)])


def _aligned(rows: list[tuple[str, ...]]) -> Iterable[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        yield "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
