"""Layers and networks: shapes, gradients, plain data and back, files, training."""

import json
import zipfile

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import pyconvx as cx
from pyconvx import nn
from pyconvx.nn.config import LAYERS
from pyconvx.nn.layer import Run
from pyconvx.nn.losses import loss_and_gradient
from pyconvx.nn.schedules import factor

rng = np.random.default_rng(0)
WINDOWED = {
    "Conv": (4, 3),
    "ConvTranspose": (4, 2),
    "DepthwiseConv": (3,),
    "SeparableConv": (4, 3),
    "Pool": (2,),
    "MaxPool": (2,),
    "AvgPool": (2,),
    "AdaptivePool": (2,),
}


def a_layer(name, layout):
    """A layer of that class, and the shape of an input for it; None for one that is made of others."""
    kind, rank = LAYERS[name], int(name[-2]) if name.endswith("D") else 2
    shape = (*(6, 5, 4)[:rank], 3) if layout == "channels_last" else (3, *(6, 5, 4)[:rank])
    options = {"layout": layout} if "layout" in getattr(kind, "__dataclass_fields__", {}) else {}
    if name.endswith("D") and name[:-2] in WINDOWED:
        if name.startswith(("Conv", "Depthwise", "Separable")):
            options["activation"] = "tanh"
        return kind(*WINDOWED[name[:-2]], **options), shape
    arguments = {"Activation": ("softmax",), "Pad": (1, "reflect"), "Dense": (4,), "Dropout": (0.3,)}.get(name, ())
    if name == "Dense":
        return kind(*arguments, activation="gelu"), (7,)
    return kind(*arguments, **options), shape


SINGLE = [name for name in LAYERS if name not in ("Sequential", "Parallel", "Residual")]


def check_gradients(layer, x, options):
    """Gradients of every parameter and of x against differences along random directions."""
    y, pullback = layer.vjp(x, **options(), updates={})
    gy = rng.standard_normal(y.shape)
    gx, gradients = pullback(gy)
    assert gx.shape == x.shape
    assert gradients.keys() == layer.params.keys()

    def value(x):
        return float((layer(x, **options()) * gy).sum())

    for array, gradient in [(x, gx), *((layer.params[name], each) for name, each in gradients.items())]:
        assert gradient.shape == array.shape
        direction, step = rng.standard_normal(array.shape), 1e-6
        array += step * direction
        high = value(x)
        array -= 2 * step * direction
        low = value(x)
        array += step * direction
        slope = float((gradient * direction).sum())
        assert (high - low) / (2 * step) == pytest.approx(slope, rel=1e-5, abs=1e-6)


@pytest.mark.parametrize("layout", ["channels_last", "channels_first"])
@pytest.mark.parametrize("name", SINGLE)
def test_every_layer_has_its_shape_and_gradients(name, layout):
    layer, shape = a_layer(name, layout)
    layer.build(shape, seed=1, dtype=np.float64)
    size = 3 * int(np.prod(shape))
    x = rng.permutation(np.linspace(-2, 2, size)).reshape(3, *shape)  # no two so close that a step could swap them
    assert layer(x).shape == (3, *layer.output_shape(shape))
    assert {key: array.shape for key, array in layer.params.items()} == layer.param_shapes(shape)
    assert {key: array.shape for key, array in layer.state.items()} == layer.state_shapes(shape)
    check_gradients(layer, x, lambda: {})
    check_gradients(layer, x, lambda: {"training": True, "rng": np.random.default_rng(3)})


@pytest.mark.parametrize("name", SINGLE)
def test_every_layer_is_plain_data_and_prints_as_it_was_made(name):
    layer, _ = a_layer(name, "channels_first")
    again = nn.from_config(json.dumps(nn.to_config(layer)))
    assert type(again) is type(layer)
    assert again.options() == layer.options()
    assert repr(again) == repr(layer)
    assert repr(eval(repr(layer), vars(nn))) == repr(layer)


def network():
    return nn.Sequential(
        nn.Conv2D(6, 3, padding="same", padding_mode=("reflect", "circular"), activation="relu"),
        nn.BatchNorm(),
        nn.Residual(nn.Conv2D(6, 3, padding="same"), nn.Activation(cx.activation("leaky_relu", alpha=0.2))),
        nn.Residual(nn.Conv2D(8, 1), shortcut=nn.Conv2D(8, 1, bias=False)),
        nn.Parallel([nn.MaxPool2D(2), nn.Pool2D(2, cx.pooling("lp", p=3)), nn.Conv2D(3, 2, stride=2)]),
        nn.Dropout(0.2),
        nn.Flatten(),
        nn.Dense(5),
    )


def test_gradients_of_a_network():
    net = network().build((6, 6, 2), dtype=np.float64)
    for training in (False, True):
        check_gradients(
            net,
            rng.standard_normal((4, 6, 6, 2)),
            lambda training=training: {"training": training, "rng": np.random.default_rng(3)},
        )


def test_a_network_is_plain_data():
    net = network()
    again = nn.from_config(json.dumps(nn.to_config(net)))
    assert repr(again) == repr(net)
    assert nn.to_config(again) == nn.to_config(net)


def test_a_configuration_says_where_it_is_wrong():
    good = nn.to_config(network())
    for change, message in (
        (
            lambda c: c["layers"][0].update(activation="rleu"),
            r"layers\[0\].activation: unknown activation 'rleu'; did you",
        ),
        (lambda c: c["layers"][0].update(padding_mode=["reflect", "nope"]), r"layers\[0\].padding_mode: unknown"),
        (lambda c: c["layers"][0].update(filtres=3), r"layers\[0\], Conv2D: .*filtres"),
        (lambda c: c["layers"][1].update(layer="BatchNrom"), r"layers\[1\]: there is no layer 'BatchNrom'"),
        (lambda c: c["layers"][2]["layers"][0].pop("layer"), r"layers\[2\].layers\[0\] must be a dict"),
        (lambda c: c.update(layers=3), "layers must be a list"),
    ):
        config = json.loads(json.dumps(good))
        change(config)
        with pytest.raises(ValueError, match=message):
            nn.from_config(config)


def test_a_call_leaves_nothing_behind():
    net = network().build((6, 6, 2))
    before = {**{k: a.copy() for k, a in net.params.items()}, **{k: a.copy() for k, a in net.state.items()}}
    x = rng.standard_normal((4, 6, 6, 2)).astype(np.float32)
    y, pullback = net.vjp(x, training=True, rng=np.random.default_rng(0))
    pullback(y)
    net(x, training=True, rng=np.random.default_rng(0))
    for key, array in {**net.params, **net.state}.items():
        np.testing.assert_array_equal(array, before[key])


def test_batch_norm_remembers_what_it_is_told_to():
    layer = nn.BatchNorm(momentum=0.5).build((4,), dtype=np.float64)
    x = rng.standard_normal((100, 4)) * 3 + 1
    updates = {}
    layer.vjp(x, training=True, updates=updates)
    np.testing.assert_allclose(updates["mean"], 0.5 * x.mean(0))
    np.testing.assert_allclose(updates["variance"], 0.5 + 0.5 * x.var(0, ddof=1))
    layer.state = updates
    factors, offsets = layer.factors()
    np.testing.assert_allclose(layer(x), x * factors + offsets)


@pytest.mark.parametrize("dtype", [np.uint8, np.float16])
def test_batch_norm_of_other_numbers(dtype):
    x = rng.integers(0, 100, (50, 3)).astype(dtype)
    layer = nn.BatchNorm().build((3,))
    y = layer(x, training=True)
    assert y.dtype == np.float32
    np.testing.assert_allclose(y, layer(x.astype(np.float32), training=True))
    np.testing.assert_allclose(y.mean(0), 0, atol=1e-5)


def test_errors():
    with pytest.raises(ValueError, match="layer 1, Dense"):
        nn.Sequential(nn.Conv2D(3, 3), nn.Dense(3)).build((8, 8, 1))
    with pytest.raises(ValueError, match="2 spatial axes"):
        nn.Conv2D(3, 3).build((8, 1))
    with pytest.raises(TypeError, match="made of layers"):
        nn.Sequential(nn.Conv2D(3, 3), "relu")
    with pytest.raises(ValueError, match="rate must be"):
        nn.Dropout(1.0)
    with pytest.raises(ValueError, match="rng="):
        nn.Dropout(0.5)(np.ones((1, 2)), training=True)
    with pytest.raises(ValueError, match="cannot be merged"):
        nn.Parallel([nn.Conv2D(3, 1), nn.Conv2D(4, 1)], merge="add").build((4, 4, 1))
    with pytest.raises(ValueError, match="no parameters yet"):
        _ = nn.Conv2D(3, 3).parameters
    with pytest.raises(ValueError, match="positive ints"):
        nn.Conv2D(3, 3).build((8, 0, 1))


def test_options_are_replaced_and_weights_kept():
    net = network().build((6, 6, 2))
    other = net.replace(padding_mode="zeros", activation="gelu", kind="avg")
    assert all(one is two for one, two in zip(net.params.values(), other.params.values(), strict=True))
    assert other.params.keys() == net.params.keys()
    assert repr(other).count("gelu") == 2
    assert "MaxPool" not in repr(other)
    assert "reflect" in repr(net)
    assert "reflect" not in repr(other)
    x = rng.standard_normal((2, 6, 6, 2)).astype(np.float32)
    assert other(x).shape == net(x).shape
    assert repr(net.replace(kind="max").replace(kind="max")) == repr(net.replace(kind="max"))
    with pytest.raises(TypeError, match="no layer has the option filtres"):
        net.replace(filtres=3)


@pytest.mark.parametrize("layout", ["channels_last", "channels_first"])
def test_a_frozen_network_gives_the_same(layout):
    options = {"layout": layout}
    net = nn.Sequential(
        nn.Conv2D(6, 3, bias=False, **options),
        nn.BatchNorm(**options),
        nn.Activation("gelu", **options),
        nn.Sequential(nn.DepthwiseConv2D(3, padding="same", multiplier=2, **options), nn.BatchNorm(**options)),
        nn.ConvTranspose2D(8, 2, stride=2, groups=2, **options),
        nn.BatchNorm(**options),
        nn.Residual(nn.Conv2D(8, 1, **options), nn.BatchNorm(**options), nn.Dropout(0.5)),
        nn.SeparableConv2D(4, 3, **options),
        nn.BatchNorm(**options),
        nn.GlobalPool(**options),
        nn.Dense(5, bias=False),
        nn.BatchNorm(),
        nn.Activation("softmax"),
    ).build((9, 9, 2) if layout == "channels_last" else (2, 9, 9), dtype=np.float64)
    for name, array in {**net.params, **net.state}.items():
        array[...] = (
            rng.uniform(0.5, 1.5, array.shape)
            if name.endswith(("variance", "scale"))
            else array + rng.normal(scale=0.1, size=array.shape)
        )
    x = rng.standard_normal((3, *net.input_shape))
    fast = net.freeze()
    np.testing.assert_allclose(fast(x), net(x), rtol=1e-9)
    assert "BatchNorm" not in repr(fast)
    assert "Dropout" not in repr(fast)
    before = fast(x)
    for array in net.params.values():
        array += 1
    np.testing.assert_array_equal(fast(x), before)
    with pytest.raises(ValueError, match="frozen network has no gradients"):
        fast.vjp(x)
    with pytest.raises(ValueError, match="no parameters yet"):
        nn.Sequential(nn.Dense(2)).freeze()


def test_methods_are_the_functions():
    net = network()
    assert repr(nn.Sequential.from_config(net.to_config())) == repr(net)
    assert str(net.summary((6, 6, 2))) == str(nn.summary(net, (6, 6, 2)))


# Losses, optimizers, schedules


@pytest.mark.parametrize("name", sorted(nn.losses))
@settings(max_examples=20)
@given(seed=st.integers(0, 999))
def test_a_loss_has_its_gradient(name, seed):
    random = np.random.default_rng(seed)
    y = random.standard_normal((3, 4))
    targets = [random.standard_normal((3, 4))]
    if name == "cross_entropy":
        targets = [random.integers(0, 4, 3), random.dirichlet(np.ones(4), 3)]
    for target in targets:
        _, gradient = loss_and_gradient(name, y, target)
        direction, step = random.standard_normal(y.shape), 1e-6
        high, low = (loss_and_gradient(name, y + sign * step * direction, target)[0] for sign in (1, -1))
        assert (high - low) / (2 * step) == pytest.approx((gradient * direction).sum(), rel=1e-4, abs=1e-5)


def test_losses_of_wrong_targets():
    with pytest.raises(ValueError, match=r"labels must be in 0\.\.\.3"):
        loss_and_gradient("cross_entropy", np.zeros((2, 4)), [1, 4])
    with pytest.raises(ValueError, match="shape of the prediction"):
        loss_and_gradient("mse", np.zeros((2, 4)), np.zeros(2))


OPTIMIZERS = [
    nn.SGD(0.1),
    nn.SGD(0.02, momentum=0.9),
    nn.SGD(0.02, momentum=0.9, nesterov=True),
    nn.Adam(0.1),
    nn.AdamW(0.1, weight_decay=1e-4),
]


@pytest.mark.parametrize("chosen", OPTIMIZERS, ids=repr)
def test_an_optimizer_finds_a_minimum(chosen):
    value = {"w": np.array([3.0, -2.0])}
    for _ in range(300):
        chosen.step(value, {"w": 2 * (value["w"] - 1)})
    np.testing.assert_allclose(value["w"], 1, atol=0.02)
    with pytest.raises(ValueError, match="without the other: w"):
        chosen.step(value, {})


@pytest.mark.parametrize("name", sorted(nn.schedules))
def test_a_schedule_is_a_factor(name):
    factors = [factor(name, progress) for progress in np.linspace(0, 1, 101)]
    assert all(0 <= each <= 1 for each in factors)
    assert max(factors) == pytest.approx(1, abs=1e-3)


# Files


@pytest.mark.parametrize("ending", ["npz", "safetensors"])
def test_a_network_comes_back_from_a_file(ending, tmp_path):
    if ending == "safetensors":
        pytest.importorskip("safetensors")
    net = network().build((6, 6, 2), seed=5)
    nn.save(net, tmp_path / f"net.{ending}")
    again = nn.load(tmp_path / f"net.{ending}")
    x = rng.standard_normal((2, 6, 6, 2)).astype(np.float32)
    assert again(x).tobytes() == net(x).tobytes()
    assert again.input_shape == net.input_shape


def test_damaged_files_are_told(tmp_path):
    path = tmp_path / "net.npz"
    nn.save(nn.Sequential(nn.Conv2D(2, 3)).build((5, 5, 1)), path)
    whole = path.read_bytes()
    bad = tmp_path / "bad.npz"
    for length in (0, 1, 10, len(whole) // 2, len(whole) - 10):
        bad.write_bytes(whole[:length])
        with pytest.raises(ValueError, match="holds no network"):
            nn.load(bad)
    arrays = dict(np.load(path))
    for change, message in (
        ({"params/0.filters": np.zeros((2, 3, 3, 2), np.float32)}, "must be floats of shape"),
        ({"params/0.filters": np.zeros((2, 3, 3, 1), np.int64)}, "must be floats"),
        ({"params/0.extra": np.zeros(3, np.float32)}, "missing or too many"),
        ({"config": np.frombuffer(b"{}", np.uint8)}, "format"),
        (
            {
                "config": np.frombuffer(
                    json.dumps(
                        {"format": 1, "input_shape": [10**12], "network": {"layer": "Dense", "units": 10**6}}
                    ).encode(),
                    np.uint8,
                )
            },
            "missing or too many",
        ),
        ({"config": np.frombuffer(b"\xff{", np.uint8)}, "holds no network"),
        ({"config": np.zeros(3)}, "no text"),
    ):
        np.savez(bad, **{**arrays, **change})
        with pytest.raises(ValueError, match=message):
            nn.load(bad)
    np.savez(bad, **{**arrays, "params/0.filters": np.array([1, "a"], object)})
    with pytest.raises(ValueError, match="holds no network"):
        nn.load(bad)
    with zipfile.ZipFile(bad, "w") as file:
        file.writestr("config.npy", b"nothing")
    with pytest.raises(ValueError, match="holds no network"):
        nn.load(bad)
    with pytest.raises(FileNotFoundError):
        nn.load(tmp_path / "none.npz")
    with pytest.raises(ValueError, match="must end in"):
        nn.load(tmp_path / "net.pickle")


# Training


def data(n=96):
    random = np.random.default_rng(1)
    x = random.standard_normal((n, 6, 6, 1)).astype(np.float32)
    return x, (x[:, :3].sum((1, 2, 3)) > x[:, 3:].sum((1, 2, 3))).astype(int)


def small():
    return nn.Sequential(
        nn.Conv2D(4, 3, activation="relu"), nn.BatchNorm(), nn.Dropout(0.1), nn.Flatten(), nn.Dense(2)
    ).build((6, 6, 1), seed=2)


def all_bits(net):
    return {key: array.tobytes() for key, array in {**net.params, **net.state}.items()}


def test_it_learns():
    x, y = data()
    net = small()
    history = nn.fit(net, x, y, epochs=12, validation=0.25, optimizer=nn.Adam(0.01), schedule="one_cycle", clip=1.0)
    assert history.epochs == 12 == len(history.validation_loss) == len(history.seconds)
    assert history.accuracy[-1] > 0.85
    assert history.loss[-1] < history.loss[0]
    assert nn.predict(net, x).shape == (96, 2)
    assert nn.evaluate(net, x, y)[1] > 0.85


@pytest.mark.parametrize("chosen", ["adamw", "sgd"])
def test_an_interrupted_training_goes_on_with_the_same_bits(chosen, tmp_path):
    x, y = data()
    options = {"epochs": 4, "batch_size": 16, "seed": 7, "schedule": "cosine", "validation": 0.2, "keep_best": True}
    whole, parts = small(), small()
    history = nn.fit(whole, x, y, optimizer=chosen, **options)
    path = tmp_path / "training.npz"

    class Stop(Exception):
        pass

    def stop(history, net):
        if history.epochs == 2:
            raise Stop

    with pytest.raises(Stop):
        nn.fit(parts, x, y, optimizer=chosen, checkpoint=path, callbacks=[stop], **options)
    parts = small()
    with cx.threads(1):
        again = nn.fit(parts, x, y, optimizer=chosen, checkpoint=path, **options)
    assert all_bits(parts) == all_bits(whole)
    assert again.loss == history.loss
    assert again.validation_loss == history.validation_loss


def test_patience_and_callbacks_end_a_training():
    x, y = data()
    random = np.random.default_rng(0).permutation(y)  # there is nothing to learn
    history = nn.fit(small(), x, random, epochs=60, validation=0.3, patience=2, optimizer=nn.Adam(0.02))
    assert history.epochs == history.best + 3 < 60
    history = nn.fit(small(), x, y, epochs=5, callbacks=[lambda history, net: history.epochs == 3])
    assert history.epochs == 3


def test_arguments_of_fit():
    x, y = data()
    for options, message in (
        ({"epochs": 0}, "epochs must be at least 1"),
        ({"validation": 1.5}, "share between"),
        ({"optimizer": "adan"}, "one of sgd, adam, adamw"),
        ({"loss": "mes"}, "unknown loss"),
        ({"schedule": "cosnie"}, "unknown schedule"),
    ):
        with pytest.raises(ValueError, match=message):
            nn.fit(small(), x, y, **options)
    with pytest.raises(ValueError, match="as many samples"):
        nn.fit(small(), x, y[:-1])
    with pytest.raises(ValueError, match="the loss is"):
        nn.fit(small(), x * np.float32(np.nan), y)


def test_summary_counts_what_there_is():
    net = network()
    table = nn.summary(net, (6, 6, 2))
    assert net.input_shape is None
    net.build((6, 6, 2))
    assert table.parameters == net.parameters
    assert table.multiply_adds == net.multiply_adds((6, 6, 2))
    assert all(type(layer).__name__ in str(table) for layer in net)
    assert table._repr_html_().count("<tr>") == len(table.rows) + 1


def test_training_leaves_out_what_nobody_learns_from():
    """The gradients of parameters are the same bits without that of the input."""
    nets = [
        (network(), (8, 8, 3)),
        (
            cx.Sequential(cx.Dropout(0.2), cx.Conv2D(4, 3), cx.Residual(cx.Conv2D(4, 1)), cx.Flatten(), cx.Dense(2)),
            (8, 8, 3),
        ),
        (cx.Sequential(cx.Residual(cx.Dense(4)), cx.Parallel([cx.Dense(3), cx.Flatten()])), (4,)),
        (cx.Sequential(cx.SeparableConv2D(4, 3), cx.ConvTranspose2D(3, 2)), (8, 8, 3)),
    ]
    for net, shape in nets:
        net.build(shape)
        x = rng.standard_normal((3, *shape)).astype(np.float32)
        found = []
        for wanted in (True, False):
            y, back = net.pull(x, Run(True, np.random.default_rng(0), {}, wanted))
            gx, gradients = back(np.ones_like(y))
            assert gx is not None or not wanted
            found.append({key: array.tobytes() for key, array in gradients.items()})
        assert found[0] == found[1]
        assert found[0].keys() == net.params.keys()
