"""Plugins that are wrong, each in one way, with the laws that must say so."""

from . import activations, paddings, poolings
from .wrong import WRONG

__all__ = ["WRONG", "activations", "paddings", "poolings"]
