"""Layers of other kinds: dense, flat, padded, activated, dropped out, normalised. May import layer and functional."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import KW_ONLY, dataclass
from functools import partial
from typing import Any

import numpy as np

from .. import functional
from ..functional.arrays import flag
from ..functional.channels import Scaled, channels_apart, moments
from ..functional.scaled_pool import ScaledPool, scaled_pool
from ..geometry import integer, real
from .blas import product
from .initializers import fill
from .layer import (
    Array,
    Layer,
    LayerPullback,
    Operation,
    Params,
    Run,
    Shape,
    channel_axis,
    is_rectifier,
    masked,
    overrides,
)

__all__ = ["Activation", "BatchNorm", "Dense", "Dropout", "Flatten", "Pad"]

_INTEGERS = (int, np.integer)


@dataclass(eq=False, repr=False)
class Dense(Layer):
    """Every output is a weighted sum of all inputs: activation(x @ weights + bias), x (N, features).

    units: how many outputs. Parameters: weights (features, units), and bias unless bias=False.

    >>> import numpy as np, pyconvx as cx
    >>> cx.nn.Dense(10, activation="softmax")(np.ones((2, 64))).sum(-1).round(5).tolist()
    [1.0, 1.0]
    """

    units: int
    _: KW_ONLY
    bias: bool = True
    activation: Any = None
    initializer: Any = "glorot_uniform"
    bias_initializer: Any = "zeros"

    def __post_init__(self) -> None:
        super().__post_init__()
        self.units, self.bias = integer("units", self.units, 1), flag("bias", self.bias)

    def output_shape(self, input_shape: Shape) -> Shape:
        if len(input_shape) != 1:
            raise ValueError(f"{self!r} takes samples of one axis, got the shape {input_shape}: put Flatten() before")
        if self.activation is None:
            return (self.units,)
        return functional.output_shape(functional.activate, (1, self.units), self.activation)[1:]

    def make(self, input_shape: Shape, rng: np.random.Generator, dtype: np.dtype[Any]) -> tuple[Params, Params]:
        fans, initializers = (input_shape[0], self.units), {"weights": self.initializer, "bias": self.bias_initializer}
        shapes = self.param_shapes(input_shape).items()
        return {name: fill(initializers[name], rng, shape, *fans, dtype) for name, shape in shapes}, {}

    def param_shapes(self, input_shape: Shape) -> dict[str, Shape]:
        shapes: dict[str, Shape] = {"weights": (input_shape[0], self.units)}
        return {**shapes, "bias": (self.units,)} if self.bias else shapes

    def _sum(self, x: Array) -> Array:
        weights = self.params["weights"]
        if x.ndim != 2 or x.shape[1] != len(weights):
            raise ValueError(f"{self!r} was built for {len(weights)} features, got an array of the shape {x.shape}")
        z = product(x, weights)
        return z + self.params["bias"] if self.bias else z

    def forward(self, x: Array, run: Run) -> Array:
        z = self._sum(x)
        return z if self.activation is None else functional.activate(z, self.activation)

    def pull(self, x: Array, run: Run) -> tuple[Array, LayerPullback]:
        y, activated = self._sum(x), None
        weights = self.params["weights"]
        if self.activation is not None:
            y, activated = functional.vjp(functional.activate, y, self.activation)

        def back(gy: Any) -> tuple[Any, Params]:
            gz = np.asarray(gy) if activated is None else activated(gy)[0]
            gradients = {"weights": product(x.T, gz)}
            if self.bias:
                gradients["bias"] = gz.sum(0)
            return product(gz, weights.T) if run.input_gradient else None, gradients

        return y, back

    def multiply_adds(self, input_shape: Shape) -> int:
        return input_shape[0] * self.units

    def window(self, input_shape: Shape) -> Mapping[str, Any] | None:
        return None


@dataclass(eq=False, repr=False)
class Flatten(Layer):
    """Each sample as one row of features.

    >>> import numpy as np, pyconvx as cx
    >>> cx.nn.Flatten()(np.ones((2, 4, 4, 3))).shape
    (2, 48)
    """

    def output_shape(self, input_shape: Shape) -> Shape:
        return (math.prod(input_shape),)

    def pull(self, x: Array, run: Run) -> tuple[Array, LayerPullback]:
        return x.reshape(len(x), math.prod(x.shape[1:])), lambda gy: (np.asarray(gy).reshape(x.shape), {})

    def window(self, input_shape: Shape) -> Mapping[str, Any] | None:
        return None


@dataclass(eq=False, repr=False)
class Activation(Operation):
    """An activation by name, or a bound one: `activate` as a layer. Rows lie along the channels.

    >>> import numpy as np, pyconvx as cx
    >>> cx.nn.Activation("relu")(np.array([[-1.0, 2.0]])).tolist()
    [[0.0, 2.0]]
    """

    activation: Any
    _: KW_ONLY
    layout: str = "channels_last"

    def call(self, ndim: int) -> tuple[Any, tuple[Any, ...], dict[str, Any]]:
        return functional.activate, (self.activation,), {"axis": channel_axis(self.layout, ndim)}

    @property
    def rectifies(self) -> bool:
        return not overrides(self, Activation) and is_rectifier(self.activation)

    @property
    def only_rectifies(self) -> bool:
        return self.rectifies

    def pull(self, x: Array, run: Run) -> tuple[Array, LayerPullback]:
        if run.done:
            # a pooling behind that is done, too, leaves the mask to the layer that did both
            y, back = x, None if run.masked or run.ahead else partial(masked, x)
        elif run.masked:
            y, back = self.forward(x, run), None
        else:
            return super().pull(x, run)
        return y, lambda gy: (gy if back is None else back(gy), {})


@dataclass(eq=False, repr=False)
class Pad(Operation):
    """Spatial axes padded, or cropped by negative amounts, in any mode: `pad` as a layer.

    width: an int, or a (before, after) pair, for all spatial axes, or one of these per axis.

    >>> import numpy as np, pyconvx as cx
    >>> cx.nn.Pad(1, "reflect")(np.ones((1, 4, 4, 3))).shape
    (1, 6, 6, 3)
    """

    width: Any
    mode: Any = "zeros"
    _: KW_ONLY
    layout: str = "channels_last"

    def _widths(self, ndim: int) -> dict[int, Any]:
        axes = range(2, ndim) if self.layout == "channels_first" else range(1, ndim - 1)
        each, wanted = self.width, f"width must be an int, a pair, or one of these per spatial axis ({len(axes)})"
        if not isinstance(each, (*_INTEGERS, tuple, list)):
            raise TypeError(f"{wanted}, got {each!r}")
        if isinstance(each, _INTEGERS) or (len(each) == 2 and all(isinstance(n, _INTEGERS) for n in each)):
            return dict.fromkeys(axes, each)
        if len(each) != len(axes):
            raise ValueError(f"{wanted}, got {each}")
        return dict(zip(axes, each, strict=True))

    def call(self, ndim: int) -> tuple[Any, tuple[Any, ...], dict[str, Any]]:
        widths, mode = self._widths(ndim), self.mode
        if isinstance(mode, (tuple, list)):
            if len(mode) != len(widths):
                raise ValueError(f"mode must be one, or one per spatial axis ({len(widths)}), got {mode!r}")
            by_axis = dict(zip(widths, mode, strict=True))
            mode = tuple(by_axis.get(axis, "zeros") for axis in range(ndim))
        return functional.pad, (widths, mode), {}

    def window(self, input_shape: Shape) -> Mapping[str, Any] | None:
        widths = self._widths(1 + len(input_shape)).values()
        before = tuple(each if isinstance(each, _INTEGERS) else each[0] for each in widths)
        return {"kernel_size": (1,) * len(before), "padding": tuple(max(n, 0) for n in before)}


@dataclass(eq=False, repr=False)
class Dropout(Layer):
    """While training, sets elements to 0 with probability `rate` and scales the rest by 1 / (1 - rate); else nothing.

    Needs rng= in a call with training=True. Raises ValueError without it, and for a rate outside 0 <= rate < 1.

    >>> import numpy as np, pyconvx as cx
    >>> cx.nn.Dropout(0.5)(np.ones((1, 4)), training=True, rng=np.random.default_rng(0)).tolist()
    [[2.0, 2.0, 2.0, 0.0]]

    Source: Srivastava et al. 2014.
    """

    rate: float = 0.5

    def __post_init__(self) -> None:
        super().__post_init__()
        real("rate", self.rate)
        if not 0 <= self.rate < 1:
            raise ValueError(f"rate must be at least 0 and less than 1, got {self.rate}")

    def output_shape(self, input_shape: Shape) -> Shape:
        return input_shape

    def pull(self, x: Array, run: Run) -> tuple[Array, LayerPullback]:
        if not run.training or self.rate == 0:
            return x, lambda gy: (np.asarray(gy), {})
        if run.rng is None:
            raise ValueError(f"{self!r} draws what it drops: give rng= with training=True")
        if x.dtype.kind != "f":
            x = x.astype(np.float32)
        kept = run.rng.random(x.shape, np.float32) >= self.rate
        scale = (kept / np.float64(1 - self.rate)).astype(x.dtype)
        return x * scale, lambda gy: (np.asarray(gy) * scale, {})


@dataclass(eq=False, repr=False)
class BatchNorm(Layer):
    """Each channel shifted and scaled to mean 0 and variance 1, then by `shift` and `scale`, which are learned.

    While training, mean and variance are those of the batch, and `updates` of `vjp` receives the new running ones:
    (1 - momentum) * old + momentum * batch. Otherwise they are the running ones, `state["mean"]` and `["variance"]`.

    >>> import numpy as np, pyconvx as cx
    >>> y = cx.nn.BatchNorm()(np.array([[1.0], [3.0]]), training=True)
    >>> y.round(3).tolist()
    [[-1.0], [1.0]]

    Source: Ioffe and Szegedy 2015, arXiv:1502.03167; ONNX BatchNormalization, with PyTorch's momentum.
    """

    _: KW_ONLY
    momentum: float = 0.1
    epsilon: float = 1e-5
    layout: str = "channels_last"

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("momentum", "epsilon"):
            real(name, getattr(self, name))
        if not 0 <= self.momentum <= 1:
            raise ValueError(f"momentum must be from 0 to 1, got {self.momentum}")
        if not self.epsilon >= 0:
            raise ValueError(f"epsilon must not be negative, got {self.epsilon}")

    def output_shape(self, input_shape: Shape) -> Shape:
        return input_shape

    def make(self, input_shape: Shape, rng: np.random.Generator, dtype: np.dtype[Any]) -> tuple[Params, Params]:
        channels = self._channels(input_shape)
        params = {"scale": np.ones(channels, dtype), "shift": np.zeros(channels, dtype)}
        return params, {"mean": np.zeros(channels, dtype), "variance": np.ones(channels, dtype)}

    def param_shapes(self, input_shape: Shape) -> dict[str, Shape]:
        return dict.fromkeys(("scale", "shift"), self._channels(input_shape))

    def state_shapes(self, input_shape: Shape) -> dict[str, Shape]:
        return dict.fromkeys(("mean", "variance"), self._channels(input_shape))

    def _channels(self, input_shape: Shape) -> Shape:
        return (input_shape[channel_axis(self.layout, 1 + len(input_shape)) - 1],)

    @property
    def looks_ahead(self) -> bool:
        return not overrides(self, BatchNorm)

    def factors(self) -> tuple[Array, Array]:
        """(factor, offset): without training the layer is x * factor + offset, per channel."""
        factor = self.params["scale"] / np.sqrt(self.state["variance"].astype(np.float64) + self.epsilon)
        return factor, self.params["shift"] - self.state["mean"] * factor

    def pull(self, x: Array, run: Run) -> tuple[Array, LayerPullback]:
        if x.dtype not in (np.float32, np.float64):
            x = x.astype(self.params["scale"].dtype)
        axis = channel_axis(self.layout, x.ndim)
        channels, count = x.shape[axis], x.size // max(x.shape[axis], 1)
        if self.params["scale"].shape != (channels,):
            raise ValueError(f"{self!r} was built for {self.params['scale'].size} channels, got {channels} channels")
        x, learning = np.require(x, requirements=("C", "A")), run.training and count > 0
        if learning:
            mean, variance = moments(channels_apart(x, axis))
            for name, batch in (("mean", mean), ("variance", variance * count / max(count - 1, 1))):
                old = self.state[name]
                run.updates[name] = ((1 - self.momentum) * old + self.momentum * batch).astype(old.dtype)
        else:
            mean, variance = (self.state[name].astype(np.float64) for name in ("mean", "variance"))
        spread, scale = np.sqrt(variance + self.epsilon), self.params["scale"]
        numbers = mean, scale / spread, self.params["shift"]
        rectifies = len(run.following) > 0 and run.following[0].only_rectifies
        pooled = self._pooled(x, numbers, rectifies, run) if learning else None
        run.ahead = int(rectifies) + (pooled is not None)
        plain = Scaled(x, axis, numbers)
        y = plain.result(rectifies) if pooled is None else pooled.y
        scaled, shape = pooled or plain, y.shape

        def back(gy: Any) -> tuple[Any, Params]:
            if np.shape(gy) != shape:
                raise ValueError(f"the gradient of {self!r} must have the shape {shape}, got {np.shape(gy)}")
            given = np.asarray(gy, x.dtype)
            if pooled is not None and rectifies:
                given = masked(pooled.y, given)
            shifts, scales = scaled.products(given)
            gradients = {"scale": (scales / spread).astype(scale.dtype), "shift": shifts.astype(scale.dtype)}
            if not run.input_gradient:
                return None, gradients
            if learning:
                return scaled.gradient(given, shifts / count, scales / count / spread**2), gradients
            zeros = np.zeros(channels)
            return Scaled(given, axis, (zeros, numbers[1], zeros)).result(), gradients

        return y, back

    def _pooled(self, x: Array, numbers: tuple[Array, ...], rectifies: bool, run: Run) -> ScaledPool | None:
        """What a pooling behind makes of the result, and of a rectifier before it; None unless it can be done so."""
        pooling: Any = next(iter(run.following[int(rectifies) :]), None)
        if pooling is None or not pooling.takes_largest or self.layout != "channels_last":
            return None
        function, arguments, options = pooling.call(x.ndim)
        return scaled_pool(function, x, *arguments, scale=numbers, rectified=rectifies, **options)
