"""What the subcommands of `pyconvx` do, a file for each kind; `pyconvx.cli` knows which there are."""

from pathlib import Path


class UserError(Exception):
    """Something the user can put right: shown as one line."""


def require_place(option: str, path: Path) -> None:
    """Refuse a file that is to be written into a folder that there is not, or where a folder is."""
    if not path.parent.is_dir():
        raise UserError(f"{option} {path}: there is no folder {path.parent}")
    if path.is_dir():
        raise UserError(f"{option} {path}: there is a folder of that name")
