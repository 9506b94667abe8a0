"""Cases 24 to 32: shapes that do not fit, are empty or are enormous."""

import numpy as np

import pyconvx as cx

from .table import (
    BIAS,
    K1,
    K2,
    K3,
    TABLE,
    X1,
    X2,
    X3,
    Case,
    K,
    M,
    T,
    V,
    X,
    either,
    fails,
    fresh,
    number,
    pull,
    same,
    works,
)

RANK = r"rank|ndim|dimension|axes|-D\b|shape"

for rank in (1, 2, 5, 6):
    fails(
        f"24 x of rank {rank}",
        V,
        [r"\bx\b", RANK],
        "conv2d",
        fresh(*[8] * rank),
        K,
    )
fails("24 x of rank 0", V, [r"\bx\b", RANK], "conv2d", np.float32(3), K)
for function, filters in (("conv1d", K1), ("conv2d", K2), ("conv3d", K3)):
    for transposed in ("", "_transpose"):
        name = function.replace("conv", "conv" + transposed)
        rank = filters.ndim - 2
        for x in (fresh(*[3] * rank), fresh(*[3] * (rank + 3))):
            fails(f"24 {name} of x of rank {x.ndim}", V, [r"\bx\b", RANK], name, x, filters)
        for f in (filters[0], filters[None]):
            fails(f"24 {name} of filters of rank {f.ndim}", V, ["filters", RANK], name, fresh(*filters.shape), f)
for rank, x in ((1, X1), (2, X2), (3, X3)):
    for wrong in (x[0, ..., 0], x[None]):
        fails(f"24 pool{rank}d of rank {wrong.ndim}", V, [r"\bx\b", RANK], f"pool{rank}d", wrong, 2)
        fails(
            f"24 adaptive_pool{rank}d of rank {wrong.ndim}",
            V,
            [r"\bx\b", RANK],
            f"adaptive_pool{rank}d",
            wrong,
            2,
        )
for rank in (0, 1, 2, 6):
    fails(f"24 global_pool of rank {rank}", V, [r"\bx\b", RANK], "global_pool", fresh(*[2] * rank))
fails("25 filters of 2 channels for 1", V, ["channel", number(2), number(1)], "conv2d", X, fresh(1, 3, 3, 2))
fails(
    "25 filters of 4 channels for 4 in 2 groups",
    V,
    ["channel", number(4), number(2)],
    "conv2d",
    fresh(1, 8, 8, 4),
    fresh(2, 3, 3, 4),
    groups=2,
)
fails("25 filters of the other layout", V, ["channel"], "conv2d", X, fresh(1, 1, 3, 3))
fails(
    "25 transposed, x of 3 channels for 2 filters",
    V,
    [r"channel|filters", number(3), number(2)],
    "conv_transpose2d",
    fresh(1, 8, 8, 3),
    fresh(2, 3, 3, 1),
)
fails("26 bias of length 3", V, ["bias", number(3)], "conv2d", X, K, fresh(3))
fails("26 bias of shape (1, 1)", V, ["bias", r"\(1, 1\)"], "conv2d", X, K, fresh(1, 1))
fails("26 bias of rank 0", V, ["bias"], "conv2d", X, K, np.float32(1))
fails("26 empty bias", V, ["bias"], "conv2d", X, K, fresh(0))
fails(
    "26 transposed, bias for F instead of C",
    V,
    ["bias", number(2)],
    "conv_transpose2d",
    fresh(1, 8, 8, 2),
    fresh(2, 3, 3, 3),
    fresh(2),
)
fails("27 filters (1, 0, 3, 1)", V, ["filters", r"\(1, 0, 3, 1\)|\b0\b"], "conv2d", X, fresh(1, 0, 3, 1))
fails("27 no filters", V, ["filters", r"\(0, 3, 3, 1\)|\b0\b"], "conv2d", X, fresh(0, 3, 3, 1))
fails("27 transposed, filters (1, 0, 3, 1)", V, ["filters"], "conv_transpose2d", X, fresh(1, 0, 3, 1))

EMPTY = np.zeros((0, 8, 8, 1), np.float32)
works("28 x (0, 8, 8, 1)", np.zeros((0, 6, 6, 1), np.float32), "conv2d", EMPTY, K, BIAS)
works("28 x (0, 8, 8, 1) in a pool", np.zeros((0, 4, 4, 1), np.float32), "pool2d", EMPTY, 2)
works("28 x (0, 8, 8, 1) in an adaptive pool", np.zeros((0, 2, 2, 1), np.float32), "adaptive_pool2d", EMPTY, 2)
works("28 x (0, 8, 8, 1) in a global pool", np.zeros((0, 1), np.float32), "global_pool", EMPTY)
works(
    "28 x (0, 8, 8, 1) in a transposed convolution",
    np.zeros((0, 10, 10, 1), np.float32),
    "conv_transpose2d",
    EMPTY,
    K,
    BIAS,
)
works("28 x (0, 8, 8, 1) in an activation", EMPTY, "activate", EMPTY, "gelu")
works(
    "28 x (0, 8, 8, 1) in a pad",
    np.zeros((0, 10, 8, 1), np.float32),
    "pad",
    EMPTY,
    ((0, 0), (1, 1), (0, 0), (0, 0)),
    "reflect",
)


def zero_gradients(gradients):
    for gradient, shape in zip(gradients, ((0, 8, 8, 1), (1, 3, 3, 1), (1,)), strict=True):
        same(gradient, np.zeros(shape, np.float32))


works(
    "28 gradients of x (0, 8, 8, 1)",
    zero_gradients,
    pull,
    "conv2d",
    (EMPTY, K, BIAS),
    np.zeros((0, 6, 6, 1), np.float32),
)
works(
    "28 transposed gradients of x (0, 8, 8, 1)",
    zero_gradients,
    pull,
    "conv_transpose2d",
    (EMPTY, K, BIAS),
    np.zeros((0, 10, 10, 1), np.float32),
)
works(
    "28 pool gradient of x (0, 8, 8, 1)",
    lambda gradients: same(gradients[0], EMPTY),
    pull,
    "pool2d",
    (EMPTY, 2),
    np.zeros((0, 4, 4, 1), np.float32),
)
fails(
    "29 no channels",
    V,
    ["channel|filters|x", r"\(1, (8, 8|3, 3), 0\)"],
    "conv2d",
    fresh(1, 8, 8, 0),
    fresh(1, 3, 3, 0),
)
fails(
    "29 no channels, transposed",
    V,
    ["channel|filters"],
    "conv_transpose2d",
    fresh(1, 8, 8, 1),
    fresh(1, 3, 3, 0),
)
fails("30 H 2 under a kernel of 3", V, ["kernel|filters", number(2), number(3)], "conv2d", fresh(1, 2, 8, 1), K)
fails(
    "30 H 8 under an effective kernel of 9",
    V,
    ["kernel|filters", number(8), number(9)],
    "conv2d",
    X,
    K,
    dilation=4,
)
fails("30 H 0", V, ["kernel|size|empty|window", number(0)], "conv2d", fresh(1, 0, 8, 1), K)
fails("30 H 0 in a pool", V, ["size|window|empty", number(0)], "pool2d", fresh(1, 0, 8, 1), 2)
fails("30 H 0 in an adaptive pool", V, ["x|empty|size"], "adaptive_pool2d", fresh(1, 0, 8, 1), 2)
fails("30 H 0 in a global pool", V, ["x|empty|size"], "global_pool", fresh(1, 0, 8, 1))
either(
    "30 H 0 in a transposed convolution",
    lambda y: same(y, np.zeros((1, 2, 10, 1), np.float32)),
    V,
    ["x|empty|size"],
    "conv_transpose2d",
    fresh(1, 0, 8, 1),
    K,
)
fails("30 transposed, all of it cropped away", V, ["padding"], "conv_transpose2d", X, K, padding=6)

WIDE = np.broadcast_to(np.float32(2), (1, 46341, 46341, 1))
ONES = np.ones((1, 3, 3, 1), np.float32)
either(
    "31 x (1, 46341, 46341, 1) strided",
    np.full((1, 2, 2, 1), 18, np.float32),
    M,
    [],
    "conv2d",
    WIDE,
    ONES,
    stride=46338,
)
fails("31 x (1, 46341, 46341, 1)", M, [], "conv2d", WIDE, ONES)
either(
    "31 pool of x (1, 46341, 46341, 1)",
    np.full((1, 2, 2, 1), 2, np.float32),
    M,
    [],
    "pool2d",
    WIDE,
    3,
    stride=46338,
)
fails("31 x of 2**62 elements", (V, M), [], "conv2d", np.broadcast_to(np.float32(0), (1, 2**30, 2**30, 1)), ONES)
fails(
    "31 global_pool of nothing real",
    (V, T, M),
    [],
    "global_pool",
    np.broadcast_to(np.float32(0), (1, 2**31, 0, 1)),
)

TALL, BROAD = 2**16, 2**15 + 1


def more_than_an_int():
    """More than 2**31 elements: the far end is where a 32-bit offset would go astray."""
    x = np.zeros((1, TALL, BROAD, 1), np.uint8)
    x[0, -1, -4:, 0] = 1, 2, 3, 9
    y, where = cx.pool2d(x, 64, ceil_mode=True, return_indices=True)
    assert y.shape == where.shape == (1, 1024, 513, 1)
    assert y[0, -1, -2:, 0].tolist() == [3, 9]
    assert where[0, -1, -2:, 0].tolist() == [TALL * BROAD - 2, TALL * BROAD - 1]
    assert np.count_nonzero(y) == 2
    same(cx.unpool2d(y, where, (TALL, BROAD))[0, -1, -3:, 0], np.uint8([0, 3, 9]))
    same(cx.pad(x, ((0, 0), (4 - TALL, 0), (3 - BROAD, 0), (0, 0))), x[:, -4:, -3:])
    longer = cx.pad(x, ((0, 0), (2, 3), (0, 1), (0, 0)), "edge")
    assert longer.shape == (1, TALL + 5, BROAD + 1, 1)
    same(longer[0, -4:, -5:, 0], np.tile(np.uint8([1, 2, 3, 9, 9]), (4, 1)))


def more_than_an_int_of_floats():
    """The same for a convolution; pages of zeros that nobody writes cost no memory."""
    x = np.zeros((1, TALL, BROAD, 1), np.float32)
    x[0, -3:, -1, 0] = 1, 2, 3
    filters = np.float32([1] * 61 + [1, 10, 100]).reshape(1, 64, 1, 1)
    y = cx.conv2d(x, filters, stride=(64, BROAD - 1))
    expected = np.zeros((1, 1024, 2, 1), np.float32)
    expected[0, -1, -1, 0] = 321
    same(y, expected)
    same(cx.pool2d(x, (64, 1), "sum", stride=(64, BROAD - 1)), expected / 321 * 6)


TABLE.append(
    Case(
        "32 more than 2**31 bytes",
        more_than_an_int,
        check=lambda _: None,
        slow=True,
        memory=7 * 2**30,
        seconds=300,
    )
)
TABLE.append(
    Case(
        "32 more than 2**31 floats",
        more_than_an_int_of_floats,
        check=lambda _: None,
        slow=True,
        memory=12 * 2**30,
        seconds=300,
    )
)
