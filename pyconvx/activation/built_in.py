"""The built-in activations. Imports their registry and the core.

Definitions, and derivatives at kinks, are those of torch. They are computed in the precision of x without cancellation,
and where torch has inf * 0 = NaN at an infinity, they have the limit.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from .._core import erfc
from .kinds import Array, activations

FAR = 1e3
"""Beyond it every saturating function here equals its limit in float64; a stand-in for infinity that 0 *
FAR is 0."""


def _sigmoid(x: Array) -> Array:
    e: Array = np.exp(-np.abs(x))
    numerator: Array = np.where(x < 0, e, 1)
    return numerator / (1 + e)


def _sigmoid_slope(x: Array) -> Array:
    """sigmoid(x) * sigmoid(-x); s * (1 - s) would lose the digits of 1 - s."""
    e: Array = np.exp(-np.abs(x))
    return e / np.square(1 + e)


def _clipped(x: Array) -> Array:
    return np.clip(x, -FAR, FAR)


@activations.register("identity", aliases=("linear",), kernel="identity", derivative=lambda x, y: np.ones_like(x))
def identity(x: Array) -> Array:
    """Identity: x."""
    return x


@activations.register("relu", kernel="relu", derivative=lambda x, y: ~(x <= 0))
def relu(x: Array) -> Array:
    """Rectifier: max(x, 0), with derivative 0 at 0. ONNX Relu."""
    return np.maximum(x, 0)


@activations.register("relu6", kernel="relu6", derivative=lambda x, y: (x > 0) & (x < 6))
def relu6(x: Array) -> Array:
    """Rectifier with a ceiling: min(max(x, 0), 6). Howard et al. 2017, arXiv:1704.04861."""
    return np.clip(x, 0, 6)


def _leaky_slope(x: Array, y: Array, alpha: Any) -> Array:
    return np.where(x > 0, 1, alpha).astype(x.dtype, copy=False)


@activations.register("leaky_relu", kernel="leaky_relu", derivative=_leaky_slope)
def leaky_relu(x: Array, alpha: float = 0.01) -> Array:
    """Leaky rectifier: x where x > 0, alpha * x elsewhere. ONNX LeakyRelu."""
    return np.where(x > 0, x, alpha * x)


@activations.register("prelu", kernel="leaky_relu", derivative=_leaky_slope)
def prelu(x: Array, alpha: Any = 0.25) -> Array:
    """Parametric rectifier: x where x > 0, alpha * x elsewhere, with alpha a number or one per channel.

    He et al. 2015, ONNX PRelu.
    """
    if np.ndim(alpha) and np.shape(alpha) not in (x.shape[-1:], (1,)):
        raise ValueError(f"alpha must be a number or one per channel ({x.shape[-1]}), got shape {np.shape(alpha)}")
    return np.where(x > 0, x, alpha * x)


def _elu(x: Array, alpha: float, scale: float = 1.0, width: float = 1.0) -> Array:
    return np.where(x > 0, scale * x, scale * alpha * np.expm1(np.minimum(x, 0) / width))


def _elu_slope(x: Array, alpha: float, scale: float = 1.0, width: float = 1.0) -> Array:
    return np.where(x > 0, scale, scale * alpha / width * np.exp(np.minimum(x, 0) / width))


@activations.register("elu", kernel="elu", derivative=lambda x, y, alpha: _elu_slope(x, alpha))
def elu(x: Array, alpha: float = 1.0) -> Array:
    """Exponential linear unit: x where x > 0, alpha * (exp(x) - 1) elsewhere.

    Clevert et al. 2015, ONNX Elu.
    """
    return _elu(x, alpha)


SELU = {"alpha": 1.6732632423543772848170429916717, "scale": 1.0507009873554804934193349852946}


@activations.register("selu", kernel="selu", derivative=lambda x, y: _elu_slope(x, **SELU))
def selu(x: Array) -> Array:
    """Scaled elu, which keeps mean 0 and variance 1 through layers. Klambauer et al. 2017, ONNX Selu."""
    return _elu(x, **SELU)


@activations.register("celu", kernel="celu", derivative=lambda x, y, alpha: _elu_slope(x, alpha, width=alpha))
def celu(x: Array, alpha: float = 1.0) -> Array:
    """Continuously differentiable elu: x where x > 0, alpha * (exp(x / alpha) - 1) elsewhere.

    Barron 2017, ONNX Celu.
    """
    if alpha == 0:
        raise ValueError("alpha must not be 0, got 0")
    return _elu(x, alpha, width=alpha)


def _normal_cdf(x: Array) -> Array:
    scaled = np.multiply(x, -math.sqrt(0.5), order="C")
    erfc(scaled.reshape(-1), scaled.reshape(-1))
    return 0.5 * scaled


def _normal_density(x: Array) -> Array:
    # near has few digits, so that its square is exact: rounding x * x would be magnified by the exponential
    near = np.round(16 * x) / 16
    return np.exp(-0.5 * near * near) * np.exp(-0.5 * (x - near) * (x + near)) * (1 / math.sqrt(2 * math.pi))


def _gelu_slope(x: Array, y: Array) -> Array:
    x = _clipped(x)
    return _normal_cdf(x) + x * _normal_density(x)


@activations.register("gelu", kernel="gelu", derivative=_gelu_slope)
def gelu(x: Array) -> Array:
    """Gaussian error linear unit: x * P(X <= x) for X normal with mean 0 and variance 1.

    Hendrycks and Gimpel 2016, ONNX Gelu.
    """
    return np.maximum(x, -FAR) * _normal_cdf(x)


GELU_TANH = 2 * math.sqrt(2 / math.pi)


def _gelu_tanh_slope(x: Array, y: Array) -> Array:
    x = _clipped(x)
    z = GELU_TANH * (x + 0.044715 * x**3)
    return _sigmoid(z) + x * _sigmoid_slope(z) * (GELU_TANH * (1 + 3 * 0.044715 * x * x))


@activations.register("gelu_tanh", kernel="gelu_tanh", derivative=_gelu_tanh_slope)
def gelu_tanh(x: Array) -> Array:
    """Approximate gelu: x / 2 * (1 + tanh(sqrt(2 / pi) * (x + 0.044715 x^3))).

    Hendrycks and Gimpel 2016, ONNX Gelu with approximate="tanh".
    """
    near = _clipped(x)
    return np.maximum(x, -FAR) * _sigmoid(GELU_TANH * (near + 0.044715 * near**3))  # sigmoid: 1 + tanh cancels


def _silu_slope(x: Array, y: Array) -> Array:
    x = _clipped(x)
    return _sigmoid(x) * (1 + x * _sigmoid(-x))


@activations.register("silu", aliases=("swish",), kernel="silu", derivative=_silu_slope)
def silu(x: Array) -> Array:
    """Sigmoid linear unit: x * sigmoid(x). Elfwing et al. 2017; ONNX Swish with alpha 1."""
    return np.maximum(x, -FAR) * _sigmoid(x)


def _tanh_softplus(x: Array) -> Array:
    """tanh(log(1 + exp(x))), as the ratio of polynomials in exp(-|x|) that it is."""
    e: Array = np.exp(-np.abs(x))
    numerator: Array = np.where(x < 0, e * (e + 2), 1 + 2 * e)
    return numerator / (numerator + np.where(x < 0, 2, 2 * e * e))


def _mish_slope(x: Array, y: Array) -> Array:
    x = _clipped(x)
    t = _tanh_softplus(x)
    return t + x * _sigmoid(x) * ((1 - t) * (1 + t))


@activations.register("mish", kernel="mish", derivative=_mish_slope)
def mish(x: Array) -> Array:
    """Mish: x * tanh(softplus(x)). Misra 2019, ONNX Mish."""
    return np.maximum(x, -FAR) * _tanh_softplus(x)


@activations.register(
    "softplus",
    kernel="softplus",
    derivative=lambda x, y, beta, threshold: np.where(beta * x > threshold, 1, _sigmoid(beta * x)),
)
def softplus(x: Array, beta: float = 1.0, threshold: float = 20.0) -> Array:
    """Softplus: log(1 + exp(beta * x)) / beta, and x itself where beta * x > threshold. ONNX Softplus."""
    if beta == 0:
        raise ValueError("beta must not be 0, got 0")
    z = beta * x
    return np.where(z > threshold, x, (np.maximum(z, 0) + np.log1p(np.exp(-np.abs(z)))) / beta)


@activations.register("softsign", kernel="softsign", derivative=lambda x, y: (1 / (1 + np.abs(x))) ** 2)
def softsign(x: Array) -> Array:
    """Softsign: x / (1 + |x|). ONNX Softsign."""
    return np.where(np.isinf(x), np.sign(x), x / (1 + np.abs(x)))


@activations.register("sigmoid", aliases=("logistic",), kernel="sigmoid", derivative=lambda x, y: _sigmoid_slope(x))
def sigmoid(x: Array) -> Array:
    """Logistic function: 1 / (1 + exp(-x)). ONNX Sigmoid."""
    return _sigmoid(x)


@activations.register("log_sigmoid", kernel="log_sigmoid", derivative=lambda x, y: _sigmoid(-x))
def log_sigmoid(x: Array) -> Array:
    """Logarithm of the sigmoid, -log(1 + exp(-x))."""
    return np.minimum(x, 0) - np.log1p(np.exp(-np.abs(x)))


@activations.register(
    "hard_sigmoid",
    kernel="hard_sigmoid",
    derivative=lambda x, y: np.where((x > -3) & (x < 3), np.full_like(x, 1 / 6), 0),
)
def hard_sigmoid(x: Array) -> Array:
    """Piecewise linear sigmoid: x / 6 + 1 / 2, clipped to [0, 1]. ONNX HardSigmoid with alpha 1/6."""
    return np.clip(x + 3, 0, 6) / 6


@activations.register(
    "hard_swish", kernel="hard_swish", derivative=lambda x, y: np.where(x <= -3, 0, np.where(x < 3, x / 3 + 0.5, 1))
)
def hard_swish(x: Array) -> Array:
    """Piecewise swish: x * hard_sigmoid(x). Howard et al. 2019, ONNX HardSwish."""
    return np.maximum(x, -3) * (np.clip(x + 3, 0, 6) / 6)


@activations.register("hard_tanh", kernel="hard_tanh", derivative=lambda x, y, min, max: (x > min) & (x < max))
def hard_tanh(x: Array, min: float = -1.0, max: float = 1.0) -> Array:
    """Piecewise linear tanh: x clipped to [min, max], with derivative 0 at both. ONNX Clip."""
    if not min <= max:
        raise ValueError(f"min must not exceed max, got min={min} and max={max}")
    return np.clip(x, min, max)


@activations.register("tanh", kernel="tanh", derivative=lambda x, y: 4 * _sigmoid_slope(2 * x))
def tanh(x: Array) -> Array:
    """Hyperbolic tangent. ONNX Tanh."""
    return np.tanh(x)


@activations.register("tanh_shrink", kernel="tanh_shrink", derivative=lambda x, y: np.tanh(x) ** 2)
def tanh_shrink(x: Array) -> Array:
    """Shrinkage by tanh: x - tanh(x)."""
    # Near 0 the difference cancels; not so Lambert's tanh(x) = x / (1 + c), c = x^2 / (3 + x^2 / (5 + ...))
    square = x * x
    tail = np.zeros_like(x)
    for odd in range(19, 1, -2):
        tail = square / (odd + tail)
    return np.where(np.abs(x) < 1, x * (tail / (1 + tail)), x - np.tanh(x))


@activations.register("soft_shrink", kernel="soft_shrink", derivative=lambda x, y, threshold: np.abs(x) > threshold)
def soft_shrink(x: Array, threshold: float = 0.5) -> Array:
    """Soft shrinkage: x moved towards 0 by the threshold, and 0 within it. ONNX Shrink with bias = lambd."""
    if threshold < 0:
        raise ValueError(f"threshold must not be negative, got {threshold}")
    return np.where(np.abs(x) <= threshold, 0, x - np.copysign(x.dtype.type(threshold), x))


@activations.register("hard_shrink", kernel="hard_shrink", derivative=lambda x, y, threshold: np.abs(x) > threshold)
def hard_shrink(x: Array, threshold: float = 0.5) -> Array:
    """Hard shrinkage: x, and 0 where |x| <= threshold. ONNX Shrink with bias 0."""
    return np.where(np.abs(x) <= threshold, 0, x)


@activations.register("threshold", kernel="threshold", derivative=lambda x, y, threshold: ~(x <= threshold))
def threshold(x: Array, threshold: float = 0.0, value: float = 0.0) -> Array:
    """Threshold: x, and `value` where x <= threshold. ONNX ThresholdedRelu with value 0."""
    return np.where(x <= threshold, x.dtype.type(value), x)


@activations.register(
    "softmax", kernel="softmax", rowwise=True, gradient=lambda x, y, gy: y * (gy - (gy * y).sum(-1, keepdims=True))
)
def softmax(x: Array) -> Array:
    """Softmax: exp(x) / sum(exp(x)) over the last axis. ONNX Softmax."""
    e: Array = np.exp(x - x.max(-1, keepdims=True))
    total: Array = e.sum(-1, keepdims=True)
    return e / total


@activations.register(
    "log_softmax",
    kernel="log_softmax",
    rowwise=True,
    gradient=lambda x, y, gy: gy - np.exp(y) * gy.sum(-1, keepdims=True),
)
def log_softmax(x: Array) -> Array:
    """Logarithm of softmax: log(softmax(x)) over the last axis. ONNX LogSoftmax."""
    largest = x.argmax(-1)[..., None]
    shifted: Array = x - np.take_along_axis(x, largest, -1)
    e = np.exp(shifted)
    # The largest adds 1 (or NaN), which is left to log1p: a confident row keeps the digits of its small loss.
    np.put_along_axis(e, largest, np.take_along_axis(e, largest, -1) - 1, -1)
    others: Array = e.sum(-1, keepdims=True)
    return shifted - np.log1p(others)


def _half(length: int) -> int:
    if length % 2:
        raise ValueError(f"glu halves its axis, which must have an even length, got {length}")
    return length // 2


def _glu_gradient(x: Array, y: Array, gy: Array) -> Array:
    value, gate = np.split(x, 2, -1)
    return np.concatenate([gy * _sigmoid(gate), gy * value * _sigmoid_slope(gate)], -1)


@activations.register("glu", kernel="glu", rowwise=True, output_size=_half, gradient=_glu_gradient)
def glu(x: Array) -> Array:
    """Gated linear unit: the first half of the last axis times the sigmoid of the second.

    Dauphin et al. 2016.
    """
    value, gate = np.split(x, 2, -1)
    return value * _sigmoid(gate)
