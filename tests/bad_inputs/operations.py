"""Beyond the list: what every operation must refuse, such as misspelt names and unknown arguments."""

import numpy as np

import pyconvx as cx

from .backward import OPS
from .table import (
    BIAS,
    INTEGER,
    K1,
    K2,
    NOT_NEGATIVE,
    POSITIVE,
    X1,
    X2,
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
    same,
    word,
    works,
)

SHORT = {op: (args, options) for op, (args, options) in OPS.items() if not op.endswith("3d")}
LAYOUTS = ["layout", "channels_last", "channels_first"]

for op, (args, options) in OPS.items():
    fails(f"+ {op} with an unknown option", T, ["no_such_option"], op, *args, **options, no_such_option=1)
    fails(f"+ {op} without arguments", T, [], op)
    fails(f"+ {op} twice x", T, [], op, *args, **options, **{"y" if op == "unpool2d" else "x": args[0]})
for op, (args, options) in SHORT.items():
    if op in ("pad", "activate"):
        fails(f"+ {op} has no layout", T, ["layout"], op, *args, **options, layout="channels_last")
        continue
    for layout in ("channel_last", "Channels_last", "NHWC", ""):
        fails(
            f"+ {op} layout={layout!r}",
            V,
            [*LAYOUTS, word(layout) if layout else "''"],
            op,
            *args,
            **options,
            layout=layout,
        )
    for layout in (None, 3, True, b"channels_last", ["channels_last"]):
        fails(
            f"+ {op} layout={layout!r}",
            T,
            ["layout", word(str(layout)) if layout else ""],
            op,
            *args,
            **options,
            layout=layout,
        )

for algorithm in ("winigrad", "", "DIRECT"):
    fails(
        f"+ algorithm={algorithm!r}",
        V,
        ["algorithm", "auto", "direct", "plain", word(algorithm) if algorithm else ""],
        "conv2d",
        X,
        K,
        algorithm=algorithm,
    )
for algorithm in (3, None, True, ["auto"]):
    fails(f"+ algorithm={algorithm!r}", T, ["algorithm"], "conv2d", X, K, algorithm=algorithm)
for op, args in (("conv2d", (X2, K2)), ("conv_transpose2d", (X2, K2)), ("pool2d", (X2, 2))):
    fails(f"+ {op} padding='sane'", V, ["padding", "sane", word("same"), "valid"], op, *args, padding="sane")
    fails(f"+ {op} padding='SAME'", V, ["padding", "SAME", word("same")], op, *args, padding="SAME")
    fails(f"+ {op} padding=''", V, ["padding", "valid"], op, *args, padding="")
    fails(f"+ {op} padding='reflect'", V, ["padding", "reflect", "valid"], op, *args, padding="reflect")
    fails(f"+ {op} padding='causal' in 2-D", V, ["padding", "causal", "1|one"], op, *args, padding="causal")
    fails(f"+ {op} positional stride", T, [], op, *args, None, 2, 2, 2)
for name, op, args in (
    ("strides", "conv2d", (X, K)),
    ("pads", "conv2d", (X, K)),
    ("strides", "pool2d", (X, 2)),
    ("ceil", "pool2d", (X, 2)),
    ("p", "pool2d", (X, 2)),
    ("count_include_pad", "pool2d", (X, 2)),
    ("divisor", "pool2d", (X, 2)),
    ("alpha", "activate", (X, "relu")),
    ("p", "global_pool", (X,)),
    ("q", "adaptive_pool2d", (X, 2)),
    ("output_padding", "conv2d", (X, K)),
    ("algorithms", "conv_transpose2d", (X, K)),
    ("stride", "adaptive_pool2d", (X, 2)),
):
    fails(f"+ {op}({name}=1)", T, [word(name)], op, *args, **{name: 1})

# Integers: one, or one per spatial axis. Legal amounts of every integer type, and everything that is none.
INTEGERS = [
    ("conv2d", (X2, K2), "stride", POSITIVE),
    ("conv2d", (X2, K2), "dilation", POSITIVE),
    ("conv2d", (X2, K2), "padding", NOT_NEGATIVE),
    ("conv2d", (X2, K2), "groups", POSITIVE),
    ("conv1d", (X1, K1), "stride", POSITIVE),
    ("conv1d", (X1, K1), "padding", NOT_NEGATIVE),
    ("conv_transpose2d", (X2, K2), "stride", POSITIVE),
    ("conv_transpose2d", (X2, K2), "dilation", POSITIVE),
    ("conv_transpose2d", (X2, K2), "padding", NOT_NEGATIVE),
    ("conv_transpose2d", (X2, K2), "output_padding", NOT_NEGATIVE),
    ("conv_transpose2d", (X2, K2), "groups", POSITIVE),
    ("pool2d", (X2,), "size", POSITIVE),
    ("pool2d", (X2, 3), "stride", POSITIVE),
    ("pool2d", (X2, 3), "dilation", POSITIVE),
    ("pool2d", (X2, 3), "padding", NOT_NEGATIVE),
    ("pool1d", (X1,), "size", POSITIVE),
    ("adaptive_pool2d", (X2,), "output_size", POSITIVE),
    ("adaptive_pool1d", (X1,), "output_size", POSITIVE),
]
OTHERS = {
    "1.0": 1.0,
    "1.5": 1.5,
    "nan": float("nan"),
    "'2'": "2",
    "None": None,
    "True": True,
    "np.True_": np.True_,
    "np.float64(2)": np.float64(2),
    "1j": 1j,
    "b'1'": b"1",
    "object()": object(),
    "a set": {1},
    "a dict": {0: 1},
    "np.sin": np.sin,
    "an array of floats": np.array([1.0, 1.0]),
    "an array of booleans": np.array([True, True]),
}
for op, args, parameter, constraint in INTEGERS:
    rank = int(op[-2])
    for what, value in OTHERS.items():
        if isinstance(value, np.ndarray):
            value = value[:rank]
        if (parameter == "padding" and isinstance(value, str)) or (
            value is None and op.startswith("pool") and parameter == "stride"
        ):
            continue
        fails(f"+ {op}({parameter}={what})", T, [parameter, INTEGER], op, *args, **{parameter: value})
    for value in (-1, -(2**31), -(2**63), -(2**70)) + ((0,) if constraint is POSITIVE else ()):
        fails(
            f"+ {op}({parameter}={value})",
            V,
            [parameter, number(value), constraint],
            op,
            *args,
            **{parameter: value},
        )
    for value in (2**63, 2**64, 2**70):
        fails(
            f"+ {op}({parameter}={value})",
            (V, M),
            [parameter, number(value)],
            op,
            *args,
            **{parameter: value},
        )
    if parameter == "groups":
        fails(f"+ {op}(groups=(1, 1))", T, ["groups", INTEGER], op, *args, groups=(1, 1))
        continue
    for value in ((1,) * (rank + 1), [1] * (rank + 2), [], *[(1,)] * (rank > 1)):
        fails(f"+ {op}({parameter}={value})", V, [parameter], op, *args, **{parameter: value})
    for value in (
        (1,) * (rank - 1) + (1.5,),
        (1,) * (rank - 1) + (True,),
        (1,) * (rank - 1) + ("1",),
        (1,) * (rank - 1) + (None,),
    ):
        fails(f"+ {op}({parameter}={value})", T, [parameter, INTEGER], op, *args, **{parameter: value})
    if constraint is POSITIVE:
        fails(
            f"+ {op}({parameter} with a 0)",
            V,
            [parameter, number(0), POSITIVE],
            op,
            *args,
            **{parameter: (1,) * (rank - 1) + (0,)},
        )
for op, args in (("conv2d", (X2, K2)), ("conv_transpose2d", (X2, K2)), ("pool2d", (X2, 3))):
    for padding in (((1,), (1,)), ((1, 1, 1), (1, 1, 1)), ((1, 1),), ((1, 1),) * 3, ((), ())):
        fails(f"+ {op}(padding={padding})", V, ["padding"], op, *args, padding=padding)
    for padding in (
        ((1, 1), (1, 1.5)),
        ((1, True), (1, 1)),
        ((1, 1), ("1", 1)),
        ((1, None), (1, 1)),
        ("same", "same"),
    ):
        fails(f"+ {op}(padding={padding})", T, ["padding", INTEGER], op, *args, padding=padding)
    fails(f"+ {op}(padding=((2**63, 0), (0, 0)))", (V, M), ["padding"], op, *args, padding=((2**63, 0), (0, 0)))

for convert in (np.int8, np.uint8, np.int32, np.int64, np.uint64):
    for op, args, parameter, _ in INTEGERS:
        if parameter in ("groups", "output_padding"):
            continue
        rank = int(op[-2])
        plain = {parameter: 2} if parameter != "dilation" else {parameter: 1}
        typed = {key: convert(value) for key, value in plain.items()}
        expected = lambda y, op=op, args=args, plain=plain: same(y, getattr(cx, op)(*args, **plain))  # noqa: E731
        works(f"+ {op}({parameter}={convert.__name__})", expected, op, *args, **typed)
        listed = {key: [convert(value)] * rank for key, value in plain.items()}
        works(f"+ {op}({parameter}=[{convert.__name__}])", expected, op, *args, **listed)

# Arguments that are fine alone and wrong together.
fails(
    "+ output_padding=1 of stride 1",
    V,
    ["output_padding", number(1)],
    "conv_transpose2d",
    X,
    K,
    output_padding=1,
)
fails(
    "+ output_padding=2 of stride 2",
    V,
    ["output_padding", number(2)],
    "conv_transpose2d",
    X,
    K,
    stride=2,
    output_padding=2,
)
works(
    "+ output_padding=1 of dilation 2",
    lambda y: same(y.shape, (1, 13, 13, 1)),
    "conv_transpose2d",
    X,
    K,
    dilation=2,
    output_padding=1,
)
fails("+ return_indices of an average", V, ["return_indices", "avg"], "pool2d", X, 2, "avg", return_indices=True)
fails(
    "+ return_indices of a median",
    V,
    ["return_indices", "median"],
    "pool2d",
    X,
    2,
    "median",
    return_indices=True,
)
fails(
    "+ return_indices into zeros",
    V,
    ["return_indices", "padding_mode|zeros"],
    "pool2d",
    X,
    2,
    padding=1,
    padding_mode="zeros",
    return_indices=True,
)
for flag in ("ceil_mode", "return_indices"):
    for value in ("yes", None, 2, 1.0, []):
        fails(f"+ {flag}={value!r}", T, [flag, "bool|True or False"], "pool2d", X, 2, **{flag: value})
    works(f"+ {flag}=np.True_", lambda y: None, "pool2d", X, 2, **{flag: np.True_})
for value in ("yes", None, 2):
    fails(f"+ keepdims={value!r}", T, ["keepdims", "bool|True or False"], "global_pool", X, keepdims=value)
    fails(
        f"+ count_include_pad={value!r}",
        T,
        ["count_include_pad", "bool|True or False"],
        "pool2d",
        X,
        2,
        "avg",
        count_include_pad=value,
    )
fails("+ bias with text", T, ["bias"], "conv2d", X, K, "bias")
fails("+ bias a list of text", T, ["bias"], "conv2d", X, K, ["a"])
works("+ bias a list", lambda y: same(y, cx.conv2d(X, K, np.float64([3]))), "conv2d", X, K, [3.0])
works("+ no N", lambda y: same(y, cx.conv2d(X, K)[0]), "conv2d", X[0], K)
works("+ groups=np.int64(1)", lambda y: same(y, cx.conv2d(X, K)), "conv2d", X, K, groups=np.int64(1))
fails(
    "+ prepared filters of the other layout",
    V,
    ["layout|channel"],
    lambda: cx.conv2d(X, cx.prepare(fresh(1, 1, 3, 3), layout="channels_first")),
)
fails("+ prepared filters of another rank", V, ["filters"], lambda: cx.conv2d(X, cx.prepare(K1)))
either("+ prepared filters for x", anything, (T, V), [r"\bx\b"], lambda: cx.conv2d(cx.prepare(K), K))
fails("+ prepared filters for a bias", (T, V), ["bias"], lambda: cx.conv2d(X, K, cx.prepare(K)))
works("+ prepared filters", lambda y: same(y, cx.conv2d(X, K, BIAS)), lambda: cx.conv2d(X, cx.prepare(K), BIAS))
