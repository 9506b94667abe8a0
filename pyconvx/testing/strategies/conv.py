"""Calls of convolution and transposed convolution."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from hypothesis import strategies as st

from ..reference.axes import amounts, transpose_size
from .arrays import VALUES, Array, Drawn, drawn
from .plugins import padding_modes, perhaps_joint
from .windows import LAYOUTS, RANKS, array_shape, batch_size, each_axis, padding_amounts, per_axis, sizes


@dataclass(frozen=True)
class ConvCase:
    """A call of conv or conv_transpose: function(x, filters, bias, **options)."""

    x: Drawn
    filters: Drawn
    bias: Drawn | None
    options: dict[str, Any] = field(default_factory=dict)

    @property
    def rank(self) -> int:
        return len(self.filters.shape) - 2

    @property
    def arguments(self) -> tuple[Array | None, ...]:
        return (self.x.array, self.filters.array, None if self.bias is None else self.bias.array)

    @property
    def plain(self) -> tuple[Array | None, ...]:
        return (self.x.plain, self.filters.plain, None if self.bias is None else self.bias.plain)


def _channels(draw: st.DrawFn, depthwise: bool) -> tuple[int, int, int]:
    """(groups, channels of x per group, filters per group)."""
    if depthwise:
        return draw(st.integers(2, 40)), 1, 1
    form = draw(st.sampled_from(["dense", "grouped", "depthwise", "wide"]))
    small = st.integers(1, 4)
    if form == "dense":
        return 1, draw(small), draw(small)
    if form == "grouped":
        return draw(st.integers(2, 4)), draw(st.integers(1, 3)), draw(st.integers(1, 3))
    if form == "depthwise":
        return draw(st.integers(1, 20)), 1, draw(st.sampled_from([1, 1, 2]))
    return 1, draw(st.integers(1, 40)), draw(st.integers(1, 40))


class _Windows(NamedTuple):
    """The options that convolution and transposed convolution share, with numbers drawn for each axis."""

    rank: int
    groups: int
    inner: int
    outer: int
    kernel: tuple[int, ...]
    options: dict[str, Any]

    @property
    def strides(self) -> tuple[int, ...]:
        return per_axis(self.options["stride"], self.rank)

    @property
    def dilations(self) -> tuple[int, ...]:
        return per_axis(self.options["dilation"], self.rank)


def _windows(draw: st.DrawFn, largest: int, depthwise: bool = False, ranks: Sequence[int] = RANKS) -> _Windows:
    """Windows of any of the ranks, with pads up to `largest`."""
    rank = draw(st.sampled_from([rank for rank in ranks if rank in RANKS]))
    groups, inner, outer = _channels(draw, depthwise)
    kernel = tuple(draw(st.integers(1, 3 if rank == 3 else 9 if depthwise else 4)) for _ in range(rank))
    options = {
        "stride": draw(each_axis(st.integers(1, 3), rank)),
        "padding": draw(padding_amounts(rank, largest)),
        "dilation": draw(each_axis(st.integers(1, 3), rank)),
        "groups": groups,
        "layout": draw(st.sampled_from(LAYOUTS)),
    }
    return _Windows(rank, groups, inner, outer, kernel, options)


def _conv_case(
    draw: st.DrawFn,
    windows: _Windows,
    spatial: tuple[int, ...],
    channels: tuple[int, int],
    dtypes: Sequence[str],
    forms: Sequence[str],
    values: Sequence[str],
    empty: bool,
) -> ConvCase:
    """The case with arrays of one dtype: x of so many channels, and perhaps a bias for those of the result."""
    dtype, value, layout = draw(st.sampled_from(dtypes)), draw(st.sampled_from(values)), windows.options["layout"]

    def array(shape: tuple[int, ...]) -> Drawn:
        return draw(drawn(shape, [dtype], forms, [value]))

    bias = array((windows.groups * channels[1],)) if draw(st.booleans()) else None
    x = array(array_shape(spatial, windows.groups * channels[0], batch_size(draw, empty), layout))
    filters = array(array_shape(windows.kernel, windows.inner, windows.groups * windows.outer, layout))
    return ConvCase(x, filters, bias, windows.options)


@st.composite
def conv_cases(
    draw: st.DrawFn,
    dtypes: Sequence[str] = ("float32", "float64"),
    forms: Sequence[str] = ("plain",),
    values: Sequence[str] = VALUES,
    modes: bool = True,
    empty: bool = True,
    depthwise: bool = False,
    ranks: Sequence[int] = RANKS,
) -> ConvCase:
    """Calls of conv1d, conv2d and conv3d over all options but activation and algorithm.

    depthwise: with one filter per channel, of up to 9 taps along an axis.
    """
    windows = _windows(draw, 6, depthwise, ranks)
    rank, kernel, padding = windows.rank, windows.kernel, windows.options["padding"]
    reaches = [(k - 1) * d + 1 for k, d in zip(kernel, windows.dilations, strict=True)]
    totals = [sum(pair) for pair in amounts(padding, (1,) * rank, kernel, windows.strides, windows.dilations)]
    if isinstance(padding, str) and padding.startswith("same"):
        totals = reaches
    least = [max(1, reach - total) for reach, total in zip(reaches, totals, strict=True)]
    spatial = sizes(draw, rank, least)
    mode: Any = "zeros"
    if modes:
        mode, spatial = draw(perhaps_joint(draw(padding_modes(rank)), spatial))
    windows.options["padding_mode"] = mode
    channels = windows.inner, windows.outer
    return _conv_case(draw, windows, spatial, channels, dtypes, forms, values, empty)


@st.composite
def conv_transpose_cases(
    draw: st.DrawFn,
    dtypes: Sequence[str] = ("float32", "float64"),
    forms: Sequence[str] = ("plain",),
    values: Sequence[str] = VALUES,
    empty: bool = True,
) -> ConvCase:
    """Calls of conv_transpose1d, 2d and 3d over all options but activation."""
    windows = _windows(draw, 4)
    rank, strides, dilations, padding = windows.rank, windows.strides, windows.dilations, windows.options["padding"]
    extra = tuple(draw(st.integers(0, max(s, d) - 1)) for s, d in zip(strides, dilations, strict=True))
    least = []
    for axis in range(rank):
        amount = padding[axis] if isinstance(padding, tuple) else padding
        n = 1
        while transpose_size(n, windows.kernel[axis], strides[axis], dilations[axis], amount, extra[axis])[0] < 1:
            n += 1
        least.append(n)
    more = {1: 20, 2: 5, 3: 2}[rank]
    spatial = tuple(draw(st.integers(n, n + more)) for n in least)
    windows.options["output_padding"] = extra[0] if len(set(extra)) == 1 else extra
    windows.options["padding_mode"] = draw(padding_modes(rank))
    return _conv_case(draw, windows, spatial, (windows.outer, windows.inner), dtypes, forms, values, empty)
