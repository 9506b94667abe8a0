from collections.abc import Mapping, Sequence
from typing import Any

from numpy.typing import NDArray

Array = NDArray[Any]

class Kernel:
    @property
    def runs(self) -> bool: ...

class Row:
    scratch: int
    def __init__(
        self,
        kernels: Sequence[Kernel],
        biases: Sequence[Array | int | None],
        maps: Sequence[Array],
        reads: Sequence[int] | None = None,
    ) -> None: ...

class Pieces:
    def __init__(
        self, bounds: Sequence[tuple[int, int]], rows: Sequence[Mapping[int, Row]], scratch: Sequence[Array]
    ) -> None: ...
    def fill(self, x: Array, y: Array) -> list[int]: ...
