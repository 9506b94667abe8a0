"""The operations: check, resolve, allocate, call; each with its gradient beside it.

Imports the plugins, geometry, windows and the core.
"""

from .activate import activate
from .conv import conv1d, conv2d, conv3d, conv_transpose1d, conv_transpose2d, conv_transpose3d
from .pad import pad
from .parallel import num_threads, set_num_threads, threads
from .pool import (
    adaptive_pool1d,
    adaptive_pool2d,
    adaptive_pool3d,
    global_pool,
    pool1d,
    pool2d,
    pool3d,
)
from .prepare import PreparedFilters, prepare
from .unpool import unpool1d, unpool2d, unpool3d
from .vjp import output_shape, vjp

__all__ = [
    "PreparedFilters",
    "activate",
    "adaptive_pool1d",
    "adaptive_pool2d",
    "adaptive_pool3d",
    "conv1d",
    "conv2d",
    "conv3d",
    "conv_transpose1d",
    "conv_transpose2d",
    "conv_transpose3d",
    "global_pool",
    "num_threads",
    "output_shape",
    "pad",
    "pool1d",
    "pool2d",
    "pool3d",
    "prepare",
    "set_num_threads",
    "threads",
    "unpool1d",
    "unpool2d",
    "unpool3d",
    "vjp",
]
