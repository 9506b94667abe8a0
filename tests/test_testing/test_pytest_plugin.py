"""`pytest --pyconvx-plugin NAME`: each law is a test; and runs that do not ask for it do not notice."""

import os
import subprocess
import sys
from importlib.metadata import entry_points
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
MODULE = """
import numpy as np, pyconvx as cx
cx.activations.register("lame", np.square, derivative=lambda x, y: x)
cx.paddings.register("fine", lambda i, n: np.clip(i, 0, n - 1))
"""


def run(folder, *options):
    """Run pytest in a folder, with nothing but the plugin; return its output and status."""
    loaded = any(point.value == "pytest_pyconvx" for point in entry_points(group="pytest11"))
    plugin = [] if loaded else ["-p", "pytest_pyconvx"]
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(ROOT), str(folder)]),
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-v", "-p", "no:cacheprovider", *plugin, *options],
        cwd=folder, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    return done.stdout + done.stderr, done.returncode


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "mine.py").write_text(MODULE)
    return tmp_path


def test_each_law_is_a_test_of_its_own(folder):
    output, status = run(folder, "-p", "mine", "--pyconvx-plugin", "lame", "--pyconvx-examples", "4")
    assert status == 1
    assert "pyconvx::activation::lame::result_form PASSED" in output
    assert "pyconvx::activation::lame::slope FAILED" in output
    assert "law      slope: Its gradient is the slope of its function.\n  for      x = array([[1.]])" in output
    assert "3 failed" in output
    assert "pyconvx/testing" not in output, "frames of the package hide the message"


def test_several_plugins_beside_the_tests_that_are_there(folder):
    (folder / "test_own.py").write_text("def test_own():\n    pass\n")
    options = ("-p", "mine", "--pyconvx-plugin", "lame", "--pyconvx-plugin", "fine", "--pyconvx-examples", "3")
    output, status = run(folder, *options, "-k", "own or interior or linear or result_form")
    assert status == 0
    for name in (
        "test_own.py::test_own",
        "pyconvx::padding mode::fine::interior",
        "pyconvx::activation::lame::result_form",
    ):
        assert f"{name} PASSED" in output
    assert "3 passed" in output


def test_a_test_of_one_line(folder):
    (folder / "test_mine.py").write_text(
        "import mine, pyconvx as cx\ntest_fine = cx.testing.law_tests('fine', like='wrap', examples=4)\n"
    )
    output, status = run(folder)
    assert status == 1
    assert "test_mine.py::test_fine[interior] PASSED" in output
    assert "test_mine.py::test_fine[definition] FAILED" in output
    assert "1 failed" in output


def test_an_unknown_name(folder):
    output, status = run(folder, "--pyconvx-plugin", "nobody")
    assert status == 4
    assert "--pyconvx-plugin nobody: unknown padding mode 'nobody'" in output


def test_no_examples(folder):
    output, status = run(folder, "--pyconvx-plugin", "relu", "--pyconvx-examples", "0")
    assert status == 4
    assert "--pyconvx-plugin relu: examples must be at least 1, got 0" in output


def test_laws_are_counted(folder):
    output, status = run(folder, "--collect-only", "-q", "--pyconvx-plugin", "edge", "-k", "interior or adjoint")
    assert status == 0
    assert "2/15 tests collected (13 deselected)" in output


def test_other_runs_import_nothing_more(folder):
    (folder / "test_own.py").write_text(
        "import sys\n"
        "def test_own():\n"
        "    assert 'pytest_pyconvx' in sys.modules\n"
        "    assert not {'pyconvx', 'numpy'} & set(sys.modules)\n"
    )
    output, status = run(folder, "-p", "no:hypothesispytest", "-p", "no:xdist")
    assert status == 0, output
    assert "1 passed" in output
