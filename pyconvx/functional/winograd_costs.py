"""What Winograd's algorithms take beside sums over taps, as measured. May import the core, columns, problem, forms."""

from __future__ import annotations

import math
from typing import NamedTuple

from .. import _core
from . import columns
from .problem import Problem
from .winograd_forms import LINE, Form, Tiles, products_of

__all__ = ["saved"]


class Costs(NamedTuple):
    """What a tile takes whose products and transforms are done together, in multiplications of vectors, as measured."""

    tile: int  # to find it
    inputs: int  # to transform a vector of its channels
    fold: int  # to find each further row of the squares that are folded
    output: int  # to transform a vector of outputs back, for each place of the tile
    products: int  # of a vector of filters with a channel
    place: int  # what a place takes of a group that is summed tap by tap, beside multiplications, and
    columns: float  # what a tap takes of a channel beside them, if that is done by `columns`


COSTS = {16: Costs(165, 395, 855, 7, 38, 30, 0.3), 8: Costs(505, 345, 2575, 12, 49, 49, 0.5)}  # by lanes; with fewer:
NARROW = Costs(1460, 76, 2240, 10, 47, 42, 0.5)
STRIPS = {16: Costs(133, 27, 220, 9, 38, 12, 0.3), 8: Costs(390, 17, 310, 12, 49, 22, 0.5)}
"""The same where tiles are transformed in strips of neighbours; `inputs`: an element of the rows of a tile."""
NARROW_STRIPS = Costs(310, 0, 130, 8, 45, 15, 0.5)


class LineCosts(NamedTuple):
    """What a line takes, in the same unit."""

    tile: int  # to find it
    piece: int  # to find the inputs of a piece, for each of the taps that are summed, and
    inputs: int  # to transform a vector of their channels
    output: int  # to transform a vector of outputs back, and
    place: float  # for each place
    products: float  # of a vector of filters with a channel, for each point
    group: int  # each one after the first


LINES = {16: LineCosts(266, 32, 85, 38, 3.5, 1.06, 150), 8: LineCosts(605, 153, 78, 14, 12, 1, 300)}
NARROW_LINES = LineCosts(480, 260, 59, 50, 8, 1.5, 300)

HALF = 0.75  # of what a vector of outputs takes, where they fill half of one at most
CALL = 1000  # what a call takes more; charged to each sample, so that others change no choice
EXCHANGE = 14  # to bring a vector of channels together, or take one of outputs apart, of each place


def saved(problem: Problem, form: Form, tiles: tuple[Tiles, Tiles]) -> float:
    """What sums over taps take, in parts of what tiles take that are transformed."""
    lanes, (outputs, channels) = _core.kernels.LANES["float32"], problem.per_group
    narrow = _core.kernels.in_strips(channels * problem.groups * form.fold)
    costs = STRIPS.get(lanes, NARROW_STRIPS) if narrow else COSTS.get(lanes, NARROW)
    whole, half = divmod(outputs, lanes)
    part = 0.0 if half == 0 else 0.5 if half <= _core.kernels.LEAST_LANES["float32"] else 1.0
    vectors, back = problem.groups * (whole + part), problem.groups * (whole + max(part, HALF * (half > 0)))
    inputs: float = -(-channels * problem.groups * form.fold // lanes) * form.fold * form.sums(problem)
    if form.line:
        pieces = _pieces(problem, form)
        inputs *= pieces / form.sums(problem)
        tile = _line(problem, form, pieces, inputs)
    else:
        tile = costs.tile + costs.fold * (form.fold - 1)
        tile += costs.inputs * (channels * problem.groups * form.fold * form.sums(problem) if narrow else inputs)
        tile += back * (costs.output * form.places + costs.products * products_of(problem, form))
    if problem.apart:
        tile += EXCHANGE * form.places * (vectors + inputs)
    lengths = [int(axis.length) for axis in problem.axes]
    tile *= lengths[form.order[0]] * len(tiles[0][0]) * len(tiles[1][0])
    return math.prod(lengths) * _sums(problem, costs, vectors) / (tile + CALL)


def _pieces(problem: Problem, form: Form) -> float:
    """Pieces of a line that are transformed: those of taps along another axis it shares with the line before."""
    axis, stride = problem.axes[form.order[0]], problem.strides[form.order[0]]
    taps, step = int(axis.taps), abs(int(axis.step))
    together = max(1, min(_core.kernels.WINOGRAD_BLOCK, int(axis.length)))
    new = taps if stride % step else min(taps, stride // step)
    return form.pieces * (taps + (together - 1) * new) / together


def _line(problem: Problem, form: Form, pieces: float, inputs: float) -> float:
    """What a line takes, of so many pieces and vectors of inputs."""
    lanes = _core.kernels.LANES["float32"]
    costs, vectors = LINES.get(lanes, NARROW_LINES), problem.groups * -(-problem.per_group[0] // lanes)
    tile = costs.tile + costs.group * (problem.groups - 1) + costs.piece * pieces + costs.inputs * inputs
    return tile + vectors * (costs.output + costs.place * form.out + costs.products * LINE * products_of(problem, form))


def _sums(problem: Problem, costs: Costs, vectors: float) -> float:
    """What the taps of a place take without transforms."""
    taps, channels = math.prod(int(axis.taps) for axis in problem.axes), problem.per_group[1]
    sums = taps * channels * vectors + costs.place * problem.groups
    if not problem.apart and columns.wasteful(problem) is None and columns.unfit(problem) is None:
        some = columns.per_place(problem) / _core.kernels.LANES["float32"] + costs.columns * taps * channels + 4
        sums = min(sums, problem.groups * some)
    return sums
