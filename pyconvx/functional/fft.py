"""Convolution by Fourier transforms as a candidate: large kernels on single channels.

May import the core, problem and planes.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .. import _core
from ..remember import remembered
from . import planes
from .arrays import Array
from .parallel import num_threads
from .problem import Problem

__all__ = ["kernel", "mend", "spectra", "unfit", "wasteful"]

LENGTHS = (32, 64, 96, 128, 160, 192, 256)
"""Of the transforms."""
BYTES = 2**20
"""Most that a pair of tiles, and its spectrum where several filters share it, may take."""
SPECTRA = 2**26
"""Most bytes of the spectra of all filters."""
MANY = 0.5
"""Part of the tiles from which on all are done again at once."""
NEAR = 2**18
"""Bytes of a pair of tiles from which on transforms take longer, since the second cache does not hold all they need."""
START, ELEMENT = 500, 3.3
"""Cost of a call, and of an element of a pair of tiles. All costs are nanoseconds of one core that computes float32."""
PACKING, SPECTRUM = 4000, 2.2
"""Cost of transforming filters, and of an element of a spectrum."""
PLACE, PRODUCT = 0.2, 0.032
"""Cost of a place, and of a product, by an algorithm that does without transforms."""

Size = tuple[int, int]


def unfit(problem: Problem) -> str | None:
    """Why transforms cannot do a problem; None if they can."""
    channels = problem.per_group[1]
    if channels != 1:
        return f"it is for one channel per group, a group has {channels}"
    if problem.axes[0].taps != 1:
        return f"it is for one tap on the first of three axes, the filters have {problem.axes[0].taps}"
    if any(axis.rise != 1 for axis in problem.axes[1:]) or not problem.axes[0].ordered:
        return "places of the last two axes do not read neighbours in their index tables, in order"
    if _tile_of(problem) is None:
        reach = " x ".join(map(str, _reach(problem)))
        return f"no transforms hold the {reach} elements that a place reads, and the spectra of all filters"
    if not problem.finite():
        return "filters hold infinities or NaNs"
    return None


def wasteful(problem: Problem) -> str | None:
    """Why another algorithm is likely to be faster at a problem; None if none is."""
    outputs, channels = problem.per_group
    if channels != 1:
        return f"a group has {channels} channels"
    taps = problem.axes[1].taps * problem.axes[2].taps
    places = problem.x.shape[0] * math.prod(axis.length for axis in problem.axes) * outputs * problem.groups
    products = places * (PLACE + PRODUCT * taps)
    start = START + (0 if problem.prepared else PACKING)
    if products < 2 * start:
        return "transforms cost more than so few products"
    chosen = _tile_of(problem)
    if chosen is not None and start + problem.groups * chosen[1] >= products:
        return f"transforms cost more than products with {taps} taps"
    return None


def _reach(problem: Problem) -> Size:
    """Elements from the first to the last that a place reads, on the last two axes."""
    rows, columns = ((axis.taps - 1) * abs(axis.step) + 1 for axis in problem.axes[1:])
    return rows, columns


def _tile_of(problem: Problem) -> tuple[Size, float] | None:
    """The lengths of transforms for a problem, and the cost of a group; None if none is long enough."""
    outputs, _ = problem.per_group
    lengths = problem.axes[1].length, problem.axes[2].length
    images = problem.x.shape[0] * problem.axes[0].length
    prepared = problem.prepared is not None
    return _tile(images, lengths, _reach(problem), problem.groups, outputs, problem.x.itemsize, prepared)


@remembered()
def _tile(
    images: int, lengths: Size, reach: Size, groups: int, outputs: int, item: int, prepared: bool
) -> tuple[Size, float] | None:
    """The cheapest lengths of transforms."""
    best: tuple[Size, float] | None = None
    for rows in LENGTHS:
        for columns in LENGTHS:
            steps, elements = (rows - reach[0] + 1, columns - reach[1] + 1), rows * columns
            bytes = elements * item * 2
            if min(steps) < 1 or bytes * min(outputs, 2) > BYTES or bytes * groups * outputs > SPECTRA:
                continue
            tiles = images * math.prod(-(-length // step) for length, step in zip(lengths, steps, strict=True))
            far = 1 + 0.6 * max(0, bytes / NEAR - 1)
            # several filters share the way there, but write into places apart
            cost = -(-tiles // 2) * outputs * elements * ELEMENT * far
            if not prepared:
                cost += outputs * elements * SPECTRUM
            if best is None or cost < best[1]:
                best = (rows, columns), cost
    return best


def spectra(problem: Problem) -> Any:
    """The transformed filters."""
    chosen, axes = _tile_of(problem), problem.axes
    assert chosen is not None
    tile = chosen[0]
    taps, steps = (axes[1].taps, axes[2].taps), (axes[1].step, axes[2].step)

    def make() -> Any:
        return _core.kernels.Spectra(problem.weights()[:, :, 0], taps, steps, tile, problem.packing)

    return problem.packed(("fft", problem.transposed, tile, steps), make)


def kernel(problem: Problem, y: Array) -> Any:
    """The kernel for such arrays; what its `fill` returns is for `mend`."""
    axes, constants = problem.axes, problem.constants
    return _core.kernels.Fft(problem.x, spectra(problem), problem.groups, y, axes, constants, num_threads())


def mend(problem: Problem, y: Array, flagged: NDArray[np.uint8], _: bool) -> None:
    """Do the pairs of tiles that the kernel reported again, by lanes of places; it never applies an activation."""
    images, rows, columns = problem.axes
    chosen = _tile_of(problem)
    assert chosen is not None
    height, width = (a - b + 1 for a, b in zip(chosen[0], _reach(problem), strict=True))
    tiles = problem.x.shape[0], images.length, -(-rows.length // height), -(-columns.length // width)
    pairs = np.flatnonzero(flagged.any(1))
    if pairs.size > MANY * flagged.shape[0]:
        planes.kernel(problem, y).fill(problem.x, problem.bias, y, None, problem.border)
        return
    for number in np.concatenate([2 * pairs, 2 * pairs + 1]).tolist():
        if number == math.prod(tiles):  # a pair may lack its second tile
            continue
        n, depth, row, column = map(int, np.unravel_index(number, tiles))
        top, left = row * height, column * width
        bottom, right = min(top + height, rows.length), min(left + width, columns.length)
        axes = images.part(depth, depth + 1), rows.part(top, bottom), columns.part(left, right)
        part, to = replace(problem, x=problem.x[n : n + 1], axes=axes), y[n : n + 1, depth : depth + 1]
        to = to[:, :, top:bottom, left:right]
        border = None if problem.border is None else problem.border.sample(n)
        planes.kernel(part, to).fill(part.x, part.bias, to, None, border)
