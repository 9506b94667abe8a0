"""How a convolution is done again for other arrays of its form, by a kernel that is ready.

May import the core, the activations, arrays, exchanged, joint and parallel.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from .. import _core
from .._core import Repeat
from ..activation import ActivationFunction, kernel_of, works_in_place
from ..plugin import Bound
from .arrays import Array, as_filters
from .exchanged import Exchanged
from .joint import Border
from .parallel import num_threads

__all__ = ["repeat_of"]

Shape = tuple[int, ...]


def repeat_of(
    kernel: Any,
    mend: Callable[..., bool | None],
    x: Shape,
    filters: Shape | None,
    y: Array,
    result: Shape,
    activation: Bound[ActivationFunction] | None,
    border: Border | None,
) -> Repeat | None:
    """A call of `kernel`, which reads x (N, D, H, W, C) and fills y; None if the activation is not a compiled one.
    mend: `complete` of its candidate, with all that does not depend on the arrays.

    x and result are shapes, the latter that of the caller's result; y is an outline of what the kernel fills. filters:
    the shape (F, *kernel, C // groups) of those that each call brings, with channels first. border: that the kernel
    needs around x, whose arrays are then channels last.
    """
    finish = None
    if activation is not None:
        compiled = kernel_of(activation, y.dtype)
        if compiled is None or not works_in_place(activation):
            return None
        finish = partial(_finish, _core.kernels, *compiled, num_threads())
    if border is not None:
        return Repeat(partial(_fill_bordered, kernel, mend, x, border), result, y.dtype, finish)
    fill = kernel.fill if filters is None else partial(_fill_arranged, kernel, filters)
    if isinstance(kernel, Exchanged):
        kernel.then, finish = finish, None
    return Repeat(fill, result, y.dtype, finish, mend=mend)


def _finish(kernels: Any, compiled: Any, given: tuple[float, ...], threads: int, y: Array) -> None:
    kernels.activate(compiled, given, y, y, threads)


def _fill_arranged(kernel: Any, shape: Shape, x: Array, bias: Array | None, y: Array, filters: Array) -> Any:
    """`fill` of a kernel for filters whose channels come before their taps."""
    return kernel.fill(x, bias, y, as_filters(filters, shape))


def _fill_bordered(
    kernel: Any,
    mend: Callable[..., bool | None],
    shape: Shape,
    border: Border,
    x: Array,
    bias: Array | None,
    y: Array,
    filters: Array | None,
) -> Any:
    """`fill` of a kernel that reads x, of that shape, and its border; and `mend`."""
    x = x.reshape(shape)
    around = border.around(x, x.dtype)
    reported = kernel.fill(x, bias, y, filters, around)
    if reported is None or reported is False:
        return reported
    return mend(reported, x, bias, y, filters, around)
