"""What the subcommands of `pyconvx` do, a file for each kind; `pyconvx.cli` knows which there are."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any


class UserError(Exception):
    """Something the user can put right: shown as one line."""


def require_place(option: str, path: Path) -> None:
    """Refuse a file that is to be written into a folder that there is not, or where a folder is."""
    if not path.parent.is_dir():
        raise UserError(f"{option} {path}: there is no folder {path.parent}")
    if path.is_dir():
        raise UserError(f"{option} {path}: there is a folder of that name")


@contextmanager
def opened(path: Path) -> Iterator[Any]:
    """The picture of a file; an error of its contents names the file. Raises ImportError as `pillow`."""
    Image = pillow()
    try:
        with Image.open(path) as image:
            yield image
    except (UserError, ImportError, MemoryError, Image.UnidentifiedImageError):
        raise
    except Exception as error:  # of any kind, as the decoders of formats have it
        if isinstance(error, OSError) and error.filename is not None:
            raise
        raise UserError(f"{path}: {error}") from error


def pillow() -> Any:
    """The module PIL.Image. Raises ImportError that says what to install."""
    try:
        from PIL import Image
    except ImportError as error:
        raise ImportError('pictures need pillow: pip install "pyconvx[image]"') from error
    return Image
