"""Neither threads of Python nor threads of the library change a bit."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import pyconvx as cx

from .operations import OPERATIONS, bits, normal


def test_many_python_threads_get_the_bits_of_one():
    names = list(OPERATIONS)
    expected = {name: bits(OPERATIONS[name][0](*OPERATIONS[name][1])) for name in names}

    def work(seed):
        order = np.random.default_rng(seed).permutation(len(names))
        return [
            names[i] for i in order if bits(OPERATIONS[names[i]][0](*OPERATIONS[names[i]][1])) != expected[names[i]]
        ]

    with ThreadPoolExecutor(8) as pool:
        wrong = [name for found in pool.map(work, range(16)) for name in found]
    assert not wrong


def test_threads_share_prepared_filters_and_pullbacks():
    x, filters = normal(1, 40, 40, 8), normal(16, 3, 3, 8)
    packed = cx.prepare(filters)
    _, pullback = cx.vjp(cx.conv2d, x, packed)
    gy = normal(1, 38, 38, 16)
    expected = bits((cx.conv2d(x, filters), pullback(gy)))
    packed = cx.prepare(filters)  # unused so far: its transformed forms are made by the threads
    with ThreadPoolExecutor(8) as pool:
        for result in pool.map(lambda _: bits((cx.conv2d(x, packed), pullback(gy))), range(32)):
            assert result == expected


LARGE = normal(2, 65, 67, 24)
LARGE_FILTERS = normal(40, 3, 3, 24)
LARGE_CALLS = {
    "conv2d": lambda: cx.conv2d(LARGE, LARGE_FILTERS, padding="same", activation="relu"),
    "vjp conv2d": lambda: cx.vjp(cx.conv2d, LARGE, LARGE_FILTERS)[1](np.ones((2, 63, 65, 40), np.float32)),
    "vjp depthwise": lambda: cx.vjp(cx.conv2d, LARGE, LARGE_FILTERS[:24, ..., :1], groups=24)[1](
        np.ones((2, 63, 65, 24), np.float32)
    ),
    "conv_transpose2d": lambda: cx.conv_transpose2d(LARGE, LARGE_FILTERS[:24], stride=2),
    "pool2d": lambda: cx.pool2d(LARGE, 3, stride=2, return_indices=True),
    "pool2d avg": lambda: cx.pool2d(LARGE, 3, "avg", padding=1),
    "pool2d median": lambda: cx.pool2d(LARGE, 3, "median"),
    "pool2d stochastic": lambda: cx.pool2d(LARGE, 3, "stochastic", seed=3),
    "vjp pool2d": lambda: cx.vjp(cx.pool2d, LARGE, 3, stride=1)[1](np.ones((2, 63, 65, 24), np.float32)),
    "activate": lambda: cx.activate(LARGE, "gelu"),
    "global_pool": lambda: cx.global_pool(LARGE),
    "pad": lambda: cx.pad(LARGE, 3, "reflect"),
}


@pytest.mark.parametrize("name", LARGE_CALLS)
def test_any_number_of_threads_gives_the_same_bits(name):
    with cx.threads(1):
        expected = bits(LARGE_CALLS[name]())
    for n in (2, 3, 7, 16):
        with cx.threads(n):
            assert bits(LARGE_CALLS[name]()) == expected, n


@pytest.fixture
def restored():
    before = cx.num_threads()
    yield before
    cx.set_num_threads(before)
    assert cx.num_threads() == before


def test_the_number_of_threads_is_set_and_restored(restored):
    assert type(restored) is int
    assert restored >= 1
    for n in (1, 2, 3, np.int64(2)):
        cx.set_num_threads(n)
        assert type(cx.num_threads()) is int
        assert 1 <= cx.num_threads() <= n
        with cx.threads(1):
            assert cx.num_threads() == 1
            with cx.threads(2):
                assert 1 <= cx.num_threads() <= 2
            assert cx.num_threads() == 1
        assert 1 <= cx.num_threads() <= n
    cx.set_num_threads(1)
    assert cx.num_threads() == 1


def test_the_number_of_threads_is_restored_after_an_error(restored):
    with pytest.raises(ArithmeticError), cx.threads(1):
        raise ArithmeticError
    assert cx.num_threads() == restored


@pytest.mark.parametrize("n", [0, -1, -(2**63), -(2**70)])
def test_fewer_than_one_thread(n, restored):
    for use in (cx.set_num_threads, lambda n: cx.threads(n).__enter__()):
        with pytest.raises(ValueError, match=str(n)):
            use(n)
    assert cx.num_threads() == restored


@pytest.mark.parametrize("n", [1.0, 1.5, "2", None, True, np.True_, np.float32(1), [1], 1j], ids=repr)
def test_a_number_of_threads_that_is_no_integer(n, restored):
    for use in (cx.set_num_threads, lambda n: cx.threads(n).__enter__()):
        with pytest.raises(TypeError, match="int"):
            use(n)
    assert cx.num_threads() == restored
