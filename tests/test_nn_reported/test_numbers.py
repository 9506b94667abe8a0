"""Numbers of any dtype, number and shape: integers, no samples, another axis, a constant channel."""

import json

import numpy as np
import pytest

import pyconvx as cx
from pyconvx import nn
from pyconvx.nn.losses import loss_and_gradient

rng = np.random.default_rng(0)


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


@pytest.mark.parametrize("value", [1000.3, 20000.1, 100000.3, 1e7 + 1])
@pytest.mark.parametrize("layout", ["channels_last", "channels_first"])
def test_a_constant_channel_is_normalized_to_zero(value, layout):
    x, updates = np.full((40, 5, 5, 3), value, np.float32), {}
    y, _ = cx.BatchNorm(layout=layout).build(x.shape[1:]).vjp(x, training=True, updates=updates)
    assert np.abs(y).max() <= 1e-3
    np.testing.assert_allclose(updates["variance"], 0.9, atol=1e-6)
