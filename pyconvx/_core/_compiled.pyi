from typing import Any

ROW: int
CHECKED_ROW: int
WINDOW: int
ROWS: int
SLOPES: int
MOST_PARAMETERS: int

Functions = dict[int, tuple[int, int, int]]

def unpacked(capsule: Any) -> tuple[str | None, int, int]: ...

class Compiled:
    label: str
    rowwise: bool
    def __init__(self, label: str, forward: Functions, backward: Functions, rowwise: bool, keep: Any) -> None: ...
    def has(self, itemsize: int, backward: bool = False) -> bool: ...
