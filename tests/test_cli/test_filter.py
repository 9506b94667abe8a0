"""`filter`: depth, opacity, profiles and orientation are kept, and what a format cannot hold is refused."""

import struct
import zlib

import numpy as np
import pytest

import pyconvx
from pyconvx.cli import main

from .command import fails_with_one_line
from .pictures import PICTURES, Image, ImageCms, a_picture, write_png, write_ppm, write_tiff


@pytest.mark.parametrize("mode", PICTURES)
def test_filter_keeps_depth_and_opacity(mode, tmp_path, capsys):
    pixels, ending = a_picture(mode), "tiff" if mode == "F" else "png"
    Image.fromarray(pixels).save(tmp_path / f"in.{ending}")
    out = tmp_path / f"out.{ending}"
    given = [
        "filter",
        str(tmp_path / f"in.{ending}"),
        "--filter",
        "box(size=3)",
        "--padding-mode",
        "wrap",
        "-o",
        str(out),
    ]
    assert main(given) == 0, capsys.readouterr().err
    with Image.open(out) as opened:
        got = np.asarray(opened)
    assert got.dtype.itemsize == pixels.dtype.itemsize or mode == "I;16"
    light = pixels[..., None] if pixels.ndim == 2 else pixels[..., : {"RGBA": 3, "LA": 1}.get(mode, 3)]
    # colours count by their opacity
    opacity = pixels[..., -1:].astype(float) if mode in ("RGBA", "LA") else np.ones_like(light, float)

    def summed(values):
        padded = np.pad(values, ((1, 1), (1, 1), (0, 0)), "wrap")
        return sum(padded[i : i + 9, j : j + 12] for i in range(3) for j in range(3))

    want = summed(light.astype(float) * opacity) / summed(opacity)
    shown = got[..., None] if got.ndim == 2 else got[..., : light.shape[-1]]
    assert np.abs(shown - want).max() <= (1e-5 if mode == "F" else 0.51)
    if mode in ("RGBA", "LA"):
        assert np.array_equal(got[..., -1], pixels[..., -1])


@pytest.mark.parametrize("name", ["grey.png", "rgb.png", "rgba.png", "rgb.tiff", "planes.tiff", "rgb.ppm"])
def test_filter_refuses_what_pillow_would_make_less_of(name, tmp_path, capsys):
    channels = {"grey.png": 2, "rgba.png": 4}.get(name, 3)
    pixels = np.random.default_rng(0).integers(0, 65536, (6, 7, channels), np.uint16)
    photo = tmp_path / name
    if photo.suffix == ".tiff":
        packed = np.moveaxis(pixels, -1, 0) if name == "planes.tiff" else pixels
        write_tiff(photo, 7, 6, [16, 16, 16], packed.astype("<u2").tobytes(), planes=1 + (name == "planes.tiff"))
    else:
        (write_png if photo.suffix == ".png" else write_ppm)(photo, pixels)
    given = ["filter", str(photo), "--filter", "box", "-o", str(tmp_path / "out.png")]
    told = fails_with_one_line(capsys, given)
    assert name in told
    assert "16 bits" in told
    assert not (tmp_path / "out.png").exists()


@pytest.mark.parametrize("mode", ["I;16", "F"])
@pytest.mark.parametrize("ending", ["gif", "webp"])
def test_filter_refuses_formats_that_would_hold_less(mode, ending, tmp_path, capsys):
    if f".{ending}" not in Image.registered_extensions():
        pytest.skip(f"this Pillow writes no {ending}")
    Image.fromarray(a_picture(mode)).save(tmp_path / "in.tiff")
    out = tmp_path / f"out.{ending}"
    told = fails_with_one_line(capsys, ["filter", str(tmp_path / "in.tiff"), "--filter", "box", "-o", str(out)])
    assert out.name in told
    assert not out.exists()


def test_numbers_that_a_format_cannot_hold_are_not_written(tmp_path, capsys):
    Image.fromarray(np.array([[1, 70000], [2, 3]], np.int32)).save(tmp_path / "in.tiff")
    out = tmp_path / "out.pgm"
    told = fails_with_one_line(capsys, ["filter", str(tmp_path / "in.tiff"), "--filter", "identity", "-o", str(out)])
    assert "choose .tiff" in told
    assert not out.exists()


@pytest.mark.parametrize("ending", ["png", "pgm", "tiff"])
def test_a_map_of_sixteen_bits_keeps_its_numbers(ending, tmp_path):
    pixels = a_picture("I;16")
    height, width = pixels.shape
    (tmp_path / "in.pgm").write_bytes(f"P5 {width} {height} 65535\n".encode() + pixels.astype(">u2").tobytes())
    out = tmp_path / f"out.{ending}"
    assert main(["filter", str(tmp_path / "in.pgm"), "--filter", "identity", "-o", str(out)]) == 0
    with Image.open(out) as opened:
        assert np.array_equal(np.asarray(opened), pixels)


def test_a_negative_of_sixteen_bits_is_refused(tmp_path, capsys):
    path = tmp_path / "in.tiff"
    Image.fromarray(a_picture("I;16")).save(path, tiffinfo={262: 0})
    with Image.open(path) as opened:
        assert opened.tag_v2[262] == 0
    for command in (["filter", str(path), "--filter", "box", "-o", str(tmp_path / "out.png")],):
        assert "its white is 0" in fails_with_one_line(capsys, command)


def test_a_colour_that_cannot_be_seen_is_opacity(tmp_path):
    pixels = np.arange(48, dtype=np.uint8).reshape(4, 4, 3)
    Image.fromarray(pixels).save(tmp_path / "in.png", transparency=(0, 1, 2))
    assert main(["filter", str(tmp_path / "in.png"), "--filter", "identity", "-o", str(tmp_path / "out.png")]) == 0
    with Image.open(tmp_path / "out.png") as opened:
        assert opened.mode == "RGBA"
        assert np.asarray(opened)[..., 3].ravel().tolist() == [0] + [255] * 15


def test_a_grey_of_sixteen_bits_that_cannot_be_seen_is_refused(tmp_path, capsys):
    Image.fromarray(a_picture("I;16")).save(tmp_path / "in.png")
    whole = (tmp_path / "in.png").read_bytes()
    chunk = b"tRNS" + struct.pack(">H", 1500)
    at = whole.index(b"IDAT") - 4
    chunk = struct.pack(">I", 2) + chunk + struct.pack(">I", zlib.crc32(chunk))
    (tmp_path / "in.png").write_bytes(whole[:at] + chunk + whole[at:])
    given = ["filter", str(tmp_path / "in.png"), "--filter", "identity", "-o", str(tmp_path / "out.png")]
    assert "opacity" in fails_with_one_line(capsys, given)


def test_the_order_of_bytes_changes_no_picture(tmp_path):
    pixels = a_picture("I;16")
    Image.fromarray(pixels.astype(">u2")).save(tmp_path / "in.tiff")
    for name in {"out.png", "out.jp2"} & {f"out{ending}" for ending in Image.registered_extensions()}:
        given = ["filter", str(tmp_path / "in.tiff"), "--filter", "identity", "-o", str(tmp_path / name)]
        assert main(given) == 0
        with Image.open(tmp_path / name) as opened:
            assert np.array_equal(np.asarray(opened), pixels)


def test_what_cannot_be_seen_gives_no_colour_and_profiles_are_kept(tmp_path, capsys):
    pixels = np.zeros((6, 6, 4), np.uint8)
    pixels[:, :3] = (200, 100, 50, 255)  # beside magenta that is invisible
    pixels[:, 3:] = (255, 0, 255, 0)
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    Image.fromarray(pixels).save(tmp_path / "in.png", icc_profile=profile)
    given = ["filter", str(tmp_path / "in.png"), "--filter", "box(size=3)", "-o", str(tmp_path / "out.png")]
    assert main(given) == 0, capsys.readouterr().err
    with Image.open(tmp_path / "out.png") as opened:
        assert opened.info["icc_profile"] == profile
        got = np.asarray(opened)
    assert (got[:, :3] == pixels[:, :3]).all()
    assert (got[:, 3, :3] == (200, 100, 50)).all()  # whose windows reach what can be seen
    assert (got[:, 5] == pixels[:, 5]).all()


def test_filter_of_edges_and_other_pictures(tmp_path, capsys):
    ramp = np.tile(np.arange(0, 240, 20, dtype=np.uint8)[::-1], (8, 1))
    for name, image in (("p.png", Image.fromarray(ramp).convert("P")), ("b.png", Image.fromarray(ramp).convert("1"))):
        image.save(tmp_path / name)
        assert main(["filter", str(tmp_path / name), "--filter", "identity", "-o", str(tmp_path / "o.png")]) == 0
    Image.fromarray(ramp).save(tmp_path / "in.png")
    found = {}
    for signed in ("clip", "absolute", "centre"):
        given = ["filter", str(tmp_path / "in.png"), "--filter", "sobel_x", "--signed", signed]
        assert main([*given, "-o", str(tmp_path / "o.png")]) == 0
        found[signed] = int(np.asarray(Image.open(tmp_path / "o.png"))[4, 5])
    assert found == {"clip": 0, "absolute": 160, "centre": 88}
    capsys.readouterr()
    for wrong, told in (
        (["--filter", "nope"], "unknown filter 'nope'"),
        (["--filter", "box(sise=3)"], "no parameter 'sise'"),
        (["--filter", "box", "--padding-mode", "nope"], "unknown padding mode"),
        (["--filter", "box", "-o", str(tmp_path / "a.nope")], "writes no pictures"),
        (["--filter", "box", "-o", str(tmp_path / "no" / "a.png")], "there is no folder"),
    ):
        given = ["filter", str(tmp_path / "in.png"), "-o", str(tmp_path / "o.png"), *wrong]
        assert told in fails_with_one_line(capsys, given)
    (tmp_path / "text.png").write_text("no picture")
    given = ["filter", str(tmp_path / "text.png"), "--filter", "box", "-o", str(tmp_path / "o.png")]
    assert "cannot identify image" in fails_with_one_line(capsys, given)


@pytest.mark.parametrize(
    ("option", "given", "message"),
    [
        ("--filter", "gaussian(4)", "parameters are written as gaussian(sigma=4)"),
        ("--filter", "gaussian(4, size=9)", "parameters are written as gaussian(sigma=4, size=9)"),
        ("--filter", "gaussain(4)", "did you mean 'gaussian'"),
        ("--filter", "laplacian(4)", "its parameters: none"),
        ("--padding-mode", "constant(0.5)", "parameters are written as constant(value=0.5)"),
    ],
)
def test_parameters_have_names(option, given, message, tmp_path, capsys):
    Image.fromarray(a_picture("L")).save(tmp_path / "a.png")
    arguments = ["filter", str(tmp_path / "a.png"), "--filter", "sharpen", "-o", str(tmp_path / "o.png")]
    assert message in fails_with_one_line(capsys, [*arguments, option, given])


@pytest.mark.parametrize("signed", ["clip", "centre", "absolute"])
def test_floats_keep_their_signs(signed, tmp_path):
    pixels = a_picture("F")
    Image.fromarray(pixels).save(tmp_path / "a.tiff")
    given = ["filter", str(tmp_path / "a.tiff"), "--filter", "sobel_x", "--padding-mode", "edge", "--signed", signed]
    assert main([*given, "-o", str(tmp_path / "o.tiff")]) == 0
    edges = pyconvx.conv2d(
        pixels[..., None], pyconvx.filters["sobel_x"]()[None, ..., None], padding="same", padding_mode="edge"
    )[..., 0]
    assert edges.min() < 0
    wanted = np.abs(edges) if signed == "absolute" else edges
    assert np.array_equal(np.asarray(Image.open(tmp_path / "o.tiff")), wanted)


def test_a_photograph_that_was_taken_sideways_is_upright(tmp_path):
    image = Image.fromarray(a_picture("RGB"))
    exif = image.getexif()
    exif[0x0112] = 6
    image.save(tmp_path / "in.png", exif=exif)
    assert main(["filter", str(tmp_path / "in.png"), "--filter", "identity", "-o", str(tmp_path / "out.png")]) == 0
    assert np.array_equal(np.asarray(Image.open(tmp_path / "out.png")), np.rot90(a_picture("RGB"), -1))
