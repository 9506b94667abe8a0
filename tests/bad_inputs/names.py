"""Case 57, the other half: names that no registry has, and things that are no names."""

import numpy as np

import pyconvx as cx

from .plugins import SOUND
from .table import K, T, V, X, either, fails, same, word, works

# Names that are not there.
for registry, name in (
    ("paddings", "reflekt"),
    ("activations", "rellu"),
    ("poolings", "maxx"),
    ("filters", "sobel_z"),
):
    known = {"reflekt": "reflect", "rellu": "relu", "maxx": "max", "sobel_z": "sobel_x|sobel_y"}[name]
    fails(
        f"57 {registry}[{name!r}]",
        KeyError,
        [word(name), known],
        lambda r=registry, n=name: getattr(cx, r)[n],
    )
    fails(
        f"57 {registry}[{name!r}] is a ValueError too",
        V,
        [word(name), known],
        lambda r=registry, n=name: getattr(cx, r)[n],
    )
    fails(
        f"57 {registry}.unregister({name!r})",
        KeyError,
        [word(name)],
        lambda r=registry, n=name: getattr(cx, r).unregister(n),
    )
    works(
        f"57 {name!r} in {registry}",
        lambda found: same(found, False),
        lambda r=registry, n=name: n in getattr(cx, r),
    )
    for key in (3, None, ("max",), True):
        works(
            f"57 {key!r} in {registry}",
            lambda found: same(found, False),
            lambda r=registry, k=key: k in getattr(cx, r),
        )
        fails(f"57 {registry}[{key!r}]", (KeyError, T), [], lambda r=registry, k=key: getattr(cx, r)[k])
    either(
        f"57 [] in {registry}",
        lambda found: same(found, False),
        T,
        [],
        lambda r=registry: [] in getattr(cx, r),
    )
    fails(
        f"57 {registry} is read-only",
        (T, AttributeError),
        [],
        lambda r=registry: getattr(cx, r).__setitem__("test_a", SOUND[r]),
    )
fails("57 pool kind 'maxx'", V, ["pooling", "maxx", word("max")], "pool2d", X, 2, "maxx")
fails("57 activation 'rellu'", V, ["activation", "rellu", word("relu")], "conv2d", X, K, activation="rellu")
fails("57 activation 'rellu' alone", V, ["activation", "rellu", word("relu")], "activate", X, "rellu")
fails("57 a name in another case", V, ["activation", "ReLU", word("relu")], "activate", X, "ReLU")
for value in (3, 1.5, True, ["relu"], np.tanh, b"relu"):
    what = "tanh" if value is np.tanh else repr(value)
    fails(f"57 activation={what}", T, ["activation"], "conv2d", X, K, activation=value)
    fails(f"57 activate with {what}", T, ["activation"], "activate", X, value)
    fails(f"57 pool kind {what}", T, ["kind|pooling"], "pool2d", X, 2, value)
fails("57 activate with None", T, ["activation"], "activate", X, None)
fails("57 pool kind None", T, ["kind|pooling"], "pool2d", X, 2, None)
fails("57 a pooling for an activation", (T, V), ["activation"], lambda: cx.activate(X, cx.pooling("max")))
fails("57 an activation for a padding", (T, V), ["padding"], lambda: cx.pad(X, 1, cx.activation("relu")))
