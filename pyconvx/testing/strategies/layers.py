"""Layers with inputs that they take. May import the layers and the strategies of windows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray

from ... import nn
from ...activation import activations
from ...padding import paddings
from ...pooling import poolings
from .windows import LAYOUTS

__all__ = ["LayerCase", "layers"]

CONVOLUTIONS = ("Conv", "ConvTranspose", "DepthwiseConv", "SeparableConv")
OTHERS = ("Pool", "AdaptivePool", "GlobalPool", "Pad", "Activation", "BatchNorm", "Dropout", "Flatten", "Dense")
GROUPS = ("Parallel", "Residual")


@dataclass(frozen=True)
class LayerCase:
    """A layer that is not built, the shape of a batch for it, and a seed."""

    layer: nn.Layer
    shape: tuple[int, ...]  # with N
    seed: int

    @property
    def x(self) -> NDArray[Any]:
        """A batch of that shape, float64."""
        return np.random.default_rng(self.seed).standard_normal(self.shape)


@st.composite
def layers(draw: st.DrawFn, *, kinds: tuple[str, ...] = (*CONVOLUTIONS, *OTHERS, *GROUPS)) -> LayerCase:
    """Layers of `cx.nn` with any options that go together, each with the shape of a batch that it takes.

    kinds: names of layers, without their rank. Padding modes, activations and poolings are drawn from the registries:
    all that need no parameter, those of plugins among them.

    >>> from hypothesis import given, settings
    >>> import pyconvx as cx
    >>> @settings(max_examples=10, deadline=None)
    ... @given(cx.testing.layers(kinds=("Conv", "Pool")))
    ... def test_shapes(case):
    ...     assert case.layer(case.x).shape[1:] == case.layer.output_shape(case.shape[1:])
    >>> test_shapes()
    """
    kind, rank, layout = draw(st.sampled_from(kinds)), draw(st.integers(1, 3)), draw(st.sampled_from(LAYOUTS))
    samples, channels, spatial = draw(st.integers(1, 3)), 2 * draw(st.integers(1, 3)), draw(_sizes(rank, 4, 7))
    shape = (*spatial, channels) if layout == "channels_last" else (channels, *spatial)
    options: dict[str, Any] = {} if kind in ("Dropout", "Flatten", "Dense") else {"layout": layout}
    arguments: tuple[Any, ...] = ()
    if kind in GROUPS:
        return LayerCase(_group(kind, layout, draw), (samples, *shape), draw(st.integers(0, 999)))
    if kind in CONVOLUTIONS:
        arguments = (draw(_sizes(rank, 1, 3)),) if kind == "DepthwiseConv" else (4, draw(_sizes(rank, 1, 3)))
        options |= draw(_windows(rank, transposed=kind == "ConvTranspose"))
        options |= {"bias": draw(st.booleans()), "activation": draw(st.none() | _names(activations, _keeps_rows))}
        if kind in ("Conv", "ConvTranspose"):
            options["groups"] = draw(st.sampled_from((1, 2)))
    elif kind == "Pool":
        arguments, options["stride"] = (
            (draw(_sizes(rank, 1, 3)), draw(_names(poolings))),
            draw(st.none() | st.integers(1, 2)),
        )
        options["padding"] = draw(st.sampled_from(("valid", "same")))
    elif kind == "AdaptivePool":
        arguments = (draw(_sizes(rank, 1, 4)), draw(_names(poolings)))
    elif kind == "GlobalPool":
        arguments, options["keepdims"] = (draw(_names(poolings)),), draw(st.booleans())
    elif kind == "Pad":
        arguments = (draw(st.integers(0, 3)), draw(_names(paddings, _any_rank)))
    elif kind == "Activation":
        arguments = (draw(_names(activations, _keeps_rows)),)
    elif kind == "Dense":
        arguments, shape = (draw(st.integers(1, 4)),), (channels,)
        options["activation"] = draw(st.none() | _names(activations, _keeps_rows))
    ranked = kind in CONVOLUTIONS or kind in ("Pool", "AdaptivePool")
    layer = getattr(nn, f"{kind}{rank}D" if ranked else kind)(*arguments, **options)
    return LayerCase(layer, (samples, *shape), draw(st.integers(0, 999)))


def _group(kind: str, layout: str, draw: st.DrawFn) -> nn.Layer:
    """Branches that can be merged."""
    branches = [
        nn.Sequential(nn.Activation(draw(_names(activations, _keeps_rows)), layout=layout), nn.BatchNorm(layout=layout))
        for _ in range(draw(st.integers(1, 3)))
    ]
    if kind == "Residual":
        return nn.Residual(*branches)
    return nn.Parallel(branches, merge=draw(st.sampled_from(("concat", "add"))), layout=layout)


def _sizes(rank: int, low: int, high: int) -> st.SearchStrategy[tuple[int, ...]]:
    return st.tuples(*[st.integers(low, high)] * rank)


@st.composite
def _windows(draw: st.DrawFn, rank: int, transposed: bool) -> dict[str, Any]:
    options: dict[str, Any] = {"stride": draw(st.integers(1, 2))}
    if transposed:
        options["padding"] = draw(st.sampled_from(("valid", "same")))
        if options["padding"] == "same":
            options["padding_mode"] = draw(_names(paddings, _any_rank))
    else:
        options["padding"] = draw(st.sampled_from(("valid", "same", 1)))
        options["padding_mode"] = draw(_names(paddings, _any_rank))
        options["dilation"] = draw(st.sampled_from((1, 1, 2))) if options["padding"] != "valid" else 1
    return options


def _names(registry: Any, usable: Any = lambda plugin: True) -> st.SearchStrategy[str]:
    """Names that need no parameter."""
    found = [plugin.name for plugin in registry.loadable() if not plugin.required and usable(plugin)]
    return st.sampled_from(found)


def _keeps_rows(plugin: Any) -> bool:
    return plugin.output_size is None


def _any_rank(plugin: Any) -> bool:
    return not plugin.joint
