"""Pooling, adaptive and global pooling, and unpooling."""

import math

import numpy as np
import pytest

import pyconvx as cx

from .bounds import draw, first, last, maybe_scalar, per_axis, pull, run, several, torch

F = torch.nn.functional
MAX_POOL = {1: F.max_pool1d, 2: F.max_pool2d, 3: F.max_pool3d}
AVG_POOL = {1: F.avg_pool1d, 2: F.avg_pool2d, 3: F.avg_pool3d}
LP_POOL = {1: F.lp_pool1d, 2: F.lp_pool2d, 3: F.lp_pool3d}
UNPOOL = {1: F.max_unpool1d, 2: F.max_unpool2d, 3: F.max_unpool3d}
ADAPTIVE = {
    "avg": {1: F.adaptive_avg_pool1d, 2: F.adaptive_avg_pool2d, 3: F.adaptive_avg_pool3d},
    "max": {1: F.adaptive_max_pool1d, 2: F.adaptive_max_pool2d, 3: F.adaptive_max_pool3d},
}


def one_pool(rng, worst):
    rank = int(rng.integers(1, 4))
    dtype = rng.choice([np.float32, np.float64])
    kind = str(rng.choice(["max", "avg", "lp"]))
    size, strides = per_axis(rng, rank, 1, 4), per_axis(rng, rank, 1, 4)
    dilations = per_axis(rng, rank, 1, 2) if kind == "max" else [1] * rank
    pads = [0] * rank if kind == "lp" else [int(rng.integers(0, k // 2 + 1)) for k in size]
    effective = [(k - 1) * d + 1 for k, d in zip(size, dilations, strict=True)]
    sizes = [max(1, e - 2 * p) + int(rng.integers(0, 7)) for e, p in zip(effective, pads, strict=True)]
    if kind == "avg":
        sizes = [max(n, k) for n, k in zip(sizes, size, strict=True)]  # PyTorch asks for it in 3-D
    channels_last, batch = bool(rng.random() < 0.5), int(rng.integers(0, 4))
    ceil = kind != "lp" and bool(rng.random() < 0.5)
    x = draw(rng, (max(batch, 1), int(rng.integers(1, 20)), *sizes), dtype)
    options = dict(
        stride=maybe_scalar(rng, strides), padding=maybe_scalar(rng, pads),
        dilation=maybe_scalar(rng, dilations), ceil_mode=ceil,
        layout="channels_last" if channels_last else "channels_first",
    )  # fmt: skip
    if strides == size:
        del options["stride"]
    p = 2.0
    if kind == "max":
        if rng.random() < 0.3:
            x = np.round(x)  # ties

        def model(x):
            return MAX_POOL[rank](x, size, strides, pads, dilations, ceil)

    elif kind == "avg":
        options["count_include_pad"] = include = bool(rng.random() < 0.5)
        divisor = int(rng.integers(1, 9)) if rank > 1 and rng.random() < 0.3 else None
        options |= {} if divisor is None else {"divisor": divisor}
        more = {} if rank == 1 else {"divisor_override": divisor}

        def model(x):
            return AVG_POOL[rank](x, size, strides, pads, ceil, include, **more)

    else:
        options["p"] = p = float(rng.choice([1.0, 2.0, 3.0, 1.5]))
        x = np.abs(x) + dtype(0.1)  # PyTorch takes no absolute value

        def model(x):
            return LP_POOL[rank](x, p, size[0] if rank == 1 else size, strides)

    what = f"{kind} pool{rank}d {size} of x {x.shape}{'' if batch else ' without N'}, {dtype}, {options}"
    y64 = model(torch.tensor(x.astype(np.float64))).numpy()
    given = last(x, channels_last) if batch else last(x, channels_last)[0]
    f = getattr(cx, f"pool{rank}d")
    if kind == "max" and np.isneginf(y64).any():  # PyTorch makes -inf of a window that is all padding
        with pytest.raises(ValueError, match="padding"):
            f(given, maybe_scalar(rng, size), kind, **options)
        return
    gy = draw(rng, y64.shape, dtype)
    back = last(gy, channels_last) if batch else last(gy, channels_last)[0]
    y, pullback = cx.vjp(f, given, maybe_scalar(rng, size), kind, **options)
    (gx,) = pullback(back)
    y, gx = (first(array if batch else array[None], channels_last) for array in (y, gx))
    want_y, want_gx = pull(model, [x], gy)
    window = math.prod(size)
    if kind == "max":
        assert np.array_equal(y, want_y), what
        _, indices = MAX_POOL[rank](torch.tensor(x), size, strides, pads, dilations, ceil, return_indices=True)
        again, where = f(given, size, kind, **options, return_indices=True)
        assert np.array_equal(first(again if batch else again[None], channels_last), y), what
        assert np.array_equal(first(where if batch else where[None], channels_last), indices.numpy()), what
        worst.check(f"gx of {what}", gx, want_gx, pull(model, [x], np.abs(gy))[1], pull(model, [x], 1)[1] + 1)
    elif kind == "avg":
        scale_y, scale_gx = pull(model, [np.abs(x)], np.abs(gy))
        worst.check(f"y of {what}", y, want_y, scale_y, window + 3)
        worst.check(f"gx of {what}", gx, want_gx, scale_gx, window + 3)
    else:
        # Powers are taken to be within 8 units of roundoff; a relative error e of the sum is e / p of its
        # root, and (p - 1) times that in the gradient (x / y) ** (p - 1). All terms are positive.
        root = (window + 8) / p + 8
        worst.check(f"y of {what}", y, want_y, np.abs(want_y), root + 2)
        scale = pull(model, [x], np.abs(gy))[1]
        worst.check(f"gx of {what}", gx, want_gx, scale, abs(p - 1) * (root + 2) + window + 24)


@several(90, 1500)
def test_pool(count):
    run("pooling", count, one_pool)


def one_adaptive_pool(rng, worst):
    rank = int(rng.integers(1, 4))
    dtype = rng.choice([np.float32, np.float64])
    kind = str(rng.choice(["max", "avg"]))
    sizes, out = per_axis(rng, rank, 1, 9), per_axis(rng, rank, 1, 7)
    channels_last, batch = bool(rng.random() < 0.5), int(rng.integers(0, 3))
    x = draw(rng, (max(batch, 1), int(rng.integers(1, 10)), *sizes), dtype)
    what = f"adaptive {kind} pool{rank}d {out} of x {x.shape}, {dtype}, channels_last {channels_last}"

    def model(x):
        return ADAPTIVE[kind][rank](x, out)

    gy = draw(rng, (*x.shape[:2], *out), dtype)
    given, back = (last(a, channels_last) if batch else last(a, channels_last)[0] for a in (x, gy))
    layout = "channels_last" if channels_last else "channels_first"
    y, pullback = cx.vjp(getattr(cx, f"adaptive_pool{rank}d"), given, maybe_scalar(rng, out), kind, layout=layout)
    y, gx = (first(a if batch else a[None], channels_last) for a in (y, *pullback(back)))
    want_y, want_gx = pull(model, [x], gy)
    window = math.prod(-(-n // o) + 1 for n, o in zip(sizes, out, strict=True))
    overlap = math.prod(-(-o // n) + 1 for n, o in zip(sizes, out, strict=True))
    scale_y = np.abs(want_y) if kind == "max" else pull(model, [np.abs(x)], 1)[0]
    if kind == "max":
        assert np.array_equal(y, want_y), what
    worst.check(f"y of {what}", y, want_y, scale_y, window + 3)
    worst.check(f"gx of {what}", gx, want_gx, pull(model, [x], np.abs(gy))[1], overlap + 3)
    if set(out) == {1} and batch:
        pooled = cx.global_pool(given, kind, layout=layout)
        worst.check(f"global, {what}", pooled, want_y.reshape(pooled.shape), scale_y.reshape(pooled.shape), window + 3)


@several(50, 500)
def test_adaptive_pool(count):
    run("adaptive pooling", count, one_adaptive_pool)


def one_unpool(rng, worst):
    rank = int(rng.integers(1, 4))
    dtype = rng.choice([np.float32, np.float64])
    size = per_axis(rng, rank, 1, 3)
    sizes = [k * int(rng.integers(1, 4)) + int(rng.integers(0, k)) for k in size]
    channels_last = bool(rng.random() < 0.5)
    x = draw(rng, (int(rng.integers(1, 3)), int(rng.integers(1, 6)), *sizes), dtype)
    y, indices = MAX_POOL[rank](torch.tensor(x), size, return_indices=True)
    y.requires_grad_()
    want = UNPOOL[rank](y, indices, size, output_size=sizes)
    gx = draw(rng, x.shape, dtype)
    want.backward(torch.tensor(gx))
    layout = "channels_last" if channels_last else "channels_first"
    given, where = last(y.detach().numpy(), channels_last), last(indices.numpy(), channels_last)
    shape = tuple(sizes) if rng.random() < 0.5 else last(x, channels_last).shape
    got, pullback = cx.vjp(getattr(cx, f"unpool{rank}d"), given, where, shape, layout=layout)
    what = f"unpool{rank}d {size} of {x.shape}, {layout}"
    assert np.array_equal(first(got, channels_last), want.detach().numpy()), what
    (gradient,) = pullback(last(gx, channels_last))
    assert np.array_equal(first(gradient, channels_last), y.grad.numpy()), what


@several(30, 300)
def test_unpool(count):
    run("unpooling", count, one_unpool)
