"""Plugins that are wrong, each in one way, with the laws that must say so."""

from . import activations, compiled_activations, compiled_poolings, paddings, poolings
from .wrong import WRONG

__all__ = ["WRONG", "activations", "compiled_activations", "compiled_poolings", "paddings", "poolings"]
