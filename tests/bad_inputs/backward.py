"""Cases 33 to 39: what comes back in, the indices of unpool and the gradient of a pullback."""

import numpy as np

import pyconvx as cx

from .table import (
    BIAS,
    K1,
    K2,
    K3,
    X1,
    X2,
    X3,
    K,
    M,
    T,
    V,
    X,
    anything,
    either,
    fails,
    fresh,
    number,
    pull,
    same,
    works,
)

POOLED, WHERE = fresh(1, 2, 2, 1), np.array([0, 3, 8, 15]).reshape(1, 2, 2, 1)
UNPOOLED = np.zeros((1, 4, 4, 1), np.float32)
UNPOOLED.flat[WHERE.ravel()] = POOLED.ravel()


def indices(value, dtype=np.int64):
    changed = WHERE.astype(dtype)
    changed[0, 1, 1, 0] = value
    return changed


RANGE = r"indices"
works("33 unpool, good indices", UNPOOLED, "unpool2d", POOLED, WHERE, (4, 4))
works("33 unpool into the full shape", UNPOOLED, "unpool2d", POOLED, WHERE, (1, 4, 4, 1))
for dtype in (np.int8, np.uint8, np.int32, np.uint64, ">i4"):
    works(
        f"33 unpool, indices of {np.dtype(dtype).str}",
        UNPOOLED,
        "unpool2d",
        POOLED,
        WHERE.astype(dtype),
        (4, 4),
    )
fails("33 index 2**40", V, [RANGE, number(2**40)], "unpool2d", POOLED, indices(2**40), (4, 4))
fails("33 index 16 of 16", V, [RANGE, number(16)], "unpool2d", POOLED, indices(16), (4, 4))
fails("33 index 2**63 of uint64", V, [RANGE, str(2**63)], "unpool2d", POOLED, indices(2**63, np.uint64), (4, 4))
fails("34 index -1", V, [RANGE, number(-1)], "unpool2d", POOLED, indices(-1), (4, 4))
fails("34 index -2**63", V, [RANGE, number(-(2**63))], "unpool2d", POOLED, indices(-(2**63)), (4, 4))
for dtype in (np.float32, np.float64, bool, complex, object, "M8[s]"):
    with_dtype = WHERE.astype(dtype)
    fails(
        f"35 indices of {np.dtype(dtype).name}",
        T,
        [RANGE, np.dtype(dtype).name.split("[")[0], "int"],
        "unpool2d",
        POOLED,
        with_dtype,
        (4, 4),
    )
fails("35 indices None", T, [RANGE], "unpool2d", POOLED, None, (4, 4))
fails("35 indices of another shape", V, [RANGE, r"\(1, 2, 1, 1\)"], "unpool2d", POOLED, WHERE[:, :, :1], (4, 4))
fails("35 indices of another rank", V, [RANGE], "unpool2d", POOLED, WHERE[0], (4, 4))
fails("35 unpool into another N", V, ["output_shape"], "unpool2d", POOLED, WHERE, (2, 4, 4, 1))
fails("35 unpool into another C", V, ["output_shape"], "unpool2d", POOLED, WHERE, (1, 4, 4, 2))
for shape in ((4,), (4, 4, 4, 4, 4), ()):
    fails(f"35 unpool into {shape}", V, ["output_shape"], "unpool2d", POOLED, WHERE, shape)
fails("35 unpool into (4, -4)", V, ["output_shape", number(-4)], "unpool2d", POOLED, WHERE, (4, -4))
fails("35 unpool into (0, 4)", V, ["output_shape|indices"], "unpool2d", POOLED, WHERE, (0, 4))
fails("35 unpool into 2**80 elements", (V, M), ["output_shape|shape"], "unpool2d", POOLED, WHERE, (2**40, 2**40))
fails("35 unpool into 2**40 elements", (V, M), [], "unpool2d", POOLED, WHERE, (2**20, 2**20))
for shape in ((4.0, 4), ("4", 4), (True, 4), None, "44", 4.5):
    fails(f"35 unpool into {shape!r}", T, ["output_shape"], "unpool2d", POOLED, WHERE, shape)

OPS = {
    "conv1d": ((X1, K1), {}),
    "conv2d": ((X2, K2, BIAS), {}),
    "conv3d": ((X3, K3), {}),
    "conv_transpose1d": ((X1, K1), {}),
    "conv_transpose2d": ((X2, K2, BIAS), {}),
    "conv_transpose3d": ((X3, K3), {}),
    "pool1d": ((X1, 2), {}),
    "pool2d": ((X2, 2), {"kind": "avg"}),
    "pool3d": ((X3, 2), {"kind": "median"}),
    "adaptive_pool1d": ((X1, 3), {}),
    "adaptive_pool2d": ((X2, 3), {"kind": "max"}),
    "adaptive_pool3d": ((X3, 3), {}),
    "global_pool": ((X2,), {}),
    "unpool2d": ((POOLED, WHERE, (4, 4)), {}),
    "pad": ((X2, 1), {"mode": "reflect"}),
    "activate": ((X2, "gelu"), {}),
}


def pull_with(function, change):
    """The gradients for a gy made from y by `change`."""
    args, options = OPS[function]
    y, pullback = cx.vjp(getattr(cx, function), *args, **options)
    return pullback(change(y))


def shape_of_x(function):
    return lambda gradients: same(np.zeros(gradients[0].shape), np.zeros(OPS[function][0][0].shape))


for op in OPS:
    works(f"36 {op}, a right gy", shape_of_x(op), pull_with, op, np.ones_like)
    works(
        f"36 {op}, gy of zeros",
        lambda gradients: [same(g, np.zeros_like(g)) for g in gradients],
        pull_with,
        op,
        np.zeros_like,
    )
    fails(
        f"36 {op}, gy batch 9",
        V,
        ["gy", number(9)],
        pull_with,
        op,
        lambda y: np.ones((9, *y.shape[1:]), y.dtype),
    )
    fails(f"37 {op}, empty gy", V, ["gy"], pull_with, op, lambda y: np.zeros((0, *y.shape[1:]), y.dtype))
    fails(f"37 {op}, gy of shape (0,)", V, ["gy"], pull_with, op, lambda y: np.zeros(0, y.dtype))
    fails(f"38 {op}, gy with 0 channels", V, ["gy"], pull_with, op, lambda y: y[..., :0])
    fails(f"38 {op}, gy of a rank too few", V, ["gy"], pull_with, op, lambda y: y[0])
    fails(
        f"38 {op}, gy that would broadcast",
        V,
        ["gy"],
        pull_with,
        op,
        lambda y: np.ones((1,) * y.ndim, y.dtype) if y.size > 1 else np.ones((1, 1, 1, 1, 1, 1)),
    )
    fails(f"38 {op}, gy a scalar", V, ["gy"], pull_with, op, lambda y: np.float32(1))
    for what, change in (
        ("None", lambda y: None),
        ("complex", lambda y: y.astype(complex)),
        ("object", lambda y: y.astype(object)),
        ("text", lambda y: "gy"),
        ("masked", np.ma.masked_array),
    ):
        fails(f"38 {op}, gy {what}", T, ["gy"], pull_with, op, change)
fails(
    "39 filters inconsistent with x of a transposed convolution",
    V,
    [r"filters|channel", number(2)],
    pull,
    "conv_transpose2d",
    (X, fresh(2, 3, 3, 1)),
    fresh(1, 10, 10, 1),
)
fails(
    "39 gy of another number of filters",
    V,
    ["gy", number(2)],
    pull,
    "conv2d",
    (X, fresh(3, 3, 3, 1)),
    fresh(1, 6, 6, 2),
)
fails("39 gy of the other layout", V, ["gy"], pull, "conv2d", (X, fresh(3, 3, 3, 1)), fresh(1, 3, 6, 6))


def pullback_called(*args):
    _, pullback = cx.vjp(cx.conv2d, X, K)
    return pullback(*args)


fails("39 pullback without gy", T, [], pullback_called)
fails("39 pullback of two", T, [], pullback_called, fresh(1, 6, 6, 1), fresh(1, 6, 6, 1))


def used_after_an_error():
    """A pullback that was given a bad gy is still good, and gives the same bits each time."""
    _, pullback = cx.vjp(cx.conv2d, X, K, BIAS)
    gy = fresh(1, 6, 6, 1)
    first = pullback(gy)
    try:
        pullback(gy[:, :5])
    except ValueError:
        pass
    else:
        raise AssertionError("a gy of a wrong shape was accepted")
    for a, b in zip(first, pullback(gy), strict=True):
        same(a, b)


works("39 pullback used after an error", anything, used_after_an_error)
for what in (np.sin, "conv2d", None, 3, lambda x: x):
    fails(
        f"39 vjp of {what if isinstance(what, (str, int, type(None))) else what.__name__}",
        T,
        ["conv2d|operation|vjp"],
        "vjp",
        what,
        X,
        K,
    )
fails("39 vjp of nothing", T, [], "vjp")
fails("39 vjp of the layout alone", T, [], lambda: cx.vjp(cx.conv2d))
fails("39 vjp with an unknown option", T, ["strides"], lambda: cx.vjp(cx.conv2d, X, K, strides=2))
fails("39 vjp checks like the call", V, ["stride", number(0)], lambda: cx.vjp(cx.conv2d, X, K, stride=0))
fails("39 vjp of complex", T, [r"\bx\b", "complex"], lambda: cx.vjp(cx.conv2d, X.astype(complex), K))


def no_derivative(function, registry, make):
    with registry.temporarily("test:none", make):
        y, pullback = function()
        pullback(np.ones_like(y))


fails(
    "39 an activation without a derivative",
    V,
    ["test:none", "derivative"],
    no_derivative,
    lambda: cx.vjp(cx.activate, X, "test:none"),
    cx.activations,
    lambda x: x * 2,
)
fails(
    "39 an activation without a derivative in a convolution",
    V,
    ["test:none", "derivative"],
    no_derivative,
    lambda: cx.vjp(cx.conv2d, X, K, activation="test:none"),
    cx.activations,
    lambda x: x * 2,
)
fails(
    "39 a pooling without a gradient",
    V,
    ["test:none", "gradient"],
    no_derivative,
    lambda: cx.vjp(cx.pool2d, X, 2, "test:none"),
    cx.poolings,
    lambda w: w.sum(-1),
)
either(
    "39 vjp with filters by keyword",
    anything,
    (T, V),
    ["filters|keyword|position"],
    lambda: cx.vjp(cx.conv2d, X, filters=K),
)
