"""Convolutional layers. May import layer, initializers, geometry and the functional core."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import KW_ONLY, dataclass, field, replace
from fractions import Fraction
from typing import Any, ClassVar

import numpy as np

from .. import functional
from ..functional.arrays import flag
from ..functional.padded import modes_of
from ..functional.pooled_conv import pooled_conv
from ..functional.vjp import vjp_within
from ..geometry import axis_amounts, conv_windows, integer, per_axis, transposed_windows
from .initializers import fill
from .layer import (
    Array,
    Layer,
    LayerPullback,
    Params,
    Run,
    Shape,
    Spans,
    channel_axis,
    is_rectifier,
    masked,
    overrides,
    ranks,
    sizes,
    spatial_of,
)

__all__ = [
    "Conv1D",
    "Conv2D",
    "Conv3D",
    "ConvTranspose1D",
    "ConvTranspose2D",
    "ConvTranspose3D",
    "DepthwiseConv1D",
    "DepthwiseConv2D",
    "DepthwiseConv3D",
    "SeparableConv1D",
    "SeparableConv2D",
    "SeparableConv3D",
]


@dataclass(eq=False, repr=False)
class _Options(Layer):
    """What all convolutional layers are told: the options of `conv2d`, and how parameters begin."""

    rank: ClassVar[int]

    _: KW_ONLY
    stride: Any = 1
    padding: Any = "valid"
    padding_mode: Any = "zeros"
    dilation: Any = 1
    bias: bool = True
    activation: Any = None
    layout: str = "channels_last"
    initializer: Any = "he_normal"
    bias_initializer: Any = "zeros"

    def __post_init__(self) -> None:
        super().__post_init__()
        modes_of(self.padding_mode, self.rank)  # raises ValueError for those of another number of axes
        axis_amounts(self.padding, self.rank)
        self.bias = flag("bias", self.bias)
        for name in ("kernel_size", "stride", "dilation"):
            per_axis(name, getattr(self, name), self.rank, 1)

    def told(self, *names: str) -> dict[str, Any]:
        """The options of these names."""
        return {name: getattr(self, name) for name in names}


@dataclass(eq=False, repr=False)
class _Convolution(_Options):
    """Filters and a bias, and an operation."""

    operation: ClassVar[str] = "conv"

    def filters_shape(self, channels: int) -> Shape:
        """(F, *kernel, C // groups), whatever the layout."""
        raise NotImplementedError

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("filters", "groups", "multiplier"):
            if hasattr(self, name):
                setattr(self, name, integer(name, getattr(self, name), 1))
        filters, groups = getattr(self, "filters", 0), getattr(self, "groups", 1)
        if filters % groups:
            raise ValueError(f"groups must divide the number of filters, got groups={groups} and {filters} filters")

    def groups_of(self, channels: int) -> int:
        """How many independent groups channels and filters fall into."""
        return 1

    def options_of(self, channels: int) -> dict[str, Any]:
        """The options of the operation."""
        told = self.told("stride", "padding", "padding_mode", "dilation", "activation", "layout")
        return {**told, "groups": self.groups_of(channels)}

    def options_for(self, shape: Shape) -> dict[str, Any]:
        """The same for samples of a shape, which the filters that there are must fit."""
        return self.options_of(self.channels_of(shape))

    @property
    def function(self) -> Any:
        """The operation."""
        return getattr(functional, f"{self.operation}{self.rank}d")

    def channels_of(self, shape: Shape) -> int:
        """Of the input, by its shape without N."""
        if len(shape) != self.rank + 1:
            raise ValueError(
                f"{self!r} takes (N, samples of {self.rank} spatial axes and channels), got samples of shape {shape}"
            )
        return shape[channel_axis(self.layout, self.rank + 2) - 1]

    def param_shapes(self, input_shape: Shape) -> dict[str, Shape]:
        channels = self.channels_of(input_shape)
        first, *kernel, last = self.filters_shape(channels)
        shapes = {"filters": (first, last, *kernel) if self.layout == "channels_first" else (first, *kernel, last)}
        if self.bias:
            shapes["bias"] = (first if self.operation == "conv" else last * self.groups_of(channels),)
        return shapes

    def output_shape(self, input_shape: Shape) -> Shape:
        filters = self.param_shapes(input_shape)["filters"]
        options = self.options_of(self.channels_of(input_shape))
        return functional.output_shape(self.function, input_shape, filters, **options)

    def make(self, input_shape: Shape, rng: np.random.Generator, dtype: np.dtype[Any]) -> tuple[Params, Params]:
        channels, shapes = self.channels_of(input_shape), self.param_shapes(input_shape)
        count, *kernel, per_group = self.filters_shape(channels)
        taps = math.prod(kernel)
        sums, reached = taps * per_group, taps * count // self.groups_of(channels)
        if self.operation == "conv_transpose":
            sums, reached = reached, sums
        initializers = {"filters": self.initializer, "bias": self.bias_initializer}
        return {name: fill(initializers[name], rng, shape, sums, reached, dtype) for name, shape in shapes.items()}, {}

    def _arguments(self, x: Array) -> tuple[Array, Array, Array | None]:
        return x, self.params["filters"], self.params.get("bias")

    def forward(self, x: Array, run: Run) -> Array:
        y: Array = self.function(*self._arguments(x), **self.options_for(x.shape[1:]))
        return y

    @property
    def rectifies(self) -> bool:
        own = not overrides(self, _Convolution)  # what a subclass does may be more
        return own and self.activation is not None and is_rectifier(self.activation)

    @property
    def looks_ahead(self) -> bool:
        return not overrides(self, _Convolution)

    def pull(self, x: Array, run: Run) -> tuple[Array, LayerPullback]:
        options = self.options_for(x.shape[1:])
        pooled = self._pooled(x, options, run)
        if pooled is not None:
            return pooled
        kept = run.inner and type(self).pull is _Convolution.pull  # a subclass may change it
        y, pullback = vjp_within(kept, run.masked, self.function, *self._arguments(x), **options)
        gradients_of: Any = pullback

        def back(gy: Any) -> tuple[Any, Params]:
            gx, *gradients = gradients_of(gy, input_gradient=run.input_gradient)
            return gx, dict(zip(("filters", "bias"), gradients, strict=False))

        return y, back

    def _pooled(self, x: Array, options: dict[str, Any], run: Run) -> tuple[Array, LayerPullback] | None:
        """The same with a pooling behind, and a rectifier between them; None unless it can be done so."""
        rectifies = self.activation is None and len(run.following) > 0 and run.following[0].only_rectifies
        pooling: Any = next(iter(run.following[int(rectifies) :]), None)
        if pooling is None or not pooling.takes_largest or not (rectifies or self.activation is None or self.rectifies):
            return None
        if rectifies:
            rectifier: Any = run.following[0]
            options = {**options, "activation": rectifier.activation}
        function, arguments, pool_options = pooling.call(x.ndim)
        pooled = pooled_conv(self.function, self._arguments(x), options, function, arguments, pool_options)
        if pooled is None:
            return None
        run.ahead = 1 + int(rectifies)

        def back(gy: Any) -> tuple[Any, Params]:
            given = gy if options["activation"] is None else masked(pooled.y, gy)
            gx, *gradients = pooled.gradients(given, run.input_gradient)
            return gx, {
                name: gradient
                for name, gradient in zip(("filters", "bias"), gradients, strict=True)
                if gradient is not None
            }

        return pooled.y, back

    def multiply_adds(self, input_shape: Shape) -> int:
        places = input_shape if self.operation == "conv_transpose" else self.output_shape(input_shape)
        return math.prod(self.filters_shape(self.channels_of(input_shape))) * math.prod(spatial_of(self.layout, places))

    def window(self, input_shape: Shape) -> Mapping[str, Any] | None:
        _, *kernel, _ = self.filters_shape(self.channels_of(input_shape))
        windows = conv_windows(spatial_of(self.layout, input_shape), kernel, self.stride, self.padding, self.dilation)
        return {
            "kernel_size": tuple(kernel),
            "stride": sizes(self.stride, self.rank),
            "dilation": sizes(self.dilation, self.rank),
            "padding": tuple(window.before for window in windows),
        }


@dataclass(eq=False, repr=False)
class _Conv(_Convolution):
    """A convolution over # spatial axes: `conv#d` with filters of its own.

    filters: how many; kernel_size: an int, or one per spatial axis. stride, padding, padding_mode, dilation, groups,
    activation, layout: as for `conv#d`, whose algorithm and out a layer does not have. bias: whether there is one;
    initializer, bias_initializer: names in `nn.initializers`. Parameters: filters, and bias unless bias=False.

    >>> import numpy as np, pyconvx as cx
    >>> layer = cx.nn.Conv#D(6, 5, padding="same", activation="relu")
    >>> layer(np.ones((2, *(8,) * #, 3))).shape == (2, *(8,) * #, 6)
    True
    """

    filters: int
    kernel_size: Any
    groups: int = field(default=1, kw_only=True)

    def groups_of(self, channels: int) -> int:
        return self.groups

    def filters_shape(self, channels: int) -> Shape:
        if channels % self.groups:
            raise ValueError(f"groups must divide the channels, got {channels} channels for {self!r}")
        return (self.filters, *sizes(self.kernel_size, self.rank), channels // self.groups)


@dataclass(eq=False, repr=False)
class _ConvTranspose(_Convolution):
    """A transposed convolution over # spatial axes: `conv_transpose#d` with filters of its own.

    filters: channels of the result; kernel_size: an int, or one per spatial axis. stride, padding, output_padding,
    padding_mode, dilation, groups, activation, layout: as for `conv_transpose#d`, whose out a layer does not have.
    bias, initializer, bias_initializer: as for `Conv#D`. Parameters: filters (channels of x, *kernel,
    filters // groups), and bias unless bias=False.

    >>> import numpy as np, pyconvx as cx
    >>> layer = cx.nn.ConvTranspose#D(3, 2, stride=2)
    >>> layer(np.ones((2, *(4,) * #, 6))).shape == (2, *(8,) * #, 3)
    True
    """

    operation: ClassVar[str] = "conv_transpose"
    filters: int
    kernel_size: Any
    output_padding: Any = field(default=0, kw_only=True)
    groups: int = field(default=1, kw_only=True)

    def groups_of(self, channels: int) -> int:
        return self.groups

    def filters_shape(self, channels: int) -> Shape:
        return (channels, *sizes(self.kernel_size, self.rank), self.filters // self.groups)

    def options_of(self, channels: int) -> dict[str, Any]:
        return {**super().options_of(channels), "output_padding": self.output_padding}

    def window(self, input_shape: Shape) -> Mapping[str, Any] | None:
        return None  # several phases of a window

    def spans(self, input_shape: Shape) -> Spans:
        _, *kernel, _ = self.filters_shape(self.channels_of(input_shape))
        spatial = spatial_of(self.layout, input_shape)
        windows = transposed_windows(spatial, kernel, self.stride, self.padding, self.output_padding, self.dilation)
        lasts = (Fraction(w.before, w.stride) for w in windows)
        return tuple(
            (last - Fraction((w.taps - 1) * w.dilation, w.stride), last, Fraction(1, w.stride))
            for w, last in zip(windows, lasts, strict=True)
        )


@dataclass(eq=False, repr=False)
class _DepthwiseConv(_Convolution):
    """A convolution over # spatial axes of each channel by itself, with `multiplier` filters for each.

    kernel_size: an int, or one per spatial axis. stride, padding, padding_mode, dilation, activation, layout, bias,
    initializer, bias_initializer: as for `Conv#D`; there are as many groups as channels. Parameters: filters
    (C * multiplier, *kernel, 1), and bias unless bias=False.

    >>> import numpy as np, pyconvx as cx
    >>> layer = cx.nn.DepthwiseConv#D(3, padding="same")
    >>> layer(np.ones((2, *(8,) * #, 5))).shape == (2, *(8,) * #, 5)
    True
    """

    kernel_size: Any
    multiplier: int = field(default=1, kw_only=True)

    def groups_of(self, channels: int) -> int:
        return channels

    def options_for(self, shape: Shape) -> dict[str, Any]:
        channels, filters = self.channels_of(shape), self.params.get("filters")
        if filters is not None and len(filters) != channels * self.multiplier:  # they might do for fewer groups
            raise ValueError(f"{self!r} was built for {len(filters) // self.multiplier} channels, got {channels}")
        return self.options_of(channels)

    def filters_shape(self, channels: int) -> Shape:
        return (channels * self.multiplier, *sizes(self.kernel_size, self.rank), 1)


@dataclass(eq=False, repr=False)
class _SeparableConv(_Options):
    """A convolution over # spatial axes in two steps: each channel by itself, then filters of one tap over them all.

    filters: how many at the second step; kernel_size, multiplier, stride, padding, padding_mode, dilation: of the first
    one; bias, bias_initializer, activation: of the second; layout, initializer: of both. Parameters: depthwise,
    filters, and bias unless bias=False.

    >>> import numpy as np, pyconvx as cx
    >>> layer = cx.nn.SeparableConv#D(6, 3, padding="same")
    >>> layer(np.ones((2, *(8,) * #, 5))).shape == (2, *(8,) * #, 6)
    True

    Source: Chollet 2017, arXiv:1610.02357.
    """

    depthwise: ClassVar[type[_DepthwiseConv]]
    pointwise: ClassVar[type[_Conv]]

    filters: int
    kernel_size: Any
    multiplier: int = field(default=1, kw_only=True)

    def steps(self) -> tuple[_DepthwiseConv, _Conv]:
        """The two convolutions, with the parameters of this layer."""
        of_first = self.told("multiplier", "stride", "padding", "padding_mode", "dilation", "layout", "initializer")
        of_second = self.told("bias", "activation", "layout", "initializer", "bias_initializer")
        first = self.depthwise(self.kernel_size, bias=False, **of_first)
        second = self.pointwise(self.filters, 1, **of_second)
        if self.params:
            first.params = {"filters": self.params["depthwise"]}
            second.params = {name: array for name, array in self.params.items() if name != "depthwise"}
        return first, second

    def output_shape(self, input_shape: Shape) -> Shape:
        first, second = self.steps()
        return second.output_shape(first.output_shape(input_shape))

    def param_shapes(self, input_shape: Shape) -> dict[str, Shape]:
        first, second = self.steps()
        depthwise = first.param_shapes(input_shape)["filters"]
        return {"depthwise": depthwise, **second.param_shapes(first.output_shape(input_shape))}

    def make(self, input_shape: Shape, rng: np.random.Generator, dtype: np.dtype[Any]) -> tuple[Params, Params]:
        first, second = self.steps()
        depthwise = first.make(input_shape, rng, dtype)[0]["filters"]
        return {"depthwise": depthwise, **second.make(first.output_shape(input_shape), rng, dtype)[0]}, {}

    def forward(self, x: Array, run: Run) -> Array:
        first, second = self.steps()
        return second.forward(first.forward(x, run), run)

    def pull(self, x: Array, run: Run) -> tuple[Array, LayerPullback]:
        first, second = self.steps()
        middle, first_back = first.pull(x, replace(run, inner=True, masked=False))
        kept = run.inner and type(self).pull is _SeparableConv.pull
        y, second_back = second.pull(middle, replace(run, input_gradient=True, inner=kept))

        def back(gy: Any) -> tuple[Any, Params]:
            gradient, gradients = second_back(gy)
            gx, depthwise = first_back(gradient)
            return gx, {"depthwise": depthwise["filters"], **gradients}

        return y, back

    def multiply_adds(self, input_shape: Shape) -> int:
        first, second = self.steps()
        return first.multiply_adds(input_shape) + second.multiply_adds(first.output_shape(input_shape))

    def window(self, input_shape: Shape) -> Mapping[str, Any] | None:
        return self.steps()[0].window(input_shape)


Conv1D, Conv2D, Conv3D = ranks(_Conv)
ConvTranspose1D, ConvTranspose2D, ConvTranspose3D = ranks(_ConvTranspose)
DepthwiseConv1D, DepthwiseConv2D, DepthwiseConv3D = ranks(_DepthwiseConv)
SeparableConv1D, SeparableConv2D, SeparableConv3D = ranks(_SeparableConv)
for _separable, _first, _second in (
    (SeparableConv1D, DepthwiseConv1D, Conv1D),
    (SeparableConv2D, DepthwiseConv2D, Conv2D),
    (SeparableConv3D, DepthwiseConv3D, Conv3D),
):
    _separable.depthwise, _separable.pointwise = _first, _second
