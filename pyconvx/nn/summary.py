"""What a network is made of, as a table. May import the layers and geometry."""

from __future__ import annotations

import html
import math
from dataclasses import dataclass
from functools import reduce
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from ..geometry import sample_shape
from .layer import Layer, Shape, Span, spatial_of
from .sequential import Parallel, Sequential

__all__ = ["Summary", "summary"]

MOST_PLACES = 2**12
"""Of a result that are looked at along an axis, where they may see parts of different widths."""
Ends = tuple[tuple[NDArray[np.intp], NDArray[np.intp]], ...]
"""Along each axis, from which place to which one sees, for several places."""
Path = list[Any]
"""Through layers: the spans of each, or a list of paths that are merged."""
COLUMNS = ("layer", "output shape", "parameters", "multiply-adds", "receptive field", "as a dense layer")


@dataclass(frozen=True)
class Summary:
    """A table of a network: its str, and in a notebook itself.

    `rows`: a tuple of texts for each layer; `parameters`, `multiply_adds`: of all of it, for one sample.
    """

    rows: tuple[tuple[str, ...], ...]
    parameters: int
    multiply_adds: int

    def __str__(self) -> str:
        table = [COLUMNS, *self.rows]
        widths = [max(map(len, column)) for column in zip(*table, strict=True)]
        lines = []
        for row in table:
            left = [cell.ljust(width) for cell, width in zip(row[:2], widths, strict=False)]
            right = [cell.rjust(width) for cell, width in zip(row[2:], widths[2:], strict=True)]
            lines.append("  ".join([*left, *right]).rstrip())
        lines.insert(1, "  ".join("-" * width for width in widths))
        lines.append(f"{self.parameters:,} parameters, {self.multiply_adds:,} multiply-adds for one sample")
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        def row(cells: tuple[str, ...], tag: str) -> str:
            return "<tr>" + "".join(f"<{tag}>{html.escape(cell)}</{tag}>" for cell in cells) + "</tr>"

        body = "".join(row(cells, "td") for cells in self.rows)
        foot = f"{self.parameters:,} parameters, {self.multiply_adds:,} multiply-adds for one sample"
        return f"<table><thead>{row(COLUMNS, 'th')}</thead><tbody>{body}</tbody></table><p>{foot}</p>"


def summary(net: Layer, input_shape: Any) -> Summary:
    """A table of a network for an input of a shape without N; the network need not be built, and is not.

    For each layer: its options, the shape of its result, its parameters, multiply-adds, the side of its receptive field
    in the input ("all" where it sees everything, the widest where places differ), and how many parameters a dense layer
    would need in its place.

    >>> import pyconvx as cx
    >>> net = cx.nn.Sequential(cx.nn.Conv2D(6, 5, padding="same"), cx.nn.MaxPool2D(2), cx.nn.Flatten(), cx.nn.Dense(10))
    >>> print(cx.nn.summary(net, (32, 32, 3)))
    layer                         output shape  parameters  multiply-adds  receptive field  as a dense layer
    ----------------------------  ------------  ----------  -------------  ---------------  ----------------
    Conv2D(6, 5, padding='same')  (32, 32, 6)          456        460,800            5 x 5        18,880,512
    MaxPool2D(2)                  (16, 16, 6)            0              0            6 x 6         9,438,720
    Flatten()                     (1536,)                0              0              all         2,360,832
    Dense(10)                     (10,)             15,370         15,360              all            15,370
    15,826 parameters, 476,160 multiply-adds for one sample
    """
    shape = sample_shape(input_shape)
    net.output_shape(shape)
    rows: list[tuple[str, ...]] = []
    _add(net, shape, 0, [], (), rows)
    return Summary(tuple(rows), _count(net, shape), net.multiply_adds(shape))


def _count(net: Layer, shape: Shape) -> int:
    return sum(math.prod(each) for each in net.param_shapes(shape).values())


def _add(
    net: Layer, shape: Shape, depth: int, path: Path | None, places: Shape, rows: list[tuple[str, ...]]
) -> tuple[Path | None, Shape]:
    """Add the rows of a layer whose input has that shape and so many places, and lies at the end of a path; returns the
    path through it, and the places of its result.

    A path of None is for what sees everything; places are known from the first windows on.
    """
    if isinstance(net, (Sequential, Parallel)):
        if depth or isinstance(net, Parallel):
            rows.append(("  " * max(depth - 1, 0) + type(net).__name__, str(net.output_shape(shape)), "", "", "", ""))
        through: list[Path | None] = []
        ends: list[Shape] = []
        for layer, given in zip(net, net.inputs(shape), strict=True):
            own, end = _add(layer, given, depth + 1, path, places, rows)
            through.append(own)
            ends.append(end)
            if isinstance(net, Sequential):
                path, places = _joined(path, own), end
        if isinstance(net, Sequential):
            return reduce(_joined, through, cast("Path | None", [])), places
        return None if None in through else [through], max(ends, key=len)
    spans = net.spans(shape)
    own = None if spans is None else [spans]
    result = net.output_shape(shape)
    dense = math.prod(shape) * math.prod(result) + math.prod(result)
    numbers = (f"{_count(net, shape):,}", f"{net.multiply_adds(shape):,}")
    if spans:
        places = spatial_of(getattr(net, "layout", "channels_last"), result)
    rows.append(
        ("  " * max(depth - 1, 0) + repr(net), str(result), *numbers, _sides(_joined(path, own), places), f"{dense:,}")
    )
    return own, places


def _joined(one: Path | None, other: Path | None) -> Path | None:
    return None if one is None or other is None else [*one, *other]


def _sides(path: Path | None, places: Shape) -> str:
    """The widest that one of so many places sees of the input."""
    if path is None:
        return "all"
    each = (np.arange(min(MOST_PLACES, n) if _has_phases(path) else 1) for n in places[: _axes(path)])
    ends = _back(path, tuple((place, place) for place in each))
    return " x ".join(str((last - first).max() + 1) for first, last in ends) or "1"


def _axes(path: Path) -> int:
    """Spatial axes, as far as layers tell."""
    return max((max(map(_axes, step)) if _is_merged(step) else len(step) for step in path), default=0)


def _has_phases(path: Path) -> bool:
    """Whether places may see parts of different widths."""
    return any(
        any(map(_has_phases, step)) if _is_merged(step) else any(each.denominator > 1 for span in step for each in span)
        for step in path
    )


def _is_merged(step: Any) -> bool:
    return isinstance(step, list)


def _back(path: Path, ends: Ends) -> Ends:
    """What places of a result see, of the input that a path begins with."""
    for step in reversed(path):
        if _is_merged(step):
            ends = reduce(_both, (_back(each, ends) for each in step))
        elif step:
            ends = tuple(_through(spans, *each) for spans, each in zip(step, ends, strict=True))
    return ends


def _through(span: Span, first: NDArray[np.intp], last: NDArray[np.intp]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """The places between the two ends of a span, which lie where the first one sees to where the last one does."""
    start, end, on = span
    whole = math.lcm(start.denominator, end.denominator, on.denominator)
    low, high, step = (int(each * whole) for each in span)
    return -(-(low + step * first) // whole), (high + step * last) // whole


def _both(one: Ends, other: Ends) -> Ends:
    """From the first place that one of them sees to the last."""
    return tuple(
        (np.minimum(first, begin), np.maximum(last, end))
        for (first, last), (begin, end) in zip(one, other, strict=True)
    )
