"""Activations: nonlinearities by name, each with its derivative. Imports registry, compiled and the core.

An elementwise activation is a function of x and a derivative in x and y; a rowwise one (softmax) sees whole rows on the
last axis and brings its gradient. `kinds` says what one is and has the registry, `built_in` those there are, and
`running` how they run.
"""

from . import built_in as built_in
from .kinds import ActivationFunction, Kernel, activation, activations
from .running import (
    BLOCK,
    evaluate,
    keeps_rows,
    kernel_of,
    may_fail,
    needs_result,
    output_length,
    parameters,
    pull,
    sloped_by_result,
    typed,
    works_in_place,
)

__all__ = [
    "BLOCK",
    "ActivationFunction",
    "Kernel",
    "activation",
    "activations",
    "evaluate",
    "keeps_rows",
    "kernel_of",
    "may_fail",
    "needs_result",
    "output_length",
    "parameters",
    "pull",
    "sloped_by_result",
    "typed",
    "works_in_place",
]
