"""Pooling layers. May import layer and the functional core."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import KW_ONLY, dataclass
from typing import Any, ClassVar

from .. import functional
from ..geometry import pool_windows
from .layer import Array, Layer, LayerPullback, Run, Shape, ranks, sizes

__all__ = [
    "AdaptivePool1D",
    "AdaptivePool2D",
    "AdaptivePool3D",
    "AvgPool1D",
    "AvgPool2D",
    "AvgPool3D",
    "GlobalPool",
    "MaxPool1D",
    "MaxPool2D",
    "MaxPool3D",
    "Pool1D",
    "Pool2D",
    "Pool3D",
]


@dataclass(eq=False, repr=False)
class _Reduction(Layer):
    """A layer without parameters whose operation takes x and some arguments."""

    def call(self) -> tuple[Any, tuple[Any, ...], dict[str, Any]]:
        """The operation, its arguments after x, and its options."""
        raise NotImplementedError

    def output_shape(self, input_shape: Shape) -> Shape:
        function, arguments, options = self.call()
        return functional.output_shape(function, (1, *input_shape), *arguments, **options)[1:]

    def forward(self, x: Array, run: Run) -> Array:
        function, arguments, options = self.call()
        y: Array = function(x, *arguments, **options)
        return y

    def pull(self, x: Array, run: Run) -> tuple[Array, LayerPullback]:
        function, arguments, options = self.call()
        y, pullback = functional.vjp(function, x, *arguments, **options)
        return y, lambda gy: (pullback(gy)[0], {})


@dataclass(eq=False, repr=False)
class _Windows(_Reduction):
    """What windowed poolings share."""

    rank: ClassVar[int]
    _: KW_ONLY
    stride: Any = None
    padding: Any = "valid"
    padding_mode: Any = None
    dilation: Any = 1
    ceil_mode: bool = False
    layout: str = "channels_last"

    def reduction(self) -> tuple[Any, Any]:
        """The size of windows and the kind of pooling."""
        raise NotImplementedError

    def call(self) -> tuple[Any, tuple[Any, ...], dict[str, Any]]:
        names = ("stride", "padding", "padding_mode", "dilation", "ceil_mode", "layout")
        options = {name: getattr(self, name) for name in names}
        return getattr(functional, f"pool{self.rank}d"), self.reduction(), options

    def window(self, input_shape: Shape) -> Mapping[str, Any] | None:
        spatial = input_shape[1:] if self.layout == "channels_first" else input_shape[:-1]
        size, _ = self.reduction()
        windows = pool_windows(spatial, size, self.stride, self.padding, self.dilation, self.ceil_mode)
        return {
            "kernel_size": sizes(size, self.rank),
            "stride": tuple(window.stride for window in windows),
            "dilation": sizes(self.dilation, self.rank),
            "padding": tuple(window.before for window in windows),
        }


@dataclass(eq=False, repr=False)
class _Pool(_Windows):
    """Pooling over # spatial axes: `pool#d` as a layer.

    size: of the windows, an int or one per spatial axis; kind: a name in `poolings`, or a bound one such as
    ``cx.pooling("lp", p=3)``. All other options are those of `pool#d`.

    >>> import numpy as np, pyconvx as cx
    >>> cx.nn.Pool#D(2, "avg")(np.ones((1, *(8,) * #, 3))).shape == (1, *(4,) * #, 3)
    True
    """

    size: Any
    kind: Any = "max"

    def reduction(self) -> tuple[Any, Any]:
        return self.size, self.kind


@dataclass(eq=False, repr=False)
class _MaxPool(_Windows):
    """The largest elements of windows over # spatial axes: `Pool#D(size, "max")`.

    >>> import numpy as np, pyconvx as cx
    >>> cx.nn.MaxPool#D(2)(np.ones((1, *(8,) * #, 3))).shape == (1, *(4,) * #, 3)
    True
    """

    size: Any

    def reduction(self) -> tuple[Any, Any]:
        return self.size, "max"


@dataclass(eq=False, repr=False)
class _AvgPool(_Windows):
    """The means of windows over # spatial axes: `Pool#D(size, "avg")`.

    >>> import numpy as np, pyconvx as cx
    >>> cx.nn.AvgPool#D(2)(np.ones((1, *(8,) * #, 3))).shape == (1, *(4,) * #, 3)
    True
    """

    size: Any

    def reduction(self) -> tuple[Any, Any]:
        return self.size, "avg"


@dataclass(eq=False, repr=False)
class _AdaptivePool(_Reduction):
    """Pooling over # spatial axes to a grid of a given size: `adaptive_pool#d` as a layer.

    >>> import numpy as np, pyconvx as cx
    >>> cx.nn.AdaptivePool#D(3)(np.ones((1, *(7,) * #, 2))).shape == (1, *(3,) * #, 2)
    True
    """

    rank: ClassVar[int]
    output_size: Any
    kind: Any = "avg"
    _: KW_ONLY
    layout: str = "channels_last"

    def call(self) -> tuple[Any, tuple[Any, ...], dict[str, Any]]:
        function = getattr(functional, f"adaptive_pool{self.rank}d")
        return function, (self.output_size, self.kind), {"layout": self.layout}

    def window(self, input_shape: Shape) -> Mapping[str, Any] | None:
        return None


@dataclass(eq=False, repr=False)
class GlobalPool(_Reduction):
    """Each channel reduced to one element: `global_pool` as a layer, for any number of spatial axes.

    >>> import numpy as np, pyconvx as cx
    >>> cx.nn.GlobalPool()(np.ones((2, 7, 7, 5))).shape
    (2, 5)
    """

    kind: Any = "avg"
    _: KW_ONLY
    layout: str = "channels_last"
    keepdims: bool = False

    def call(self) -> tuple[Any, tuple[Any, ...], dict[str, Any]]:
        return functional.global_pool, (self.kind,), {"layout": self.layout, "keepdims": self.keepdims}

    def window(self, input_shape: Shape) -> Mapping[str, Any] | None:
        return None


Pool1D, Pool2D, Pool3D = ranks(_Pool)
MaxPool1D, MaxPool2D, MaxPool3D = ranks(_MaxPool)
AvgPool1D, AvgPool2D, AvgPool3D = ranks(_AvgPool)
AdaptivePool1D, AdaptivePool2D, AdaptivePool3D = ranks(_AdaptivePool)
