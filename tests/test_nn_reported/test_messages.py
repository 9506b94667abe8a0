"""Errors say which layer takes no such x, and errors of plugins are told as they were."""

import sys

import numpy as np
import pytest

import pyconvx as cx
from pyconvx import nn


@pytest.mark.parametrize("made", [lambda net: net, cx.nn.frozen])
def test_a_network_says_which_layer_takes_no_such_x(made):
    inner = cx.Sequential(cx.Activation("relu"), cx.Conv2D(2, 1))
    net = cx.Sequential(cx.MaxPool2D(2), cx.Conv2D(4, 1, activation="tanh"), inner, cx.Flatten(), cx.Dense(2))
    net.build((4, 4, 3))
    net, wrong = made(net), np.ones((2, 4, 4, 5), np.float32)
    calls = [lambda: net(wrong)] * 3
    if made is not cx.nn.frozen:
        calls += [lambda: net(wrong, training=True), lambda: net.vjp(wrong), lambda: nn.fit(net, wrong, [0, 1])]
    for call in calls:
        with pytest.raises(ValueError, match=r"^layer 1, Conv2D\(4, 1, .*channels"):
            call()
    with pytest.raises(ValueError, match=r"^layer \d, Dense\(2\): "):
        net(np.ones((2, 6, 6, 3), np.float32))


def test_a_network_in_a_network_says_which_layer_takes_no_such_x():
    net = cx.Sequential(cx.Flatten(), cx.Sequential(cx.Activation("relu"), cx.Dense(2))).build((4,))
    with pytest.raises(ValueError, match=r"^layer 1, Sequential\(.*\): layer 1, Dense\(2\): "):
        net(np.ones((2, 5), np.float32))


def test_a_plugin_that_fails_in_a_network_is_told_as_it_was():
    class Own(ValueError):
        pass

    @cx.activations.register("failing_in_a_network")
    def failing(x):
        raise Own("no")

    try:
        net = cx.Sequential(cx.Activation("failing_in_a_network"))
        for training in (False, True):
            with pytest.raises(Own, match=r"^no\b"):
                net(np.ones((1, 2)), training=training)
    finally:
        cx.activations.unregister("failing_in_a_network")


def test_safetensors_that_are_missing_are_asked_for(monkeypatch, tmp_path):
    (tmp_path / "b.safetensors").write_bytes(b"")
    for name in ("safetensors", "safetensors.numpy"):
        monkeypatch.setitem(sys.modules, name, None)
    for call in (
        lambda: nn.save(cx.Dense(2).build((3,)), tmp_path / "a.safetensors"),
        lambda: nn.load(tmp_path / "b.safetensors"),
    ):
        with pytest.raises(ImportError, match="pip install safetensors"):
            call()
