"""Hypothesis strategies for arrays of every kind and for whole calls of every operation.

A drawn case is a small frozen dataclass that prints as what makes it; its arrays are made when asked for. Cases are
valid by construction: sizes are drawn last, large enough for the windows. May import the registries of pyconvx.
"""

from __future__ import annotations

import operator
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray

from ..padding import index_map, padding, paddings
from ..pooling import poolings
from ..registry import REQUIRED, Bound, bind
from .reference.axes import amounts, transpose_size
from .reference.pooling import sliding

Array = NDArray[Any]

FORMS = ("plain", "sliced", "reversed", "fortran", "swapped", "read_only", "unaligned", "broadcast")
FLOATS = ("float32", "float64", "float16")
REALS = (*FLOATS, "bool", "int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64")
VALUES = ("normal", "whole", "wide")
LAYOUTS = ("channels_last", "channels_first")


@dataclass(frozen=True)
class Drawn:
    """An array, by what makes it: `array` is made anew at each access, and `plain` is its C-contiguous copy."""

    shape: tuple[int, ...]
    dtype: str = "float32"
    form: str = "plain"
    values: str = "normal"
    seed: int = 0

    @property
    def plain(self) -> Array:
        random = np.random.default_rng(self.seed)
        dtype = np.dtype(self.dtype)
        if self.form == "broadcast" and self.shape:
            one = Drawn((*self.shape[:-1], 1), self.dtype, "plain", self.values, self.seed).plain
            return np.array(np.broadcast_to(one, self.shape))
        if dtype.kind == "b":
            return random.integers(0, 2, self.shape).astype(dtype)
        if dtype.kind in "iu":
            low, high = (0, 100) if dtype.kind == "u" else (-50, 50)
            return random.integers(low, high, self.shape).astype(dtype)
        if self.values == "whole":  # many ties, and sums without rounding
            return random.integers(-4, 5, self.shape).astype(dtype)
        x = random.standard_normal(self.shape)
        if self.values == "wide":  # a few elements that are a thousand times larger or smaller than the others
            x = x * 10.0 ** np.where(random.random(self.shape) < 0.1, random.integers(-3, 4, self.shape), 0)
        return x.astype(dtype)

    @property
    def array(self) -> Array:
        return reshaped(self.plain, self.form)


def reshaped(x: Array, form: str) -> Array:
    """The elements of x in another place in memory: one of FORMS."""
    if x.ndim == 0 and form in ("sliced", "reversed", "broadcast"):
        return x
    if form == "sliced":  # every second element of a larger array, along every axis
        wide = np.ones(tuple(2 * n + 1 for n in x.shape), x.dtype)
        view = wide[tuple(slice(1, None, 2) for _ in x.shape)]
        view[...] = x
        return view
    if form == "reversed":
        back = tuple(slice(None, None, -1) for _ in x.shape)
        return np.ascontiguousarray(x[back])[back]
    if form == "fortran":
        return np.asfortranarray(x)
    if form == "swapped":
        return x.astype(x.dtype.newbyteorder())
    if form == "read_only":
        x.flags.writeable = False
        return x
    if form == "unaligned":
        memory = np.zeros(x.nbytes + 1, np.uint8)
        view = memory[1:].view(x.dtype).reshape(x.shape)
        view[...] = x
        return view
    if form == "broadcast":  # a stride of 0 on the last axis
        return np.broadcast_to(x[..., :1], x.shape)
    return x


def drawn(
    shape: Any, dtypes: Sequence[str] = FLOATS, forms: Sequence[str] = FORMS, values: Sequence[str] = VALUES
) -> st.SearchStrategy[Drawn]:
    """Array descriptions of one shape (a tuple, or a strategy of tuples)."""
    shapes = shape if isinstance(shape, st.SearchStrategy) else st.just(tuple(shape))
    seeds = st.integers(0, 2**16)
    return st.builds(Drawn, shapes, st.sampled_from(dtypes), st.sampled_from(forms), st.sampled_from(values), seeds)


def arrays(
    shape: Any, dtypes: Sequence[str] = FLOATS, forms: Sequence[str] = FORMS, values: Sequence[str] = VALUES
) -> st.SearchStrategy[Array]:
    """As `drawn`, but the arrays themselves."""
    return drawn(shape, dtypes, forms, values).map(operator.attrgetter("array"))


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


@dataclass(frozen=True)
class PoolCase:
    """A call of pool or adaptive_pool: function(x, size, kind, **options, **params)."""

    x: Drawn
    size: Any
    kind: str
    rank: int
    params: dict[str, Any]
    options: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class PadCase:
    """A call of pad: pad(x, pad_width, mode)."""

    x: Drawn
    pad_width: Any
    mode: Any


def each_axis(values: st.SearchStrategy[int], rank: int) -> st.SearchStrategy[Any]:
    """One int for all axes, or one for each."""
    return values | st.tuples(*[values] * rank)


def padding_amounts(rank: int, largest: int) -> st.SearchStrategy[Any]:
    """Amounts of every form."""
    named = ["valid", "same", "same_lower", "full", *(["causal"] if rank == 1 else [])]
    number = st.integers(0, largest)
    pair = st.tuples(number, number)
    return st.one_of(st.sampled_from(named), number, st.tuples(*[number] * rank), st.tuples(*[pair] * rank))


def bound_mode(name: str, value: float) -> Any:
    """A registered mode as a call takes it: its name, or bound with the constant where it has one."""
    plugin = paddings[name]
    return bind(plugin, {"value": value}) if "value" in plugin.defaults else name


def copied(mode: Any) -> Any:
    """The mode, or modes, with those that weigh elements, which bool cannot do, replaced by "edge"."""
    if isinstance(mode, tuple):
        return tuple(copied(one) for one in mode)
    return mode if mode is None or index_map(padding(mode), np.arange(-3, 6), 3).weight is None else "edge"


def mode_names() -> tuple[str, ...]:
    """The registered modes that need no parameter."""
    return tuple(name for name in paddings.names() if _callable_without(paddings[name].defaults))


def kind_names() -> tuple[str, ...]:
    """The registered poolings that need no parameter."""
    return tuple(name for name in poolings.names() if _callable_without(poolings[name].defaults))


def _callable_without(defaults: Mapping[str, Any]) -> bool:
    return not any(default is REQUIRED for default in defaults.values())


@st.composite
def padding_modes(draw: st.DrawFn, rank: int) -> Any:
    """One registered mode, or one per axis. Axes with a constant share its value, which has no order of axes then."""
    value = draw(st.sampled_from([0, 1.5, -2]))
    one = st.sampled_from(mode_names()).map(lambda name: bound_mode(name, value))
    if draw(st.booleans()):
        return draw(one)
    modes = draw(st.tuples(*[one] * rank))
    has_zeros = any(mode == "zeros" for mode in modes)
    return tuple(bound_mode("constant", 0) if has_zeros and isinstance(m, Bound) else m for m in modes)


def _shape(sample: Sequence[int], channels: int, batch: int | None, layout: str) -> tuple[int, ...]:
    own = (*sample, channels) if layout == "channels_last" else (channels, *sample)
    return own if batch is None else (batch, *own)


def _sizes(draw: st.DrawFn, rank: int, least: Sequence[int]) -> tuple[int, ...]:
    """Spatial sizes: the least that the windows need, and some more; at times enough for several tiles."""
    more = {1: 40, 2: 9, 3: 4}[rank]
    if rank == 2 and draw(st.integers(0, 5)) == 5:
        more = 18
    return tuple(draw(st.integers(n, n + more)) for n in least)


def _batch(draw: st.DrawFn, empty: bool) -> int | None:
    return draw(st.sampled_from([1, None, 2, 3, *([0] if empty else [])]))


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
        return _each(self.options["stride"], self.rank)

    @property
    def dilations(self) -> tuple[int, ...]:
        return _each(self.options["dilation"], self.rank)


def _windows(draw: st.DrawFn, largest: int, depthwise: bool = False) -> _Windows:
    """Windows of any rank, with pads up to `largest`."""
    rank = draw(st.integers(1, 3))
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
    x = array(_shape(spatial, windows.groups * channels[0], _batch(draw, empty), layout))
    filters = array(_shape(windows.kernel, windows.inner, windows.groups * windows.outer, layout))
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
) -> ConvCase:
    """Calls of conv1d, conv2d and conv3d over all options but activation and algorithm.

    depthwise: with one filter per channel, of up to 9 taps along an axis.
    """
    windows = _windows(draw, 6, depthwise)
    rank, kernel, padding = windows.rank, windows.kernel, windows.options["padding"]
    reaches = [(k - 1) * d + 1 for k, d in zip(kernel, windows.dilations, strict=True)]
    totals = [sum(pair) for pair in amounts(padding, (1,) * rank, kernel, windows.strides, windows.dilations)]
    if isinstance(padding, str) and padding.startswith("same"):
        totals = reaches
    least = [max(1, reach - total) for reach, total in zip(reaches, totals, strict=True)]
    windows.options["padding_mode"] = draw(padding_modes(rank)) if modes else "zeros"
    channels = windows.inner, windows.outer
    return _conv_case(draw, windows, _sizes(draw, rank, least), channels, dtypes, forms, values, empty)


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


@st.composite
def pool_cases(
    draw: st.DrawFn,
    kinds: Sequence[str] = (),
    dtypes: Sequence[str] = ("float32", "float64"),
    forms: Sequence[str] = ("plain",),
    values: Sequence[str] = ("normal", "whole"),
    empty: bool = True,
) -> PoolCase:
    """Calls of pool1d, pool2d and pool3d over all options but return_indices. kinds: every registered one."""
    rank = draw(st.integers(1, 3))
    kind = draw(st.sampled_from(tuple(kinds) or kind_names()))
    size = draw(each_axis(st.integers(1, 4 if rank < 3 else 3), rank))
    stride = draw(st.none() | each_axis(st.integers(1, 4), rank))
    dilation = draw(st.just(1) | each_axis(st.integers(1, 3), rank))
    mode = draw(st.none() | padding_modes(rank))
    padding = draw(padding_amounts(rank, 3))
    ceil_mode = draw(st.booleans())
    layout = draw(st.sampled_from(LAYOUTS))
    spatial = list(_sizes(draw, rank, (1,) * rank))
    if rank == 2:
        spatial = [min(n, 14) for n in spatial]
    taps, dilations = _each(size, rank), _each(dilation, rank)

    def fits() -> bool:
        options = {"stride": stride, "padding": padding, "dilation": dilation}
        whole = sliding(spatial, size, **options, elements_in_padding=True)  # a window within the padded extent
        windows = sliding(spatial, size, **options, ceil_mode=ceil_mode, elements_in_padding=mode is not None)
        return 0 not in whole.outputs and not windows.empty()

    for _ in range(sum((k - 1) * d for k, d in zip(taps, dilations, strict=True)) + 1):
        if fits():
            break
        spatial = [n + 1 for n in spatial]
    if not fits():  # an amount that leaves some window empty at every size
        padding = "valid"
        spatial = [max(n, (k - 1) * d + 1) for n, k, d in zip(spatial, taps, dilations, strict=True)]
    params: dict[str, Any] = draw(pool_params(kind))
    options = {
        "stride": stride,
        "padding": padding,
        "padding_mode": mode,
        "dilation": dilation,
        "ceil_mode": ceil_mode,
        "layout": layout,
    }
    x = draw(drawn(_shape(spatial, draw(st.integers(1, 5)), _batch(draw, empty), layout), dtypes, forms, values))
    if x.dtype == "bool" and poolings[kind].exact:
        options["padding_mode"] = copied(mode)
    return PoolCase(x, size, kind, rank, params, options)


def pool_params(kind: str) -> st.SearchStrategy[dict[str, Any]]:
    """Parameters of a pooling: its defaults, or others for those that are known."""
    known: dict[str, dict[str, st.SearchStrategy[Any]]] = {
        "avg": {"count_include_pad": st.booleans(), "divisor": st.none() | st.sampled_from([3, 0.5, -2])},
        "lp": {"p": st.sampled_from([1.0, 2.0, 3.0, 1.5])},
        "percentile": {"q": st.sampled_from([0.0, 10.0, 50.0, 75.0, 100.0])},
        "logsumexp": {"temperature": st.sampled_from([1.0, 0.5, 2.0])},
        "softmax": {"temperature": st.sampled_from([1.0, 0.5, 2.0])},
        "stochastic": {"seed": st.integers(0, 9)},
        "mixed": {"alpha": st.sampled_from([0.0, 0.25, 1.0])},
    }
    return st.just({}) | st.fixed_dictionaries(known.get(kind, {}))


@st.composite
def adaptive_cases(
    draw: st.DrawFn,
    kinds: Sequence[str] = (),
    dtypes: Sequence[str] = ("float32", "float64"),
    forms: Sequence[str] = ("plain",),
    values: Sequence[str] = ("normal", "whole"),
    empty: bool = True,
) -> PoolCase:
    """Calls of adaptive_pool1d, 2d and 3d; `size` is the output size."""
    rank = draw(st.integers(1, 3))
    kind = draw(st.sampled_from(tuple(kinds) or kind_names()))
    layout = draw(st.sampled_from(LAYOUTS))
    spatial = tuple(draw(st.integers(1, {1: 30, 2: 10, 3: 5}[rank])) for _ in range(rank))
    size = draw(each_axis(st.integers(1, 6), rank))
    params: dict[str, Any] = {} if kind == "avg" else draw(pool_params(kind))
    shape = _shape(spatial, draw(st.integers(1, 5)), _batch(draw, empty), layout)
    x = draw(drawn(shape, dtypes, forms, values))
    return PoolCase(x, size, kind, rank, params, {"layout": layout})


@st.composite
def pad_cases(
    draw: st.DrawFn,
    dtypes: Sequence[str] = REALS,
    forms: Sequence[str] = ("plain",),
    values: Sequence[str] = ("normal", "whole"),
    crop: bool = True,
    modes: Sequence[str] = (),
) -> PadCase:
    """Calls of pad on arrays of 1 to 4 axes, with amounts far longer than an axis, and negative ones."""
    ndim = draw(st.integers(1, 4))
    shape = tuple(draw(st.integers(1, 6 if ndim < 4 else 3)) for _ in range(ndim))
    largest = 20 if ndim < 3 else 7
    pairs = []
    for n in shape:
        before = draw(st.integers(-n if crop else 0, largest))
        after = draw(st.integers(max(-n, -n - before) if crop else 0, largest))
        pairs.append((before, after))
    form = draw(st.sampled_from(["pairs", "dict", "pair", "int"]))
    width: Any = tuple(pairs)
    if form == "dict":
        width = {axis: pair for axis, pair in enumerate(pairs) if axis % 2 == 0}
    elif form in ("pair", "int") and min(min(pair) for pair in pairs) >= 0:
        width = pairs[0] if form == "pair" else pairs[0][0]
    mode = draw(st.sampled_from(tuple(modes)) if modes else padding_modes(ndim))
    x = draw(drawn(shape, dtypes, forms, values))
    if np.dtype(x.dtype).kind != "f":  # a constant that every integer holds
        one = bound_mode("constant", 1)
        mode = tuple(one if isinstance(m, Bound) else m for m in mode) if isinstance(mode, tuple) else (
            one if isinstance(mode, Bound) else mode
        )  # fmt: skip
    return PadCase(x, width, copied(mode) if x.dtype == "bool" else mode)


def _each(value: Any, rank: int) -> tuple[int, ...]:
    return value if isinstance(value, tuple) else (value,) * rank
