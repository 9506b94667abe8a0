"""Each example runs as a user runs it: in a process of its own, outside the checkout, without a warning."""

import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = sorted((Path(__file__).resolve().parent.parent / "examples").glob("*.py"))


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
