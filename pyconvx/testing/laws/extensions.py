"""Axes, and how far they are extended: what the laws of padding modes are tried on. Imports Hypothesis and law.

Lengths and amounts are drawn from ranges that begin alike, so that each can be simplified to 1.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray

from .law import Subject

Lines = list[NDArray[np.intp]]

SIZES = (*range(1, 66), 100, 127, 128, 150, 224, 256, 400, 1000)  # of axes that are compared with a definition
JOINT_SIZE = 40  # the same of a joint mode, from 1 on along one axis
FARTHEST = 1100  # coordinates beyond an axis
MOST, JOINT_MOST = 40_000, 200  # elements of an axis, more than int16 (int8, if the mode is joint) counts


@dataclass(frozen=True)
class Extension:
    """An axis of n elements, and how far it is extended at either end; for a joint mode one number of each per axis."""

    n: Any
    before: Any
    after: Any

    @property
    def sizes(self) -> tuple[int, ...]:
        return self.n if isinstance(self.n, tuple) else (self.n,)

    @property
    def width(self) -> tuple[tuple[int, int], ...]:
        """As numpy.pad takes it."""
        if isinstance(self.n, tuple):
            return tuple(zip(self.before, self.after, strict=True))
        return ((self.before, self.after),)

    @property
    def lines(self) -> Lines:
        """The coordinates of each axis."""
        ranges = zip(self.sizes, self.width, strict=True)
        return [np.arange(-before, n + after, dtype=np.intp) for n, (before, after) in ranges]


def extensions(subject: Subject) -> st.SearchStrategy[Extension]:
    """Axes from one element on, with pads shorter and much longer than they are, and now and then long ones. A joint
    mode gets mostly even ones.
    """
    amounts = st.integers(0, 4) | st.integers(0, 30)
    if not subject.bound.plugin.joint:
        usual = st.integers(1, 5) | st.integers(1, 12) | st.integers(1, 33)
        short = st.builds(Extension, usual, amounts, amounts)
        return _seldom(short, st.builds(Extension, st.integers(1, 300), st.integers(0, 300), st.integers(0, 300)))
    length, few = st.integers(1, 3).map(lambda n: 2 * n) | st.integers(1, 5), st.integers(0, 3) | st.integers(0, 9)

    def of(rank: int) -> st.SearchStrategy[Extension]:
        amount = few if rank < 3 else st.integers(0, 3)
        drawn = st.builds(Extension, *(st.tuples(*[numbers] * rank) for numbers in (length, amount, amount)))
        n, pad = (60, 300) if rank == 1 else (24, 60)
        long = st.tuples(st.integers(6, n), *[length] * (rank - 1)).flatmap(st.permutations).map(tuple)
        wide = st.tuples(st.integers(0, pad), *[st.integers(0, 2)] * (rank - 1)).flatmap(st.permutations).map(tuple)
        return _seldom(drawn, st.builds(Extension, long, wide, wide))

    return st.sampled_from(subject.bound.plugin.ranks).flatmap(of)


def beyond(subject: Subject) -> st.SearchStrategy[Extension]:
    """Now and then an axis that is extended very far, or one of very many elements."""
    few = st.integers(0, 4)
    if not subject.bound.plugin.joint:
        far = st.builds(Extension, st.integers(1, 33), few, st.integers(0, FARTHEST))
        return _seldom(extensions(subject), far | st.builds(Extension, st.sampled_from((1, MOST)), few, few))

    def of(rank: int) -> st.SearchStrategy[Extension]:
        sizes = (
            st.tuples(st.sampled_from((1, JOINT_MOST)), *[st.just(2)] * (rank - 1)).flatmap(st.permutations).map(tuple)
        )
        return st.builds(Extension, sizes, *[st.tuples(*[st.integers(0, 1)] * rank)] * 2)

    return extensions(subject) | st.sampled_from(subject.bound.plugin.ranks).flatmap(of)


@dataclass(frozen=True)
class Axes:
    """Axes of many lengths, each extended little at one end and far at the other, and the other way round."""

    sizes: tuple[Any, ...]
    little: int
    far: int

    def __iter__(self) -> Iterator[Extension]:
        for n in self.sizes:
            some, more = ((each,) * len(n) if isinstance(n, tuple) else each for each in (self.little, self.far))
            yield Extension(n, some, more)
            yield Extension(n, more, some)


def axes(subject: Subject) -> st.SearchStrategy[Axes]:
    if not subject.bound.plugin.joint:
        return st.builds(Axes, st.just(SIZES), st.integers(0, 4), st.integers(0, FARTHEST))

    def of(rank: int) -> st.SearchStrategy[Axes]:
        few, axis = st.integers(0, 2 if rank == 3 else 4), st.integers(0, rank - 1)
        sizes = axis.map(lambda at: tuple((*[2] * at, n, *[4] * (rank - 1 - at)) for n in range(1, JOINT_SIZE + 1)))
        return st.builds(Axes, sizes, few, few)

    return st.sampled_from(subject.bound.plugin.ranks).flatmap(of)


def _seldom(usual: st.SearchStrategy[Extension], other: st.SearchStrategy[Extension]) -> st.SearchStrategy[Extension]:
    return st.integers(0, 9).flatmap(lambda turn: other if turn == 9 else usual)
