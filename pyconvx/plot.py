"""Pictures of filters and feature maps, drawn with matplotlib.

Each function draws on the `ax` it is given, or on a new figure, and returns the Figure: `.savefig("a.png")`
writes it. Matplotlib is imported inside the functions only: importing this module is quick and never fails.
One colour scale, safe for the colour-blind, serves all: orange is negative, white zero, purple positive.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["feature_map", "feature_maps", "new_figure", "picture", "picture_filter"]

SIGNED = "PuOr"  # matplotlib's name of the colour scale
INK = "#222222"
FAINT = "#8a8a8a"

SHEET_ACROSS = (0.62, 0.26)  # one width of a square sheet of `feature_maps`, as drawn: to the right and up


def new_figure(width: float, height: float) -> Figure:
    """Return an empty figure of `width` x `height` inches that no window and no global state knows about.

    Raises ImportError, saying what to install, where matplotlib is absent.

    >>> new_figure(4, 3).get_size_inches().tolist()
    [4.0, 3.0]
    """
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ImportError('pictures need matplotlib: pip install "pyconvx[demo]"') from error
    return Figure(figsize=(width, height), dpi=150, facecolor="white")


def picture(image: ArrayLike, *, title: str = "", ax: Axes | None = None) -> Figure:
    """Draw an image of shape (H, W), or (H, W, 3) in colour; integers are 0 to 255, floats 0 to 1 (clipped).

    >>> figure = picture(np.zeros((4, 6, 3)), title="night")
    """
    pixels = np.asarray(image)
    if pixels.ndim == 3 and pixels.shape[-1] == 1:
        pixels = pixels[..., 0]
    if pixels.size == 0 or (pixels.ndim != 2 and (pixels.ndim != 3 or pixels.shape[-1] != 3)):
        raise ValueError(f"image has shape {np.shape(image)}; it must be (H, W), (H, W, 1) or (H, W, 3), H and W not 0")
    brightest = 255 if pixels.dtype.kind in "iu" else 1
    figure, axes = _axes(ax, title, 3.0, 3.0)
    pixels = np.clip(pixels.astype(np.float64) / brightest, 0.0, 1.0)
    axes.imshow(pixels, cmap="gray", vmin=0.0, vmax=1.0, interpolation="nearest")
    _frame(axes)
    return figure


def feature_map(values: ArrayLike, *, title: str = "", limit: float | None = None, ax: Axes | None = None) -> Figure:
    """Draw one feature map, (H, W) or (H, W, 1): orange is negative, white is zero, purple is positive.

    `limit` is the absolute value that gets the full colour; by default the largest one in the map.

    >>> figure = feature_map([[-1.0, 0.0], [0.0, 2.0]], title="two pixels")
    """
    numbers = _one_map(values, "values")
    figure, axes = _axes(ax, title, 3.0, 3.0)
    bound = _limit(numbers, limit)
    axes.imshow(numbers, cmap=SIGNED, vmin=-bound, vmax=bound, interpolation="nearest")
    _frame(axes)
    return figure


def picture_filter(
    weights: ArrayLike, *, title: str = "", numbers: bool | None = None, ax: Axes | None = None
) -> Figure:
    """Draw one filter of shape (kh, kw) or (kh, kw, 1), each weight in the colour of its sign.

    `numbers` writes the weights into the cells; by default it does for a filter of up to 3 x 3.
    A filter that sees several channels, (kh, kw, C), is a stack: see `feature_maps`.

    >>> figure = picture_filter([[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]], title="sobel_x")
    """
    cells = _one_map(weights, "weights")
    figure, axes = _axes(ax, title, 2.0, 2.0)
    bound = 1.6 * _limit(cells, None)  # paler than a feature map, so that the numbers can be read
    axes.imshow(cells, cmap=SIGNED, vmin=-bound, vmax=bound, interpolation="nearest")
    if numbers or (numbers is None and max(cells.shape) <= 3):
        for (row, column), weight in np.ndenumerate(cells):
            text = f"{weight:.3g}".replace("-", "\N{MINUS SIGN}")
            axes.text(column, row, text, ha="center", va="center", fontsize=8.5, color=INK)
    _frame(axes)
    return figure


def feature_maps(
    maps: ArrayLike,
    *,
    title: str = "",
    limit: float | None = None,
    spacing: float = 0.3,
    labels: bool = False,
    ax: Axes | None = None,
) -> Figure:
    """Draw the F feature maps of an array (H, W, F) as a stack of F sheets, in the colours of `feature_map`.

    The sheet in front, on the right, is the last map. `spacing` is the step from sheet to sheet, in sheet
    heights: from 0.62 on, no sheet of a square stack covers another. `labels` writes H, W and F at the edges.

    >>> figure = feature_maps(np.random.default_rng(0).normal(size=(8, 8, 6)), title="8 x 8 x 6")
    """
    stack = np.asarray(maps, dtype=np.float64)
    if stack.ndim != 3 or stack.size == 0:
        raise ValueError(f"maps has shape {stack.shape}; a stack is (H, W, F), none of them 0")
    height, width, count = stack.shape
    figure, axes = _axes(ax, title, 1.2 + 0.9 * count, 4.0)
    from matplotlib.patches import Polygon
    from matplotlib.transforms import Affine2D

    bound = _limit(stack, limit)
    across, up = SHEET_ACROSS[0] * width / height, SHEET_ACROSS[1] * width / height
    for k in range(count):
        # From (column, row) of the sheet to the drawing, where a sheet is 1 high.
        left = k * spacing
        place = Affine2D.from_values(across / width, up / width, 0.0, -1.0 / height, left, 1.0)
        sheet = axes.imshow(
            stack[:, :, k],
            cmap=SIGNED,
            vmin=-bound,
            vmax=bound,
            interpolation="nearest",
            extent=(0, width, height, 0),
            zorder=2 * k + 1,
        )
        sheet.set_transform(place + axes.transData)
        corners = place.transform([(0, 0), (width, 0), (width, height), (0, height)])
        axes.add_patch(Polygon(corners, closed=True, fill=False, edgecolor=INK, lw=0.8, zorder=2 * k + 2))
    front = (count - 1) * spacing
    if labels:
        # F runs along the lower left corners, W along the edge of the sheet in front, H up the last one.
        note: dict[str, Any] = {"fontsize": 9, "color": INK, "ha": "center"}
        angle = float(np.degrees(np.arctan2(up, across)))
        axes.text(-0.05, 0.5, f"H = {height}", rotation=90, va="center", **{**note, "ha": "right"})
        axes.text(front / 2, -0.05, f"F = {count}", va="top", **note)
        axes.text(
            front + across / 2 + 0.03,
            up / 2 - 0.05,
            f"W = {width}",
            rotation=angle,
            rotation_mode="anchor",
            va="top",
            **note,
        )
    margin = 0.18 if labels else 0.03
    axes.set_xlim(-margin, front + across + 0.03)
    axes.set_ylim(-margin, 1 + up + 0.03)
    axes.set_aspect("equal")
    axes.axis("off")
    return figure


def _axes(ax: Axes | None, title: str, width: float, height: float) -> tuple[Figure, Axes]:
    """Return the figure and the axes to draw on, new ones unless `ax` is given, titled."""
    if ax is None:
        figure = new_figure(width, height + (0.4 if title else 0.0))
        ax = figure.add_axes((0.04, 0.04, 0.92, 0.82 if title else 0.92))
    else:
        figure = ax.figure.figure  # twice: the first may be a subfigure, whose own is the whole figure
    if title:
        ax.set_title(title, fontsize=9.5, color=INK, pad=5)
    return figure, ax


def _one_map(values: ArrayLike, name: str) -> NDArray[np.float64]:
    """Return `values` as an array of rank 2; a last axis of length 1 is dropped."""
    numbers = np.asarray(values, dtype=np.float64)
    if numbers.ndim == 3 and numbers.shape[-1] == 1:
        numbers = numbers[..., 0]
    if numbers.ndim != 2 or numbers.size == 0:
        raise ValueError(f"{name} has shape {np.shape(values)}; it must be (H, W) or (H, W, 1), none of them 0")
    return numbers


def _limit(values: NDArray[np.float64], limit: float | None) -> float:
    """Return the absolute value that gets the full colour; never 0."""
    if limit is None:
        finite = np.abs(values[np.isfinite(values)])
        limit = float(finite.max()) if finite.size else 0.0
    return limit or 1.0


def _frame(axes: Axes) -> None:
    """Put a thin line around a picture in place of ticks."""
    axes.set_xticks([])
    axes.set_yticks([])
    for spine in axes.spines.values():
        spine.set_linewidth(0.6)
        spine.set_color(FAINT)
