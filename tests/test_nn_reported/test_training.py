"""Training: arguments that are nearly right, losses that are no numbers, targets that are no shares."""

import numpy as np
import pytest
from networks import bits, data, dense

import pyconvx as cx
from pyconvx import nn

rng = np.random.default_rng(0)


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


def test_a_gradient_of_another_shape():
    chosen = nn.SGD(0.1)
    with pytest.raises(ValueError, match="w"):
        chosen.step({"w": np.ones(3)}, {"w": np.ones(1)})
    assert chosen.steps == 0


def test_an_optimizer_of_another_network_is_refused_before_anything_changes():
    optimizer, net = nn.Adam(), cx.Dense(3).build((4,))
    nn.fit(cx.Dense(2), *data(), optimizer=optimizer)
    before, steps = bits(net), optimizer.steps
    with pytest.raises(ValueError, match="take another optimizer"):
        nn.fit(net, *data(), optimizer=optimizer)
    assert bits(net) == before
    assert optimizer.steps == steps


def test_what_an_epoch_came_to_tells_both_accuracies_apart():
    net = cx.Sequential(cx.Dense(2))
    history = nn.fit(net, *data(), epochs=1, validation=0.25)
    assert history.line().count(", accuracy ") == history.line().count("validation accuracy ") == 1


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
