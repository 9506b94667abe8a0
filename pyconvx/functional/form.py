"""What a convolution is, apart from the elements of its arrays: checked once, and shared by all calls of one form.

May import arrays, padded, joint, the plugins and geometry.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ..activation import ActivationFunction, output_length
from ..geometry import Window, conv_windows, transposed_windows
from ..padding import PaddingMode
from ..plugin import Bound
from ..remember import remembered
from . import arrays
from .arrays import Array, Layout
from .joint import Border, border_of, without_padding
from .padded import NO_PADDING, Modes, adjoint_axes, constants_of, forward_axes

__all__ = ["Form", "form_of"]


@dataclass(eq=False, repr=False)
class Form:
    """What a call is, apart from the elements of its arrays: shared by all calls of one form."""

    rank: int
    layout: Layout
    transposed: bool
    batched: bool
    windows: tuple[Window, ...]  # of the convolution, in either case
    modes: Modes
    border: Border | None  # of a joint mode: around x, or with `transposed` around the result
    groups: int
    compute: np.dtype[Any]
    result: np.dtype[Any]
    channels: int  # of x
    canonical_shape: tuple[int, ...]  # (N, D, H, W, channels) of the sum, before it is folded and activated
    shape: tuple[int, ...]

    @property
    def nbytes(self) -> int:
        return 0 if self.border is None else self.border.nbytes

    @property
    def strides(self) -> tuple[int, ...]:
        return (1,) * (3 - self.rank) + tuple(window.stride for window in self.windows)

    def reads(self, adjoint: bool) -> tuple[tuple[Any, ...], Array]:
        """The index tables of the windows, or of their adjoint, and what is outside of that which they read.

        The adjoint of a joint mode fills what has its border.
        """
        return _reads(self, adjoint)


# not kept by the form: tables may be large, and the budget of what is remembered counts them
@remembered(Form)
def _reads(form: Form, adjoint: bool) -> tuple[tuple[Any, ...], Array]:
    if adjoint and form.border is not None:
        axes = adjoint_axes(without_padding(form.windows), (NO_PADDING,) * form.rank)
    else:
        axes = (adjoint_axes if adjoint else forward_axes)(form.windows, form.modes)
    channels = form.channels if adjoint == form.transposed else form.canonical_shape[-1]
    apart = adjoint or form.transposed or form.border is not None
    return axes, constants_of(None if apart else form.modes, channels, form.compute)


@remembered(Bound)
def form_of(
    rank: int,
    transposed: bool,
    layout: Layout,
    batched: bool,
    x: tuple[int, ...],
    x_dtype: np.dtype[Any],
    filters: tuple[int, ...],
    filters_dtype: np.dtype[Any],
    bias: tuple[int, ...] | None,
    bias_dtype: np.dtype[Any] | None,
    stride: Any,
    padding: Any,
    output_padding: Any,
    dilation: Any,
    groups: Any,
    resizing: Bound[ActivationFunction] | None,
    *modes: Bound[PaddingMode],
) -> Form:
    """Check shapes and options: x is the shape (N, D, H, W, C), filters (F, *kernel, C // groups).

    resizing: the activation, if it changes the number of channels.
    """
    groups = arrays.integer("groups", groups, 1)
    count, per_group = filters[0], filters[-1]
    if count % groups:
        raise ValueError(f"groups must divide the number of filters, got groups={groups} and {count} filters")
    channels = count if transposed else per_group * groups
    if not transposed and x[-1] % groups:
        raise ValueError(f"groups must divide the channels of x, got groups={groups} and C={x[-1]}")
    if x[-1] != channels:
        expected = (
            f"x with {count} channels, one per filter"
            if transposed
            else f"C // groups channels in filters, {x[-1]} // {groups} = {x[-1] // groups}"
        )
        raise ValueError(
            f"filters and x do not fit: expected {expected}; got filters with {per_group} channels "
            f"({count} filters) and x with {x[-1]} channels"
        )
    outputs = per_group * groups if transposed else count
    if bias is not None and bias != (outputs,):
        raise ValueError(f"bias must have shape ({outputs},), got {bias}")
    sizes = x[4 - rank : 4]
    if transposed:
        windows = transposed_windows(sizes, filters[1:-1], stride, padding, output_padding, dilation)
        spatial = tuple(window.source for window in windows)
    else:
        windows = conv_windows(sizes, filters[1:-1], stride, padding, dilation)
        spatial = tuple(window.out for window in windows)
    compute, result = arrays.compute_dtypes(x_dtype, filters_dtype, bias_dtype)
    constants_of(modes, 1, compute)
    last = outputs if resizing is None else output_length(resizing, outputs)
    shape = (*spatial, last) if layout == "channels_last" else (last, *spatial)
    shape = (x[0], *shape) if batched else shape
    arrays.checked_shape(shape, compute.itemsize)
    border = border_of(modes[0], windows) if modes[0].plugin.joint else None
    if modes[0].plugin.joint and border is None:
        modes = (NO_PADDING,) * rank
    sums = tuple(window.source if transposed else window.out for window in windows)
    if transposed and border is not None:
        sums = border.whole
    canonical = (x[0], *(1,) * (3 - rank), *sums, outputs)
    return Form(
        rank,
        layout,
        transposed,
        batched,
        windows,
        modes,
        border,
        groups,
        compute,
        result,
        x[-1],
        canonical,
        shape,
    )
