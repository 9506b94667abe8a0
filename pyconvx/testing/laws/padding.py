"""The laws of padding modes. Imports the operations of pyconvx and the plugins."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from hypothesis import reject
from hypothesis import strategies as st
from numpy.typing import NDArray

import pyconvx as cx

from ...padding import OUTSIDE, IndexMap, PaddingMode, index_map
from ...plugin import Bound, accepted
from .. import reference
from ..bounds import reference_mode
from ..strategies.conv import ConvCase, conv_cases
from ..strategies.pad import PadCase, pad_cases
from ..strategies.pool import PoolCase, pool_cases
from . import purity
from .inputs import varied
from .law import Law, Refuted, Subject, require_close
from .ranks import CONV, POOL
from .shared import purity_laws

Array = NDArray[Any]


@dataclass(frozen=True)
class Extension:
    """An axis of n elements, and how far it is extended at either end."""

    n: int
    before: int
    after: int

    @property
    def coordinates(self) -> Array:
        return np.arange(-self.before, self.n + self.after, dtype=np.intp)

    @property
    def width(self) -> tuple[int, int]:
        return self.before, self.after


def _extensions(subject: Subject) -> st.SearchStrategy[Extension]:
    """Axes from one element on, with pads shorter and much longer than they are."""
    amounts = st.integers(0, 4) | st.integers(5, 30)
    return st.builds(Extension, st.integers(1, 5) | st.integers(6, 12), amounts, amounts)


def _rule(bound: Bound[PaddingMode], i: Array, n: int) -> Any:
    """What the rule returns. It may refuse, with a ValueError, pads as long as the axis or longer."""
    try:
        with np.errstate(all="ignore"):
            return bound.plugin.function(i, n, **bound.params)
    except ValueError:
        if i.size and (i.min() <= -n or i.max() >= 2 * n - 1):
            reject()
        raise


def _table(bound: Bound[PaddingMode], i: Array, n: int) -> IndexMap:
    """The checked index map; what is wrong with it refutes a law."""
    _rule(bound, i.copy(), n)
    try:
        return index_map(bound, i, n)
    except ValueError as error:
        raise Refuted(str(error), "an index map") from None


def _reads(table: IndexMap, n: int) -> Array:
    """Weights (L, n + 1) with which coordinates take elements and, last, the constant."""
    weight = np.ones(table.index.shape) if table.weight is None else table.weight
    used = (weight != 0) & ~((table.index == OUTSIDE) & (weight != 1))
    reads = np.zeros((table.index.shape[1], n + 1))
    for index, weights, counts in zip(table.index, weight, used, strict=True):
        at = np.flatnonzero(counts)
        np.add.at(reads, (at, np.where(index[at] == OUTSIDE, n, index[at])), weights[at])
    return reads


def calls(subject: Subject, case: Extension) -> list[purity.Call]:
    """The rule, with the coordinates of an extended axis."""
    bound = subject.bound
    return [purity.Call("the rule", lambda i: _rule(bound, i, case.n), (case.coordinates,))]


def index_range(subject: Subject, case: Extension) -> None:
    """Coordinates outside the axis."""
    i = case.coordinates
    _table(subject.bound, i[(i < 0) | (i >= case.n)], case.n)


def interior(subject: Subject, case: Extension) -> None:
    """Coordinates of the axis alone, and among others."""
    _table(subject.bound, np.arange(case.n, dtype=np.intp), case.n)
    _table(subject.bound, case.coordinates, case.n)


def independent(subject: Subject, case: Extension) -> None:
    """Coordinates together, one by one and backwards."""
    bound, i, n = subject.bound, case.coordinates, case.n
    together = _reads(_table(bound, i, n), n)
    alone = np.concatenate([_reads(_table(bound, i[at : at + 1], n), n) for at in range(i.size)])
    allowed = 1e-12 * (1 + np.abs(together))
    why = f"weight (coordinate from {-case.before} on, element)"
    require_close("index map", together, alone, allowed, f"{why} as for each coordinate by itself")
    backwards = _reads(_table(bound, i[::-1].copy(), n), n)[::-1]
    require_close("index map", backwards, together, allowed, f"{why} in whatever order they are given")


def _padded(bound: Bound[PaddingMode], case: Extension, x: Array) -> tuple[Array, Any, Array]:
    """The padded vector, its pullback, and the weights (L, n + 1) by which it must have been made."""
    reads = _reads(_table(bound, case.coordinates, case.n), case.n)
    y, pullback = cx.vjp(cx.pad, x, case.width, bound)
    return y, pullback, reads


def adjoint(subject: Subject, case: Extension) -> None:
    """<pad(x) - pad(0), gy> = <x, gx>, and the gradient by the transposed index map."""
    x = varied((case.n,)) + 0.125
    y, pullback, reads = _padded(subject.bound, case, x)
    gy = varied(y.shape)[::-1]
    (gx,) = pullback(gy)
    scale = np.abs(reads).sum() + 1
    nothing = cx.pad(np.zeros(case.n), case.width, subject.bound)
    left, right = np.asarray((y - nothing) @ gy), np.asarray(x @ gx)
    require_close("<pad(x) - pad(0), gy>", left, right, 1e-11 * scale, "which is <x, gradient of x>")
    require_close("gradient", gx, reads[:, : case.n].T @ gy, 1e-11 * scale, "by the transposed index map")


def gradient_sum(subject: Subject, case: Extension) -> None:
    """The gradient of the sum of y counts what is read."""
    _, pullback, reads = _padded(subject.bound, case, np.zeros(case.n))
    (gx,) = pullback(np.ones(len(reads)))
    total, want = np.asarray(gx.sum()), np.asarray(reads[:, : case.n].sum())
    require_close("sum of the gradient", total, want, 1e-11 * (1 + np.abs(reads).sum()), "the sum of all weights")


def not_finite(subject: Subject, case: Extension) -> None:
    """A NaN and an infinity at each element."""
    bound, n = subject.bound, case.n
    table = _table(bound, case.coordinates, n)
    used = np.ones(table.index.shape, np.bool_) if table.weight is None else table.weight != 0
    takes = [((table.index == at) & used).any(0) for at in range(n)]
    usual = np.isfinite(cx.pad(np.ones(n), case.width, bound))
    for at, special in ((at, special) for at in range(n) for special in (np.nan, np.inf)):
        x = np.ones(n)
        x[at] = special
        spoilt = ~np.isfinite(cx.pad(x, case.width, bound))
        where = case.coordinates
        if (spoilt != (takes[at] | ~usual)).any():
            raise Refuted(
                f"{special} at element {at} reaches coordinates {where[spoilt].tolist()}",
                f"{where[takes[at]].tolist()}, which take that element",
            )


def _definition(subject: Subject) -> Any:
    like = subject.definition(reference.PADDINGS)
    if isinstance(like, str):
        mode = (like, accepted(reference.PADDINGS[like], subject.bound.params, 2))
        return lambda x, before, after: reference.pad(x, (before, after), mode)
    return like


def definition(subject: Subject, case: Extension) -> None:
    """`like`, or the reference for a built-in, on numbers that are all different."""
    _rule(subject.bound, case.coordinates, case.n)
    x = np.arange(case.n) ** 2 * 3.0 + 1
    got = cx.pad(x, case.width, subject.bound)
    want = np.asarray(_definition(subject)(x, *case.width), np.float64)
    require_close("padded x", got, want, 1e-9 * (1 + np.abs(want)), "by definition, for x =", x)


def _close(what: str, got: Array, want: Array) -> None:
    require_close(what, got, want, 1e-9 * (1 + np.abs(want).max(initial=0)), "as by plain NumPy with this index map")


def _or_refused(bound: Bound[PaddingMode], call: Any) -> Any:
    """The result of a call, unless the rule refuses pads that are too long for it."""
    try:
        return call()
    except ValueError as error:
        if any(repr(bound.name) in note for note in getattr(error, "__notes__", ())):
            reject()
        raise


def in_pad(subject: Subject, case: PadCase) -> None:
    """Every axis of arrays of rank 1 to 4, extended and cropped, and the gradient."""
    bound, x, mode = subject.bound, case.x.plain, reference_mode(subject.bound)
    y, pullback = _or_refused(bound, lambda: cx.vjp(cx.pad, x, case.pad_width, bound))
    _close("padded x", y, reference.pad(x, case.pad_width, mode))
    gy = varied(y.shape)
    _close("gradient of pad", pullback(gy)[0], reference.pad_vjp(x, case.pad_width, mode, gy=gy))


def in_convolution(subject: Subject, case: ConvCase) -> None:
    """Convolutions that read through the index map, and their gradients."""
    bound, (x, filters, _) = subject.bound, case.plain
    assert x is not None
    options = {**case.options, "padding_mode": bound}
    y, pullback = _or_refused(bound, lambda: cx.vjp(CONV[case.rank], x, filters, **options))
    by_reference = {**case.options, "padding_mode": reference_mode(bound)}
    _close("convolution", y, reference.conv(x, filters, **by_reference))
    gy = varied(y.shape)
    gradients = reference.conv_vjp(x, filters, gy=gy, **by_reference)
    for what, got, want in zip(("x", "filters"), pullback(gy), gradients, strict=False):
        _close(f"gradient of {what}", got, want)


def _poolings(subject: Subject) -> st.SearchStrategy[PoolCase]:
    drawn = pool_cases(kinds=("sum",), dtypes=("float64",), values=("normal",), empty=False)
    return drawn.map(lambda case: replace(case, options={**case.options, "padding_mode": subject.bound}))


def in_pooling(subject: Subject, case: PoolCase) -> None:
    """Windows that read through the index map, and their gradients."""
    bound, x = subject.bound, case.x.plain
    y, pullback = _or_refused(bound, lambda: cx.vjp(POOL[case.rank], x, case.size, "sum", **case.options))
    options = {**case.options, "padding_mode": reference_mode(bound), "rank": case.rank}
    _close("pooling", y, reference.pool(x, case.size, "sum", **options))
    gy = varied(y.shape)
    _close("gradient of pooling", pullback(gy)[0], reference.pool_vjp(x, case.size, "sum", gy=gy, **options))


LAWS = (
    *purity_laws(_extensions, calls),
    Law(
        "index_range",
        "A coordinate outside the axis takes elements 0 to n - 1 or OUTSIDE, by finite weights, however far it is "
        "(a rule may refuse pads as long as the axis by a ValueError).",
        _extensions,
        index_range,
    ),
    Law("interior", "An element of the axis maps to itself.", _extensions, interior),
    Law(
        "independent",
        "What a coordinate takes does not depend on which others are asked for.",
        _extensions,
        independent,
    ),
    Law("adjoint", "The gradient of pad is the adjoint of pad.", _extensions, adjoint),
    Law("gradient_sum", "The gradient of pad adds up to the weights of all that is read.", _extensions, gradient_sum),
    Law(
        "not_finite",
        "A NaN or an infinity reaches exactly the coordinates that take its element.",
        _extensions,
        not_finite,
    ),
    Law(
        "definition",
        "It is what its definition says.",
        _extensions,
        definition,
        lambda subject: _definition(subject) is not None,
    ),
    Law(
        "in_pad",
        "Arrays of any rank are padded by it, with the gradient.",
        lambda subject: pad_cases(dtypes=("float64",), modes=(subject.bound,)),
        in_pad,
        share=0.3,
    ),
    Law(
        "in_convolution",
        "Convolutions of rank 1 to 3 in either layout read through it, with their gradients.",
        lambda subject: conv_cases(dtypes=("float64",), values=("normal",), modes=False, empty=False),
        in_convolution,
        share=0.15,
    ),
    Law(
        "in_pooling",
        "Poolings of rank 1 to 3 in either layout read through it, with their gradients.",
        _poolings,
        in_pooling,
        share=0.15,
    ),
)
