"""Beyond the list: prepare, output_shape, receptive_field, the picture filters and the number of threads."""

import contextlib

import numpy as np

import pyconvx as cx

from .table import (
    INTEGER,
    K1,
    NOT_NEGATIVE,
    POSITIVE,
    K,
    M,
    T,
    V,
    X,
    either,
    fails,
    fresh,
    number,
    same,
    word,
    works,
)

for shape in ((), (3,), (3, 3), (1,) * 6):
    fails(f"+ prepare rank {len(shape)}", V, ["filters"], "prepare", fresh(*shape))
for shape in ((1, 0, 3, 1), (0, 3, 3, 1), (1, 3, 3, 0)):
    fails(f"+ prepare {shape}", V, ["filters"], "prepare", fresh(*shape))
fails(
    "+ prepare layout='NHWC'",
    V,
    ["layout", "channels_last", "channels_first", "NHWC"],
    "prepare",
    K,
    layout="NHWC",
)
fails("+ prepare layout=None", T, ["layout"], "prepare", K, layout=None)
fails("+ prepare with an unknown option", T, ["packing"], "prepare", K, packing=1)


def prepared_is_immutable():
    filters = K.copy()
    packed = cx.prepare(filters)
    expected = cx.conv2d(X, K)
    same(cx.conv2d(X, packed), expected)
    filters[...] = 99
    same(cx.conv2d(X, packed), expected)


works("+ prepared filters do not follow their array", lambda _: None, prepared_is_immutable)

SHAPE, FILTERS = (1, 8, 8, 1), (1, 3, 3, 1)


def shape_of(op, *args, **options):
    return cx.output_shape(getattr(cx, op) if isinstance(op, str) else op, *args, **options)


def gives(*expected):
    def check(result):
        assert tuple(result) == expected, result
        assert all(type(length) is int for length in result), result

    return check


works("+ output_shape of conv2d", gives(1, 6, 6, 1), shape_of, "conv2d", SHAPE, FILTERS)
works(
    "+ output_shape of numpy integers",
    gives(1, 6, 6, 1),
    shape_of,
    "conv2d",
    tuple(np.array(SHAPE)),
    list(FILTERS),
)
works("+ output_shape of 2**40 pictures", gives(2**40, 6, 6, 1), shape_of, "conv2d", (2**40, 8, 8, 1), FILTERS)
for what, f in (("np.sin", np.sin), ("a name", "conv2d" * 2), ("None", None), ("3", 3), ("vjp", cx.vjp)):
    fails(
        f"+ output_shape of {what}",
        T,
        [],
        shape_of if not isinstance(f, str) else cx.output_shape,
        f,
        SHAPE,
        FILTERS,
    )
for bad in ((1, 8, 8), (8, 8), (1, 8, 8, 1, 1, 1), ()):
    if len(bad) != 3:
        fails(f"+ output_shape of x {bad}", V, ["x"], shape_of, "conv2d", bad, FILTERS)
for bad in ((1, 8.0, 8, 1), (1, "8", 8, 1), (1, True, 8, 1), None, 8, "1881", (1, None, 8, 1)):
    fails(f"+ output_shape of x {bad!r}", T, ["x"], shape_of, "conv2d", bad, FILTERS)
    fails(f"+ output_shape of filters {bad!r}", T, ["filters"], shape_of, "conv2d", SHAPE, bad)
fails("+ output_shape of x (1, -8, 8, 1)", V, ["x", number(-8)], shape_of, "conv2d", (1, -8, 8, 1), FILTERS)
fails(
    "+ output_shape of filters (1, -3, 3, 1)",
    V,
    ["filters", number(-3)],
    shape_of,
    "conv2d",
    SHAPE,
    (1, -3, 3, 1),
)
fails(
    "+ output_shape of filters of 2 channels",
    V,
    ["channel", number(2), number(1)],
    shape_of,
    "conv2d",
    SHAPE,
    (1, 3, 3, 2),
)
fails(
    "+ output_shape with stride=0",
    V,
    ["stride", number(0), POSITIVE],
    shape_of,
    "conv2d",
    SHAPE,
    FILTERS,
    stride=0,
)
fails("+ output_shape with strides=2", T, ["strides"], shape_of, "conv2d", SHAPE, FILTERS, strides=2)
fails(
    "+ output_shape with padding 'sane'",
    V,
    ["padding", "sane"],
    shape_of,
    "conv2d",
    SHAPE,
    FILTERS,
    padding="sane",
)
fails(
    "+ output_shape of a kernel too large",
    V,
    ["kernel|filters", number(9), number(8)],
    shape_of,
    "conv2d",
    SHAPE,
    (1, 9, 9, 1),
)
fails(
    "+ output_shape of a pool too large",
    V,
    ["size|window", number(9), number(8)],
    shape_of,
    "pool2d",
    SHAPE,
    9,
)
fails("+ output_shape of a pool of 0", V, ["size", number(0), POSITIVE], shape_of, "pool2d", SHAPE, 0)
fails(
    "+ output_shape of padding 2**62",
    (V, M),
    ["padding|shape"],
    shape_of,
    "conv2d",
    SHAPE,
    FILTERS,
    padding=2**62,
)
fails("+ output_shape without filters", T, ["filters"], shape_of, "conv2d", SHAPE)
fails("+ output_shape without anything", T, [], "output_shape")
either(
    "+ output_shape of padding 2**40",
    gives(1, 2**41 + 6, 2**41 + 6, 1),
    V,
    ["shape", r"\(1, 2199023255558, 2199023255558, 1\)"],
    shape_of,
    "conv2d",
    SHAPE,
    FILTERS,
    padding=2**40,
)

LAYER = {"kernel_size": 3}
for parameter, constraint in (
    ("kernel_size", POSITIVE),
    ("stride", POSITIVE),
    ("dilation", POSITIVE),
    ("padding", NOT_NEGATIVE),
):
    for value in (-1,) + ((0,) if constraint is POSITIVE else ()):
        fails(
            f"+ receptive_field {parameter}={value}",
            V,
            [parameter, number(value), constraint],
            "receptive_field",
            [LAYER, {**LAYER, parameter: value}],
        )
    for value in (1.5, "3", None, True):
        if parameter == "padding" and isinstance(value, str):
            continue
        fails(
            f"+ receptive_field {parameter}={value!r}",
            T,
            [parameter, INTEGER],
            "receptive_field",
            [{**LAYER, parameter: value}],
        )
fails("+ receptive_field without kernel_size", (T, V), ["kernel_size"], "receptive_field", [{"stride": 2}])
fails("+ receptive_field of an unknown key", (T, V), ["strides"], "receptive_field", [{**LAYER, "strides": 2}])
fails(
    "+ receptive_field of two ranks",
    V,
    ["kernel_size|layer"],
    "receptive_field",
    [{"kernel_size": (3, 3)}, {"kernel_size": (3, 3, 3)}],
)
for value in (3, None, 1.5, LAYER, [3.5], "33"):
    fails(f"+ receptive_field of {value!r}", (T, V), [], "receptive_field", value)

for name, parameter, values in (
    ("gaussian", "sigma", (0, -1, float("nan"), float("inf"))),
    ("gaussian", "size", (0, -3)),
    ("identity", "size", (0, -1)),
    ("box", "size", (0, -1)),
):
    for value in values:
        fails(
            f"+ filters {name} {parameter}={value}",
            V,
            [parameter, str(value)],
            lambda n=name, o={parameter: value}: cx.filters[n](**o),
        )
    for value in ("1", None, 1j, [], True) if parameter == "sigma" else ("1", 1.5, True, 1j):
        fails(
            f"+ filters {name} {parameter}={value!r}",
            T,
            [parameter],
            lambda n=name, o={parameter: value}: cx.filters[n](**o),
        )
either(
    "+ filters gaussian sigma=1e12",
    lambda y: None,
    (V, M),
    ["sigma|size|allocate"],
    lambda: cx.filters["gaussian"](sigma=1e12),
)
either(
    "+ filters box size=2**40",
    lambda y: None,
    (V, M),
    ["size|allocate"],
    lambda: cx.filters["box"](size=2**40),
)
fails("+ filters sobel_x has no size", T, ["size"], lambda: cx.filters["sobel_x"](size=3))
for value in (0, -1):
    fails(
        f"+ as_filters channels={value}",
        V,
        ["channels", number(value)],
        lambda v=value: cx.filters["box"].as_filters(channels=v),
    )
for value in (1.5, "3", None, True):
    fails(
        f"+ as_filters channels={value!r}",
        T,
        ["channels"],
        lambda v=value: cx.filters["box"].as_filters(channels=v),
    )


def in_threads(n):
    with cx.threads(n):
        return cx.num_threads()


for value in (0, -1, -(2**63), -(2**70)):
    fails(
        f"+ set_num_threads({value})",
        V,
        [word("n") + "|threads", number(value), POSITIVE],
        "set_num_threads",
        value,
    )
    fails(f"+ threads({value})", V, [word("n") + "|threads", number(value), POSITIVE], in_threads, value)
for value in (1.0, 1.5, "2", None, True, np.True_, [2], 1j, np.float32(2)):
    fails(
        f"+ set_num_threads({type(value).__module__} {value!r})",
        T,
        [word("n") + "|threads", INTEGER],
        "set_num_threads",
        value,
    )
    fails(
        f"+ threads({type(value).__module__} {value!r})",
        T,
        [word("n") + "|threads", INTEGER],
        in_threads,
        value,
    )
for value in (10**6, 2**31, 2**63, 2**70):
    either(f"+ {value} threads", lambda n: None, V, ["threads", str(value)], in_threads, value)
works("+ threads(np.int64(1))", lambda n: same(n, 1), in_threads, np.int64(1))
fails("+ num_threads(2)", T, [], "num_threads", 2)
fails("+ set_num_threads()", T, [], "set_num_threads")


def restored():
    before = cx.num_threads()
    try:
        with cx.threads(1):
            raise KeyError("inside")
    except KeyError:
        pass
    assert cx.num_threads() == before
    with contextlib.suppress(ValueError):
        cx.set_num_threads(0)
    assert cx.num_threads() == before


works("+ threads are restored after an error", lambda _: None, restored)
fails("+ filters of rank 1 in explain's place", V, ["filters"], shape_of, "conv2d", SHAPE, K1.shape[:1])

for what, f in (("np.sin", np.sin), ("a name", "conv2d"), ("None", None)):
    fails(f"+ explain {what}", T, [], "explain", f, SHAPE, FILTERS)


def explained(*args, **options):
    return cx.explain(cx.conv2d, *args, **options)


works("+ explain a convolution", lambda explanation: str(explanation), explained, SHAPE, FILTERS)
fails("+ explain with stride=0", V, ["stride", number(0), POSITIVE], explained, SHAPE, FILTERS, stride=0)
fails("+ explain with strides=2", T, ["strides"], explained, SHAPE, FILTERS, strides=2)
fails(
    "+ explain algorithm='winigrad'",
    V,
    ["algorithm", "auto"],
    explained,
    SHAPE,
    FILTERS,
    algorithm="winigrad",
)
fails("+ explain a kernel too large", V, ["kernel|filters", number(9)], explained, SHAPE, (1, 9, 9, 1))
fails("+ explain without filters", T, ["filters"], explained, SHAPE)
for bad in ((1, 8.0, 8, 1), None, "1881"):
    fails(f"+ explain x {bad!r}", T, ["x"], explained, bad, FILTERS)
