"""What reviewers of the networks found: each stays mended."""

import json
import time

import numpy as np
import pytest

import pyconvx as cx
from pyconvx import nn
from pyconvx.nn.losses import loss_and_gradient
from pyconvx.nn.save import arrays_of

rng = np.random.default_rng(0)


def bits(net):
    return {key: array.tobytes() for key, array in arrays_of(net).items()}


def data(n=32):
    x = rng.standard_normal((n, 4)).astype(np.float32)
    return x, (x[:, 0] > 0).astype(int)


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


# Checkpoints.


def dense(units):
    return cx.Sequential(cx.Dense(units))


@pytest.mark.parametrize(
    ("other", "options", "message"),
    [
        (lambda: dense(2), {}, "network"),
        (lambda: cx.Sequential(cx.Dense(1, activation="relu")), {}, "network"),
        (lambda: dense(1), {"batch_size": 7}, "batch_size was 32, is 7"),
        (lambda: dense(1), {"seed": 3}, "seed was 0, is 3"),
        (lambda: dense(1), {"clip": 1.0}, "clip was None, is 1.0"),
        (lambda: dense(1), {"loss": "mae"}, "loss was 'mse\\(\\)', is 'mae\\(\\)'"),
        (lambda: dense(1), {"schedule": "cosine"}, "schedule"),
        (lambda: dense(1), {"optimizer": "sgd"}, "optimizer"),
    ],
)
def test_a_checkpoint_of_another_training_is_refused_and_nothing_is_changed(other, options, message, tmp_path):
    x, target = data()[0], rng.standard_normal((32, 1))
    path = tmp_path / "training.npz"
    nn.fit(dense(1), x, target, loss="mse", checkpoint=path)
    net = other()
    net(x)
    before = bits(net)
    target = target if net(x).shape[1] == 1 else np.repeat(target, 2, 1)
    with pytest.raises(ValueError, match=message):
        nn.fit(net, x, target, **{"loss": "mse", "epochs": 2, "checkpoint": path, **options})
    assert bits(net) == before


def test_a_damaged_checkpoint_changes_nothing(tmp_path):
    x, labels = data()
    net, path = dense(2), tmp_path / "training.npz"
    nn.fit(net, x, labels, checkpoint=path)
    with np.load(path) as file:
        arrays = dict(file)
    about = json.loads(arrays["about"].tobytes())
    for key, value in (
        ("net/params/0.bias", np.float32(3)),
        ("net/params/0.bias", np.ones(2, complex)),
        ("optimizer/mean.0.bias", np.ones(5)),
        ("net/params/1.bias", np.ones(2)),
        ("about", {**about, "steps": -5}),
        ("about", {**about, "history": {**about["history"], "loss": "0.1"}}),
    ):
        changed = np.frombuffer(json.dumps(value).encode(), np.uint8) if key == "about" else value
        with open(path, "wb") as file:
            np.savez(file, **{**arrays, key: changed})
        before = bits(net)
        with pytest.raises(ValueError, match="checkpoint"):
            nn.fit(net, x, labels, epochs=2, checkpoint=path)
        assert bits(net) == before


def test_what_is_watched_must_be_the_same(tmp_path):
    x, labels = data()
    path = tmp_path / "training.npz"
    nn.fit(dense(2), x, labels, keep_best=True, checkpoint=path)
    for options, message in (
        ({}, "keep_best was True, is False"),
        ({"keep_best": True, "validation": 0.5}, "was 32, is"),
    ):
        with pytest.raises(ValueError, match=message):
            nn.fit(dense(2), x, labels, epochs=4, checkpoint=path, **options)
    double = dense(2).build((4,), dtype=np.float64)
    with pytest.raises(ValueError, match="is of float32, that of the network of float64"):
        nn.fit(double, x, labels, epochs=4, checkpoint=path, keep_best=True)


def test_numbers_of_numpy_are_numbers(tmp_path):
    x, labels = data()
    options = {"batch_size": np.int64(16), "seed": np.int64(1), "clip": np.float32(1)}
    nn.fit(dense(2), x, labels, checkpoint=tmp_path / "training.npz", **options)
    for path in (tmp_path / "a.txt", tmp_path / "no" / "a.npz"):
        with pytest.raises(ValueError, match="checkpoint must end in"):
            nn.fit(dense(2), x, labels, checkpoint=path)


def test_a_file_beside_and_a_link_are_left_alone(tmp_path):
    (tmp_path / "net.npz.part").write_text("mine")
    (tmp_path / "link.npz").symlink_to(tmp_path / "net.npz")
    net = dense(2).build((4,))
    nn.save(net, tmp_path / "net.npz")
    (tmp_path / "net.npz").chmod(0o600)
    nn.save(net, tmp_path / "link.npz")
    assert (tmp_path / "net.npz.part").read_text() == "mine"
    assert (tmp_path / "link.npz").is_symlink()
    assert (tmp_path / "net.npz").stat().st_mode & 0o777 == 0o600


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


# Files and plain data.


def test_what_is_saved_can_be_loaded(tmp_path):
    x, labels = data()
    net = dense(2)
    nn.fit(net, x.astype(">f4"), labels)
    nn.save(net, tmp_path / "net.npz")
    assert bits(nn.load(tmp_path / "net.npz")) == bits(net)
    for dtype in ("f2", "i4", "c8"):
        with pytest.raises(TypeError, match="float32 or float64"):
            dense(2).build((4,), dtype=dtype)
    net.layers[0].params["bias"] = np.ones(3)
    with pytest.raises(ValueError, match="bias"):
        nn.save(net, tmp_path / "net.npz")
    assert nn.load(tmp_path / "net.npz").params["0.bias"].shape == (2,)


def test_a_failing_save_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "net.npz"
    net = dense(2).build((4,))
    nn.save(net, path)
    before = path.read_bytes()

    def full(file, **arrays):
        file.write(b"PK")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "savez", full)
    with pytest.raises(OSError, match="No space"):
        nn.save(net, path)
    assert path.read_bytes() == before
    assert [each.name for each in tmp_path.iterdir()] == ["net.npz"]


def test_a_frozen_network_says_so(tmp_path):
    net = cx.Sequential(cx.Conv2D(4, 3), cx.BatchNorm(), cx.GlobalPool()).build((8, 8, 3))
    fast = net.freeze()
    assert fast.summary((8, 8, 3)).parameters == 112
    for call in (
        lambda: nn.save(fast, tmp_path / "net.npz"),
        lambda: fast.replace(padding="same"),
        lambda: fast.build((8, 8, 3)),
    ):
        with pytest.raises((TypeError, ValueError), match="frozen"):
            call()


class Scale(cx.Layer):
    def output_shape(self, input_shape):
        return input_shape


def test_a_layer_that_no_file_can_name_is_not_saved():
    with pytest.raises(TypeError, match="Scale"):
        cx.Sequential(Scale()).to_config()


def test_loading_makes_no_parameters(tmp_path):
    def explodes(rng, shape, fan_in, fan_out):
        if explodes.armed:
            raise AssertionError("not needed")
        return np.zeros(shape)

    explodes.armed = False
    with nn.initializers.temporarily("explodes", explodes):
        nn.save(cx.Sequential(cx.Dense(3, initializer="explodes")).build((2,)), tmp_path / "net.npz")
        explodes.armed = True
        assert nn.load(tmp_path / "net.npz")(np.ones((1, 2))).tolist() == [[0, 0, 0]]


def test_nested_groups_take_no_exponential_time():
    net = cx.Dense(2)
    for _ in range(20):
        net = cx.Sequential(net)
    since = time.process_time()
    net.build((3,))
    assert time.process_time() - since < 5
    config = {"layer": "Dense", "units": 2}
    for _ in range(400):
        config = {"layer": "Sequential", "layers": [config]}
    with pytest.raises(ValueError, match="deep"):
        nn.from_config(config)


def test_configurations_that_are_nearly_right():
    for config, message in (
        ({"layer": "Conv2d", "filters": 2, "kernel_size": 3}, "did you mean 'Conv2D'"),
        ({"layer": "Activation", "activation": {"name": "leaky_relu", "params": {"alfa": 1}}}, "alfa"),
        ({"layer": "Activation", "activation": {"parms": {}}}, "name"),
        ({"layer": "Activation", "activation": {"name": "relu", "parms": {}}}, "parms"),
        ("{", "JSON"),
    ):
        with pytest.raises(ValueError, match=message):
            nn.from_config(config)


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


def test_a_file_whose_end_is_damaged_is_named(tmp_path):
    net, path = dense(2), tmp_path / "net.npz"
    x, labels = data()
    net(x)
    nn.save(net, path)
    nn.fit(net, x, labels, checkpoint=tmp_path / "training.npz")
    for name in ("net.npz", "training.npz"):
        raw = (tmp_path / name).read_bytes()
        for back in range(1, 23):  # the record that says where the others are
            changed = bytearray(raw)
            changed[-back] ^= 0x80
            (tmp_path / name).write_bytes(changed)
            told = name
            try:
                nn.load(path) if name == "net.npz" else nn.fit(net, x, labels, checkpoint=tmp_path / name)
            except ValueError as error:
                told = str(error)
            assert name in told
        (tmp_path / name).write_bytes(raw)
    with pytest.raises(FileNotFoundError):
        nn.load(tmp_path / "none.npz")
