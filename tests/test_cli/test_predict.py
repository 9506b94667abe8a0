"""What networks see of pictures: any depth, layout and orientation."""

import numpy as np
import pytest

import pyconvx
from pyconvx import nn
from pyconvx.cli import main

from .command import fails_with_one_line
from .pictures import Image, a_picture, write_png, write_ppm, write_tiff


def predicted(path, net):
    """Return what the command makes of one picture."""
    nn.save(net, path.with_name("built.npz"))
    results = path.with_name("results.npy")
    assert main(["predict", str(path.with_name("built.npz")), str(path), "-o", str(results)]) == 0
    return np.load(results)[0]


def seeing(layout="channels_last"):
    """Return layers whose results are their samples, laid out flat."""
    layer = pyconvx.DepthwiseConv2D(1, bias=False, initializer="ones", layout=layout)
    return pyconvx.Sequential(layer, pyconvx.Flatten())


@pytest.mark.parametrize("ending", ["png", "tiff", "pgm"])
@pytest.mark.parametrize("channels", [1, 3])
def test_sixteen_bits_are_seen_as_eight_are(ending, channels, tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (6, 7), np.uint8)
    Image.fromarray(pixels).save(tmp_path / f"eight.{ending}")
    sixteen = pixels.astype(np.uint16) * 257
    if ending == "pgm":
        write_ppm(tmp_path / "sixteen.pgm", sixteen)
    else:
        Image.fromarray(sixteen).save(tmp_path / f"sixteen.{ending}")
    net = seeing().build((6, 7, channels))
    want = np.repeat(pixels.ravel() / 255, channels)
    for name in ("eight", "sixteen"):
        assert predicted(tmp_path / f"{name}.{ending}", net) == pytest.approx(want, abs=1e-6)


def test_depths_that_are_rare(tmp_path, capsys):
    numbers = np.arange(16) * 273
    packed = int("".join(f"{number:012b}" for number in numbers), 2).to_bytes(24, "big")
    write_tiff(tmp_path / "twelve.tiff", 4, 4, [12], packed)
    assert predicted(tmp_path / "twelve.tiff", seeing().build((4, 4, 1))) == pytest.approx(numbers / 4095, abs=1e-6)
    colours = np.random.default_rng(0).integers(0, 256, (4, 4, 3), np.uint16)
    write_png(tmp_path / "colours.png", colours * 257)
    found = predicted(tmp_path / "colours.png", seeing().build((4, 4, 3)))
    assert found == pytest.approx(colours.ravel() / 255, abs=1 / 255)  # Pillow keeps 8 of the bits
    floats = a_picture("F", 4, 4)
    Image.fromarray(floats).save(tmp_path / "floats.tiff")  # are as they are, as those of arrays
    assert predicted(tmp_path / "floats.tiff", seeing().build((4, 4, 1))) == pytest.approx(floats.ravel(), abs=1e-6)
    Image.fromarray(np.full((4, 4), 70_000, np.int32)).save(tmp_path / "whole.tiff")
    capsys.readouterr()
    told = fails_with_one_line(capsys, ["predict", str(tmp_path / "built.npz"), str(tmp_path / "whole.tiff")])
    assert "whole.tiff" in told
    assert "32 bits" in told


def test_a_network_sees_a_sideways_photograph_upright(tmp_path):
    image = Image.fromarray(a_picture("L", 4, 6))
    exif = image.getexif()
    exif[0x0112] = 6
    image.save(tmp_path / "in.png", exif=exif)
    want = np.rot90(a_picture("L", 4, 6), -1).ravel() / 255
    assert predicted(tmp_path / "in.png", seeing().build((6, 4, 1))) == pytest.approx(want, abs=1e-6)


def test_a_large_picture_is_the_users_own(tmp_path, monkeypatch):
    pixels = a_picture("L", 6, 7)
    Image.fromarray(pixels).save(tmp_path / "in.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 20)
    assert predicted(tmp_path / "in.png", seeing().build((6, 7, 1))) == pytest.approx(pixels.ravel() / 255, abs=1e-6)


FIRST = {
    "a layer with a layout": lambda: seeing("channels_first"),
    "one in a group, behind others": lambda: pyconvx.Sequential(
        pyconvx.Activation("relu"), pyconvx.Parallel(pyconvx.Dropout(), merge="add"), seeing("channels_first")
    ),
    "none but of flat samples": lambda: pyconvx.Sequential(pyconvx.Flatten(), pyconvx.BatchNorm(epsilon=0)),
}


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("kind", FIRST)
def test_networks_with_channels_first_see_pictures(kind, channels, tmp_path):
    pixels = a_picture("RGB" if channels == 3 else "L", 6, 7)
    Image.fromarray(pixels).save(tmp_path / "in.png")
    want = np.moveaxis(pixels.reshape(6, 7, channels), -1, 0).ravel() / 255
    assert predicted(tmp_path / "in.png", FIRST[kind]().build((channels, 6, 7))) == pytest.approx(want, abs=1e-6)


@pytest.mark.parametrize(
    ("net", "shape", "told"),
    [
        (pyconvx.Sequential(pyconvx.Flatten()), (5,), "have three axes"),
        (pyconvx.Sequential(pyconvx.Flatten()), (4, 6, 7), "1 or 3 channels"),
        (seeing(), (3, 6, 7), "1 or 3 channels, channels_last"),
        (seeing("channels_first"), (6, 7, 3), "1 or 3 channels, channels_first"),
        (pyconvx.Sequential(pyconvx.Flatten()), (3, 6, 1), "first or last"),
    ],
)
def test_networks_that_see_no_pictures_say_why(net, shape, told, tmp_path, capsys):
    Image.fromarray(a_picture("L", 6, 7)).save(tmp_path / "in.png")
    nn.save(net.build(shape), tmp_path / "built.npz")
    error = fails_with_one_line(capsys, ["predict", str(tmp_path / "built.npz"), str(tmp_path / "in.png")])
    assert told in error
    assert str(shape) in error
