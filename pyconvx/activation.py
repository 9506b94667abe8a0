"""Activations: nonlinearities by name, each with its derivative. Imports registry, compiled and the core.

An elementwise activation is a function of x and a derivative in x and y; a rowwise one (softmax) sees whole
rows on the last axis and brings its gradient. `evaluate` and `pull` run them over bounded blocks: those in
Python, or the compiled loops of a plugin that has a kernel, for which the Python functions are the definition.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from . import _core
from ._core import erfc
from ._core._compiled import Compiled
from .plugin import Bound, Plugin, accepted, calling, numbers, returned
from .registry import Registry

__all__ = [
    "ActivationFunction",
    "activation",
    "activations",
    "evaluate",
    "keeps_rows",
    "kernel_of",
    "may_fail",
    "needs_result",
    "output_length",
    "parameters",
    "pull",
    "typed",
    "works_in_place",
]

Array = NDArray[np.floating[Any]]  # float32 or float64
Kernel = tuple[str | Compiled, tuple[float, ...]]
"""A compiled activation, of the core or of the plugin, and its parameters."""

BLOCK = 65536
"""Elements that a plugin sees at once: temporaries stay in cache, and the call costs little per element."""


@dataclass(frozen=True, eq=False)
class ActivationFunction(Plugin):
    """A registered activation. `function(x, **params)` returns y, of the shape and dtype of x.

    `derivative(x, y, **params)` returns dy/dx; `gradient(x, y, gy, **params)` returns the gradient with
    respect to x, and is what a rowwise activation needs. Either takes those parameters that it names.

    A `rowwise` activation sees (rows, length) and may mix the elements of a row; `output_size(length)`
    tells the length of its result where that differs. A parameter that is an array broadcasts against the
    last axis of x.

    `compiled` is the function again in compiled form, `compiled_derivative` the derivative dy/dx of an elementwise one:
    a PyCapsule named by its C signature, a SciPy LowLevelCallable, a numba cfunc, a ctypes function pointer, or a dict
    of these by dtype. They fill rows, `void (const T *x, T *y, Py_ssize_t n, void *user)` with T float or double, or
    `int (...)` and 0 unless they fail (a `void` one must not), without the GIL and from several threads, and y is never
    x. `user` is the data that comes with them, or else points to the parameters, a double each, in their order. Where a
    dtype has none, or a parameter is no number, the Python functions are called.

    What `propagates_nan`, `limits` and `surrogate` declare is what `testing.check_activation` holds the activation to.

    >>> import numpy as np, pyconvx as cx
    >>> with cx.activations.temporarily("square", lambda x: x * x, derivative=lambda x, y: 2 * x):
    ...     y, pullback = cx.vjp(cx.activate, np.array([1.0, 3.0]), "square")
    ...     pullback(np.ones(2))
    (array([2., 6.]),)
    """

    kind: ClassVar[str] = "activation"
    arguments: ClassVar[tuple[str, ...]] = ("x",)

    derivative: Callable[..., Any] | None = None
    gradient: Callable[..., Any] | None = None
    rowwise: bool = False
    output_size: Callable[[int], int] | None = None
    propagates_nan: bool = True
    """Whether a NaN makes the result NaN, in a row at least one element of it."""
    limits: bool = False
    """Whether an infinity gives the limit where there is one; otherwise it may give NaN."""
    surrogate: bool = False
    """Whether the derivative is meant to be another than that of the function, as of a step that is to be trained."""
    compiled: Any = None
    compiled_derivative: Any = None
    kernel: str | Compiled | None = None
    """What computes the same from parameters that are numbers: a name in the core, for built-in ones, or what was given
    in compiled form."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.derivative is not None:
            if self.rowwise:
                raise TypeError(f"rowwise activation {self.name!r} takes gradient=, derivative= is elementwise")
            self._check_companion("derivative", self.derivative, ("x", "y"))
        if self.gradient is not None:
            self._check_companion("gradient", self.gradient, ("x", "y", "gy"))
        if self.output_size is not None and not self.rowwise:
            raise TypeError(f"activation {self.name!r} takes output_size= only with rowwise=True")
        if self.compiled is not None or self.compiled_derivative is not None:
            if self.kernel is not None:
                raise TypeError(f"activation {self.name!r} takes kernel= or compiled=, not both")
            if self.output_size is not None:
                raise TypeError(f"activation {self.name!r} takes output_size= or compiled=, not both")
            if self.compiled_derivative is not None and self.derivative is None and not self.rowwise:
                raise TypeError(f"activation {self.name!r} takes compiled_derivative= with derivative=, its definition")
            if self.rowwise and self.compiled_derivative is not None:
                raise TypeError(
                    f"rowwise activation {self.name!r} takes gradient=, compiled_derivative= is elementwise"
                )
            from .compiled import (  # only plugins need it, and an import should cost little
                ACTIVATION_FORMS,
                compiled_of,
            )

            forward = ("compiled", self.compiled, ACTIVATION_FORMS)
            backward = ("compiled_derivative", self.compiled_derivative, ACTIVATION_FORMS)
            kernel = compiled_of(str(self), forward, backward, tuple(self.defaults), self.rowwise)
            object.__setattr__(self, "kernel", kernel)

    def __reduce__(self) -> tuple[Any, ...]:
        return _named, (self.name,)


def _named(name: str) -> ActivationFunction:
    return activations[name]


activations: Registry[ActivationFunction] = Registry(ActivationFunction.kind, ActivationFunction, "pyconvx.activations")
"""Every activation by name."""


def activation(
    name: str | ActivationFunction | Bound[ActivationFunction], /, **params: Any
) -> Bound[ActivationFunction]:
    """Return an activation with its parameters set, for use as `activation`.

    Raises UnknownNameError for an unknown name, TypeError for a parameter that the activation does not have.

    >>> import pyconvx as cx
    >>> cx.activation("leaky_relu", alpha=0.1)
    leaky_relu(alpha=0.1)
    """
    return activations.resolve(name, params)


def keeps_rows(bound: Bound[ActivationFunction]) -> bool:
    """Whether the last axis of x matters: the activation is rowwise, or a parameter is an array along it."""
    return bound.plugin.rowwise or any(np.ndim(value) > 0 for value in bound.params.values())


def output_length(bound: Bound[ActivationFunction], length: int) -> int:
    """Return how long a row of that length becomes.

    Raises ValueError, naming the activation, if its `output_size` tells no length.
    """
    plugin = bound.plugin
    if plugin.output_size is None:
        return length
    with calling(plugin, "output_size"):
        size = plugin.output_size(length)
    if isinstance(size, bool) or not isinstance(size, (int, np.integer)) or size < min(length, 1):
        raise ValueError(
            f"output_size of activation {plugin.name!r} (registered by {plugin.owner}) must return a positive int "
            f"for a row of {length}, got {size!r}"
        )
    return int(size)


def parameters(bound: Bound[ActivationFunction]) -> tuple[float, ...] | None:
    """Those of the kernel that computes `bound`; None if it is computed in Python.

    Raises what the Python function, which knows what it can take, raises for wrong ones.
    """
    plugin = bound.plugin
    given = None if plugin.kernel is None else numbers(bound)
    if given is not None and bound is not plugin.plain:
        with calling(plugin), np.errstate(all="ignore"):
            plugin.function(np.zeros((0, 1) if plugin.rowwise else 1, np.float32), **bound.params)
    return given


def kernel_of(bound: Bound[ActivationFunction], dtype: np.dtype[Any], backward: bool = False) -> Kernel | None:
    """The compiled form for elements of a dtype, or that of its gradient; None if that is computed in Python."""
    kernel = bound.plugin.kernel
    if kernel is None or (isinstance(kernel, Compiled) and not kernel.has(dtype.itemsize, backward)):
        return None
    given = parameters(bound)
    return None if given is None else (kernel, given)


def may_fail(kernel: Kernel) -> bool:
    """Whether results may be left half filled: by a plugin's function, not by one of the core."""
    return isinstance(kernel[0], Compiled)


def works_in_place(bound: Bound[ActivationFunction]) -> bool:
    """Whether the compiled form may write over the rows that it reads: not where a plugin is given whole rows."""
    plugin = bound.plugin
    return plugin.output_size is None and not (plugin.rowwise and isinstance(plugin.kernel, Compiled))


def needs_result(bound: Bound[ActivationFunction], dtype: np.dtype[Any]) -> bool:
    """Whether `pull` reads y, and not only its shape."""
    return bound.plugin.rowwise or kernel_of(bound, dtype, backward=True) is None


def evaluate(bound: Bound[ActivationFunction], x: Array, out: Array | None = None, threads: int = 1) -> Array:
    """Return the activation of `x`, a C-contiguous float32 or float64 array with rows on the last axis.

    `out`, C-contiguous and of the result's shape and dtype, may be `x` itself. Raises ValueError, naming the
    activation, if it returns anything but an array of the right shape and dtype.

    >>> evaluate(activation("relu"), np.array([-1.0, 2.0]))
    array([0., 2.])
    """
    plugin, kernel = bound.plugin, kernel_of(bound, x.dtype)
    shape = x.shape
    if plugin.rowwise:
        if x.ndim == 0:
            raise ValueError(f"activation {plugin.name!r} works on rows, x must have an axis, got shape ()")
        shape = (*shape[:-1], output_length(bound, shape[-1]))
    y = _core.empty(shape, x.dtype) if out is None else out
    if kernel is not None:
        if not works_in_place(bound) and np.may_share_memory(x, y):
            x = x.copy()
        _core.kernels.activate(*kernel, x, y, threads)
        return y
    params = typed(bound, x)
    for x_block, y_block in _blocks(bound, x, y):
        with calling(plugin), np.errstate(all="ignore"):
            result = plugin.function(_read_only(x_block), **params)
        y_block[...] = returned(plugin, "function", result, y_block.shape, y.dtype)
    return y


def pull(bound: Bound[ActivationFunction], x: Array, y: Array, gy: Array, threads: int = 1) -> Array:
    """Return the gradient with respect to `x`, given that with respect to its activation `y`.

    All are C-contiguous, of one dtype, with rows on the last axis. Raises ValueError, naming the activation,
    if it has no derivative, or one that returns anything but an array of the right shape and dtype.

    >>> x = np.array([-1.0, 2.0])
    >>> pull(activation("relu"), x, evaluate(activation("relu"), x), np.array([5.0, 7.0]))
    array([0., 7.])
    """
    plugin = bound.plugin
    what, function = ("gradient", plugin.gradient) if plugin.gradient else ("derivative", plugin.derivative)
    kernel = kernel_of(bound, x.dtype, backward=True)
    gx = _core.empty(x.shape, x.dtype)
    if kernel is not None:
        _core.kernels.activate_gradient(*kernel, x, y, gy, gx, threads)
        return gx
    if function is None:
        how = "gradient= (of x, y, gy)" if plugin.rowwise else "derivative= (dy/dx, of x and y)"
        raise ValueError(
            f"activation {plugin.name!r} (registered by {plugin.owner}) has no derivative; register it with {how}"
        )
    leading = 3 if what == "gradient" else 2
    params = accepted(function, typed(bound, x), leading)
    for x_block, y_block, gy_block, gx_block in _blocks(bound, x, y, gy, gx):
        blocks = [_read_only(block) for block in (x_block, y_block, gy_block)]
        with calling(plugin, what), np.errstate(all="ignore"):
            result = function(*blocks[:leading], **params)
        result = returned(plugin, what, result, gx_block.shape, gx.dtype)
        if what == "gradient":
            gx_block[...] = result
        else:
            np.multiply(gy_block, result, out=gx_block)
    return gx


def typed(bound: Bound[ActivationFunction], x: Array) -> dict[str, Any]:
    """The parameters as the plugin gets them: arrays have the dtype of x, or they would widen the result."""
    return {name: value if np.ndim(value) == 0 else np.asarray(value, x.dtype) for name, value in bound.params.items()}


def _blocks(bound: Bound[ActivationFunction], *arrays: Array) -> Iterator[list[Array]]:
    """Views of the same bounded part of each array: rows if the activation needs them, or else flat."""
    if any(array.size == 0 for array in arrays):
        return
    if keeps_rows(bound):
        views = [array.reshape(-1, *array.shape[-1:]) for array in arrays]
        step = max(1, BLOCK // max(view[0].size for view in views))
    else:
        views = [array.reshape(-1) for array in arrays]
        step = BLOCK
    for start in range(0, len(views[0]), step):
        yield [view[start : start + step] for view in views]


def _read_only(block: Array) -> Array:
    view = block.view()
    view.flags.writeable = False
    return view


# The built-in activations. Definitions, and derivatives at kinks, are those of torch. They are computed in
# the precision of x without cancellation, and where torch has inf * 0 = NaN at an infinity, they have the
# limit.

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
    return np.maximum(x, -3) * np.clip(x + 3, 0, 6) / 6


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
