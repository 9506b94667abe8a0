"""Pictures that explain, drawn with matplotlib.

Each function draws on the `ax` it is given, or on a new figure, and returns the Figure: `.savefig("a.png")` writes it,
and a notebook shows it. Imports the operations and what they are made of; matplotlib on first use alone.
"""

from .curves import activation_curve, confusion_matrix, training_curves
from .maps import (
    SHEET_ACROSS,
    feature_grid,
    feature_map,
    feature_maps,
    filter_grid,
    picture,
    picture_filter,
)
from .network import network
from .page import COLOURS, FAINT, INK, SIGNED, new_figure
from .sliding import animate_sliding_filter, sliding_filter
from .windows import padding_photograph, padding_strip, pooling_before_after, receptive_field

__all__ = [
    "COLOURS",
    "FAINT",
    "INK",
    "SHEET_ACROSS",
    "SIGNED",
    "activation_curve",
    "animate_sliding_filter",
    "confusion_matrix",
    "feature_grid",
    "feature_map",
    "feature_maps",
    "filter_grid",
    "network",
    "new_figure",
    "padding_photograph",
    "padding_strip",
    "picture",
    "picture_filter",
    "pooling_before_after",
    "receptive_field",
    "sliding_filter",
    "training_curves",
]
