"""Each example runs as a user runs it: in a process of its own, outside the checkout, without a warning."""

import runpy
import struct
import subprocess
import sys
import types
from pathlib import Path

import numpy as np
import pytest

FOLDER = Path(__file__).resolve().parent.parent / "examples"
EXAMPLES = sorted(FOLDER.glob("*.py"))


def test_there_are_examples():
    assert len(EXAMPLES) >= 8


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.stem)
def test_example_runs(example, tmp_path):
    if "sklearn" in example.read_text(encoding="utf-8"):
        pytest.importorskip("sklearn")
    result = subprocess.run([sys.executable, "-W", "error", str(example)], capture_output=True, text=True, cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    assert result.stdout, "an example shows something"
    assert not result.stderr


def test_fashion_mnist_runs_on_any_such_folder(tmp_path):
    """Two kinds of noise in place of clothes: what is learned is not looked at, but that all of it runs."""
    random = np.random.default_rng(0)
    for name, count in (("train", 300), ("t10k", 60)):
        labels = random.integers(0, 10, count).astype(np.uint8)
        pictures = random.integers(0, 20 + 20 * labels[:, None, None], (count, 28, 28)).astype(np.uint8)
        for what, array in (("images-idx3", pictures), ("labels-idx1", labels)):
            header = bytes([0, 0, 8, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape)
            (tmp_path / f"{name}-{what}-ubyte").write_bytes(header + array.tobytes())
    example = next(each for each in EXAMPLES if each.stem == "train_fashion_mnist")
    given = [sys.executable, "-W", "error", str(example), str(tmp_path), "--epochs", "1"]
    result = subprocess.run(given, capture_output=True, text=True, cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    assert "test accuracy" in result.stdout
    assert (tmp_path / "fashion_mnist.npz").is_file()
    assert (tmp_path / "fashion_mnist.png").is_file()


def test_the_package_of_plugins_tells_cython_where_pyconvx_is(monkeypatch):
    """Beside an editable install, whose import hook Cython does not ask, it would not find the .pxd files."""
    told = {}
    build = types.SimpleNamespace(cythonize=lambda extensions, **options: told.update(options))
    tools = types.SimpleNamespace(Extension=lambda *args, **options: None, setup=lambda **options: None)
    for name, module in (("Cython", types.ModuleType("Cython")), ("Cython.Build", build), ("setuptools", tools)):
        monkeypatch.setitem(sys.modules, name, module)
    runpy.run_path(str(FOLDER / "plugin_package" / "setup.py"))
    assert any((Path(folder) / "pyconvx" / "compiled.pxd").is_file() for folder in told.get("include_path", ()))
