"""What windows see: padding on a strip and around a photograph, pooling before and after, receptive fields.

May import page, the plugins, geometry and the operations.
"""

from __future__ import annotations

from collections.abc import Sequence
from inspect import signature
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from .. import functional
from ..geometry import receptive_field as field_of
from ..padding import padding
from ..plugin import Bound
from ..pooling import pooling
from .page import (
    COLOURS,
    FAINT,
    INK,
    axes_of,
    colours_of_signs,
    frame,
    limit_of,
    number_text,
    number_width,
    one_map,
    pixels_of,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from .fitted import FittedTexts

__all__ = ["padding_photograph", "padding_strip", "pooling_before_after", "receptive_field"]

TIMES = " \N{MULTIPLICATION SIGN} "
READABLE = 8  # rows or columns of a pooled map whose numbers are written
NUMBERS = 6.5  # their points
DEFAULT_MODES = ("zeros", "edge", "reflect", "symmetric", "wrap", "odd_reflect", "odd_symmetric")


def padding_strip(
    modes: Any = DEFAULT_MODES, *, n: int = 5, before: int = 4, after: int = 4, title: str = "", ax: Axes | None = None
) -> Figure:
    """Draw what padding modes put around the elements 1 ... n: a row for each mode, the elements in a frame.

    modes: names in `paddings`, or bound ones, one or several; joint ones, of several axes at once, are refused by
    ValueError. before, after: how many coordinates at either end.

    >>> figure = padding_strip(["reflect", "wrap"], n=4)
    """
    several = isinstance(modes, Sequence) and not isinstance(modes, str)
    bound = [padding(mode) for mode in (modes if several else (modes,))]
    for mode in bound:
        if mode.plugin.joint:
            raise ValueError(f"padding mode {mode.name!r} is for several axes at once, and is no strip")
    rows = [functional.pad(np.arange(1.0, n + 1), (before, after), mode) for mode in bound]
    width = before + n + after
    longest = max(len(repr(mode)) for mode in bound)
    cell = max(0.36, number_width(np.stack(rows), 10))  # the letters have 8.5 points, and those in bold are wider
    figure, axes = axes_of(ax, title, 1.9 + cell * width, 0.3 + 0.42 * len(rows))
    from matplotlib.patches import Rectangle

    from .fitted import FittedTexts

    texts, names = FittedTexts(axes, 8.5, bold=True), FittedTexts(axes, 8.5)
    for row, (mode, numbers) in enumerate(zip(bound, rows, strict=True)):
        shade = np.clip(numbers / (2.4 * n), -1, 1)[None]
        extent = (-0.5, width - 0.5, row + 0.4, row - 0.4)
        shown = axes.imshow(
            shade, cmap=colours_of_signs(), vmin=-1, vmax=1, extent=extent, aspect="auto", interpolation="nearest"
        )
        for column, (number, ink) in enumerate(zip(numbers, _ink_on(shown, shade)[0], strict=True)):
            inside = before <= column < before + n
            weight = "bold" if inside else "normal"
            texts.write(column, row, number_text(number), (1, 0.8), color=ink, fontweight=weight)
        axes.add_patch(Rectangle((before - 0.5, row - 0.4), n, 0.8, fill=False, edgecolor=INK, linewidth=1.6))
        names.write(-0.8, row, repr(mode).removesuffix("()"), (0.2 + 0.24 * longest, 0.8), ha="right")
    axes.set_xlim(-1.0 - 0.24 * longest, width - 0.4)
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.axis("off")
    return figure


def padding_photograph(
    image: ArrayLike, mode: Any = "reflect", *, width: Any = None, title: str | None = None, ax: Axes | None = None
) -> Figure:
    """Draw an image (H, W) or (H, W, 3) with what a padding mode puts around it, the image in a frame.

    mode: a name in `paddings`, a bound one (a joint one, too), or one for each axis; width: how far, as an int or one
    per axis, by default a third of the image.

    >>> figure = padding_photograph(np.random.default_rng(0).random((12, 16)), "symmetric")
    """
    pixels = pixels_of(image)
    height, across = pixels.shape[:2]
    if width is None:
        pads = (max(1, height // 3), max(1, across // 3))
    else:
        pads = (width, width) if isinstance(width, (int, np.integer)) else tuple(width)
    per_axis = isinstance(mode, Sequence) and not isinstance(mode, str)
    modes = (*mode, *(["zeros"] * (pixels.ndim - 2))) if per_axis else mode
    padded = np.clip(functional.pad(pixels, {0: pads[0], 1: pads[1]}, modes), 0, 1)
    told = " x ".join(map(str, mode)) if per_axis else repr(padding(mode)).removesuffix("()")
    figure, axes = axes_of(ax, told if title is None else title, 3.0, 3.0 * padded.shape[0] / padded.shape[1])
    from matplotlib.patches import Rectangle

    axes.imshow(padded, cmap="gray", vmin=0, vmax=1, interpolation="nearest")
    corner = (pads[1] - 0.5, pads[0] - 0.5)
    for colour, line in (("white", 3.0), (INK, 1.2)):
        axes.add_patch(Rectangle(corner, across, height, fill=False, edgecolor=colour, linewidth=line))
    frame(axes)
    return figure


def pooling_before_after(
    values: ArrayLike,
    size: Any = 2,
    kinds: Any = ("max", "avg"),
    *,
    signed: bool = False,
    title: str = "",
    ax: Axes | None = None,
    **options: Any,
) -> Figure:
    """Draw a map (H, W), and what poolings of windows of `size` make of it, each as large as the map.

    kinds: names in `poolings`, or bound ones, one or several; options: those of `pool2d`. signed: the colours of signs
    rather than greys. Numbers are written into the cells of maps of up to 8 x 8; the longer they are, the larger is a
    new figure.

    >>> figure = pooling_before_after(np.arange(36.0).reshape(6, 6), 2, ["max", "avg", "median"])
    """
    numbers = one_map(values, "values")
    several = isinstance(kinds, Sequence) and not isinstance(kinds, str)
    params = {key: value for key, value in options.items() if key not in signature(functional.pool2d).parameters}
    maps = [("before", numbers)]
    for kind in kinds if several else (kinds,):
        maps.append(
            (_told(pooling(kind, **params)), functional.pool2d(numbers[..., None], size, kind, **options)[..., 0])
        )
    ratio = numbers.shape[0] / numbers.shape[1]
    told = [drawn for _, drawn in maps if max(drawn.shape) <= READABLE]
    side = max([2.3, *(drawn.shape[1] * number_width(drawn, NUMBERS) for drawn in told)])
    figure, axes = axes_of(ax, title, side * len(maps), side * ratio + 0.3)
    from .fitted import FittedTexts

    names, texts = FittedTexts(axes, 8.5), FittedTexts(axes, NUMBERS)
    for i, (name, drawn) in enumerate(maps):
        left = 1.08 * i
        extent = (left, left + 1, ratio, 0)
        shown = axes.imshow(drawn, interpolation="nearest", extent=extent, **_shades(drawn, numbers, signed))
        axes.plot([left, left + 1, left + 1, left, left], [0, 0, ratio, ratio, 0], color=INK, linewidth=0.7)
        names.write(left + 0.5, -0.03, f"{name}, {TIMES.join(map(str, drawn.shape))}", (1.08, 0.11), va="bottom")
        if max(drawn.shape) <= READABLE:
            _write_cells(texts, drawn, extent, shown)
    axes.set_xlim(-0.01, 1.08 * len(maps) - 0.07)
    axes.set_ylim(ratio + 0.01, -0.14)
    axes.set_aspect("equal")
    axes.axis("off")
    return figure


def _told(bound: Bound[Any]) -> str:
    """A bound plugin as it is called, without parameters that have their defaults."""
    defaults = bound.plugin.defaults
    own = [f"{key}={value!r}" for key, value in bound.params.items() if repr(value) != repr(defaults.get(key))]
    return f"{bound.name}({', '.join(own)})" if own else bound.name


def _shades(drawn: Any, before: Any, signed: bool) -> dict[str, Any]:
    """The scale of the map before, or that of what goes beyond it, as sums do."""
    if signed:
        bound = max(limit_of(before, None), limit_of(drawn, None))
        return {"cmap": colours_of_signs(), "vmin": -bound, "vmax": bound}
    low, high = _range(before)
    least, most = _range(drawn)
    if least < low or most > high:
        low, high = least, most
    return {"cmap": "gray", "vmin": low, "vmax": high if high > low else low + 1}


def _range(numbers: Any) -> tuple[float, float]:
    finite = numbers[np.isfinite(numbers)]
    return (float(finite.min()), float(finite.max())) if finite.size else (0.0, 1.0)


def _ink_on(shown: Any, numbers: Any) -> Any:
    """For each number of a map the colour that is legible on its shade."""
    shades = shown.cmap(shown.norm(np.ma.masked_invalid(numbers)))
    return np.where(shades[..., :3] @ (0.299, 0.587, 0.114) < 0.5, "white", INK)


def _write_cells(texts: FittedTexts, numbers: Any, extent: tuple[float, ...], shown: Any) -> None:
    """The numbers of a map in its cells, legible on their shades."""
    left, right, bottom, top = extent
    width, height = (right - left) / numbers.shape[1], (bottom - top) / numbers.shape[0]
    inks = _ink_on(shown, numbers)
    for (row, column), number in np.ndenumerate(numbers):
        x, y = left + (column + 0.5) * width, top + (row + 0.5) * height
        texts.write(x, y, number_text(number), (width, height), color=inks[row, column])


def receptive_field(
    net: Any,
    image: ArrayLike,
    *,
    place: tuple[int, int] | None = None,
    title: str = "",
    ax: Axes | None = None,
) -> Figure:
    """Draw over an image (H, W) or (H, W, 3) what one place of the result of each layer of a network sees, and a key.

    net: layers of windows one after another, as in a `cx.Sequential`; the drawing ends before the first layer that sees
    everything, or that is several in one. place: (row, column) of the last result drawn, by default its middle.

    >>> import pyconvx as cx
    >>> net = cx.Sequential(cx.Conv2D(8, 5), cx.MaxPool2D(2), cx.Conv2D(8, 3))
    >>> figure = receptive_field(net, np.random.default_rng(0).random((32, 32)))
    """
    pixels = pixels_of(image)
    layers = list(net) if hasattr(net, "layers") else [net]
    layout = next((layer.layout for layer in layers if hasattr(layer, "layout")), "channels_last")
    channels = 1 if pixels.ndim == 2 else 3
    shape: tuple[int, ...] = (
        (*pixels.shape[:2], channels) if layout == "channels_last" else (channels, *pixels.shape[:2])
    )
    windows: list[Any] = []
    steps: list[tuple[str, int, tuple[int, ...]]] = []  # name, windows until then, shape of the result
    for layer in layers:
        window = None if hasattr(layer, "layers") else layer.window(shape)
        if window is None:
            break
        shape = layer.output_shape(shape)
        if window:
            windows.append(window)
            steps.append((type(layer).__name__, len(windows), shape[:2] if layout == "channels_last" else shape[1:]))
    if not steps:
        raise ValueError(f"{net!r} begins with no layer of windows over two axes")
    row, column = (n // 2 for n in steps[-1][2]) if place is None else place
    rows, columns = steps[-1][2]
    if not (0 <= row < rows and 0 <= column < columns):
        raise ValueError(f"place must be inside of {rows} x {columns}, got {place}")
    fields = [_field(windows[:count]) for _, count, _ in steps]
    labels = [f"{name}: {TIMES.join(map(str, field.size))}" for (name, _, _), field in zip(steps, fields, strict=True)]
    height, width = pixels.shape[:2]
    inch = width / 4.05  # in pixels of the image, on a new figure
    beside = inch * (0.35 + 0.066 * max(map(len, labels)))
    figure, axes = axes_of(ax, title, 4.4 * (width + beside) / width, 4.4 * height / width + 0.2)
    from matplotlib.patches import Rectangle

    axes.imshow(pixels, cmap="gray", vmin=0, vmax=1, interpolation="nearest", alpha=0.85)
    outline = Rectangle((-0.5, -0.5), width, height, fill=False, edgecolor=FAINT, linewidth=0.6, label="_")
    axes.add_patch(outline)
    last = fields[-1]
    middle = [(last.start[i] + (row, column)[i] * last.stride[i]) + (last.size[i] - 1) / 2 for i in (0, 1)]
    for i, field in reversed(list(enumerate(fields))):
        # of the place of that result whose field is nearest to the middle of the last one
        at = [round((middle[k] - (field.size[k] - 1) / 2 - field.start[k]) / field.stride[k]) for k in (0, 1)]
        top, left = (field.start[k] + at[k] * field.stride[k] - 0.5 for k in (0, 1))
        colour = COLOURS[i % len(COLOURS)]
        for edge, line, label in (("white", 3.4, "_"), (colour, 1.8, labels[i])):
            box = Rectangle((left, top), field.size[1], field.size[0], fill=False, edgecolor=edge, linewidth=line)
            box.set_label(label)
            axes.add_patch(box).set_clip_path(outline)
    _write_key(axes, labels, (width, height), inch)
    axes.set_xlim(-0.5, width - 0.5 + beside)
    axes.axis("off")
    return figure


def _write_key(axes: Axes, labels: list[str], size: tuple[int, int], inch: float) -> None:
    """To the right of an image (width, height), what the squares in the order of their colours are."""
    from matplotlib.patches import Rectangle

    from .fitted import FittedTexts

    texts = FittedTexts(axes, 7)
    left, step = size[0] - 0.5 + 0.1 * inch, min(0.18 * inch, size[1] / len(labels))
    for i, label in enumerate(labels):
        middle = (i + 0.5) * step - 0.5
        colour = COLOURS[i % len(COLOURS)]
        axes.add_patch(Rectangle((left, middle - 0.3 * step), 0.14 * inch, 0.6 * step, color=colour, lw=0, label="_"))
        texts.write(left + 0.2 * inch, middle, label, (0.066 * inch * len(label), step), ha="left")


def _field(windows: list[Any]) -> Any:
    """The receptive field of a stack of windows over two axes, with a number for each."""
    found = field_of(windows)
    pairs = ((each, each) if isinstance(each, int) else each for each in (found.size, found.stride, found.start))
    return type(found)(*pairs)
