"""Window arithmetic: output sizes, padding amounts and receptive fields, with their error messages.

One geometry serves convolution, transposed convolution and pooling. Imports nothing from pyconvx.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from numbers import Real
from typing import Any, NamedTuple

import numpy as np

__all__ = [
    "AMOUNTS",
    "MAX_SIZE",
    "ReceptiveField",
    "Window",
    "axis_amounts",
    "conv_windows",
    "per_axis",
    "pool_windows",
    "receptive_field",
    "transposed_windows",
]

AMOUNTS = ("valid", "same", "same_lower", "full", "causal")
"""Padding amounts known by name."""

MAX_SIZE = 2**63 - 1
"""No size, and no number of elements, may pass this."""


class Window(NamedTuple):
    """How windows lie along one axis: window i starts at i * stride - before and has `taps` positions."""

    source: int
    """Length of the axis that the windows lie over."""
    taps: int
    stride: int
    dilation: int
    before: int
    after: int
    out: int
    """Number of windows."""

    @property
    def reach(self) -> int:
        """Length of one window, gaps of the dilation included (the effective kernel size)."""
        return (self.taps - 1) * self.dilation + 1

    @property
    def padded(self) -> int:
        """Length of the axis with its padding."""
        return self.before + self.source + self.after


def told(value: Any) -> str:
    """What was given, as an error message quotes it: of an array its form alone."""
    if isinstance(value, np.ndarray):
        return f"an array of shape {value.shape} and dtype {value.dtype}"
    return repr(value)


def sample_shape(given: Any) -> tuple[int, ...]:
    """The shape of a sample; TypeError or ValueError for what is none."""
    try:
        shape = tuple(operator.index(n) for n in given)
    except TypeError:
        raise TypeError(f"input_shape must be a tuple of ints, without N, got {told(given)}") from None
    if any(n < 1 for n in shape):
        raise ValueError(f"input_shape must be a tuple of positive ints, without N, got {told(given)}")
    return shape


def integer(name: str, value: Any, low: int) -> int:
    """`value` as an int that is at least `low`; TypeError or ValueError otherwise."""
    if isinstance(value, (bool, np.bool_)):
        raise TypeError(f"{name} must be an int, got {value!r}")
    try:
        number = operator.index(value)
    except TypeError:
        raise TypeError(f"{name} must be an int, got {value!r}") from None
    if number < low:
        raise ValueError(f"{name} must be at least {low}, got {number}")
    if number > MAX_SIZE:
        raise ValueError(f"{name} must be at most 2**63 - 1, got {number}")
    return number


def real(name: str, value: Any) -> None:
    """TypeError unless `value` is a real number."""
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, Real):
        raise TypeError(f"{name} must be a number, got {value!r}")


def _several(value: Any) -> bool:
    """Whether `value` is an ordered sequence, rather than one thing."""
    if isinstance(value, Sequence):
        return not isinstance(value, (str, bytes))
    return hasattr(value, "__array__") and getattr(value, "ndim", 0) == 1


def per_axis(name: str, value: Any, rank: int, low: int) -> tuple[int, ...]:
    """`value`, an int or one int per spatial axis, as a tuple of `rank` ints that are at least `low`."""
    if not _several(value) and getattr(value, "ndim", 0) == 0:
        return (integer(name, value, low),) * rank
    if len(value) != rank:
        raise ValueError(f"{name} must be an int or {rank} ints, one per spatial axis, got {value!r}")
    return tuple(integer(name, each, low) for each in value)


def axis_amounts(padding: Any, rank: int) -> tuple[str | tuple[int, int], ...]:
    """The padding amount of each axis: a name of AMOUNTS, or (before, after)."""
    if isinstance(padding, str):
        if padding not in AMOUNTS:
            import difflib  # needed for messages only, and slow to load

            near = difflib.get_close_matches(padding.lower(), AMOUNTS, n=1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            raise ValueError(
                f"padding must be one of {', '.join(AMOUNTS)}, an int, one int or one (before, after) "
                f"pair per spatial axis, got {padding!r}{hint}"
            )
        if padding == "causal" and rank != 1:
            raise ValueError(f"padding 'causal' is for one spatial axis, got {rank}")
        return (padding,) * rank
    if not _several(padding) and getattr(padding, "ndim", 0) == 0:
        return ((integer("padding", padding, 0),) * 2,) * rank
    if len(padding) != rank:
        raise ValueError(f"padding must have one entry per spatial axis ({rank}), got {padding!r}")
    amounts: list[tuple[int, int]] = []
    for each in padding:
        if _several(each):
            if len(each) != 2:
                raise ValueError(f"padding of an axis must be an int or a (before, after) pair, got {each!r}")
            amounts.append((integer("padding", each[0], 0), integer("padding", each[1], 0)))
        else:
            amounts.append((integer("padding", each, 0),) * 2)
    return tuple(amounts)


def _reach(taps: int, dilation: int, axis: int) -> int:
    reach = (taps - 1) * dilation + 1
    if reach > MAX_SIZE:
        raise ValueError(
            f"the effective kernel overflows on spatial axis {axis}: size {taps} with dilation {dilation} "
            f"reaches over {reach} elements"
        )
    return reach


def _split(total: int, lower: bool) -> tuple[int, int]:
    """Amounts before and after; an odd element goes after, or before if `lower`."""
    half = total // 2
    return (total - half, half) if lower else (half, total - half)


def _amount(amount: str | tuple[int, int], n: int, reach: int, stride: int) -> tuple[int, int]:
    """(before, after) of one axis of a convolution or pooling."""
    if not isinstance(amount, str):
        return amount
    if amount == "valid":
        return 0, 0
    if amount == "full":
        return reach - 1, reach - 1
    if amount == "causal":
        return reach - 1, 0
    return _split(max((-(-n // stride) - 1) * stride + reach - n, 0), amount == "same_lower")


def conv_windows(
    sizes: Sequence[int],
    taps: Sequence[int],
    stride: Any,
    padding: Any,
    dilation: Any,
    *,
    ceil_mode: bool = False,
    what: str = "filters",
) -> tuple[Window, ...]:
    """The windows along each axis: out = floor((n + before + after - reach) / stride) + 1.

    With `ceil_mode` the quotient is rounded up, but no window starts beyond the last element: PyTorch's rule, and
    ONNX's from 1.16 on. Raises ValueError where no window fits, naming the axis and the sizes.
    """
    rank = len(sizes)
    strides, dilations = per_axis("stride", stride, rank, 1), per_axis("dilation", dilation, rank, 1)
    windows = []
    for axis, (n, k, s, d, amount) in enumerate(
        zip(sizes, taps, strides, dilations, axis_amounts(padding, rank), strict=True)
    ):
        reach = _reach(k, d, axis)
        before, after = _amount(amount, n, reach, s)
        padded = n + before + after
        if padded > MAX_SIZE:
            raise ValueError(f"padding ({before}, {after}) overflows the size {n} of spatial axis {axis}")
        out = (padded - reach) // s + 1
        if ceil_mode and (padded - reach) % s and out * s < n + before:
            out += 1
        if out < 1:
            raise ValueError(
                f"{what} of size {k} with dilation {d} (effective kernel size {reach}) is larger "
                f"than spatial axis {axis} of x, size {n} padded to {padded}"
            )
        windows.append(Window(n, k, s, d, before, after, out))
    return tuple(windows)


def transposed_windows(
    sizes: Sequence[int], taps: Sequence[int], stride: Any, padding: Any, output_padding: Any, dilation: Any
) -> tuple[Window, ...]:
    """The windows of the convolution whose adjoint is asked for: `source` is the size of the adjoint's result.

    source = (n - 1) * stride + reach - before - after + output_padding; "same" gives n * stride, with the padding
    that ONNX's ConvTranspose defines for it.
    """
    rank = len(sizes)
    strides, dilations = per_axis("stride", stride, rank, 1), per_axis("dilation", dilation, rank, 1)
    extras = per_axis("output_padding", output_padding, rank, 0)
    windows = []
    for axis, (n, k, s, d, extra, amount) in enumerate(
        zip(sizes, taps, strides, dilations, extras, axis_amounts(padding, rank), strict=True)
    ):
        reach = _reach(k, d, axis)
        if extra >= max(s, d):
            raise ValueError(
                f"output_padding must be smaller than stride or dilation, got {extra} with stride {s} and "
                f"dilation {d} on spatial axis {axis}"
            )
        full = (n - 1) * s + reach + extra
        if amount in ("same", "same_lower"):
            before, after = _split(max(full - n * s, 0), amount == "same_lower")
            size = n * s
        else:
            before, after = _amount(amount, n, reach, s)
            size = full - before - after
        if size < 1 or max(size, full) > MAX_SIZE:
            raise ValueError(
                f"conv_transpose would give spatial axis {axis} the size {size}: x has {n}, filters reach over "
                f"{reach}, stride is {s}, padding is ({before}, {after}), output_padding is {extra}"
            )
        windows.append(Window(size, k, s, d, before, after, n))
    return tuple(windows)


def pool_windows(
    sizes: Sequence[int], size: Any, stride: Any, padding: Any, dilation: Any, ceil_mode: bool
) -> tuple[Window, ...]:
    """The windows of a pooling; stride None is the size of the window."""
    taps = per_axis("size", size, len(sizes), 1)
    strides = taps if stride is None else stride
    return conv_windows(sizes, taps, strides, padding, dilation, ceil_mode=ceil_mode, what="a pooling window")


def adaptive_windows(sizes: Sequence[int], output_size: Any) -> tuple[tuple[int, int], ...]:
    """(length, number of windows) of each axis; window i of m covers floor(i n / m) to ceil((i + 1) n / m)."""
    outs = per_axis("output_size", output_size, len(sizes), 1)
    for axis, (n, out) in enumerate(zip(sizes, outs, strict=True)):
        if n < 1:
            raise ValueError(f"adaptive pooling needs elements, but spatial axis {axis} of x has size 0")
        if out > 2**40:
            raise ValueError(f"output_size must be at most 2**40, got {out} on spatial axis {axis}")
    return tuple(zip(sizes, outs, strict=True))


@dataclass(frozen=True)
class ReceptiveField:
    """What one element of a feature map sees of the input, per spatial axis (an int where all axes agree)."""

    size: int | tuple[int, ...]
    """Input elements from the first to the last that it depends on."""
    stride: int | tuple[int, ...]
    """Input elements between the fields of neighbours."""
    start: int | tuple[int, ...]
    """Coordinate of the first input element of element 0's field; negative in the padding."""


def receptive_field(layers: Iterable[Mapping[str, Any] | Sequence[Any] | int]) -> ReceptiveField:
    """Receptive field of a stack of windowed layers, the first layer first.

    Each layer is a mapping or a tuple of kernel_size, stride=1, dilation=1, padding=0 (the amount before), each an
    int or one int per spatial axis; or just a kernel_size. Raises TypeError or ValueError for anything else.

    >>> import pyconvx as cx
    >>> cx.receptive_field([{"kernel_size": 3, "padding": 1}, (2, 2), (3, 1)])
    ReceptiveField(size=8, stride=2, start=-1)

    Source: the recurrence of Araujo, Norris and Sim, Computing Receptive Fields of Convolutional Neural Networks,
    Distill (2019).
    """
    names = ("kernel_size", "stride", "dilation", "padding")
    table: list[tuple[Any, ...]] = []
    rank = None
    for layer in layers:
        if isinstance(layer, Mapping):
            unknown = [key for key in layer if key not in names]
            if unknown or "kernel_size" not in layer:
                raise TypeError(f"a layer takes kernel_size, stride, dilation and padding, got {dict(layer)!r}")
            given: tuple[Any, ...] = tuple(
                layer.get(name, default) for name, default in zip(names, (1, 1, 1, 0), strict=True)
            )
        elif isinstance(layer, Sequence) and not isinstance(layer, (str, bytes)):
            if not 1 <= len(layer) <= 4:
                raise ValueError(f"a layer is (kernel_size, stride, dilation, padding), got {layer!r}")
            given = (*layer, *(1, 1, 1, 0)[len(layer) :])
        else:
            given = (layer, 1, 1, 0)
        for value in given:
            if hasattr(value, "__len__"):
                if rank not in (None, len(value)):
                    raise ValueError(f"layers must agree on the number of spatial axes, got {rank} and {len(value)}")
                rank = len(value)
        table.append(given)
    axes = rank or 1
    size, jump, start = [1] * axes, [1] * axes, [0] * axes
    for given in table:
        rows = [per_axis(name, value, axes, low) for name, value, low in zip(names, given, (1, 1, 1, 0), strict=True)]
        for i, (k, s, d, p) in enumerate(zip(*rows, strict=True)):
            size[i] += (k - 1) * d * jump[i]
            start[i] -= p * jump[i]
            jump[i] *= s
    if rank is None:
        return ReceptiveField(size[0], jump[0], start[0])
    return ReceptiveField(tuple(size), tuple(jump), tuple(start))


def count(shape: Sequence[int], itemsize: int, what: str) -> tuple[int, ...]:
    """`shape`, if an array of it can be addressed; otherwise a ValueError that names it."""
    elements = math.prod(shape) or math.prod(max(n, 1) for n in shape)  # the first alone takes an eighth of the time
    if elements * itemsize > MAX_SIZE:
        raise ValueError(f"{what} of shape {tuple(shape)} would have more elements than can be addressed")
    return tuple(shape)
