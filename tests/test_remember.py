"""What is remembered between calls: never more than the budget, never for another call, in threads and after a fork."""

import gc
import os
import threading
import weakref

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from threads import together

import pyconvx as cx
from pyconvx import remember
from pyconvx._core import Axis
from pyconvx.remember import key_of, remembered

X, FILTERS = np.arange(12.0).reshape(12, 1), np.ones((1, 3, 1))


class Array:
    def __init__(self, nbytes):
        self.nbytes = nbytes


@pytest.fixture
def small(monkeypatch):
    """A budget of a million bytes; returns a function that is remembered, and the arguments of its computations."""
    monkeypatch.setattr(remember, "BUDGET", 10**6)
    calls = []

    @remembered()
    def array(name, nbytes):
        calls.append(name)
        return Array(nbytes)

    return array, calls


def test_results_are_found_again(small):
    array, calls = small
    assert array("a", 1000) is array("a", 1000)
    assert calls == ["a"]


def test_what_was_used_longest_ago_goes_first(small):
    array, calls = small
    for name in "abc":
        array(name, 300_000)
    array("a", 300_000)
    array("d", 300_000)
    del calls[:]
    for name in "adcb":
        array(name, 300_000)
    assert calls == ["c", "b"] or calls == ["b"]
    assert "a" not in calls


def test_one_result_may_fill_the_budget_but_not_pass_it(small):
    array, calls = small
    array("little", 1000)
    assert array("large", 990_000) is array("large", 990_000)
    assert array("too large", 1_000_001) is not array("too large", 1_000_001)
    assert array("large", 990_000) is array("large", 990_000)
    assert calls == ["little", "large", "too large", "too large"]


def test_results_without_a_size_count_too(small):
    array, calls = small
    for i in range(1000):
        array(i, 0)
    del calls[:]
    for i in range(1000):
        array(i, 0)
    assert calls


def test_an_argument_that_is_held_counts_too(small):
    @remembered(Array)
    def size(array):
        return array.nbytes

    held = [weakref.ref(array) for array in (Array(300_000) for _ in range(20)) if size(array)]
    del small
    gc.collect()
    assert sum(array() is not None for array in held) <= 4


def test_functions_share_the_budget(small):
    array, calls = small
    array("a", 900_000)

    @remembered()
    def other(name):
        return Array(900_000)

    other("b")
    array("a", 900_000)
    assert calls == ["a", "a"]


def alive():
    """Bytes of all index tables that exist."""
    gc.collect()
    return sum(table.nbytes for table in gc.get_objects() if type(table) is Axis)


@pytest.mark.parametrize("backward", [False, True])
def test_tables_of_long_axes_do_not_pile_up(backward, monkeypatch):
    remember.forget()
    monkeypatch.setattr(remember, "BUDGET", 2**23)
    filters = np.ones((1, 3, 1), np.float32)
    options = dict(padding=1, padding_mode="wrap")
    before = alive()
    for n in range(40_000, 40_020):  # whose tables take more together
        y, pullback = cx.vjp(cx.conv1d, np.ones((n, 1), np.float32), filters, **options)
        if backward:
            pullback(y)
        cx.pool1d(y, 2)
        cx.adaptive_pool1d(y, n // 3)
    assert alive() - before <= remember.BUDGET


def test_a_table_that_fits_is_made_once():
    made = []

    def edge(i, n):
        made.append(len(i))
        return np.clip(i, 0, n - 1)

    with cx.paddings.temporarily("own", edge):
        x = np.ones((500_000, 1), np.float32)
        for _ in range(2):
            cx.conv1d(x, np.ones((1, 3, 1), np.float32), padding=1, padding_mode="own")
    assert made.count(500_002) == 1


@pytest.mark.parametrize("joint", [False, True])
@pytest.mark.parametrize("replaced", [False, True])
def test_a_plugin_that_goes_is_let_go(joint, replaced):
    def used():
        def edge(i, n):
            return tuple(np.clip(at, 0, size - 1) for at, size in zip(i, n, strict=True)) if joint else i.clip(0, n - 1)

        cx.paddings.register("own", edge, joint=joint)
        options = dict(padding=1, padding_mode="own")
        for _ in range(2):
            y, pullback = cx.vjp(cx.conv1d, X, FILTERS, **options)
            pullback(y)
            cx.conv1d(X, FILTERS, **options)
            cx.pool1d(X, 3, **options)
            cx.pad(X, 1, "own")
        return weakref.ref(edge)

    try:
        rule = used()
        if replaced:
            cx.paddings.register("own", lambda i, n: i, replace=True)
    finally:
        cx.paddings.unregister("own")
    cx.conv1d(X, FILTERS)  # with the next call an operation lets go of those that it knew
    cx.pool1d(X, 3)
    gc.collect()
    assert rule() is None


def test_what_goes_may_unregister_others():
    done = []

    def edge(i, n):
        return i.clip(0, n - 1)

    def ends():
        cx.paddings.unregister("other")
        done.append(True)

    weakref.finalize(edge, ends)
    with cx.paddings.temporarily("own", edge) as plugin:
        cx.paddings.register("other", lambda i, n: i.clip(0, n - 1))
    cx.pad(X, ((1, 1), (0, 0)), plugin)
    cx.conv1d(X, FILTERS, padding=1, padding_mode=plugin)  # now nothing else holds it
    object.__setattr__(plugin, "plain", None)
    del edge, plugin
    with cx.paddings.temporarily("gone", lambda i, n: i):
        pass
    assert done


class Changing:
    """A hashable int-like that changes."""

    value = 1

    def __index__(self):
        return self.value


class Pair(tuple):
    """A tuple that says something else than it holds."""

    value = (1,)

    def __iter__(self):
        return iter(self.value)

    def __getitem__(self, at):
        return self.value[at]


def test_an_option_that_changes_is_read_anew():
    for option in (Changing(), Pair((1,)), (Changing(),)):
        holder = option[0] if type(option) is tuple else option
        before = cx.conv1d(X, FILTERS, stride=option).shape
        holder.value = 2 if isinstance(holder, Changing) else (2,)
        assert before == (10, 1)
        assert cx.conv1d(X, FILTERS, stride=option).shape == (5, 1)


def test_a_parameter_that_changes_is_read_anew():
    class Shift:
        by = 1

    def shifted(i, n, shift):
        return np.where((i >= 0) & (i < n), i, (i + shift.by) % n)

    with cx.paddings.temporarily("shifted", shifted):
        mode = cx.padding("shifted", shift=Shift())
        for function in (cx.conv1d, cx.conv_transpose1d):
            results = []
            for by in (1, 2):
                mode.params["shift"].by = by
                results.append(function(X, FILTERS, padding=2, padding_mode=mode))
            assert not np.array_equal(*results)


@pytest.mark.parametrize("values", [(0.0, -0.0), (1, 1.0), (np.nan, 0.0), (1.0, float(np.nextafter(1, 2)))])
def test_parameters_are_told_apart_by_their_bits(values):
    def outside(i, n, value):
        seen.append(value)
        return np.where((i >= 0) & (i < n), i, cx.OUTSIDE)

    seen = []
    with cx.paddings.temporarily("outside", outside):
        for value in values:
            y = cx.conv1d(X, np.ones((1, 1, 1)), padding=1, padding_mode=cx.padding("outside", value=value))
            assert y[0].tobytes() == (0 + np.float64(value)).tobytes() or np.isnan(value)
    assert [np.signbit(value) for value in seen] == [np.signbit(value) for value in values]
    assert list(map(type, seen)) == list(map(type, values))


def test_nan_is_one_value():
    def outside(i, n, value):
        seen.append(value)
        return np.where((i >= 0) & (i < n), i, cx.OUTSIDE)

    seen = []
    with cx.paddings.temporarily("outside", outside):
        for _ in range(3):
            mode = cx.padding("outside", value=float("nan"))
            assert np.isnan(cx.conv1d(X, FILTERS, padding=1, padding_mode=mode)[0])
    assert len(seen) == 1


PLAIN = st.none() | st.booleans() | st.integers(-3, 3) | st.sampled_from(["", "a", "1"]) | st.floats(width=16)
NESTED = st.recursive(PLAIN, lambda inner: st.tuples(inner) | st.tuples(inner, inner), max_leaves=4)


def exactly(value):
    """What tells a value: types all the way down, and the bits of floats."""
    if type(value) is tuple:
        return tuple(map(exactly, value))
    return type(value), np.float64(value).tobytes() if type(value) is float else value


@given(one=st.tuples(NESTED, NESTED), other=st.tuples(NESTED, NESTED))
def test_keys_are_equal_exactly_where_values_are(one, other):
    assert (key_of(one) == key_of(other)) == (exactly(one) == exactly(other))
    assert key_of(one) == key_of(tuple(one))
    hash(key_of(one))


@pytest.mark.parametrize("value", [[1], {1}, np.ones(1), Changing(), Pair(()), object(), (1, [2]), lambda: 0])
def test_what_may_change_has_no_key(value):
    assert key_of((1, value)) is None


def test_dtypes_are_told_apart():
    kinds = [np.dtype(d) for d in ("<f4", ">f4", "f8", "f2", "i8", "u1", "?")]
    assert len({key_of((kind,)) for kind in kinds}) == len(kinds)


def test_many_threads_find_what_they_asked_for(small):
    array, _ = small
    wrong = []

    def ask(seed):
        random = np.random.default_rng(seed)
        for _ in range(3000):
            nbytes = int(random.integers(1, 200)) * 1000
            if array(f"{nbytes}", nbytes).nbytes != nbytes:
                wrong.append(nbytes)

    together(ask, *range(4))
    assert not wrong
    array("the last", 1000)
    held = sum(entry.size for store in remember._stores for entry in store.values())
    assert held <= remember.BUDGET + 4 * 200_000  # each thread may have missed the others' last one


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_child_forked_while_others_remember_goes_on(small):
    array, _ = small
    stop = threading.Event()

    def ask():
        i = 0
        while not stop.is_set():
            array(i, 5000)
            i += 1

    threads = [threading.Thread(target=ask) for _ in range(2)]
    for thread in threads:
        thread.start()
    try:
        for _ in range(20):
            child = os.fork()
            if child == 0:
                for i in range(500):
                    array(-i, 5000)
                os._exit(0)
            assert os.waitpid(child, 0)[1] == 0
    finally:
        stop.set()
        for thread in threads:
            thread.join()
