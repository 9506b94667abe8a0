"""Convolution and transposed convolution of any rank, with their gradients.

The two are each other's adjoint: one kernel serves both, with index tables read one way or the other. May import the
rest of functional and the plugins.
"""

from __future__ import annotations

import math
import weakref
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from .._core import Repeat
from ..activation import (
    ActivationFunction,
    Kernel,
    evaluate,
    keeps_rows,
    kernel_of,
    may_fail,
    needs_result,
    parameters,
    pull,
    sloped_by_result,
)
from ..activation import activation as bind_activation
from ..padding import PaddingMode
from ..plugin import Bound
from . import arrays
from .algorithms import Candidate, Problem, Supposed, check_algorithm, choose
from .arrays import Array, Layout
from .channels import channel_sums, channels_apart
from .computation import compute
from .exchanged import Exchanged
from .filter_gradient import filter_gradient
from .form import Form, form_of
from .joint import Border
from .operation import REMEMBERED, Pullback, repeated
from .padded import modes_of
from .parallel import num_threads
from .prepare import PreparedFilters, filters_of
from .problem import direct_unfit
from .repeat import repeat_of

__all__ = ["conv1d", "conv2d", "conv3d", "conv_transpose1d", "conv_transpose2d", "conv_transpose3d"]


@dataclass(eq=False, repr=False)
class _Plan:
    """A convolution, or with `transposed` its adjoint, checked but not computed."""

    form: Form
    given: Array  # x as it came
    x: Array  # (N, D, H, W, C), not yet in the dtype of the computation
    filters: Array  # (F, *kernel, C // groups)
    prepared: PreparedFilters | None
    bias: Array | None
    activation: Bound[ActivationFunction] | None
    algorithm: str
    out: Array | None

    @property
    def shape(self) -> tuple[int, ...]:
        return self.form.shape

    def problem(self) -> Problem:
        """What the kernels are to do."""
        form = self.form
        x = arrays.as_kernel_input(self.x, form.compute, apart=True)
        problem = self._problem(x, self.filters, form.transposed, None if self._border_of_y else self._offset())
        if self._border_of_x is not None:
            problem.border = self._border_of_x.around(self.x, form.compute)
        return problem

    def supposed(self) -> Problem:
        """The problem as far as shapes tell it: no array is read, copied or packed."""
        apart = self.form.layout == "channels_first" and self.x.dtype == self.form.compute
        x = arrays.canonical(arrays.outline, self.x.shape, self.form.compute, apart)
        bias = None if self._border_of_y else self.bias
        return self._problem(x, self.filters, self.form.transposed, bias, Supposed)

    @property
    def _border_of_x(self) -> Border | None:
        """The border of a joint mode that kernels need around x."""
        return None if self.form.transposed else self.form.border

    @property
    def _border_of_y(self) -> Border | None:
        """The one that they fill around the sum, which is folded, and has its bias and activation, afterwards."""
        return self.form.border if self.form.transposed else None

    @property
    def copied(self) -> int:
        """Bytes of the border of x, or of a sum that is to be folded."""
        border, shape = self.form.border, self.form.canonical_shape
        if border is None:
            return 0
        count = math.prod(shape) if self.form.transposed else border.count * shape[0] * self.form.channels
        return count * self.form.compute.itemsize

    def _offset(self) -> Array | None:
        """The bias as kernels take it."""
        return None if self.bias is None else np.ascontiguousarray(self.bias, self.form.compute)

    def _settled(self, z: Array, apart: bool = False) -> Array:
        """The sum with its bias, from what a kernel has computed, in the same memory order."""
        if self._border_of_y is not None:
            z = self._border_of_y.fold(z, apart)
            if self.bias is not None:
                z += self._offset()
        return z

    def _problem(
        self, x: Array, filters: Array, transposed: bool, bias: Array | None, kind: type[Problem] = Problem
    ) -> Problem:
        form = self.form
        axes, constants = form.reads(adjoint=transposed)
        problem = kind(x, filters, self.prepared, form.groups, transposed, bias, axes, form.strides, constants)
        problem.apart = form.layout == "channels_first" if transposed != form.transposed else self._lies_apart()
        return problem

    def finish(self) -> Kernel | None:
        """The activation as a kernel can apply it, if it can."""
        activation = self.activation
        if activation is None or activation.plugin.output_size is not None:
            return None
        return kernel_of(activation, self.form.compute)

    def _empty(self, apart: bool = False) -> Array:
        """The sum, to be computed: (N, D, H, W, channels), `apart` in memory with channels first. Asked for first:
        where it does not fit, nothing is done.
        """
        return arrays.canonical(arrays.empty, self.form.canonical_shape, self.form.compute, apart)

    def _apart(self) -> bool:
        """Whether the sum may be computed channels first, as the result is: nothing needs all channels of a place."""
        whole = self.activation is not None and (self.finish() is None or keeps_rows(self.activation))
        return self.form.layout == "channels_first" and not whole

    def outline(self, candidate: Candidate) -> Array:
        """What the kernel of a candidate fills, without its memory."""
        apart = candidate.apart and self._apart()
        return arrays.canonical(arrays.outline, self.form.canonical_shape, self.form.compute, apart)

    def _direct_target(self) -> Array | None:
        """`out` as the kernels can fill it, if they can: then nothing but a kernel may fail any more."""
        if self.out is None or self.out.dtype != self.form.compute or self._border_of_y:
            return None
        if arrays.overlaps(self.out, self.given, self.filters, self.bias):
            return None
        y = arrays.to_canonical("out", self.out, self.form.rank, self.form.layout)
        activation, apart = self.activation, self._out_apart()
        kernel = None if activation is None else kernel_of(activation, self.form.compute)
        compiled = kernel is not None and not may_fail(kernel, self.form.compute)
        if activation is not None and (
            activation.plugin.output_size is not None or not compiled or not (apart or y.flags.c_contiguous)
        ):
            return None
        return y if apart or arrays.as_kernel_input(y, self.form.compute) is y else None

    def _out_apart(self) -> bool:
        """Whether `out` is contiguous with channels first, and the sum may be computed so."""
        return self.out is not None and self.out.flags.c_contiguous and self.out.flags.aligned and self._apart()

    def _lies_apart(self) -> bool:
        """Whether the sum is computed channels first: into `out`, or into memory of its own."""
        apart = self._apart() if self._direct_target() is None else self._out_apart()
        return apart and self.form.result == self.form.compute

    def run(self) -> Array:
        target, apart = self._direct_target(), self._lies_apart()
        y = self._empty(apart) if target is None else target
        problem = self.problem()
        problem.finish = None if self._border_of_y else self.finish()
        finished = compute(problem, self.algorithm, y)
        y = self._settled(y, apart)
        if not finished and self.activation is not None:
            y = np.moveaxis(y, -1, 1) if apart else y
            in_place = y if self.activation.plugin.output_size is None else None
            y = evaluate(self.activation, y, in_place, num_threads())
            y = np.moveaxis(y, 1, -1) if apart else y
        return self.out if target is not None and self.out is not None else self._deliver(y)

    def repeat(self) -> Repeat | None:
        """How the same is done for other arrays of this form, if it is done by a kernel alone."""
        form = self.form
        first = form.layout == "channels_first"
        if (form.border is not None and (first or form.transposed)) or (form.transposed and self.prepared is None):
            return None
        arranged = first and self.prepared is None  # each call brings filters whose channels come before their taps
        brought = np.moveaxis(self.filters, -1, 1) if arranged else self.filters
        given = [array for array in (self.given, brought, self.bias, self.out) if array is not None]
        if any(array.dtype != form.compute or not array.flags.c_contiguous for array in given):
            return None
        problem = self.problem()
        if sum(axis.nbytes for axis in problem.axes) > REMEMBERED:
            return None
        if self.prepared is None:  # they are packed at each call, and nothing is held of those of this one
            filters = arrays.stand_in(self.filters.shape, form.compute)
            problem = self._problem(problem.x, filters, form.transposed, problem.bias, Supposed)
        else:  # which hold this call: they are gone when nobody else has them
            problem.prepared = weakref.proxy(self.prepared)
        candidate = choose(problem, self.algorithm)
        apart, y = candidate.apart and self._apart(), self.outline(candidate)
        # with the strides of the calls to come: this x may have others, and have been copied
        problem.x = arrays.canonical(arrays.outline, problem.x.shape, form.compute, apart)
        kernel = Exchanged(candidate, problem, y) if first and not apart else candidate.kernel(problem, y)
        # nothing is held of the arrays of this call
        problem.finish, problem.bias, problem.border = self.finish(), None, None
        finished = problem.finish is not None and kernel.finish(*problem.finish)
        rest = None if finished else self.activation
        arrange = self.filters.shape if arranged else None
        mend = partial(candidate.complete, problem, y, finished)
        return repeat_of(kernel, mend, problem.x.shape, arrange, y, form.shape, rest, form.border)

    def _deliver(self, y: Array) -> Array:
        form = self.form
        return arrays.deliver_canonical(y, form.rank, form.layout, form.batched, self.out, form.result)

    def vjp(self, kept: bool = False, masked: bool = False) -> tuple[Array, Pullback]:
        """kept: nobody changes the result, so that the pullback may read it. masked: the activation is a rectifier, and
        the gradients that come are 0 where its own is.
        """
        z = self._empty()
        problem, activation = self.problem(), self.activation
        problem.apart = False
        alone = kept and activation is not None and sloped_by_result(activation) and self.out is None
        if alone and self._border_of_y is None:
            problem.finish = self.finish()
        if self.out is not None and arrays.overlaps(self.out, problem.x, problem.filters):
            problem.x, problem.filters = problem.x.copy(), problem.filters.copy()
        finished = compute(problem, self.algorithm, z)
        y = z = self._settled(z)
        if activation is not None and not finished:
            y = evaluate(activation, z, z if alone else None, num_threads())
        result = self._deliver(y)
        saved = (
            y.copy()
            if activation is not None and needs_result(activation, z.dtype) and arrays.overlaps(result, y)
            else y
        )

        def pullback(gy: Any, *, input_gradient: bool = True) -> tuple[Any, ...]:
            """Gradients of x, filters and (if there is one) bias; without input_gradient there is None for x."""
            gy = arrays.as_gradient(gy, self.shape, self.form.compute)
            gz = arrays.together(arrays.to_canonical("gy", gy, self.form.rank, self.form.layout))
            if activation is not None and not masked:
                gz = pull(activation, z, saved, gz, num_threads())
            total = None if self.bias is None else channel_sums(channels_apart(gz, gz.ndim - 1))
            border = problem.border
            if self._border_of_y is not None:
                border = self._border_of_y.around(gz, gz.dtype, linear=True)
            gradients: list[Any] = [self._gradient_of_x(problem, gz, border) if input_gradient else None]
            gradients.append(self._gradient_of_filters(problem, gz, border))
            if self.bias is not None and total is not None:
                gradients.append(total.astype(arrays.gradient_dtype(self.bias, self.form.compute)))
            return tuple(gradients)

        return result, pullback

    def adjoint(self, problem: Problem, gz: Array) -> Problem:
        """The adjoint of the sum, to be applied to gz (N, D, H, W, channels of the result)."""
        adjoint = self._problem(gz, problem.filters, not self.form.transposed, None)
        adjoint.sound = problem.sound
        return adjoint

    def _gradient_of_x(self, problem: Problem, gz: Array, around: Any) -> Array:
        """The adjoint of the sum, applied to gz. around: the border of what a convolution reads."""
        adjoint, shape = self.adjoint(problem, gz), self.x.shape
        if self._border_of_x is not None:
            shape = self._border_of_x.shape_with(shape)
        else:
            adjoint.border = around
        apart = self.form.layout == "channels_first"
        gx = arrays.canonical(arrays.empty, shape, self.form.compute, apart)
        forced = self.algorithm if self.algorithm in ("direct", "plain") else "auto"
        if forced == "direct" and direct_unfit(adjoint) is not None:
            forced = "plain"
        compute(adjoint, forced, gx)
        if self._border_of_x is not None:
            gx = self._border_of_x.fold(gx, apart)
        form, dtype = self.form, arrays.gradient_dtype(self.given, self.form.compute)
        return arrays.deliver_canonical(gx, form.rank, form.layout, form.batched, None, dtype)

    def _gradient_of_filters(self, problem: Problem, gz: Array, around: Any) -> Array:
        """Sum over places of gradient times input; the adjoint reads the gradient through its windows."""
        x = arrays.as_kernel_input(problem.x, self.form.compute)
        read, other = (gz, x) if self.form.transposed else (x, gz)
        axes, constants = self.form.reads(adjoint=False)
        shape, groups = self.filters.shape, self.form.groups
        gradient = filter_gradient(read, other, shape, groups, axes, constants, around, self.algorithm)
        if self.form.layout == "channels_first":
            gradient = np.moveaxis(gradient, -1, 1)
        return np.ascontiguousarray(gradient, arrays.gradient_dtype(self.filters, self.form.compute))


def _plan(
    rank: int,
    transposed: bool,
    x: Any,
    filters: Any,
    bias: Any,
    stride: Any,
    padding: Any,
    output_padding: Any,
    padding_mode: Any,
    dilation: Any,
    groups: Any,
    activation: Any,
    layout: Layout,
    algorithm: Any,
    out: Any,
) -> _Plan:
    arrays.check_layout(layout)
    check_algorithm(algorithm)
    given = arrays.as_array("x", x)
    view = arrays.to_canonical("x", given, rank, layout)
    taps, prepared = filters_of(filters, rank, layout)
    offset = None if bias is None else arrays.as_array("bias", bias)
    modes = modes_of(padding_mode, rank)
    bound = None if activation is None else bind_activation(activation)
    if bound is not None:
        parameters(bound)
    form = form_of(
        rank,
        transposed,
        layout,
        given.ndim == rank + 2,
        view.shape,
        given.dtype,
        taps.shape,
        taps.dtype,
        None if offset is None else offset.shape,
        None if offset is None else offset.dtype,
        stride,
        padding,
        output_padding,
        dilation,
        groups,
        bound if bound is not None and bound.plugin.output_size is not None else None,
        *modes,
    )
    out = arrays.as_output(out, form.shape, form.result)
    plan = _Plan(form, given, view, taps, prepared, offset, bound, algorithm, out)
    if algorithm != "auto":
        choose(plan.supposed(), algorithm)
    return plan


Mode = str | PaddingMode | Bound[PaddingMode]
Nonlinearity = str | ActivationFunction | Bound[ActivationFunction] | None


def conv(
    rank: int,
    /,
    x: Any,
    filters: Any,
    bias: Any = None,
    *,
    stride: Any = 1,
    padding: Any = "valid",
    padding_mode: Mode | tuple[Mode, ...] = "zeros",
    dilation: Any = 1,
    groups: int = 1,
    activation: Nonlinearity = None,
    layout: Layout = "channels_last",
    algorithm: str = "auto",
    out: Array | None = None,
) -> _Plan:
    """Convolve x with filters over # spatial axes (cross-correlation, as in every deep-learning framework).

    y[n, o, f] = activation(bias[f] + sum over k, c of x[n, o * stride + k * dilation - before, c] * filters[f, k, c])

    Parameters
    ----------
    x : (N, *spatial, C), or (N, C, *spatial) for layout "channels_first"; N may be absent.
    filters : (F, *kernel, C // groups), or (F, C // groups, *kernel); an array or `prepare`d filters.
    bias : (F,), optional.
    stride, dilation : int or one int per spatial axis, at least 1.
    padding : how much: "valid", "same" (ceil(n / stride) outputs, the odd element after), "same_lower" (before),
        "full", "causal" (one axis only), an int, one int per axis, or one (before, after) pair per axis.
    padding_mode : with what: a name in `paddings`, or one name per spatial axis; a joint mode is for all of them.
    groups : the channels and filters are split into so many independent groups; C for a depthwise convolution.
    activation : a name in `activations`, or a bound one such as ``activation("leaky_relu", alpha=0.1)``.
    algorithm : "auto", or "fft", "depthwise", "dots", "planes", "runs", "winograd", "columns", "bands", "direct" or
        "plain" to force one where it fits; all give the same sums, rounded differently; which one "auto" takes may
        depend on N, on whether filters are prepared, on the memory order of x and on the activation.
    out : array of the result's shape and dtype to write into. Ctrl-C may leave it half written.

    Returns
    -------
    (N, *out, F) in the layout of x, with out = floor((n + before + after - (k - 1) * dilation - 1) / stride) + 1.
    float32 and float64 are computed as they are, float16 is computed in float32, integers count as promoted with
    float32.

    Raises
    ------
    TypeError for an argument of a wrong type or dtype, ValueError for a wrong value, before anything is computed.

    Examples
    --------
    >>> import numpy as np, pyconvx as cx
    >>> x, filters = np.ones((*(8,) * #, 3)), np.ones((6, *(5,) * #, 3))
    >>> cx.conv#d(x, filters, padding="same", activation="relu").shape == (*(8,) * #, 6)
    True

    Source: ONNX operator Conv; the padding modes are those of numpy.pad.
    """
    return _plan(
        rank,
        False,
        x,
        filters,
        bias,
        stride,
        padding,
        0,
        padding_mode,
        dilation,
        groups,
        activation,
        layout,
        algorithm,
        out,
    )


def conv_transpose(
    rank: int,
    /,
    x: Any,
    filters: Any,
    bias: Any = None,
    *,
    stride: Any = 1,
    padding: Any = "valid",
    output_padding: Any = 0,
    padding_mode: Mode | tuple[Mode, ...] = "zeros",
    dilation: Any = 1,
    groups: int = 1,
    activation: Nonlinearity = None,
    layout: Layout = "channels_last",
    out: Array | None = None,
) -> _Plan:
    """Apply the adjoint of `conv#d` with the same filters: x has their F channels, the result their C.

    Each element of x adds its multiple of the filters to the result, `stride` elements apart; what falls into the
    padding is added where the padding mode would have read from, so that <conv(y), x> = <y, conv_transpose(x)> for any
    mode.

    Parameters
    ----------
    x : (N, *spatial, F), or (N, F, *spatial) for layout "channels_first"; N may be absent.
    filters : (F, *kernel, C // groups), or (F, C // groups, *kernel), as for `conv#d`.
    bias : (C,), optional.
    stride, padding, padding_mode, dilation, groups, activation, out : as for `conv#d`, whose adjoint this is.
    output_padding : elements added to the end of each axis, less than stride or dilation: they tell apart the input
        sizes that a strided convolution maps to the same output size.

    Returns
    -------
    (N, *size, C) with size = (n - 1) * stride + (k - 1) * dilation + 1 - before - after + output_padding, and n *
    stride for padding "same" and "same_lower".

    Raises
    ------
    TypeError for an argument of a wrong type or dtype, ValueError for a wrong value, before anything is computed.

    Examples
    --------
    >>> import numpy as np, pyconvx as cx
    >>> x, filters = np.ones((*(4,) * #, 6)), np.ones((6, *(3,) * #, 2))
    >>> cx.conv_transpose#d(x, filters, stride=2, padding="same").shape == (*(8,) * #, 2)
    True

    Source: ONNX operator ConvTranspose; Dumoulin and Visin, A guide to convolution arithmetic for deep learning (2016).
    """
    return _plan(
        rank,
        True,
        x,
        filters,
        bias,
        stride,
        padding,
        output_padding,
        padding_mode,
        dilation,
        groups,
        activation,
        layout,
        "auto",
        out,
    )


conv1d, conv2d, conv3d = (repeated(conv, rank, 3) for rank in (1, 2, 3))
conv_transpose1d, conv_transpose2d, conv_transpose3d = (repeated(conv_transpose, rank, 3) for rank in (1, 2, 3))
