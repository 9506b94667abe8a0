"""Hypothesis strategies for arrays of every kind, for registered plugins, and for whole calls of every operation.

A drawn case is a small frozen dataclass that prints as what makes it; its arrays are made when asked for. Cases are
valid by construction: sizes are drawn last, large enough for the windows. May import the registries of pyconvx.
"""

from .arrays import FLOATS, FORMS, REALS, VALUES, Drawn, arrays, drawn, reshaped
from .conv import ConvCase, conv_cases, conv_transpose_cases
from .layers import LayerCase, layers
from .pad import PadCase, joint_pad_cases, pad_cases
from .plugins import activations, joint_paddings, kind_names, mode_names, padding_modes, paddings, pool_params, poolings
from .pool import PoolCase, adaptive_cases, pool_cases
from .windows import LAYOUTS

__all__ = [
    "FLOATS",
    "FORMS",
    "LAYOUTS",
    "REALS",
    "VALUES",
    "ConvCase",
    "Drawn",
    "LayerCase",
    "PadCase",
    "PoolCase",
    "activations",
    "adaptive_cases",
    "arrays",
    "conv_cases",
    "conv_transpose_cases",
    "drawn",
    "joint_pad_cases",
    "joint_paddings",
    "kind_names",
    "layers",
    "mode_names",
    "pad_cases",
    "padding_modes",
    "paddings",
    "pool_cases",
    "pool_params",
    "poolings",
    "reshaped",
]
