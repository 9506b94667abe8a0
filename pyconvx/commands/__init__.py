"""What the subcommands of `pyconvx` do, a file for each kind; `pyconvx.cli` knows which there are."""


class UserError(Exception):
    """Something the user can put right: shown as one line."""
