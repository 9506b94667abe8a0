"""What convolution and its transpose are both held to, options as the reference takes them, and drawn cases."""

import numpy as np
from isas import ISAS, under

import pyconvx as cx
from pyconvx.testing import reference
from pyconvx.testing.bounds import (
    absolute,
    absolute_mode,
    assert_within,
    compute_dtype,
    gamma,
    reference_mode,
    roundings,
)
from pyconvx.testing.strategies import mode_names


def referring(case):
    """The options as the reference takes them, and for the sum of absolute terms."""
    options = {**case.options, "padding_mode": reference_mode(case.options["padding_mode"])}
    return options, {**options, "padding_mode": absolute_mode(options["padding_mode"])}


def terms(case):
    """Products in one output element: taps times channels of a group."""
    return int(np.prod(case.filters.shape)) // max(filters_of(case), 1)


def grouped(seed, dtype, layout, n, groups, channels, outputs, size, kernel):
    """x, filters and bias of a convolution of some groups, each of so many channels and filters."""
    rng, count = np.random.default_rng(seed), groups * outputs

    def laid(first, sizes, last):
        shape = (first, last, *sizes) if layout == "channels_first" else (first, *sizes, last)
        return rng.standard_normal(shape).astype(dtype)

    return laid(n, size, groups * channels), laid(count, kernel, channels), rng.standard_normal(count).astype(dtype)


def filters_of(case):
    return case.filters.shape[0]


def within_reference(case, *algorithms):
    """By each of these algorithms, on every instruction set."""
    x, filters, bias = case.plain
    options, magnitudes = referring(case)
    want = reference.conv(x, filters, bias, **options)
    size = reference.conv(absolute(x), absolute(filters), absolute(bias), **magnitudes)
    dtype = np.result_type(*(a for a in case.plain if a is not None))
    exact = gamma(roundings(terms(case), options["padding_mode"], case.rank), compute_dtype(dtype)) * size
    for isa in ISAS:
        for algorithm in algorithms:
            with under(isa):
                got = conv(case.rank)(*case.arguments, **case.options, algorithm=algorithm)
                assert got.dtype == dtype
                bound = exact
                if algorithm == "auto":  # which may transform; its promise is 1e-5 of the largest element
                    bound = exact + (1e-14 if dtype == np.float64 else 1e-5) * np.abs(want).max(initial=0)
                assert_within(got, want, bound, f"conv by {algorithm}")


def gradients_within_reference(case):
    """On every instruction set."""
    x, filters, bias = case.plain
    options, magnitudes = referring(case)
    function, dtype = conv(case.rank), np.result_type(*(a for a in case.plain if a is not None))
    shape = cx.output_shape(function, x.shape, filters.shape, **case.options)
    gy = np.random.default_rng(5).standard_normal(shape).astype(dtype)
    want = reference.conv_vjp(x, filters, bias, gy=gy, **options)
    size = reference.conv_vjp(absolute(x), absolute(filters), absolute(bias), gy=absolute(gy), **magnitudes)
    # each sum has at most one term for every element of y and tap, and the weights of an odd mode in gx as well
    many = gy.size * int(np.prod(case.filters.shape))
    factor = gamma(min(roundings(many, options["padding_mode"], case.rank), 10**5), compute_dtype(dtype))
    for isa in ISAS:
        with under(isa):
            y, pullback = cx.vjp(function, *case.arguments, **case.options)
            np.testing.assert_array_equal(y, function(*case.arguments, **case.options))
            got = pullback(gy)
            assert len(got) == len(want)
            for name, one, expected, magnitude in zip(("gx", "gfilters", "gbias"), got, want, size, strict=False):
                assert_within(one, expected, factor * magnitude, name)
            for one, again in zip(got, pullback(gy), strict=True):
                np.testing.assert_array_equal(one, again)


def check_layouts_agree(function, case):
    """Moving the channels of x and filters moves those of the result, and changes nothing else."""
    x, filters, bias = case.plain
    first = case.options["layout"] == "channels_first"
    batched = int(x.ndim == case.rank + 2)

    def move(a, axis):
        return np.moveaxis(a, axis, -1) if first else np.moveaxis(a, -1, axis)

    layout = "channels_last" if first else "channels_first"
    other = function(move(x, batched), move(filters, 1), bias, **{**case.options, "layout": layout})
    np.testing.assert_array_equal(move(function(x, filters, bias, **case.options), batched), other)


def check_a_sample_is_a_batch_of_one(function, case):
    """The axis N may be absent."""
    x, filters, bias = case.plain
    if x.ndim == case.rank + 2:
        if len(x) == 0:
            return
        x = x[0]
    batch = function(x[np.newaxis], filters, bias, **case.options)
    assert batch.shape[0] == 1
    np.testing.assert_array_equal(function(x, filters, bias, **case.options), batch[0])


def check_memory_form_changes_no_bit(function, case):
    """Strides, byte order, alignment and read-only flags of the arguments do not matter."""
    got, plain = function(*case.arguments, **case.options), function(*case.plain, **case.options)
    assert got.dtype == plain.dtype
    np.testing.assert_array_equal(got, plain)
    return got


PROMISE = 1e-5  # of max|y| in float32, for algorithms that round otherwise than a dot product


SQUARES = [(3, 1), (3, 1), (3, 2), (4, 1), (5, 1), (5, 2), (7, 2), (10, 3)]  # taps along a side, and strides


def square_cases(count, seed, squares=SQUARES):
    """Random configurations with square filters: (rank, x, filters, bias, options)."""
    rng = np.random.default_rng(seed)
    modes = mode_names()
    for _ in range(count):
        rank = int(rng.choice([2, 2, 2, 3]))
        side, stride = squares[int(rng.integers(len(squares)))]
        groups = int(rng.choice([1, 1, 1, 2])) if stride < 3 and side < 7 else 1
        channels, outputs = (int(n) for n in rng.integers(16, 40, 2))
        kernel = (side, side) if rank == 2 else (int(rng.integers(1, 4)), side, side)
        sizes = tuple(int(n) for n in rng.integers(5, 19 if rank == 2 else 10, rank))
        dilation = int(rng.choice([1, 1, 2, 3]))
        if min(sizes[-2:]) < (side - 1) * dilation + 1 or rank == 3 or side > 3:
            dilation = 1
        n = int(rng.integers(1, 3))
        x = rng.standard_normal((n, *sizes, channels * groups)).astype(np.float32)
        filters = rng.standard_normal((outputs * groups, *kernel, channels)).astype(np.float32)
        bias = rng.standard_normal(outputs * groups).astype(np.float32)
        options = dict(
            padding=str(rng.choice(["same", "valid", "full", "same_lower"])), dilation=dilation, groups=groups,
            stride=stride,
            padding_mode=tuple(str(mode) for mode in rng.choice(modes, rank)),
        )  # fmt: skip
        if options["padding"] == "valid" and any(n < k for n, k in zip(sizes, kernel, strict=True)):
            options["padding"] = "same"
        yield rank, x, filters, bias, options


def line_cases(count, seed):
    """Random configurations with taps along one axis, and perhaps a few along another."""
    rng = np.random.default_rng(seed)
    modes = mode_names()
    for _ in range(count):
        rank = int(rng.choice([1, 2, 2, 3]))
        kernel, stride, dilation = [1] * rank, [int(n) for n in rng.integers(1, 3, rank)], int(rng.choice([1, 1, 2]))
        along, beside = (int(n) for n in rng.integers(0, rank, 2))
        kernel[beside] = int(rng.choice([1, 2, 3]))
        kernel[along], stride[along] = int(rng.choice([2, 3, 4, 5, 6, 7, 9, 13])), int(rng.choice([1, 1, 1, 2, 3]))
        kernel[along] += stride[along] - 1
        if rank > 1 and kernel[-1] == kernel[-2] == 3:  # that is a square
            kernel[along] += 1
        channels, outputs = (int(n) for n in rng.integers(16, 40, 2))
        groups, most = int(rng.choice([1, 1, 2])), (0, 60, 14, 9)[rank]
        sizes = tuple((k - 1) * dilation + int(rng.integers(2, most)) for k in kernel)
        x = rng.standard_normal((int(rng.integers(1, 3)), *sizes, channels * groups)).astype(np.float32)
        filters = rng.standard_normal((outputs * groups, *kernel, channels)).astype(np.float32)
        options = dict(
            padding=str(rng.choice(["same", "valid", "full", "same_lower"])), dilation=dilation, groups=groups,
            stride=tuple(stride), padding_mode=tuple(str(mode) for mode in rng.choice(modes, rank)),
        )  # fmt: skip
        yield rank, x, filters, None, options


def conv(rank):
    return {1: cx.conv1d, 2: cx.conv2d, 3: cx.conv3d}[rank]
