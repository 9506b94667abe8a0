"""Images, feature maps and filters as pictures. May import page."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..geometry import integer
from .page import INK, axes_of, colours_of_signs, frame, limit_of, number_text, one_map, pixels_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["SHEET_ACROSS", "feature_grid", "feature_map", "feature_maps", "filter_grid", "picture", "picture_filter"]

SHEET_ACROSS = (0.62, 0.26)  # one width of a square sheet of `feature_maps`, as drawn: to the right and up
MOST_SHEETS = 4096  # maps or filters in one grid


def picture(image: ArrayLike, *, title: str = "", ax: Axes | None = None) -> Figure:
    """Draw an image of shape (H, W), or (H, W, 3) in colour; integers are 0 to 255, floats 0 to 1 (clipped).

    >>> figure = picture(np.zeros((4, 6, 3)), title="night")
    """
    pixels = pixels_of(image)
    figure, axes = axes_of(ax, title, 3.0, 3.0)
    axes.imshow(pixels, cmap="gray", vmin=0.0, vmax=1.0, interpolation="nearest")
    frame(axes)
    return figure


def feature_map(values: ArrayLike, *, title: str = "", limit: float | None = None, ax: Axes | None = None) -> Figure:
    """Draw one feature map, (H, W) or (H, W, 1): orange is negative, white is zero, purple is positive,
    grey what is not finite.

    `limit` is the absolute value that gets the full colour; by default the largest one in the map.

    >>> figure = feature_map([[-1.0, 0.0], [0.0, 2.0]], title="two pixels")
    """
    numbers = one_map(values, "values")
    figure, axes = axes_of(ax, title, 3.0, 3.0)
    bound = limit_of(numbers, limit)
    axes.imshow(numbers, cmap=colours_of_signs(), vmin=-bound, vmax=bound, interpolation="nearest")
    frame(axes)
    return figure


def picture_filter(
    weights: ArrayLike, *, title: str = "", numbers: bool | None = None, ax: Axes | None = None
) -> Figure:
    """Draw one filter of shape (kh, kw) or (kh, kw, 1), each weight in the colour of its sign.

    `numbers` writes the weights into the cells; by default it does for a filter of up to 3 x 3.
    A filter that sees several channels, (kh, kw, C), is a stack: see `feature_maps`.

    >>> figure = picture_filter([[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]], title="sobel_x")
    """
    cells = one_map(weights, "weights")
    figure, axes = axes_of(ax, title, 2.0, 2.0)
    bound = 1.6 * limit_of(cells, None)  # paler than a feature map, so that the numbers can be read
    axes.imshow(cells, cmap=colours_of_signs(), vmin=-bound, vmax=bound, interpolation="nearest")
    if numbers or (numbers is None and max(cells.shape) <= 3):
        from .fitted import FittedTexts

        texts = FittedTexts(axes, 8.5)
        for (row, column), weight in np.ndenumerate(cells):
            texts.write(column, row, number_text(weight), (1, 1))
    frame(axes)
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
    stack = _stack(maps)
    height, width, count = stack.shape
    figure, axes = axes_of(ax, title, 1.2 + 0.9 * count, 4.0)
    from matplotlib.patches import Polygon
    from matplotlib.transforms import Affine2D

    bound = limit_of(stack, limit)
    across, up = SHEET_ACROSS[0] * width / height, SHEET_ACROSS[1] * width / height
    for k in range(count):
        # From (column, row) of the sheet to the drawing, where a sheet is 1 high.
        left = k * spacing
        place = Affine2D.from_values(across / width, up / width, 0.0, -1.0 / height, left, 1.0)
        sheet = axes.imshow(
            stack[:, :, k],
            cmap=colours_of_signs(),
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


def feature_grid(
    maps: ArrayLike,
    *,
    columns: int | None = None,
    numbers: bool = True,
    limit: float | None = None,
    title: str = "",
    ax: Axes | None = None,
) -> Figure:
    """Draw the F feature maps of an array (H, W, F) side by side, numbered, in the colours of `feature_map`.

    columns: maps in a row, by default so many that the grid is about square; limit: the absolute value that gets the
    full colour, one for all maps, so that they can be compared.

    >>> figure = feature_grid(np.random.default_rng(0).normal(size=(8, 8, 6)), title="six maps")
    """
    stack = _stack(maps)
    tiles = np.moveaxis(stack, -1, 0)
    labels = [str(i) for i in range(len(tiles))] if numbers else None
    return _grid(tiles, _columns(columns, tiles), limit_of(stack, limit), labels, title, ax)


def filter_grid(
    filters: ArrayLike,
    *,
    columns: int | None = None,
    colour: bool | None = None,
    title: str = "",
    ax: Axes | None = None,
) -> Figure:
    """Draw filters (F, kh, kw, C), as `conv2d` takes them, side by side.

    Filters of three channels are drawn in colour (grey is 0) unless colour=False; those of one channel in the colours
    of signs; of others each channel is drawn by itself, a filter to a row. columns: filters in a row.

    >>> figure = filter_grid(np.random.default_rng(0).normal(size=(6, 5, 5, 3)), title="first layer")
    """
    bank = np.asarray(filters, dtype=np.float64)
    if bank.ndim == 3:
        bank = bank[..., None]
    if bank.ndim != 4 or bank.size == 0:
        raise ValueError(f"filters has shape {np.shape(filters)}; a bank is (F, kh, kw, C), none of them 0")
    bound = limit_of(bank, None)
    if bank.shape[-1] == 3 and colour is not False:
        return _grid(np.clip(bank / (2 * bound) + 0.5, 0, 1), _columns(columns, bank), bound, None, title, ax)
    if bank.shape[-1] == 1:
        return _grid(bank[..., 0], _columns(columns, bank), bound, None, title, ax)
    tiles = np.moveaxis(bank, -1, 1).reshape(-1, *bank.shape[1:3])
    return _grid(tiles, bank.shape[-1], bound, None, title, ax)


def _stack(maps: ArrayLike) -> NDArray[np.float64]:
    """Feature maps (H, W, F); ValueError for what is none."""
    stack = np.asarray(maps, dtype=np.float64)
    if stack.ndim != 3 or stack.size == 0:
        raise ValueError(f"maps has shape {stack.shape}; a stack is (H, W, F), none of them 0")
    return stack


def _columns(columns: int | None, tiles: Any) -> int:
    """How many tiles there are in a row: as many as asked for, or as make about a square."""
    if columns is not None:
        return integer("columns", columns, 1)
    count, height, width = tiles.shape[:3]
    return int(min(count, max(1, round(np.sqrt(count * height / width)))))


def _grid(tiles: Any, columns: int, bound: float, labels: list[str] | None, title: str, ax: Axes | None) -> Figure:
    """Tiles (count, H, W), or (count, H, W, 3) in colour, row by row."""
    count, height, width = tiles.shape[:3]
    if count > MOST_SHEETS:
        raise ValueError(f"a grid shows at most {MOST_SHEETS} of them, got {count}")
    rows, gap = -(-count // columns), 0.08 * max(height, width) + (0.18 * height if labels else 0)
    step = (height + gap, width + 0.08 * max(height, width))
    shape = (rows * step[0], columns * step[1])
    size = 6.0 / max(shape)
    figure, axes = axes_of(ax, title, max(1.5, size * shape[1]), max(1.2, size * shape[0]))
    from matplotlib.patches import Rectangle

    from .fitted import FittedTexts

    texts = FittedTexts(axes, 6.5)
    for i, tile in enumerate(tiles):
        top, left = i // columns * step[0], i % columns * step[1]
        extent = (left, left + width, top + height, top)
        axes.imshow(tile, cmap=colours_of_signs(), vmin=-bound, vmax=bound, interpolation="nearest", extent=extent)
        axes.add_patch(Rectangle((left, top), width, height, fill=False, edgecolor=INK, linewidth=0.5))
        if labels:
            texts.write(left + width / 2, top + 1.02 * height, labels[i], (step[1], gap), va="top")
    axes.set_xlim(-0.02 * shape[1], shape[1])
    axes.set_ylim(shape[0], -0.02 * shape[0])
    axes.set_aspect("equal")
    axes.axis("off")
    return figure
