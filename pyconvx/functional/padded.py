"""Padding modes as the operations take them: one for all spatial axes, joint or not, or one per axis. May import
windows and padding.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..geometry import Window
from ..padding import PaddingMode, padding
from ..plugin import Bound
from ..windows import adjoint_axis, forward_axis, one
from .arrays import Array, constant_of

__all__ = [
    "NO_PADDING",
    "Modes",
    "adjoint_axes",
    "check_weights",
    "constants_of",
    "forward_axes",
    "modes_of",
    "ranks_of",
    "separate",
]

Modes = tuple[Bound[PaddingMode], ...]
SPATIAL = 3
NO_PADDING = padding("zeros")
"""The mode of axes that have their border already."""


def modes_of(padding_mode: Any, rank: int) -> Modes:
    """The mode of each spatial axis, or the joint one of all, as many times; ValueError for a wrong number of them, an
    unknown name, and a joint mode for another number of axes.
    """
    if isinstance(padding_mode, Sequence) and not isinstance(padding_mode, str):
        if len(padding_mode) != rank:
            raise ValueError(f"padding_mode must be one mode, or one per spatial axis ({rank}), got {padding_mode!r}")
        return separate("padding_mode", tuple(padding(mode) for mode in padding_mode))
    mode = padding(padding_mode)
    if mode.plugin.joint and rank not in mode.plugin.ranks:
        raise ValueError(f"padding_mode {mode.name!r} is for {ranks_of(mode)} spatial axes at once, got {rank}")
    return (mode,) * rank


def separate(name: str, modes: Modes) -> Modes:
    """Modes of one axis each; ValueError, naming the argument, for a joint one among them."""
    for mode in modes:
        if mode.plugin.joint:
            raise ValueError(f"{name} {mode.name!r} is for all axes at once: it is given by itself, not one per axis")
    return modes


def ranks_of(mode: Bound[PaddingMode]) -> str:
    """For how many axes a joint mode is, in words."""
    return " or ".join(map(str, mode.plugin.ranks))


def forward_axes(windows: tuple[Window, ...], modes: Modes | None) -> tuple[Any, ...]:
    """Index tables of three axes; without modes, padded positions hold nothing."""
    each = modes if modes is not None else (None,) * len(windows)
    tables = tuple(forward_axis(window, mode) for window, mode in zip(windows, each, strict=True))
    return (one(),) * (SPATIAL - len(windows)) + tables


def adjoint_axes(windows: tuple[Window, ...], modes: Modes) -> tuple[Any, ...]:
    """Index tables of the adjoint."""
    tables = tuple(adjoint_axis(window, mode) for window, mode in zip(windows, modes, strict=True))
    return (one(),) * (SPATIAL - len(windows)) + tables


def constants_of(modes: Modes | None, channels: int, dtype: np.dtype[Any]) -> Array:
    """(4, C): the constant outside each of the three axes, and a row of zeros. Checks that `dtype` can hold them."""
    constants = np.zeros((SPATIAL + 1, channels), dtype)
    for axis, mode in enumerate(modes or (), SPATIAL - len(modes or ())):
        if "value" in mode.params:
            constants[axis] = constant_of(mode.params["value"], dtype, f"value of padding mode {mode.name!r}")
    return constants


def check_weights(name: str, mode: Bound[PaddingMode], dtype: np.dtype[Any], weighs: bool, fractional: bool) -> None:
    """TypeError where an argument is a mode that would weigh elements of a bool x, or take fractions of integers."""
    if dtype == np.bool_ and weighs:
        raise TypeError(
            f"{name} {mode.name!r} takes weighted sums of elements, and bool has no arithmetic: x must be of integers, "
            f"float16, float32 or float64, or the mode one that copies elements"
        )
    if dtype.kind in "iu" and fractional:
        raise TypeError(
            f"{name} {mode.name!r} takes fractions of elements, which {dtype} does not hold: x must be of float16, "
            f"float32 or float64, or the mode one of whole weights"
        )
