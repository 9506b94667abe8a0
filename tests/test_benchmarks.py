"""The benchmark command: runs without any other library, and its report has the tables it should have."""

import json
import os
import signal
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

import pyconvx as cx

ROOT = Path(__file__).resolve().parent.parent
GROUPS = {
    *("layers", "first", "untuned", "backward", "double", "pooling", "activations", "pictures", "smallest", "memory"),
    "scaling",
}
# The folder is appended, so that an installed pyconvx is not hidden by its sources.
START = "import runpy, sys; sys.path.append(sys.argv.pop(1)); runpy.run_module('benchmarks', run_name='__main__')"


def benchmarks(*arguments, cwd):
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", START, str(ROOT), *arguments], capture_output=True, text=True, cwd=cwd
    )


@pytest.mark.parametrize("peer", ["none", "scipy_ndimage"])
def test_quick_run(peer, tmp_path):
    chart = ()
    if peer == "scipy_ndimage":
        pytest.importorskip("scipy")
        pytest.importorskip("matplotlib")
        chart = ("--chart", "chart.png")
    result = benchmarks("--quick", "--peers", peer, "--json", "result.json", *chart, cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    assert not result.stderr
    found = json.loads((tmp_path / "result.json").read_text())
    groups = {group["name"]: group for group in found["groups"]}
    assert set(groups) == GROUPS - (set() if os.access("/proc/self/clear_refs", os.W_OK) else {"memory"})
    assert found["versions"]["pyconvx"].startswith(cx.__version__)
    for name, group in groups.items():
        assert len(group["rows"]) == 2, name
        assert group["title"] in result.stdout
        for row in group["rows"]:
            assert row["task"] in result.stdout
            assert all(times["median"] > 0 for times in row.get("times", {}).values())
    pictures = groups["pictures"]
    assert ("ratio" in pictures["summaries"]) == (peer != "none")
    if peer != "none":
        assert all("scipy" in row["times"] for row in pictures["rows"])
        assert (tmp_path / "chart.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.skipif(not hasattr(signal, "SIGSTOP"), reason="processes cannot be stopped")
def test_libraries_in_processes_of_their_own(tmp_path):
    pytest.importorskip("scipy")
    options = ("--quick", "--apart", "--peers", "scipy_ndimage", "--json", "result.json")
    result = benchmarks("pictures", "pooling", *options, cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    assert not result.stderr
    found = json.loads((tmp_path / "result.json").read_text())
    assert "a process of its own" in result.stdout
    assert list(found["versions"]) == ["pyconvx", "scipy_ndimage"]
    pictures, pooling = found["groups"][1], found["groups"][0]
    assert all(set(row["times"]) == {"pyconvx", "scipy"} and row["difference"] < 1e-4 for row in pictures["rows"])
    assert all(set(row["times"]) <= {"pyconvx", "pyconvx max"} for row in pooling["rows"])


@pytest.mark.skipif(find_spec("torch") is not None, reason="torch is installed")
def test_a_library_that_is_not_installed_is_named(tmp_path):
    result = benchmarks("smallest", "--quick", "--peers", "pytorch", cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    assert "pytorch is left out" in result.stdout


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["largest"], "no group largest"),
        (["--threads", "0"], "--threads must be in 1..."),
        (["--peers", "abacus"], "no peer abacus"),
    ],
)
def test_wrong_argument_is_named(arguments, said, tmp_path):
    result = benchmarks(*arguments, cwd=tmp_path)
    assert result.returncode
    assert said in result.stderr
