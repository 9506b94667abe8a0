"""A filter that slides over an input, step by step and as an animated GIF. May import page, geometry, operations."""

from __future__ import annotations

from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .. import functional
from ..geometry import Window, conv_windows
from .page import (
    COLOURS,
    FAINT,
    INK,
    NOT_FINITE,
    axes_of,
    colours_of_signs,
    limit_of,
    new_figure,
    number_text,
    number_width,
    one_map,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from .fitted import FittedTexts

__all__ = ["animate_sliding_filter", "sliding_filter"]

LARGEST = 16  # rows or columns that can be read
DIGITS = 2  # of a number that is no integer
Numbers = NDArray[np.float64]


@dataclass(frozen=True)
class _Slide:
    """A convolution of one map by one filter, with all that there is to show."""

    x: Numbers  # (H, W) with its padding
    own: tuple[slice, slice]  # where the map is in x
    weights: Numbers  # (kh, kw)
    y: Numbers
    windows: tuple[Window, ...]

    @property
    def size(self) -> tuple[float, float]:
        """Width and height of a figure, in inches."""
        maps = (self.x, self.weights, self.y)
        widest = max(number_width(numbers, 8, DIGITS) for numbers in maps)  # in bold, 7 points are as wide
        cell = max(0.36, widest)
        columns, rows = sum(numbers.shape[1] for numbers in maps) + 4, max(numbers.shape[0] for numbers in maps) + 2
        return cell * columns + 0.2, cell * rows


def _slide(x: ArrayLike, weights: ArrayLike, stride: Any, padding: Any, padding_mode: Any, dilation: Any) -> _Slide:
    image, kernel = one_map(x, "x"), one_map(weights, "weights")
    windows = conv_windows(image.shape, kernel.shape, stride, padding, dilation)
    options = {"stride": stride, "padding": padding, "padding_mode": padding_mode, "dilation": dilation}
    y = functional.conv2d(image[..., None], kernel[None, ..., None], **options)[..., 0]
    pads = [(window.before, window.after) for window in windows]
    padded = functional.pad(image, pads, padding_mode)
    if max(*padded.shape, *y.shape) > LARGEST:
        raise ValueError(f"x with its padding must have at most {LARGEST} rows and columns, got {padded.shape}")
    own = tuple(slice(before, before + n) for (before, _), n in zip(pads, image.shape, strict=True))
    return _Slide(padded, (own[0], own[1]), kernel, y, windows)


def sliding_filter(
    x: ArrayLike,
    weights: ArrayLike,
    *,
    step: int | None = None,
    stride: Any = 1,
    padding: Any = "valid",
    padding_mode: Any = "zeros",
    dilation: Any = 1,
    title: str = "",
    ax: Axes | None = None,
) -> Figure:
    """Draw a filter (kh, kw) over a map x (H, W) with its padding, and the result so far, at one step of its way.

    step: which window, counted row by row from 0; by default the last one, when the result is whole. The padding is
    pale, the window framed, and so is the result that it gives. Numbers are written to two digits, integers of up to
    five in full. Options are those of `conv2d`. Raises ValueError for a map of more than 16 rows or columns with its
    padding, and a step that there is not.

    >>> figure = sliding_filter(np.eye(5), [[0, 1, 0], [1, -4, 1], [0, 1, 0]], padding="same", step=6)
    """
    slide = _slide(x, weights, stride, padding, padding_mode, dilation)
    last = slide.y.size - 1
    if step is not None and not 0 <= step <= last:
        raise ValueError(f"step must be in 0...{last}, got {step}")
    figure, axes = axes_of(ax, title, *slide.size)
    _draw(axes, slide, last if step is None else step)
    return figure


def animate_sliding_filter(
    path: str | Path,
    x: ArrayLike,
    weights: ArrayLike,
    *,
    seconds: float = 0.5,
    stride: Any = 1,
    padding: Any = "valid",
    padding_mode: Any = "zeros",
    dilation: Any = 1,
    title: str = "",
) -> Path:
    """Write the way of `sliding_filter` over a map as an animated GIF, a frame for each window, and return its path.

    seconds: how long a frame is seen; the last one three times as long. Needs pillow. Raises ValueError as
    `sliding_filter` does, and for a name that does not end in .gif.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     animate_sliding_filter(f"{folder}/a.gif", np.eye(3), np.ones((2, 2)), stride=1).name
    'a.gif'
    """
    path = Path(path)
    if path.suffix.lower() != ".gif":
        raise ValueError(f"path must end in .gif, got {str(path)!r}")
    try:
        from PIL import Image
    except ImportError as error:
        raise ImportError('an animation needs pillow: pip install "pyconvx[plot]"') from error

    slide = _slide(x, weights, stride, padding, padding_mode, dilation)
    width, height = slide.size
    frames = []
    for step in range(slide.y.size):
        figure = new_figure(width, height + (0.4 if title else 0))
        axes = figure.add_axes((0.02, 0.02, 0.96, 0.84 if title else 0.96))
        if title:
            axes.set_title(title, fontsize=9.5, color=INK)
        _draw(axes, slide, step)
        drawn = BytesIO()
        figure.savefig(drawn, format="png", dpi=100)
        with Image.open(drawn) as image:
            frames.append(image.convert("RGB").quantize(64))
    shown = [round(1000 * seconds)] * (len(frames) - 1) + [round(3000 * seconds)]
    frames[0].save(path, save_all=True, append_images=frames[1:], duration=shown, loop=0, optimize=True)
    return path


def _draw(axes: Axes, slide: _Slide, step: int) -> None:
    from matplotlib.patches import Rectangle

    from .fitted import FittedTexts

    names, signs, numbers = FittedTexts(axes, 8), FittedTexts(axes, 15), FittedTexts(axes, 7, bold=True)

    at = divmod(step, slide.y.shape[1])
    first = [window.stride * i for window, i in zip(slide.windows, at, strict=True)]
    dilation = [window.dilation for window in slide.windows]
    reach = [window.reach for window in slide.windows]
    taps = {(first[0] + i * dilation[0], first[1] + j * dilation[1]) for i, j in np.ndindex(*slide.weights.shape)}
    middle = max(slide.x.shape[0], slide.y.shape[0], slide.weights.shape[0]) / 2
    top, left = middle - slide.x.shape[0] / 2, 0.0
    inside = {(i, j) for i in range(*slide.own[0].indices(99)) for j in range(*slide.own[1].indices(99))}
    _cells(numbers, slide.x, (left, top), bold=taps, pale=set(np.ndindex(*slide.x.shape)) - inside)
    own = (left + slide.own[1].start, top + slide.own[0].start)
    sizes = [span.stop - span.start for span in slide.own]
    axes.add_patch(Rectangle(own, sizes[1], sizes[0], fill=False, edgecolor=INK, linewidth=1.2))
    window = (left + first[1], top + first[0])
    axes.add_patch(Rectangle(window, reach[1], reach[0], fill=False, edgecolor=COLOURS[1], linewidth=2.6, zorder=5))
    _name(names, "x", left, slide.x, top)
    left += slide.x.shape[1] + 2
    top = middle - slide.weights.shape[0] / 2
    signs.write(left - 1, middle, "\N{ASTERISK OPERATOR}", (1, 1))
    _cells(numbers, slide.weights, (left, top))
    _name(names, "filter", left, slide.weights, top)
    left += slide.weights.shape[1] + 2
    top = middle - slide.y.shape[0] / 2
    signs.write(left - 1, middle, "=", (1, 1))
    todo = {divmod(i, slide.y.shape[1]) for i in range(step + 1, slide.y.size)}
    _cells(numbers, slide.y, (left, top), empty=todo)
    place = (left + at[1], top + at[0])
    axes.add_patch(Rectangle(place, 1, 1, fill=False, edgecolor=COLOURS[1], linewidth=2.6, zorder=5))
    _name(names, "result", left, slide.y, top)
    axes.set_xlim(-0.15, left + slide.y.shape[1] + 0.15)
    axes.set_ylim(2 * middle + 0.15, -0.9)
    axes.set_aspect("equal")
    axes.axis("off")


def _name(names: FittedTexts, name: str, left: float, cells: Numbers, top: float) -> None:
    width = cells.shape[1]
    names.write(left + width / 2, top - 0.2, name, (width + 1, 0.7), va="bottom")


def _cells(
    texts: FittedTexts,
    numbers: Numbers,
    corner: tuple[float, float],
    bold: Any = frozenset(),
    pale: Any = frozenset(),
    empty: Any = frozenset(),
) -> None:
    """Numbers in cells of the colours of their signs; cells that are pale, or empty."""
    from matplotlib.patches import Rectangle

    colours, bound = colours_of_signs(), limit_of(numbers, None)
    for (row, column), number in np.ndenumerate(numbers):
        x, y = corner[0] + column, corner[1] + row
        here = (row, column)
        shade: Any = colours(0.5 + 0.3 * number / bound) if np.isfinite(number) else NOT_FINITE
        cell = Rectangle((x, y), 1, 1, facecolor="white" if here in empty else shade, edgecolor=FAINT, linewidth=0.5)
        cell.set_alpha(0.35 if here in pale else 1.0)
        texts.axes.add_patch(cell)
        text, room = number_text(number, DIGITS), (1, 1)
        if here in empty:
            texts.reserve(text, room)
        else:
            colour = FAINT if here in pale and here not in bold else INK
            weight = "bold" if here in bold else "normal"
            texts.write(x + 0.5, y + 0.5, text, room, color=colour, fontweight=weight)
