"""Losses by name, each with its gradient. Imports the registry."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from ..plugin import Bound, Plugin, calling, narrower, returned
from ..registry import Registry

__all__ = ["Loss", "check_targets", "loss", "loss_and_gradient", "losses"]

Array = NDArray[Any]


@dataclass(frozen=True, eq=False)
class Loss(Plugin):
    """A registered loss. `function(y, target, **params)` returns the loss (N,) of each prediction y (N, ...).

    `gradient(y, target, **params)` returns its derivative with respect to y, of the shape of y.
    """

    kind: ClassVar[str] = "loss"
    arguments: ClassVar[tuple[str, ...]] = ("y", "target")

    gradient: Callable[..., Any] | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        self._check_companion("gradient", self.gradient, ("y", "target"))


SLACK = 1e-3
"""By how much the shares of a sample may miss 1: sums of float16 and float32 do."""

losses: Registry[Loss] = Registry(Loss.kind, Loss, "pyconvx.losses")
"""Every loss by name."""


def loss(name: str | Loss | Bound[Loss], /, **params: Any) -> Bound[Loss]:
    """Return a loss with its parameters set. Raises UnknownNameError for a name, TypeError for a parameter.

    >>> loss("huber", delta=2.0)
    huber(delta=2.0)
    """
    return losses.resolve(name, params)


def loss_and_gradient(given: str | Loss | Bound[Loss], y: Array, target: Any) -> tuple[float, Array]:
    """The mean loss of predictions y (N, ...), and its gradient with respect to y.

    Raises UnknownNameError for an unknown name, ValueError for targets that do not fit y.

    >>> loss_and_gradient("mse", np.array([[1.0], [3.0]]), np.array([[1.0], [1.0]]))
    (2.0, array([[0.],
           [2.]]))
    """
    bound = losses.resolve(given)
    if len(y) == 0:
        raise ValueError(f"there must be at least one sample, got predictions of the shape {y.shape}")
    plugin, target = bound.plugin, np.asarray(target)
    assert plugin.gradient is not None
    with calling(plugin):
        each = plugin.function(y, target, **bound.params)
        slope = plugin.gradient(y, target, **bound.params)
    wide = np.dtype(np.float64)
    each = returned(plugin, "function", each, y.shape[:1], wide, *narrower(wide))
    slope = returned(plugin, "gradient", slope, y.shape, wide, *narrower(wide))
    return float(each.mean(dtype=np.float64)), np.asarray(slope / len(y), y.dtype)


def check_targets(given: Any, y: Array, target: Array) -> None:
    """ValueError for labels or shares of any number of samples that cross_entropy cannot take, by the shape of some y.

    What other losses take, and targets of another shape, are told when they are computed.
    """
    bound = losses.resolve(given)
    if bound.plugin.function is not cross_entropy:
        return
    axis = bound.params["axis"]
    classes, last = y.shape[axis], _last(y, target, axis)
    if target.ndim < y.ndim and target.dtype.kind in "iu":
        _check_labels(target, classes)
    elif target.ndim == y.ndim and last.shape[-1] == classes and target.dtype.kind in "biuf":
        sums = last.sum(-1, dtype=np.float64)
        if not (last.min() >= -SLACK and np.abs(sums - 1).max() <= SLACK):
            raise ValueError(
                f"cross_entropy takes labels, or shares of classes, none negative, that add up to 1; got targets from "
                f"{last.min():.4g} to {last.max():.4g}, which add up to {sums.min():.4g}...{sums.max():.4g}; for "
                f"regression loss='mse'"
            )


def _check_labels(target: Array, classes: int) -> None:
    if target.size and not (target.min() >= 0 and target.max() < classes):
        raise ValueError(f"labels must be in 0...{classes - 1}, got {target.min()}...{target.max()}")


def _alike(y: Array, target: Array) -> Array:
    """The difference of predictions and targets of one shape."""
    if target.shape != y.shape:
        raise ValueError(
            f"target must have the shape of the prediction, {y.shape}, got {target.shape} of {target.dtype} (or, for "
            f"cross_entropy, be integer labels (N,))"
        )
    return np.asarray(y - target)


def _per_sample(each: Array) -> Array:
    return np.asarray(each.reshape(len(each), -1).mean(-1))


def _shared(each: Array, classes: int = 1) -> Array:
    """The gradient of `_per_sample`, where the loss of so many elements is one: each divided by how many there are."""
    return np.asarray(each / max(each[:1].size // classes, 1))


def _shares(y: Array, target: Array, label_smoothing: float) -> tuple[Array, Array]:
    """Logarithms of softmax over the last axis, and the shares that they ought to have."""
    if target.dtype.kind in "iu" and target.shape == y.shape[:-1]:
        _check_labels(target, y.shape[-1])
        wanted = (np.arange(y.shape[-1]) == target[..., None]).astype(y.dtype)
    else:
        _alike(y, target)
        wanted = target.astype(y.dtype)
    if not 0 <= label_smoothing < 1:
        raise ValueError(f"label_smoothing must be at least 0 and less than 1, got {label_smoothing}")
    if label_smoothing:
        wanted = (1 - label_smoothing) * wanted + label_smoothing / y.shape[-1]
    shifted = y - y.max(-1, keepdims=True)
    return np.asarray(shifted - np.log(np.exp(shifted).sum(-1, keepdims=True))), wanted


def _last(y: Array, target: Array, axis: int) -> Array:
    """Targets with the classes, if they have that axis, at the end."""
    return np.moveaxis(target, axis, -1) if target.ndim == y.ndim else target


def _cross_entropy_gradient(y: Array, target: Array, label_smoothing: float = 0.0, axis: int = -1) -> Array:
    last = np.moveaxis(y, axis, -1)
    logarithms, wanted = _shares(last, _last(y, target, axis), label_smoothing)
    gradient = np.exp(logarithms) * wanted.sum(-1, keepdims=True) - wanted
    return np.moveaxis(_shared(gradient, last.shape[-1]), -1, axis)


@losses.register("cross_entropy", gradient=_cross_entropy_gradient)
def cross_entropy(y: Array, target: Array, label_smoothing: float = 0.0, axis: int = -1) -> Array:
    """Of the softmax of y, (N, ..., classes), which are logits: target are labels (N, ...) or shares (N, ..., classes).

    axis: that of the classes, 1 for channels first. A mean over all other axes but N. PyTorch's CrossEntropyLoss;
    Szegedy et al. 2015 for label_smoothing.
    """
    logarithms, wanted = _shares(np.moveaxis(y, axis, -1), _last(y, target, axis), label_smoothing)
    with np.errstate(invalid="ignore"):  # nothing of an infinite loss is nothing
        return _per_sample(-np.where(wanted == 0, 0, logarithms * wanted).sum(-1))


@losses.register("mse", gradient=lambda y, target: 2 * _shared(_alike(y, target)))
def mse(y: Array, target: Array) -> Array:
    """Mean squared error."""
    return _per_sample(np.square(_alike(y, target)))


@losses.register("mae", gradient=lambda y, target: _shared(np.sign(_alike(y, target))))
def mae(y: Array, target: Array) -> Array:
    """Mean absolute error, with gradient 0 where there is no error."""
    return _per_sample(np.abs(_alike(y, target)))


def _huber_gradient(y: Array, target: Array, delta: float = 1.0) -> Array:
    return _shared(np.clip(_alike(y, target), -delta, delta))


@losses.register("huber", gradient=_huber_gradient)
def huber(y: Array, target: Array, delta: float = 1.0) -> Array:
    """Half the squared error up to `delta`, then linear. Huber 1964."""
    if not delta > 0:
        raise ValueError(f"delta must be positive, got {delta}")
    error = np.abs(_alike(y, target))
    return _per_sample(np.where(error <= delta, np.square(error) / 2, delta * (error - delta / 2)))
