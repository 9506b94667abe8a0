"""The laws of plugins, by kind: what every padding mode, activation and pooling must do.

Each law is an entry of a table, with its statement in words. May import everything of pyconvx.
"""

from ...activation import ActivationFunction
from ...padding import PaddingMode
from ...pooling import Pooling
from . import activation, padding, pooling
from .law import Law

__all__ = ["LAWS"]

LAWS: dict[str, tuple[Law, ...]] = {
    PaddingMode.kind: padding.LAWS,
    ActivationFunction.kind: activation.LAWS,
    Pooling.kind: pooling.LAWS,
}
"""The laws of each kind of plugin."""
