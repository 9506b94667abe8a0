"""Curves and tables of numbers: activations, training, confusion. May import page, the plugins and the operations."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from .. import functional
from ..activation import activation as resolve
from .page import COLOURS, FAINT, INK, axes_of, enclose, new_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["activation_curve", "confusion_matrix", "training_curves"]

MOST_CLASSES = 200


def activation_curve(
    activation: Any,
    *,
    low: float = -4.0,
    high: float = 4.0,
    derivative: bool = True,
    title: str | None = None,
    ax: Axes | None = None,
) -> Figure:
    """Draw an activation from `low` to `high`, and its derivative as a dashed line if it has one.

    activation: a name in `activations`, or a bound one. Raises ValueError for one that mixes the elements of a row, as
    softmax does: it is no curve.

    >>> figure = activation_curve("gelu")
    """
    bound = resolve(activation)
    if bound.plugin.rowwise or bound.plugin.output_size:
        raise ValueError(f"activation {bound.name!r} mixes the elements of a row, and is no curve")
    figure, axes = axes_of(ax, repr(bound).removesuffix("()") if title is None else title, 4.0, 3.0, room=True)
    x = np.linspace(low, high, 801)
    axes.axhline(0, color=FAINT, linewidth=0.6)
    axes.axvline(0, color=FAINT, linewidth=0.6)
    axes.plot(x, functional.activate(x, bound), color=COLOURS[0], linewidth=2, label="y")
    if derivative and (bound.plugin.derivative or bound.plugin.gradient):
        _, pullback = functional.vjp(functional.activate, x, bound)
        axes.plot(x, pullback(np.ones_like(x))[0], "--", color=COLOURS[1], linewidth=1.6, label="dy/dx")
        axes.legend(frameon=False, fontsize=8)
    axes.set_xlim(low, high)
    axes.set_xlabel("x", fontsize=8.5)
    _plain(axes)
    return figure


def training_curves(history: Any, *, what: str | None = None, title: str = "", ax: Axes | None = None) -> Figure:
    """Draw what each epoch of a training came to, from the History that `nn.fit` returned.

    what: "loss" or "accuracy"; by default both where there are both, side by side, or the loss on the `ax` that is
    given. In each a ring marks the epoch of the lowest validation loss, or of the lowest training loss where nothing
    was held back. Raises ValueError for a history without an epoch, or without accuracies.

    >>> import pyconvx as cx
    >>> figure = training_curves(cx.nn.History(loss=[2.0, 1.0], validation_loss=[2.1, 1.5]))
    """
    if what not in (None, "loss", "accuracy"):
        raise ValueError(f'what must be "loss" or "accuracy", got {what!r}')
    if not history.loss:
        raise ValueError("history has no epoch to be drawn")
    both = what is None and ax is None and bool(history.accuracy)
    if both:
        figure = new_figure(8.0, 3.2)
        for kind, axes in zip(("loss", "accuracy"), figure.subplots(1, 2), strict=True):
            training_curves(history, what=kind, title=title or kind, ax=axes)
        figure.subplots_adjust(0.08, 0.16, 0.97, 0.9, 0.22)
        return figure
    kind = what or "loss"
    values = {"training": getattr(history, kind), "validation": getattr(history, f"validation_{kind}")}
    if not values["training"]:
        raise ValueError(f"history has no {kind}")
    figure, axes = axes_of(ax, title or kind, 4.0, 3.0, room=True)
    for (name, numbers), colour, style in zip(values.items(), COLOURS, ("-", "--"), strict=False):
        epochs = np.arange(1, len(numbers) + 1)
        if numbers:
            axes.plot(epochs, numbers, style, color=colour, linewidth=1.8, marker=".", label=name)
    watched = values["validation"] or values["training"]
    if len(watched) > history.best:
        label = f"lowest {'validation' if history.validation_loss else 'training'} loss"
        ring: dict[str, Any] = {"facecolors": "none", "edgecolors": INK, "s": 60, "zorder": 3, "label": label}
        axes.scatter([history.best + 1], [watched[history.best]], **ring)
    axes.legend(frameon=False, fontsize=8)
    axes.set_xlabel("epoch", fontsize=8.5)
    axes.locator_params(axis="x", integer=True, min_n_ticks=1)
    _plain(axes)
    return figure


def confusion_matrix(
    labels: ArrayLike,
    predicted: ArrayLike,
    *,
    names: Sequence[str] | None = None,
    title: str = "",
    ax: Axes | None = None,
) -> Figure:
    """Draw how often each label (N,) was predicted as each: rows are the labels, columns the predictions.

    The darker a cell, the larger its share of the row. names: what the classes are called, by default their numbers.
    Raises ValueError for arrays that are not as many integers, from 0 on, and for more than 200 classes.

    >>> figure = confusion_matrix([0, 0, 1, 2], [0, 1, 1, 2], names=["cat", "dog", "cow"])
    """
    true, guess = np.asarray(labels), np.asarray(predicted)
    if true.shape != guess.shape or true.ndim != 1 or true.size == 0 or {true.dtype.kind, guess.dtype.kind} - set("iu"):
        raise ValueError(f"labels and predicted must be as many integers (N,), got shapes {true.shape}, {guess.shape}")
    classes = int(max(true.max(), guess.max())) + 1 if names is None else len(names)
    if classes > MOST_CLASSES:
        raise ValueError(f"at most {MOST_CLASSES} classes are drawn, got labels up to {classes - 1}")
    if min(true.min(), guess.min()) < 0 or max(true.max(), guess.max()) >= classes:
        raise ValueError(f"labels must be in 0...{classes - 1}, got {true.min()}...{true.max()} and {guess.max()}")
    counts = np.bincount(true.astype(np.intp) * classes + guess.astype(np.intp), minlength=classes**2)
    counts = counts.reshape(classes, classes)
    shares = counts / np.maximum(counts.sum(1, keepdims=True), 1)
    side = max(2.2, 0.42 * classes)
    figure, axes = axes_of(ax, title, side / 0.82, side / 0.8, room=True)
    from .fitted import FittedTexts

    texts = FittedTexts(axes, 7)
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    for (row, column), count in np.ndenumerate(counts):
        if count:
            colour = "white" if shares[row, column] > 0.55 else INK
            texts.write(column, row, str(count), (1, 1), color=colour)
    called = [str(i) for i in range(classes)] if names is None else list(names)
    turned: dict[str, Any] = (
        {"rotation": 45, "ha": "right", "rotation_mode": "anchor"} if max(map(len, called)) > 2 else {}
    )
    axes.set_xticks(range(classes), called, fontsize=7.5, **turned)
    axes.set_yticks(range(classes), called, fontsize=7.5)
    axes.set_xlabel("predicted", fontsize=8.5)
    axes.set_ylabel("label", fontsize=8.5)
    if ax is None:
        enclose(figure, axes)
    return figure


def _plain(axes: Axes) -> None:
    """Two spines and small numbers."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(labelsize=8)
