"""Layers of a chain that do each other's work: the same as one by one, and nothing of it shows outside."""

import gc
import weakref
from dataclasses import replace

import numpy as np
import pytest

import pyconvx as cx
from pyconvx import nn

rng = np.random.default_rng(0)


@pytest.mark.parametrize("activation", ["relu", "relu6", "tanh"])
@pytest.mark.parametrize("layout", ["channels_last", "channels_first"])
def test_a_convolution_whose_result_stays_inside_has_the_same_gradients(activation, layout):
    """Inside a network the pullback may read the result; where a caller has it, it may be changed."""
    options = {"padding": 1, "layout": layout}
    fused = cx.Sequential(
        cx.Conv2D(5, 3, activation=activation, **options), cx.Conv2D(4, 3, activation=activation, **options)
    ).build((6, 7, 3) if layout == "channels_last" else (3, 6, 7), dtype=np.float64)
    apart = cx.Sequential(
        *(each for layer in fused for each in (replace(layer, activation=None), cx.Activation(activation)))
    ).build(fused.input_shape, dtype=np.float64)
    for name, array in fused.params.items():
        index, _, rest = name.partition(".")
        apart.params[f"{2 * int(index)}.{rest}"] = array
    x = np.random.default_rng(0).standard_normal((2, *fused.input_shape)) * 3
    y, back = fused.vjp(x)
    expected, other = apart.vjp(x)
    np.testing.assert_allclose(y, expected, atol=1e-12)
    gy = np.random.default_rng(1).standard_normal(y.shape)
    wanted, gradients = other(gy)
    y[...] = -1  # the caller's own
    gx, found = back(gy)
    np.testing.assert_allclose(gx, wanted, atol=1e-10)
    for ours, theirs in zip(found.values(), gradients.values(), strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-10)


class Negative(cx.Conv2D):
    """A convolution whose own pull does more than that of its class."""

    def pull(self, x, run):
        y, back = super().pull(x, run)
        return -y, lambda gy: back(-gy)


class Raised(cx.Activation):
    """A rectifier only to those who do not ask what else it does."""

    def forward(self, x, run):
        return super().forward(x, run) + 1


CHAINS = {
    "convolution": lambda: [cx.Conv2D(4, 3, activation="relu"), cx.MaxPool2D(2)],
    "overlapping": lambda: [cx.Conv2D(4, 3, activation="relu"), cx.MaxPool2D(3, stride=1, padding="same")],
    "separable": lambda: [cx.SeparableConv2D(4, 3, activation="relu"), cx.MaxPool2D(2)],
    "normalized": lambda: [cx.Conv2D(4, 3), cx.BatchNorm(), cx.Activation("relu"), cx.MaxPool2D(2, ceil_mode=True)],
    "tiled": lambda: [cx.Conv2D(4, 2), cx.BatchNorm(), cx.Activation("relu"), cx.MaxPool2D((2, 7))],
    "tiled as they are": lambda: [cx.Conv2D(4, 2), cx.BatchNorm(), cx.MaxPool2D((4, 1))],
    "tiled first": lambda: [cx.BatchNorm(), cx.Activation("relu"), cx.MaxPool2D((3, 2)), cx.BatchNorm()],
    "tiled by others": lambda: [cx.BatchNorm(), cx.Activation("relu"), cx.AvgPool2D((3, 2)), cx.BatchNorm()],
    "normalized last": lambda: [cx.Conv2D(4, 3), cx.BatchNorm(), cx.Activation("relu")],
    "normalized twice": lambda: [cx.BatchNorm(), cx.BatchNorm(), cx.Activation("relu"), cx.Activation("relu")],
    "other poolings": lambda: [cx.Conv2D(4, 3, activation="relu"), cx.AvgPool2D(2), cx.Activation("relu")],
    "padded": lambda: [cx.Activation("relu"), cx.MaxPool2D(3, stride=1, padding=1, padding_mode="odd_reflect")],
    "other activations": lambda: [cx.BatchNorm(), cx.Activation("tanh"), cx.MaxPool2D(2)],
    "of its own": lambda: [Negative(4, 3, activation="relu"), cx.MaxPool2D(2)],
    "raised": lambda: [Raised("relu"), cx.MaxPool2D(2)],
    "shared": lambda: [nn.Residual(cx.BatchNorm(), cx.Activation("relu")), cx.MaxPool2D(2)],
}


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("layout", ["channels_last", "channels_first"])
@pytest.mark.parametrize("name", CHAINS)
def test_a_chain_is_what_its_layers_are_one_by_one(name, layout, training):
    if name == "shared" and layout == "channels_first":
        pytest.skip("the layout of a Residual is that of its layers")
    layers = CHAINS[name]() if name == "shared" else [replace(each, layout=layout) for each in CHAINS[name]()]
    shape = (9, 8, 3) if layout == "channels_last" else (3, 9, 8)
    net = cx.Sequential(*layers, cx.Activation("identity", layout=layout)).build(shape, dtype=np.float64)
    random = np.random.default_rng(3)
    for _, array in net.params.items():
        array[...] = random.standard_normal(array.shape)
    x = np.round(random.standard_normal((4, *shape)), 1)  # so that there are equal elements, and zeros
    expected, backs, updates = x, [], {}
    for i, layer in enumerate(net):
        own = {}
        expected, back = layer.vjp(expected, training=training, updates=own)
        backs.append(back)
        updates |= {f"{i}.{key}": array for key, array in own.items()}
    found = {}
    y, pullback = net.vjp(x, training=training, updates=found)
    np.testing.assert_allclose(y, expected, atol=1e-12)
    gy = random.standard_normal(y.shape)
    gx, gradients = pullback(gy)
    wanted, each = gy, {}
    for i in reversed(range(len(backs))):
        wanted, own = backs[i](wanted)
        each |= {f"{i}.{key}": array for key, array in own.items()}
    np.testing.assert_allclose(gx, wanted, atol=1e-10)
    assert gradients.keys() == each.keys()
    assert found.keys() == updates.keys()
    for key, array in each.items():
        np.testing.assert_allclose(gradients[key], array, atol=1e-9)


ALIASES = {
    "flattened": lambda: [cx.Conv2D(4, 3, activation="relu"), cx.Flatten()],
    "pooled": lambda: [cx.Conv2D(4, 3, activation="relu"), cx.MaxPool2D(2)],
    "pooled and flattened": lambda: [cx.Conv2D(4, 3, activation="relu"), cx.MaxPool2D(2), cx.Flatten()],
    "normalized": lambda: [cx.BatchNorm(), cx.Activation("relu")],
    "normalized and pooled": lambda: [cx.BatchNorm(), cx.Activation("relu"), cx.MaxPool2D(2)],
    "left in": lambda: [cx.Conv2D(4, 3, activation="relu"), cx.Dropout(0.5)],
    "nested": lambda: [cx.Sequential(cx.Conv2D(4, 3, activation="relu")), cx.Sequential()],
}


@pytest.mark.parametrize("name", ALIASES)
def test_what_a_network_returns_is_the_callers_to_change(name):
    net = cx.Sequential(*ALIASES[name]())
    y, back = net.vjp(rng.standard_normal((2, 8, 8, 3)).astype(np.float32))
    gy = rng.standard_normal(y.shape).astype(np.float32)
    gx, gradients = back(gy)
    y -= 1
    again, others = back(gy)
    np.testing.assert_array_equal(again, gx)
    for key, array in gradients.items():
        np.testing.assert_array_equal(others[key], array)


class Skipping(cx.Conv2D):
    """A subclass that works on the result of its class in place."""

    def pull(self, x, run):
        y, back = super().pull(x, run)
        y += x

        def around(gy):
            gx, gradients = back(gy)
            return (None if gx is None else gx + gy), gradients

        return y, around


def test_a_subclass_may_change_what_its_class_returns():
    net = cx.Sequential(Skipping(3, 3, padding="same", activation="relu"), cx.BatchNorm()).build((5, 5, 3))
    x = rng.standard_normal((2, 5, 5, 3)).astype(np.float32)
    y, first = net[0].vjp(x)
    z, second = net[1].vjp(y.copy())
    found, back = net.vjp(x)
    np.testing.assert_allclose(found, z, atol=1e-5)
    np.testing.assert_allclose(back(np.ones_like(z))[0], first(second(np.ones_like(z))[0])[0], atol=1e-4)


def test_gradients_of_another_shape_are_refused_in_chains_too():
    x = rng.standard_normal((2, 8, 8, 3)).astype(np.float32)
    for layers in (
        [cx.Conv2D(4, 3, activation="relu"), cx.MaxPool2D(2), cx.Activation("identity")],
        [cx.BatchNorm(), cx.Activation("relu"), cx.Activation("identity")],
    ):
        y, back = cx.Sequential(*layers).vjp(x)
        for wrong in (y.reshape(y.shape[::-1]), y.ravel()):
            with pytest.raises(ValueError, match="shape"):
                back(wrong)
    net = cx.Sequential(cx.Activation("relu"), cx.MaxPool2D(2), cx.Activation("identity"))
    y, back = net.vjp(x.astype(np.float16))
    assert back(np.ones_like(y))[0].dtype == np.float16
    with pytest.raises(ValueError, match="gy must have the shape"):
        cx.Dense(64).vjp(np.ones((64, 64), np.float32))[1](np.ones(63, np.float32))


class Around(nn.Layer):
    """A layer that gives what it is told to one that it holds."""

    def __init__(self, held):
        super().__init__()
        self.held = held

    def output_shape(self, input_shape):
        return self.held.output_shape(input_shape)

    def make(self, input_shape, rng, dtype):
        return self.held.make(input_shape, rng, dtype)

    def param_shapes(self, input_shape):
        return self.held.param_shapes(input_shape)

    def state_shapes(self, input_shape):
        return self.held.state_shapes(input_shape)

    def pull(self, x, run):
        self.held.params, self.held.state = self.params, self.state
        y, back = self.held.pull(x, run)
        return y - 1, back


@pytest.mark.parametrize("held", [cx.BatchNorm(), cx.Conv2D(4, 3, padding="same", activation="relu")])
@pytest.mark.parametrize(
    "behind", [[cx.Activation("relu")], [cx.Activation("relu"), cx.MaxPool2D(2)], [cx.MaxPool2D(2)]]
)
def test_what_a_layer_tells_one_that_it_holds_changes_nothing_behind_it(held, behind):
    net = cx.Sequential(Around(held), *behind, cx.Flatten()).build((4, 4, 4))
    x = rng.standard_normal((3, 4, 4, 4)).astype(np.float32)
    y = x
    for layer in net:
        y = layer(y, training=True)
    np.testing.assert_allclose(net.vjp(x, training=True)[0], y, atol=1e-6)


class Cropping(cx.MaxPool2D):
    """A pooling that does something else."""

    def call(self, ndim):
        return cx.pad, ({1: -1, 2: -1},), {}


class Bent(cx.Activation):
    """An activation that does something else."""

    def call(self, ndim):
        return cx.activate, ("tanh",), {}


@pytest.mark.parametrize(
    "behind", [[cx.Activation("relu"), Cropping(2)], [Bent("relu")], [Bent("relu"), cx.MaxPool2D(2)]]
)
def test_a_layer_that_is_another_operation_is_left_alone(behind):
    x = rng.standard_normal((2, 4, 4, 3)).astype(np.float32)
    net = cx.Sequential(cx.BatchNorm(), *behind, cx.BatchNorm())
    y = x
    for layer in net:
        y = layer(y, training=True)
    np.testing.assert_allclose(net.vjp(x, training=True)[0], y, atol=1e-6)


@pytest.mark.parametrize("pooling", [cx.MaxPool2D(3, stride=2), cx.AvgPool2D(2)])
def test_no_pullback_keeps_a_map_that_nothing_reads_again(pooling):
    seen = []

    class Seeing(cx.Activation):
        def pull(self, x, run):
            seen.append(weakref.ref(x))
            return x + 0, lambda gy: (gy, {})

    net = cx.Sequential(cx.BatchNorm(), Seeing("identity"), pooling)
    x = rng.standard_normal((2, 9, 8, 3)).astype(np.float32)
    y, back = net.vjp(x, training=True)
    gc.collect()
    assert seen[0]() is None
    assert back(np.ones_like(y))[0].shape == x.shape


@pytest.mark.parametrize("kind", ["max", "avg", "sum"])
def test_the_pullback_of_a_pooling_keeps_only_what_it_reads(kind):
    x = rng.standard_normal((2, 8, 8, 3)).astype(np.float32)
    seen = weakref.ref(x)
    y, back = cx.vjp(cx.pool2d, x, 2, kind)
    del x
    gc.collect()
    assert seen() is None
    assert back(np.ones_like(y))[0].shape == (2, 8, 8, 3)
