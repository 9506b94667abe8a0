"""What a network is made of, as a table. May import the layers."""

from __future__ import annotations

import html
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from .layer import Layer, Shape, checked_shape
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
    shape = checked_shape(input_shape)
    net.output_shape(shape)
    rows: list[tuple[str, ...]] = []
    _add(net, shape, 0, (), rows)
    return Summary(tuple(rows), _count(net, shape), net.multiply_adds(shape))


def _count(net: Layer, shape: Shape) -> int:
    return sum(math.prod(each) for each in net.param_shapes(shape).values())


Field = tuple[int, int, int]
"""Along one axis: the first and the last place of the input that the first place of a result sees, and how far on the
next one begins."""
Fields = tuple[Field, ...] | None
"""Of each axis; () where there have been no windows yet, None where everything is seen."""


def _add(net: Layer, shape: Shape, depth: int, fields: Fields, rows: list[tuple[str, ...]]) -> Fields:
    """Add the rows of a layer whose input has that shape and sees these fields; returns those of its result."""
    if isinstance(net, (Sequential, Parallel)):
        if depth or isinstance(net, Parallel):
            rows.append(("  " * max(depth - 1, 0) + type(net).__name__, str(net.output_shape(shape)), "", "", "", ""))
        ends = []
        for layer, given in zip(net, net.inputs(shape), strict=True):
            end = _add(layer, given, depth + 1, fields, rows)
            ends.append(end)
            if isinstance(net, Sequential):
                fields = end
        return fields if isinstance(net, Sequential) else _together(ends)
    window = net.window(shape)
    seen = None if fields is None or window is None else _through(fields, window) if window else fields
    result = net.output_shape(shape)
    dense = math.prod(shape) * math.prod(result) + math.prod(result)
    sides = "all" if seen is None else " x ".join(str(last - first + 1) for first, last, _ in seen) or "1"
    numbers = (f"{_count(net, shape):,}", f"{net.multiply_adds(shape):,}")
    rows.append(("  " * max(depth - 1, 0) + repr(net), str(result), *numbers, sides, f"{dense:,}"))
    return seen


def _through(fields: tuple[Field, ...], window: Mapping[str, Any]) -> Fields:
    """The fields of what windows over places of these fields see."""
    taps = window["kernel_size"]
    before = window.get("padding", (0,) * len(taps))
    stride, dilation = (window.get(name, (1,) * len(taps)) for name in ("stride", "dilation"))
    return tuple(
        (first - n * step, last + (reach - 1 - n) * step, step * s)
        for (first, last, step), n, s, reach in zip(
            fields or ((0, 0, 1),) * len(taps),
            before,
            stride,
            ((k - 1) * d + 1 for k, d in zip(taps, dilation, strict=True)),
            strict=True,
        )
    )


def _together(ends: list[Fields]) -> Fields:
    """The fields of what is merged: from the first place that one of them sees to the last."""
    if any(end is None for end in ends):
        return None
    known = [end for end in ends if end]
    if not known:
        return ()
    whole = [end or ((0, 0, 1),) * len(known[0]) for end in ends]
    return tuple(
        (min(first for first, _, _ in axis), max(last for _, last, _ in axis), max(step for _, _, step in axis))
        for axis in zip(*whole, strict=True)
    )
