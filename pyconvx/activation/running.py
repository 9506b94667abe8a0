"""How activations run, with their gradients: over bounded blocks, those in Python, or by the compiled loops of a plugin
that has a kernel, for which the Python functions are the definition. Imports plugin and the core.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from .. import _core
from .._core._compiled import Compiled
from ..compiled import cannot_fail
from ..plugin import Bound, accepted, calling, numbers, returned
from .kinds import ActivationFunction, Array, Kernel

__all__ = [
    "evaluate",
    "keeps_rows",
    "kernel_of",
    "may_fail",
    "needs_result",
    "output_length",
    "parameters",
    "pull",
    "sloped_by_result",
    "typed",
    "works_in_place",
]

BLOCK = 65536
"""Elements that a plugin sees at once: temporaries stay in cache, and the call costs little per element."""


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


def may_fail(kernel: Kernel, dtype: np.dtype[Any]) -> bool:
    """Whether results may be left half filled: by a plugin's function that can fail, not by one of the core."""
    return isinstance(kernel[0], Compiled) and not cannot_fail(kernel[0], dtype)


def works_in_place(bound: Bound[ActivationFunction]) -> bool:
    """Whether the compiled form may write over the rows that it reads: not where a plugin is given whole rows."""
    plugin = bound.plugin
    return plugin.output_size is None and not (plugin.rowwise and isinstance(plugin.kernel, Compiled))


def needs_result(bound: Bound[ActivationFunction], dtype: np.dtype[Any]) -> bool:
    """Whether `pull` reads y, and not only its shape."""
    return bound.plugin.rowwise or kernel_of(bound, dtype, backward=True) is None


def sloped_by_result(bound: Bound[ActivationFunction]) -> bool:
    """Whether the derivative is the same at y as at x, so that y may take the place of x."""
    return bound.plugin.kernel in ("relu", "relu6")


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
