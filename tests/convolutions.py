"""What convolution and its transpose are both held to, options as the reference takes them, and drawn cases."""

import numpy as np

import pyconvx as cx
from pyconvx.testing.bounds import absolute_mode, reference_mode


def referring(case):
    """The options as the reference takes them, and for the sum of absolute terms."""
    options = {**case.options, "padding_mode": reference_mode(case.options["padding_mode"])}
    return options, {**options, "padding_mode": absolute_mode(options["padding_mode"])}


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


def square_cases(count, seed, strides=(1, 1, 2)):
    """Random configurations with 3 x 3 taps and one of these strides: (rank, x, filters, bias, options)."""
    rng = np.random.default_rng(seed)
    modes = cx.paddings.names()
    for _ in range(count):
        rank = int(rng.choice([2, 2, 2, 3]))
        groups = int(rng.choice([1, 1, 1, 2]))
        channels, outputs = (int(n) for n in rng.integers(16, 40, 2))
        kernel = (3, 3) if rank == 2 else (int(rng.integers(1, 4)), 3, 3)
        sizes = tuple(int(n) for n in rng.integers(5, 19 if rank == 2 else 10, rank))
        dilation = int(rng.choice([1, 1, 2, 3]))
        if min(sizes[-2:]) < 2 * dilation + 1:
            dilation = 1
        if rank == 3:
            dilation = 1
        n = int(rng.integers(1, 3))
        x = rng.standard_normal((n, *sizes, channels * groups)).astype(np.float32)
        filters = rng.standard_normal((outputs * groups, *kernel, channels)).astype(np.float32)
        bias = rng.standard_normal(outputs * groups).astype(np.float32)
        options = dict(
            padding=str(rng.choice(["same", "valid", "full", "same_lower"])), dilation=dilation, groups=groups,
            stride=int(rng.choice(strides)),
            padding_mode=tuple(str(mode) for mode in rng.choice(modes, rank)),
        )  # fmt: skip
        if rank == 3 and options["padding"] == "valid" and sizes[0] < kernel[0]:
            options["padding"] = "same"
        yield rank, x, filters, bias, options


def conv(rank):
    return {1: cx.conv1d, 2: cx.conv2d, 3: cx.conv3d}[rank]
