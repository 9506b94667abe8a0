"""The laws of padding modes. Imports the operations of pyconvx and the plugins."""

from __future__ import annotations

import itertools
import math
from contextlib import suppress
from dataclasses import replace
from typing import Any

import numpy as np
from hypothesis import strategies as st
from hypothesis.errors import UnsatisfiedAssumption
from numpy.typing import NDArray

import pyconvx as cx

from ...padding import OUTSIDE, IndexMap, JointMap, PaddingMode, index_map, joint_map
from ...plugin import Bound, accepted
from .. import reference
from ..bounds import reference_mode
from ..strategies.conv import ConvCase, conv_cases
from ..strategies.pad import PadCase, joint_pad_cases, pad_cases
from ..strategies.pool import PoolCase, pool_cases
from . import purity
from .extensions import Axes, Extension, Lines, axes, beyond, extensions
from .inputs import varied
from .law import Law, Refuted, Subject, is_defined, part, require_close
from .ranks import CONV, POOL
from .shared import Changed, changed, has_changeable, purity_laws, turned_round, with_another

Array = NDArray[Any]

ALONE = 80  # coordinates that are asked for one by one
USUAL = (2, 4, 6, 12)  # lengths of axes, one of which a joint rule takes


def _finite(subject: Subject) -> bool:
    """Whether the constant, if there is one, is a number to count with."""
    value = subject.bound.params.get("value", 0)
    return not isinstance(value, (int, float)) or math.isfinite(value)


def _rule(bound: Bound[PaddingMode], lines: Lines, sizes: tuple[int, ...]) -> tuple[Any, ...]:
    """What the rule returns for these coordinates, one array after the other.

    It may refuse, with a ValueError, pads as long as an axis or longer, and if it is a joint one also sizes.
    """
    joint = bound.plugin.joint
    try:
        with np.errstate(all="ignore"):
            i, n = (tuple(lines), sizes) if joint else (lines[0], sizes[0])
            result = bound.plugin.function(i, n, **bound.params)
    except ValueError:
        _reject_if_allowed(bound, lines, sizes)
        raise
    if joint and isinstance(result, tuple) and result and isinstance(result[0], tuple):
        return (*result[0], *result[1:])
    return result if isinstance(result, tuple) else (result,)


def _reject_if_allowed(bound: Bound[PaddingMode], lines: Any, sizes: tuple[int, ...]) -> None:
    """Leave out a case of pads, or sizes, that the rule may refuse.

    A joint rule may refuse sizes, whatever is around them, but not all: otherwise it is one that fails.
    """
    pairs = list(zip(lines, sizes, strict=True))
    if any(i.size and (i.min() <= -n or i.max() >= 2 * n - 1) for i, n in pairs):
        raise UnsatisfiedAssumption
    if bound.plugin.joint and _refuses(bound, sizes) and not all(_refuses(bound, (n,) * len(sizes)) for n in USUAL):
        raise UnsatisfiedAssumption


def _refuses(bound: Bound[PaddingMode], sizes: tuple[int, ...]) -> bool:
    """Whether a joint rule raises ValueError for a border of one around axes of these sizes."""
    try:
        with np.errstate(all="ignore"):
            bound.plugin.function(tuple(np.ix_(*(np.arange(-1, n + 1) for n in sizes))), sizes, **bound.params)
    except ValueError:
        return True
    return False


def _for_reference(bound: Bound[PaddingMode]) -> Any:
    """The mode for the reference, which may read more of the padding than windows do: the rule may refuse that."""
    mode, params = reference_mode(bound)
    if isinstance(mode, str):
        return mode, params
    rule = mode.rule if bound.plugin.joint else mode

    def allowed(i: Any, n: Any, **params: Any) -> Any:
        if not np.broadcast(*(i if bound.plugin.joint else (i, i))).size:
            return i  # the library asks for no coordinates that are none
        try:
            return rule(i, n, **params)
        except ValueError:
            _reject_if_allowed(bound, *((i, n) if bound.plugin.joint else ((i,), (n,))))
            raise

    return reference.Joint(allowed) if bound.plugin.joint else allowed, params


def _mesh(lines: Lines) -> Lines:
    """Coordinates of each axis as a rule gets them."""
    return list(np.ix_(*lines)) if len(lines) > 1 else lines


def _reads(bound: Bound[PaddingMode], lines: Lines, sizes: tuple[int, ...]) -> Array:
    """Weights (L, elements + 1) with which the L points of a mesh take elements and, last, the constant.

    What is wrong with the index map refutes a law.
    """
    mesh = _mesh(lines)
    if not all(map(len, lines)):
        return np.zeros((0, math.prod(sizes) + 1))
    _rule(bound, [each.copy() for each in mesh], sizes)
    try:
        if bound.plugin.joint:
            return _joint_reads(joint_map(bound, tuple(mesh), sizes), tuple(map(len, lines)), sizes)
        return _line_reads(index_map(bound, lines[0], sizes[0]), sizes[0])
    except ValueError as error:
        raise Refuted(str(error), "an index map") from None


def _line_reads(table: IndexMap, n: int) -> Array:
    weight = np.ones(table.index.shape) if table.weight is None else table.weight
    used = (weight != 0) & ~((table.index == OUTSIDE) & (weight != 1))
    reads = np.zeros((table.index.shape[1], n + 1))
    for index, weights, counts in zip(table.index, weight, used, strict=True):
        at = np.flatnonzero(counts)
        np.add.at(reads, (at, np.where(index[at] == OUTSIDE, n, index[at])), weights[at])
    return reads


def _joint_reads(table: JointMap, shape: tuple[int, ...], sizes: tuple[int, ...]) -> Array:
    flat = np.ravel_multi_index(tuple(np.broadcast_to(each, shape) for each in table.index), sizes)
    flat = np.where(False if table.outside is None else table.outside, math.prod(sizes), flat).ravel()
    reads = np.zeros((flat.size, math.prod(sizes) + 1))
    reads[np.arange(flat.size), flat] = 1 if table.weight is None else table.weight.ravel()
    return reads


def calls(subject: Subject, case: Extension) -> list[purity.Call]:
    """The rule, with the coordinates of an extended axis."""
    bound = subject.bound
    return [purity.Call("the rule", lambda *i: _rule(bound, list(i), case.sizes), tuple(_mesh(case.lines)))]


def index_range(subject: Subject, case: Extension) -> None:
    """Coordinates outside of each axis, with all of the others."""
    for axis, n in enumerate(case.sizes):
        lines = case.lines
        lines[axis] = lines[axis][(lines[axis] < 0) | (lines[axis] >= n)]
        _reads(subject.bound, lines, case.sizes)


def interior(subject: Subject, case: Extension) -> None:
    """Elements alone, and among other coordinates."""
    _reads(subject.bound, [np.arange(n, dtype=np.intp) for n in case.sizes], case.sizes)
    _reads(subject.bound, case.lines, case.sizes)


def independent(subject: Subject, case: Extension) -> None:
    """Coordinates together, some by themselves and all backwards."""
    bound, lines, sizes = subject.bound, case.lines, case.sizes
    together = _reads(bound, lines, sizes)
    points = list(itertools.product(*lines))
    some = np.unique(np.linspace(0, len(points) - 1, min(len(points), ALONE)).astype(int))
    alone = np.concatenate([_reads(bound, [np.array([i]) for i in points[at]], sizes) for at in some])
    allowed = 1e-12 * (1 + np.abs(together))
    why = f"weight (coordinate from {-np.asarray(case.before)} on, element)"
    why_alone = f"{why} as for each coordinate by itself"
    require_close("index map", together[some], alone, allowed[some], why_alone)
    backwards = _reads(bound, [line[::-1].copy() for line in lines], sizes)[::-1]
    require_close("index map", backwards, together, allowed, f"{why} in whatever order they are given")


def parameters(subject: Subject, case: Changed) -> None:
    """The index map for another value, unless the rule refuses that, however it does."""
    other = with_another(subject, case)
    if other is None or turned_round(subject, case):
        return
    try:
        _rule(other.bound, _mesh(case.rows.lines), case.rows.sizes)
    except UnsatisfiedAssumption:
        raise
    except Exception:
        return
    independent(other, case.rows)


def _padded(bound: Bound[PaddingMode], case: Extension, x: Array) -> tuple[Array, Any, Array]:
    """The padded x, its pullback, and the weights (L, elements + 1) by which it must have been made."""
    reads = _reads(bound, case.lines, case.sizes)
    y, pullback = cx.vjp(cx.pad, x, case.width, bound)
    return y, pullback, reads


def adjoint(subject: Subject, case: Extension) -> None:
    """<pad(x) - pad(0), gy> = <x, gx>, and the gradient by the transposed index map."""
    x = varied(case.sizes) + 0.125
    y, pullback, reads = _padded(subject.bound, case, x)
    gy = np.flip(varied(y.shape))
    (gx,) = pullback(gy)
    scale = np.abs(reads).sum() + 1
    nothing = cx.pad(np.zeros(case.sizes), case.width, subject.bound)
    left, right = np.asarray(((y - nothing) * gy).sum()), np.asarray((x * gx).sum())
    require_close("<pad(x) - pad(0), gy>", left, right, 1e-11 * scale, "which is <x, gradient of x>")
    transposed = (reads[:, : x.size].T @ gy.ravel()).reshape(x.shape)
    require_close("gradient", gx, transposed, 1e-11 * scale, "by the transposed index map")


def gradient_sum(subject: Subject, case: Extension) -> None:
    """The gradient of the sum of y counts what is read."""
    y, pullback, reads = _padded(subject.bound, case, np.zeros(case.sizes))
    (gx,) = pullback(np.ones(y.shape))
    total, want = np.asarray(gx.sum()), np.asarray(reads[:, : gx.size].sum())
    require_close("sum of the gradient", total, want, 1e-11 * (1 + np.abs(reads).sum()), "the sum of all weights")


def _takers(bound: Bound[PaddingMode], case: Extension) -> Array:
    """Whether (L, elements) coordinates take elements, were it by weights that add up to 0."""
    reads = _reads(bound, case.lines, case.sizes)
    if bound.plugin.joint:
        return np.asarray(reads[:, :-1] != 0)
    table = index_map(bound, case.lines[0], case.sizes[0])
    used = np.ones(table.index.shape, np.bool_) if table.weight is None else table.weight != 0
    return np.stack([((table.index == at) & used).any(0) for at in range(case.sizes[0])], 1)


def not_finite(subject: Subject, case: Extension) -> None:
    """A NaN and an infinity at each element."""
    bound, takers = subject.bound, _takers(subject.bound, case)
    usual = np.isfinite(cx.pad(np.ones(case.sizes), case.width, bound)).ravel()
    points = list(itertools.product(*(line.tolist() for line in case.lines)))
    names = points if subject.bound.plugin.joint else [point[0] for point in points]
    elements = range(math.prod(case.sizes))
    for at, special in itertools.product(elements, (np.nan, np.inf)):
        x = np.ones(case.sizes)
        x.flat[at] = special
        spoilt = ~np.isfinite(cx.pad(x, case.width, bound)).ravel()
        takes = takers[:, at]
        if (spoilt != (takes | ~usual)).any():
            element = np.unravel_index(at, case.sizes)
            raise Refuted(
                f"{special} at element {', '.join(map(str, element))} reaches coordinates "
                f"{[names[place] for place in np.flatnonzero(spoilt)]}",
                f"{[names[place] for place in np.flatnonzero(takes)]}, which take that element",
            )


def _definition(subject: Subject) -> Any:
    """`like`, or the reference for a built-in, as a function of x and width."""
    like, joint = subject.like, subject.bound.plugin.joint
    if not isinstance(like, str):
        return like
    functions: Any = reference.JOINT if joint else reference.PADDINGS
    mode = (like, accepted(functions[like], subject.bound.params, 2))
    return lambda x, *width: reference.pad(x, width[0] if joint else width, mode)


def definition(subject: Subject, case: Extension) -> None:
    """`like`, or the reference for a built-in, on numbers that are all different."""
    x = (np.arange(math.prod(case.sizes)) ** 2 * 3.0 + 1).reshape(case.sizes)
    width = (case.width,) if subject.bound.plugin.joint else case.width[0]
    try:
        want = np.asarray(_definition(subject)(x, *width), np.float64)
    except ValueError:
        _rule(subject.bound, _mesh(case.lines), case.sizes)  # which may refuse the same
        raise
    got = cx.pad(x, case.width, subject.bound)
    require_close("padded x", got, want, 1e-9 * (1 + np.abs(want)), "by definition, for x =", x)


def definition_each(subject: Subject, case: Axes) -> None:
    """The same for many axes, but for those that are refused."""
    for one in case:
        with suppress(UnsatisfiedAssumption), part(one):
            definition(subject, one)


def _close(what: str, got: Array, want: Array) -> None:
    require_close(what, got, want, 1e-9 * (1 + np.abs(want).max(initial=0)), "as by plain NumPy with this index map")


def _or_refused(bound: Bound[PaddingMode], call: Any) -> Any:
    """The result of a call, unless the rule refuses pads that are too long for it."""
    try:
        return call()
    except ValueError as error:
        if any(repr(bound.name) in note for note in getattr(error, "__notes__", ())):
            raise UnsatisfiedAssumption from error
        raise


def _pads(subject: Subject) -> st.SearchStrategy[PadCase]:
    if subject.bound.plugin.joint:
        return joint_pad_cases(subject.bound, dtypes=("float64",))
    return pad_cases(dtypes=("float64",), modes=(subject.bound,))


def in_pad(subject: Subject, case: PadCase) -> None:
    """Every axis of arrays of rank 1 to 4, extended and cropped, and the gradient."""
    bound, x, mode = subject.bound, case.x.plain, _for_reference(subject.bound)
    y, pullback = _or_refused(bound, lambda: cx.vjp(cx.pad, x, case.pad_width, bound))
    _close("padded x", y, reference.pad(x, case.pad_width, mode))
    gy = varied(y.shape)
    _close("gradient of pad", pullback(gy)[0], reference.pad_vjp(x, case.pad_width, mode, gy=gy))


def _convolutions(subject: Subject) -> st.SearchStrategy[ConvCase]:
    ranks = subject.bound.plugin.ranks
    drawn = conv_cases(dtypes=("float64",), values=("normal",), modes=False, empty=False, ranks=ranks)
    return drawn.map(lambda case: replace(case, options={**case.options, "padding_mode": subject.bound}))


def in_convolution(subject: Subject, case: ConvCase) -> None:
    """Convolutions that read through the index map, and their gradients."""
    bound, (x, filters, _) = subject.bound, case.plain
    assert x is not None
    options = {**case.options, "padding_mode": bound}
    y, pullback = _or_refused(bound, lambda: cx.vjp(CONV[case.rank], x, filters, **options))
    by_reference = {**case.options, "padding_mode": _for_reference(bound)}
    _close("convolution", y, reference.conv(x, filters, **by_reference))
    gy = varied(y.shape)
    gradients = reference.conv_vjp(x, filters, gy=gy, **by_reference)
    for what, got, want in zip(("x", "filters"), pullback(gy), gradients, strict=False):
        _close(f"gradient of {what}", got, want)


def _poolings(subject: Subject) -> st.SearchStrategy[PoolCase]:
    ranks = subject.bound.plugin.ranks
    drawn = pool_cases(kinds=("sum",), dtypes=("float64",), values=("normal",), empty=False, ranks=ranks)
    return drawn.map(lambda case: replace(case, options={**case.options, "padding_mode": subject.bound}))


def in_pooling(subject: Subject, case: PoolCase) -> None:
    """Windows that read through the index map, and their gradients."""
    bound, x = subject.bound, case.x.plain
    y, pullback = _or_refused(bound, lambda: cx.vjp(POOL[case.rank], x, case.size, "sum", **case.options))
    options = {**case.options, "padding_mode": _for_reference(bound), "rank": case.rank}
    _close("pooling", y, reference.pool(x, case.size, "sum", **options))
    gy = varied(y.shape)
    _close("gradient of pooling", pullback(gy)[0], reference.pool_vjp(x, case.size, "sum", gy=gy, **options))


LAWS = (
    *purity_laws(extensions, calls),
    Law(
        "index_range",
        "A coordinate outside the axis takes elements 0 to n - 1 or OUTSIDE, by finite weights, however far it is "
        "(a rule may refuse pads as long as the axis by a ValueError, and a joint one sizes that it is not for).",
        beyond,
        index_range,
    ),
    Law("interior", "An element of the axis maps to itself.", extensions, interior),
    Law(
        "independent",
        "What a coordinate takes does not depend on which others are asked for.",
        extensions,
        independent,
    ),
    Law(
        "parameters",
        "With other values of its parameters, if the rule takes them, it is an index map, too.",
        changed(extensions),
        parameters,
        has_changeable,
        share=0.3,
    ),
    Law("adjoint", "The gradient of pad is the adjoint of pad.", extensions, adjoint, _finite),
    Law("gradient_sum", "The gradient of pad adds up to the weights of all that is read.", extensions, gradient_sum),
    Law(
        "not_finite",
        "A NaN or an infinity reaches exactly the coordinates that take its element.",
        extensions,
        not_finite,
    ),
    Law(
        "definition",
        "It is what its definition says, wherever that gives a result.",
        extensions,
        definition,
        is_defined,
    ),
    Law(
        "definition_each",
        "It is what its definition says for axes of any length from 1 on, and far beyond them.",
        axes,
        definition_each,
        is_defined,
        share=0.05,
    ),
    Law(
        "in_pad",
        "Arrays of any rank, or any that have the axes of a joint mode, are padded by it, with the gradient.",
        _pads,
        in_pad,
        share=0.3,
    ),
    Law(
        "in_convolution",
        "Convolutions of rank 1 to 3 in either layout read through it, with their gradients.",
        _convolutions,
        in_convolution,
        _finite,
        share=0.15,
    ),
    Law(
        "in_pooling",
        "Poolings of rank 1 to 3 in either layout read through it, with their gradients.",
        _poolings,
        in_pooling,
        _finite,
        share=0.15,
    ),
)
