"""Activations applied to arrays of any shape, with their gradients. May import activation and arrays."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from .. import _core
from .._core import Repeat
from ..activation import (
    ActivationFunction,
    evaluate,
    keeps_rows,
    kernel_of,
    may_fail,
    needs_result,
    output_length,
    pull,
)
from ..activation import activation as bind
from ..plugin import Bound
from . import arrays
from .arrays import Array
from .operation import Pullback, repeated_operation
from .parallel import num_threads

__all__ = ["activate"]

DIMENSIONS = 5
"""Of results that `Repeat` makes, at most."""


@dataclass(eq=False, repr=False)
class _Plan:
    """An activation, checked but not computed."""

    x: Array
    bound: Bound[ActivationFunction]
    axis: int | None  # of the rows, from the end; None if it does not matter
    compute: np.dtype[Any]
    result: np.dtype[Any]
    shape: tuple[int, ...]
    out: Array | None

    def _rows(self, array: Array) -> Array:
        """Contiguous and aligned, in the dtype of the computation, rows on the last axis."""
        if self.axis is not None:
            array = np.moveaxis(array, self.axis, -1)
        array = np.asarray(array, self.compute, order="C")
        return array if array.flags.aligned else array.copy()

    def _unrows(self, array: Array) -> Array:
        return array if self.axis is None else np.moveaxis(array, -1, self.axis)

    def _target(self, x: Array) -> Array | None:
        """`out` as a kernel can fill it from the rows x, if it can: then nothing can fail any more, as a plugin may."""
        kernel = kernel_of(self.bound, self.compute)
        if self.out is None or self.compute != self.result or kernel is None or may_fail(kernel, self.compute):
            return None
        y = self.out if self.axis is None else np.moveaxis(self.out, self.axis, -1)
        if not (y.flags.c_contiguous and y.flags.aligned):
            return None
        in_place = y.ctypes.data == x.ctypes.data and y.shape == x.shape
        return y if in_place or not arrays.overlaps(y, x) else None

    def run(self) -> Array:
        x = self._rows(self.x)
        target = self._target(x)
        y = evaluate(self.bound, x, target, num_threads())
        if target is not None and self.out is not None:
            return self.out
        return arrays.deliver(self._unrows(y), self.out, self.result)

    def repeat(self) -> Repeat | None:
        """How the same is done for other arrays of this form, if it is done by a kernel alone."""
        kernel = kernel_of(self.bound, self.compute)
        last = self.axis is None or self.axis == -1
        if kernel is None or not last or not 0 < len(self.shape) <= DIMENSIONS:
            return None
        if self.out is not None and may_fail(kernel, self.compute):  # it is filled when all is done
            return None
        if not self.x.dtype == self.compute == self.result or not self.x.flags.c_contiguous:
            return None
        ready = _core.kernels.Activate(*kernel, self.x.shape, self.compute, num_threads())
        return Repeat(ready.fill, self.shape, self.result)

    def vjp(self) -> tuple[Array, Pullback]:
        x = self._rows(self.x)
        if self.out is not None and arrays.overlaps(self.out, x):
            x = x.copy()
        y = evaluate(self.bound, x, threads=num_threads())
        result = arrays.deliver(self._unrows(y), self.out, self.result)
        saved = y.copy() if needs_result(self.bound, self.compute) and arrays.overlaps(result, y) else y

        def pullback(gy: Any) -> tuple[Array, ...]:
            """The gradient of x."""
            gy = self._rows(arrays.as_gradient(gy, self.shape, self.compute))
            gx = pull(self.bound, x, saved, gy, num_threads())
            return (np.asarray(self._unrows(gx), arrays.gradient_dtype(self.x, self.compute), order="C"),)

        return result, pullback


@repeated_operation
def activate(
    x: Any,
    activation: str | ActivationFunction | Bound[ActivationFunction],
    *,
    axis: int = -1,
    out: Array | None = None,
    **params: Any,
) -> _Plan:
    """Apply an activation to x, of any shape.

    activation: a name in `activations`, or a bound one; params: its parameters. axis: that along which a rowwise
    activation such as softmax works, and along which a parameter that is an array lies. Returns an array of the shape
    of x (glu halves `axis`); float32 and float64 are computed as they are, float16 in float32, integers count as
    promoted with float32. Raises UnknownNameError for an unknown name, TypeError or ValueError for a wrong argument.

    >>> import pyconvx as cx
    >>> cx.activate([-1.0, 0.0, 2.0], "leaky_relu", alpha=0.5)
    array([-0.5,  0. ,  2. ])

    Source: PyTorch's definitions, and its derivatives at kinks.
    """
    array = arrays.as_array("x", x)
    bound = bind(activation, **params)
    compute, result = arrays.compute_dtypes(array.dtype)
    rows, shape = None, array.shape
    if keeps_rows(bound):
        if isinstance(axis, bool) or not isinstance(axis, (int, np.integer)):
            raise TypeError(f"axis must be an int, got {axis!r}")
        if array.ndim == 0:
            raise ValueError(f"x must have an axis for activation {bound!r}, got the shape ()")
        if not -array.ndim <= axis < array.ndim:
            raise ValueError(f"axis must be in {-array.ndim}...{array.ndim - 1} for x of shape {shape}, got {axis}")
        rows = int(axis) % array.ndim - array.ndim
        sizes = list(shape)
        sizes[rows] = output_length(bound, sizes[rows])
        shape = tuple(sizes)
    return _Plan(array, bound, rows, compute, result, shape, arrays.as_output(out, shape, result))
