"""A convolution with the max pooling behind it, in pieces of the batch: what lies between them is never whole, neither
it nor its gradient, and stays in the cache. May import the core, the rest of functional and the activations.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from .. import _core
from ..activation import evaluate
from .algorithms import Problem
from .arrays import Array, as_gradient, as_kernel_input, empty
from .channels import channel_sums, channels_apart
from .computation import Computation
from .filter_gradient import filter_gradient
from .largest import largest_of
from .operation import plan_of
from .parallel import num_threads

__all__ = ["PooledConv", "pooled_conv"]

PIECE = 2**21
"""Bytes of what lies between for a piece. No number of threads, for the bits of a gradient depend on it."""
LEAST = 4
"""Elements of it for each of the filters, of which every piece has a gradient of its own."""


class _Same:
    """Fills pieces of a batch, for problems that differ in these alone."""

    def __init__(self, problem: Problem) -> None:
        self.problem, self._known = problem, dict[int, Computation]()

    def fill(self, x: Array, y: Array) -> bool:
        """Fill y from x; returns whether that finished it."""
        if len(x) not in self._known:
            self._known[len(x)] = Computation(replace(self.problem, x=x), "auto", y)
        computation = self._known[len(x)]
        computation.problem.x = x
        computation.fill(y)
        return computation.finished


class PooledConv:
    """`y` is the largest of each window of a convolution, its bias and activation included.

    convolution, pooling: plans of the two, as `pooled_conv` makes them.
    """

    def __init__(self, convolution: Any, pooling: Any) -> None:
        form, activation = convolution.form, convolution.activation
        self._convolution, self._axes = convolution, pooling.axes(False)
        self._problem: Problem = convolution.problem()
        self._problem.x = as_kernel_input(self._problem.x, form.compute)
        self._problem.finish = convolution.finish()
        self._shape = form.canonical_shape
        size = max(PIECE, LEAST * math.prod(convolution.filters.shape) * form.compute.itemsize)
        self._step = max(1, size // max(1, math.prod(self._shape[1:]) * form.compute.itemsize))
        y, winner = empty(pooling.canonical, form.compute), empty(pooling.canonical, np.dtype(np.int32))
        forward, between = _Same(self._problem), self._between()
        for piece, z in self._pieces(between):
            finished = forward.fill(self._problem.x[piece], z)
            if activation is not None and not finished:
                evaluate(activation, z, z, num_threads())
            given = z, y[piece], winner[piece]
            _core.kernels.pool_extremum(*given, None, self._axes, pooling.constants, True, num_threads())
        self.y: Array = y.reshape(pooling.shape)
        self._winner = winner

    def _between(self) -> Array:
        """Memory for what lies between in a piece, or its gradient."""
        return empty((min(self._step, self._shape[0]), *self._shape[1:]), self._problem.x.dtype)

    def _pieces(self, between: Array) -> Iterator[tuple[slice, Array]]:
        """Where each piece lies in the batch, and memory for what lies between in it."""
        for start in range(0, self._shape[0], self._step):
            piece = slice(start, min(start + self._step, self._shape[0]))
            yield piece, between[: piece.stop - start]

    def gradients(self, gy: Array, input_gradient: bool) -> tuple[Array | None, Array, Array | None]:
        """The gradients of x (or None), filters and bias (or None), for one of y, 0 where the activation has none.

        Raises ValueError for a gradient of another shape, TypeError for one that is none.
        """
        convolution, form, axes = self._convolution, self._convolution.form, self._axes
        gy = np.ascontiguousarray(as_gradient(gy, self.y.shape, form.compute), form.compute)
        gy = gy.reshape(self._winner.shape)
        between, once = self._between(), all(axis.reads_once() for axis in axes)
        x, adjoint = self._problem.x, _Same(convolution.adjoint(self._problem, between))
        gx = empty(x.shape, form.compute) if input_gradient else None
        filters, (tables, constants) = np.zeros(convolution.filters.shape), form.reads(adjoint=False)
        for piece, gz in self._pieces(between):
            if not once:
                gz[...] = 0
            _core.kernels.pool_gradient(gy[piece], gz, self._winner[piece], axes, "none", 1.0, num_threads(), once)
            read, other = (gz, x[piece]) if form.transposed else (x[piece], gz)
            filters += filter_gradient(read, other, filters.shape, form.groups, tables, constants, None, "auto")
            if gx is not None:
                adjoint.fill(gz, gx[piece])
        total = None if convolution.bias is None else channel_sums(channels_apart(gy, gy.ndim - 1))
        return (
            None if gx is None else gx.reshape(convolution.given.shape),
            filters.astype(form.compute),
            None if total is None else total.astype(form.compute),
        )


def pooled_conv(
    function: Callable[..., Any],
    arrays: tuple[Array | None, ...],
    options: Mapping[str, Any],
    pool: Callable[..., Any],
    arguments: tuple[Any, ...],
    pool_options: Mapping[str, Any],
) -> PooledConv | None:
    """`pool(function(*arrays, **options), *arguments, **pool_options)` with its gradients.

    function: conv#d or conv_transpose#d, of arrays x, filters and bias; its activation, if it has one, is relu, whose
    gradient is left to the caller. None where channels do not come last, for arrays of several dtypes, with a joint
    padding mode, for another pooling than max, or one of another number of axes.
    """
    dtypes = {array.dtype for array in arrays if array is not None}
    if len(dtypes) > 1 or options.get("layout") == "channels_first":
        return None
    planner, _ = plan_of(function, "function")
    convolution: Any = planner(*arrays, **options)
    form, dtype = convolution.form, convolution.form.compute
    plain = form.layout == "channels_last" and form.batched and form.border is None and dtypes == {form.result}
    if not plain or dtype != form.result or not convolution.x.size:
        return None
    pooling = largest_of(pool, form.shape, dtype, arguments, pool_options)
    return None if pooling is None else PooledConv(convolution, pooling)
