"""The instruction sets of this machine, one after the other in one test: what they share is made once."""

from contextlib import contextmanager

from pyconvx import _core

ISAS = _core.supported()


@contextmanager
def under(isa):
    """Compute with an instruction set; an error says which one it was."""
    with _core.using(isa):
        try:
            yield
        except Exception as error:
            # what BaseException.add_note does, which Python 3.10 does not have
            error.__notes__ = [*getattr(error, "__notes__", ()), f"instruction set {isa}"]
            raise
