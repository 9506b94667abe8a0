"""What reviewers of the networks found in files, checkpoints and plain data: each stays mended."""

import json
import time
import warnings
import zipfile

import numpy as np
import pytest
from memory import peak
from networks import bits, data, dense

import pyconvx as cx
from pyconvx import nn
from pyconvx.nn.checkpoint import digest

rng = np.random.default_rng(0)


# Checkpoints.


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


def a_checkpoint(path):
    """A network with a training of it in a file, and what that holds."""
    net = dense(2)
    nn.fit(net, *data(), checkpoint=path)
    with np.load(path) as file:
        return net, dict(file)


def test_a_damaged_checkpoint_changes_nothing(tmp_path):
    path = tmp_path / "training.npz"
    net, arrays = a_checkpoint(path)
    about = json.loads(arrays["about"].tobytes())
    for key, value in (
        ("net/params/0.bias", np.float32(3)),
        ("net/params/0.bias", np.ones(2, complex)),
        ("optimizer/mean.0.bias", np.ones(5)),
        ("net/params/1.bias", np.ones(2)),
        ("about", {**about, "steps": -5}),
        ("about", {**about, "history": {**about["history"], "loss": "0.1"}}),
        ("about", {**about, "history": {**about["history"], "loss": [0.1, 0.1]}}),
        ("about", {**about, "history": {**about["history"], "validation_loss": [0.1, 0.1]}}),
        ("about", {**about, "history": {**about["history"], "seconds": []}}),
        ("about", {**about, "history": {"loss": about["history"]["loss"]}}),
        ("about", {**about, "history": {key: [] for key in about["history"]}}),
        ("about", {**about, "history": {}}),
        ("about", {**about, "steps": 0}),
        ("about", {**about, "settings": {}}),
        ("about", {**about, "settings": {**about["settings"], "more": 1}}),
        ("about", {**about, "arrays": about["arrays"][:-1]}),
        ("about", {**about, "arrays": []}),
    ):
        changed = np.frombuffer(json.dumps(value).encode(), np.uint8) if key == "about" else value
        with open(path, "wb") as file:
            np.savez(file, **{**arrays, key: changed})
        before = bits(net)
        with pytest.raises(ValueError, match="checkpoint"):
            nn.fit(net, *data(), epochs=2, checkpoint=path)
        assert bits(net) == before


def test_a_checkpoint_that_lacks_an_array_changes_nothing(tmp_path):
    path = tmp_path / "training.npz"
    net, arrays = a_checkpoint(path)
    before = bits(net)
    for name in arrays:
        np.savez(path, **{key: array for key, array in arrays.items() if key != name})
        with pytest.raises(ValueError, match="checkpoint"):
            nn.fit(net, *data(), epochs=2, checkpoint=path)
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


def test_a_checkpoint_of_other_data_is_refused(tmp_path):
    x, labels = data()
    more = data(8)
    path = tmp_path / "training.npz"
    nn.fit(dense(2), x, labels, checkpoint=path, validation=more)
    nn.fit(dense(2), np.asfortranarray(x), labels.tolist(), checkpoint=path, validation=more)
    others = (
        (x + 1, labels, more),
        (x, 1 - labels, more),
        (x[::-1], labels[::-1], more),
        (x, labels, (more[0] + 1, more[1])),
    )
    for other_x, other_labels, watched in others:
        net = dense(2).build((4,))
        before = bits(net)
        with pytest.raises(ValueError, match="its data was other"):
            nn.fit(net, other_x, other_labels, epochs=2, checkpoint=path, validation=watched)
        assert bits(net) == before


def test_large_data_is_told_apart_by_some_samples():
    x = np.zeros((2**13, 2**10), np.float32)
    before = digest(x)
    x[-1, -1] = 1
    assert digest(x) != before
    assert digest(x) == digest(x.copy()) != digest(x[:, :-1])


def test_a_checkpoint_that_knows_no_digest_of_its_data_goes_on(tmp_path):
    x, labels = data()
    path = tmp_path / "training.npz"
    nn.fit(dense(2), x, labels, checkpoint=path)
    with np.load(path) as file:
        arrays = dict(file)
    about = json.loads(arrays["about"].tobytes())
    del about["settings"]["data"]
    np.savez(path, **{**arrays, "about": np.frombuffer(json.dumps(about).encode(), np.uint8)})
    assert nn.fit(dense(2), x, labels, epochs=2, checkpoint=path).epochs == 2
    with pytest.raises(ValueError, match="its data was other"):
        nn.fit(dense(2), x + 1, labels, epochs=3, checkpoint=path)


def test_a_checkpoint_of_more_epochs_is_refused(tmp_path):
    x, labels = data()
    path = tmp_path / "training.npz"
    history = nn.fit(dense(2), x, labels, epochs=3, checkpoint=path)
    assert nn.fit(dense(2), x, labels, epochs=3, checkpoint=path).loss == history.loss
    net = dense(2).build((4,))
    before = bits(net)
    with pytest.raises(ValueError, match="it holds 3 epochs, more than epochs=2"):
        nn.fit(net, x, labels, epochs=2, checkpoint=path)
    assert bits(net) == before


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


@pytest.mark.parametrize(
    ("name", "megabytes", "message"),
    [("extra", 9, "too many: extra"), ("params/0.bias", 9, "bias has 94"), ("config", 80, "config has 838")],
)
def test_a_few_bytes_that_unpack_to_many_are_not_unpacked(name, megabytes, message, tmp_path):
    path = tmp_path / "net.npz"
    nn.save(dense(2).build((4,)), path)
    with np.load(path) as file:
        arrays = dict(file)
    arrays[name] = np.zeros(megabytes << 20, np.uint8)
    np.savez_compressed(path, **arrays)
    del arrays

    def load():
        with pytest.raises(ValueError, match=message):
            nn.load(path)

    assert peak(load) < 2**20


@pytest.mark.parametrize("name", ["config", "params/0.bias", "more", "config.npy"])
def test_what_is_no_array_in_a_file_is_not_unpacked(name, tmp_path):
    path = tmp_path / "net.npz"
    nn.save(dense(2).build((4,)), path)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of zipfile, for a name that is there twice
        with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as file:
            file.writestr(name, bytes(80 << 20))

    def load():
        with pytest.raises(ValueError, match=name.removesuffix(".npy")):
            nn.load(path)

    assert peak(load) < 2**20


def test_weights_that_are_damaged_are_not_loaded(tmp_path):
    pytest.importorskip("safetensors")
    path = tmp_path / "net.safetensors"
    net = cx.Sequential(cx.Dense(2, activation="relu")).build((4,))
    nn.save(net, path)
    whole = path.read_bytes()
    assert bits(nn.load(path)) == bits(net)
    for at in (len(whole) - 1, len(whole) - 21, whole.index(b"relu")):
        path.write_bytes(whole[:at] + (b"s" if whole[at : at + 1] == b"r" else b"?") + whole[at + 1 :])
        with pytest.raises(ValueError, match="holds no network"):
            nn.load(path)


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
