"""Index maps of the registered padding modes, and what is refused as an index map."""

import sys

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from threads import together

import pyconvx as cx
from pyconvx.padding import OUTSIDE, index_map, joint_map, paddings
from pyconvx.testing.strategies import mode_names

NUMPY = {
    "zeros": {"mode": "constant"},
    "constant": {"mode": "constant"},
    "edge": {"mode": "edge"},
    "reflect": {"mode": "reflect"},
    "symmetric": {"mode": "symmetric"},
    "wrap": {"mode": "wrap"},
    "odd_reflect": {"mode": "reflect", "reflect_type": "odd"},
    "odd_symmetric": {"mode": "symmetric", "reflect_type": "odd"},
}

MODES = st.sampled_from(mode_names())
AMOUNTS = st.integers(0, 20)


def apply(bound, x, i):
    """The padded line, term by term."""
    table = index_map(bound, i, len(x))
    weight = np.ones(table.index.shape) if table.weight is None else table.weight
    total = np.zeros(i.shape, object)
    for index, weights in zip(table.index, weight, strict=True):
        for at in np.flatnonzero(weights):
            total[at] += (table.value if index[at] == OUTSIDE else int(x[index[at]])) * int(weights[at])
    return total


@given(MODES, st.integers(1, 8), AMOUNTS, AMOUNTS)
def test_every_mode_is_that_of_numpy(mode, n, before, after):
    # numpy 1.26 bounces wrongly where it bounces more than once
    assume(np.lib.NumpyVersion(np.__version__) >= "2.0.0" or max(before, after) < n)
    x = np.arange(n) ** 2 * 3 - 7
    options = {"constant_values": 5} if mode == "constant" else {}
    bound = cx.padding(mode, value=5) if mode == "constant" else cx.padding(mode)
    expected = np.pad(x, (before, after), **NUMPY[mode], **options)
    assert apply(bound, x, np.arange(-before, n + after)).tolist() == expected.tolist()


@given(MODES, st.integers(1, 8), st.lists(st.integers(-40, 40)))
def test_a_coordinate_does_not_depend_on_the_others(mode, n, coordinates):
    """Any coordinates in any order: a table is a lookup, not a walk along the axis."""
    x = np.arange(n) + 1
    i = np.array(coordinates, np.intp)
    together = apply(cx.padding(mode), x, i)
    assert together.tolist() == [apply(cx.padding(mode), x, i[at : at + 1])[0] for at in range(i.size)]


@given(MODES, st.integers(1, 8), st.integers(-40, 40))
def test_tables_are_safe_to_follow(mode, n, start):
    table = index_map(cx.padding(mode), np.arange(start, start + 30), n)
    assert table.index.dtype == np.intp
    assert table.index.flags.c_contiguous
    assert (((table.index >= 0) & (table.index < n)) | (table.index == OUTSIDE)).all()
    if table.weight is not None:
        assert table.weight.shape == table.index.shape
        assert (table.index[table.weight == 0] == OUTSIDE).all()


@pytest.mark.parametrize("mode", mode_names())
def test_an_empty_axis_can_only_take_constants(mode):
    assert index_map(cx.padding(mode), np.empty(0, np.intp), 0).index.shape == (1, 0)
    if mode in ("zeros", "constant"):
        assert (index_map(cx.padding(mode), np.arange(3), 0).index == OUTSIDE).all()
    else:
        with pytest.raises(ValueError, match=f"empty axis with padding mode '{mode}'"):
            index_map(cx.padding(mode), np.arange(-1, 2), 0)


@pytest.mark.parametrize(
    ("alias", "name"),
    [("mirror", "reflect"), ("scipy:reflect", "symmetric"), ("scipy:mirror", "reflect"), ("circular", "wrap"),
     ("torch:replicate", "edge"), ("opencv:reflect_101", "reflect"), ("opencv:reflect", "symmetric"),
     ("numpy:constant", "constant"), ("torch:zeros", "zeros"), ("pywt:antireflect", "odd_reflect")],
)  # fmt: skip
def test_dialects(alias, name):
    assert cx.paddings[alias].name == name


I = np.arange(-2, 5)  # noqa: E741 - the name that a rule gives its coordinates
EDGE = I.clip(0, 2)
ONES = np.ones(I.shape)


@pytest.mark.parametrize(
    ("result", "message"),
    [
        (None, "index must be an array of integers, got None"),
        (EDGE.tolist(), "index must be an array of integers"),
        (EDGE.astype(float), "got dtype float64"),
        (EDGE[:-1], r"must have shape \(7,\)"),
        (EDGE[None, None], r"must have shape \(7,\)"),
        (np.empty((0, 7), int), r"must have shape \(7,\)"),
        (I, r"in 0\.\.\.2 or OUTSIDE; coordinate -2 of an axis of length 3 has index -2"),
        (EDGE + (I == 4), "coordinate 4 of an axis of length 3 has index 3"),
        (np.full(7, 2**64 - 1, np.uint64), "coordinate -2"),
        (np.where(I == 1, OUTSIDE, EDGE), "must map to itself; coordinate 1 "),
        (EDGE[::-1], "must map to itself"),
        (np.full(7, OUTSIDE), "must map to itself; coordinate 0 "),
        ((EDGE, None), "weight must be an array of real numbers, got None"),
        ((EDGE, ONES.astype(complex)), "weight must be an array of real numbers, got dtype complex128"),
        ((EDGE, ONES[:3]), "weight must have shape"),
        ((np.stack([EDGE, EDGE]), np.stack([ONES] * 3)), "index has 2 terms and weight has 3"),
        ((EDGE, np.where(I == 4, np.nan, 1)), "finite; coordinate 4 "),
        ((EDGE, np.where(I == 1, 2, 1)), "must map to itself; coordinate 1 .* weight 2"),
        ((np.stack([EDGE, EDGE * 0]), ONES), "must map to itself; coordinate 0"),
        ((np.where(I < 0, OUTSIDE, EDGE), -ONES), "constant must be the only term, of weight 1"),
        ((np.stack([np.where(I < 0, OUTSIDE, EDGE), EDGE]), np.stack([ONES, I < 0])), "constant must be the only term"),
    ],
)
def test_what_is_no_index_map_is_refused_by_the_name_of_the_mode(result, message):
    with (
        cx.paddings.temporarily("broken", lambda i, n: result),
        pytest.raises(ValueError, match=message) as info,
    ):
        index_map(cx.padding("broken"), I, 3)
    assert f"padding mode 'broken' (of {__name__})" in str(info.value)


BEYOND = EDGE != I


@pytest.mark.parametrize(
    "result", [np.ma.masked_array(I, BEYOND), (np.ma.masked_array(I, BEYOND), ONES), (EDGE, np.ma.array(ONES))]
)
def test_a_mask_is_not_lost(result):
    with (
        cx.paddings.temporarily("masked", lambda i, n: result),
        pytest.raises(ValueError, match=f"'masked' .registered by {__name__}. must return arrays without a mask"),
    ):
        index_map(cx.padding("masked"), I, 3)


@pytest.mark.parametrize("dtype", [np.int8, np.int32, np.uint16, np.intp])
def test_any_integer_dtype_and_shared_weights_are_an_index_map(dtype):
    with cx.paddings.temporarily("narrow", lambda i, n: (i.clip(0, n - 1).astype(dtype)[None], ONES)):
        table = index_map(cx.padding("narrow"), I, 3)
    assert table.index.dtype == np.intp
    assert table.index.tolist() == [EDGE.tolist()]
    assert table.weight is None


def test_signs_stay_and_unused_terms_point_nowhere():
    rule = lambda i, n: (np.stack([i.clip(0, n - 1)] * 2), np.stack([np.where(i < 0, -1, 1), i < 0]))  # noqa: E731
    with cx.paddings.temporarily("signed", rule):
        table = index_map(cx.padding("signed"), I, 3)
    assert table.weight.tolist() == [[-1, -1, 1, 1, 1, 1, 1], [1, 1, 0, 0, 0, 0, 0]]
    assert table.index[1].tolist() == [0, 0, *[OUTSIDE] * 5]


def test_a_rule_cannot_write_to_its_coordinates_and_its_exceptions_are_noted():
    def careless(i, n):
        i %= n
        return i

    with (
        cx.paddings.temporarily("careless", careless),
        pytest.raises(ValueError, match="read-only") as info,
    ):
        index_map(cx.padding("careless"), I, 3)
    assert info.value.__notes__ == [f"in the function of the padding mode 'careless' (registered by {__name__})"]


@pytest.fixture
def often():
    """Threads take turns as often as they can."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


@pytest.mark.usefixtures("often")
@pytest.mark.parametrize("joint", [False, True])
def test_what_a_rule_fills_anew_for_another_thread_has_been_copied_before_it_is_checked(joint):
    buffer, far = np.empty(10_000, np.intp), []

    def reused(i, n):
        i, n = (i[0], n[0]) if joint else (i, n)
        index = buffer[: i.size]
        np.clip(i, 0, n - 1, out=index)
        return (index,) if joint else index

    def ask(length):
        i, bound = np.arange(-2, length + 2), cx.padding("reused")
        for _ in range(1000):
            try:
                table = joint_map(bound, (i,), (length,)) if joint else index_map(bound, i, length)
            except ValueError:  # of the other thread, and seen
                continue
            far.extend(each for each in map(np.max, table.index) if each >= length)

    with paddings.temporarily("reused", reused, joint=joint):
        together(ask, 5000, 9000)
    assert not far


def test_a_parameter_that_is_an_array_needs_no_hash():
    def table(i, n, shift):
        return np.where((i >= 0) & (i < n), i, (i + int(shift[0])) % n)

    x, filters = np.arange(12.0).reshape(1, 12, 1), np.ones((1, 5, 1))
    with paddings.temporarily("table", table):
        for shift in (0, 3):
            mode = cx.padding("table", shift=np.array([shift]))
            y, pullback = cx.vjp(cx.conv1d, x, filters, padding="same", padding_mode=mode)
            padded = cx.pad(x[0, :, 0], 2, mode)
            assert y.ravel().tolist() == [padded[k : k + 5].sum() for k in range(12)]
            gx, _ = pullback(np.ones_like(y))
            assert gx.sum() == 60
    value = cx.padding("constant", value=np.array(0.5))
    assert cx.conv1d(x, filters, padding=1, padding_mode=value).ravel()[0] == 0.5 + 0 + 1 + 2 + 3
