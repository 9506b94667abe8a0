"""The registry: what its names mean, whatever is registered, replaced and removed, and from how many threads."""

import copy
import functools
import math
import pickle
import threading
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from threads import together

import pyconvx as cx
from pyconvx.plugin import Plugin, _keywords, accepted, bind, calling
from pyconvx.registry import Registry, UnknownNameError

REGISTRIES = [cx.paddings, cx.activations, cx.poolings, cx.filters]
PLUGINS = [
    pytest.param(registry, registry[name], id=f"{registry.kind}-{name}")
    for registry in REGISTRIES
    for name in registry
    if ":" not in name  # others are of whatever else is installed
]


@dataclass(frozen=True, eq=False)
class Thing(Plugin):
    kind: ClassVar[str] = "thing"
    arguments: ClassVar[tuple[str, ...]] = ("x",)
    colour: str = "grey"


def first(x):
    return x


def second(x, a, b=2):
    return x


@pytest.fixture
def things():
    return Registry("thing", Thing)


def meaning(registry):
    """All that can be seen of a registry."""
    return {name: registry[name] for name in (*registry.names(), *registry.aliases())}, registry.aliases()


def test_is_a_sorted_mapping_of_canonical_names(things):
    things.register("b", first, aliases=("z", "y"))
    things.register("a", first)
    assert list(things) == ["a", "b"] == list(things.names())
    assert len(things) == 2
    assert "z" in things
    assert "c" not in things
    assert 123 not in things
    assert things["z"] is things["b"]
    assert things.aliases() == {"y": "b", "z": "b"}
    assert things.aliases("a") == {}
    assert things.aliases("z") == {"y": "b", "z": "b"}
    assert things.kind == "thing"


def test_decorator_and_call_are_the_same_and_return_the_function(things):
    assert things.register("a", first, colour="red") is first
    assert things.register("b", colour="red")(first) is first
    assert things["a"].colour == things["b"].colour == "red"
    assert things["a"].owner == __name__


@pytest.mark.parametrize("name", ["", "1a", "a b", ".a", "a.", "a..b", "a:", "a/b", "a-b"])
def test_malformed_names_are_refused(things, name):
    with pytest.raises(ValueError, match="identifiers joined") as info:
        things.register(name, first)
    assert repr(name) in str(info.value)
    with pytest.raises(ValueError, match="identifiers joined"):
        things.register("a", first, aliases=(name,))
    assert not things


@pytest.mark.parametrize("name", ["a", "A_1", "scipy:reflect", "a.b:c", "größe"])
def test_identifiers_with_namespaces_are_names(things, name):
    things.register(name, first)
    assert things[name].name == name


def test_wrong_types_are_refused(things):
    with pytest.raises(TypeError, match="must be a str, got 123"):
        things.register(123, first)
    with pytest.raises(TypeError, match="must be callable, got 3"):
        things.register("a", 3)
    with pytest.raises(TypeError, match="aliases must be a tuple"):
        things.register("a", first, aliases="alias")
    with pytest.raises(TypeError, match="thing 'a' has no field 'color'; did you mean 'colour'"):
        things.register("a", first, color="red")
    with pytest.raises(TypeError, match=r"function\(x\), but .* takes 0"):
        things.register("a", lambda: 0)
    assert not things


@pytest.mark.parametrize("taken", ["a", "alias"])
@pytest.mark.parametrize("aliases", [(), ("fresh",)])
def test_a_duplicate_names_the_owner_and_changes_nothing(things, taken, aliases):
    things.register("a", first, aliases=("alias",))
    before = meaning(things)
    with pytest.raises(ValueError, match=f"'{taken}' is already registered by {__name__}"):
        things.register(taken, second, aliases=aliases)
    with pytest.raises(ValueError, match=f"'{taken}' is already registered by {__name__}"):
        things.register("b", second, aliases=(*aliases, taken))
    assert meaning(things) == before


def test_replace_keeps_the_aliases_of_what_it_replaces(things):
    things.register("a", first, aliases=("alias",))
    things.register("a", second, replace=True)
    assert things["a"].function is things["alias"].function is second
    things.register("alias", first, replace=True)
    assert things["a"].function is second
    assert things["alias"].function is first
    assert things.aliases() == {}


def test_an_alias_never_hides_a_plugin(things):
    things.register("a", first)
    with pytest.raises(ValueError, match="choose another alias"):
        things.register("b", second, aliases=("a",), replace=True)
    for aliases in (("b",), ("c", "c")):
        with pytest.raises(ValueError, match="must be distinct"):
            things.register("b", second, aliases=aliases)
    assert list(things) == ["a"]


@pytest.mark.parametrize("name", ["a", "alias"])
def test_unregister_removes_every_name(things, name):
    things.register("a", first, aliases=("alias",))
    things.unregister(name)
    assert meaning(things) == ({}, {})
    with pytest.raises(UnknownNameError):
        things.unregister(name)


def test_unknown_name_is_a_key_and_a_value_error_that_helps():
    with pytest.raises(UnknownNameError) as info:
        cx.paddings["Reflekt"]
    assert isinstance(info.value, KeyError)
    assert isinstance(info.value, ValueError)
    message = str(info.value)
    assert message.startswith("unknown padding mode 'Reflekt'; did you mean 'reflect'?")
    assert all(name in message for name in cx.paddings)
    assert str(pickle.loads(pickle.dumps(info.value))) == message
    with pytest.raises(UnknownNameError, match="registered are: none"):
        Registry("thing", Thing)["a"]


def test_temporarily_restores_on_exceptions(things):
    things.register("a", first, aliases=("alias",))
    before = meaning(things)
    block = things.temporarily("alias", second, aliases=("fresh",))
    plugin = block.__enter__()
    assert things["fresh"] is things["alias"] is plugin
    assert things["a"].function is first
    error = ZeroDivisionError()
    assert not block.__exit__(ZeroDivisionError, error, None), "the exception goes on"
    assert meaning(things) == before
    with pytest.raises(ValueError, match="already registered"), things.temporarily("a", second, replace=False):
        pass
    assert meaning(things) == before


def test_temporarily_nests_and_leaves_other_registrations_alone(things):
    things.register("a", first, aliases=("alias",))
    before = meaning(things)
    with things.temporarily("a", second) as outer:
        with things.temporarily("a", first) as inner:
            assert things["alias"] is inner
            things.register("kept", first)
        assert things["alias"] is outer
        things.unregister("a")
    things.unregister("kept")
    assert meaning(things) == before


NAMES = st.sampled_from(["a", "b", "c", "d"])
ALIASES = st.lists(NAMES, max_size=2).map(tuple)
STEPS = st.lists(st.tuples(st.sampled_from(["register", "unregister", "temporarily"]), NAMES, ALIASES, st.booleans()))


@settings(deadline=None)
@given(STEPS)
def test_any_sequence_keeps_names_and_aliases_consistent(steps):
    """Each step does what it says or raises and changes nothing; a temporary one leaves no trace."""
    things = Registry("thing", Thing)
    for step, name, aliases, replace in steps:
        before = meaning(things)
        try:
            if step == "register":
                things.register(name, first, aliases=aliases, replace=replace)
                assert things[name].name == name
                assert {things[alias].name for alias in aliases} <= {name}
            elif step == "unregister":
                gone = things[name]
                things.unregister(name)
                assert gone not in meaning(things)[0].values()
            else:
                with things.temporarily(name, first, aliases=aliases, replace=replace) as plugin:
                    assert things[name] is plugin
                assert meaning(things) == before
        except ValueError:
            assert meaning(things) == before
        assert set(things).isdisjoint(things.aliases())
        assert set(things.aliases().values()) <= set(things)
        assert all(things[known].name == known for known in things)


def test_many_threads_register_and_read(things):
    things.register("always", first, aliases=("ever",))
    start, errors = threading.Barrier(8), []

    def work(number):
        try:
            start.wait()
            for turn in range(200):
                name = f"n{number}_{turn}"
                things.register(name, first, aliases=(f"alias_{name}",))
                assert things[f"alias_{name}"].name == name
                assert things["ever"].name == "always"
                assert name in list(things)
                with things.temporarily(f"t{number}", second):
                    assert f"t{number}" in things
                if turn % 2:
                    things.unregister(name)
        except BaseException as error:
            errors.append(error)

    together(work, *range(8))
    assert not errors
    assert len(things) == 1 + 8 * 100
    assert len(things.aliases()) == len(things)


def test_of_many_threads_one_gets_the_name(things):
    start, won = threading.Barrier(8), []

    def work(_):
        start.wait()
        try:
            things.register("a", first)
            won.append(True)
        except ValueError:
            pass

    together(work, *range(8))
    assert won == [True]


def test_parameters_are_what_the_function_takes_beyond_the_arguments(things):
    things.register("a", second)
    assert dict(bind(things["a"], {"a": 1}).params) == {"a": 1, "b": 2}
    with pytest.raises(TypeError, match="requires a value for a"):
        bind(things["a"])
    with pytest.raises(TypeError, match=r"no parameter 'c'; its parameters: a, b=2"):
        bind(things["a"], {"a": 1, "c": 3})
    with pytest.raises(TypeError, match="parameters: none"):
        bind(cx.paddings["edge"], {"value": 1})
    things.register("ufunc", np.tanh)
    things.register("partial", functools.partial(second, b=5))
    assert dict(bind(things["ufunc"]).params) == {}
    assert dict(bind(things["partial"], {"a": 1}).params) == {"a": 1, "b": 5}


def test_parameters_have_the_type_of_their_default(things):
    things.register("a", lambda x, number=1.0, flag=False, anything=None: x)
    for number in (2, np.float32(2), np.ones(2, int), [1, 2.5], math.inf):
        bind(things["a"], {"number": number, "anything": "text"})
    for number in (None, "2", 1j, [[1], [1, 2]], b"2", object(), True, np.False_, []):
        with pytest.raises(TypeError, match="number of thing 'a' must be a real number, got"):
            bind(things["a"], {"number": number})
    for number in (math.nan, [1.0, math.nan]):
        with pytest.raises(ValueError, match="number of thing 'a' must not be NaN, got"):
            bind(things["a"], {"number": number})
    for flag in (1, None, "True", [True]):
        with pytest.raises(TypeError, match="flag of thing 'a' must be True or False"):
            bind(things["a"], {"flag": flag})


def test_accepted_is_the_subset_by_name():
    params = {"a": 1, "b": 2}
    assert accepted(lambda x: 0, params, 1) == {}
    assert accepted(lambda x, b: 0, params, 1) == {"b": 2}
    assert accepted(lambda x, **rest: 0, params, 1) == params
    assert accepted(lambda a, x: 0, params, 1) == {}, "a leading argument is no parameter"


def test_resolve_takes_names_plugins_and_bound_ones():
    bound = cx.activation("leaky_relu", alpha=0.5)
    assert cx.activation(bound) is bound
    assert cx.activation(bound, alpha=0.25) == cx.activation("leaky_relu", alpha=0.25)
    assert cx.activation(cx.activations["leaky_relu"], alpha=0.5) == bound
    for wrong in (123, None, cx.paddings["edge"], cx.padding("edge"), np.tanh):
        with pytest.raises(TypeError, match="activation must be a name"):
            cx.activation(wrong)


def test_bound_plugins_compare_by_what_they_compute():
    assert cx.padding("constant") == cx.padding("numpy:constant", value=0)
    assert hash(cx.padding("constant")) == hash(cx.padding("constant", value=0))
    assert cx.padding("constant", value=0.0) != cx.padding("constant", value=-0.0)
    assert cx.padding("constant") != cx.padding("zeros")
    assert cx.activation("prelu", alpha=np.ones(3)) == cx.activation("prelu", alpha=np.ones(3))
    assert cx.activation("prelu", alpha=np.ones(3)) != cx.activation("prelu", alpha=np.zeros(3))
    with pytest.raises(TypeError, match="unhashable"):
        hash(cx.activation("prelu", alpha=np.ones(3)))
    with pytest.raises(TypeError):
        cx.activation("elu").params["alpha"] = 2
    assert type(cx.activation("elu", alpha=np.float64(2)).params["alpha"]) is float


@pytest.mark.parametrize("registry", [cx.paddings, cx.activations, cx.poolings, cx.filters])
def test_what_has_no_hash_is_no_name(registry):
    for wrong in ["reflect"], {}, (["reflect"],):
        with pytest.raises(TypeError, match=f"{registry.kind} must be a name, got"):
            registry[wrong]


@pytest.mark.parametrize("given", [[1.0, 2.0], [[1.0], [2.0]], {"a": [1.0]}, {1, 2}, ([1.0],), [np.ones(2)]], ids=repr)
def test_containers_are_copied_when_bound(things, given):
    """What the caller does with them afterwards does not change the plugin."""
    things.register("weighted", lambda x, weights: weights)
    before, bound = repr(given), bind(things["weighted"], {"weights": given})
    inner = given[0] if isinstance(given, tuple) else given
    if isinstance(inner, list) and isinstance(inner[0], (list, np.ndarray)):
        inner[0][0] = 7.0
    elif isinstance(inner, dict):
        inner["a"].append(7.0)
    else:
        inner.clear()
    assert repr(bound.params["weights"]) == before


@pytest.mark.parametrize(("registry", "plugin"), PLUGINS)
def test_every_registered_plugin_is_complete(registry, plugin):
    assert registry[plugin.name] is plugin
    assert plugin.kind == registry.kind
    assert plugin.owner.startswith("pyconvx.")
    assert plugin.function.__doc__, "a built-in says what it computes"
    assert copy.deepcopy(plugin) is copy.copy(plugin) is pickle.loads(pickle.dumps(plugin)) is plugin
    bound = bind(plugin)
    assert copy.deepcopy(bound) == pickle.loads(pickle.dumps(bound)) == bound


def test_an_exception_in_a_plugin_leaves_as_itself_with_a_note(things):
    things.register("a", first)
    error = KeyError("mine")
    error.__notes__ = ["a note of its own"]
    with pytest.raises(KeyError) as info, calling(things["a"], "derivative"):
        raise error
    assert info.value is error
    assert error.__notes__ == ["a note of its own", f"in the derivative of the thing 'a' (registered by {__name__})"]
    with pytest.raises(KeyboardInterrupt) as interrupt, calling(things["a"]):
        raise KeyboardInterrupt
    assert not hasattr(interrupt.value, "__notes__")


class Stubborn(ValueError):
    """It takes no attributes."""

    def __setattr__(self, name, value):
        raise AttributeError(name)


class Noted(ValueError):
    __notes__ = "a note that is no list"


def test_an_exception_that_takes_no_note_leaves_as_itself(things):
    things.register("a", first)
    with pytest.raises(Stubborn), calling(things["a"]):
        raise Stubborn
    with pytest.raises(Noted) as info, calling(things["a"]):
        raise Noted
    assert info.value.__notes__ == [Noted.__notes__, f"in the function of the thing 'a' (registered by {__name__})"]


def test_a_plain_function_has_the_parameters_that_its_signature_tells():
    def f(x, y, /, a, b=2, *, c, d=4):
        return x

    def g(x, *rest, e=1, **more):
        return x

    for function in (f, g):

        @functools.wraps(function)  # has an attribute, and is asked by `inspect`
        def same(*given, **named):
            return None

        for leading in (1, 2, 3):
            assert _keywords(function, leading, "f(...)") == _keywords(same, leading, "f(...)")
    with pytest.raises(TypeError, match="takes 4 positional arguments"):
        _keywords(f, 5, "f(...)")


def test_a_field_that_a_plugin_does_not_have_is_told():
    with pytest.raises(
        TypeError, match=r"activation 'mine' has no field 'derivate'; did you mean 'derivative'\? its f"
    ):
        cx.activations.register("mine", np.abs, derivate=np.sign)
    with pytest.raises(TypeError, match=r"padding mode 'mine' has no field 'owner'; its fields are: joint, ranks"):
        cx.paddings.register("mine", lambda i, n: i % n, owner="me")
    assert "mine" not in cx.activations


def test_tables_of_plugins_are_text_and_html():
    told = cx.plugins("activations")
    assert "leaky_relu" in str(told)
    assert "<td>leaky_relu</td><td>alpha=0.01</td><td>yes</td><td>yes</td>" in told._repr_html_()
    with cx.activations.temporarily("a_b", lambda x, text="<i>": x):
        assert "<td>text=&#x27;&lt;i&gt;&#x27;</td>" in cx.plugins("activations")._repr_html_()
    with pytest.raises(ValueError, match="paddings, activations, poolings, filters, got 'nope'"):
        cx.plugins("nope")


@pytest.mark.parametrize(
    ("function", "curve"), [(lambda x: x * np.nan, "·"), (lambda x: 1 / (x * 0), "·"), (lambda x: x * 0 + 1, "▁")]
)
def test_the_curve_of_an_activation_that_is_the_same_everywhere(function, curve):
    with cx.activations.temporarily("level", function):
        line = next(line for line in str(cx.plugins("activations")).splitlines() if line.startswith("level "))
    assert f" {curve * 17} " in line


def test_messages_have_the_article_of_the_kind():
    for registry, article in ((cx.activations, "an activation"), (cx.paddings, "a padding mode")):
        with pytest.raises(ValueError, match=f"^name of {article} must be identifiers"):
            registry.register("1", first)


def test_the_list_says_what_is_wrong_with_a_plugin():
    with cx.poolings.temporarily("masked", lambda w: np.ma.masked_equal(w.max(-1), 4)):
        assert "(ValueError: function of pooling 'masked' (registered by" in str(cx.plugins("poolings"))


@pytest.mark.parametrize(
    ("registry", "field"),
    [
        (cx.activations, "rowwise"),
        (cx.activations, "propagates_nan"),
        (cx.activations, "limits"),
        (cx.activations, "surrogate"),
        (cx.poolings, "exact"),
        (cx.poolings, "indexed"),
        (cx.poolings, "ordered"),
        (cx.paddings, "joint"),
    ],
)
@pytest.mark.parametrize("value", ["no", 0, None, np.True_], ids=repr)
def test_what_is_true_or_false_is_a_bool(registry, field, value):
    with pytest.raises(TypeError, match=rf"{field} of {registry.kind} 'bad' must be True or False"):
        registry.register("bad", lambda *arrays: arrays[0], **{field: value})
    assert "bad" not in registry
