"""What all pictures share: figures, axes, frames and colours. Matplotlib is imported inside the functions only:
importing this package is quick and never fails. Imports NumPy alone.

One scale of colours, safe for the colour-blind, serves all signed numbers: orange is negative, white zero, purple
positive, grey no number or infinite. Lines and areas take the colours of Okabe and Ito.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.colors import Colormap
    from matplotlib.figure import Figure

__all__ = [
    "COLOURS",
    "FAINT",
    "INK",
    "NOT_FINITE",
    "axes_of",
    "colours_of_signs",
    "enclose",
    "frame",
    "limit_of",
    "new_figure",
    "number_text",
    "number_width",
    "one_map",
    "pixels_of",
]

SIGNED = "PuOr"  # matplotlib's name of the colour scale
INK = "#222222"
FAINT = "#8a8a8a"
NOT_FINITE = "#9e9e9e"
LARGEST = 40.0  # inches of a figure, in either direction
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")


def new_figure(width: float, height: float) -> Figure:
    """Return an empty figure of `width` x `height` inches that no window and no global state knows about.

    Raises ImportError, saying what to install, where matplotlib is absent.

    >>> new_figure(4, 3).get_size_inches().tolist()
    [4.0, 3.0]
    """
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ImportError('pictures need matplotlib: pip install "pyconvx[plot]"') from error
    return Figure(figsize=(width, height), dpi=150, facecolor="white")


def axes_of(ax: Axes | None, title: str, width: float, height: float, room: bool = False) -> tuple[Figure, Axes]:
    """Return the figure and the axes to draw on, new ones unless `ax` is given, titled; `room` is left for ticks."""
    if ax is None:
        scale = min(1.0, LARGEST / max(width, height))  # of what is far longer than wide
        width, height = max(width * scale, 1.0), max(height * scale, 1.0)
        figure = new_figure(width, height + (0.4 if title else 0.0))
        left, low = (0.14, 0.16) if room else (0.04, 0.04)
        ax = figure.add_axes((left, low, 0.96 - left, (0.88 if title else 0.96) - low))
    else:
        figure = ax.figure.figure  # twice: the first may be a subfigure, whose own is the whole figure
    if title:
        ax.set_title(title, fontsize=9.5, color=INK, pad=5)
    return figure, ax


def enclose(figure: Figure, axes: Axes) -> None:
    """Make a figure as large as its axes, which keep their size, and what is written around them."""
    margin = 0.08  # inches
    page = figure.get_tightbbox(bbox_extra_artists=[]).padded(margin)  # what is within the axes need not be measured
    inside = axes.get_window_extent().transformed(figure.dpi_scale_trans.inverted())
    width, height = page.size
    figure.set_size_inches(width, height)
    left, low = inside.x0 - page.x0, inside.y0 - page.y0
    axes.set_position((left / width, low / height, inside.width / width, inside.height / height))


def colours_of_signs() -> Colormap:
    """The scale of colours for signed numbers, with one of its own for what is not finite."""
    from matplotlib import colormaps

    return colormaps[SIGNED].with_extremes(bad=NOT_FINITE)


def number_text(number: float, digits: int = 3) -> str:
    """A number as it is written into a cell: right to `digits` digits, and an integer of up to five to the last one."""
    size = abs(number)
    if 0 < size < 1e-3 or 1e5 <= size < np.inf:
        factor, power = f"{number:.{digits - 1}e}".split("e")
        text = f"{float(factor):g}e{int(power)}"
    else:
        text = f"{number + 0.0:.0f}" if size >= 10 ** (digits - 1) else f"{number + 0.0:.{digits}g}"  # 0.0: never "-0"
    return text.replace("-", "\N{MINUS SIGN}")


def number_width(numbers: NDArray[np.float64], points: float, digits: int = 3) -> float:
    """Inches of a cell in which each of the numbers can be written in letters of so many points."""
    return 0.0095 * points * max(len(number_text(number, digits)) for number in numbers.flat)


def one_map(values: ArrayLike, name: str) -> NDArray[np.float64]:
    """Return `values` as an array of rank 2; a last axis of length 1 is dropped."""
    numbers = np.asarray(values, dtype=np.float64)
    if numbers.ndim == 3 and numbers.shape[-1] == 1:
        numbers = numbers[..., 0]
    if numbers.ndim != 2 or numbers.size == 0:
        raise ValueError(f"{name} has shape {np.shape(values)}; it must be (H, W) or (H, W, 1), none of them 0")
    return numbers


def limit_of(values: NDArray[np.float64], limit: float | None) -> float:
    """Return the absolute value that gets the full colour; never 0."""
    if limit is None:
        finite = np.abs(values[np.isfinite(values)])
        limit = float(finite.max()) if finite.size else 0.0
    return limit or 1.0


def frame(axes: Axes) -> None:
    """Put a thin line around a picture in place of ticks."""
    axes.set_xticks([])
    axes.set_yticks([])
    for spine in axes.spines.values():
        spine.set_linewidth(0.6)
        spine.set_color(FAINT)


def pixels_of(image: ArrayLike) -> NDArray[np.float64]:
    """An image (H, W), (H, W, 1) or (H, W, 3) as numbers from 0 to 1: integers are 0 to 255, or of uint16 to 65535;
    floats are clipped.
    """
    pixels = np.asarray(image)
    if pixels.ndim == 3 and pixels.shape[-1] == 1:
        pixels = pixels[..., 0]
    if pixels.size == 0 or (pixels.ndim != 2 and (pixels.ndim != 3 or pixels.shape[-1] != 3)):
        raise ValueError(f"image has shape {np.shape(image)}; it must be (H, W), (H, W, 1) or (H, W, 3), H and W not 0")
    brightest = 65535 if pixels.dtype == np.uint16 else 255 if pixels.dtype.kind in "iu" else 1
    return np.clip(pixels.astype(np.float64) / brightest, 0.0, 1.0)
