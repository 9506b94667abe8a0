"""Convolution and its transpose."""

import math

import numpy as np

import pyconvx as cx

from .bounds import PROMISE, absolute, draw, first, last, maybe_scalar, per_axis, pull, run, several, torch

F = torch.nn.functional
CONV = {1: F.conv1d, 2: F.conv2d, 3: F.conv3d}
CONV_TRANSPOSE = {1: F.conv_transpose1d, 2: F.conv_transpose2d, 3: F.conv_transpose3d}
MODES = {"zeros": "constant", "reflect": "reflect", "edge": "replicate", "wrap": "circular"}


def compare(worst, what, call, model, arrays, gy, channels_last, promise=0.0, extra=2):
    """The library's y and gradients against the model's, all in channels_first order."""
    y, gradients = call()
    wants = pull(model, arrays, gy)
    scales, terms = absolute(model, arrays, gy)
    for name, got, want, scale, n in zip(
        ("y", "gx", "gfilters", "gbias"), (y, *gradients), wants, scales, terms, strict=False
    ):
        if name in ("y", "gx"):
            got = got.reshape((1, *got.shape)) if got.ndim < want.ndim else got
            got = first(got, channels_last)
        elif name == "gfilters":
            got = first(got, channels_last)
        worst.check(f"{name} of {what}", got, want, scale, n + extra, promise)
    assert len(gradients) == len(arrays), what


def padded(x, pairs, modes):
    """x (N, C, *spatial) padded axis by axis."""
    rank = x.ndim - 2
    for axis, (pair, mode) in enumerate(zip(pairs, modes, strict=True)):
        if any(pair):
            widths = [0] * (2 * rank)
            widths[2 * (rank - 1 - axis) : 2 * (rank - axis)] = pair
            x = F.pad(x, widths, MODES[mode])
    return x


def draw_padding(rng, rank):
    """A padding argument, in any of its spellings."""
    spelling = rng.choice(["valid", "same", "same_lower", "full", "int", "axes", "pairs", "causal"])
    if spelling == "int":
        return int(rng.integers(0, 4))
    if spelling == "axes":
        return tuple(rng.integers(0, 4, rank).tolist())
    if spelling == "pairs" or (spelling == "causal" and rank > 1):
        return tuple(tuple(pair) for pair in rng.integers(0, 4, (rank, 2)).tolist())
    return str(spelling)


def amounts(padding, sizes, effective, strides):
    """The (before, after) pairs that a padding argument means."""
    if isinstance(padding, int):
        return [(padding, padding)] * len(sizes)
    if not isinstance(padding, str):
        return [pair if isinstance(pair, tuple) else (pair, pair) for pair in padding]
    totals = [max((-(-n // s) - 1) * s + e - n, 0) for n, e, s in zip(sizes, effective, strides, strict=True)]
    return {
        "valid": [(0, 0) for e in effective],
        "same": [(total // 2, total - total // 2) for total in totals],
        "same_lower": [(total - total // 2, total // 2) for total in totals],
        "full": [(e - 1, e - 1) for e in effective],
        "causal": [(e - 1, 0) for e in effective],
    }[padding]


def allowed(mode, n, pair):
    """PyTorch reflects at most n - 1 and wraps at most n elements."""
    return max(pair) <= {"zeros": math.inf, "edge": math.inf, "reflect": n - 1, "wrap": n}[mode]


def channels(rng):
    """groups, channels a group, filters a group: depthwise, pointwise, more than a vector."""
    groups = int(rng.choice([1, 1, 1, 2, 3, 8]))
    most = 20 if groups == 1 and rng.random() < 0.3 else 4
    return groups, int(rng.integers(1, most + 1)), int(rng.integers(1, most + 1))


def one_convolution(rng, worst):
    rank = int(rng.integers(1, 4))
    dtype = rng.choice([np.float32, np.float64])
    groups, c, f = channels(rng)
    kernel = per_axis(rng, rank, 1, 4 if rank < 3 else 3)
    strides, dilations = per_axis(rng, rank, 1, 3), per_axis(rng, rank, 1, 3)
    effective = [(k - 1) * d + 1 for k, d in zip(kernel, dilations, strict=True)]
    sizes = [int(rng.integers(1, e + 6)) for e in effective]
    padding = draw_padding(rng, rank)
    if not (isinstance(padding, str) and padding.startswith("same")):  # else any size will do
        padded_by = map(sum, amounts(padding, sizes, effective, strides))
        sizes = [max(n, e - more) for n, e, more in zip(sizes, effective, padded_by, strict=True)]
    pairs = amounts(padding, sizes, effective, strides)
    modes = [
        str(rng.choice([mode for mode in MODES if allowed(mode, n, pair)]))
        for n, pair in zip(sizes, pairs, strict=True)
    ]
    channels_last, algorithm = (
        bool(rng.random() < 0.5),
        str(rng.choice(["auto", "direct", "direct", "plain"])),
    )
    batch = int(rng.integers(0, 4))  # 0: no N axis
    x = draw(rng, (max(batch, 1), groups * c, *sizes), dtype)
    filters = draw(rng, (groups * f, c, *kernel), dtype)
    arrays = [x, filters] + ([draw(rng, groups * f, dtype)] if rng.random() < 0.5 else [])

    def model(x, filters, bias=None):
        y = CONV[rank](padded(x, pairs, modes), filters, None, strides, 0, dilations, groups)
        return y if bias is None else y + bias.reshape(-1, *[1] * rank)

    out = model(*(torch.tensor(array) for array in arrays)).shape
    gy = draw(rng, tuple(out), dtype)
    options = dict(
        stride=maybe_scalar(rng, strides), dilation=maybe_scalar(rng, dilations), padding=padding,
        groups=groups, padding_mode=maybe_scalar(rng, modes), algorithm=algorithm,
        layout="channels_last" if channels_last else "channels_first",
    )  # fmt: skip
    what = f"conv{rank}d of {x.shape}{'' if batch else ' without N'}, {filters.shape}, {dtype}, {options}"

    def call():
        given = [last(x, channels_last), last(filters, channels_last), *arrays[2:]]
        given[0] = given[0] if batch else given[0][0]
        y, pullback = cx.vjp(getattr(cx, f"conv{rank}d"), *given, **options)
        back = last(gy, channels_last)
        return y, pullback(back if batch else back[0])

    promise = PROMISE[np.dtype(dtype)] if algorithm == "auto" else 0.0
    compare(worst, what, call, model, arrays, gy, channels_last, promise)


@several(60, 1200)
def test_convolution(count):
    run("convolution", count, one_convolution)


def one_transposed_convolution(rng, worst):
    rank = int(rng.integers(1, 4))
    dtype = rng.choice([np.float32, np.float64])
    groups, c, f = channels(rng)
    kernel = per_axis(rng, rank, 1, 4 if rank < 3 else 3)
    strides, dilations = per_axis(rng, rank, 1, 3), per_axis(rng, rank, 1, 3)
    sizes = rng.integers(1, 7 if rank < 3 else 5, rank).tolist()
    extra = [int(rng.integers(0, max(s, d))) for s, d in zip(strides, dilations, strict=True)]
    full = [(n - 1) * s + (k - 1) * d + 1 for n, s, k, d in zip(sizes, strides, kernel, dilations, strict=True)]
    native = bool(rng.random() < 0.5)
    pairs = []
    for length, more in zip(full, extra, strict=True):
        before = int(rng.integers(0, min(3, (length + more - 1) // 2) + 1))
        after = before if native else int(rng.integers(0, min(3, length + more - 1 - before) + 1))
        pairs.append((before, after))
    channels_last = bool(rng.random() < 0.5)
    batch = int(rng.integers(0, 4))
    x = draw(rng, (max(batch, 1), groups * f, *sizes), dtype)
    filters = draw(rng, (groups * f, c, *kernel), dtype)
    arrays = [x, filters] + ([draw(rng, groups * c, dtype)] if rng.random() < 0.5 else [])

    def model(x, filters, bias=None):
        if native:
            before = [pair[0] for pair in pairs]
            y = CONV_TRANSPOSE[rank](x, filters, None, strides, before, extra, groups, dilations)
        else:  # PyTorch cuts both sides alike: cut here
            y = CONV_TRANSPOSE[rank](x, filters, None, strides, 0, 0, groups, dilations)
            ends = [n for more in reversed(extra) for n in (0, more)]
            y = F.pad(y, ends)
            for axis, (before, after) in enumerate(pairs):
                y = y.narrow(axis + 2, before, y.shape[axis + 2] - before - after)
        return y if bias is None else y + bias.reshape(-1, *[1] * rank)

    gy = draw(rng, tuple(model(*(torch.tensor(array) for array in arrays)).shape), dtype)
    options = dict(
        stride=maybe_scalar(rng, strides), dilation=maybe_scalar(rng, dilations), groups=groups,
        padding=maybe_scalar(rng, [pair[0] for pair in pairs]) if native else tuple(pairs),
        output_padding=maybe_scalar(rng, extra),
        layout="channels_last" if channels_last else "channels_first",
    )  # fmt: skip
    what = f"conv_transpose{rank}d of x {x.shape}, filters {filters.shape}, {dtype}, {options}"

    def call():
        given = [last(x, channels_last), last(filters, channels_last), *arrays[2:]]
        given[0] = given[0] if batch else given[0][0]
        y, pullback = cx.vjp(getattr(cx, f"conv_transpose{rank}d"), *given, **options)
        back = last(gy, channels_last)
        return y, pullback(back if batch else back[0])

    compare(worst, what, call, model, arrays, gy, channels_last, PROMISE[np.dtype(dtype)])


@several(50, 800)
def test_transposed_convolution(count):
    run("transposed convolution", count, one_transposed_convolution)
