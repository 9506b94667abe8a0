"""Every bad input of `bad_inputs` gets its stated answer, alone in a process and after all the others."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("resource", reason="limits and forks are POSIX")

from bad_inputs import CASES

HERE = Path(__file__).parent
CALLS = [case for case in CASES.values() if case.call]
QUICK = [case for case in CALLS if not case.slow]
LISTED = [case for case in QUICK if case.name[0].isdigit()]
SCRIPTS = [case for case in CASES.values() if case.script]


def environment(**added):
    """This environment, with the table on the path and NumPy's own threads out of the way of fork."""
    paths = [str(HERE), *filter(None, [os.environ.get("PYTHONPATH")])]
    return {**os.environ, "OPENBLAS_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(paths), **added}


class Runner:
    """A process that runs cases; started again where it has died."""

    def __init__(self, mode, folder):
        self.mode, self.folder, self.process = mode, folder, None

    def run(self, case):
        if self.process is None:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "bad_inputs.runner", self.mode],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=self.folder, env=environment(),
            )  # fmt: skip
        try:
            self.process.stdin.write(json.dumps(case.name) + "\n")
            self.process.stdin.flush()
            line = self.process.stdout.readline()
        except BrokenPipeError:
            line = ""
        if not line:
            return f"the process ended with status {self.close()}"
        name, complaint = json.loads(line)
        assert name == case.name
        return complaint

    def close(self):
        status = None
        if self.process is not None:
            self.process.stdin.close()
            status = self.process.wait(timeout=60)
            self.process.stdout.close()
            self.process = None
        return status


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    runner = Runner("alone", tmp_path_factory.mktemp("alone"))
    yield runner
    runner.close()


@pytest.fixture(scope="module")
def together(tmp_path_factory):
    runner = Runner("together", tmp_path_factory.mktemp("together"))
    yield runner
    runner.close()


@pytest.mark.parametrize("case", LISTED, ids=lambda case: case.name)
def test_alone(case, alone):
    """Every case of the list in a process of its own."""
    complaint = alone.run(case)
    assert not complaint, complaint


@pytest.mark.parametrize("case", QUICK, ids=lambda case: case.name)
def test_together(case, together):
    """Every case, of the list or beyond, in one process; where one kills it the next begins another."""
    complaint = together.run(case)
    assert not complaint, complaint


@pytest.mark.slow
@pytest.mark.parametrize("case", [case for case in CALLS if case.slow], ids=lambda case: case.name)
def test_large(case, alone):
    with open("/proc/meminfo") as file:
        available = next(int(line.split()[1]) * 1024 for line in file if line.startswith("MemAvailable"))
    if available < case.memory:
        pytest.skip(f"{available >> 30} GiB of memory are available and the case may take {case.memory >> 30}")
    complaint = alone.run(case)
    assert not complaint, complaint


@pytest.mark.parametrize("case", SCRIPTS, ids=lambda case: case.name)
def test_script(case, tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", case.script], env=environment(**case.environment), cwd=tmp_path,
        capture_output=True, text=True, timeout=case.seconds, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


def test_the_list_is_covered():
    """Every number of the list has a case, but compiled plugins (64) and entry points (65)."""
    numbers = {int(name.split()[0]) for name in CASES if name[0].isdigit()}
    assert numbers == {*range(1, 64), 66, 67}
