"""Layouts, window sizes and padding amounts of the reference, by counting. Imports numpy only.

Inside the reference every feature map is (N, *spatial, C) and every filter bank is (F, *kernel, C // groups).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Pair = tuple[int, int]


def per_axis(value: Any, rank: int) -> tuple[Any, ...]:
    """One value per spatial axis: a sequence is taken as it is, anything else is repeated."""
    return tuple(value) if isinstance(value, (tuple, list)) else (value,) * rank


def standard(x: Any, rank: int, layout: str) -> tuple[Array, bool]:
    """Give x as (N, *spatial, C), and whether it had its N axis. The dtype stays."""
    x = np.asarray(x)
    batched = x.ndim == rank + 2
    if not batched:
        x = x[np.newaxis]
    if layout == "channels_first":
        x = np.moveaxis(x, 1, -1)
    return x, batched


def unstandard(y: Array, batched: bool, layout: str) -> Array:
    """The way back from (N, *spatial, C) to the caller's layout."""
    if layout == "channels_first":
        y = np.moveaxis(y, -1, 1)
    return y if batched else y[0]


def standard_filters(filters: Any, layout: str) -> Array:
    """The filters as float64 (F, *kernel, C // groups)."""
    filters = np.asarray(filters).astype(np.float64)
    return np.moveaxis(filters, 1, -1) if layout == "channels_first" else filters


def unstandard_filters(filters: Array, layout: str) -> Array:
    """The way back from (F, *kernel, C // groups) to the caller's layout."""
    return np.moveaxis(filters, -1, 1) if layout == "channels_first" else filters


def reach(kernel: int, dilation: int) -> int:
    """The number of input elements between the first and the last tap, both included."""
    return (kernel - 1) * dilation + 1


def conv_size(n: int, kernel: int, stride: int, dilation: int, before: int, after: int) -> int:
    """How many windows fit into the padded axis, counted one after the other."""
    count = 0
    while count * stride + reach(kernel, dilation) <= n + before + after:
        count += 1
    return count


def pool_size(n: int, kernel: int, stride: int, dilation: int, before: int, after: int, ceil_mode: bool = False) -> int:
    """As conv_size; ceil_mode lets one more window hang over, if it starts before the padding after."""
    count = conv_size(n, kernel, stride, dilation, before, after)
    overhangs = (count - 1) * stride + reach(kernel, dilation) < n + before + after
    if ceil_mode and overhangs and count * stride < n + before:
        count += 1
    return count


def transpose_size(
    n: int, kernel: int, stride: int, dilation: int, padding: Any, output_padding: int
) -> tuple[int, Pair]:
    """The size of a transposed convolution along one axis, and the padding (before, after) of its adjoint."""
    whole = (n - 1) * stride + reach(kernel, dilation) + output_padding
    if padding in ("same", "same_lower"):
        before, after = halves(max(whole - n * stride, 0), padding)
        return n * stride, (before, after)
    before, after = amount(padding, n, kernel, stride, dilation)
    return whole - before - after, (before, after)


def halves(total: int, padding: str) -> Pair:
    """Split an amount in two; the odd one goes after for "same" and before for "same_lower"."""
    small, large = total // 2, total - total // 2
    return (small, large) if padding == "same" else (large, small)


def amount(padding: Any, n: int, kernel: int, stride: int, dilation: int) -> Pair:
    """(before, after) along one axis, for a named amount, an int or a pair."""
    more = reach(kernel, dilation) - 1
    if padding in ("same", "same_lower"):
        outputs = len(range(0, n, stride))
        return halves(max((outputs - 1) * stride + more + 1 - n, 0), padding)
    if isinstance(padding, str):
        return {"valid": (0, 0), "full": (more, more), "causal": (more, 0)}[padding]
    if isinstance(padding, (tuple, list)):
        return int(padding[0]), int(padding[1])
    return int(padding), int(padding)


def amounts(
    padding: Any,
    spatial: Sequence[int],
    kernel: Sequence[int],
    stride: Sequence[int],
    dilation: Sequence[int],
) -> list[Pair]:
    """(before, after) for every axis."""
    each = per_axis(padding, len(spatial))
    return [amount(p, n, k, s, d) for p, n, k, s, d in zip(each, spatial, kernel, stride, dilation, strict=True)]
