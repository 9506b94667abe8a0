"""The command `pyconvx` as it is installed: `pyconvx.cli`, or one line where the package refuses to be imported.

It stands beside the package because the import of any module inside imports the package first.
"""

from __future__ import annotations

import sys


def main() -> int:
    """Run the process's command line and return the exit code."""
    try:
        from pyconvx.cli import main as run
    except ValueError as error:  # PYCONVX_ISA names no instruction set of this machine
        print(f"pyconvx: error: {error}", file=sys.stderr)
        return 2
    return run()
