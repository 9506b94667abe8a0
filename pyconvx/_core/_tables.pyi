from typing import Any

import numpy as np
from numpy.typing import NDArray

OUTSIDE: int
NOTHING: int
FIRST_MIX: int

class Axis:
    def __init__(
        self,
        source: int,
        taps: int,
        step: int,
        row: Any,
        code: Any,
        *,
        place: Any = None,
        extent: Any = None,
        mixes: tuple[Any, Any, Any] | None = None,
    ) -> None: ...
    @property
    def source(self) -> int: ...
    @property
    def length(self) -> int: ...
    @property
    def taps(self) -> int: ...
    @property
    def step(self) -> int: ...
    @property
    def rows(self) -> NDArray[np.intp]: ...
    @property
    def ordered(self) -> bool: ...
    @property
    def mixed(self) -> bool: ...
    @property
    def rise(self) -> int: ...
    @property
    def nbytes(self) -> int: ...
    @property
    def sourced(self) -> bool: ...
    def codes(self) -> NDArray[np.intp]: ...
    def present(self) -> NDArray[np.intp]: ...
