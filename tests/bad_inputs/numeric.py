"""Cases 1 to 23: numbers that are zero, negative, too large or no integers."""

import numpy as np

from .table import (
    INTEGER,
    K1,
    NOT_NEGATIVE,
    POSITIVE,
    X1,
    K,
    M,
    T,
    V,
    X,
    correlate,
    either,
    fails,
    fresh,
    number,
    works,
)

HUGE = 2**62
Y = correlate(X, K)

fails("1 groups=0", V, ["groups", number(0), POSITIVE], "conv2d", X, K, groups=0)
fails("2 groups=-2**63", V, ["groups", number(-(2**63))], "conv2d", X, K, groups=-(2**63))
fails(
    "3 groups=3 of 4 channels",
    V,
    ["groups", number(4), number(3), "channel"],
    "conv2d",
    fresh(1, 8, 8, 4),
    fresh(3, 3, 3, 1),
    groups=3,
)
fails(
    "4 3 filters in 2 groups",
    V,
    ["groups", number(3), number(2), "filters"],
    "conv2d",
    fresh(1, 8, 8, 4),
    fresh(3, 3, 3, 2),
    groups=2,
)
fails("5 stride=0", V, ["stride", number(0), POSITIVE], "conv2d", X, K, stride=0)
fails("6 stride=(1, -1)", V, ["stride", number(-1), POSITIVE], "conv2d", X, K, stride=(1, -1))
works("7 stride=2**62", Y[:, :1, :1], "conv2d", X, K, stride=HUGE)
works("7 stride=2**63-1", Y[:, :1, :1], "conv2d", X, K, stride=2**63 - 1)
fails("8 dilation=0", V, ["dilation", number(0), POSITIVE], "conv2d", X, K, dilation=0)
fails("9 padding=-1", V, ["padding", number(-1), NOT_NEGATIVE], "conv2d", X, K, padding=-1)
fails(
    "9 padding=((0, 0), (1, -1))",
    V,
    ["padding", number(-1), NOT_NEGATIVE],
    "conv2d",
    X,
    K,
    padding=((0, 0), (1, -1)),
)
fails("10 padding=2**31", (V, M), ["4294967302"], "conv2d", X, K, padding=2**31)
fails("10 padding=2**31 in 1-D", (V, M), ["4294967302"], "conv1d", X1, K1, padding=2**31)
fails(
    "10 padding=2**31 in a transposed convolution",
    V,
    ["padding", str(2**31)],
    "conv_transpose2d",
    X,
    K,
    padding=2**31,
)
fails(
    "10 padding=2**61, all modes know it",
    (V, M),
    ["padding|shape"],
    "conv2d",
    X,
    K,
    padding=2**61,
    padding_mode="reflect",
)
either(
    "10 padding=stride=2**40",
    np.float32([[[0], [X1[0, :3, 0] @ K1[0, :, 0]], [0]]]),
    (V, M),
    [],
    "conv1d",
    X1,
    K1,
    padding=2**40,
    stride=2**40,
)
fails(
    "11 padding=dilation=2**62",
    V,
    ["effective kernel", "overflow|large"],
    "conv2d",
    X,
    K,
    padding=HUGE,
    dilation=HUGE,
)
fails(
    "11 dilation=2**62 in a transposed convolution",
    V,
    ["effective kernel", "overflow|large"],
    "conv_transpose2d",
    X,
    K,
    dilation=HUGE,
)
fails(
    "11 dilation=2**62 in a pool",
    V,
    ["effective|window|size", "overflow|large"],
    "pool2d",
    X,
    3,
    dilation=HUGE,
)
works("11 dilation=2**62 of one element", X, "conv2d", X, np.ones((1, 1, 1, 1), np.float32), dilation=HUGE)
fails("12 stride=2**70", V, ["stride", str(2**70)], "conv2d", X, K, stride=2**70)
fails("12 dilation=2**70", V, ["dilation", str(2**70)], "conv2d", X, K, dilation=2**70)
fails("12 padding=2**70", V, ["padding", str(2**70)], "conv2d", X, K, padding=2**70)
fails("12 groups=2**70", V, ["groups", str(2**70)], "conv2d", X, K, groups=2**70)
fails("12 stride=-10**30", V, ["stride", str(-(10**30))], "conv2d", X, K, stride=-(10**30))
fails("12 transposed stride=2**62", (V, M), ["stride|shape"], "conv_transpose2d", X, K, stride=HUGE)
for value in (1.5, "2", None, True):
    fails(f"13 stride={value!r}", T, ["stride", str(value), INTEGER], "conv2d", X, K, stride=value)
fails("14 padding=[]", V, ["padding", r"\[\]|\(\)|\b0\b"], "conv2d", X, K, padding=[])
fails("14 padding=(1, 2, 3)", V, ["padding", r"1, 2, 3"], "conv2d", X, K, padding=(1, 2, 3))
fails(
    "15 size and padding of another planet",
    V,
    ["size|padding", "8608480567731124087|1250999896764"],
    "pool2d",
    X,
    8608480567731124087,
    padding=1250999896764,
)
fails("16 pool size 0", V, ["size", number(0), POSITIVE], "pool2d", X, 0)
fails("16 pool size (2, -2)", V, ["size", number(-2), POSITIVE], "pool2d", X, (2, -2))
fails("17 average pool stride=0", V, ["stride", number(0), POSITIVE], "pool2d", X, 2, "avg", stride=0)
fails("18 pool size 9", V, ["size|window", number(9), number(8)], "pool2d", X, 9)
fails("18 pool size 11 of 10 padded", V, ["size|window", number(11), number(10)], "pool2d", X, 11, padding=1)
for kind in ("max", "avg", "median"):
    fails(f"19 {kind} of padding only", V, ["padding"], "pool2d", X, 2, kind, padding=2)
    fails(
        f"19 {kind} of padding only on one side",
        V,
        ["padding"],
        "pool2d",
        X,
        2,
        kind,
        stride=1,
        padding=((0, 0), (0, 3)),
    )
fails("20 divisor=0", V, ["divisor", number(0)], "pool2d", X, 2, "avg", divisor=0)
fails("20 divisor=0.0", V, ["divisor", number(0.0)], "pool2d", X, 2, "avg", divisor=0.0)
fails("20 divisor=nan", V, ["divisor", "nan"], "pool2d", X, 2, "avg", divisor=float("nan"))
fails("20 divisor='2'", T, ["divisor"], "pool2d", X, 2, "avg", divisor="2")


def close(result, expected):
    """Equal but for the rounding of one division."""
    assert result.shape == expected.shape
    assert result.dtype == expected.dtype
    np.testing.assert_array_max_ulp(result, expected, 1)


def ceil_average(n, size, stride, before, after):
    """1-D average over the real elements of each window, ceil mode, by counting."""
    out = -(-(n + before + after - size) // stride) + 1
    if (out - 1) * stride >= n + before:
        out -= 1
    windows = [[i for i in range(o * stride - before, o * stride - before + size) if 0 <= i < n] for o in range(out)]
    assert all(windows)
    x = fresh(1, n, 1)
    return x, np.float32([[[np.float32(sum(float(x[0, i, 0]) for i in w) / len(w))] for w in windows]])


for n, size, stride, before, after in (
    (8, 3, 2, 1, 1),
    (6, 3, 2, 1, 1),
    (7, 2, 3, 1, 1),
    (5, 4, 3, 2, 1),
    (2, 2, 2, 1, 1),
):
    x, y = ceil_average(n, size, stride, before, after)
    works(
        f"21 ceil_mode, {n} by {size} stride {stride} padding {before}, {after}",
        lambda result, y=y: close(result, y),
        "pool1d",
        x,
        size,
        "avg",
        stride=stride,
        padding=((before, after),),
        ceil_mode=True,
        count_include_pad=False,
    )
fails("22 adaptive output 0", V, ["output_size", number(0), POSITIVE], "adaptive_pool2d", X, 0)
fails("22 adaptive output (2, -1)", V, ["output_size", number(-1), POSITIVE], "adaptive_pool2d", X, (2, -1))
for kind in ("avg", "max", "median"):
    fails(
        f"23 adaptive {kind} output of 1.5e22",
        (V, M),
        ["125091515651"],
        "adaptive_pool2d",
        X,
        125091515651,
        kind,
    )
fails("23 adaptive output of 1.3e11", (V, M), ["125091515651"], "adaptive_pool1d", X1, 125091515651)
