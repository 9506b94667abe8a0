"""Options: what cannot be is told at once, by name, and what is taken is shown."""

import dataclasses
import inspect
import re

import numpy as np
import pytest
from networks import data

import pyconvx as cx
from pyconvx import nn


@pytest.mark.parametrize(
    "make",
    [
        lambda: nn.SGD(momentum=1.5),
        lambda: nn.SGD(momentum=-1),
        lambda: nn.SGD(nesterov=True),
        lambda: nn.SGD(np.inf),
        lambda: nn.Adam(beta1=1.0),
        lambda: nn.Adam(epsilon=-1),
        lambda: nn.AdamW(weight_decay=-1),
    ],
)
def test_optimizers_that_cannot_work(make):
    with pytest.raises(ValueError, match="must"):
        make()


@pytest.mark.parametrize(
    "make",
    [
        lambda: cx.BatchNorm(layout="nchw"),
        lambda: cx.BatchNorm(momentum=7),
        lambda: cx.BatchNorm(epsilon=-1),
        lambda: cx.Activation("relu", layout="bogus"),
        lambda: cx.Pad(1, layout="bogus"),
        lambda: cx.Parallel([cx.Flatten()], layout="bogus"),
        lambda: cx.Conv2D(8, 3, padding="bogus"),
        lambda: cx.Conv2D(8, 3, padding=(1, 2, 3)),
        lambda: cx.SeparableConv2D(8, 3, padding="causal"),
        lambda: cx.MaxPool2D(2, padding="bogus"),
        lambda: cx.Conv2D(9, 3, groups=2),
        lambda: cx.ConvTranspose2D(9, 3, groups=2),
        lambda: cx.Dense(0),
        lambda: cx.Conv2D(4, 3, groups=0),
        lambda: cx.Conv2D(0, 3),
        lambda: cx.Conv2D(4, 3, activation="rleu"),
        lambda: cx.Dense(4, initializer="hee"),
        lambda: cx.Pool2D(2, "maxx"),
        lambda: cx.Conv1D(2, 3, padding_mode="globe"),
        lambda: cx.Conv2D(2, 3, padding_mode=("wrap", "wrap", "wrap")),
        lambda: cx.MaxPool3D(2, padding_mode="globe"),
        lambda: cx.SeparableConv2D(2, 3, padding_mode=("wrap", "globe")),
        lambda: cx.Conv2D(4, 3, padding_mode=("reflect", "circul")),
        lambda: cx.Sequential(cx.Dense(2)).replace(activation="rleu"),
        lambda: cx.Sequential(cx.Conv2D(4, 3)).build((5, 5, 1)).replace(filters=9),
        lambda: cx.Sequential(cx.Conv2D(4, 3)).build((5, 5, 1)).replace(bias=False),
        lambda: nn.summary(cx.Flatten(), (-4, 3)),
    ],
)
def test_what_cannot_be_is_told_at_once(make):
    with pytest.raises((ValueError, KeyError)):
        make()


@pytest.mark.parametrize(
    "layer",
    [
        cx.Dropout(0.5),
        cx.Flatten(),
        cx.Dense(2),
        cx.BatchNorm(),
        cx.Activation("relu"),
        cx.Sequential(cx.Dense(2)),
        cx.Sequential(),
        cx.Parallel(cx.Dense(2), cx.Dense(3)),
        cx.Residual(cx.Dense(3)),
    ],
    ids=str,
)
@pytest.mark.parametrize("training", [False, True])
def test_a_wrong_gradient_is_refused(layer, training):
    y, pullback = layer.vjp(np.ones((4, 3), np.float32), training=training, rng=np.random.default_rng(0))
    for wrong, error in (
        (None, TypeError),
        ("abc", TypeError),
        (np.ones(y.shape, complex), TypeError),
        (np.ones((9, 3)), ValueError),
        (np.ones(y.size), ValueError),
        (np.ones((1, *y.shape[1:])), ValueError),
        (1.0, ValueError),
    ):
        with pytest.raises(error, match="gy"):
            pullback(wrong)
    assert pullback(np.ones(y.shape))[0].shape == (4, 3)


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda path: cx.Conv2D(4, None), TypeError, "kernel_size must be an int"),
        (lambda path: cx.Conv2D(4, 3.0), TypeError, "kernel_size must be an int"),
        (lambda path: cx.SeparableConv2D(4, None), TypeError, "kernel_size must be an int"),
        (lambda path: cx.Conv2D(4, 3, stride=0), ValueError, "stride must be at least 1"),
        (lambda path: cx.Conv2D(4, 3, bias="no"), TypeError, "bias must be True or False"),
        (lambda path: cx.Dense(4, bias=np.ones(4)), TypeError, "bias must be True or False"),
        (lambda path: cx.MaxPool2D(None), TypeError, "size must be an int"),
        (lambda path: cx.Pad(None)(np.ones((1, 4, 4, 1))), TypeError, "width must be an int, a pair"),
        (lambda path: cx.Pad(1.5)(np.ones((1, 4, 4, 1))), TypeError, "width must be an int, a pair"),
        (lambda path: cx.Dropout("a"), TypeError, "rate must be a number"),
        (lambda path: cx.BatchNorm(momentum="a"), TypeError, "momentum must be a number"),
        (lambda path: nn.SGD("a"), TypeError, "learning_rate must be a number"),
        (lambda path: nn.Adam(beta1=None), TypeError, "beta1 must be a number"),
        (lambda path: cx.Dense(1).build((4,), seed=-1), ValueError, "seed must be at least 0"),
        (lambda path: nn.fit(cx.Dense(2), *data(), clip="a"), TypeError, "clip must be a number"),
        (lambda path: nn.fit(cx.Dense(2), *data(), optimizer=["a"]), ValueError, "optimizer must be"),
        (lambda path: nn.fit(cx.Dense(2), None, data()[1]), ValueError, "x and y must be arrays"),
        (lambda path: nn.fit(None, *data()), TypeError, "net must be a layer"),
        (lambda path: nn.fit(cx.Dense(2), *data(), schedule=nn.schedule("step", factor=-1)), ValueError, "factor"),
        (lambda path: nn.fit(cx.Dense(2), *data(), schedule=nn.schedule("step", drops=-1)), ValueError, "drops"),
        (lambda path: nn.fit(cx.Dense(2), *data(), schedule=nn.schedule("one_cycle", rise=2)), ValueError, "rise"),
        (
            lambda path: nn.fit(cx.Dense(2), *data(), epochs=9, schedule=nn.schedule("linear", end=-1)),
            ValueError,
            "of at least 0",
        ),
        (
            lambda path: nn.fit(cx.Dense(2), *data(), loss=nn.loss("cross_entropy", label_smoothing=2)),
            ValueError,
            "label_smoothing",
        ),
        (lambda path: nn.save(cx.Dense(1).build((4,)), path / "none" / "a.npz"), FileNotFoundError, "no such folder"),
        (lambda path: nn.load(path / "array.npz"), ValueError, "holds no network: File is not a zip file"),
        (
            lambda path: nn.from_config({"layer": "Conv2D", "filters": 4, "kernel_size": None}),
            ValueError,
            "kernel_size",
        ),
    ],
)
def test_errors_name_what_is_wrong(make, error, message, tmp_path):
    with open(tmp_path / "array.npz", "wb") as file:
        np.save(file, np.ones(3))
    with pytest.raises(error, match=message):
        make(tmp_path)


def test_arrays_as_options():
    layer = cx.Conv2D(4, np.array([3, 3]), stride=np.array([1, 2]))
    assert repr(layer) == "Conv2D(4, (3, 3), stride=(1, 2))"
    assert layer(np.ones((1, 5, 5, 1))).shape == (1, 3, 2, 4)


def test_parameters_of_losses_schedules_and_initializers():
    assert repr(nn.loss("huber", delta=2.0)) == "huber(delta=2.0)"
    assert repr(nn.schedule("linear", end=0.1)) == "linear(end=0.1)"
    assert repr(nn.initializer("constant", value=3)) == "constant(value=3)"
    with pytest.raises(TypeError, match="dleta"):
        nn.loss("huber", dleta=2.0)


def test_a_network_shows_how_its_branches_are_merged():
    def conv():
        return nn.Conv2D(4, 1)

    shown = [
        nn.Parallel(conv(), conv()),
        nn.Parallel(conv(), conv(), merge="add"),
        nn.Parallel(conv(), conv(), layout="channels_first"),
        nn.Residual(conv(), conv()),
        nn.Residual(conv(), shortcut=conv()),
        nn.Residual(conv()),
    ]
    assert len({repr(net) for net in shown}) == len(shown)
    for net in shown:
        assert repr(eval(repr(net), vars(nn))) == repr(net)


@pytest.mark.parametrize("shape", [(8.9, 8, 1), (8.0, 8, 1), "88", "x", 8, [[8, 8, 1]]])
def test_a_shape_is_made_of_whole_numbers(shape):
    with pytest.raises(TypeError, match="input_shape"):
        cx.Sequential(nn.Conv2D(1, 3)).build(shape)


@pytest.mark.parametrize("layer", [cx.Conv2D, cx.ConvTranspose2D, cx.DepthwiseConv2D, cx.SeparableConv2D, cx.Pool2D])
def test_a_layer_tells_of_every_option(layer):
    own = {field.name for field in dataclasses.fields(layer)} - {"bias"}
    assert own <= set(re.findall(r"\w+", layer.__doc__))
    function = {cx.Pool2D: cx.pool2d, cx.ConvTranspose2D: cx.conv_transpose2d}.get(layer, cx.conv2d)
    for name in inspect.signature(function).parameters.keys() - own - {"x", "bias", "params"}:
        with pytest.raises(TypeError, match=name):
            layer(2, 2, **{name: None}) if layer is not cx.DepthwiseConv2D else layer(2, **{name: None})
