"""Built layers keep their weights, wherever they are put and however they are set."""

import numpy as np
import pytest
from networks import bits

import pyconvx as cx
from pyconvx import nn


def test_trained_layers_keep_their_weights_in_another_network():
    net = cx.Sequential(cx.Conv2D(4, 3), cx.Flatten(), cx.Dense(3)).build((8, 8, 3), seed=7)
    before, x = bits(net), np.ones((1, 8, 8, 3), np.float32)
    features = cx.Sequential(*net.layers[:2])
    assert features.parameters == 112
    features(x)
    longer = cx.Sequential(net, cx.Dense(2))
    longer(x)
    assert {"1.weights", "0.2.weights"} <= longer.params.keys()
    assert bits(net) == before
    cx.Residual(net.layers[0], shortcut=cx.Conv2D(4, 3))(x)
    assert bits(net) == before
    net.build((8, 8, 3), seed=8)  # which says what it does
    assert bits(net) != before


def test_an_initializer_may_use_layers():
    def by_a_layer(rng, shape, fan_in, fan_out):
        return np.full(shape, cx.Dense(1)(np.ones((1, 2)))[0, 0])

    with nn.initializers.temporarily("by_a_layer", by_a_layer):
        assert cx.Dense(2, initializer="by_a_layer")(np.ones((1, 3))).shape == (1, 2)


def test_parameters_of_a_network_are_set_through_its_dict():
    net = cx.Sequential(cx.Dense(2)).build((3,))
    net.params["0.bias"] = np.ones(2, np.float32)
    assert net.layers[0].params["bias"].tolist() == [1, 1]
    with pytest.raises(KeyError, match=r"0\.basi"):
        net.params["0.basi"] = np.ones(2)
    with pytest.raises(ValueError, match=r"0\.bias must have the shape \(2,\), got \(3,\)"):
        net.params["0.bias"] = np.ones(3)
    with pytest.raises(ValueError, match=r"0\.bias.*0\.weights"):
        net.params = {}


def test_a_layer_that_learns_has_one_place():
    dense, relu = cx.Dense(4), cx.Activation("relu")
    cx.Sequential(cx.Dense(4), relu, cx.Dense(4), relu)
    for nested in (lambda: cx.Sequential(dense, relu, dense), lambda: cx.Sequential(nn.Residual(dense), dense)):
        with pytest.raises(ValueError, match=r"layers\[\d\] holds Dense.* a second time"):
            nested()
