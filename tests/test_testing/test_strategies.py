"""The strategies for plugin authors: what they draw can be called, and covers what is registered."""

import numpy as np
import pytest
from hypothesis import Phase, find, given, settings
from hypothesis import strategies as st

import pyconvx as cx
from pyconvx import testing

OPERATIONS = {
    "conv": {1: cx.conv1d, 2: cx.conv2d, 3: cx.conv3d},
    "pool": {1: cx.pool1d, 2: cx.pool2d, 3: cx.pool3d},
}
PLUGINS = {"paddings": cx.paddings, "activations": cx.activations, "poolings": cx.poolings}


@given(testing.arrays((2, 3)))
def test_arrays_have_the_shape_asked_for(x):
    assert x.shape == (2, 3)
    assert x.dtype.kind == "f"


@settings(max_examples=20)
@given(testing.conv_cases(), testing.activations())
def test_a_convolution_case_can_be_called(case, activation):
    if activation.plugin.rowwise or np.ndim(next(iter(activation.params.values()), 0)):
        activation = None
    x, filters, bias = case.arguments
    y = OPERATIONS["conv"][case.rank](x, filters, bias, activation=activation, **case.options)
    assert y.ndim == x.ndim


@settings(max_examples=25)
@given(testing.layers())
def test_a_layer_takes_its_input_and_is_plain_data(case):
    x = case.x
    y, pullback = case.layer.vjp(x, training=True, rng=np.random.default_rng(0))
    assert y.shape[1:] == case.layer.output_shape(case.shape[1:])
    assert cx.nn.from_config(case.layer.to_config())(x).shape == y.shape
    if "stochastic" not in repr(case.layer) and getattr(case.layer, "kind", "") != "percentile":
        gx, gradients = pullback(np.ones_like(y))
        assert gx.shape == x.shape
        assert gradients.keys() == case.layer.params.keys()


def test_every_kind_of_layer_is_drawn():
    for kind in ("ConvTranspose", "SeparableConv", "GlobalPool", "Dense"):
        assert kind in type(find(testing.layers(kinds=(kind,)), lambda case: True).layer).__name__


@settings(max_examples=20)
@given(testing.pool_cases())
def test_a_pooling_case_can_be_called(case):
    x = case.x.array
    assert OPERATIONS["pool"][case.rank](x, case.size, case.kind, **case.options, **case.params).ndim == x.ndim


@settings(max_examples=20)
@given(testing.pad_cases(), testing.paddings())
def test_a_pad_case_can_be_called(case, mode):
    assert cx.pad(case.x.array, case.pad_width, case.mode).ndim == len(case.x.shape)
    assert cx.pad(np.ones(3), 2, mode).shape == (7,)


@given(testing.joint_paddings(2))
def test_a_joint_mode_can_be_called(mode):
    assert cx.pad(np.ones((3, 4)), 2, mode).shape == (7, 8)


def test_every_joint_mode_is_drawn_for_its_ranks():
    rule = lambda i, n: (i[0] % n[0], i[1] % n[1], i[2] % n[2])  # noqa: E731
    with cx.paddings.temporarily("brand_new", rule, joint=True, ranks=(3,)):
        assert find(testing.joint_paddings(3), lambda bound: bound.name == "brand_new").plugin.ranks == (3,)
        assert find(testing.joint_paddings(2), lambda bound: bound.params.get("poles")).name == "globe"


def test_joint_modes_are_drawn_for_convolutions_and_poolings():
    def is_globe(case):
        return getattr(case.options["padding_mode"], "name", "") == "globe"

    for cases in (testing.conv_cases(), testing.pool_cases()):
        assert find(cases, is_globe, settings=settings(max_examples=2000, phases=[Phase.generate])).rank == 2


@settings(max_examples=20)
@given(testing.poolings())
def test_a_pooling_can_be_used(kind):
    assert cx.pool1d(np.ones((4, 1)), 2, kind).shape == (2, 1)


@pytest.mark.parametrize("name", PLUGINS)
def test_every_registered_plugin_is_drawn_and_new_ones_too(name):
    strategy, registry = getattr(testing, name)(), PLUGINS[name]
    function = {"paddings": lambda i, n: i % n, "activations": np.sin, "poolings": lambda w: w.max(-1)}[name]
    with registry.temporarily("brand_new", function):
        separate = [plugin.name for plugin in registry.loadable() if not getattr(plugin, "joint", False)]
        for wanted in (*separate[:3], "brand_new"):
            assert find(strategy, lambda bound, wanted=wanted: bound.name == wanted).name == wanted


def test_parameters_vary():
    found = find(testing.poolings(), lambda bound: bound.name == "lp" and bound.params["p"] == 3)
    assert found == cx.pooling("lp", p=3.0)


def test_a_plugin_that_needs_a_parameter_is_not_drawn():
    with cx.poolings.temporarily("needs", lambda w, p: w.max(-1)):
        assert "needs" not in testing.strategies.kind_names()


@given(st.data())
def test_cases_print_as_what_makes_them(data):
    case = data.draw(testing.pool_cases())
    assert repr(case).startswith("PoolCase(x=Drawn(shape=(")
