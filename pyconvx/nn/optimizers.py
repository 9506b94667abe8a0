"""Optimizers: how parameters follow their gradients. May import layer and geometry."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from ..geometry import real
from .layer import Array, Params

__all__ = ["SGD", "Adam", "AdamW", "Optimizer", "clip_gradients", "optimizer"]


@dataclass(eq=False)
class Optimizer:
    """Changes parameters in place, one step at a time; `state` is what it remembers, a flat dict of arrays.

    learning_rate: a number. Subclasses define `rule`.
    """

    learning_rate: float

    def __post_init__(self) -> None:
        for field in fields(self):
            if field.type == "float":
                real(field.name, getattr(self, field.name))
        self.check("learning_rate", "positive and finite", 0 < self.learning_rate < np.inf)
        self.steps = 0
        self.state: Params = {}

    def check(self, name: str, what: str, holds: bool) -> None:
        """ValueError unless an option is what it must be."""
        if not holds:
            raise ValueError(f"{name} must be {what}, got {getattr(self, name)}")

    def step(self, params: Params, gradients: Params, factor: float = 1.0) -> None:
        """One step, with the learning rate times `factor`.

        What is remembered belongs to these parameters: take another optimizer for another network. Raises ValueError,
        and changes nothing, for a gradient that is missing or of another shape, and for parameters of other shapes.
        """
        if params.keys() != gradients.keys():
            odd = ", ".join(sorted(params.keys() ^ gradients.keys()))
            raise ValueError(f"there must be one gradient for each parameter; without the other: {odd}")
        for name, value in params.items():
            if np.shape(gradients[name]) != value.shape:
                raise ValueError(f"the gradient of {name} must be {value.shape}, got {np.shape(gradients[name])}")
        for key, array in self.state.items():
            name = key.partition(".")[2]
            if name in params and params[name].shape != array.shape:
                raise ValueError(f"{name} was {array.shape}, is {params[name].shape}: take another optimizer")
        self.steps += 1
        for name, value in params.items():
            self.rule(name, value, gradients[name], self.learning_rate * factor)

    def remembered(self, name: str, kind: str, like: Array) -> Array:
        """An array of this name that is kept from step to step, zeros at first."""
        key = f"{kind}.{name}"
        if key not in self.state:
            self.state[key] = np.zeros_like(like)
        return self.state[key]

    def rule(self, name: str, value: Array, gradient: Array, rate: float) -> None:
        """Change one parameter in place."""
        raise NotImplementedError


@dataclass(eq=False)
class SGD(Optimizer):
    """Steps against the gradient, with momentum: v = momentum * v + g, and value -= rate * v.

    nesterov: value -= rate * (g + momentum * v) instead; weight_decay: this share of the value is added to g.

    >>> value = {"w": np.array([1.0])}
    >>> SGD(0.1).step(value, {"w": np.array([2.0])})
    >>> value["w"]
    array([0.8])

    Source: Sutskever et al. 2013, as PyTorch's SGD.
    """

    learning_rate: float = 0.01
    momentum: float = 0.0
    nesterov: bool = False
    weight_decay: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        self.check("momentum", "at least 0 and less than 1", 0 <= self.momentum < 1)
        self.check("nesterov", "False without momentum", not self.nesterov or self.momentum > 0)
        self.check("weight_decay", "at least 0", self.weight_decay >= 0)

    def rule(self, name: str, value: Array, gradient: Array, rate: float) -> None:
        if self.weight_decay:
            gradient = gradient + self.weight_decay * value
        if self.momentum:
            velocity = self.remembered(name, "velocity", value)
            velocity *= self.momentum
            velocity += gradient
            gradient = gradient + self.momentum * velocity if self.nesterov else velocity
        value -= rate * gradient


@dataclass(eq=False)
class Adam(Optimizer):
    """Steps of about the learning rate: the mean of gradients over the root of the mean of their squares.

    beta1, beta2: how slowly the two means forget; weight_decay: this share of the value is added to the gradient.

    >>> value = {"w": np.array([1.0])}
    >>> Adam(0.1).step(value, {"w": np.array([2.0])})
    >>> value["w"].round(6)
    array([0.9])

    Source: Kingma and Ba 2015, arXiv:1412.6980.
    """

    learning_rate: float = 0.001
    beta1: float = 0.9
    beta2: float = 0.999
    epsilon: float = 1e-8
    weight_decay: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("beta1", "beta2"):
            self.check(name, "at least 0 and less than 1", 0 <= getattr(self, name) < 1)
        self.check("epsilon", "positive", self.epsilon > 0)
        self.check("weight_decay", "at least 0", self.weight_decay >= 0)

    def rule(self, name: str, value: Array, gradient: Array, rate: float) -> None:
        if self.weight_decay:
            gradient = gradient + self.weight_decay * value
        self._descend(name, value, gradient, rate)

    def _descend(self, name: str, value: Array, gradient: Array, rate: float) -> None:
        mean, square = self.remembered(name, "mean", value), self.remembered(name, "square", value)
        mean += (1 - self.beta1) * (gradient - mean)
        square += (1 - self.beta2) * (np.square(gradient) - square)
        root = np.sqrt(square / (1 - self.beta2**self.steps)) + self.epsilon
        value -= rate / (1 - self.beta1**self.steps) * mean / root


@dataclass(eq=False)
class AdamW(Adam):
    """Adam whose weight decay does not go through the means: value -= rate * weight_decay * value.

    Source: Loshchilov and Hutter 2019, arXiv:1711.05101.
    """

    weight_decay: float = 0.01

    def rule(self, name: str, value: Array, gradient: Array, rate: float) -> None:
        value -= rate * self.weight_decay * value
        self._descend(name, value, gradient, rate)


NAMES: dict[str, Callable[..., Optimizer]] = {"sgd": SGD, "adam": Adam, "adamw": AdamW}


def optimizer(given: str | Optimizer, **options: Any) -> Optimizer:
    """An optimizer by name: "sgd", "adam" or "adamw". Raises ValueError for another name.

    >>> optimizer("sgd", momentum=0.9)
    SGD(learning_rate=0.01, momentum=0.9, nesterov=False, weight_decay=0.0)
    """
    if isinstance(given, Optimizer):
        if options:
            raise TypeError(f"options are for an optimizer by name, got {', '.join(options)} for {given!r}")
        return given
    if not isinstance(given, str) or given not in NAMES:
        raise ValueError(f"optimizer must be an Optimizer or one of {', '.join(NAMES)}, got {given!r}")
    return NAMES[given](**options)


def clip_gradients(gradients: Params, norm: float) -> Params:
    """The gradients, all scaled by one factor if their norm together is larger than `norm`."""
    total = float(np.sqrt(sum(float(np.square(each, dtype=np.float64).sum()) for each in gradients.values())))
    if not total > norm:
        return gradients
    return {name: each * each.dtype.type(norm / total) for name, each in gradients.items()}
