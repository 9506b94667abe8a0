from collections.abc import Callable
from typing import Any

import numpy as np

from ._kernel import Kernel

def forget() -> None: ...
def now() -> int: ...

class Repeat:
    def __init__(
        self,
        fill: Callable[..., Any],
        shape: tuple[int, ...],
        dtype: np.dtype[Any],
        finish: Callable[[Any], None] | None = None,
        beside: np.dtype[Any] | None = None,
        mend: Callable[..., Any] | None = None,
    ) -> None: ...
    @property
    def kernel(self) -> Kernel | None: ...
    def into(self, x: Any, bias: Any, y: Any, filters: Any = None) -> bool: ...

class Calls:
    def __init__(self, windows: bool = False) -> None: ...
    def again(self, args: tuple[Any, ...], options: dict[str, Any], threads: int) -> Any: ...
    def keep(
        self,
        args: tuple[Any, ...],
        options: dict[str, Any],
        threads: int,
        since: int,
        make: Callable[[], Repeat | None],
    ) -> None: ...
