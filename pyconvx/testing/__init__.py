"""For tests and plugin authors: strategies, laws, and `reference`, every operation in plain NumPy.

All but the reference need Hypothesis. Everything is imported on first use, so that `import pyconvx` needs none of it.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

__all__ = [
    "LawBroken",
    "activations",
    "arrays",
    "check_activation",
    "check_all",
    "check_padding",
    "check_pooling",
    "checks",
    "conv_cases",
    "conv_transpose_cases",
    "joint_paddings",
    "law_tests",
    "layers",
    "pad_cases",
    "paddings",
    "pool_cases",
    "poolings",
    "reference",
    "strategies",
]

MODULES = ("bounds", "check", "laws", "reference", "strategies")
CHECKS = ("LawBroken", "check_activation", "check_all", "check_padding", "check_pooling", "checks", "law_tests")


def __getattr__(name: str) -> Any:
    if name not in {*__all__, *MODULES}:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        if name in MODULES:
            return import_module(f"{__name__}.{name}")
        return getattr(import_module(f"{__name__}.{'check' if name in CHECKS else 'strategies'}"), name)
    except ModuleNotFoundError as error:
        if error.name != "hypothesis":
            raise
        message = f"pyconvx.testing.{name} needs Hypothesis, which is not installed: pip install hypothesis"
        raise ImportError(message, name="hypothesis") from error
