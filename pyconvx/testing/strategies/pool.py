"""Calls of windowed and adaptive pooling."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from hypothesis import strategies as st

from ...pooling import poolings
from ..reference.pooling import sliding
from .arrays import Drawn, drawn
from .plugins import copied, kind_names, padding_modes, perhaps_joint, pool_params
from .windows import LAYOUTS, RANKS, array_shape, batch_size, each_axis, padding_amounts, per_axis, sizes


@dataclass(frozen=True)
class PoolCase:
    """A call of pool or adaptive_pool: function(x, size, kind, **options, **params)."""

    x: Drawn
    size: Any
    kind: str
    rank: int
    params: dict[str, Any]
    options: dict[str, Any] = field(default_factory=dict)


@st.composite
def pool_cases(
    draw: st.DrawFn,
    kinds: Sequence[str] = (),
    dtypes: Sequence[str] = ("float32", "float64"),
    forms: Sequence[str] = ("plain",),
    values: Sequence[str] = ("normal", "whole"),
    empty: bool = True,
    ranks: Sequence[int] = RANKS,
) -> PoolCase:
    """Calls of pool1d, pool2d and pool3d over all options but return_indices. kinds, ranks: by default all."""
    rank = draw(st.sampled_from([rank for rank in ranks if rank in RANKS]))
    kind = draw(st.sampled_from(tuple(kinds) or kind_names()))
    size = draw(each_axis(st.integers(1, 4 if rank < 3 else 3), rank))
    stride = draw(st.none() | each_axis(st.integers(1, 4), rank))
    dilation = draw(st.just(1) | each_axis(st.integers(1, 3), rank))
    mode = draw(st.none() | padding_modes(rank))
    padding = draw(padding_amounts(rank, 3))
    ceil_mode = draw(st.booleans())
    layout = draw(st.sampled_from(LAYOUTS))
    spatial = sizes(draw, rank, (1,) * rank)
    if rank == 2:
        spatial = tuple(min(n, 14) for n in spatial)
    taps, dilations = per_axis(size, rank), per_axis(dilation, rank)

    def fits() -> bool:
        options = {"stride": stride, "padding": padding, "dilation": dilation}
        whole = sliding(spatial, size, **options, elements_in_padding=True)  # a window within the padded extent
        windows = sliding(spatial, size, **options, ceil_mode=ceil_mode, elements_in_padding=mode is not None)
        return 0 not in whole.outputs and not windows.empty()

    for _ in range(sum((k - 1) * d for k, d in zip(taps, dilations, strict=True)) + 1):
        if fits():
            break
        spatial = tuple(n + 1 for n in spatial)
    if not fits():  # an amount that leaves some window empty at every size
        padding = "valid"
        spatial = tuple(max(n, (k - 1) * d + 1) for n, k, d in zip(spatial, taps, dilations, strict=True))
    if mode is not None:
        mode, spatial = draw(perhaps_joint(mode, spatial))
    params: dict[str, Any] = draw(pool_params(kind))
    options = {
        "stride": stride,
        "padding": padding,
        "padding_mode": mode,
        "dilation": dilation,
        "ceil_mode": ceil_mode,
        "layout": layout,
    }
    shape = array_shape(spatial, draw(st.integers(1, 5)), batch_size(draw, empty), layout)
    x = draw(drawn(shape, dtypes, forms, values))
    if x.dtype == "bool" and poolings[kind].exact:
        options["padding_mode"] = copied(mode)
    return PoolCase(x, size, kind, rank, params, options)


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
    shape = array_shape(spatial, draw(st.integers(1, 5)), batch_size(draw, empty), layout)
    x = draw(drawn(shape, dtypes, forms, values))
    return PoolCase(x, size, kind, rank, params, {"layout": layout})
