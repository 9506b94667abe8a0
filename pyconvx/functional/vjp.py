"""Gradients and shapes of the operations, in the JAX convention. May import operation."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from .operation import Pullback, attempt, plan_of, supposed

__all__ = ["output_shape", "vjp", "vjp_within"]


def vjp(function: Callable[..., Any], *args: Any, **options: Any) -> tuple[Any, Pullback]:
    """Run an operation and return its result with its pullback (vector-Jacobian product).

    function: conv*d, conv_transpose*d, pool*d, adaptive_pool*d, global_pool, unpool*d, pad or activate; args and
    options: its own. Returns (y, pullback), where pullback(gy) takes the gradient of a scalar with respect to y and
    returns a tuple with its gradient for each array argument, in their order: (gx, gfilters, gbias) for a convolution,
    (gx, gfilters) without bias, (gx,) for the others. A gradient has the dtype of its argument, or that of the
    computation for integers. A pullback may be called often, and from many threads; the arrays given must not be
    changed in between.

    Raises what the operation raises, TypeError for a function that is no operation; the pullback raises ValueError for
    a gy of another shape and for a plugin without a derivative.

    >>> import numpy as np, pyconvx as cx
    >>> y, pullback = cx.vjp(cx.conv1d, np.array([[1.0], [2.0], [4.0]]), np.ones((1, 2, 1)))
    >>> gx, gfilters = pullback(np.ones_like(y))
    >>> gx.ravel(), gfilters.ravel()
    (array([1., 2., 1.]), array([3., 6.]))

    Source: the convention of jax.vjp.
    """
    plan, _ = plan_of(function, "function")
    call = plan(*args, **options)
    return attempt(call, call.vjp)


def vjp_within(
    kept: bool, masked: bool, function: Callable[..., Any], *args: Any, **options: Any
) -> tuple[Any, Pullback]:
    """`vjp` of a convolution inside a network.

    kept: nobody changes its result, which the pullback may therefore read, too. masked: it ends with a rectifier, and
    the gradients that come are 0 where that is.
    """
    plan, _ = plan_of(function, "function")
    call: Any = plan(*args, **options)
    result: tuple[Any, Pullback] = attempt(call, partial(call.vjp, kept=kept, masked=masked))
    return result


def output_shape(function: Callable[..., Any], *shapes: Any, **options: Any) -> tuple[int, ...]:
    """The shape of an operation's result, from shapes instead of arrays; nothing is computed.

    function: as for `vjp`; shapes and options: its arguments, by position or by name, with a shape in place of each
    array. Raises what the operation would raise for arrays of these shapes.

    >>> import pyconvx as cx
    >>> cx.output_shape(cx.conv2d, (32, 32, 3), (6, 5, 5, 3), padding="same")
    (32, 32, 6)
    >>> cx.output_shape(cx.pool2d, (32, 32, 6), 2, "avg")
    (16, 16, 6)
    """
    return supposed(function, *shapes, **options).shape
