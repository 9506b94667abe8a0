"""Calls that come again skip the planning: nothing but the time they take may tell."""

import platform
import subprocess
import sys
import textwrap
import tracemalloc

import numpy as np
import pytest

try:
    from numpy._core.multiarray import get_handler_name
except ImportError:  # NumPy 1
    from numpy.core.multiarray import get_handler_name
from hypothesis import given
from hypothesis import strategies as st
from memory import peak
from threads import together

import pyconvx as cx
from pyconvx import _core
from pyconvx.functional import conv
from pyconvx.testing import strategies

RNG = np.random.default_rng(0)
X = RNG.standard_normal((2, 9, 8, 6)).astype(np.float32)
FILTERS = RNG.standard_normal((4, 3, 3, 6)).astype(np.float32)
BIAS = RNG.standard_normal(4).astype(np.float32)


def anew(function, *args, **options):
    """The same call, planned anew."""
    _core.forget()
    return function(*args, **options)


@pytest.mark.parametrize("prepared", [False, True])
@given(case=strategies.conv_cases())
def test_the_second_call_gives_the_bits_of_the_first(case, prepared):
    options = {**case.options}
    modes = options["padding_mode"]  # whose names are remembered
    each = modes if isinstance(modes, tuple) else (modes,)
    names = tuple(getattr(mode, "name", mode) for mode in each)
    options["padding_mode"] = names if isinstance(modes, tuple) else names[0]
    x, filters = case.x.array, case.filters.array
    if prepared:
        filters = cx.prepare(filters, options.get("layout", "channels_last"))
    args = (x, filters, None if case.bias is None else case.bias.array)
    function = getattr(cx, f"conv{case.rank}d")
    first = anew(function, *args, **options)
    for _ in range(2):
        again = function(*args, **options)
        assert again is not first
        assert again.dtype == first.dtype
        assert np.array_equal(again, first, equal_nan=True)
        assert again.flags.c_contiguous


@pytest.mark.parametrize("filters", [FILTERS, cx.prepare(FILTERS)], ids=["arrays", "prepared"])
def test_other_elements_give_another_result(filters):
    cx.conv2d(X, filters, BIAS, padding="same")
    for x, bias in ((X * 2, BIAS), (X, BIAS * 3), (X + 1, -BIAS)):
        assert np.array_equal(
            cx.conv2d(x, filters, bias, padding="same"), anew(cx.conv2d, x, filters, bias, padding="same")
        )


@pytest.mark.parametrize("layout", ["channels_last", "channels_first"])
@pytest.mark.parametrize(
    "name", ["fft", "depthwise", "dots", "planes", "winograd", "columns", "bands", "direct", "plain"]
)
def test_filters_that_change_in_place_are_seen(name, layout):
    groups = 16 if name in ("depthwise", "fft") else 1
    x = RNG.standard_normal((32, 32, 16)).astype(np.float32)
    filters = RNG.standard_normal((2 if name == "dots" else 16, 3, 3, 16 // groups)).astype(np.float32)
    options = dict(padding="same", groups=groups, algorithm=name, layout=layout)
    if layout == "channels_first":
        x, filters = np.ascontiguousarray(np.moveaxis(x, -1, 0)), np.ascontiguousarray(np.moveaxis(filters, -1, 1))
    cx.conv2d(x, filters, **options)
    filters *= -2
    assert np.array_equal(cx.conv2d(x, filters, **options), anew(cx.conv2d, x, filters, **options))
    np.moveaxis(filters, 1, -1 if layout == "channels_first" else 1)[0, 1, 1, 0] = np.inf
    if name in ("winograd", "fft"):
        with pytest.raises(ValueError, match="infinities"):
            cx.conv2d(x, filters, **options)
    else:
        assert np.array_equal(cx.conv2d(x, filters, **options), anew(cx.conv2d, x, filters, **options), equal_nan=True)


def test_values_that_are_not_finite_are_done_again():
    x, filters = RNG.standard_normal((32, 32, 16)).astype(np.float32), cx.prepare(np.ones((16, 3, 3, 16), np.float32))
    clean = cx.conv2d(x, filters, padding="same")
    x[5, 6, 3] = np.nan
    y = cx.conv2d(x, filters, padding="same")
    assert np.isnan(y).all(-1).sum() == 9
    assert np.isfinite(clean).all()


def run_anew(plan):
    raise AssertionError("all of a call is done again")


@pytest.mark.parametrize("prepared", [False, True])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"layout": "channels_first"},
        {"activation": "tanh"},
        {"activation": "softmax", "layout": "channels_first"},
        {"padding_mode": "globe"},
        {"algorithm": "fft", "groups": 16},
    ],
    ids=str,
)
def test_places_that_a_kernel_reports_are_done_again_alone(options, prepared, monkeypatch):
    options = {"algorithm": "winograd", "padding": 1, **options}
    groups, layout = options.get("groups", 1), options.get("layout", "channels_last")
    x, bias = RNG.standard_normal((2, 24, 20, 16)).astype(np.float32), np.ones(16, np.float32)
    filters = RNG.standard_normal((16, 3, 3, 16 // groups)).astype(np.float32)
    loud = x.copy()
    loud[1, 0, 6, 3] = 1e4 if groups == 1 else 3e38  # whose sums, as those of all terms at once, are infinite
    if layout == "channels_first":
        x, loud, filters = (np.ascontiguousarray(np.moveaxis(each, -1, 1)) for each in (x, loud, filters))
    given = cx.prepare(filters, layout) if prepared else filters
    anew(cx.conv2d, x, given, bias, **options)
    exact = cx.conv2d(loud, filters, bias, **options | {"algorithm": "plain"})
    monkeypatch.setattr(conv._Plan, "run", run_anew)
    y = cx.conv2d(loud, given, bias, **options)
    near = np.abs(exact) < 100  # what does not read it
    assert near.mean() > 0.9
    assert np.abs(y[near] - exact[near]).max() <= 3e-4  # 1e-2 where the sums of a tile have the digits of its largest
    assert np.allclose(y[~near], exact[~near], rtol=1e-5)


def test_a_name_that_stands_for_something_else_is_seen():
    def last(i, n):
        return i.clip(0, n - 1) * 0 + (n - 1) * ((i < 0) | (i >= n)) + i * ((i >= 0) & (i < n))

    def first(i, n):
        return i * ((i >= 0) & (i < n))

    with cx.paddings.temporarily("test:edge", last):
        one = cx.conv2d(X, FILTERS, padding="same", padding_mode="test:edge")
        assert np.array_equal(cx.conv2d(X, FILTERS, padding="same", padding_mode="test:edge"), one)
        with cx.paddings.temporarily("test:edge", first, replace=True):
            assert not np.array_equal(cx.conv2d(X, FILTERS, padding="same", padding_mode="test:edge"), one)
        assert np.array_equal(cx.conv2d(X, FILTERS, padding="same", padding_mode="test:edge"), one)
    with pytest.raises(cx.UnknownNameError):
        cx.conv2d(X, FILTERS, padding="same", padding_mode="test:edge")


@pytest.mark.parametrize("name", sorted(cx.activations.names()))
def test_an_activation_is_applied_again(name):
    first = anew(cx.conv2d, X, FILTERS, BIAS, activation=name)
    for _ in range(2):
        assert np.array_equal(cx.conv2d(X, FILTERS, BIAS, activation=name), first)


def test_values_that_are_equal_but_not_the_same_are_told_apart():
    cx.conv2d(X, FILTERS, stride=1)
    for stride in (True, 1.0, (1.0, 1), (True, 1)):
        with pytest.raises(TypeError):
            cx.conv2d(X, FILTERS, stride=stride)
    cx.conv2d(X, FILTERS, padding=((1, 1), (0, 1)))
    with pytest.raises(TypeError):
        cx.conv2d(X, FILTERS, padding=((1, True), (0, 1)))


def test_out_is_checked_every_time():
    y = cx.conv2d(X, FILTERS, padding="same")
    out = np.empty_like(y)
    for _ in range(3):
        assert cx.conv2d(X, FILTERS, padding="same", out=out) is out
        assert np.array_equal(out, y)
    out.flags.writeable = False
    with pytest.raises(ValueError, match="read-only"):
        cx.conv2d(X, FILTERS, padding="same", out=out)
    square = RNG.standard_normal((4, 3, 3, 4)).astype(np.float32)
    x = X[..., :4].copy()
    want = cx.conv2d(x, square, padding="same")
    cx.conv2d(x, square, padding="same", out=np.empty_like(x))
    assert np.array_equal(cx.conv2d(x, square, padding="same", out=x), want)


def test_threads_instruction_sets_and_strides_are_told_apart():
    y = cx.conv2d(X, FILTERS, padding="same")
    for threads in (1, 2, 3):
        with cx.threads(threads):
            for _ in range(2):
                assert np.array_equal(cx.conv2d(X, FILTERS, padding="same"), y)
    for isa in _core.supported():
        with _core.using(isa):
            kept = cx.conv2d(X, FILTERS, padding="same")
            assert np.array_equal(cx.conv2d(X, FILTERS, padding="same"), kept)
            assert np.array_equal(cx.conv2d(X[:, ::-1, ::-1].copy()[:, ::-1, ::-1], FILTERS, padding="same"), kept)
            assert np.array_equal(cx.conv2d(X.astype(">f4"), FILTERS, padding="same"), kept)


def test_prepared_filters_serve_several_operations():
    filters = cx.prepare(RNG.standard_normal((4, 3, 4)).astype(np.float32))
    x = RNG.standard_normal((9, 4)).astype(np.float32)
    for _ in range(2):
        y, z = cx.conv1d(x, filters, padding="same"), cx.conv_transpose1d(x, filters, padding="same")
        assert np.array_equal(y, anew(cx.conv1d, x, filters, padding="same"))
        assert np.array_equal(z, anew(cx.conv_transpose1d, x, filters, padding="same"))


def test_a_result_that_does_not_fit_says_so_again():
    x, filters = np.broadcast_to(np.float32(1), (1, 1)), np.ones((1, 1, 1), np.float32)
    for _ in range(2):
        with pytest.raises((MemoryError, ValueError), match="shape"):
            cx.conv1d(np.ascontiguousarray(x), filters, padding=2**45)


def test_calls_that_are_remembered_hold_no_large_array():
    filters, held = np.ones((128, 3, 3, 64), np.float32), []
    x = np.ones((32, 32, 64), np.float32)
    for n in range(5, 25):
        cx.conv2d(x[:n].copy(), filters)
    tracemalloc.start()
    for n in range(5, 25):
        held.append(cx.conv2d(x[: n + 1, :n].copy(), filters).shape)
    current, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert current < filters.nbytes


@pytest.mark.parametrize("filters", [FILTERS, cx.prepare(FILTERS)], ids=["arrays", "prepared"])
@pytest.mark.parametrize("name", ["stride", "padding", "dilation"])
def test_options_that_are_arrays_are_read_every_time(name, filters):
    for value in ([2, 2], [1, 1], [2, 1]):
        got = cx.conv2d(X, filters, **{name: np.array(value)})
        assert np.array_equal(got, cx.conv2d(X, filters, **{name: value}))
    with pytest.raises(ValueError, match=name):
        cx.conv2d(X, filters, **{name: np.array([-1, 0])})


def test_a_bias_given_twice_is_refused_every_time():
    for filters in (FILTERS, cx.prepare(FILTERS)):
        for _ in range(3):  # the last is known by its form alone
            cx.conv2d(X, filters, bias=BIAS)
            with pytest.raises(TypeError, match="bias"):
                cx.conv2d(X, filters, None, bias=BIAS)


def test_remembering_a_call_takes_no_memory_for_its_result():
    x, filters = np.ones((500, 500, 4), np.float32), np.ones((16, 1, 1, 4), np.float32)
    y = cx.conv2d(x, filters)
    assert peak(lambda: anew(cx.conv2d, x, filters)) < 1.5 * y.nbytes


def test_large_results_are_aligned_and_own_their_memory():
    x, filters = np.ones((64, 64, 8), np.float32), cx.prepare(np.ones((8, 3, 3, 8), np.float32))
    for dtype in (np.float32, np.float64):
        for make in (lambda x: cx.conv2d(x, filters), lambda x: cx.activate(x, "gelu"), lambda x: cx.pool2d(x, 2)):
            results = [make(x.astype(dtype)) for _ in range(3)]
            assert all(y.ctypes.data % 64 == 0 for y in results)
    y = cx.conv2d(x, filters)
    assert y.flags.owndata
    before = y.copy()
    y.resize((70, *y.shape[1:]), refcheck=False)
    assert np.array_equal(y[: len(before)], before)
    assert not y[len(before) :].any()
    assert get_handler_name(np.empty(10**6)) == "default_allocator"


@pytest.mark.skipif(platform.system() != "Linux", reason="asks for resident pages as Linux tells of them")
def test_memory_of_results_is_used_again_and_little_of_it_is_kept():
    """Three results of 3 MB at once are never given back and taken anew; of twenty of 16 MB, 64 MB are kept at most."""
    code = """
        import resource, numpy as np, pyconvx as cx
        def resident():
            return int(open("/proc/self/statm").read().split()[1]) * resource.getpagesize()
        x, more = np.ones((3, 1 << 18), "f"), np.ones(1 << 22, "f")
        [cx.activate(row, "relu") for row in x]
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
        for _ in range(20):
            [cx.activate(row, "relu") for row in x]
        print((resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before) // 20)
        first = resident()
        many = [cx.activate(more, "relu") for _ in range(20)]
        assert resident() - first > 300 << 20
        del many
        print((resident() - first) >> 20)
    """
    run = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, check=True)
    faults, megabytes = map(int, run.stdout.split())
    assert faults < 100
    assert megabytes <= 80


def test_memory_is_kept_for_any_sizes_in_any_thread():
    rng = np.random.default_rng(5)
    rows = [rng.standard_normal(n).astype(np.float32) for n in rng.integers(1 << 14, 1 << 19, 12)]
    want = [np.maximum(row, 0) for row in rows]

    done = []

    def some(seed):
        order, held, wrong = np.random.default_rng(seed), [], 0
        for _ in range(150):
            i = int(order.integers(len(rows)))
            held.append((i, cx.activate(rows[i], "relu")))
            if len(held) > 5:
                j, y = held.pop(int(order.integers(len(held))))
                wrong += not np.array_equal(y, want[j])
        done.append(wrong + sum(not np.array_equal(y, want[j]) for j, y in held))

    together(some, 0, 1, 2, 3)
    assert done == [0] * 4


FAULTS = """
import resource, numpy as np, pyconvx as cx
x, filters = np.ones((1, 480, 640, 3), np.float32), cx.prepare(np.ones((16, 3, 3, 3), np.float32))
for call in range(12):
    if call == 3:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    cx.conv2d(x, filters)
    small = [bytes(size) for size in range(200)]  # what is left of a block that was split would go to these
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""
"""Prints how many pages nine calls take anew."""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="what free does is the C library's own affair")
def test_the_memory_of_a_result_that_is_gone_serves_the_next():
    done = subprocess.run([sys.executable, "-c", FAULTS], capture_output=True, text=True, check=True)
    assert int(done.stdout) < 500  # of 4800 for each result, or some 200 where pages are huge


def test_large_results_may_be_resized_to_any_size():
    x, filters = RNG.standard_normal((64, 64, 8)).astype(np.float32), cx.prepare(np.ones((8, 3, 3, 8), np.float32))
    cx.conv2d(x, filters)  # its result is a view, those of calls that come again are not
    for size in (1, 100, 30751, 30753, 100_000, 3_000_000):
        y = cx.conv2d(x, filters)
        before = y.flatten()
        y.resize(size, refcheck=False)
        assert np.array_equal(y[: before.size], before[:size])
        assert not y[before.size :].any()


@pytest.mark.parametrize("algorithm", ["bands", "planes", "columns", "direct"])
def test_strides_of_an_axis_of_one_element_do_not_stay_behind(algorithm):
    """A picture out of a record: its channels lie first and its only sample apart by no whole number of elements."""
    rng = np.random.default_rng(3)
    records = np.zeros(4, [("image", "f4", (3, 16, 16)), ("label", "u1")])
    records["image"] = rng.standard_normal((4, 3, 16, 16))
    filters = rng.standard_normal((2, 3, 3, 3)).astype("f")
    packed = cx.prepare(filters, layout="channels_first")
    options = dict(padding=1, layout="channels_first", algorithm=algorithm)
    for image in (records["image"][:1], records["image"][1:2].copy(), records["image"][2:3]):
        for _ in range(2):
            got = cx.conv2d(image, packed, **options)
            assert np.array_equal(got, cx.conv2d(image.copy(), filters, **options))


# Poolings, whose second argument is no array.


@given(case=strategies.pool_cases())
def test_the_second_pooling_gives_the_bits_of_the_first(case):
    modes = case.options["padding_mode"]
    each = modes if isinstance(modes, tuple) else (modes,)
    names = tuple(getattr(mode, "name", mode) for mode in each)
    options = {**case.options, "padding_mode": names if isinstance(modes, tuple) else names[0], **case.params}
    function, x = getattr(cx, f"pool{case.rank}d"), case.x.array
    first = anew(function, x, case.size, case.kind, **options)
    for _ in range(2):
        again = function(x, case.size, case.kind, **options)
        assert again is not first
        assert again.dtype == first.dtype
        assert np.array_equal(again, first, equal_nan=again.dtype.kind == "f")


@given(case=strategies.pool_cases(), kind=st.sampled_from(["max", "min"]))
def test_the_second_indices_are_those_of_the_first(case, kind):
    options = {**case.options, "return_indices": True, "padding_mode": "edge"}
    function, x = getattr(cx, f"pool{case.rank}d"), case.x.array
    first, index = anew(function, x, case.size, kind, **options)
    out = np.empty_like(first)
    for into in (None, None, out, out):
        again, others = function(x, case.size, kind, **options, **({} if into is None else {"out": into}))
        assert again is into or into is None
        assert again is not first
        assert others is not index
        assert np.array_equal(again, first, equal_nan=again.dtype.kind == "f")
        assert others.dtype == index.dtype
        assert np.array_equal(others, index)


@pytest.mark.parametrize("kind", ["max", "min", "avg", "sum", "median", "std", "lp"])
def test_other_poolings_are_told_apart(kind):
    calls = [
        lambda x: cx.pool2d(x, 2, kind),
        lambda x: cx.pool2d(x, (2, 3), kind),
        lambda x: cx.pool2d(x, size=2, kind=kind),
        lambda x: cx.pool2d(x, np.array([3, 2]), kind),
        lambda x: cx.pool2d(x, np.array([2, 3]), kind),
        lambda x: cx.pool2d(x, 2, kind, stride=1),
        lambda x: cx.pool2d(x, 2, kind, stride=1, padding="same"),
        lambda x: cx.pool2d(x, 2, kind, stride=1, padding="same", padding_mode="zeros"),
        lambda x: cx.pool2d(x, 2, kind, layout="channels_first"),
        lambda x: cx.pool2d(x[0], 2, kind),
        lambda x: cx.pool2d(x[..., ::2], 2, kind),
        lambda x: cx.pool2d(x.astype(np.float64), 2, kind),
        lambda x: cx.pool2d((x * 10).astype(np.int8), 2, kind),
        lambda x: cx.pool2d(x, 2, kind, stride=2, ceil_mode=True),
        lambda x: cx.pool2d(x, 2, kind, stride=2, ceil_mode=False),
        lambda x: cx.adaptive_pool2d(x, 3, kind),
        lambda x: cx.adaptive_pool2d(x, (3, 2), kind),
        lambda x: cx.pool2d(x, 2, "lp", p=1),
        lambda x: cx.pool2d(x, 2, "lp", p=3),
    ]
    for x in (X, 2 * X, -X):
        wanted = [anew(call, x) for call in calls]
        for _ in range(2):
            for call, want in zip(calls, wanted, strict=True):
                got = call(x)
                assert got.dtype == want.dtype
                assert np.array_equal(got, want)


def test_a_number_is_no_flag():
    for _ in range(2):
        assert cx.pool2d(X, 2, "max", ceil_mode=True).shape == (2, 5, 4, 6)
        with pytest.raises(TypeError, match="ceil_mode"):
            cx.pool2d(X, 2, "max", ceil_mode=1)


def test_a_pooling_name_that_stands_for_something_else_is_seen():
    before = cx.pool2d(X, 2, "max")
    with cx.poolings.temporarily("max", lambda w: w.min(-1)):
        assert np.array_equal(cx.pool2d(X, 2, "max"), cx.pool2d(X, 2, "min"))
    assert np.array_equal(cx.pool2d(X, 2, "max"), before)


def test_out_of_a_pooling_is_checked_every_time():
    out = np.empty((2, 4, 4, 6), np.float32)
    for factor in (1, 2, 3):
        assert cx.pool2d(factor * X, 2, "max", out=out) is out
        assert np.array_equal(out, anew(cx.pool2d, factor * X, 2, "max"))
    for wrong in (np.empty((2, 4, 4, 5), np.float32), np.empty((2, 4, 4, 6)), np.empty((2, 4, 4, 6), np.float32).T):
        with pytest.raises((ValueError, TypeError)):
            cx.pool2d(X, 2, "max", out=wrong)
    out.flags.writeable = False
    with pytest.raises(ValueError, match="out"):
        cx.pool2d(X, 2, "max", out=out)
    both = np.zeros(2 * X.size, np.float32)
    x, overlapping = both[: X.size].reshape(X.shape), both[6 : 6 + 2 * 4 * 4 * 6].reshape(2, 4, 4, 6)
    for _ in range(3):
        x[...] = X
        assert np.array_equal(cx.pool2d(x, 2, "max", out=overlapping), anew(cx.pool2d, X, 2, "max"))
        x[...] = X
        y, index = cx.pool2d(x, 2, "max", out=overlapping, return_indices=True)
        for got, expected in zip((y, index), anew(cx.pool2d, X, 2, "max", return_indices=True), strict=True):
            assert np.array_equal(got, expected)


def test_indices_and_gradients_of_poolings_come_every_time():
    for _ in range(3):
        y, index = cx.pool2d(X, 2, "max", return_indices=True)
        assert np.array_equal(np.take_along_axis(X.reshape(2, -1, 6), index.reshape(2, -1, 6), 1).reshape(y.shape), y)
        y, pullback = cx.vjp(cx.pool2d, X, 2, "max")
        assert pullback(np.ones_like(y))[0].sum() == y.size


# Activations, in the same way.


@pytest.mark.parametrize("name", [name for name, plugin in cx.activations.items() if not plugin.required])
def test_the_second_activation_gives_the_bits_of_the_first(name):
    for x in (X, X[0], X[0, 0, 0], X.astype(np.float64), X[..., ::2], X.T, (X * 9).astype(np.int8), X[None, None]):
        for axis in (-1, 0):
            if name == "glu" and x.shape[axis] % 2:
                continue
            first = anew(cx.activate, x, name, axis=axis)
            for factor in (1, -1, 1):
                again = cx.activate(factor * x, name, axis=axis)
                want = first if factor == 1 else anew(cx.activate, -x, name, axis=axis)
                assert again.dtype == first.dtype
                assert np.array_equal(again, want)


def test_parameters_and_places_of_activations_are_told_apart():
    for _ in range(2):
        assert cx.activate(np.float32([-1]), "elu", alpha=2)[0] == 2 * cx.activate(np.float32([-1]), "elu")[0]
        assert cx.activate(np.float32([-1]), "leaky_relu", alpha=3)[0] == -3
        assert cx.activate(np.float32([-1]), "leaky_relu", alpha=3.5)[0] == -3.5
        assert cx.activate(np.float32([-1]), cx.activation("leaky_relu", alpha=4))[0] == -4
        x = X.copy()
        assert cx.activate(x, "relu", out=x) is x
        assert np.array_equal(x, np.maximum(X, 0))
        out = np.empty_like(X)
        assert cx.activate(X, "tanh", out=out) is out
        assert np.array_equal(out, anew(cx.activate, X, "tanh"))
        with pytest.raises(ValueError, match="out"):
            cx.activate(X, "tanh", out=out[1:])
        assert cx.activate(np.float32(-1), "relu") == 0
    with cx.activations.temporarily("relu", np.abs):
        assert np.array_equal(cx.activate(X, "relu"), np.abs(X))
    assert np.array_equal(cx.activate(X, "relu"), np.maximum(X, 0))


@pytest.mark.parametrize(
    "dtype", ["?", "i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8", "f4", "f8", ">i4", ">f4", ">f8"]
)
@pytest.mark.parametrize("kind", ["max", "min", "avg", "sum"])
def test_poolings_of_every_dtype_are_the_same_when_they_come_again(kind, dtype):
    for _ in range(2):
        x = RNG.integers(0, 2 if dtype == "?" else 100, (2, 9, 8, 3)).astype(dtype)
        for options in ({}, {"stride": 1, "padding": 1}):
            want = anew(cx.pool2d, x, 3, kind, **options)
            for got in (cx.pool2d(x, 3, kind, **options) for _ in range(2)):
                assert got.dtype == want.dtype
                np.testing.assert_array_equal(got, want)
