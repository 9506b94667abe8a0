"""What reviewers of the networks found: each stays mended."""

import dataclasses
import inspect
import json
import re
import sys

import numpy as np
import pytest
from networks import bits, data, dense

import pyconvx as cx
from pyconvx import nn
from pyconvx.nn.losses import loss_and_gradient

rng = np.random.default_rng(0)


# Built layers keep their weights.


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


# Numbers.


def test_integers_do_not_overflow():
    x = np.full((1, 4, 4, 1), 200, np.uint8)
    assert cx.Residual(cx.MaxPool2D(3, stride=1, padding="same"))(x).max() == 400
    assert set(cx.Dropout(0.5)(x, training=True, rng=np.random.default_rng(0)).ravel().tolist()) == {0, 400}
    assert cx.Residual()(np.full((1, 3), True)).tolist() == [[2, 2, 2]]
    both = cx.Parallel([cx.Flatten(), cx.Dropout(), cx.Dense(3)], merge="add")
    assert both(np.ones((2, 3), np.uint8)).dtype == np.float32


def test_batch_norm_of_another_axis_is_not_folded():
    net = cx.Sequential(cx.Conv2D(6, 3), cx.BatchNorm(layout="channels_first")).build((8, 8, 3), dtype=np.float64)
    for array in (*net.params.values(), *net.state.values()):
        array[...] = rng.random(array.shape) + 0.5
    x = rng.standard_normal((2, 8, 8, 3))
    np.testing.assert_allclose(net.freeze()(x), net(x), rtol=1e-10)


def test_a_class_that_is_ruled_out_costs_nothing():
    value, gradient = loss_and_gradient("cross_entropy", np.array([[-np.inf, 0.0, 1.0]]), [2])
    assert value == pytest.approx(np.log1p(np.exp(-1)))
    assert np.isfinite(gradient).all()


def test_classes_along_another_axis():
    y, labels = rng.standard_normal((2, 3, 4, 4)), rng.integers(0, 3, (2, 4, 4))
    value, gradient = loss_and_gradient(nn.loss("cross_entropy", axis=1), y, labels)
    want, last = loss_and_gradient("cross_entropy", np.moveaxis(y, 1, -1), labels)
    assert value == pytest.approx(want)
    np.testing.assert_allclose(gradient, np.moveaxis(last, -1, 1))


def test_no_samples():
    assert cx.Flatten()(np.zeros((0, 4, 4, 2))).shape == (0, 32)
    net = cx.Sequential(cx.Conv2D(2, 3), cx.BatchNorm(), cx.Flatten(), cx.Dense(3)).build((4, 4, 2))
    assert nn.predict(net, np.zeros((0, 4, 4, 2))).shape == (0, 3)
    updates = {}
    net.vjp(np.zeros((0, 4, 4, 2)), training=True, updates=updates)
    assert all(np.isfinite(array).all() for array in updates.values())
    with pytest.raises(ValueError, match="at least one sample"):
        loss_and_gradient("mse", np.zeros((0, 2)), np.zeros((0, 2)))


def test_one_sample_needs_its_axis():
    net = cx.Sequential(cx.MaxPool2D(2)).build((8, 8, 3))
    with pytest.raises(ValueError, match=r"x\[None\]"):
        net(np.ones((8, 8, 3)))
    with pytest.raises(ValueError, match="3 channels"):
        cx.BatchNorm().build((4, 1))(np.ones((2, 4, 3)))
    with pytest.raises(TypeError, match="complex128"):
        net(np.ones((1, 8, 8, 3), complex))


def test_padding_by_any_integers_and_by_a_mode_per_spatial_axis():
    x = rng.standard_normal((1, 3, 4, 2))
    want = np.pad(x, ((0, 0), (1, 2), (1, 2), (0, 0)))
    for pair in ((1, 2), [1, 2], (np.int64(1), np.int64(2)), np.array([1, 2])):
        layer = cx.Pad(pair)
        assert np.array_equal(layer(x), want)
        assert np.array_equal(nn.from_config(json.loads(json.dumps(layer.to_config())))(x), want)
    mixed = cx.Pad(1, ("reflect", "circular"))(x)
    assert np.array_equal(mixed, cx.pad(cx.pad(x, {1: 1}, "reflect"), {2: 1}, "wrap"))


# Training.


@pytest.mark.parametrize("clip", [-1, 0, np.nan, np.inf])
def test_a_norm_that_is_none(clip):
    with pytest.raises(ValueError, match="clip"):
        nn.fit(dense(2), *data(), clip=clip)


def test_a_loss_that_is_no_number_leaves_the_network_as_it_was():
    x, labels = data()
    net = dense(2).build((4,))
    before = bits(net)
    x[3, 0] = np.nan
    with pytest.raises(ValueError, match="finite"):
        nn.fit(net, x, labels)
    assert bits(net) == before


def test_a_validation_loss_that_is_no_number_is_not_the_best():
    history = nn.History(loss=[1, 1, 1], validation_loss=[np.nan, 2, 3])
    assert history.best == 1
    assert nn.History().line() == "no epoch yet"


def test_the_best_is_kept_when_a_callback_fails():
    x, labels = data()
    net, seen = dense(2), []

    def fails(history, net):
        seen.append((history.validation_loss[-1], bits(net)))
        if history.epochs == 4:
            raise RuntimeError("stop")

    with pytest.raises(RuntimeError, match="stop"):
        nn.fit(net, x, labels, epochs=9, validation=0.25, keep_best=True, optimizer=nn.SGD(50.0), callbacks=[fails])
    assert bits(net) == min(seen, key=lambda each: each[0])[1]


def test_arguments_that_are_nearly_right():
    x, labels = data()
    nn.fit(dense(2), x, labels, validation=np.float32(0.2))
    assert nn.fit(dense(2), x, labels, epochs=5, callbacks=[lambda history, net: np.True_]).epochs == 1
    for options, message in (
        ({"patience": 0}, "patience"),
        ({"epochs": 1.5}, "epochs"),
        ({"batch_size": None}, "batch_size"),
        ({"seed": None}, "seed"),
        ({"validation": (x, labels, x)}, "validation"),
        ({"validation": (x, labels[:3])}, "as many samples"),
        ({"callbacks": print}, "callbacks"),
    ):
        with pytest.raises((TypeError, ValueError), match=message):
            nn.fit(dense(2), x, labels, **options)
    with pytest.raises(ValueError, match=r"integer labels \(N,\)|labels"):
        nn.fit(dense(2), x, labels.astype(float))


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


def test_a_gradient_of_another_shape():
    chosen = nn.SGD(0.1)
    with pytest.raises(ValueError, match="w"):
        chosen.step({"w": np.ones(3)}, {"w": np.ones(1)})
    assert chosen.steps == 0


# Options.


@pytest.mark.parametrize(
    "make",
    [
        lambda: cx.BatchNorm(layout="nchw"),
        lambda: cx.BatchNorm(momentum=7),
        lambda: cx.BatchNorm(epsilon=-1),
        lambda: cx.Activation("relu", layout="bogus"),
        lambda: cx.Pad(1, layout="bogus"),
        lambda: cx.Parallel([cx.Flatten()], layout="bogus"),
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


def test_an_optimizer_of_another_network_is_refused_before_anything_changes():
    optimizer, net = nn.Adam(), cx.Dense(3).build((4,))
    nn.fit(cx.Dense(2), *data(), optimizer=optimizer)
    before, steps = bits(net), optimizer.steps
    with pytest.raises(ValueError, match="take another optimizer"):
        nn.fit(net, *data(), optimizer=optimizer)
    assert bits(net) == before
    assert optimizer.steps == steps


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


@pytest.mark.parametrize(
    ("branches", "then", "field"),
    [
        ([cx.Conv2D(2, (1, 7), padding="same"), cx.Conv2D(2, (5, 1), padding="same")], 3, "7 x 9"),
        ([cx.Conv2D(2, (1, 7), padding="same"), cx.Conv2D(2, 3, padding="same")], 3, "5 x 9"),
        ([cx.Conv2D(2, 3, padding=((2, 0), (2, 0))), cx.Conv2D(2, 3, padding=((0, 2), (0, 2)))], 1, "5 x 5"),
    ],
)
def test_the_receptive_field_of_branches_is_that_of_all(branches, then, field):
    net = cx.Sequential(cx.Parallel(branches), cx.Conv2D(2, then))
    assert nn.summary(net, (20, 20, 1)).rows[-1][4] == field


def seen_by_gradients(net, n):
    """The widest side that places of the result see of an input of n places, as gradients tell."""
    net.build((n, 1))
    for array in net.params.values():
        array[...] = 1
    y, pullback = net.vjp(np.ones((1, n, 1)))
    widest = 0
    for place in range(y.shape[1]):
        gy = np.zeros_like(y)
        gy[:, place] = 1
        there = np.flatnonzero(pullback(gy)[0])
        widest = max(widest, np.ptp(there) + 1 if there.size else 0)
    return widest


@pytest.mark.parametrize(
    "layers",
    [
        [cx.ConvTranspose1D(1, 4, stride=2)],
        [cx.ConvTranspose1D(1, 3, stride=2, padding=1)],
        [cx.ConvTranspose1D(1, 2, stride=3)],
        [cx.ConvTranspose1D(1, 3, dilation=2)],
        [cx.ConvTranspose1D(1, 4, stride=2, padding="same"), cx.Conv1D(1, 3)],
        [cx.ConvTranspose1D(1, 4, stride=2), cx.ConvTranspose1D(1, 4, stride=2), cx.Conv1D(1, 3, padding="same")],
        [cx.Conv1D(1, 3, stride=2), cx.ConvTranspose1D(1, 4, stride=2), cx.AvgPool1D(2)],
        [
            cx.Parallel(
                cx.ConvTranspose1D(1, 4, stride=2, padding="same"), cx.ConvTranspose1D(1, 2, stride=2, padding="same")
            ),
            cx.Conv1D(1, 3),
        ],
        [cx.AdaptivePool1D(2)],
        [cx.AdaptivePool1D(7)],
        [cx.AdaptivePool1D(45)],
        [cx.AdaptivePool1D(15), cx.Conv1D(1, 2)],
        [cx.Conv1D(1, 5), cx.AdaptivePool1D(6), cx.Conv1D(1, 3)],
    ],
    ids=str,
)
@pytest.mark.parametrize("n", [30, 31, 44])
def test_receptive_fields_are_what_gradients_reach(layers, n):
    net = cx.Sequential(*layers, cx.Activation("relu"))
    field = nn.summary(net, (n, 1)).rows[-1][4]
    assert field == str(seen_by_gradients(net, n))
    assert net.freeze().summary((n, 1)).rows[-1][4] == field


class Mean(cx.Layer):
    """Over the first axis of a sample, without a word of its own on what it sees."""

    def output_shape(self, input_shape):
        return input_shape[1:]


def test_the_receptive_field_behind_layers_that_know_no_layout_or_no_axes():
    net = cx.Sequential(cx.ConvTranspose1D(1, 4, stride=3, padding=1, layout="channels_first"), cx.Activation("relu"))
    assert [row[4] for row in nn.summary(net, (1, 20)).rows] == ["2", "2"]
    net = cx.Sequential(cx.Conv2D(4, 3), Mean(), Mean(), cx.Dense(2))
    assert [row[4] for row in nn.summary(net, (9, 9, 1)).rows] == ["3 x 3", "3 x 3", "3 x 3", "all"]
    assert nn.summary(cx.AdaptivePool1D(997), (1000, 1)).rows[0][4] == "3"


def test_the_receptive_field_of_many_residual_blocks():
    net = cx.Sequential(*(cx.Residual(cx.Conv2D(1, 3, padding="same")) for _ in range(60)))
    assert nn.summary(net, (20, 20, 1)).rows[-2][4] == "121 x 121"


def test_a_layer_that_learns_has_one_place():
    dense, relu = cx.Dense(4), cx.Activation("relu")
    cx.Sequential(cx.Dense(4), relu, cx.Dense(4), relu)
    for nested in (lambda: cx.Sequential(dense, relu, dense), lambda: cx.Sequential(nn.Residual(dense), dense)):
        with pytest.raises(ValueError, match=r"layers\[\d\] holds Dense.* a second time"):
            nested()


def test_what_an_epoch_came_to_tells_both_accuracies_apart():
    net = cx.Sequential(cx.Dense(2))
    history = nn.fit(net, *data(), epochs=1, validation=0.25)
    assert history.line().count(", accuracy ") == history.line().count("validation accuracy ") == 1


@pytest.mark.parametrize("value", [1000.3, 20000.1, 100000.3, 1e7 + 1])
@pytest.mark.parametrize("layout", ["channels_last", "channels_first"])
def test_a_constant_channel_is_normalized_to_zero(value, layout):
    x, updates = np.full((40, 5, 5, 3), value, np.float32), {}
    y, _ = cx.BatchNorm(layout=layout).build(x.shape[1:]).vjp(x, training=True, updates=updates)
    assert np.abs(y).max() <= 1e-3
    np.testing.assert_allclose(updates["variance"], 0.9, atol=1e-6)


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


def shares_of(kind, classes=1000):
    """Shares of so many classes in a dtype, as softmax gives them."""
    return cx.activate(rng.standard_normal((6, classes)) * 4, "softmax").astype(kind)


def test_targets_that_are_no_shares_are_told_before_a_training():
    x = rng.standard_normal((6, 4)).astype(np.float32)
    good = [shares_of(kind) for kind in (np.float16, np.float32, np.float64)]
    one_hot = np.eye(1000)[:6]
    for target in (*good, one_hot, one_hot.astype(bool), one_hot.astype(int), np.arange(6), np.arange(994, 1000)):
        nn.fit(cx.Dense(1000), x, target)
    good = np.moveaxis(shares_of(np.float32, 12).reshape(6, 3, 4), -1, 1)
    good /= good.sum(1, keepdims=True)
    by_channel = nn.loss("cross_entropy", axis=1)
    nn.fit(cx.Conv1D(4, 1, layout="channels_first"), np.ones((6, 2, 3)), good, loss=by_channel)
    for target in (
        -shares_of(np.float32),
        2 * shares_of(np.float32),
        rng.standard_normal((6, 1000)),
        np.zeros((6, 1000)),
    ):
        with pytest.raises(ValueError, match=r"shares of classes.*for regression loss='mse'"):
            nn.fit(cx.Dense(1000), x, target)
        with pytest.raises(ValueError, match=r"shares of classes.*for regression loss='mse'"):
            nn.fit(cx.Dense(1000), x, np.arange(6), validation=(x, target))
        nn.fit(cx.Dense(1000), x, target, loss="mse")
    with pytest.raises(ValueError, match="shares of classes"):
        nn.fit(cx.Conv1D(4, 1, layout="channels_first"), np.ones((6, 2, 3)), good * 2, loss=by_channel)


def test_labels_of_all_samples_are_looked_at_before_a_training():
    x, net = rng.standard_normal((6, 4)), cx.Dense(2)
    net.build((4,))
    before = bits(net)
    with pytest.raises(ValueError, match=r"labels must be in 0\.\.\.1, got -1\.\.\.7"):
        nn.fit(net, x, [0, 1, 0, 1, -1, 7], batch_size=2)
    assert bits(net) == before


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


@pytest.mark.parametrize("layer", [cx.Conv2D, cx.ConvTranspose2D, cx.DepthwiseConv2D, cx.SeparableConv2D, cx.Pool2D])
def test_a_layer_tells_of_every_option(layer):
    own = {field.name for field in dataclasses.fields(layer)} - {"bias"}
    assert own <= set(re.findall(r"\w+", layer.__doc__))
    function = {cx.Pool2D: cx.pool2d, cx.ConvTranspose2D: cx.conv_transpose2d}.get(layer, cx.conv2d)
    for name in inspect.signature(function).parameters.keys() - own - {"x", "bias", "params"}:
        with pytest.raises(TypeError, match=name):
            layer(2, 2, **{name: None}) if layer is not cx.DepthwiseConv2D else layer(2, **{name: None})
