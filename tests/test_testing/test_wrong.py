"""Every wrong plugin is caught by each of the laws that are there to catch it."""

import pytest

import pyconvx as cx
from pyconvx.testing import checks
from pyconvx.testing.laws import LAWS

from .wrong import WRONG

CASES = [(each, law) for each in WRONG for law in each.laws]


@pytest.mark.parametrize(("plugin", "law"), CASES, ids=[f"{each.name}-{law}" for each, law in CASES])
def test_wrong_plugin_is_caught(plugin, law):
    with getattr(cx, plugin.registry).temporarily(plugin.name, plugin.make(), **plugin.fields):
        found = {check.law.name: check for check in checks(plugin.name, like=plugin.like, examples=200)}
        message = found[law].failure()
    assert message is not None, f"{law} does not catch {plugin.name}"
    assert plugin.name in message
    assert found[law].law.statement in message


@pytest.mark.parametrize("registry", ["paddings", "activations", "poolings"])
def test_every_law_catches_something(registry):
    laws = {law.name for law in LAWS[getattr(cx, registry).kind]}
    assert {law for each in WRONG if each.registry == registry for law in each.laws} == laws


def test_there_are_many():
    assert len({each.name for each in WRONG}) == len(WRONG) >= 40
    for registry in ("paddings", "activations", "poolings"):
        assert sum(each.registry == registry for each in WRONG) >= 10
