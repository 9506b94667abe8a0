"""No kernel reads or writes beyond an array: every one lies between two pages that may not be touched.

Random configurations, driven by the tables of candidates, poolings, paddings and activations. Each is computed with
arrays at the end of their pages and at the beginning, on every instruction set; the results must have the same bits.
`python tests/test_guard_pages.py FAMILY NUMBER` computes one configuration again.
"""

import json
import sys
from collections import Counter
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from guarded import PLACES, allocating, missing, placed, watched

import pyconvx as cx
from pyconvx import _core, remember
from pyconvx.functional.algorithms import CANDIDATES, choose
from pyconvx.functional.operation import supposed
from pyconvx.testing.strategies import mode_names

CONVOLUTIONS = {1: cx.conv1d, 2: cx.conv2d, 3: cx.conv3d}
TRANSPOSED = {1: cx.conv_transpose1d, 2: cx.conv_transpose2d, 3: cx.conv_transpose3d}
ALGORITHMS = [candidate.name for candidate in CANDIDATES]
SINGLE = {"runs", "winograd"}  # those for float32 alone
PADDINGS, POOLINGS = mode_names(), cx.poolings.names()
COMPILED = [name for name in cx.activations.names() if cx.activations[name].kernel is not None]

pytestmark = pytest.mark.skipif(missing() is not None, reason=str(missing()))


class Case(NamedTuple):
    """A configuration: what it is, what it counts as, and `compute(place)`, which returns the results.

    `place` puts an array where it belongs.
    """

    text: str
    kinds: tuple[str, ...]
    compute: Any


def odd(rng, most):
    """A number from 1 to `most`, which is odd, and mostly odd itself."""
    return int(rng.integers(1, most + 1)) | int(rng.random() < 0.7)


def sizes(rng, rank):
    return tuple(odd(rng, {1: 71, 2: 19, 3: 7}[rank]) for _ in range(rank))


def modes(rng, rank):
    return tuple(str(name) for name in rng.choice(PADDINGS, rank))


def amounts(rng, rank):
    """How much padding, in all forms."""
    pairs = tuple((int(rng.integers(0, 5)), int(rng.integers(0, 5))) for _ in range(rank))
    return [*["same", "full", "same_lower", "valid"] * 2, pairs][int(rng.integers(9))]


def either(rng, chance=0.5):
    return bool(rng.random() < chance)


def one_of(rng, *choices):
    return choices[int(rng.integers(len(choices)))]


def shape_of(batch, spatial, channels, layout):
    """The shape of x; without N where the batch is 0."""
    own = (*spatial, channels) if layout == "channels_last" else (channels, *spatial)
    return (batch, *own) if batch else own


def values(rng, shape, dtype):
    return rng.standard_normal(shape).astype(dtype)


def reread(x, form, layout):
    """x, or a view that still holds its first and last element: rows in reverse, or every second one."""
    axis = x.ndim - (2 if layout == "channels_last" else 1)
    if form == "plain" or x.shape[axis] % 2 == 0:
        return x
    return x[(*(slice(None),) * axis, slice(None, None, -1 if form == "reversed" else 2))]


def size_read(shape, form, layout):
    """The shape of what `reread` makes of an array of that shape."""
    return reread(np.broadcast_to(0.0, shape), form, layout).shape


def accepted(draw, rng, number):
    """The first case that is drawn whose arguments the library accepts."""
    for _ in range(1000):
        try:
            return draw(rng, number)
        except ValueError as error:
            refused = error
    raise refused


def computed_in(dtype):
    return dtype if dtype in ("float32", "float64") else str(np.result_type(dtype, np.float32))


def filters_for(rng, name, rank):
    """(groups, channels and filters of one, kernel, stride, dilation) that suit an algorithm."""
    kernel = tuple(int(n) for n in rng.choice([1, 2, 3, 3, 4, 5, 7], rank))
    stride = tuple(int(n) for n in rng.choice([1, 1, 2, 3], rank))
    dilation = tuple(int(n) for n in rng.choice([1, 1, 1, 2, 3], rank))
    if name == "depthwise":
        channels = one_of(rng, *(max(2, odd(rng, 39)),) * 5, 512)  # columns of which are crowded in the caches
        return channels, 1, 1, (*kernel[:-1], one_of(rng, 1, 2, 3, 4, 5, 7, 9, 11)), stride, dilation
    if name == "planes":
        kernel, stride = (*kernel[:-1], one_of(rng, kernel[-1], 12)), (*stride[:-1], one_of(rng, 1, 1, 2))
        channels = 1 if stride[-1] == 2 else odd(rng, 5)  # which only strips do
        return one_of(rng, 1, 1, 3), channels, odd(rng, 5), kernel, stride, dilation
    if name == "fft":
        few, stride = (one_of(rng, 1, odd(rng, 5)), one_of(rng, 1, odd(rng, 5))), (*stride[:-2], *(1,) * min(rank, 2))
        return one_of(rng, 1, 1, 3), *few, kernel, stride, dilation
    if name == "runs":
        kernel = (*(one_of(rng, 1, 1, 2, 3) for _ in range(rank - 1)), int(rng.integers(6, 40)))
        return 1, odd(rng, 7), odd(rng, 39), kernel, (*stride[:-1], int(rng.integers(1, 9))), (*dilation[:-1], 1)
    if name == "winograd":
        least = one_of(rng, 1, 16)  # from 16 on the gradient of filters takes it as well
        channels, filters = max(least, odd(rng, 39)), max(least, odd(rng, 39))
        side, step = one_of(rng, (3, 1), (3, 1), (3, 2), (4, 1), (5, 1), (5, 2), (7, 2), (9, 4))
        if rank == 1 or either(rng, 0.4):  # lines
            along, beside = int(rng.integers(rank)), int(rng.integers(rank))
            taps = [one_of(rng, 2, 3, 4, 5, 6, 7, 11) if i == along else 2 if i == beside else 1 for i in range(rank)]
            return one_of(rng, 1, 1, 2), channels, filters, tuple(taps), stride, dilation
        groups, dilation = (1, (1,) * rank) if side > 3 else (one_of(rng, 1, 1, 2), dilation)
        return groups, channels, filters, (*kernel[:-2], side, side), (*stride[:-2], step, step), dilation
    groups = one_of(rng, 1, 1, 1, 3)
    most = 39 if groups == 1 else 9
    return groups, odd(rng, most), odd(rng, most), kernel, stride, dilation


def convolution(functions, rng, number):
    """A convolution or a transposed one by each algorithm in turn, with its gradients."""
    transposed = functions is TRANSPOSED
    names = [name for name in ALGORITHMS if name != "runs"] if transposed else ALGORITHMS
    name = names[number % len(names)]
    rank = one_of(rng, 1, 2, 2, 3)
    function = functions[rank]
    groups, inner, outer, kernel, stride, dilation = filters_for(rng, name, rank)
    read, made = (groups * outer, groups * inner) if transposed else (groups * inner, groups * outer)
    dtype = "float32" if name in SINGLE or either(rng) else "float64"
    layout = "channels_first" if either(rng, 0.3) else "channels_last"
    padded = modes(rng, rank)
    options = {
        "stride": stride, "padding": amounts(rng, rank), "padding_mode": padded, "dilation": dilation,
        "groups": groups, "layout": layout,
    }  # fmt: skip
    if either(rng, 0.6):
        options["activation"] = one_of(rng, *[each for each in COMPILED if each != "glu" or made % 2 == 0])
    if transposed:
        options["output_padding"] = tuple(
            int(rng.integers(0, max(s, d))) for s, d in zip(stride, dilation, strict=True)
        )
    else:
        options["algorithm"] = name
    wide = name in SINGLE and either(rng)  # tiles that lie in x beside one another
    spatial = (*sizes(rng, rank - 1), odd(rng, 71)) if wide else sizes(rng, rank)
    x_shape = shape_of(int(rng.integers(0, 3)), spatial, read, layout)
    filters_shape = shape_of(groups * outer, kernel, inner, layout)
    biased, prepared, into, nan = either(rng), either(rng), either(rng), either(rng, 0.1)
    form, threads, seed = one_of(rng, "plain", "plain", "reversed", "second"), one_of(rng, 1, 1, 3), rng.integers(2**31)
    x_read = size_read(x_shape, form, layout)
    plan = supposed(function, x_read, filters_shape, **options)
    choose(plan.supposed(), name)
    if 0 in plan.shape:
        raise ValueError("nothing to compute")

    def compute(place):
        random = np.random.default_rng(seed)
        x = values(random, x_shape, dtype)
        if nan:
            x[tuple(n // 2 for n in x_shape)] = np.nan
        x, filters = reread(place(x), form, layout), place(values(random, filters_shape, dtype))
        bias = place(values(random, made, dtype)) if biased else None
        weights = cx.prepare(filters, layout) if prepared else filters
        out = place(np.zeros(plan.shape, dtype)) if into else None
        with cx.threads(threads):
            forced = function.plan(x, weights, bias, out=out, **options)
            forced.algorithm = name  # which a transposed convolution has no option for
            y = forced.run()
            several = [function(x, weights, bias, **options) for _ in range(2)]  # the second is a repeated call
            z, pullback = cx.vjp(function, x, weights, bias, **options)
            return [y, *several, z, *pullback(place(values(random, y.shape, dtype)))]

    text = (
        f"{function.__name__} by {name}, {dtype}, x {x_shape} ({form}{', a NaN' * nan}), filters {filters_shape} "
        f"({'prepared' if prepared else 'plain'}), bias {biased}, out {into}, {threads} threads, {options}"
    )
    return Case(text, (name, *padded), compute)


def conv(rng, number):
    return convolution(CONVOLUTIONS, rng, number)


def conv_transpose(rng, number):
    return convolution(TRANSPOSED, rng, number)


def strips(rng, number):
    """Pictures of one channel each, whose rows are read where they are, with zeros beside them."""
    groups, threads, seed = int(rng.integers(1, 4)), one_of(rng, 1, 1, 3), rng.integers(2**31)
    dtype, stride = one_of(rng, "float32", "float64"), one_of(rng, 1, 1, 2)
    kernel = int(rng.integers(2, 12 if stride == 1 else 8)), int(rng.integers(1, 17))
    size = int(rng.integers(1, 24)), one_of(rng, int(rng.integers(1, 90)), int(rng.integers(16, 50)))
    options = {
        "algorithm": "planes", "groups": groups, "layout": "channels_first", "stride": stride,
        "padding": one_of(rng, "same", "same_lower", "full", ((0, 3), (int(rng.integers(0, 40)), 1))),
        "padding_mode": (one_of(rng, "zeros", "edge"), "zeros"), "activation": one_of(rng, None, "tanh"),
    }  # fmt: skip
    x_shape, filters_shape = (int(rng.integers(1, 3)), groups, *size), (groups, 1, *kernel)
    choose(supposed(cx.conv2d, x_shape, filters_shape, **options).supposed(), "planes")

    def compute(place):
        random = np.random.default_rng(seed)
        x, filters = (place(values(random, shape, dtype)) for shape in (x_shape, filters_shape))
        with cx.threads(threads):
            return [cx.conv2d(x, filters, **options) for _ in range(2)]

    return Case(
        f"conv2d, {dtype}, x {x_shape}, filters {filters_shape}, {threads} threads, {options}", (dtype,), compute
    )


def pool(rng, number):
    """A pooling of each kind in turn: windowed, adaptive or global, with its gradient."""
    kind, rank = POOLINGS[number % len(POOLINGS)], one_of(rng, 1, 2, 2, 3)
    exact, defaults = cx.poolings[kind].exact, cx.poolings[kind].defaults
    layout = "channels_first" if either(rng, 0.3) else "channels_last"
    dtype = one_of(rng, "float32", "float64")
    if exact and either(rng, 0.4):
        dtype = one_of(rng, "uint8", "int8", "int16", "int32", "int64", "float16", "bool")
    how, batch = one_of(rng, "pool", "pool", "pool", "adaptive_pool", "global_pool"), int(rng.integers(0, 3))
    options, padded = {"layout": layout}, ()
    function, window = cx.global_pool, ()
    if how == "global_pool":
        batch = max(batch, 1)
    else:
        function = getattr(cx, f"{how}{rank}d")
        window = (tuple(int(n) for n in rng.integers(1, 6 if rank < 3 else 4, rank)),)
    if how == "pool":
        options |= {
            "stride": tuple(int(n) for n in rng.integers(1, 4, rank)), "padding": amounts(rng, rank),
            "dilation": tuple(int(n) for n in rng.choice([1, 1, 2], rank)), "ceil_mode": either(rng),
        }  # fmt: skip
        if either(rng, 0.7):
            options["padding_mode"] = padded = ("edge",) * rank if dtype == "bool" else modes(rng, rank)
        if kind in ("max", "min") and either(rng, 0.3):
            options["return_indices"] = True
    for name, choices in {"p": (1.0, 2.0, 3.0, 1.5), "q": (0.0, 10.0, 75.0, 100.0)}.items():
        if name in defaults:
            options[name] = one_of(rng, *choices)
    if kind == "avg":
        options["count_include_pad"] = either(rng)
    x_shape = shape_of(batch, sizes(rng, rank), odd(rng, 39), layout)
    into, form, threads = either(rng), one_of(rng, "plain", "plain", "reversed", "second"), one_of(rng, 1, 1, 3)
    seed, compute_dtype = rng.integers(2**31), computed_in(dtype)
    shape = cx.output_shape(function, size_read(x_shape, form, layout), *window, kind, **options)
    if 0 in shape:
        raise ValueError("nothing to compute")

    def compute(place):
        random = np.random.default_rng(seed)
        x = 3 * values(random, x_shape, "float64")
        x = x > 0 if dtype == "bool" else np.abs(x) if dtype == "uint8" else x
        x = reread(place(x.astype(dtype)), form, layout)
        out = place(np.zeros(shape, dtype if exact else compute_dtype)) if into else None
        with cx.threads(threads):
            y = function(x, *window, kind, out=out, **options)
            z, pullback = cx.vjp(function, x, *window, kind, **options)
            results = [*y, *z] if isinstance(y, tuple) else [y, z]
            return [*results, *pullback(place(values(random, shape, compute_dtype)))]

    text = (
        f"{function.__name__} {kind} of {window}, {dtype}, x {x_shape} ({form}), out {into}, {threads} threads, "
        f"{options}"
    )
    return Case(text, (kind, *padded), compute)


def activate(rng, number):
    """Each compiled activation in turn, with its gradient."""
    name = COMPILED[number % len(COMPILED)]
    halved, dtype = name == "glu", one_of(rng, "float32", "float64")
    shape = (*(odd(rng, 9) for _ in range(int(rng.integers(0, 3)))), odd(rng, 71) * (2 if halved else 1))
    axis = -1 if halved else -int(rng.integers(1, len(shape) + 1))
    into = one_of(rng, "new", "out") if halved else one_of(rng, "new", "out", "in place")
    threads, seed = one_of(rng, 1, 1, 3), rng.integers(2**31)

    def compute(place):
        random = np.random.default_rng(seed)
        x = place((random.choice([0.1, 1, 10, 100], shape) * random.standard_normal(shape)).astype(dtype))
        with cx.threads(threads):
            z, pullback = cx.vjp(cx.activate, x, name, axis=axis)
            gradient = pullback(place(values(random, z.shape, dtype)))
            out = {"new": None, "out": place(np.zeros(z.shape, dtype)), "in place": x}[into]
            return [z, *gradient, cx.activate(x, name, axis=axis, out=out)]

    text = f"activate {name} along axis {axis}, {dtype}, x {shape}, result {into}, {threads} threads"
    return Case(text, (name,), compute)


def pad(rng, number):
    """Padding in each mode in turn, with its gradient."""
    mode, ndim = PADDINGS[number % len(PADDINGS)], int(rng.integers(1, 4))
    shape = tuple(odd(rng, 9) for _ in range(ndim))
    widths = tuple((int(rng.integers(0, 12)), int(rng.integers(0, 12))) for _ in shape)
    dtype, seed = one_of(rng, "float32", "float64", "float16", "uint8", "int64"), rng.integers(2**31)

    def compute(place):
        random = np.random.default_rng(seed)
        x = place(np.abs(9 * random.standard_normal(shape)).astype(dtype))
        y, pullback = cx.vjp(cx.pad, x, widths, mode)
        out = cx.pad(x, widths, mode, out=place(np.zeros(y.shape, dtype)))
        return [y, out, *pullback(place(values(random, y.shape, computed_in(dtype))))]

    return Case(f"pad {shape} by {widths}, {mode}, {dtype}", (mode,), compute)


def rows(rng, number):
    """Kernels by themselves: one layout made the other, and erfc."""
    dtype, threads, seed = ("float32", "float64")[number % 2], one_of(rng, 1, 3), rng.integers(2**31)
    shape = int(rng.integers(1, 4)), odd(rng, 71), odd(rng, 71) + one_of(rng, 0, 0, 0, 256)

    def compute(place):
        x = place(values(np.random.default_rng(seed), shape, dtype))
        y, z = place(np.zeros((shape[0], shape[2], shape[1]), dtype)), place(np.zeros(shape, dtype))
        _core.kernels.transpose(x, y, threads)
        _core.erfc(x, z)
        return [y, z]

    return Case(f"transpose and erfc, {shape}, {dtype}, {threads} threads", (dtype,), compute)


def normalize(rng, number):
    """BatchNorm, alone or with what is behind it, and the gradients."""
    rank, dtype = one_of(rng, 1, 2, 3), one_of(rng, "float32", "float64")
    kind = ("alone", "pooled")[number % 2]
    layout = one_of(rng, "channels_last", "channels_first") if kind == "alone" else "channels_last"
    window, places = (tuple(int(n) for n in rng.integers(1, most + 1, rank)) for most in (4, 5))
    spatial, channels = tuple(n * k for n, k in zip(window, places, strict=True)), odd(rng, one_of(rng, 9, 70, 300))
    shape, threads = shape_of(int(rng.integers(1, 4)), spatial, channels, layout), one_of(rng, 1, 3)
    x, rectified = values(rng, shape, dtype), either(rng)
    layers = [cx.BatchNorm(layout=layout), *[cx.Activation("relu", layout=layout)] * rectified]
    if kind == "pooled":
        layers.append({1: cx.MaxPool1D, 2: cx.MaxPool2D, 3: cx.MaxPool3D}[rank](window))

    def compute(place):
        net = cx.Sequential(*layers).build(shape[1:], dtype=dtype)
        net.params = {name: place(array) for name, array in net.params.items()}
        with cx.threads(threads):
            y, back = net.vjp(place(x), training=True)
            gx, gradients = back(place(2 * y))
        return [y, gx, *gradients.values()]

    return Case(f"normalize, {kind}, {shape}, {window}, {dtype}, {rectified=}, {threads} threads", (kind,), compute)


FAMILIES = {family.__name__: family for family in (conv, conv_transpose, strips, pool, activate, pad, rows, normalize)}
COUNTS = {
    "conv": 120, "conv_transpose": 60, "strips": 60, "pool": 10 * len(POOLINGS), "activate": 3 * len(COMPILED),
    "pad": 40, "rows": 20, "normalize": 40,
}  # fmt: skip
KINDS = {
    "conv": {*ALGORITHMS, *PADDINGS}, "conv_transpose": {*ALGORITHMS, *PADDINGS} - {"runs"},
    "strips": {"float32", "float64"}, "pool": {*POOLINGS, *PADDINGS},
    "activate": set(COMPILED), "pad": set(PADDINGS), "rows": {"float32", "float64"}, "normalize": {"alone", "pooled"},
}  # fmt: skip


def compute_all(family, numbers):
    """Compute configurations of a family, each announced before; returns how many there were of each kind."""
    kinds = Counter()
    for number in numbers:
        case = accepted(FAMILIES[family], np.random.default_rng([number, *family.encode()]), number)
        results = []
        for where in PLACES:
            for store in remember._stores:  # index tables are to be where the other arrays are
                store.clear()
            for isa in _core.supported():
                print(f"{family} {number}: {case.text}; {where} of pages, {isa}", flush=True)
                with _core.using(isa), allocating(where):
                    results.append(case.compute(lambda array, where=where: placed(array, where)))
        half = len(results) // 2
        for some, others in zip(results[:half], results[half:], strict=True):
            for one, other in zip(some, others, strict=True):
                np.testing.assert_array_equal(one, other, err_msg="the bits depend on where arrays lie")
        kinds.update(case.kinds)
    return kinds


def computed(family, first, count):
    """The same in a process of its own."""
    return json.loads(watched([__file__, family, str(first), str(first + count)], timeout=120 + count))


@pytest.mark.parametrize("family", FAMILIES)
def test_nothing_beyond_an_array_is_read_or_written(family):
    kinds = computed(family, 0, COUNTS[family])
    assert set(kinds) == KINDS[family]
    assert min(kinds.values()) >= 3


@pytest.mark.slow
@pytest.mark.parametrize("part", range(1, 31))
@pytest.mark.parametrize("family", FAMILIES)
def test_nothing_beyond_an_array_is_read_or_written_in_many_more(family, part):
    computed(family, part * COUNTS[family], COUNTS[family])


READ = """
import ctypes, sys
sys.path.insert(0, {folder!r})
from guarded import guarded
x = guarded((2, 3), "float32", {where!r})
x[...] = 1
print("about to read", flush=True)
ctypes.string_at(x.ctypes.data + {offset}, 1)
print("it was read")
"""


@pytest.mark.parametrize(("where", "offset"), [("at the end", 24), ("at the beginning", -1)])
def test_reading_beyond_a_guarded_array_is_reported(where, offset):
    code = READ.format(folder=str(Path(__file__).parent), where=where, offset=offset)
    with pytest.raises(AssertionError, match="while computing: about to read"):
        watched(["-c", code], timeout=60)
    inside = READ.format(folder=str(Path(__file__).parent), where=where, offset=min(max(offset, 0), 23))
    assert watched(["-c", inside], timeout=60) == "it was read"


if __name__ == "__main__":
    first = int(sys.argv[2])
    stop = int(sys.argv[3]) if len(sys.argv) > 3 else first + 1
    print(json.dumps(compute_all(sys.argv[1], range(first, stop))))
