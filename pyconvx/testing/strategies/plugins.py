"""Registered plugins with their parameters. May import the registries of pyconvx."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from hypothesis import strategies as st

from ...activation import ActivationFunction
from ...activation import activations as ACTIVATIONS
from ...padding import PaddingMode, index_map, joint_map, padding
from ...padding import paddings as PADDINGS
from ...plugin import Bound, bind
from ...pooling import Pooling
from ...pooling import poolings as POOLINGS
from ...registry import Registry

KNOWN: dict[str, dict[str, dict[str, st.SearchStrategy[Any]]]] = {
    "padding mode": {"constant": {"value": st.sampled_from([0, 1.5, -2])}, "globe": {"poles": st.booleans()}},
    "activation": {
        "leaky_relu": {"alpha": st.sampled_from([0.01, 0.5, 2.0])},
        "prelu": {"alpha": st.sampled_from([0.25, 0.0, -1.0])},
        "elu": {"alpha": st.sampled_from([1.0, 0.5, 2.0])},
        "celu": {"alpha": st.sampled_from([1.0, 0.5, 2.0])},
        "softplus": {"beta": st.sampled_from([1.0, 0.5, 2.0]), "threshold": st.sampled_from([20.0, 1.0])},
        "hard_tanh": {"min": st.sampled_from([-1.0, -2.0]), "max": st.sampled_from([1.0, 0.5])},
        "soft_shrink": {"threshold": st.sampled_from([0.5, 1.0])},
        "hard_shrink": {"threshold": st.sampled_from([0.5, 1.0])},
        "threshold": {"threshold": st.sampled_from([0.0, 1.0]), "value": st.sampled_from([0.0, -2.0])},
    },
    "pooling": {
        "avg": {"count_include_pad": st.booleans(), "divisor": st.none() | st.sampled_from([3, 0.5, -2])},
        "lp": {"p": st.sampled_from([1.0, 2.0, 3.0, 1.5])},
        "percentile": {"q": st.sampled_from([0.0, 10.0, 50.0, 75.0, 100.0])},
        "logsumexp": {"temperature": st.sampled_from([1.0, 0.5, 2.0])},
        "softmax": {"temperature": st.sampled_from([1.0, 0.5, 2.0])},
        "stochastic": {"seed": st.integers(0, 9)},
        "mixed": {"alpha": st.sampled_from([0.0, 0.25, 1.0])},
    },
}
"""Parameters of built-in plugins that are worth drawing; a plugin that is not here is drawn with its defaults."""


def paddings() -> st.SearchStrategy[Bound[PaddingMode]]:
    """Every registered padding mode of one axis that needs no parameter, with its defaults or other parameters that are
    known.
    """
    return _bound(PADDINGS, mode_names)


def joint_paddings(rank: int) -> st.SearchStrategy[Bound[PaddingMode]]:
    """The same of joint modes for so many axes. They may refuse sizes: a globe takes an even number of longitudes."""
    return _bound(PADDINGS, lambda: joint_names(rank))


def activations() -> st.SearchStrategy[Bound[ActivationFunction]]:
    """Every registered activation that needs no parameter, with its defaults or other parameters that are known."""
    return _bound(ACTIVATIONS, lambda: _names(ACTIVATIONS))


def poolings() -> st.SearchStrategy[Bound[Pooling]]:
    """Every registered pooling that needs no parameter, with its defaults or other parameters that are known."""
    return _bound(POOLINGS, kind_names)


def _bound(registry: Registry[Any], names: Callable[[], tuple[str, ...]]) -> st.SearchStrategy[Any]:
    def params(name: str) -> st.SearchStrategy[Any]:
        return _params(registry.kind, name).map(lambda values: bind(registry[name], values))

    return st.deferred(lambda: st.sampled_from(names())).flatmap(params)


def _params(kind: str, name: str) -> st.SearchStrategy[dict[str, Any]]:
    return st.just({}) | st.fixed_dictionaries(KNOWN[kind].get(name, {}))


def _names(registry: Registry[Any]) -> tuple[str, ...]:
    return tuple(plugin.name for plugin in registry.loadable() if not plugin.required)


def mode_names() -> tuple[str, ...]:
    """The registered modes of one axis that need no parameter."""
    return tuple(name for name in _names(PADDINGS) if not PADDINGS[name].joint)


def joint_names(rank: int) -> tuple[str, ...]:
    """The registered joint modes for so many axes that need no parameter."""
    return tuple(name for name in _names(PADDINGS) if PADDINGS[name].joint and rank in PADDINGS[name].ranks)


def kind_names() -> tuple[str, ...]:
    """The registered poolings that need no parameter."""
    return _names(POOLINGS)


def pool_params(kind: str) -> st.SearchStrategy[dict[str, Any]]:
    """Parameters of a pooling: its defaults, or others for those that are known."""
    return _params(Pooling.kind, kind)


def bound_mode(name: str, value: float) -> Any:
    """A registered mode as a call takes it: its name, or bound with the constant where it has one."""
    plugin = PADDINGS[name]
    return bind(plugin, {"value": value}) if "value" in plugin.defaults else name


def copied(mode: Any) -> Any:
    """The mode, or modes, with those that weigh elements, which bool cannot do, replaced by "edge"."""
    if isinstance(mode, tuple):
        return tuple(copied(one) for one in mode)
    if mode is None:
        return mode
    bound, i = padding(mode), np.arange(-3, 7)
    if bound.plugin.joint:
        rank = bound.plugin.ranks[0]
        weighs = joint_map(bound, np.ix_(*(i,) * rank), (4,) * rank).weight is not None
    else:
        weighs = index_map(bound, i, 4).weight is not None
    return "edge" if weighs else mode


@st.composite
def padding_modes(draw: st.DrawFn, rank: int) -> Any:
    """One registered mode, or one per axis. Axes with a constant share its value, which has no order of axes then."""
    value = draw(st.sampled_from([0, 1.5, -2]))
    one = st.sampled_from(mode_names()).map(lambda name: bound_mode(name, value))
    if draw(st.booleans()):
        return draw(one)
    modes = draw(st.tuples(*[one] * rank))
    has_zeros = any(mode == "zeros" for mode in modes)
    return tuple(bound_mode("constant", 0) if has_zeros and isinstance(m, Bound) else m for m in modes)


@st.composite
def perhaps_joint(draw: st.DrawFn, mode: Any, spatial: tuple[int, ...]) -> tuple[Any, tuple[int, ...]]:
    """A mode and the sizes that it is for: mostly those given, at times a joint mode and the next even sizes."""
    if joint_names(len(spatial)) and draw(st.integers(0, 5)) == 5:
        return draw(joint_paddings(len(spatial))), tuple(n + n % 2 for n in spatial)
    return mode, spatial
