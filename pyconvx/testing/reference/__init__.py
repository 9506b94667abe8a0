"""Every operation of pyconvx in plain NumPy float64: slow, obviously right, sharing no code with the library.

Tests, fuzzing and plugin authors compare against it. Options are those of the public functions; a padding mode,
pooling kind or activation is a name, the plugin's own function (in `Joint`, if that is a joint padding mode), or a pair
(name or function, parameters). This
package imports numpy only, so that nothing it says can be wrong in the same way as what it checks.
"""

from .activation import ACTIVATIONS, activate, activate_vjp
from .axes import amounts, conv_size, pool_size, transpose_size
from .convolution import conv, conv_transpose, conv_transpose_vjp, conv_vjp
from .padding import JOINT, OUTSIDE, PADDINGS, Joint, JointSource, Source, joint_sources, pad, pad_vjp, sources
from .pooling import (
    Windows,
    adaptive,
    adaptive_pool,
    adaptive_pool_vjp,
    global_pool,
    global_pool_vjp,
    pool,
    pool_vjp,
    sliding,
    unpool,
    unpool_vjp,
)
from .reduction import REDUCTIONS, SLOPES

__all__ = [
    "ACTIVATIONS",
    "JOINT",
    "OUTSIDE",
    "PADDINGS",
    "REDUCTIONS",
    "SLOPES",
    "Joint",
    "JointSource",
    "Source",
    "Windows",
    "activate",
    "activate_vjp",
    "adaptive",
    "adaptive_pool",
    "adaptive_pool_vjp",
    "amounts",
    "conv",
    "conv_size",
    "conv_transpose",
    "conv_transpose_vjp",
    "conv_vjp",
    "global_pool",
    "global_pool_vjp",
    "joint_sources",
    "pad",
    "pad_vjp",
    "pool",
    "pool_size",
    "pool_vjp",
    "sliding",
    "sources",
    "transpose_size",
    "unpool",
    "unpool_vjp",
]
