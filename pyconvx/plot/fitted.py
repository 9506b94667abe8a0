"""Texts whose size follows the axes. May import page; imports matplotlib, and so is imported inside functions only."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from matplotlib.text import Text

from .page import INK

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.transforms import Bbox

__all__ = ["FittedTexts"]

FILLED = 0.9  # the share of its room that a text may take
SMALLEST = 1.0  # points: matplotlib draws nothing smaller


class FittedTexts:
    """Texts of one size on axes: `largest` points, or as much less as it takes for each to be within its room.

    The size is that of the axes as they are when they are drawn. `bold` leaves each text the room it takes in bold.
    """

    def __init__(self, axes: Axes, largest: float, *, bold: bool = False) -> None:
        self.axes = axes
        self._largest = largest
        self._weight = "bold" if bold else "normal"
        self._rooms: set[tuple[str, float, float]] = set()
        self._texts: list[Text] = []
        self._fits: tuple[float, ...] = ()  # the pixels of a unit, and of an inch, that the size was found for

    def write(self, x: float, y: float, text: str, room: tuple[float, float], **style: Any) -> None:
        """Write a text at (x, y), centred unless `style` says otherwise; room: how wide and high it may be there."""
        style = {"ha": "center", "va": "center", "color": INK, "fontsize": self._largest, **style}
        written = _FittedText(self, x, y, text, **style)
        self.axes.add_artist(written)
        self._texts.append(written)
        self.reserve(text, room)

    def reserve(self, text: str, room: tuple[float, float]) -> None:
        """Choose a size at which this text is within its room, too, though it is not written."""
        self._rooms.add((text, room[0], room[1]))
        self._fits = ()

    def fit(self, renderer: Any = None) -> None:
        """Give the texts the size that fits the axes as they are."""
        corner, across, up = self.axes.transData.transform([(0, 0), (1, 0), (0, 1)])
        unit = (abs(across[0] - corner[0]), abs(up[1] - corner[1]))
        fits = (*unit, self.axes.figure.dpi)
        if fits == self._fits:
            return
        self._fits, size = fits, self._largest
        for _ in range(2):  # again, as small letters are rounded to whole pixels
            size *= min(
                self._share(text, (width * unit[0], height * unit[1]), size, renderer)
                for text, width, height in self._rooms
            )
        for written in self._texts:
            written.set_fontsize(max(SMALLEST, size))

    def _share(self, text: str, room: tuple[float, float], size: float, renderer: Any) -> float:
        """The share of `size`, up to 1, at which a text is within `room` in pixels."""
        sample = Text(0, 0, text, fontsize=max(SMALLEST, size), fontweight=self._weight, figure=self.axes.figure)
        box = sample.get_window_extent(renderer)
        return float(min(1.0, FILLED * room[0] / box.width, FILLED * room[1] / box.height))


class _FittedText(Text):
    """One of the texts; it is fitted before it is measured or drawn."""

    def __init__(self, texts: FittedTexts, x: float, y: float, text: str, **style: Any) -> None:
        super().__init__(x, y, text, **style)
        self._of = texts

    def get_window_extent(self, renderer: Any = None, dpi: float | None = None) -> Bbox:
        self._of.fit(renderer)
        return super().get_window_extent(renderer, dpi)

    def draw(self, renderer: Any) -> None:
        self._of.fit(renderer)
        super().draw(renderer)
