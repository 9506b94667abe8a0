"""Cases 46 to 56: arrays of unusual memory, dtype and content."""

import numpy as np

import pyconvx as cx

from .table import (
    ACCEPTED_DTYPES,
    BIAS,
    TABLE,
    Case,
    K,
    T,
    V,
    X,
    anything,
    correlate,
    either,
    fails,
    fresh,
    same,
    works,
)

Y = correlate(X, K)


def read_only(array):
    array = array.copy()
    array.flags.writeable = False
    return array


def unaligned(array):
    raw = np.zeros(array.nbytes + 1, np.uint8)
    result = raw[1:].view(array.dtype).reshape(array.shape)
    result[...] = array
    assert not result.flags.aligned
    return result


works("46 read-only x and filters", Y, "conv2d", read_only(X), read_only(K), read_only(BIAS * 0))
fails("47 read-only out", V, ["out", "read-only|writ"], "conv2d", X, K, out=read_only(Y))
fails(
    "47 read-only out of a pool",
    V,
    ["out", "read-only|writ"],
    "pool2d",
    X,
    2,
    out=read_only(fresh(1, 4, 4, 1)),
)
fails(
    "47 read-only out, transposed",
    V,
    ["out", "read-only|writ"],
    "conv_transpose2d",
    X,
    K,
    out=read_only(fresh(1, 10, 10, 1)),
)
works("48 big-endian", Y, "conv2d", X.astype(">f4"), K.astype(">f4"))
works("49 unaligned", Y, "conv2d", unaligned(X), unaligned(K))
works("50 Fortran order", Y, "conv2d", np.asfortranarray(fresh(1, 8, 8, 1)), np.asfortranarray(K))
works("50 backwards", Y, "conv2d", X[:, ::-1].copy()[:, ::-1], K[:, :, ::-1].copy()[:, :, ::-1])
works("50 every second", Y, "conv2d", np.repeat(X, 2, axis=2)[:, :, ::2], np.repeat(K, 2, axis=1)[:, ::2])
works("50 a list of lists", Y.astype(np.float64), "conv2d", X.tolist(), K)


def overlapping(shift):
    """x and out in one buffer, `shift` elements apart."""
    buffer = np.zeros(200, np.float32)
    x = buffer[: X.size].reshape(X.shape)
    out = buffer[shift : shift + Y.size].reshape(Y.shape)
    x[...] = X
    try:
        y = cx.conv2d(x, K, out=out)
    except ValueError:
        same(x, X)
        raise
    assert y is out
    return y


for shift in (0, 1, 20, 36, 63):
    either(f"51 out {shift} elements into x", Y, V, ["out", "overlap|share|memory"], overlapping, shift)


def in_place(function, *args, **options):
    x = X.copy()
    try:
        return getattr(cx, function)(x, *args, out=x, **options)
    except ValueError:
        same(x, X)
        raise


either(
    "51 out=x of a convolution",
    lambda y: same(y, cx.conv2d(X, K, padding=1)),
    V,
    ["out"],
    in_place,
    "conv2d",
    K,
    padding=1,
)
either(
    "51 out=x of a pool",
    lambda y: same(y, cx.pool2d(X, 3, stride=1, padding=1)),
    V,
    ["out"],
    in_place,
    "pool2d",
    3,
    stride=1,
    padding=1,
)
either(
    "51 out=x of a transposed convolution",
    lambda y: same(y, cx.conv_transpose2d(X, K, padding=1)),
    V,
    ["out"],
    in_place,
    "conv_transpose2d",
    K,
    padding=1,
)


def out_is_filters():
    filters = K.copy()
    try:
        return cx.conv2d(fresh(1, 5, 5, 1), filters, out=filters)
    except ValueError:
        same(filters, K)
        raise


either("51 out=filters", lambda y: same(y, correlate(fresh(1, 5, 5, 1), K)), V, ["out"], out_is_filters)
SELF = np.lib.stride_tricks.as_strided(np.zeros(36, np.float32), (1, 6, 6, 1), (144, 12, 4, 4))
fails("52 self-overlapping out", V, ["out", "overlap"], "conv2d", X, K, out=SELF)
fails(
    "52 broadcast out",
    V,
    ["out"],
    "conv2d",
    X,
    K,
    out=np.lib.stride_tricks.as_strided(np.zeros(6, np.float32), (1, 6, 6, 1), (24, 0, 4, 4)),
)
for what, out in (
    ("a shape too large", np.zeros((1, 7, 6, 1), np.float32)),
    ("a rank too few", np.zeros((6, 6, 1), np.float32)),
    ("the other layout", np.zeros((1, 1, 6, 6), np.float32)),
    ("no elements", np.zeros((0, 6, 6, 1), np.float32)),
):
    fails(f"52 out of {what}", V, ["out", "shape|\\(1, 6, 6, 1\\)"], "conv2d", X, K, out=out)
for dtype in (np.float64, np.float16, np.int32, complex, object, bool, "U3"):
    fails(
        f"52 out of dtype {np.dtype(dtype)}",
        (T, V),
        ["out", "float32"],
        "conv2d",
        X,
        K,
        out=np.zeros((1, 6, 6, 1), dtype),
    )
for out in ([[0.0] * 6] * 6, "out", 3, True, np.float32):
    what = "a dtype" if out is np.float32 else repr(out)[:6]
    fails(f"52 out={what}", T, ["out", "array"], "conv2d", X, K, out=out)
either(
    "52 out of the other byte order",
    lambda y: same(y.astype(np.float32), Y),
    (T, V),
    ["out"],
    "conv2d",
    X,
    K,
    out=np.zeros((1, 6, 6, 1), ">f4"),
)

REFUSED = {
    "complex64": X.astype(np.complex64),
    "complex128": X.astype(complex),
    "object": X.astype(object),
    "datetime64": X.astype("M8[s]"),
    "timedelta64": X.astype("m8[s]"),
    "str": X.astype("U8"),
    "bytes": X.astype("S8"),
    "void": np.zeros(X.shape, [("red", "f4"), ("green", "f4")]),
}
NAMES = {"str": "str|<U", "bytes": "bytes|S8", "void": "void|red"}
if np.dtype(np.longdouble) != np.dtype(np.float64):
    REFUSED["longdouble"] = X.astype(np.longdouble)
    NAMES["longdouble"] = np.dtype(np.longdouble).name
RAGGED = [[[[1.0], [2.0]], [[3.0]]]]


class Hostile:
    """Raises its own error when it is asked to be an array."""

    def __array__(self, dtype=None, copy=None):
        raise ZeroDivisionError("no array today")


NOT_ARRAYS = {
    "None": None,
    "masked array": np.ma.masked_array(X, X > 2),
    "ragged list": RAGGED,
    "text": "an image",
    "dict": {"x": 1},
    "set": {1.0},
    "object()": object(),
    "function": np.sin,
    "list of text": [[[["a"]]]],
    "generator": (i for i in range(3)),
}
OPERATIONS = {
    "conv2d": lambda x: cx.conv2d(x, K),
    "conv_transpose2d": lambda x: cx.conv_transpose2d(x, K),
    "pool2d": lambda x: cx.pool2d(x, 2),
    "pool2d avg": lambda x: cx.pool2d(x, 2, "avg"),
    "pool2d median": lambda x: cx.pool2d(x, 2, "median"),
    "adaptive_pool2d": lambda x: cx.adaptive_pool2d(x, 2),
    "global_pool": lambda x: cx.global_pool(x),
    "pad": lambda x: cx.pad(x, 1),
    "activate": lambda x: cx.activate(x, "relu"),
    "vjp": lambda x: cx.vjp(cx.conv2d, x, K),
}
for operation, call in OPERATIONS.items():
    for what, x in REFUSED.items():
        fails(f"53 {operation} of {what}", T, [r"\bx\b", NAMES.get(what, what), *ACCEPTED_DTYPES], call, x)
    for what, x in NOT_ARRAYS.items():
        fails(f"54 {operation} of {what}", T, [r"\bx\b"], call, x)
for what, x in REFUSED.items():
    fails(
        f"53 filters of {what}",
        T,
        ["filters", NAMES.get(what, what), *ACCEPTED_DTYPES],
        "conv2d",
        X,
        x[:, :3, :3],
    )
    fails(f"53 bias of {what}", T, ["bias", NAMES.get(what, what), *ACCEPTED_DTYPES], "conv2d", X, K, x[0, 0, 0])
    fails(
        f"53 unpool of {what}",
        T,
        [r"\by\b", NAMES.get(what, what), *ACCEPTED_DTYPES],
        "unpool2d",
        x[:, :2, :2],
        np.arange(4).reshape(1, 2, 2, 1),
        (4, 4),
    )
    fails(
        f"53 prepare of {what}",
        T,
        ["filters", NAMES.get(what, what), *ACCEPTED_DTYPES],
        "prepare",
        x[:, :3, :3],
    )
for what, x in NOT_ARRAYS.items():
    fails(f"54 filters {what}", T, ["filters"], "conv2d", X, x)
    fails(f"54 prepare {what}", T, ["filters"], "prepare", x)
    if x is not None:
        fails(f"54 bias {what}", T, ["bias"], "conv2d", X, K, x)
    fails(f"54 unpool {what}", T, [r"\by\b"], "unpool2d", x, np.zeros((1, 1, 1, 1), int), (4, 4))
either("54 an object whose __array__ fails", anything, (ZeroDivisionError, T), [], "conv2d", Hostile(), K)

WITH_NAN = np.float32([5, np.nan, 7, np.nan, 1, 2]).reshape(1, 6, 1)


def nan_of(kind):
    def check(result):
        y, where = result
        same(y, np.float32([np.nan, np.nan, 1 if kind == "min" else 2]).reshape(1, 3, 1))
        same(where, np.intp([1, 3, 4 if kind == "min" else 5]).reshape(1, 3, 1))

    return check


def all_worst(worst):
    """Ties go to the first element of each window that is not padding."""

    def check(result):
        y, where = result
        same(y, np.full((1, 3, 3, 1), worst))
        same(where.ravel(), np.intp([0, 1, 3, 5, 6, 8, 15, 16, 18]))

    return check


for kind in ("max", "min"):
    worst = np.float32(-np.inf if kind == "max" else np.inf)
    works(f"55 NaN in a {kind} window", nan_of(kind), "pool1d", WITH_NAN, 2, kind, return_indices=True)
    works(
        f"55 all {worst} in a {kind} window",
        all_worst(worst),
        "pool2d",
        np.full((1, 5, 5, 1), worst),
        3,
        kind,
        stride=2,
        padding=1,
        return_indices=True,
    )
    works(
        f"55 all NaN in a {kind} window",
        lambda y: same(y[0], np.full((1, 2, 2, 1), np.float32(np.nan))),
        "pool2d",
        np.full((1, 4, 4, 1), np.float32(np.nan)),
        2,
        kind,
        return_indices=True,
    )

MXCSR = """
import ctypes, mmap, platform, sys, threading
import numpy as np

if platform.machine() in ("x86_64", "AMD64") and sys.platform.startswith("linux"):
    code = mmap.mmap(-1, mmap.PAGESIZE, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
    code.write(b"\\x0f\\xae\\x1f\\xc3")  # stmxcsr [rdi]; ret
    read = ctypes.CFUNCTYPE(None, ctypes.c_void_p)(ctypes.addressof(ctypes.c_char.from_buffer(code)))

    def control():
        word = ctypes.c_uint32()
        read(ctypes.addressof(word))
        return word.value & ~0x3F  # all but the sticky flags, which any rounding sets
else:
    def control():
        return 0

def alive():
    return np.float32(1e-40) * np.float32(1) != 0 and np.float64(1e-310) * np.float64(0.5) != 0

states = []
def note(place):
    states.append((place, control(), bool(alive())))

go, done = threading.Event(), threading.Event()
def older():
    note("older thread, before")
    done.set()
    go.wait()
    note("older thread, after")

thread = threading.Thread(target=older)
thread.start()
done.wait()
note("before import")
import pyconvx as cx
note("after import")

rng = np.random.default_rng(0)
def calls():
    for dtype, tiny in ((np.float32, 1e-41), (np.float64, 1e-312)):
        x, filters = rng.random((2, 64, 64, 8)).astype(dtype), rng.random((8, 3, 3, 8)).astype(dtype)
        y, pullback = cx.vjp(cx.conv2d, x, filters, padding="same", activation="gelu")
        pullback(y)
        for kind in cx.poolings:
            y, pullback = cx.vjp(cx.pool2d, x[:1, :8, :8], 2, kind)
            pullback(y)
        one = np.ones((1, 1, 1, 1), dtype)
        small = np.full((1, 256, 256, 1), tiny, dtype)
        for y in (cx.conv2d(small, one), cx.conv_transpose2d(small, one), cx.pool2d(small, 2),
                  cx.pool2d(small, 2, "avg"), cx.pad(small, 1, "edge"), cx.activate(small, "relu"),
                  cx.activate(small, "leaky_relu", alpha=0.5), cx.global_pool(small, "max"),
                  cx.adaptive_pool2d(small, 7)):
            assert (y > 0).all(), "a subnormal was flushed"

calls()
note("after calls")
def newer():
    note("newer thread, before")
    calls()
    note("newer thread, after")
for threads in (1, 3):
    cx.set_num_threads(threads)
    calls()
    note("after calls")
    other = threading.Thread(target=newer)
    other.start()
    other.join()
go.set()
thread.join()
note("end")
assert len(states) == 12, states
assert all(state[1:] == (states[0][1], True) for state in states), states
"""
TABLE.append(Case("56 MXCSR and subnormals", script=MXCSR, seconds=60))
works(
    "56 a product that is subnormal",
    np.full((1, 4, 4, 1), np.float32(1e-40)),
    "conv2d",
    np.full((1, 4, 4, 1), np.float32(1e-20)),
    np.full((1, 1, 1, 1), np.float32(1e-20)),
)
