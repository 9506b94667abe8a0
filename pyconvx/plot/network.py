"""A network as a row of volumes. May import page and geometry."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from ..geometry import sample_shape
from .page import COLOURS, INK, axes_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from .fitted import FittedTexts

__all__ = ["network"]

TIMES = "\N{MULTIPLICATION SIGN}"
SHEAR = (0.32, 0.2)  # how far the third axis goes to the right and up, of its length


@dataclass
class _Volume:
    """What a layer makes of a sample."""

    spatial: tuple[int, ...]
    channels: int
    layers: list[str] = field(default_factory=list)

    @property
    def sizes(self) -> str:
        return f" {TIMES} ".join(map(str, (*self.spatial, self.channels)))


def network(net: Any, input_shape: Any, *, title: str = "", ax: Axes | None = None) -> Figure:
    """Draw a network as volumes: the input, and the result of each layer that changes its shape, in order.

    input_shape: of one sample, without N. Height and depth of a volume grow with the logarithm of its spatial sizes,
    its width with that of its channels; below stand the sizes, above the layers that led there. Layers beside one
    another count as one.

    >>> import pyconvx as cx
    >>> figure = network(cx.Sequential(cx.Conv2D(6, 5), cx.MaxPool2D(2), cx.Flatten(), cx.Dense(10)), (32, 32, 3))
    """
    volumes = _volumes(net, sample_shape(input_shape))
    boxes = [_box(volume) for volume in volumes]
    tallest = max(height + SHEAR[1] * depth for _, height, depth in boxes)
    top = tallest + 0.2 + 0.24 * max(len(volume.layers) for volume in volumes)
    centres, ends = _places(volumes, boxes, letter=0.06 * max(1.0, (top + 0.45) / 3.3))
    figure, axes = axes_of(ax, title, max(4.0, 1.1 * (ends[1] - ends[0]) + 0.565), 3.6)
    from .fitted import FittedTexts

    below, above, right = FittedTexts(axes, 7.5), FittedTexts(axes, 7), 0.0
    for i, (volume, centre, (width, height, depth)) in enumerate(zip(volumes, centres, boxes, strict=True)):
        across = width + SHEAR[0] * depth
        left, low = centre - across / 2, (tallest - height - SHEAR[1] * depth) / 2
        colour = "#b5b5b5" if i == 0 else COLOURS[0] if volume.spatial else COLOURS[1]
        _draw(axes, left, low, width, height, depth, colour)
        room = 2 * min(centre - ends[0], ends[1] - centre)
        below.write(centre, -0.12, volume.sizes, (room, 0.33), va="top")
        above.write(centre, tallest + 0.12, "\n".join(volume.layers), (room, top - tallest - 0.12), va="bottom")
        if i:
            arrow: dict[str, Any] = {"arrowstyle": "-|>", "color": INK, "linewidth": 0.9}
            axes.annotate("", (left - 0.08, tallest / 2), (right + 0.22, tallest / 2), arrowprops=arrow)
        right = left + across
    _keep_apart(below, [volume.sizes for volume in volumes], centres)
    _keep_apart(above, [max(volume.layers, key=len) for volume in volumes], centres)
    axes.set_xlim(*ends)
    axes.set_ylim(-0.45, top)
    axes.set_aspect("equal")
    axes.axis("off")
    return figure


def _places(
    volumes: list[_Volume], boxes: list[tuple[float, float, float]], letter: float
) -> tuple[list[float], tuple[float, float]]:
    """The middle of each volume, and where the drawing begins and ends, so that boxes and texts are apart.

    letter: the width of one, in units of the axes.
    """
    drawn = [width + SHEAR[0] * depth for width, _, depth in boxes]
    written = [letter * max(map(len, (volume.sizes, *volume.layers))) for volume in volumes]
    centres = [0.0]
    for i, j in pairwise(range(len(volumes))):
        apart = max((drawn[i] + drawn[j]) / 2 + 0.75, (written[i] + written[j]) / 2 + 2 * letter)
        centres.append(centres[-1] + apart)
    margins = [max(drawn[i] / 2 + 0.3, written[i] / 2 + letter) for i in (0, -1)]
    return centres, (-margins[0], centres[-1] + margins[1])


def _keep_apart(texts: FittedTexts, lines: list[str], centres: list[float]) -> None:
    """Lines around two centres are apart if both, one after the other, are no longer than twice their distance."""
    for (one, here), (other, there) in pairwise(zip(lines, centres, strict=True)):
        texts.reserve(f"{one}  {other}", (2 * (there - here), math.inf))


def _volumes(net: Any, shape: tuple[int, ...]) -> list[_Volume]:
    layout = next((layer.layout for layer in _flat(net) if hasattr(layer, "layout")), "channels_last")

    def volume(shape: tuple[int, ...]) -> _Volume:
        if layout == "channels_first" and len(shape) > 1:
            return _Volume(shape[1:], shape[0])
        return _Volume(shape[:-1], shape[-1])

    found = [volume(shape)]
    found[0].layers.append("input")
    for layer in _flat(net):
        result = layer.output_shape(shape)
        if result != shape or len(found) == 1:
            found.append(volume(result))
        found[-1].layers.append(_name(layer))
        shape = result
    return found


def _flat(net: Any) -> list[Any]:
    """The layers one after another; those beside one another, which are merged, stay one."""
    if hasattr(net, "layers") and not hasattr(net, "merge"):
        return [inner for layer in net.layers for inner in _flat(layer)]
    return [net]


def _name(layer: Any) -> str:
    """A layer in a few words."""
    name = type(layer).__name__
    size = getattr(layer, "kernel_size", getattr(layer, "size", None))
    if size is not None:
        sizes = (size,) * getattr(layer, "rank", 1) if isinstance(size, int) else tuple(size)
        name += f" {TIMES.join(map(str, sizes))}"
    activation = getattr(layer, "activation", None)
    if activation is not None:
        activation = getattr(activation, "name", activation)
        name = str(activation) if name == "Activation" else f"{name}, {activation}"
    return name


def _box(volume: _Volume) -> tuple[float, float, float]:
    """(width, height, depth) of a volume as drawn."""
    if not volume.spatial:
        return 0.14, 0.3 + 0.22 * math.log2(volume.channels + 1), 0.14
    sides = [0.35 + 0.3 * math.log2(n + 1) for n in volume.spatial]
    height, depth = (sides[0], sides[-1]) if len(sides) > 1 else (sides[0], 0.3)
    return 0.12 + 0.14 * math.log2(volume.channels + 1), height, depth


def _draw(axes: Axes, x: float, y: float, width: float, height: float, depth: float, colour: str) -> None:
    """A cuboid whose front has its lower left corner at (x, y)."""
    from matplotlib.patches import Polygon

    across, up = SHEAR[0] * depth, SHEAR[1] * depth
    front = [(x, y), (x + width, y), (x + width, y + height), (x, y + height)]
    top = [front[3], front[2], (front[2][0] + across, front[2][1] + up), (front[3][0] + across, front[3][1] + up)]
    side = [front[1], front[2], top[2], (front[1][0] + across, front[1][1] + up)]
    for corners, alpha in ((front, 0.55), (top, 0.3), (side, 0.75)):
        axes.add_patch(Polygon(corners, closed=True, facecolor=colour, alpha=alpha, linewidth=0))
        axes.add_patch(Polygon(corners, closed=True, fill=False, edgecolor=INK, linewidth=0.7))
