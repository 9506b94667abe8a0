"""The command: what it prints, what it writes, and that every mistake is one line and exit code 2."""

import json
import os
import struct
import subprocess
import sys
import zlib
from importlib.metadata import PackageNotFoundError, version

import numpy as np
import pytest

import pyconvx
from pyconvx import nn
from pyconvx.cli import COMMANDS, _version, main


def fails_with_one_line(capsys, arguments):
    try:
        code = main(arguments)
    except SystemExit as end:
        code = end.code
    captured = capsys.readouterr()
    assert code == 2
    assert captured.out == ""
    assert captured.err.count("\n") == 1
    assert captured.err.startswith("pyconvx")
    return captured.err


def test_version(capsys):
    with pytest.raises(SystemExit) as end:
        main(["--version"])
    assert end.value.code == 0
    assert capsys.readouterr().out == f"pyconvx {version('pyconvx')}\n"


def test_without_arguments_it_teaches(capsys):
    assert main([]) == 0
    told = capsys.readouterr().out
    assert all(command.name in told for command in COMMANDS)


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.name)
def test_every_command_has_help(capsys, command):
    with pytest.raises(SystemExit) as end:
        main([command.name, "--help"])
    assert end.value.code == 0
    assert command.description.splitlines()[0] in capsys.readouterr().out


def test_demo_prints_the_worked_example_and_writes_the_picture(capsys, tmp_path):
    output = tmp_path / "class.png"
    assert main(["demo", "-o", str(output)]) == 0
    told = capsys.readouterr().out
    for fact in ("32 x 32 x 3", "6 x 5 x 5 x 3", "32 x 32 x 6", "16 x 16 x 6", " 456 ", "18,880,512", str(output)):
        assert fact in told
    assert output.read_bytes().startswith(b"\x89PNG")


def test_demo_writes_to_the_current_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["demo"]) == 0
    assert [path.name for path in tmp_path.iterdir()] == ["pyconvx-demo.png"]


@pytest.mark.parametrize("suffix", [".pdf", ".svg", ".jpg"])
def test_demo_writes_the_formats_it_names(tmp_path, suffix):
    output = tmp_path / f"class{suffix}"
    assert main(["demo", "-o", str(output)]) == 0
    assert output.stat().st_size > 10_000


def test_demo_in_a_process_of_its_own(tmp_path):
    result = subprocess.run(
        [sys.executable, "-W", "error", "-m", "pyconvx", "demo"], capture_output=True, text=True, cwd=tmp_path
    )
    assert (result.returncode, result.stderr) == (0, "")


def test_unknown_command(capsys):
    assert "demo" in fails_with_one_line(capsys, ["dem"])


def test_unknown_option(capsys):
    assert "--wrong" in fails_with_one_line(capsys, ["demo", "--wrong"])


def test_missing_folder(capsys, tmp_path):
    assert "nowhere" in fails_with_one_line(capsys, ["demo", "-o", str(tmp_path / "nowhere" / "x.png")])


def test_unknown_format(capsys):
    assert ".png" in fails_with_one_line(capsys, ["demo", "-o", "x.docx"])


def test_output_that_cannot_be_written(capsys, tmp_path):
    (tmp_path / "x.png").mkdir()
    assert "x.png" in fails_with_one_line(capsys, ["demo", "-o", str(tmp_path / "x.png")])


@pytest.mark.parametrize("missing", ["matplotlib.figure", "PIL"])
def test_missing_extra_says_what_to_install(capsys, tmp_path, monkeypatch, missing):
    monkeypatch.setitem(sys.modules, missing, None)
    told = fails_with_one_line(capsys, ["demo", "-o", str(tmp_path / "x.png")])
    assert 'pip install "pyconvx[' in told


def test_an_instruction_set_that_there_is_not():
    code = "import sys; from pyconvx_command import main; sys.exit(main())"
    environment = {**os.environ, "PYCONVX_ISA": "nonsense"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert done.stderr.startswith("pyconvx: error: PYCONVX_ISA='nonsense' is not one of")
    done = subprocess.run([sys.executable, "-c", code, "plugins", "filters"], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert "sobel_x" in done.stdout


def test_an_encoding_without_bars_is_no_mistake():
    code = "import sys; from pyconvx.cli import main; sys.exit(main(['plugins', 'activations']))"
    environment = {**os.environ, "PYTHONIOENCODING": "ascii"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    assert "relu" in done.stdout


def test_the_version_of_sources_that_are_not_installed(monkeypatch):
    def missing(name):
        raise PackageNotFoundError(name)

    monkeypatch.setattr("pyconvx.cli.version", missing)
    assert _version() == pyconvx.__version__


Image = pytest.importorskip("PIL.Image")
ImageCms = pytest.importorskip("PIL.ImageCms")
PICTURES = {
    "L": np.uint8,
    "RGB": np.uint8,
    "RGBA": np.uint8,
    "LA": np.uint8,
    "I;16": np.uint16,
    "F": np.float32,
}
CHANNELS = {"RGB": 3, "RGBA": 4, "LA": 2}


def a_picture(mode, height=9, width=12):
    random, dtype = np.random.default_rng(0), PICTURES[mode]
    shape = (height, width, CHANNELS[mode]) if mode in CHANNELS else (height, width)
    return (random.random(shape) * (1 if mode == "F" else np.iinfo(dtype).max)).astype(dtype)


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


def write_png(path, pixels):
    """Write numbers of 16 bits (height, width, 2 to 4) as PNG, which Pillow does for grey alone."""
    colours = {2: 4, 3: 2, 4: 6}[pixels.shape[-1]]
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in pixels)
    header = struct.pack(">2I5B", pixels.shape[1], pixels.shape[0], 16, colours, 0, 0, 0)
    parts = ((b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b""))
    chunks = [
        struct.pack(">I", len(own)) + kind + own + struct.pack(">I", zlib.crc32(kind + own)) for kind, own in parts
    ]
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(chunks))


def write_tiff(path, width, height, bits, packed, planes=1):
    """Write numbers that are packed already as TIFF: colours for three numbers of a pixel, grey for one."""
    count, start = len(bits), 8 + 2 + 12 * 10 + 4
    short, long = 3, 4
    entries = (
        (256, long, 1, width),
        (257, long, 1, height),
        (258, short, count, start if count > 1 else bits[0]),
        (259, short, 1, 1),
        (262, short, 1, 2 if count > 1 else 1),
        (273, long, 1, start + 2 * count),
        (277, short, 1, count),
        (278, long, 1, height),
        (279, long, 1, len(packed)),
        (284, short, 1, planes),
    )
    header = struct.pack("<2sHIH", b"II", 42, 8, len(entries))
    table = b"".join(struct.pack("<2H2I", *each) for each in entries)
    path.write_bytes(header + table + bytes(4) + struct.pack(f"<{count}H", *bits) + packed)


def write_ppm(path, pixels):
    """Write numbers of 16 bits (height, width), or (height, width, 3), as PPM, which not every Pillow does for grey."""
    kind = 5 if pixels.ndim == 2 else 6
    path.write_bytes(b"P%d %d %d 65535\n" % (kind, *pixels.shape[1::-1]) + pixels.astype(">u2").tobytes())


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


NET = {
    "layer": "Sequential",
    "layers": [
        {"layer": "Conv2D", "filters": 3, "kernel_size": 3, "activation": "relu"},
        {"layer": "Flatten"},
        {"layer": "Dense", "units": 2},
    ],
}


@pytest.fixture
def files(tmp_path):
    """A configuration and data: dark and bright pictures."""
    random = np.random.default_rng(0)
    labels = random.integers(0, 2, 60)
    pictures = random.random((60, 5, 5, 1)) * 0.3 + 0.6 * labels[:, None, None, None]
    np.savez(tmp_path / "data.npz", x=pictures.astype(np.float32), y=labels)
    (tmp_path / "net.json").write_text(json.dumps(NET))
    Image.fromarray(np.full((5, 5), 250, np.uint8)).save(tmp_path / "bright.png")
    return tmp_path


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


def test_a_photograph_that_was_taken_sideways_is_upright(tmp_path):
    image = Image.fromarray(a_picture("RGB"))
    exif = image.getexif()
    exif[0x0112] = 6
    image.save(tmp_path / "in.png", exif=exif)
    assert main(["filter", str(tmp_path / "in.png"), "--filter", "identity", "-o", str(tmp_path / "out.png")]) == 0
    assert np.array_equal(np.asarray(Image.open(tmp_path / "out.png")), np.rot90(a_picture("RGB"), -1))


def test_shares_are_not_made_shares_again(files, capsys):
    net = pyconvx.Sequential(pyconvx.Flatten(), pyconvx.Dense(2, activation="softmax")).build((5, 5, 1))
    net.params["1.bias"] = np.array([0, 4], np.float32)
    net.params["1.weights"] = np.zeros((25, 2), np.float32)
    nn.save(net, files / "soft.npz")
    assert main(["predict", str(files / "soft.npz"), str(files / "bright.png")]) == 0
    assert "1 (98.2%)" in capsys.readouterr().out


def test_bench_prints_layers(capsys):
    assert main(["bench", "--seconds", "0.001", "--threads", "1"]) == 0
    assert "GFLOP/s" in capsys.readouterr().out
