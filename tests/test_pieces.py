"""Kernels one after another without Python in between: the bits of each alone, whoever does the pieces."""

import sys
from itertools import pairwise

import numpy as np
import pytest
from networks import pictures_net
from threads import together

import pyconvx as cx
from pyconvx import _core, nn
from pyconvx._core import Pieces, Row
from pyconvx.functional.algorithms import CANDIDATES
from pyconvx.functional.arrays import empty
from pyconvx.functional.ready import Ready
from pyconvx.nn import links, pieces
from pyconvx.nn.links import unit_of

rng = np.random.default_rng(11)
BYTES, FLOATS = np.dtype(np.uint8), np.dtype(np.float32)
CONVOLUTIONS = [  # x of a sample, filters, options
    ((16, 16, 16), (8, 3, 3, 16), {"padding": "same"}),
    ((16, 16, 8), (8, 3, 3, 1), {"groups": 8, "padding": "same", "padding_mode": "reflect"}),
    ((24, 24, 1), (2, 15, 15, 1), {"padding": 7}),
    ((9, 30, 1), (1, 3, 3, 1), {"padding": "same", "padding_mode": "odd_reflect"}),
]
POOLINGS = [
    (kind, options)
    for kind in ("max", "min", "avg", "sum", "lp")
    for options in ({"stride": 2}, {"stride": 1, "padding": 1}, {"stride": 1, "padding": 1, "padding_mode": "wrap"})
]


def pieces_of(links, bounds, workers):
    """Pieces of a batch through operations, each ready for pieces of all sizes: links are made by `make(samples)`."""
    rows = []
    for _ in range(workers):
        of_sizes = {}
        for size in {stop - start for start, stop in bounds}:
            some = [make(size) for make in links]
            maps = [empty(before.shape, FLOATS) for before, _ in pairwise(some)] if len(some) > 1 else []
            of_sizes[size] = Row([each.kernel for each in some], [each.bias for each in some], maps)
        rows.append(of_sizes)
    size = max(row.scratch for of in rows for row in of.values())
    return Pieces(bounds, rows, [empty((size,), BYTES) for _ in range(workers)])


@pytest.mark.parametrize("isa", _core.supported())
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", [candidate.name for candidate in CANDIDATES])
def test_every_algorithm_gives_the_bits_of_its_fill(name, dtype, isa):
    computed = 0
    for sample, shape, options in CONVOLUTIONS:
        x = rng.standard_normal((7, *sample)).astype(dtype)
        filters, bias = cx.prepare(rng.standard_normal(shape).astype(dtype)), np.ones(shape[0], dtype)
        given = {**options, "algorithm": name, "activation": "relu"}
        for threads in (1, 2, 3):
            with _core.using(isa), cx.threads(threads):
                try:
                    whole = Ready(cx.conv2d, x.shape, x.dtype, (filters, bias), given)
                except ValueError:  # it does not fit here
                    continue
                if whole.kernel is None:  # relu is put behind it
                    given.pop("activation", None)
                    whole = Ready(cx.conv2d, x.shape, x.dtype, (filters, bias), given)
                computed += 1
                if name == "runs":
                    assert whole.kernel is None, "now that there is one, nothing of it stands in the way"
                    continue
                want, got = empty(whole.shape, x.dtype), empty(whole.shape, x.dtype)
                whole.fill(x, want)
                some = pieces_of([lambda _, ready=whole: ready], [(0, 7)], 1)
                assert some.fill(x, got) == []
                np.testing.assert_array_equal(got, want)
                x[3] *= 1e30
                x[3, 1, 1] = np.inf
                flagged = some.fill(x, got)
                assert flagged == ([0] if name in ("winograd", "fft") else [])
                if not flagged:
                    whole.fill(x, want)
                    np.testing.assert_array_equal(got, want)
                x[3] = 1
    assert computed or (name in ("runs", "winograd") and dtype == "float64")


@pytest.mark.parametrize("isa", _core.supported())
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("kind", "options"), POOLINGS)
def test_poolings_give_the_bits_of_the_function(kind, options, dtype, isa):
    for channels in (1, 3, 40):
        x = rng.standard_normal((5, 12, 13, channels)).astype(dtype)
        x[1, 2, 2] = np.nan
        for threads in (1, 2):
            with _core.using(isa), cx.threads(threads):
                ready = Ready(cx.pool2d, x.shape, x.dtype, (3, kind), options)
                if kind == "lp":
                    assert ready.kernel is None, "now that there is one, nothing of it stands in the way"
                    continue
                got = empty(ready.shape, x.dtype)
                assert pieces_of([lambda _, ready=ready: ready], [(0, 5)], 1).fill(x, got) == []
                np.testing.assert_array_equal(got, cx.pool2d(x, 3, kind, **options))


def stack(dtype=FLOATS):
    """Three operations that may follow one another, each made ready for some samples."""
    first, second = (rng.standard_normal(shape).astype(dtype) for shape in ((32, 3, 3, 1), (8, 3, 3, 32)))
    bias = rng.standard_normal(32).astype(dtype)
    filters, other = cx.prepare(first), cx.prepare(second)
    return [
        lambda n: Ready(cx.conv2d, (n, 20, 20, 1), dtype, (filters, bias), {"padding": 1, "activation": "relu"}),
        lambda n: Ready(cx.pool2d, (n, 20, 20, 32), dtype, (2, "max"), {}),
        lambda n: Ready(cx.conv2d, (n, 10, 10, 32), dtype, (other, None), {"algorithm": "winograd"}),
    ]


def through(links, x):
    """One after the other, for the whole batch."""
    for make in links:
        ready = make(len(x))
        y = empty(ready.shape, x.dtype)
        ready.fill(x, y)
        x = y
    return x


@pytest.mark.parametrize("workers", [1, 2, 3, 8])
def test_pieces_of_several_sizes_by_any_number_of_workers(workers):
    links = stack()
    x = rng.standard_normal((11, 20, 20, 1)).astype(np.float32)
    with cx.threads(1):
        want = through(links, x)
        some = pieces_of(links, [(0, 4), (4, 8), (8, 11)], workers)
    for _ in range(20):
        got = np.full_like(want, np.nan)
        assert some.fill(x, got) == []
        np.testing.assert_array_equal(got, want)
    x[5, 3, 3] = np.nan
    assert some.fill(x, got) == [1], "the piece whose sample is not for Winograd's algorithm"
    np.testing.assert_array_equal(got[:4], want[:4])
    np.testing.assert_array_equal(got[8:], want[8:])


def test_what_cannot_be_a_row_is_refused():
    first, pool, last = (make(2) for make in stack())
    spare = empty(first.shape, FLOATS)
    with pytest.raises(ValueError, match="biases"):
        Row([first.kernel], [], [])
    with pytest.raises(ValueError, match="maps"):
        Row([first.kernel, pool.kernel], [first.bias, None], [])
    with cx.activations.temporarily("odd", lambda x: x):
        ready = Ready(cx.conv2d, (1, 8, 8, 1), FLOATS, (cx.prepare(np.ones((1, 3, 3, 1), "f")),), {"activation": "odd"})
    assert ready.kernel is None
    row = Row([first.kernel, pool.kernel], [first.bias, None], [spare])
    with pytest.raises(ValueError, match="scratch"):
        Pieces([(0, 2)], [{2: row}], [empty((row.scratch - 1,), BYTES)])
    assert last.kernel is not None


def divisions(net, n, threads):
    """(layers, workers) of each segment of a network that is ready for a batch."""
    x = np.zeros((n, *net.input_shape), np.float32)
    fast = net.freeze()
    with cx.threads(threads):
        for _ in range(2):
            fast(x)
    (parts,) = fast.chain._known.values()
    return [
        (len(next(iter(segment.steps.values()))), segment.division.workers)
        for part in parts
        if hasattr(part, "segments")
        for segment in part.segments
    ]


def test_threads_take_samples_of_their_own_where_few_would_wait():
    net = pictures_net(5)
    assert all(workers == 1 for _, workers in divisions(net, 16, 1))
    for n in (2, 4, 16, 17, 100):
        assert divisions(net, n, 2)[0] == (5, 2)
    assert all(workers == 1 for n in (1, 3, 5) for _, workers in divisions(net, n, 2))
    assert all(workers == 1 for _, workers in divisions(net, 16, 24))
    assert divisions(net, 16, 17)[0] == (5, 16)


@pytest.mark.parametrize("piece", [2**14, 2**16, 2**18])
@pytest.mark.parametrize("threads", [2, 3, 5, 8])
def test_no_thread_has_much_more_to_do_than_another(threads, piece, monkeypatch):
    monkeypatch.setattr(pieces, "PIECE", piece)
    units = [unit_of(layer, 1, shape, FLOATS) for layer, shape in zip(*layers_of(pictures_net(5), 2), strict=True)]
    for n in range(1, 40):
        division = pieces._division(units, n, threads)
        assert [start for start, _ in division.bounds] == [0, *(stop for _, stop in division.bounds[:-1])]
        assert division.bounds[-1][1] == n
        shares = [
            sum(stop - start for start, stop in division.bounds[len(division.bounds) * i // division.workers : until])
            for i in range(division.workers)
            for until in [len(division.bounds) * (i + 1) // division.workers]
        ]
        if division.workers > 1:
            assert max(shares) <= -(-n // threads) + (len(division.bounds) > threads) * len(division.bounds) / threads
            assert (max(shares) * threads - n) / (max(shares) * threads) <= 0.3


def layers_of(net, count):
    """The first layers of a network, and the shapes of what they are given."""
    layers = net.freeze().layers[:count]
    return layers, net.inputs(net.input_shape)[:count]


def test_a_deep_network_is_soon_ready():
    """Each layer is asked a few times, not once for every row of layers that it might be in."""
    net = nn.Sequential(*[nn.Conv2D(4, 3, padding=1) for _ in range(60)]).build((8, 8, 4)).freeze()
    x, asked = np.zeros((96, 8, 8, 4), np.float32), []
    with pytest.MonkeyPatch.context() as patch:
        usual = links.alone
        patch.setattr(links, "alone", lambda *given: asked.append(1) or usual(*given))
        with cx.threads(2):
            net(x), net(x)
    assert len(asked) <= 6 * 60


def test_layers_that_need_python_are_done_by_all_threads_together():
    with cx.activations.temporarily("odd", lambda x: x * x):
        net = nn.Sequential(nn.Conv2D(4, 3), nn.Activation("odd"), nn.MaxPool2D(2)).build((16, 16, 1))
        assert all(workers == 1 for _, workers in divisions(net, 16, 2))


def test_no_thread_does_a_long_piece_by_itself(monkeypatch):
    net = pictures_net(5)
    monkeypatch.setattr(pieces, "LONG", 2**20)
    assert all(workers == 1 for _, workers in divisions(net, 16, 2))


def test_calls_at_once_from_many_threads_of_the_caller():
    fast, wrong = pictures_net(5).freeze(), []
    xs = [rng.standard_normal((n, 32, 32, 3)).astype(np.float32) for n in (2, 16, 17, 40)]
    with cx.threads(1):
        want = [fast(x) for x in xs]

    def work(pair):
        x, y = pair
        with cx.threads(2):
            wrong.extend(1 for _ in range(30) if not np.array_equal(fast(x), y))

    together(work, *zip(xs, want, strict=True))
    assert not wrong


def test_rows_keep_what_they_point_to():
    links = stack()
    first = links[0](2)
    before = sys.getrefcount(first.bias), sys.getrefcount(first.kernel)
    row = Row([first.kernel], [first.bias], [])
    assert (sys.getrefcount(first.bias), sys.getrefcount(first.kernel)) == (before[0] + 1, before[1] + 1)
    del row
    assert (sys.getrefcount(first.bias), sys.getrefcount(first.kernel)) == before
