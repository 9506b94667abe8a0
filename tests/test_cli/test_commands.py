"""The command as a whole: version, help, the demonstration, plugins, the benchmark, and wrong arguments."""

import os
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version

import pytest

import pyconvx
from pyconvx.cli import COMMANDS, _version, main

from .command import fails_with_one_line

pytest.importorskip("PIL")  # the demonstration draws


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


def test_bench_prints_layers(capsys):
    assert main(["bench", "--seconds", "0.001", "--threads", "1"]) == 0
    assert "GFLOP/s" in capsys.readouterr().out
