"""No false alarm: every built-in and every plugin that is right keeps all its laws."""

from contextlib import nullcontext
from dataclasses import replace

import pytest

import pyconvx as cx
from pyconvx.testing.check import REGISTRIES, checks

from .right import RIGHT, Right

BUILT_IN = [
    Right({"padding mode": "paddings", "activation": "activations", "pooling": "poolings"}[registry.kind], name, None)
    for registry in REGISTRIES
    for name, plugin in registry.items()
    if plugin.owner.startswith("pyconvx.")
]
VARIED = [
    cx.activation("leaky_relu", alpha=0.3),
    cx.activation("prelu", alpha=[0.25, -1.0, 2.0]),
    cx.activation("elu", alpha=2.0),
    cx.activation("softplus", beta=2.0, threshold=3.0),
    cx.activation("hard_tanh", min=-0.5, max=2.5),
    cx.pooling("lp", p=3.0),
    cx.pooling("percentile", q=10.0),
    cx.pooling("softmax", temperature=0.5),
    cx.pooling("avg", divisor=3),
    cx.pooling("avg", count_include_pad=True),
    cx.pooling("stochastic", seed=5),
    cx.padding("constant", value=-2.5),
    cx.padding("constant", value=float("nan")),
    cx.padding("globe", poles=True),
]
EVERY = [*BUILT_IN, *RIGHT]
named = pytest.mark.parametrize("plugin", EVERY, ids=[f"{each.registry}-{each.name}" for each in EVERY])


def failures(plugin, per_law):
    """What the laws say of a plugin, each tried on so many examples."""
    registry = getattr(cx, plugin.registry)
    registered = nullcontext()
    if plugin.function is not None:
        registered = registry.temporarily(plugin.name, plugin.function, **plugin.fields)
    with registered:
        found = checks(registry[plugin.name], like=plugin.like, examples=per_law(registry[plugin.name]))
        return [message for message in (check.failure() for check in found) if message]


@named
def test_no_false_alarm(plugin):
    assert failures(plugin, lambda _: 2) == []


@pytest.mark.slow
@named
def test_no_false_alarm_in_ten_thousand_examples(plugin):
    def per_law(registered):
        return -(-10_000 // round(sum(check.law.share for check in checks(registered))))

    assert failures(plugin, per_law) == []


@pytest.mark.parametrize("bound", VARIED, ids=repr)
def test_no_false_alarm_for_other_parameters(bound):
    assert [message for message in (check.failure() for check in checks(bound, examples=3)) if message] == []


ELEMENTWISE = [name for name, plugin in cx.activations.items() if not plugin.rowwise]


@pytest.mark.parametrize("name", ELEMENTWISE)
def test_elementwise_built_ins_have_their_limits(name):
    """More than the kit asks for: NaN will not do."""
    limited = replace(cx.activations[name], limits=True)
    (check,) = (check for check in checks(limited, examples=5) if check.law.name == "infinity")
    check()


def test_there_are_many():
    assert len(RIGHT) >= 15
    assert len(BUILT_IN) >= 45
