"""Activations and their derivatives by definition, in float64. Imports numpy only.

An activation is a name, a function of x, or a pair (name or function, parameters). Rows lie on the last axis.
At a kink the derivative is PyTorch's: relu'(0) = 0, and so on.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from .axes import Array

Function = Callable[..., Any]

_SELU_SCALE, _SELU_ALPHA = 1.0507009873554804934193349852946, 1.6732632423543772848170429916717
_erf = np.vectorize(math.erf, otypes=[np.float64])


def _sigmoid(x: Array) -> Array:
    return np.asarray(np.exp(-np.logaddexp(0.0, -x)))


def _softplus(x: Array) -> Array:
    return np.asarray(np.logaddexp(0.0, x))


def _normal_density(x: Array) -> Array:
    return np.asarray(np.exp(-x * x / 2) / math.sqrt(2 * math.pi))


def _gelu_tanh(x: Array) -> Array:
    return np.asarray(0.5 * x * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3))))


def _gelu_tanh_slope(x: Array) -> Array:
    t = np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3))
    return np.asarray(0.5 * (1 + t) + 0.5 * x * (1 - t * t) * math.sqrt(2 / math.pi) * (1 + 3 * 0.044715 * x * x))


def _mish_slope(x: Array) -> Array:
    t = np.tanh(_softplus(x))
    return np.asarray(t + x * (1 - t * t) * _sigmoid(x))


def _softplus_beta(x: Array, beta: float = 1.0, threshold: float = 20.0) -> Array:
    return np.where(x * beta > threshold, x, _softplus(x * beta) / beta)


def _softplus_beta_slope(x: Array, beta: float = 1.0, threshold: float = 20.0) -> Array:
    return np.where(x * beta > threshold, 1.0, _sigmoid(x * beta))


def _elu(x: Array, alpha: float = 1.0) -> Array:
    return np.where(x > 0, x, alpha * np.expm1(np.minimum(x, 0)))


def _elu_slope(x: Array, alpha: float = 1.0) -> Array:
    return np.where(x > 0, 1.0, alpha * np.exp(np.minimum(x, 0)))


def _celu(x: Array, alpha: float = 1.0) -> Array:
    return np.where(x > 0, x, alpha * np.expm1(np.minimum(x, 0) / alpha))


def _celu_slope(x: Array, alpha: float = 1.0) -> Array:
    return np.where(x > 0, 1.0, np.exp(np.minimum(x, 0) / alpha))


def _hard_swish_slope(x: Array) -> Array:
    return np.where(x <= -3, 0.0, np.where(x < 3, x / 3 + 0.5, 1.0))


# Elementwise: name -> (function, derivative), both of x and the parameters.
ELEMENTWISE: dict[str, tuple[Function, Function]] = {
    "identity": (lambda x: x, lambda x: np.ones_like(x)),
    "relu": (lambda x: np.maximum(x, 0), lambda x: np.where(x > 0, 1.0, 0.0)),
    "relu6": (lambda x: np.clip(x, 0, 6), lambda x: np.where((x > 0) & (x < 6), 1.0, 0.0)),
    "leaky_relu": (
        lambda x, alpha=0.01: np.where(x > 0, x, alpha * x),
        lambda x, alpha=0.01: np.where(x > 0, 1.0, alpha),
    ),
    "prelu": (
        lambda x, alpha=0.25: np.where(x > 0, x, alpha * x),
        lambda x, alpha=0.25: np.where(x > 0, 1.0, alpha),
    ),
    "elu": (_elu, _elu_slope),
    "selu": (
        lambda x: _SELU_SCALE * _elu(x, _SELU_ALPHA),
        lambda x: _SELU_SCALE * _elu_slope(x, _SELU_ALPHA),
    ),
    "celu": (_celu, _celu_slope),
    "gelu": (
        lambda x: 0.5 * x * (1 + _erf(x / math.sqrt(2))),
        lambda x: 0.5 * (1 + _erf(x / math.sqrt(2))) + x * _normal_density(x),
    ),
    "gelu_tanh": (_gelu_tanh, _gelu_tanh_slope),
    "silu": (lambda x: x * _sigmoid(x), lambda x: _sigmoid(x) * (1 + x * _sigmoid(-x))),
    "mish": (lambda x: x * np.tanh(_softplus(x)), _mish_slope),
    "softplus": (_softplus_beta, _softplus_beta_slope),
    "softsign": (lambda x: x / (1 + np.abs(x)), lambda x: 1 / (1 + np.abs(x)) ** 2),
    "sigmoid": (_sigmoid, lambda x: _sigmoid(x) * _sigmoid(-x)),
    "log_sigmoid": (lambda x: -_softplus(-x), lambda x: _sigmoid(-x)),
    "hard_sigmoid": (
        lambda x: np.clip(x / 6 + 0.5, 0, 1),
        lambda x: np.where((x > -3) & (x < 3), 1 / 6, 0.0),
    ),
    "hard_swish": (lambda x: x * np.clip(x / 6 + 0.5, 0, 1), _hard_swish_slope),
    "hard_tanh": (
        lambda x, min=-1.0, max=1.0: np.clip(x, min, max),
        lambda x, min=-1.0, max=1.0: np.where((x > min) & (x < max), 1.0, 0.0),
    ),
    "tanh": (np.tanh, lambda x: 1 - np.tanh(x) ** 2),
    "tanh_shrink": (lambda x: x - np.tanh(x), lambda x: np.tanh(x) ** 2),
    "soft_shrink": (
        lambda x, threshold=0.5: np.sign(x) * np.maximum(np.abs(x) - threshold, 0),
        lambda x, threshold=0.5: np.where(np.abs(x) > threshold, 1.0, 0.0),
    ),
    "hard_shrink": (
        lambda x, threshold=0.5: np.where(np.abs(x) > threshold, x, 0.0),
        lambda x, threshold=0.5: np.where(np.abs(x) > threshold, 1.0, 0.0),
    ),
    "threshold": (
        lambda x, threshold=0.0, value=0.0: np.where(x > threshold, x, value),
        lambda x, threshold=0.0, value=0.0: np.where(x > threshold, 1.0, 0.0),
    ),
}


def _softmax(x: Array) -> Array:
    e = np.exp(x - x.max(-1, keepdims=True))
    return np.asarray(e / e.sum(-1, keepdims=True))


def _softmax_vjp(x: Array, gy: Array) -> Array:
    y = _softmax(x)
    return np.asarray(y * (gy - (gy * y).sum(-1, keepdims=True)))


def _log_softmax(x: Array) -> Array:
    return np.asarray(x - np.logaddexp.reduce(x, axis=-1, keepdims=True))


def _log_softmax_vjp(x: Array, gy: Array) -> Array:
    return np.asarray(gy - _softmax(x) * gy.sum(-1, keepdims=True))


def _glu(x: Array) -> Array:
    a, b = np.split(x, 2, axis=-1)
    return np.asarray(a * _sigmoid(b))


def _glu_vjp(x: Array, gy: Array) -> Array:
    a, b = np.split(x, 2, axis=-1)
    return np.concatenate([gy * _sigmoid(b), gy * a * _sigmoid(b) * _sigmoid(-b)], axis=-1)


# Over rows on the last axis: name -> (function of x, gradient from x and gy).
ROWWISE: dict[str, tuple[Function, Function]] = {
    "softmax": (_softmax, _softmax_vjp),
    "log_softmax": (_log_softmax, _log_softmax_vjp),
    "glu": (_glu, _glu_vjp),
}

ACTIVATIONS: tuple[str, ...] = (*ELEMENTWISE, *ROWWISE)


def _resolve(activation: Any, params: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
    name, bound = activation if isinstance(activation, tuple) else (activation, {})
    return name, {**bound, **params}


def activate(x: Any, activation: Any, **params: Any) -> Array:
    """The activation of x, in float64."""
    x = np.asarray(x).astype(np.float64)
    name, params = _resolve(activation, params)
    function = name if callable(name) else (ELEMENTWISE.get(name) or ROWWISE[name])[0]
    with np.errstate(all="ignore"):
        return np.asarray(function(x, **params))


def activate_vjp(x: Any, activation: Any, *, gy: Any, **params: Any) -> Array:
    """The gradient of sum(gy * activate(x)). A user's function: by differences."""
    x, gy = np.asarray(x).astype(np.float64), np.asarray(gy).astype(np.float64)
    name, params = _resolve(activation, params)
    with np.errstate(all="ignore"):
        if name in ROWWISE:
            return np.asarray(ROWWISE[name][1](x, gy))
        if name in ELEMENTWISE:
            return np.asarray(gy * ELEMENTWISE[name][1](x, **params))
        h = 1e-6
        return np.asarray(gy * (name(x + h, **params) - name(x - h, **params)) / (2 * h))
