"""What `pyconvx demo` shows: the tutorial's worked example in numbers, and one picture for a class.

Everything shown is computed by the public functions. Needs matplotlib and pillow (the extra "demo").
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

import pyconvx as cx

from . import plot

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Array = NDArray[np.float32]

TIMES = "\N{MULTIPLICATION SIGN}"
CREDIT = "Photograph: Chelsea the cat, by Stefan van der Walt (CC0)"
EDGE_LIMIT = 1.0  # the edge strength that gets the full colour; brightness is 0 to 1
LUMINANCE = np.array([0.299, 0.587, 0.114], dtype=np.float32)  # weights of red, green, blue (ITU-R BT.601)


def photograph() -> Array:
    """Return the photograph that ships with the package: (224, 224, 3), from 0 to 1."""
    try:
        from PIL import Image
    except ImportError as error:
        raise ImportError('reading the photograph needs pillow: pip install "pyconvx[demo]"') from error
    with files("pyconvx").joinpath("data", "chelsea.png").open("rb") as file, Image.open(file) as image:
        return np.asarray(image.convert("RGB"), dtype=np.float32) / np.float32(255)


def six_filters() -> Array:
    """Return six 5x5x3 filters of the sorts that a trained first layer has, as an array (6, 5, 5, 3).

    Edges in four directions, a spot, and red against green; the absolute weights of each sum to 2.
    """
    rows, columns = np.mgrid[-2:3, -2:3].astype(np.float64)
    bump = np.exp(-(rows**2 + columns**2) / 2.5)
    edges = [(np.cos(a) * columns + np.sin(a) * rows) * bump for a in np.pi / 4 * np.arange(4)]
    spot = (2.5 - rows**2 - columns**2) * bump
    spot -= bump * spot.sum() / bump.sum()
    grey = [np.multiply.outer(kernel, LUMINANCE) for kernel in (*edges, spot)]
    colour = np.multiply.outer(bump, [1.0, -1.0, 0.0])
    bank = np.stack([*grey, colour])  # (6, 5, 5, 3)
    bank *= 2 / np.abs(bank).sum(axis=(1, 2, 3), keepdims=True)
    return bank.astype(np.float32)


@dataclass(frozen=True)
class WorkedExample:
    """The arrays of the worked example, in the order in which they are computed."""

    image: Array  # (32, 32, 3)
    filters: Array  # (6, 5, 5, 3)
    bias: Array  # (6,)
    maps: Array  # (32, 32, 6)
    max_pooled: Array  # (16, 16, 6)
    avg_pooled: Array  # (16, 16, 6)

    @property
    def parameters(self) -> int:
        """Weights and biases of the convolutional layer."""
        return self.filters.size + self.bias.size

    @property
    def dense_parameters(self) -> int:
        """Weights and biases of a dense layer from the same input to the same output."""
        return self.image.size * self.maps.size + self.maps.size


def worked_example(photo: Array) -> WorkedExample:
    """Compute the worked example: image 32x32x3, six filters 5x5x3, "same" padding, ReLU, two poolings."""
    image = cx.pool2d(photo, photo.shape[0] // 32, "avg")
    filters, bias = six_filters(), np.zeros(6, dtype=np.float32)
    maps = cx.conv2d(image, filters, bias, padding="same", activation="relu")
    return WorkedExample(image, filters, bias, maps, cx.pool2d(maps, 2, "max"), cx.pool2d(maps, 2, "avg"))


def describe(photo: Array, example: WorkedExample) -> str:
    """Return the worked example in words and numbers, one line per step."""
    inner = example.maps[2:-2, 2:-2]  # where no zeros from outside take part
    row, column, k = (int(i) for i in np.unravel_index(int(inner.argmax()), inner.shape))
    row, column = row + 2, column + 2
    border = np.pad(example.image.astype(np.float64), ((2, 2), (2, 2), (0, 0)))
    by_hand = float((border[row : row + 5, column : column + 5] * example.filters[k]).sum())
    square = example.maps[row // 2 * 2 :, column // 2 * 2 :, k][:2, :2]
    kernel, (inputs, outputs) = example.filters[0], (example.image.size, example.maps.size)
    ratio = example.dense_parameters / example.parameters
    lines = [
        f"image             {_size(example.image)}     the photograph of {_size(photo)}, averaged 7 x 7",
        f"filters           {_size(example.filters)}   six of {_size(kernel)}, and six biases",
        f"conv2d            {_size(example.maps)}     padding 'same' (2 zeros on each side), then ReLU",
        f"pool2d max 2x2    {_size(example.max_pooled)}",
        f"pool2d avg 2x2    {_size(example.avg_pooled)}",
        "",
        f"Away from the rim, the largest value is at row {row}, column {column} of feature map {k}: "
        f"{example.maps[row, column, k]:.6f}.",
        f"By hand, {kernel.size} products and a bias: {by_hand + float(example.bias[k]):.6f}.",
        f"Its 2x2 square is {_numbers(square.ravel())}; the largest is "
        f"{example.max_pooled[row // 2, column // 2, k]:.4f}, the mean "
        f"{example.avg_pooled[row // 2, column // 2, k]:.4f}.",
        "",
        f"Parameters of this layer:             {example.parameters:>12,} = 6 x ({_size(kernel)} + 1)",
        f"of a dense layer doing the same:      {example.dense_parameters:>12,} = "
        f"{inputs:,} x {outputs:,} + {outputs:,}",
        f"The dense layer has {ratio:,.0f} times as many.",
    ]
    return "\n".join(lines)


def draw(photo: Array, example: WorkedExample) -> Figure:
    """Draw the photograph, its feature maps, ReLU, the poolings, and the worked example, on one page."""
    page = _Page(14.0, 15.9)
    page.text(0.5, 0.72, "What a convolutional layer does to a photograph", 24, weight="bold")
    page.text(
        0.5,
        1.12,
        "A filter slides over the picture; at each place, weights times the pixels under them are added up.",
        12.5,
        faint=True,
    )
    _draw_filters(page, photo, top=1.7)
    _draw_activation_and_pooling(page, photo, top=6.4)
    _draw_worked_example(page, example, top=10.35)
    page.text(0.5, 15.5, f"{CREDIT}. Computed and drawn by: pyconvx demo", 9, faint=True)
    return page.figure


def write(path: Path) -> str:
    """Compute everything, write the picture to `path`, and return the text to print."""
    photo = photograph()
    example = worked_example(photo)
    # Matplotlib would write its version into a PNG; without it, equal pictures are equal files.
    metadata = {"Software": None} if path.suffix == ".png" else None
    draw(photo, example).savefig(path, metadata=metadata)
    return describe(photo, example)


def grey(photo: Array) -> Array:
    """Return the brightness of a colour image, (H, W, 1): a convolution with one 1x1x3 filter."""
    brightness: Array = cx.conv2d(photo, LUMINANCE.reshape(1, 1, 1, 3))
    return brightness


class _Page:
    """A figure on which things are placed in inches from the top left corner, in five columns."""

    def __init__(self, width: float, height: float) -> None:
        self.width, self.height = width, height
        self.figure = plot.new_figure(width, height)

    @staticmethod
    def column(k: float) -> float:
        return 0.5 + 2.65 * k

    def axes(self, left: float, top: float, width: float = 2.4, height: float = 2.4) -> Axes:
        return self.figure.add_axes(
            (left / self.width, 1 - (top + height) / self.height, width / self.width, height / self.height)
        )

    def text(self, left: float, top: float, text: str, size: float, *, faint: bool = False, **options: Any) -> None:
        options |= {"fontsize": size, "color": "#5a5a5a" if faint else plot.INK, "va": "baseline"}
        self.figure.text(left / self.width, 1 - top / self.height, text, **options)

    def heading(self, top: float, number: int, text: str) -> None:
        self.text(0.5, top + 0.16, f"{number}", 15, weight="bold")
        self.text(0.82, top + 0.16, text, 15, weight="bold")

    def titled(self, left: float, top: float, title: str, width: float = 2.4, height: float = 2.4) -> Axes:
        """Return axes at `top` with a title in the quarter inch above them."""
        self.text(left, top - 0.1, title, 11)
        return self.axes(left, top, width, height)


def _draw_filters(page: _Page, photo: Array, top: float) -> None:
    page.heading(top, 1, "One photograph, four filters, four feature maps")
    page_top = top + 0.68
    options: dict[str, Any] = {"padding": "same", "padding_mode": "reflect"}
    brightness = grey(photo)
    sobel, emboss = (cx.filters[name].as_filters() for name in ("sobel_x", "emboss"))
    blur = cx.filters["gaussian"].as_filters(channels=3, sigma=3.0)
    sharpen = cx.filters["sharpen"].as_filters(channels=3)
    edges = cx.conv2d(brightness, sobel, **options)
    relief = cx.conv2d(brightness, emboss, **options)

    plot.picture(photo, ax=page.titled(page.column(0), page_top, "The photograph"))
    plot.feature_map(edges, limit=EDGE_LIMIT, ax=page.titled(page.column(1), page_top, "Edges"))
    blurred = cx.conv2d(photo, blur, groups=3, **options)
    plot.picture(blurred, ax=page.titled(page.column(2), page_top, "Blur"))
    sharpened = cx.conv2d(photo, sharpen, groups=3, **options)
    plot.picture(sharpened, ax=page.titled(page.column(3), page_top, "Sharpen"))
    plot.picture(relief, ax=page.titled(page.column(4), page_top, "Emboss"))

    below = page_top + 2.52
    side = 1.0
    page.text(page.column(0), below + 0.2, f"{_size(photo, TIMES)}: rows, columns", 9.5, faint=True)
    page.text(page.column(0), below + 0.4, "and colour channels", 9.5, faint=True)
    notes: tuple[tuple[int, Array, str, tuple[str, ...]], ...] = (
        (1, sobel, "sobel_x", ("right minus left:", "where brightness", "changes sideways")),
        (2, blur, "gaussian", ("a weighted mean", "of the pixels", "around")),
        (3, sharpen, "sharpen", ("a pixel against", "its neighbours")),
        (4, emboss, "emboss", ("a relief, lit from", "the upper left")),
    )
    for k, bank, name, words in notes:
        plot.picture_filter(bank[0], ax=page.axes(page.column(k), below, side, side))
        page.text(page.column(k) + side + 0.12, below + 0.2, name, 9.5, family="monospace")
        for line, word in enumerate(words):
            page.text(page.column(k) + side + 0.12, below + 0.42 + 0.19 * line, word, 9, faint=True)


def _draw_activation_and_pooling(page: _Page, photo: Array, top: float) -> None:
    page.heading(top, 2, "An activation, then two ways of pooling")
    page_top = top + 0.68
    edges = cx.conv2d(grey(photo), cx.filters["sobel_x"].as_filters(), padding="same", padding_mode="reflect")
    rectified = cx.activate(edges, "relu")
    size = 8
    pooled = {kind: cx.pool2d(rectified, size, kind) for kind in ("max", "avg")}

    plot.feature_map(edges, limit=EDGE_LIMIT, ax=page.titled(page.column(1), page_top, "Edges, as above"))
    plot.feature_map(rectified, limit=EDGE_LIMIT, ax=page.titled(page.column(2), page_top, "ReLU"))
    title = f"Max pooling {size} {TIMES} {size}"
    plot.feature_map(pooled["max"], limit=EDGE_LIMIT, ax=page.titled(page.column(3), page_top, title))
    title = f"Average pooling {size} {TIMES} {size}"
    plot.feature_map(pooled["avg"], limit=EDGE_LIMIT / 4, ax=page.titled(page.column(4), page_top, title))

    below = page_top + 2.52
    page.text(page.column(1), below + 0.12, f"{_size(edges, TIMES)}", 9.5, faint=True)
    page.text(page.column(2), below + 0.12, f"{_size(rectified, TIMES)}: max(0, value)", 9.5, faint=True)
    page.text(page.column(3), below + 0.12, f"{_size(pooled['max'], TIMES)}: the strongest", 9.5, faint=True)
    page.text(
        page.column(4),
        below + 0.12,
        f"{_size(pooled['avg'], TIMES)}: the mean, drawn {TIMES} 4",
        9.5,
        faint=True,
    )

    words = (
        "ReLU keeps what is positive",
        "and turns the rest into 0.",
        "",
        "Pooling replaces each square",
        "of pixels by one number: a",
        "smaller map, and one that a",
        "small shift hardly changes.",
    )
    for line, text in enumerate(words):
        page.text(page.column(0), page_top + 0.15 + 0.22 * line, text, 10.5)
    scale = page.axes(page.column(0), page_top + 2.0, 1.9, 0.14)
    scale.imshow(np.linspace(-1, 1, 256)[None], cmap=plot.SIGNED, aspect="auto")
    scale.set_axis_off()
    for x, text, side in ((0.0, "negative", "left"), (0.95, "0", "center"), (1.9, "positive", "right")):
        page.text(page.column(0) + x, page_top + 2.34, text, 9.5, faint=True, ha=side)


def _draw_worked_example(page: _Page, example: WorkedExample, top: float) -> None:
    page.heading(top, 3, "A whole layer: six filters see all three channels, and give six feature maps")
    page_top = top + 0.68
    below = page_top + 2.62
    image, kernel = example.image, example.filters[0]
    plot.picture(image, ax=page.titled(page.column(0), page_top, f"Image, {_size(image, TIMES)}"))
    page.text(page.column(0), below, "red, green and blue", 9.5, faint=True)

    left = page.column(1) + 0.1
    page.text(left, page_top - 0.1, f"Six filters, {_size(kernel, TIMES)}", 11)
    for k, weights in enumerate(example.filters):
        sheets = page.axes(left + k % 2 * 1.25, page_top + k // 2 * 0.82, 1.1, 0.76)
        plot.feature_maps(weights, spacing=0.66, ax=sheets)
    page.text(left, below, "a sheet of weights for each channel", 9.5, faint=True)

    # Many values at the rim are large because zeros lie outside the picture: they do not set the scale.
    scale = float(np.quantile(example.maps[2:-2, 2:-2], 0.995))
    left = page.column(2) + 0.1
    title = f"Feature maps, {_size(example.maps, TIMES)}"
    sheets = page.titled(left, page_top, title, 4.2, 2.4)
    plot.feature_maps(example.maps, limit=scale, labels=True, ax=sheets)
    sheets.set_anchor("W")
    page.text(left, below, 'padding="same", activation="relu"; the dark rims', 9.5, faint=True)
    page.text(left, below + 0.19, "come from the zeros around the picture", 9.5, faint=True)

    left = page.column(4) - 0.35
    title = f"Pooling 2 {TIMES} 2: {_size(example.max_pooled, TIMES)}"
    page.text(left, page_top - 0.1, title, 11)
    for k, (name, maps) in enumerate((("max", example.max_pooled), ("avg", example.avg_pooled))):
        plot.feature_maps(maps, limit=scale, ax=page.axes(left, page_top + 1.26 * k, 2.05, 1.16))
        page.text(left + 2.15, page_top + 1.26 * k + 0.68, name, 10.5)
    page.text(left, below, "half as high and half as wide", 9.5, faint=True)

    numbers = below + 0.95
    inputs, outputs = _size(image, TIMES), _size(example.maps, TIMES)
    page.text(page.column(0), numbers, f"{example.parameters:,}", 26, weight="bold")
    page.text(page.column(0), numbers + 0.28, "parameters in this layer:", 10.5)
    page.text(page.column(0), numbers + 0.48, f"6 {TIMES} ({_size(kernel, TIMES)} + 1)", 10.5)
    page.text(page.column(1) + 0.1, numbers, f"{example.dense_parameters:,}", 26, weight="bold")
    page.text(page.column(1) + 0.1, numbers + 0.28, "in a dense layer that does the same:", 10.5)
    page.text(
        page.column(1) + 0.1,
        numbers + 0.48,
        f"a weight from each of the {inputs} numbers to each of the {outputs}, and a bias for each of these",
        10.5,
    )


def _size(array: NDArray[Any], times: str = "x") -> str:
    return f" {times} ".join(map(str, array.shape))


def _numbers(values: NDArray[Any]) -> str:
    return ", ".join(f"{value:.4f}" for value in values)
