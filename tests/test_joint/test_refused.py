"""What is refused says why: calls that take no joint mode, rules whose result is no map, fields that say nothing."""

import pickle

import numpy as np
import pytest

import pyconvx as cx
from pyconvx.padding import OUTSIDE, joint_map

from .modes import mode, wrapped


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda x, f: cx.conv2d(x, f, padding_mode=("globe", "wrap")), "padding_mode 'globe' is for all axes at once"),
        (lambda x, f: cx.pool2d(x, 2, padding_mode=("wrap", "globe")), "padding_mode 'globe' is for all axes at once"),
        (lambda x, f: cx.conv1d(x[0], f[:, 0], padding_mode="globe"), "'globe' is for 2 spatial axes at once, got 1"),
        (lambda x, f: cx.pool3d(x[None], 1, padding_mode="globe"), "'globe' is for 2 spatial axes at once, got 3"),
        (lambda x, f: cx.conv_transpose1d(x[0], f[:, 0], padding_mode="globe"), "is for 2 spatial axes at once, got 1"),
        (
            lambda x, f: cx.pad(x, 1, "globe"),
            r"is for 2 axes at once, and x has 3: give pad_width as a mapping.*\{0: 1",
        ),
        (lambda x, f: cx.pad(x, {0: 1}, "globe"), "is for 2 axes at once, and pad_width names 1"),
        (lambda x, f: cx.pad(x, {0: 1, 1: 1, 2: 1}, "globe"), "pad_width names 3"),
        (lambda x, f: cx.pad(x, 1, ("globe", "wrap", "wrap")), "mode 'globe' is for all axes at once"),
        (lambda x, f: cx.pad(x, {0: -9, 1: 1}, "globe"), "crops more than axis 0"),
        (
            lambda x, f: cx.pool2d(x, 2, padding=1, padding_mode="test:walled", return_indices=True),
            "return_indices needs a padding_mode whose elements come from x, got 'test:walled'",
        ),
        (
            lambda x, f: cx.pool2d(x, 2, padding=1, padding_mode="test:winds", return_indices=True),
            "return_indices needs a padding_mode",
        ),
        (
            lambda x, f: cx.conv2d(x.astype("f"), f.astype("f"), padding_mode=mode("test:walled", value=1e300)),
            "value of padding mode 'test:walled' 1e\\+300 does not fit",
        ),
    ],
)
def test_what_is_refused_says_why(call, message):
    with pytest.raises(ValueError, match=message):
        call(np.ones((4, 6, 1)), np.ones((1, 3, 3, 1)))


def test_bool_has_no_weights():
    x = np.ones((4, 6), bool)
    for call in (
        lambda: cx.pad(x, 1, "test:winds"),
        lambda: cx.pool2d(x[..., None], 3, padding=1, padding_mode="test:winds"),
    ):
        with pytest.raises(TypeError, match="'test:winds' takes weighted sums of elements, and bool has no arithmetic"):
            call()
    assert cx.pad(x, 1, "globe").dtype == bool
    assert cx.conv2d(x[..., None], np.ones((1, 3, 3, 1), "f"), padding=1, padding_mode="test:winds").dtype == np.float32


I = (np.arange(-1, 3)[:, None], np.arange(-1, 4)[None])  # noqa: E741 - the name that a rule gives its coordinates
ROW, COLUMN = I[0] % 2, I[1] % 3


@pytest.mark.parametrize(
    ("result", "message"),
    [
        (None, "index must be a tuple of 2 arrays of integers, one per axis, got None"),
        ((ROW,), "index must be a tuple of 2 arrays"),
        ([ROW, COLUMN], "index must be a tuple of 2 arrays"),
        ((ROW, COLUMN.tolist()), "index of axis 1 must be an array of integers, got"),
        ((ROW * 1.0, COLUMN), "index of axis 0 must be an array of integers, got dtype float64"),
        ((ROW[:-1], COLUMN), r"index of axis 0 must broadcast to shape \(4, 5\), got \(3, 1\)"),
        ((ROW, COLUMN[None]), r"index of axis 1 must broadcast to shape \(4, 5\), got \(1, 1, 5\)"),
        (
            (I[0], COLUMN),
            r"0\.\.\.1 x 0\.\.\.2 or OUTSIDE; coordinate \(-1, -1\) of axes of lengths \(2, 3\) has index \(-1",
        ),
        ((ROW, I[1].clip(0)), r"coordinate \(-1, 3\) .* \(1, 3\)"),
        ((np.full((1, 1), 2**64 - 1, np.uint64), COLUMN), "every index must be in"),
        ((1 - ROW, COLUMN), r"an element must map to itself; coordinate \(0, 0\) .* has index \(1, 0\)"),
        ((np.where(I[0] == 1, OUTSIDE, ROW), COLUMN), r"must map to itself; coordinate \(1, 0\)"),
        (((ROW, COLUMN), None), "weight must be an array of real numbers, got None"),
        (((ROW, COLUMN), np.ones((4, 5), complex)), "weight must be an array of real numbers, got dtype complex128"),
        (((ROW, COLUMN), np.ones((5, 4))), r"weight must broadcast to shape \(4, 5\), got \(5, 4\)"),
        (((ROW, COLUMN), np.where(I[0] == 2, np.nan, 1)), r"weight must be finite; coordinate \(2, -1\) .* weight nan"),
        (
            ((ROW, COLUMN), np.where(I[1] == 1, 2, 1)),
            r"map to itself; coordinate \(0, 1\) .* index \(0, 1\) with weight 2",
        ),
        (((np.where(I[0] < 0, OUTSIDE, ROW), COLUMN), np.where(I[0] < 0, -1, 1)), "a constant must have the weight 1"),
    ],
)
def test_what_is_no_joint_map_is_refused_by_the_name_of_the_mode(result, message):
    with (
        cx.paddings.temporarily("broken", lambda i, n: result, joint=True),
        pytest.raises(ValueError, match=message) as info,
    ):
        joint_map(cx.padding("broken"), I, (2, 3))
    assert f"padding mode 'broken' (of {__name__})" in str(info.value)


@pytest.mark.parametrize("far", [-3, 10**9])
def test_a_mask_hides_no_index(far):
    def island(i, n):
        sea = (i[0] < 0) | (i[0] >= n[0]) | (i[1] < 0) | (i[1] >= n[1])
        return tuple(np.ma.masked_array(np.where(sea, far, at), sea) for at in np.broadcast_arrays(*i))

    with cx.paddings.temporarily("island", island, joint=True, ranks=(2,)):
        for call in (
            lambda: cx.conv2d(np.ones((4, 4, 1)), np.ones((1, 3, 3, 1)), padding=1, padding_mode="island"),
            lambda: cx.pad(np.ones((4, 4)), 1, "island"),
        ):
            with pytest.raises(ValueError, match=r"of padding mode 'island' .* got a masked array: fill it first"):
                call()


def test_a_class_of_its_own_hides_no_index():
    with (
        cx.paddings.temporarily("unequal", lambda i, n: (i[0].view(Agreeing), i[1] % n[1]), joint=True, ranks=(2,)),
        pytest.raises(ValueError, match="every index must be in"),
    ):
        cx.pad(np.ones((4, 4)), 1, "unequal")


class Agreeing(np.ndarray):
    """An array all of whose comparisons are true."""

    def __ge__(self, other):
        return np.ones(self.shape, bool)

    __lt__ = __eq__ = __ge__


@pytest.mark.parametrize("dtype", [np.int8, np.int32, np.uint16, np.intp])
def test_any_integer_dtype_is_a_joint_map(dtype):
    rule = lambda i, n: ((ROW.astype(dtype), COLUMN.astype(dtype)), np.ones((1, 1), np.int8))  # noqa: E731
    with cx.paddings.temporarily("narrow", rule, joint=True):
        table = joint_map(cx.padding("narrow"), I, (2, 3))
    assert all(index.dtype == np.intp for index in table.index)
    assert table.weight is None
    assert table.outside is None


def test_a_joint_map_tells_constants_and_weights():
    rule = lambda i, n, value=3: (  # noqa: E731
        (np.where(i[0] < 0, OUTSIDE, ROW), COLUMN), np.where((i[0] < 0) & (i[1] < 0), 0, np.where(i[0] > 1, -1, 1))
    )  # fmt: skip
    with cx.paddings.temporarily("some", rule, joint=True):
        table = joint_map(cx.padding("some"), I, (2, 3))
    assert table.value == 3
    assert table.outside.tolist() == [[False, True, True, True, True], *[[False] * 5] * 3]
    assert table.weight.tolist() == [[0, 1, 1, 1, 1], [1] * 5, [1] * 5, [-1] * 5]
    assert all((index >= 0).all() for index in table.index)


def test_a_rule_cannot_write_to_its_coordinates():
    def careless(i, n):
        i[1][...] %= n[1]
        return i

    with (
        cx.paddings.temporarily("careless", careless, joint=True, ranks=(2,)),
        pytest.raises(ValueError, match="read-only") as info,
    ):
        cx.pad(np.ones((2, 2)), 1, "careless")
    assert info.value.__notes__ == [f"in the function of the padding mode 'careless' (registered by {__name__})"]


def test_an_element_that_does_not_map_to_itself_is_found_at_the_border():
    turned = lambda i, n: (n[0] - 1 - i[0] % n[0], i[1] % n[1])  # noqa: E731
    with (
        cx.paddings.temporarily("turned", turned, joint=True, ranks=(2,)),
        pytest.raises(ValueError, match="an element must map to itself"),
    ):
        cx.pool2d(np.ones((40, 40, 1)), 3, padding=1, padding_mode="turned")


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"joint": 1}, "joint of padding mode 'bad' must be True or False"),
        ({"joint": True, "ranks": ()}, "ranks of padding mode 'bad' must be a tuple of positive ints"),
        ({"joint": True, "ranks": 2}, "ranks of padding mode 'bad' must be a tuple of positive ints"),
        ({"joint": True, "ranks": (2.0,)}, "ranks of padding mode 'bad' must be a tuple of positive ints"),
        ({"ranks": (2,)}, "padding mode 'bad' takes ranks= only with joint=True"),
    ],
)
def test_fields_that_say_nothing_are_refused(fields, message):
    with pytest.raises(TypeError, match=message):
        cx.paddings.register("bad", wrapped, **fields)


@pytest.mark.parametrize("ranks", [(4,), (1, 2, 3, 4)])
def test_ranks_that_no_operation_has_are_refused(ranks):
    with pytest.raises(ValueError, match=r"ranks of padding mode 'bad' must be among \(1, 2, 3\), got"):
        cx.paddings.register("bad", wrapped, joint=True, ranks=ranks)


def test_a_joint_mode_can_be_pickled():
    bound = mode("globe", poles=True)
    assert pickle.loads(pickle.dumps(bound)) == bound
