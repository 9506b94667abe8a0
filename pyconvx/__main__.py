"""`python -m pyconvx` is the command `pyconvx`."""

from .cli import main

if __name__ == "__main__":
    raise SystemExit(main())
