"""How arguments lie in memory makes no difference; they are not modified and results are fresh."""

import numpy as np
import pytest

import pyconvx as cx

from .operations import (
    BIAS,
    FORMS,
    K2,
    OPERATIONS,
    X2,
    all_of_it,
    assert_fresh,
    bits,
    every_operation,
    flatten,
    normal,
)


@every_operation
def test_how_arguments_lie_in_memory_makes_no_difference(name):
    call, arrays = OPERATIONS[name]
    expected = bits(call(*(array.copy() for array in arrays)))
    for form, change in FORMS.items():
        given = [change(array) for array in arrays]
        before = [array.tobytes() for array in given]
        result = call(*given)
        assert bits(result) == expected, form
        assert [array.tobytes() for array in given] == before, f"{form}: an argument was modified"
        assert_fresh(result, given)


@every_operation
def test_one_argument_at_a_time(name):
    """A copy made for one argument must not be mistaken for another's."""
    call, arrays = OPERATIONS[name]
    expected = bits(call(*arrays))
    for position in range(len(arrays)):
        given = list(arrays)
        given[position] = all_of_it(given[position])
        assert bits(call(*given)) == expected, position


@every_operation
def test_broadcast_arguments(name):
    """An axis of stride 0 counts as often as it says."""
    call, arrays = OPERATIONS[name]
    for axis in range(2):
        given = []
        for array in arrays:
            if array.dtype.kind == "i":
                given.append(array)
                continue
            along = axis % array.ndim
            one = np.take(array, [0], axis=along)
            given.append(np.broadcast_to(one, array.shape))
        assert bits(call(*given)) == bits(call(*(np.array(array) for array in given)))


@every_operation
def test_results_are_repeatable_and_independent(name):
    """Writing into one result changes neither the next result nor an argument."""
    call, arrays = OPERATIONS[name]
    first = call(*arrays)
    expected, given = bits(first), [array.tobytes() for array in arrays]
    assert_fresh(first, arrays)
    for array in flatten(first):
        array[...] = 1
    assert [array.tobytes() for array in arrays] == given
    assert bits(call(*arrays)) == expected


@pytest.mark.parametrize("dtype", [np.float16, np.float64, np.int8, np.uint8, np.int32, np.int64, np.uint64, bool])
@pytest.mark.parametrize(
    "name",
    [
        "conv2d",
        "conv_transpose2d",
        "pool2d max",
        "pool2d avg",
        "pad reflect",
        "unpool2d",
        "adaptive_pool2d min",
        "pool2d median",
        "activate gelu",
    ],
)
def test_other_dtypes(name, dtype):
    call, arrays = OPERATIONS[name]
    arrays = [array if array.dtype.kind == "i" else (np.abs(array) * 20).astype(dtype) for array in arrays]
    expected = bits(call(*arrays))
    for form, change in FORMS.items():
        assert bits(call(*(change(array) for array in arrays))) == expected, form


class Labelled(np.ndarray):
    """A subclass that would notice being worked on."""

    def __array_ufunc__(self, *args, **options):
        raise AssertionError("the library computed with a subclass")

    def __array_function__(self, *args, **options):
        raise AssertionError("the library computed with a subclass")


@every_operation
def test_subclasses_are_taken_as_plain_arrays(name):
    call, arrays = OPERATIONS[name]
    given = [array.view(Labelled) for array in arrays]
    result = call(*given)
    assert bits(result) == bits(call(*arrays))
    assert_fresh(result, [array.view(np.ndarray) for array in given])


def test_memory_maps(tmp_path):
    x = np.memmap(tmp_path / "x", np.float32, "w+", shape=X2.shape)
    x[...] = X2
    x.flush()
    x = np.memmap(tmp_path / "x", np.float32, "r", shape=X2.shape)
    result = cx.conv2d(x, K2, groups=2)
    assert type(result) is np.ndarray
    assert bits(result) == bits(cx.conv2d(X2, K2, groups=2))


def test_nested_lists():
    assert bits(cx.conv2d(X2.astype(float).tolist(), K2.astype(float), groups=2)) == bits(
        cx.conv2d(X2.astype(float), K2.astype(float), groups=2)
    )


def test_prepared_filters_do_not_change():
    filters = K2.copy()
    packed = cx.prepare(filters)
    expected = bits(cx.conv2d(X2, K2, groups=2))
    assert bits(cx.conv2d(X2, packed, groups=2)) == expected
    filters[...] = 0
    assert bits(cx.conv2d(X2, packed, groups=2)) == expected
    with pytest.raises((AttributeError, TypeError)):
        packed.filters = filters


def test_prepared_filters_serve_every_operation():
    packed = cx.prepare(K2)
    gy = normal(2, 7, 6, 6)
    y, pullback = cx.vjp(cx.conv2d, X2, packed, groups=2)
    plain, plain_pullback = cx.vjp(cx.conv2d, X2, K2, groups=2)
    assert bits((y, pullback(gy))) == bits((plain, plain_pullback(gy)))
    x = normal(2, 5, 4, 6)
    assert bits(cx.conv_transpose2d(x, packed, groups=2)) == bits(cx.conv_transpose2d(x, K2, groups=2))


@pytest.mark.parametrize("name", [name for name in OPERATIONS if name.startswith("vjp")])
def test_a_pullback_gives_the_same_bits_each_time(name):
    call, arrays = OPERATIONS[name]
    assert bits(call(*arrays)) == bits(call(*arrays))


def test_a_pullback_gives_fresh_gradients():
    _, pullback = cx.vjp(cx.conv2d, X2, K2, BIAS, groups=2)
    gy = normal(2, 7, 6, 6)
    first = pullback(gy)
    expected = bits(first)
    for gradient in first:
        gradient[...] = 5
    assert bits(pullback(gy)) == expected
