"""The functions of every _kernels_<instruction set> module."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ._compiled import Compiled
from ._kernel import Kernel
from ._tables import Axis

Array = NDArray[Any]
Axes = tuple[Axis, Axis, Axis] | tuple[Axis, Axis, Axis, Border]

ISA: str
LANES: dict[str, int]
LEAST_LANES: dict[str, int]
TILE_ROWS: int
MOST_DOTS: int
MOST_DOTS_TAPS: int
DIVISORS: dict[str, int]
STATISTICS: dict[str, int]
ACTIVATIONS: dict[str, int]

class Border:
    def __init__(
        self, elements: Array, starts: Array, before: tuple[int, ...], whole: tuple[int, ...], length: int
    ) -> None: ...
    def sample(self, n: int) -> Border: ...

def add_border(
    x: Array, index: tuple[Array, ...], gy: Array, places: tuple[Array, ...], weight: Array | None
) -> None: ...
def fill_border(x: Array, index: tuple[Array, ...], numbers: Array, elements: Array) -> None: ...

class Packed:
    groups: int
    outputs: int
    channels: int
    taps: int
    finite: bool
    transposed: bool
    def __init__(self, filters: Array, groups: int, transposed: bool, packing: bool = True) -> None: ...
    @property
    def nbytes(self) -> int: ...

class Panels(Packed): ...

class Convolution(Kernel):
    def pack(self, filters: Array) -> Any: ...
    def fill(
        self, x: Array, bias: Array | None, y: Array, filters: Any = None, border: Border | None = None
    ) -> Any: ...
    def finish(self, kernel: str | Compiled, params: tuple[float, ...]) -> bool: ...
    @property
    def scratch(self) -> int: ...

class Direct(Convolution):
    def __init__(
        self,
        x: Array,
        panels: Panels,
        y: Array,
        axes: Axes,
        constants: Array,
        threads: int,
        places: Array | None = None,
    ) -> None: ...

class DotFilters(Packed): ...

class Dots(Convolution):
    def __init__(self, x: Array, filters: DotFilters, y: Array, axes: Axes, constants: Array, threads: int) -> None: ...

class Bands(Convolution):
    def __init__(
        self,
        x: Array,
        panels: Panels,
        y: Array,
        axes: Axes,
        constants: Array,
        threads: int,
    ) -> None: ...

class Plain(Convolution):
    def __init__(
        self,
        x: Array,
        filters: Array,
        groups: int,
        transposed: bool,
        y: Array,
        axes: Axes,
        constants: Array,
        threads: int,
    ) -> None: ...

class WinogradPanels:
    groups: int
    outputs: int
    channels: int
    depth: int
    transposed: bool
    flipped: bool
    form: int
    fold: int
    points: int
    phases: int
    def __init__(
        self,
        filters: Array,
        groups: int,
        transposed: bool,
        flipped: bool,
        form: int,
        fold: int,
        kernel: tuple[int, ...],
        order: tuple[int, int, int],
        phases: int,
        packing: bool = True,
        threads: int = 1,
    ) -> None: ...
    @property
    def nbytes(self) -> int: ...

Tiles = tuple[Array, Array, Array, int]

class Winograd(Convolution):
    def __init__(
        self,
        x: Array,
        panels: WinogradPanels,
        y: Array,
        axes: Axes,
        constants: Array,
        tiles: tuple[Tiles, Tiles],
        threads: int,
        spare: int = 0,
    ) -> None: ...
    @property
    def all_tiles(self) -> int: ...
    @property
    def form(self) -> int: ...
    def fill_part(self, x: Array, bias: Array | None, y: Array, filters: Any, sizes: Array, flagged: Array) -> None: ...

def any_large(sizes: Array, flagged: Array, form: int) -> bool: ...

class ChannelPanels:
    def __init__(self, filters: Array, packing: bool = True) -> None: ...
    @property
    def nbytes(self) -> int: ...

class Depthwise(Convolution):
    def __init__(
        self, x: Array, panels: ChannelPanels, y: Array, axes: Axes, constants: Array, threads: int
    ) -> None: ...

COLUMNS_AT_ONCE: int
WINOGRAD_BLOCK: int
WINOGRAD_SUMS: int

def filters_apart(filters: Array) -> Array: ...

class Columns(Convolution):
    def __init__(
        self,
        x: Array,
        weights: Array,
        groups: int,
        y: Array,
        axes: Axes,
        constants: Array,
        threads: int,
    ) -> None: ...

class Planes(Convolution):
    def __init__(
        self,
        x: Array,
        weights: Array,
        groups: int,
        y: Array,
        axes: Axes,
        constants: Array,
        rise: int,
        threads: int,
    ) -> None: ...

class Spectra:
    size: int
    def __init__(
        self,
        weights: Array,
        taps: tuple[int, int],
        steps: tuple[int, int],
        tile: tuple[int, int],
        packing: bool = True,
    ) -> None: ...
    @property
    def nbytes(self) -> int: ...

class Fft(Convolution):
    def __init__(
        self, x: Array, spectra: Spectra, groups: int, y: Array, axes: Axes, constants: Array, threads: int
    ) -> None: ...

def filter_gradient(
    x: Array, gy: Array, gradient: Array, groups: int, axes: Axes, constants: Array, threads: int
) -> None: ...
def depthwise_filter_gradient(
    x: Array, gy: Array, gradient: Array, axes: Axes, constants: Array, threads: int
) -> None: ...
def fusible(form: int, products: int, groups: int, channels: int) -> bool: ...
def in_strips(run: int) -> bool: ...
def winograd_filter_gradient(
    x: Array,
    gy: Array,
    gradient: Array,
    groups: int,
    axes: Axes,
    constants: Array,
    tiles: tuple[Tiles, Tiles],
    form: int,
    order: tuple[int, int, int],
    phases: int,
    threads: int,
) -> bool: ...
def plane_pool(x: Array, y: Array, axes: Axes, constants: Array, reduction: Any, threads: int) -> PlanePool | None: ...
def plane_gradient(
    gy: Array, gx: Array, axes: Axes, numbered: bool, divisor: str, value: float, threads: int
) -> PlaneGradient | None: ...
def pool_extremum(
    x: Array,
    y: Array,
    winner: NDArray[np.int32] | None,
    index: NDArray[np.intp] | None,
    axes: Axes,
    constants: Array,
    largest: bool,
    threads: int,
) -> None: ...
def pool_sum(x: Array, y: Array, axes: Axes, constants: Array, divisor: str, value: float, threads: int) -> None: ...
def pool_gradient(
    gy: Array,
    gx: Array,
    winner: NDArray[np.int32] | None,
    axes: Axes,
    divisor: str,
    value: float,
    threads: int,
    fresh: bool = False,
) -> None: ...

MOST_SCALED_TAPS: int

def pool_scaled(
    x: Array,
    y: Array,
    winner: NDArray[np.int32],
    won: Array,
    axes: Axes,
    scale: tuple[Array, Array, Array],
    rectified: bool,
    threads: int,
) -> None: ...
def pool_scaled_gradient(
    x: Array,
    gy: Array,
    winner: NDArray[np.int32],
    gx: Array,
    axes: Axes,
    scale: tuple[Array, Array, Array, Array],
    threads: int,
) -> None: ...

class Activate(Kernel):
    def __init__(
        self,
        kernel: str | Compiled | None,
        params: tuple[float, ...],
        shape: tuple[int, ...],
        dtype: np.dtype[Any],
        threads: int,
    ) -> None: ...
    def fill(self, x: Array, other: Array | None, y: Array, filters: None = None) -> None: ...

class Transpose(Kernel):
    def __init__(self, n: int, rows: int, columns: int, itemsize: int, threads: int) -> None: ...
    def fill(self, x: Array, bias: None, y: Array, filters: None = None) -> None: ...

class PlanePool(Kernel):
    def fill(self, x: Array, bias: None, y: Array, filters: None = None) -> None: ...

class PlaneGradient:
    def fill(self, gy: Array, winner: NDArray[np.int32] | None, gx: Array) -> None: ...

class Pool(Kernel):
    def __init__(
        self,
        x: Array,
        y: Array,
        axes: Axes,
        constants: Array,
        reduction: str | tuple[str, float],
        threads: int,
    ) -> None: ...
    def fill(self, x: Array, bias: None, y: Array, filters: None = None) -> None: ...

def pool_statistic(
    x: Array,
    y: Array,
    winner: NDArray[np.int32] | None,
    upper: NDArray[np.int32] | None,
    axes: Axes,
    constants: Array,
    statistic: str,
    parameter: float,
    threads: int,
) -> None: ...
def pool_statistic_gradient(
    x: Array,
    y: Array,
    gy: Array,
    gx: Array,
    axes: Axes,
    constants: Array,
    statistic: str,
    parameter: float,
    threads: int,
) -> None: ...
def pool_foreign(
    x: Array, y: Array, axes: Axes, constants: Array, compiled: Compiled, params: tuple[float, ...], threads: int
) -> None: ...
def pool_foreign_gradient(
    x: Array,
    y: Array,
    gy: Array,
    gx: Array,
    axes: Axes,
    constants: Array,
    compiled: Compiled,
    params: tuple[float, ...],
    threads: int,
) -> None: ...
def gather_windows(
    x: Array,
    axes: Axes,
    constants: Array,
    places: NDArray[np.intp],
    sample: int,
    channel0: int,
    windows: Array,
) -> None: ...
def scatter_windows(
    gx: Array, axes: Axes, places: NDArray[np.intp], sample: int, channel0: int, windows: Array
) -> None: ...
def erfc(x: Array, out: Array) -> None: ...
def activate(kernel: str | Compiled, params: tuple[float, ...], x: Array, y: Array, threads: int) -> None: ...
def activate_gradient(
    kernel: str | Compiled, params: tuple[float, ...], x: Array, y: Array, gy: Array, gx: Array, threads: int
) -> None: ...
def transpose(x: Array, y: Array, threads: int) -> None: ...
def channel_sums(x: Array, threads: int) -> Array: ...
def channel_moments(x: Array, threads: int) -> tuple[Array, Array]: ...
def channel_products(x: Array, gy: Array, centre: Array, threads: int) -> Array: ...
def channel_affine(
    x: Array, y: Array, centre: Array, factor: Array, shift: Array, rectified: bool, threads: int
) -> None: ...
def channel_gradient(
    x: Array, gy: Array, gx: Array, centre: Array, factor: Array, shift: Array, slope: Array, threads: int
) -> None: ...
