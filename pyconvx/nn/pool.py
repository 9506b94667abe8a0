"""Pooling layers. May import layer and the functional core."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import KW_ONLY, dataclass, field
from fractions import Fraction
from typing import Any, ClassVar

from .. import functional
from ..functional.padded import modes_of
from ..geometry import adaptive_windows, axis_amounts, per_axis, pool_windows
from ..pooling import pooling
from .layer import Array, LayerPullback, Operation, Run, Shape, Spans, masked, overrides, ranks, sizes, spatial_of

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
class _Pool(Operation):
    """Pooling over # spatial axes: `pool#d` as a layer.

    size: of the windows, an int or one per spatial axis; kind: a name in `poolings`, or a bound one such as
    ``cx.pooling("lp", p=3)``, which is how it takes parameters. stride, padding, padding_mode, dilation, ceil_mode,
    layout: as for `pool#d`, whose return_indices and out a layer does not have.

    >>> import numpy as np, pyconvx as cx
    >>> cx.nn.Pool#D(2, "avg")(np.ones((1, *(8,) * #, 3))).shape == (1, *(4,) * #, 3)
    True
    """

    rank: ClassVar[int]
    size: Any
    kind: Any = "max"
    _: KW_ONLY
    stride: Any = None
    padding: Any = "valid"
    padding_mode: Any = None
    dilation: Any = 1
    ceil_mode: bool = False
    layout: str = "channels_last"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.padding_mode is not None:
            modes_of(self.padding_mode, self.rank)  # raises ValueError for those of another number of axes
        axis_amounts(self.padding, self.rank)
        stride = self.size if self.stride is None else self.stride
        for name, value in (("size", self.size), ("stride", stride), ("dilation", self.dilation)):
            per_axis(name, value, self.rank, 1)

    def call(self, ndim: int) -> tuple[Any, tuple[Any, ...], dict[str, Any]]:
        names = ("stride", "padding", "padding_mode", "dilation", "ceil_mode", "layout")
        options = {name: getattr(self, name) for name in names}
        return getattr(functional, f"pool{self.rank}d"), (self.size, self.kind), options

    @property
    def takes_largest(self) -> bool:
        return not overrides(self, _Pool) and self.padding_mode is None and pooling(self.kind).plugin.kernel == "max"

    def pull(self, x: Array, run: Run) -> tuple[Array, LayerPullback]:
        if run.done:
            return x, lambda gy: (gy, {})
        y, back = super().pull(x, run)
        if not run.masks:
            return y, back

        # the gradient of a rectifier before it is 0 where the largest element is
        return y, lambda gy: back(masked(y, gy))

    def window(self, input_shape: Shape) -> Mapping[str, Any] | None:
        spatial = spatial_of(self.layout, input_shape)
        windows = pool_windows(spatial, self.size, self.stride, self.padding, self.dilation, self.ceil_mode)
        return {
            "kernel_size": sizes(self.size, self.rank),
            "stride": tuple(window.stride for window in windows),
            "dilation": sizes(self.dilation, self.rank),
            "padding": tuple(window.before for window in windows),
        }


@dataclass(eq=False, repr=False)
class _MaxPool(_Pool):
    """The largest elements of windows over # spatial axes: `Pool#D(size, "max")`, with its options.

    >>> import numpy as np, pyconvx as cx
    >>> cx.nn.MaxPool#D(2)(np.ones((1, *(8,) * #, 3))).shape == (1, *(4,) * #, 3)
    True
    """

    kind: Any = field(default="max", init=False)


@dataclass(eq=False, repr=False)
class _AvgPool(_Pool):
    """The means of windows over # spatial axes: `Pool#D(size, "avg")`, with its options.

    Parameters of avg are written as ``Pool#D(2, cx.pooling("avg", count_include_pad=True))``.

    >>> import numpy as np, pyconvx as cx
    >>> cx.nn.AvgPool#D(2)(np.ones((1, *(8,) * #, 3))).shape == (1, *(4,) * #, 3)
    True
    """

    kind: Any = field(default="avg", init=False)


@dataclass(eq=False, repr=False)
class _AdaptivePool(Operation):
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

    def __post_init__(self) -> None:
        super().__post_init__()
        per_axis("output_size", self.output_size, self.rank, 1)

    def call(self, ndim: int) -> tuple[Any, tuple[Any, ...], dict[str, Any]]:
        function = getattr(functional, f"adaptive_pool{self.rank}d")
        return function, (self.output_size, self.kind), {"layout": self.layout}

    def window(self, input_shape: Shape) -> Mapping[str, Any] | None:
        return None  # several windows

    def spans(self, input_shape: Shape) -> Spans:
        sides = adaptive_windows(spatial_of(self.layout, input_shape), self.output_size)
        # window i goes from i * n / out, rounded down, to (i + 1) * n / out, rounded up: multiples of gcd(n, out) / out
        return tuple(
            (Fraction(part, out) - 1, Fraction(n - part, out), Fraction(n, out))
            for n, out in sides
            for part in [math.gcd(n, out)]
        )


@dataclass(eq=False, repr=False)
class GlobalPool(Operation):
    """Each channel reduced to one element: `global_pool` as a layer, for any number of spatial axes.

    >>> import numpy as np, pyconvx as cx
    >>> cx.nn.GlobalPool()(np.ones((2, 7, 7, 5))).shape
    (2, 5)
    """

    kind: Any = "avg"
    _: KW_ONLY
    layout: str = "channels_last"
    keepdims: bool = False

    def call(self, ndim: int) -> tuple[Any, tuple[Any, ...], dict[str, Any]]:
        return functional.global_pool, (self.kind,), {"layout": self.layout, "keepdims": self.keepdims}

    def window(self, input_shape: Shape) -> Mapping[str, Any] | None:
        return None


Pool1D, Pool2D, Pool3D = ranks(_Pool)
MaxPool1D, MaxPool2D, MaxPool3D = ranks(_MaxPool)
AvgPool1D, AvgPool2D, AvgPool3D = ranks(_AvgPool)
AdaptivePool1D, AdaptivePool2D, AdaptivePool3D = ranks(_AdaptivePool)
