"""Cases 40 to 45: pad, its widths, modes and constants."""

import numpy as np

import pyconvx as cx

from .table import INTEGER, K1, X1, K, M, T, V, X, anything, either, fails, fresh, number, same, works

LINE = np.float32([3, 1, 4])
BITS = np.arange(8, dtype=np.float32)

works(
    "40 reflect longer than the axis",
    LINE[[1, 0, 1, 2, 1, 0, 1, 2, 1, 0, 1, 2, 1]],
    "pad",
    LINE,
    5,
    "reflect",
)
works(
    "40 symmetric longer than the axis",
    LINE[[1, 2, 2, 1, 0, 0, 1, 2, 2, 1, 0, 0, 1]],
    "pad",
    LINE,
    5,
    "symmetric",
)
works("40 wrap longer than the axis", LINE[[1, 2, 0, 1, 2, 0, 1, 2, 0, 1, 2, 0, 1]], "pad", LINE, 5, "wrap")
works("40 edge longer than the axis", LINE[[0] * 5 + [0, 1, 2] + [2] * 5], "pad", LINE, 5, "edge")
works("40 reflect far longer", LINE[np.abs((np.arange(-99, 102) + 2) % 4 - 2)], "pad", LINE, 99, "reflect")
works(
    "40 odd reflect longer than the axis",
    np.pad(LINE, 5, "reflect", reflect_type="odd"),
    "pad",
    LINE,
    5,
    "odd_reflect",
)
BOUNCED = X1[0, [min(i % 14, 14 - i % 14) for i in range(-20, 28)], 0]
works(
    "40 reflect in a convolution",
    np.convolve(BOUNCED, K1[0, ::-1, 0], "valid")[None, :, None],
    "conv1d",
    X1,
    K1,
    padding=20,
    padding_mode="reflect",
)
for mode in ("reflect", "edge", "symmetric", "wrap", "odd_reflect", "odd_symmetric"):
    fails(f"41 {mode} on length 0", V, ["empty|length|0", mode], "pad", np.zeros(0, np.float32), 1, mode)
    works(f"41 {mode} on length 1", np.float32([7] * 7), "pad", np.float32([7]), 3, mode)
    works(f"41 {mode} by nothing on length 0", np.zeros(0, np.float32), "pad", np.zeros(0, np.float32), 0, mode)
works("41 zeros on length 0", np.zeros(3, np.float32), "pad", np.zeros(0, np.float32), (1, 2))
works("42 (-7, 7) reflect", BITS[[7, 6, 5, 4, 3, 2, 1, 0]], "pad", BITS, (-7, 7), "reflect")
works("42 (-7, 0)", BITS[7:], "pad", BITS, (-7, 0))
works("42 (-4, -4) leaves nothing", BITS[:0], "pad", BITS, -4)
fails("42 (-5, -4) leaves less than nothing", V, ["pad_width", r"-5|-1|-4"], "pad", BITS, (-5, -4))
fails("42 (-9, 0) reflect", V, ["pad_width"], "pad", BITS, (-9, 0), "reflect")
either("42 (-9, 9) reflect", BITS[[5, 4, 3, 2, 1, 0, 1, 2]], V, ["pad_width"], "pad", BITS, (-9, 9), "reflect")
fails("43 -8353862602220610428", V, ["pad_width", "-8353862602220610428"], "pad", BITS, -8353862602220610428)
fails(
    "43 (0, -8353862602220610428)",
    V,
    ["pad_width", "-8353862602220610428"],
    "pad",
    X,
    ((0, 0), (0, -8353862602220610428), (0, 0), (0, 0)),
)
for width in (2**62, 2**63 - 1, (2**62, 2**62)):
    for mode in ("zeros", "reflect"):
        fails(f"43 {width} {mode}", (V, M), ["pad_width|shape|allocate"], "pad", BITS, width, mode)
for width in (2**63, 2**70, -(2**63), -(2**63) - 1):
    fails(f"43 {width}", (V, M), ["pad_width", str(width)], "pad", BITS, width)
for width in ((1, 2, 3), ((1, 2, 3),), (), [], ((1, 1), (2, 2)), {1: 1}, {-2: 1}):
    fails(f"43 pad_width={width!r} of one axis", V, ["pad_width"], "pad", BITS, width)
for width in (
    1.5,
    "1",
    None,
    True,
    (1, 1.5),
    (True, 1),
    ((0, "1"),),
    {0: "1"},
    {"0": 1},
    1j,
    object,
    {1.5: 1},
):
    what = "object" if width is object else repr(width)
    fails(f"43 pad_width={what}", T, ["pad_width", INTEGER], "pad", BITS, width)
works("43 pad_width by axis", np.float32([[0, 0], [1, 2], [0, 0]]), "pad", np.float32([[1, 2]]), {0: 1})
works("43 pad_width by the last axis", np.float32([[0, 1, 2]]), "pad", np.float32([[1, 2]]), {-1: (1, 0)})

MODES = ["padding mode", "reflect", "symmetric"]
fails(
    "44 mode='Reflekt'",
    V,
    [*MODES, "Reflekt", "(?i)did you mean.*reflect|nearest.*reflect|closest.*reflect"],
    "pad",
    BITS,
    1,
    "Reflekt",
)
fails("44 padding_mode='Reflekt'", V, [*MODES, "Reflekt"], "conv2d", X, K, padding=1, padding_mode="Reflekt")
fails(
    "44 padding_mode='Reflekt' without padding",
    V,
    [*MODES, "Reflekt"],
    "conv2d",
    X,
    K,
    padding_mode="Reflekt",
)
fails("44 padding_mode='Reflekt' in a pool", V, [*MODES, "Reflekt"], "pool2d", X, 2, padding_mode="Reflekt")
fails(
    "44 padding_mode='Reflekt' transposed",
    V,
    [*MODES, "Reflekt"],
    "conv_transpose2d",
    X,
    K,
    padding_mode="Reflekt",
)
fails(
    "44 padding_mode=('reflect', 'Reflekt')",
    V,
    [*MODES, "Reflekt"],
    "conv2d",
    X,
    K,
    padding=1,
    padding_mode=("reflect", "Reflekt"),
)
fails("44 mode=''", V, MODES, "pad", BITS, 1, "")
for mode in (3, None, 1.5, True, np.add, ["reflect", 3, 3, 3]):
    what = mode.__name__ if callable(mode) else repr(mode)
    fails(f"44 mode={what}", T, ["mode"], "pad", X, 1, mode)
for mode in (3, None, 1.5, True, np.add, ["reflect", 3]):
    what = mode.__name__ if callable(mode) else repr(mode)
    fails(f"44 padding_mode={what}", T, ["mode"], "conv2d", X, K, padding=1, padding_mode=mode)
fails("44 mode a bytes", (T, V), ["mode"], "pad", X, 1, b"reflect")
fails("44 padding_mode a bytes", (T, V), ["mode"], "conv2d", X, K, padding=1, padding_mode=b"reflect")
for modes in (["reflect"], ["reflect"] * 3, []):
    fails(
        f"44 {len(modes)} modes for 2 axes",
        V,
        ["mode", number(2)],
        "conv2d",
        X,
        K,
        padding=1,
        padding_mode=modes,
    )
fails("44 2 modes for 4 axes", V, ["mode", number(4)], "pad", X, 1, ["reflect"] * 2)
fails("44 mode with an unknown parameter", T, ["valu", "value"], "pad", BITS, 1, "constant", valu=3)
fails("44 mode without parameters", T, ["value", "reflect"], "pad", BITS, 1, "reflect", value=3)

fails(
    "45 constant 1e300 into float32",
    V,
    ["value|constant", r"1e\+?300", "float32"],
    "pad",
    BITS,
    1,
    "constant",
    value=1e300,
)
fails(
    "45 constant 1e5 into float16",
    V,
    ["value|constant", "100000|1e", "float16"],
    "pad",
    BITS.astype(np.float16),
    1,
    "constant",
    value=1e5,
)
fails(
    "45 constant nan into int",
    V,
    ["value|constant", "nan", "int"],
    "pad",
    BITS.astype(int),
    1,
    "constant",
    value=np.nan,
)
fails(
    "45 constant inf into int",
    V,
    ["value|constant", "inf", "int"],
    "pad",
    BITS.astype(int),
    1,
    "constant",
    value=np.inf,
)
fails(
    "45 constant 1.5 into int",
    V,
    ["value|constant", "1.5", "int"],
    "pad",
    BITS.astype(int),
    1,
    "constant",
    value=1.5,
)
fails(
    "45 constant 300 into uint8",
    V,
    ["value|constant", "300", "uint8"],
    "pad",
    BITS.astype(np.uint8),
    1,
    "constant",
    value=300,
)
fails(
    "45 constant -1 into uint8",
    V,
    ["value|constant", "-1", "uint8"],
    "pad",
    BITS.astype(np.uint8),
    1,
    "constant",
    value=-1,
)
fails(
    "45 constant 2 into bool",
    V,
    ["value|constant", number(2), "bool"],
    "pad",
    BITS > 3,
    1,
    "constant",
    value=2,
)
for value in ("1", None, 1j, [1], object()):
    what = "object" if type(value) is object else repr(value)
    fails(f"45 constant {what}", T, ["value|constant"], "pad", BITS, 1, "constant", value=value)
    fails(
        f"45 constant {what} in a convolution",
        T,
        ["value|constant"],
        lambda value=value: cx.conv2d(X, K, padding=1, padding_mode=cx.padding("constant", value=value)),
    )
fails(
    "45 constant 1e300 in a convolution of float32",
    V,
    ["value|constant", r"1e\+?300", "float32"],
    lambda: cx.conv2d(X, K, padding=1, padding_mode=cx.padding("constant", value=1e300)),
)
fails(
    "45 constant 300 in a max pool of uint8",
    V,
    ["value|constant", "300", "uint8"],
    lambda: cx.pool2d(X.astype(np.uint8), 2, padding=1, padding_mode=cx.padding("constant", value=300)),
)
works(
    "45 constant inf into float32",
    np.float32([np.inf, 3, 1, 4, np.inf]),
    "pad",
    LINE,
    1,
    "constant",
    value=np.inf,
)
works(
    "45 constant nan into float32",
    np.float32([np.nan, 3, 1, 4, np.nan]),
    "pad",
    LINE,
    1,
    "constant",
    value=np.nan,
)
works("45 constant 3.0 into int", np.array([3, 5, 3]), "pad", np.array([5]), 1, "constant", value=3.0)
works(
    "45 constant 2**63-1 into int64",
    np.int64([2**63 - 1, 5, 2**63 - 1]),
    "pad",
    np.int64([5]),
    1,
    "constant",
    value=2**63 - 1,
)
works(
    "45 constant 2**53+1 into int64",
    np.int64([2**53 + 1, 5, 2**53 + 1]),
    "pad",
    np.int64([5]),
    1,
    "constant",
    value=2**53 + 1,
)
works(
    "45 constant True into bool",
    np.array([True, False, True]),
    "pad",
    np.array([False]),
    1,
    "constant",
    value=True,
)
either(
    "45 odd reflection of uint8 that leaves its range",
    anything,
    (V, T),
    ["odd_reflect"],
    "pad",
    np.uint8([250, 1]),
    1,
    "odd_reflect",
)
either(
    "45 pad of a scalar",
    lambda y: same(y, np.float32(3)),
    (V, T),
    [r"\bx\b|pad_width"],
    "pad",
    np.float32(3),
    1,
)
works("45 pad of rank 6", lambda y: same(y.shape, (3,) * 6), "pad", fresh(1, 1, 1, 1, 1, 1), 1, "edge")
