"""Convolution and pooling for NumPy arrays: compiled loops, with paddings, poolings and activations known by name."""

from importlib import import_module
from typing import TYPE_CHECKING

from . import _core as _core
from .activation import ActivationFunction, activation, activations
from .functional import (
    PreparedFilters,
    activate,
    adaptive_pool1d,
    adaptive_pool2d,
    adaptive_pool3d,
    conv1d,
    conv2d,
    conv3d,
    conv_transpose1d,
    conv_transpose2d,
    conv_transpose3d,
    global_pool,
    num_threads,
    output_shape,
    pad,
    pool1d,
    pool2d,
    pool3d,
    prepare,
    set_num_threads,
    threads,
    unpool1d,
    unpool2d,
    unpool3d,
    vjp,
)
from .geometry import ReceptiveField, receptive_field
from .offers import BrokenPluginError
from .padding import OUTSIDE, PaddingMode, padding, paddings
from .plugin import Bound
from .pooling import Pooling, pooling, poolings
from .registry import Registry, UnknownNameError

if TYPE_CHECKING:
    from .functional.explain import Explanation, explain
    from .listing import Listing, plugins
    from .nn import (
        Activation,
        AdaptivePool1D,
        AdaptivePool2D,
        AdaptivePool3D,
        AvgPool1D,
        AvgPool2D,
        AvgPool3D,
        BatchNorm,
        Conv1D,
        Conv2D,
        Conv3D,
        ConvTranspose1D,
        ConvTranspose2D,
        ConvTranspose3D,
        Dense,
        DepthwiseConv1D,
        DepthwiseConv2D,
        DepthwiseConv3D,
        Dropout,
        Flatten,
        GlobalPool,
        Layer,
        MaxPool1D,
        MaxPool2D,
        MaxPool3D,
        Pad,
        Parallel,
        Pool1D,
        Pool2D,
        Pool3D,
        Residual,
        SeparableConv1D,
        SeparableConv2D,
        SeparableConv3D,
        Sequential,
    )
    from .picture import PictureFilter, filters

__version__ = "0.1.0"

__all__ = [
    "OUTSIDE",
    "Activation",
    "ActivationFunction",
    "AdaptivePool1D",
    "AdaptivePool2D",
    "AdaptivePool3D",
    "AvgPool1D",
    "AvgPool2D",
    "AvgPool3D",
    "BatchNorm",
    "Bound",
    "BrokenPluginError",
    "Conv1D",
    "Conv2D",
    "Conv3D",
    "ConvTranspose1D",
    "ConvTranspose2D",
    "ConvTranspose3D",
    "Dense",
    "DepthwiseConv1D",
    "DepthwiseConv2D",
    "DepthwiseConv3D",
    "Dropout",
    "Explanation",
    "Flatten",
    "GlobalPool",
    "Layer",
    "Listing",
    "MaxPool1D",
    "MaxPool2D",
    "MaxPool3D",
    "Pad",
    "PaddingMode",
    "Parallel",
    "PictureFilter",
    "Pool1D",
    "Pool2D",
    "Pool3D",
    "Pooling",
    "PreparedFilters",
    "ReceptiveField",
    "Registry",
    "Residual",
    "SeparableConv1D",
    "SeparableConv2D",
    "SeparableConv3D",
    "Sequential",
    "UnknownNameError",
    "activate",
    "activation",
    "activations",
    "adaptive_pool1d",
    "adaptive_pool2d",
    "adaptive_pool3d",
    "conv1d",
    "conv2d",
    "conv3d",
    "conv_transpose1d",
    "conv_transpose2d",
    "conv_transpose3d",
    "explain",
    "filters",
    "global_pool",
    "num_threads",
    "output_shape",
    "pad",
    "padding",
    "paddings",
    "plugins",
    "pool1d",
    "pool2d",
    "pool3d",
    "pooling",
    "poolings",
    "prepare",
    "receptive_field",
    "set_num_threads",
    "threads",
    "unpool1d",
    "unpool2d",
    "unpool3d",
    "vjp",
]


_MODULES = ("nn", "plot", "testing")
_LATER = {
    "Explanation": "functional.explain",
    "explain": "functional.explain",
    "Listing": "listing",
    "plugins": "listing",
    "PictureFilter": "picture",
    "filters": "picture",
}  # where what is imported on first use lives; layers are names of `cx.nn`


def __getattr__(name: str) -> object:
    """What is imported on first use."""
    if name in _MODULES:
        return import_module(f"pyconvx.{name}")
    if name in __all__:
        globals()[name] = found = getattr(import_module(f"pyconvx.{_LATER.get(name, 'nn')}"), name)
        return found
    raise AttributeError(f"module 'pyconvx' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__, *_MODULES})
