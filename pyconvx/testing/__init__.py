"""For tests and plugin authors: `reference` (plain NumPy, no dependency) and `strategies` (needs Hypothesis).

Both are imported on first use, so that `import pyconvx` needs neither.
"""

from importlib import import_module
from types import ModuleType

__all__ = ["reference", "strategies"]


def __getattr__(name: str) -> ModuleType:
    if name in __all__:
        return import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
