"""What a network is made of, as a table. May import the layers and geometry."""

from __future__ import annotations

import html
import math
from dataclasses import dataclass
from typing import Any

from ..geometry import receptive_field
from .layer import Layer, Shape
from .sequential import Parallel, Sequential

__all__ = ["Summary", "summary"]

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
    in the input ("all" where it sees everything), and how many parameters a dense layer would need in its place.

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
    shape = tuple(input_shape)
    net.output_shape(shape)
    rows: list[tuple[str, ...]] = []
    _add(net, shape, 0, [], rows)
    return Summary(tuple(rows), _count(net, shape), net.multiply_adds(shape))


def _count(net: Layer, shape: Shape) -> int:
    return sum(math.prod(each) for each in net.param_shapes(shape).values())


Windows = list[Any] | None


def _add(net: Layer, shape: Shape, depth: int, fields: Windows, rows: list[tuple[str, ...]]) -> Windows:
    """Add the rows of a layer whose input has that shape; returns the windows from the input of the network to its
    result, None where everything is seen.
    """
    if isinstance(net, (Sequential, Parallel)):
        if depth or isinstance(net, Parallel):
            rows.append(("  " * max(depth - 1, 0) + type(net).__name__, str(net.output_shape(shape)), "", "", "", ""))
        ends = []
        for layer, given in zip(net, net.inputs(shape), strict=True):
            end = _add(layer, given, depth + 1, fields, rows)
            ends.append(end)
            if isinstance(net, Sequential):
                fields = end
        if isinstance(net, Sequential):
            return fields
        known = [end for end in ends if end is not None]
        return max(known, key=_side) if len(known) == len(ends) else None
    window = net.window(shape)
    seen = None if fields is None or window is None else [*fields, window] if window else fields
    result = net.output_shape(shape)
    dense = math.prod(shape) * math.prod(result) + math.prod(result)
    field = "all" if seen is None else " x ".join(map(str, _side(seen))) if seen else "1"
    numbers = (f"{_count(net, shape):,}", f"{net.multiply_adds(shape):,}")
    rows.append(("  " * max(depth - 1, 0) + repr(net), str(result), *numbers, field, f"{dense:,}"))
    return seen


def _side(fields: list[Any]) -> tuple[int, ...]:
    """The sides of the receptive field of a stack of windows."""
    size = receptive_field(fields).size
    return (size,) if isinstance(size, int) else size
