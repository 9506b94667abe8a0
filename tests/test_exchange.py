"""Weights of other libraries: there and back, and the same results as PyTorch and Keras have with them."""

import os

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import pyconvx as cx
from pyconvx import nn
from pyconvx.nn.save import arrays_of

rng = np.random.default_rng(0)


def everything(layout):
    """A network with every kind of layer that has weights."""
    options = {"layout": layout}
    return cx.Sequential(
        cx.Conv2D(8, (3, 5), padding="same", groups=2, **options),
        cx.BatchNorm(**options),
        cx.DepthwiseConv2D(3, multiplier=2, bias=False, **options),
        cx.Residual(cx.SeparableConv2D(16, 3, padding="same", **options), cx.Conv2D(16, 1, padding="same", **options)),
        cx.ConvTranspose2D(6, 2, stride=2, **options),
        cx.MaxPool2D(2, **options),
        cx.Flatten(),
        cx.Dropout(0.5),
        cx.Dense(7, activation="relu"),
        cx.Dense(3, bias=False),
    )


def shape_for(layout):
    return (6, 7, 4) if layout == "channels_last" else (4, 6, 7)


def shaken(net):
    """The same network with other statistics than those it begins with."""
    for array in net.state.values():
        array[...] = rng.random(array.shape) + 0.5
    return net


EXCHANGES = [
    (nn.to_torch_state_dict, nn.from_torch_state_dict),
    (nn.to_keras_weights, nn.from_keras_weights),
]


@pytest.mark.parametrize(("write", "read"), EXCHANGES, ids=["torch", "keras"])
@pytest.mark.parametrize("source", ["channels_last", "channels_first"])
@pytest.mark.parametrize("target", ["channels_last", "channels_first"])
def test_there_and_back_between_layouts(write, read, source, target):
    net = shaken(everything(source).build(shape_for(source), seed=1))
    weights = write(net)
    other = read(everything(target).build(shape_for(target), seed=2), weights)
    x = rng.standard_normal((2, *shape_for("channels_last"))).astype(np.float32)
    arrays = {"channels_last": x, "channels_first": np.moveaxis(x, -1, 1)}
    np.testing.assert_allclose(other(arrays[target]), net(arrays[source]), rtol=1e-5, atol=1e-5)
    again = write(other)
    if isinstance(again, dict):
        assert list(again) == list(weights)
        again, weights = list(again.values()), list(weights.values())
    assert all(np.array_equal(one, two) for one, two in zip(again, weights, strict=True))


@given(data=st.data())
@settings(max_examples=25)
def test_convolutions_of_every_rank(data):
    rank, layout = data.draw(st.integers(1, 3)), data.draw(st.sampled_from(["channels_last", "channels_first"]))
    groups = data.draw(st.sampled_from([1, 2]))
    name = data.draw(st.sampled_from(["Conv", "ConvTranspose"]))
    kernel = data.draw(st.tuples(*[st.integers(1, 3)] * rank))
    net = getattr(cx, f"{name}{rank}D")(4, kernel, groups=groups, layout=layout)
    shape = (5,) * rank
    net.build((*shape, 6) if layout == "channels_last" else (6, *shape))
    weights = nn.to_torch_state_dict(net)
    assert weights["weight"].shape == ((4, 6 // groups) if name == "Conv" else (6, 4 // groups)) + kernel
    kernels = nn.to_keras_weights(net)
    assert kernels[0].shape == (*kernel, *weights["weight"].shape[1::-1])
    values = {key: rng.standard_normal(array.shape) for key, array in weights.items()}
    nn.from_torch_state_dict(net, values)
    assert all(np.allclose(nn.to_torch_state_dict(net)[key], value) for key, value in values.items())


def test_what_does_not_fit_is_told_and_nothing_is_set():
    net = everything("channels_last").build((6, 7, 4))
    before = {key: array.copy() for key, array in arrays_of(net).items()}
    weights = nn.to_torch_state_dict(net)
    last = list(weights)[-1]
    with pytest.raises(ValueError, match=rf"{last} has the shape \(3, 8\).*takes numbers of the shape \(3, 7\)"):
        nn.from_torch_state_dict(net, {**{key: array + 1 for key, array in weights.items()}, last: np.ones((3, 8))})
    with pytest.raises(ValueError, match=r"dtype complex128"):
        nn.from_torch_state_dict(net, {**weights, last: np.ones((3, 7), complex)})
    with pytest.raises(ValueError, match=r"lacks '1.running_mean' and has '1.mean'"):
        nn.from_torch_state_dict(net, {key.replace("running_mean", "mean"): array for key, array in weights.items()})
    with pytest.raises(ValueError, match=r"has 10 modules with weights .*, net has 9"):
        nn.from_torch_state_dict(net, {**weights, "more.weight": np.ones(3)})
    with pytest.raises(ValueError, match=r"weights are 3 arrays, net has"):
        nn.from_keras_weights(net, nn.to_keras_weights(net)[:3])
    with pytest.raises(ValueError, match="build"):
        nn.to_torch_state_dict(everything("channels_last"))
    for key, array in arrays_of(net).items():
        assert np.array_equal(array, before[key])


def test_pytorch_computes_the_same():
    torch = pytest.importorskip("torch")
    module = torch.nn.Sequential(
        torch.nn.Conv2d(4, 8, (3, 5), padding=(1, 2), groups=2),
        torch.nn.BatchNorm2d(8),
        torch.nn.ReLU(),
        torch.nn.Conv2d(8, 16, 3, groups=8, bias=False),
        torch.nn.ConvTranspose2d(16, 6, 2, stride=2, groups=2),
        torch.nn.MaxPool2d(2),
        torch.nn.Flatten(),
        torch.nn.Linear(6 * 4 * 5, 7),
        torch.nn.Tanh(),
        torch.nn.Linear(7, 3, bias=False),
    ).eval()
    module[1].running_mean.uniform_(-1, 1)
    module[1].running_var.uniform_(0.5, 2)
    net = cx.Sequential(
        cx.Conv2D(8, (3, 5), padding=(1, 2), groups=2),
        cx.BatchNorm(),
        cx.Activation("relu"),
        cx.DepthwiseConv2D(3, multiplier=2, bias=False),
        cx.ConvTranspose2D(6, 2, stride=2, groups=2),
        cx.MaxPool2D(2),
        cx.Flatten(),
        cx.Dense(7, activation="tanh"),
        cx.Dense(3, bias=False),
    ).build((6, 7, 4))
    nn.from_torch_state_dict(net, module.state_dict())
    x = rng.standard_normal((3, 6, 7, 4)).astype(np.float32)
    with torch.no_grad():
        want = module(torch.from_numpy(np.moveaxis(x, -1, 1).copy())).numpy()
    np.testing.assert_allclose(net(x), want, rtol=1e-4, atol=1e-5)
    names = [name for name in module.state_dict() if "num_batches" not in name]
    weights = zip(names, nn.to_torch_state_dict(net).values(), strict=True)
    module.load_state_dict({name: torch.from_numpy(array) for name, array in weights}, strict=False)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # Keras's own
def test_keras_computes_the_same():
    pytest.importorskip("torch")
    os.environ.setdefault("KERAS_BACKEND", "torch")
    keras = pytest.importorskip("keras")
    layers = keras.layers
    model = keras.Sequential(
        [
            layers.Input((8, 8, 4)),
            layers.Conv2D(8, 3, strides=2, padding="same", groups=2),
            layers.BatchNormalization(),
            layers.DepthwiseConv2D(3, depth_multiplier=2, padding="same"),
            layers.SeparableConv2D(6, 3, depth_multiplier=2, padding="same", activation="relu"),
            layers.Conv2DTranspose(5, 2, strides=2),
            layers.MaxPooling2D(2),
            layers.Flatten(),
            layers.Dropout(0.5),
            layers.Dense(3),
        ]
    )
    weights = [rng.random(array.shape) + 0.1 for array in model.get_weights()]
    model.set_weights(weights)
    net = cx.Sequential(
        cx.Conv2D(8, 3, stride=2, padding="same", groups=2),
        cx.BatchNorm(epsilon=1e-3),
        cx.DepthwiseConv2D(3, multiplier=2, padding="same"),
        cx.SeparableConv2D(6, 3, multiplier=2, padding="same", activation="relu"),
        cx.ConvTranspose2D(5, 2, stride=2),
        cx.MaxPool2D(2),
        cx.Flatten(),
        cx.Dropout(0.5),
        cx.Dense(3),
    ).build((8, 8, 4))
    nn.from_keras_weights(net, model.get_weights())
    x = rng.standard_normal((2, 8, 8, 4)).astype(np.float32)
    want = keras.ops.convert_to_numpy(model(x))
    np.testing.assert_allclose(net(x), want, rtol=1e-4, atol=1e-3)
    model.set_weights(nn.to_keras_weights(net))


def through_torch(net, module, shape):
    """The largest difference to a torch module that is given the weights of a network."""
    torch = pytest.importorskip("torch")
    net.build(shape, dtype=np.float64)
    shaken(net)
    module = module.double().eval()
    names = [name for name in module.state_dict() if "num_batches" not in name]
    weights = zip(names, nn.to_torch_state_dict(net).values(), strict=True)
    module.load_state_dict({name: torch.from_numpy(array) for name, array in weights}, strict=False)
    again = cx.nn.from_config(net.to_config()).build(shape, dtype=np.float64)
    nn.from_torch_state_dict(again, module.state_dict())
    x = rng.standard_normal((3, *shape))
    first = any(getattr(layer, "layout", "") == "channels_first" for layer in net if isinstance(layer, cx.Conv2D))
    with torch.no_grad():
        want = module(torch.from_numpy(x if first else np.moveaxis(x, -1, 1).copy())).numpy()
    return max(np.abs(each(x) - want).max() for each in (net, again))


def test_features_keep_their_order_until_they_are_summed():
    torch = pytest.importorskip("torch")
    n = torch.nn
    net = cx.Sequential(cx.Conv2D(3, 3), cx.Flatten(), cx.BatchNorm(), cx.Dropout(0.5), cx.Flatten(), cx.Dense(4))
    module = n.Sequential(n.Conv2d(2, 3, 3), n.Flatten(), n.BatchNorm1d(27), n.Dropout(), n.Flatten(), n.Linear(27, 4))
    assert through_torch(net, module, (5, 5, 2)) < 1e-12
    net = cx.Sequential(
        cx.Conv2D(3, 3, layout="channels_first"), cx.Activation("relu"), cx.Flatten(), cx.Dense(4), cx.Dense(2)
    )
    module = n.Sequential(n.Conv2d(2, 3, 3), n.ReLU(), n.Flatten(), n.Linear(27, 4), n.Linear(4, 2))
    assert through_torch(net, module, (2, 5, 5)) < 1e-12

    class Both(n.Module):
        def __init__(self):
            super().__init__()
            self.conv, self.dense = n.Conv2d(2, 3, 3), n.Linear(27 + 50 + 2, 4)

        def forward(self, x):
            parts = [self.conv(x).flatten(1), x.flatten(1), x.mean((2, 3))]
            return self.dense(torch.cat(parts, 1))

    branches = cx.Parallel(cx.Sequential(cx.Conv2D(3, 3), cx.Flatten()), cx.Flatten(), cx.GlobalPool())
    assert through_torch(cx.Sequential(branches, cx.Dense(4)), Both(), (5, 5, 2)) < 1e-12


def test_an_order_that_nobody_can_tell_is_refused():
    mixed = cx.Parallel(
        cx.Sequential(cx.Conv2D(1, 1), cx.Flatten()), cx.Sequential(cx.GlobalPool(), cx.Dense(25)), merge="add"
    )
    net = cx.Sequential(mixed, cx.Dense(2)).build((5, 5, 1))
    nn.to_torch_state_dict(net)  # one channel: the orders are the same
    mixed = cx.Parallel(
        cx.Sequential(cx.Conv2D(2, 1), cx.Flatten()), cx.Sequential(cx.GlobalPool(), cx.Dense(50)), merge="add"
    )
    net = cx.Sequential(mixed, cx.Dense(2)).build((5, 5, 2))
    with pytest.raises(ValueError, match="another one in each of its branches"):
        nn.to_torch_state_dict(net)
    with pytest.raises(ValueError, match="frozen"):
        nn.to_torch_state_dict(cx.Sequential(cx.Conv2D(2, 1)).build((5, 5, 2)).freeze())


@pytest.mark.parametrize("renamed", [False, True])
def test_names_that_a_file_has_sorted(renamed):
    """Ten layers and more of one shape: "10" comes before "2" there."""
    net = cx.Sequential(*[cx.Conv2D(2, 1) for _ in range(12)]).build((3, 3, 2), seed=1)
    for array in net.params.values():
        array[...] = rng.standard_normal(array.shape)
    weights = nn.to_torch_state_dict(net)
    if renamed:
        weights = {f"conv{name}": array for name, array in weights.items()}
    other = cx.Sequential(*[cx.Conv2D(2, 1) for _ in range(12)]).build((3, 3, 2), seed=2)
    nn.from_torch_state_dict(other, dict(sorted(weights.items())))
    assert all(np.array_equal(array, net.params[name]) for name, array in other.params.items())
