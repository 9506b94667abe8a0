"""Convolution and pooling for NumPy arrays: compiled loops, with paddings, poolings and activations known by name."""

from . import _core as _core
from .activation import Activation, activation, activations
from .functional import (
    Explanation,
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
    explain,
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
from .picture import PictureFilter, filters
from .plugin import Bound
from .pooling import Pooling, pooling, poolings
from .registry import Registry, UnknownNameError

__version__ = "0.1.0"

__all__ = [
    "OUTSIDE",
    "Activation",
    "Bound",
    "BrokenPluginError",
    "Explanation",
    "PaddingMode",
    "PictureFilter",
    "Pooling",
    "PreparedFilters",
    "ReceptiveField",
    "Registry",
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


def __getattr__(name: str) -> object:
    """`cx.nn`, layers and networks, and `cx.testing`, for authors of plugins, are imported on first use."""
    if name in ("nn", "testing"):
        import importlib

        return importlib.import_module(f"pyconvx.{name}")
    raise AttributeError(f"module 'pyconvx' has no attribute {name!r}")
