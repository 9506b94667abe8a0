"""Cases 57 to 63: the registries, and plugins that do not keep their promise."""

import contextlib

import numpy as np

import pyconvx as cx

from .table import K, T, V, X, correlate, fails, number, same, word, works

# What to register in each registry, how to use it by name, and what to use it on.
SOUND = {
    "paddings": lambda i, n: np.clip(i, 0, n - 1),
    "activations": lambda x: x * 2,
    "poolings": lambda w: w.max(-1),
    "filters": lambda: np.ones((3, 3), np.float32),
}
USES = {
    "paddings": (
        lambda name: cx.conv2d(X, K, padding=2, padding_mode=name),
        lambda name: cx.conv_transpose2d(X, K, padding=2, padding_mode=name),
        lambda name: cx.pool2d(X, 3, "avg", stride=1, padding=1, padding_mode=name),
        lambda name: cx.pad(X, 2, name),
    ),
    "activations": (
        lambda name: cx.conv2d(X, K, activation=name),
        lambda name: cx.conv_transpose2d(X, K, activation=name),
        lambda name: cx.activate(X, name),
    ),
    "poolings": (
        lambda name: cx.pool2d(X, 2, name),
        lambda name: cx.pool2d(X, 3, name, padding=1, ceil_mode=True),
        lambda name: cx.adaptive_pool2d(X, 3, name),
        lambda name: cx.global_pool(X, name),
    ),
}
REGISTRIES = tuple(SOUND)


def register(registry, *args, **options):
    return getattr(cx, registry).register(*args, **options)


for registry in REGISTRIES:
    sound = SOUND[registry]
    for name in ("", " ", "a b", "1up", "a.", ".a", "a..b", "a-b", "a\n", "a:"):
        fails(
            f"57 {registry} name {name!r}",
            V,
            ["name", "identifier|empty|letters"],
            register,
            registry,
            name,
            sound,
        )
    for name in (123, None, b"a", ("a",), True, 1.5):
        fails(f"57 {registry} name {name!r}", T, ["name", word(str(name))], register, registry, name, sound)
    fails(f"57 {registry} alias ''", V, [], register, registry, "test_a", sound, aliases=("",))
    fails(
        f"57 {registry} alias 3",
        T,
        ["alias|name", number(3)],
        register,
        registry,
        "test_a",
        sound,
        aliases=(3,),
    )
    fails(
        f"57 {registry} aliases a text",
        (T, V),
        ["alias"],
        register,
        registry,
        "test_a",
        sound,
        aliases="mirrored",
    )
    fails(f"57 {registry} aliases=3", T, ["alias"], register, registry, "test_a", sound, aliases=3)
    fails(
        f"57 {registry} an unknown field",
        T,
        ["no_such_field"],
        register,
        registry,
        "test_a",
        sound,
        no_such_field=1,
    )
    fails(f"57 {registry} without a name", T, [], register, registry)
    for function in (3, "max", [], True):
        fails(
            f"59 {registry} of {function!r}",
            T,
            ["callable|function", word(str(function))],
            register,
            registry,
            "test_a",
            function,
        )
        fails(
            f"59 {registry} decorating {function!r}",
            T,
            ["callable|function"],
            lambda registry=registry, function=function: register(registry, "test_a")(function),
        )


def nothing_left(registry, *args, **options):
    """A registration that fails leaves the registry as it was."""
    names, aliases = getattr(cx, registry).names(), dict(getattr(cx, registry).aliases())
    try:
        register(registry, *args, **options)
    finally:
        assert getattr(cx, registry).names() == names
        assert dict(getattr(cx, registry).aliases()) == aliases


EXISTING = {"paddings": "reflect", "activations": "relu", "poolings": "max", "filters": "sharpen"}
for registry, name in EXISTING.items():
    sound = SOUND[registry]
    fails(f"58 {registry} duplicate", V, [name, r"pyconvx"], nothing_left, registry, name, sound)
    fails(
        f"58 {registry} alias that exists",
        V,
        [name, "pyconvx"],
        nothing_left,
        registry,
        "test_b",
        sound,
        aliases=(name,),
    )
    fails(
        f"58 {registry} second alias that exists",
        V,
        [name, "pyconvx"],
        nothing_left,
        registry,
        "test_b",
        sound,
        aliases=("test_c", name),
    )


def owner_named(registry):
    with getattr(cx, registry).temporarily("test_d", SOUND[registry]):
        register(registry, "test_d", SOUND[registry])


def replaced(registry):
    """replace=True takes the name over, and the old plugin comes back unharmed."""
    mapping, name = getattr(cx, registry), EXISTING[registry]
    before = mapping[name]
    with mapping.temporarily(name, SOUND[registry]) as plugin:
        assert mapping[name] is plugin
        register(registry, name, SOUND[registry], replace=True)
        assert mapping[name] is not plugin
        assert mapping[name] is not before
    assert mapping[name] is before


for registry in REGISTRIES:
    fails(f"58 {registry} duplicate of a user's", V, ["test_d", r"bad_inputs\.plugins"], owner_named, registry)
    works(f"58 {registry} replace=True", lambda _: None, replaced, registry)

NOTE = "test:broken"


class Own(Exception):
    """A plugin's own exception."""


def expect_own(call):
    """The call raises the plugin's own exception, with a note naming the plugin."""
    try:
        call()
    except Own as caught:
        notes = getattr(caught, "__notes__", [])
    else:
        raise RuntimeError("the exception did not arrive")
    assert any(NOTE in note for note in notes), f"no note names the plugin: {notes}"


def noted(registry, function, use):
    """The exception raised in the plugin arrives as itself, with a note naming the plugin."""
    with getattr(cx, registry).temporarily(NOTE, function):
        expect_own(lambda: use(NOTE))


def raising(*args):
    raise Own("on purpose")


for registry, uses in USES.items():
    for position, use in enumerate(uses):
        works(f"60 {registry} plugin raises, use {position}", lambda _: None, noted, registry, raising, use)


works(
    "60 filters plugin raises",
    lambda _: None,
    noted,
    "filters",
    raising,
    lambda name: cx.filters[name](),
)


def raising_backward(registry, function, fields, operation):
    with getattr(cx, registry).temporarily(NOTE, function, **fields):
        y, pullback = operation()
        expect_own(lambda: pullback(np.ones_like(y)))


works(
    "60 a derivative raises",
    lambda _: None,
    raising_backward,
    "activations",
    SOUND["activations"],
    {"derivative": raising},
    lambda: cx.vjp(cx.activate, X, NOTE),
)
works(
    "60 a derivative raises in a convolution",
    lambda _: None,
    raising_backward,
    "activations",
    SOUND["activations"],
    {"derivative": raising},
    lambda: cx.vjp(cx.conv2d, X, K, activation=NOTE),
)
works(
    "60 a pooling's gradient raises",
    lambda _: None,
    raising_backward,
    "poolings",
    SOUND["poolings"],
    {"gradient": raising},
    lambda: cx.vjp(cx.pool2d, X, 2, NOTE),
)


def interrupt(*args):
    raise KeyboardInterrupt


def used(registry, function, use, **fields):
    with getattr(cx, registry).temporarily(NOTE, function, **fields):
        return use(NOTE)


for registry, uses in USES.items():
    fails(f"60 {registry} plugin is interrupted", KeyboardInterrupt, [], used, registry, interrupt, uses[0])

BROKEN = {
    "paddings": {
        "None": lambda i, n: None,
        "text": lambda i, n: "reflect",
        "floats": lambda i, n: np.clip(i, 0, n - 1).astype(float),
        "booleans": lambda i, n: i > 0,
        "objects": lambda i, n: np.clip(i, 0, n - 1).astype(object),
        "one too few": lambda i, n: np.clip(i, 0, n - 1)[1:],
        "a scalar": lambda i, n: 0,
        "another rank": lambda i, n: np.clip(i, 0, n - 1)[:, None],
        "weights of a wrong shape": lambda i, n: (np.clip(i, 0, n - 1), np.ones(len(i) + 1)),
        "weights NaN": lambda i, n: (np.clip(i, 0, n - 1), np.where((i < 0) | (i >= n), np.nan, 1)),
        "weights infinite": lambda i, n: (np.clip(i, 0, n - 1), np.where((i < 0) | (i >= n), np.inf, 1)),
        "weights None": lambda i, n: (np.clip(i, 0, n - 1), None),
        "weights of text": lambda i, n: (np.clip(i, 0, n - 1), np.full(np.shape(i), "a")),
        "three things": lambda i, n: (np.clip(i, 0, n - 1), np.ones(len(i)), 3),
    },
    "activations": {
        "None": lambda x: None,
        "text": lambda x: "relu",
        "a scalar": lambda x: np.float32(1),
        "one too few": lambda x: x.ravel()[1:],
        "another rank": lambda x: x[None],
        "complex": lambda x: x.astype(complex),
        "objects": lambda x: x.astype(object),
        "integers": lambda x: x.astype(int),
        "float64 for float32": lambda x: x.astype(np.float64),
    },
    "filters": {
        "None": lambda: None,
        "text": lambda: "sobel",
        "a scalar": lambda: 1.0,
        "a vector": lambda: np.ones(3),
        "another rank": lambda: np.ones((3, 3, 1)),
        "nothing": lambda: np.ones((0, 3)),
        "complex": lambda: np.full((3, 3), 1j),
        "rows of different lengths": lambda: [[1], [1, 2]],
    },
    "poolings": {
        "None": lambda w: None,
        "text": lambda w: "max",
        "a scalar": lambda w: np.float32(1),
        "the windows": lambda w: w,
        "kept dimensions": lambda w: w.max(-1, keepdims=True),
        "complex": lambda w: w.max(-1).astype(complex),
        "objects": lambda w: w.max(-1).astype(object),
        "float64 for float32": lambda w: w.max(-1).astype(np.float64),
    },
}
for registry, functions in BROKEN.items():
    for what, function in functions.items():
        for position, use in enumerate(USES.get(registry, (lambda name: cx.filters[name](),))):
            fails(
                f"61 {registry} plugin returns {what}, use {position}",
                V,
                [NOTE],
                used,
                registry,
                function,
                use,
            )


def backward(operation, registry, function, **fields):
    with getattr(cx, registry).temporarily(NOTE, function, **fields):
        y, pullback = operation()
        return pullback(np.ones_like(y))


for what, derivative in (
    ("None", lambda x, y: None),
    ("a shape", lambda x, y: x[..., 1:]),
    ("complex", lambda x, y: x.astype(complex)),
    ("float64", lambda x, y: x.astype(np.float64)),
):
    for operation in (lambda: cx.vjp(cx.activate, X, NOTE), lambda: cx.vjp(cx.conv2d, X, K, activation=NOTE)):
        where = "alone" if "activate" in operation.__code__.co_names else "in a convolution"
        fails(
            f"61 a derivative returns {what}, {where}",
            V,
            [NOTE, "derivative"],
            backward,
            operation,
            "activations",
            SOUND["activations"],
            derivative=derivative,
        )
for what, gradient in (
    ("None", lambda w, y: None),
    ("a shape", lambda w, y: y),
    ("complex", lambda w, y: w.astype(complex)),
    ("float64", lambda w, y: w.astype(np.float64)),
):
    fails(
        f"61 a pooling's gradient returns {what}",
        V,
        [NOTE, "gradient"],
        backward,
        lambda: cx.vjp(cx.pool2d, X, 2, NOTE),
        "poolings",
        SOUND["poolings"],
        gradient=gradient,
    )


def vandal(x):
    with contextlib.suppress(ValueError):  # a read-only block refuses
        x[...] = 99
    return x * 1


def vandalised():
    x = X.copy()
    used("activations", vandal, lambda name: cx.activate(x, name))
    same(x, X)
    used("poolings", lambda w: vandal(w).max(-1), lambda name: cx.pool2d(x, 1, name))
    same(x, X)


works("61 a plugin that writes into its argument leaves x alone", lambda _: None, vandalised)


def nested(x):
    inner = cx.conv2d(X, K, activation="relu")
    same(inner, np.maximum(correlate(X, K), 0))
    return x * 2


def removes_itself(registry, result):
    def function(*args):
        getattr(cx, registry).unregister("test_own")
        return SOUND[registry](*args)

    register(registry, "test_own", function)
    y = result()
    assert "test_own" not in getattr(cx, registry)
    return y


works(
    "62 an activation calls conv2d",
    2 * correlate(X, K),
    used,
    "activations",
    nested,
    lambda name: cx.conv2d(X, K, activation=name),
)
works(
    "62 a pooling calls conv2d",
    lambda y: same(y, cx.pool2d(X, 2)),
    used,
    "poolings",
    lambda w: nested(w).max(-1) / 2,
    lambda name: cx.pool2d(X, 2, name),
)
works(
    "62 a padding calls conv2d",
    lambda y: same(y, cx.pad(X, 2, "edge")),
    used,
    "paddings",
    lambda i, n: nested(np.clip(i, 0, n - 1)) // 2,
    lambda name: cx.pad(X, 2, name),
)
works(
    "62 an activation calls itself by name",
    lambda y: same(y, X),
    used,
    "activations",
    lambda x: x if x.size < 9 else np.concatenate([cx.activate(x.ravel()[:8], NOTE), x.ravel()[8:]]).reshape(x.shape),
    lambda name: cx.activate(X, name),
)
works(
    "62 an activation unregisters itself",
    2 * correlate(X, K),
    removes_itself,
    "activations",
    lambda: cx.conv2d(X, K, activation="test_own"),
)
works(
    "62 a pooling unregisters itself",
    lambda y: same(y, cx.pool2d(X, 2)),
    removes_itself,
    "poolings",
    lambda: cx.pool2d(X, 2, "test_own"),
)


def padding_removes_itself():
    def function(i, n):
        if "test_own" in cx.paddings:
            cx.paddings.unregister("test_own")
        return SOUND["paddings"](i, n)

    cx.paddings.register("test_own", function)
    return cx.pad(X, 2, "test_own")


works("62 a padding unregisters itself", lambda y: same(y, cx.pad(X, 2, "edge")), padding_removes_itself)

for what, rule in (
    ("n", lambda i, n: np.where(i >= n, n, np.maximum(i, 0))),
    ("-1", lambda i, n: np.where((i < 0) | (i >= n), -1, i)),
    ("the coordinate itself", lambda i, n: i),
    ("2**62", lambda i, n: np.where(i < 0, 2**62, np.minimum(i, n - 1))),
    ("OUTSIDE + 1", lambda i, n: np.where(i < 0, cx.OUTSIDE + 1, np.minimum(i, n - 1))),
    ("a changed interior", lambda i, n: np.full_like(i, 0)),
    ("an interior outside", lambda i, n: np.full_like(i, cx.OUTSIDE)),
    ("an interior of weight 2", lambda i, n: (np.clip(i, 0, n - 1), np.full(np.shape(i), 2.0))),
):
    for position, use in enumerate(USES["paddings"]):
        fails(f"63 an index map gives {what}, use {position}", V, [NOTE], used, "paddings", rule, use)
