"""`summary`, `train` and `predict` from a configuration to results, and mistakes that are told before the work."""

import json
import subprocess
import sys

import numpy as np
import pytest

import pyconvx
from pyconvx import nn
from pyconvx.cli import main

from .command import NET, fails_with_one_line
from .pictures import Image, a_picture


def test_a_network_is_summed_up_trained_and_used(files, capsys):
    def at(name):
        return str(files / name)

    assert main(["summary", at("net.json"), "--input-shape", "5x5x1"]) == 0
    assert "86 parameters" in capsys.readouterr().out
    given = [
        "train",
        at("net.json"),
        "--data",
        at("data.npz"),
        "--epochs",
        "20",
        "--batch-size",
        "6",
        "--learning-rate",
        "0.01",
    ]
    assert main([*given, "-o", at("trained.npz"), "--plot", at("curves.png")]) == 0
    told = capsys.readouterr()
    assert "86 parameters" in told.out
    assert [told.err.count(f"epoch {n},") for n in (1, 19, 20)] == [1, 1, 1]
    assert "epoch" not in told.out
    assert (files / "curves.png").stat().st_size > 1000
    assert main(["summary", at("trained.npz")]) == 0
    assert main(["predict", at("trained.npz"), at("bright.png"), "--names", "dark,bright"]) == 0
    assert "bright.png: bright (" in capsys.readouterr().out
    assert main(["predict", at("trained.npz"), at("data.npz"), "-o", at("results.npy")]) == 0
    with np.load(at("data.npz")) as data:
        assert (np.load(at("results.npy")).argmax(-1) == data["y"]).mean() > 0.9


def test_pixels_of_eight_bits_are_scaled_alike_everywhere(files, capsys):
    with np.load(files / "data.npz") as data:
        pixels, labels = (data["x"] * 255 / 0.9).clip(0, 255).astype(np.uint8), data["y"]
    np.savez(files / "bytes.npz", x=pixels, y=labels)
    given = ["train", str(files / "net.json"), "--data", str(files / "bytes.npz"), "--epochs", "20"]
    given += ["--batch-size", "6", "--learning-rate", "0.01", "-o", str(files / "bytes_net.npz")]
    assert main(given) == 0, capsys.readouterr().err
    capsys.readouterr()
    Image.fromarray(pixels[0, ..., 0]).save(files / "first.png")
    np.save(files / "first.npy", pixels[:1])
    told = []
    for name in ("first.png", "first.npy"):
        assert main(["predict", str(files / "bytes_net.npz"), str(files / name)]) == 0
        told.append(capsys.readouterr().out.partition(":")[2])
    assert told[0] == told[1]
    missing = ["predict", str(files / "bytes_net.npz"), str(files / "first.npy"), "-o", str(files / "no" / "o.npy")]
    assert "there is no folder" in fails_with_one_line(capsys, missing)


def test_numbers_that_overflow_add_no_lines(files):
    random = np.random.default_rng(0)
    np.savez(files / "many.npz", x=random.random((300, 5, 5, 1)), y=random.integers(0, 2, 300))
    (files / "linear.json").write_text(json.dumps({**NET, "layers": NET["layers"][1:]}))
    net = pyconvx.Sequential(pyconvx.Flatten(), pyconvx.Dense(2)).build((5, 5, 1))
    net.params["1.weights"][...] = 3e38
    nn.save(net, files / "large.npz")

    def run(*given):
        return subprocess.run([sys.executable, "-m", "pyconvx", *given], capture_output=True, text=True, cwd=files)

    options = ("--learning-rate", "1e39", "--optimizer", "sgd", "--epochs", "1")
    trained = run("train", "linear.json", "--data", "many.npz", "-o", "o.npz", *options)
    assert trained.returncode == 2
    assert "Warning" not in trained.stderr
    assert trained.stderr.splitlines()[-1].strip().startswith("pyconvx train: error: the loss is ")
    predicted = run("predict", "large.npz", "bright.png")
    assert (predicted.returncode, predicted.stderr) == (0, "")


@pytest.mark.parametrize("share", ["-1", "1", "nan", "-0.1", "inf"])
def test_validation_is_a_share(share, files, capsys):
    given = ["train", str(files / "net.json"), "--data", str(files / "data.npz"), "-o", str(files / "o.npz")]
    told = fails_with_one_line(capsys, [*given, f"--validation={share}"])
    assert "--validation" in told
    assert main([*given, "--epochs", "1", "--validation", "0"]) == 0
    assert "validation" not in capsys.readouterr().err


def test_mistakes_with_networks(files, capsys):
    def at(name):
        return str(files / name)

    (files / "bad.json").write_text("{")
    (files / "bad.npz").write_text("no zip")
    np.savez(files / "other.npz", z=np.ones(3))
    np.save(files / "small.npy", np.ones((4, 4, 1)))
    nn.save(nn.from_config(NET).build((5, 5, 1)), files / "built.npz")
    for given, told in (
        (["summary", at("net.json")], "--input-shape"),
        (["summary", at("net.json"), "--input-shape", "5,a"], "a shape is written as"),
        (["summary", at("net.txt")], ".npz, .safetensors or .json"),
        (["summary", at("bad.json")], "must be JSON"),
        (["summary", at("bad.npz")], "holds no network"),
        (["summary", at("none.npz")], "No such file"),
        (["train", at("net.json"), "--data", at("other.npz"), "-o", at("o.npz")], "lacks the array x, y"),
        (["train", at("net.json"), "--data", at("bad.npz"), "-o", at("o.npz")], "no .npz file"),
        (["train", at("net.json"), "--data", at("data.npz"), "-o", at("o.txt")], "must end in .npz"),
        (["train", at("net.json"), "--data", at("data.npz"), "-o", at("o.npz"), "--loss", "nope"], "unknown loss"),
        (["train", at("net.json"), "--data", at("data.npz"), "-o", at("o.npz"), "--epochs", "0"], "epochs"),
        (["train", at("net.json"), "--data", str(files), "-o", at("o.npz")], "no such file"),
        (["predict", at("net.json"), at("bright.png")], "has no weights"),
        (["predict", at("built.npz"), at("small.npy")], "takes samples of the shape (5, 5, 1)"),
    ):
        assert told in fails_with_one_line(capsys, given), given


def test_mistakes_are_told_before_a_training(files, capsys):
    np.savez(files / "half.npz", x=np.ones((4, 5, 5, 1), np.float32))
    train = ["train", str(files / "net.json"), "-o", str(files / "o.npz"), "--data"]
    told = fails_with_one_line(capsys, [*train, str(files / "half.npz")])
    assert "lacks the array y" in told
    assert "no .npz" not in told
    told = fails_with_one_line(capsys, [*train, str(files / "data.npz"), "--plot", str(files / "curves.xyz")])
    assert "--plot" in told
    assert ".png" in told
    (files / "folder.png").mkdir()
    for name in ("curves", "folder.png", ".png", "curves.pgf"):
        told = fails_with_one_line(capsys, [*train, str(files / "data.npz"), "--plot", str(files / name)])
        assert "--plot" in told
    assert not (files / "o.npz").exists()


@pytest.mark.parametrize("command", ["filter", "predict"])
def test_a_picture_that_ends_too_soon_is_named(command, files, capsys):
    whole = files / "image"
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (5, 5), np.uint8)).save(whole, "png")
    (files / "cut.png").write_bytes(whole.read_bytes()[:60])
    nn.save(nn.from_config(NET).build((5, 5, 1)), files / "built.npz")
    cut, out = str(files / "cut.png"), str(files / "o.png")
    options = {"filter": [cut, "-o", out, "--filter", "box"], "predict": [str(files / "built.npz"), cut]}
    assert "cut.png" in fails_with_one_line(capsys, [command, *options[command]])
    (files / "cut.png").write_bytes(b"P5 4J 5 255 ")  # a number that is none is no OSError
    assert "cut.png" in fails_with_one_line(capsys, [command, *options[command]])


def test_files_that_are_needed_are_not_written_over(files, tmp_path, capsys):
    def at(name):
        return str(files / name)

    nn.save(nn.from_config(NET).build((5, 5, 1)), files / "built.npz")
    before = (files / "data.npz").read_bytes()
    for given in (
        ["train", at("net.json"), "--data", at("data.npz"), "-o", at("data.npz")],
        ["train", at("net.json"), "--data", at("data.npz"), "-o", at("o.npz"), "--checkpoint", at("o.npz")],
        ["train", at("net.json"), "--data", at("data.npz"), "-o", at("o.npz"), "--plot", at("none/o.png")],
        ["predict", at("built.npz"), at("data.npz"), "-o", at("data.npz")],
        ["predict", at("built.npz"), at("data.npz"), "-o", at("results")],
    ):
        assert "-o" in fails_with_one_line(capsys, given) or "--plot" in given
    assert (files / "data.npz").read_bytes() == before
    Image.fromarray(a_picture("RGB")).save(files / "keep.jpg")
    Image.fromarray(a_picture("RGBA")).save(files / "in.png")
    before = (files / "keep.jpg").read_bytes()
    told = fails_with_one_line(capsys, ["filter", at("in.png"), "--filter", "box", "-o", at("keep.jpg")])
    assert "cannot write mode RGBA" in told
    assert (files / "keep.jpg").read_bytes() == before


def test_shares_are_not_made_shares_again(files, capsys):
    net = pyconvx.Sequential(pyconvx.Flatten(), pyconvx.Dense(2, activation="softmax")).build((5, 5, 1))
    net.params["1.bias"] = np.array([0, 4], np.float32)
    net.params["1.weights"] = np.zeros((25, 2), np.float32)
    nn.save(net, files / "soft.npz")
    assert main(["predict", str(files / "soft.npz"), str(files / "bright.png")]) == 0
    assert "1 (98.2%)" in capsys.readouterr().out
