"""A padding mode of two axes at once: beyond a pole, a map of the world goes on half a turn away.

With the name of a file as its argument it also draws what it computes: that is how docs/images/globe.png is made.
"""

import sys

import numpy as np
from numpy.typing import NDArray

import pyconvx as cx

ROWS, COLUMNS = 18, 36  # cells of 10 degrees
latitude = np.radians(np.linspace(85, -85, ROWS))[:, None]
longitude = np.radians(np.linspace(-175, 175, COLUMNS))[None, :]


def cloud(north: float, east: float, radius: float) -> NDArray[np.float64]:
    """1 at a place of the globe, and less with the distance from it, which is an angle; all in degrees."""
    north, east = np.radians(north), np.radians(east)
    cosine = np.sin(latitude) * np.sin(north) + np.cos(latitude) * np.cos(north) * np.cos(longitude - east)
    distance = np.degrees(np.arccos(np.clip(cosine, -1, 1)))
    return np.asarray(np.exp(-0.5 * (distance / radius) ** 2))


world = cloud(72, 0, 8)[..., None]  # (18, 36, 1), one channel: a cloud beside the north pole
smooth = cx.filters["gaussian"].as_filters(sigma=1.5).astype(np.float64)
apart = cx.conv2d(world, smooth, padding="same", padding_mode=("symmetric", "wrap"))
globe = cx.conv2d(world, smooth, padding="same", padding_mode="globe")

# Over the pole lies the other side of the globe, which is 18 columns away.
here, there = COLUMNS // 2, 0
print(f"the cloud, smoothed, beside the pole: {globe[0, here, 0]:.3f}")
print(f"just over the pole, as a globe:       {globe[0, there, 0]:.3f}")
print(f"the same place, axis by axis:         {apart[0, there, 0]:.3f}")

# The gradient goes the same ways back: an element near the pole is read on either side of it.
y, pullback = cx.vjp(cx.conv2d, world, smooth, padding="same", padding_mode="globe")
gx, _ = pullback(np.ones_like(y))
assert np.isclose(gx.sum(), y.size)  # the weights of the filter add up to 1


def draw(file: str) -> None:
    """Write a picture of a small map with what is around it, and of both clouds."""
    from pyconvx import plot

    figure = plot.new_figure(9.0, 3.8)
    rows, columns, around = 3, 8, 2
    numbers = cx.pad(np.arange(1, rows * columns + 1).reshape(rows, columns), around, "globe")
    side = cx.pad(np.where(np.arange(columns) < columns // 2, -1.0, 1.0) * np.ones((rows, 1)), around, "globe")
    axes = figure.add_axes((0.02, 0.1, 0.53, 0.78))
    plot.feature_map(side, limit=3.5, title="a map of 3 x 8 places, and what a globe has around it", ax=axes)
    for (row, column), number in np.ndenumerate(numbers):
        own = around <= row < around + rows and around <= column < around + columns
        weight = "bold" if own else "normal"
        axes.text(column, row, str(number), ha="center", va="center", fontsize=9, color=plot.INK, fontweight=weight)
    left, right, top, low = around - 0.5, around + columns - 0.5, around - 0.5, around + rows - 0.5
    axes.plot([left, right, right, left, left], [top, top, low, low, top], color=plot.INK, linewidth=2)
    below = "Two colours for two halves of the globe: beyond a pole they change places."
    axes.text(0.5, -0.03, below, ha="center", va="top", transform=axes.transAxes, fontsize=8, color=plot.INK)
    for y, place, title in (
        (globe, 0.55, 'a cloud smoothed on a "globe"'),
        (apart, 0.06, 'and by ("symmetric", "wrap")'),
    ):
        axes = figure.add_axes((0.59, place, 0.39, 0.35))
        plot.feature_map(y, limit=0.4, title=title, ax=axes)
    figure.savefig(file)


if len(sys.argv) > 1:
    draw(sys.argv[1])
