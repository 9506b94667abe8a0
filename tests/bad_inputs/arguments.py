"""Beyond the list: parameters of the built-in plugins, and of what binds them."""

import numpy as np

import pyconvx as cx

from .table import T, V, X, anything, either, fails, same, word, works

NAN, INF = float("nan"), float("inf")
# Values outside a parameter's domain: (registry's use, name, parameter, values).
POOLINGS = [
    ("lp", "p", (0, -1.0, NAN)),
    ("percentile", "q", (-1, 100.5, NAN, INF)),
    ("logsumexp", "temperature", (0, 0.0, -1, NAN)),
    ("softmax", "temperature", (0, NAN)),
    ("mixed", "alpha", (NAN,)),
]
ACTIVATIONS = [
    ("leaky_relu", "alpha", (NAN,)),
    ("elu", "alpha", (NAN,)),
    ("celu", "alpha", (0, NAN)),
    ("softplus", "beta", (0, NAN)),
    ("softplus", "threshold", (NAN,)),
    ("soft_shrink", "threshold", (-1, NAN)),
    ("hard_shrink", "threshold", (NAN,)),
]
for name, parameter, values in POOLINGS:
    for value in values:
        for use in (
            lambda o, name=name: cx.pool2d(X, 2, name, **o),
            lambda o, name=name: cx.adaptive_pool2d(X, 2, name, **o),
            lambda o, name=name: cx.global_pool(X, name, **o),
        ):
            where = next(op for op in ("adaptive_pool2d", "global_pool", "pool2d") if op in use.__code__.co_names)
            fails(
                f"+ {where}, {name} {parameter}={value}",
                V,
                [word(parameter), str(value)],
                use,
                {parameter: value},
            )
    for value in ("2", None, [], 1j, object):
        what = "a class" if value is object else repr(value)
        fails(f"+ {name} {parameter}={what}", T, [word(parameter)], "pool2d", X, 2, name, **{parameter: value})
for name, parameter, values in ACTIVATIONS:
    for value in values:
        fails(
            f"+ {name} {parameter}={value}",
            V,
            [word(parameter), str(value)],
            "activate",
            X,
            name,
            **{parameter: value},
        )
    for value in ("2", None, 1j, object):
        what = "a class" if value is object else repr(value)
        fails(f"+ {name} {parameter}={what}", T, [word(parameter)], "activate", X, name, **{parameter: value})
fails("+ hard_tanh min above max", V, ["min", "max"], "activate", X, "hard_tanh", min=1, max=-1)
fails("+ prelu alpha of a wrong length", V, ["alpha"], "activate", X, "prelu", alpha=np.ones(3, np.float32))
fails("+ prelu alpha text", T, ["alpha"], "activate", X, "prelu", alpha="a")
fails("+ prelu alpha complex", T, ["alpha"], "activate", X, "prelu", alpha=np.ones(1, complex))
fails("+ glu of an odd row", V, ["glu", "even|odd|2"], "activate", X, "glu")
fails("+ stochastic seed=1.5", T, ["seed"], "pool2d", X, 2, "stochastic", seed=1.5)
fails("+ stochastic seed='a'", T, ["seed"], "pool2d", X, 2, "stochastic", seed="a")
fails("+ stochastic seed=None", T, ["seed"], "pool2d", X, 2, "stochastic", seed=None)
either("+ stochastic seed=-1", anything, V, ["seed"], "pool2d", X, 2, "stochastic", seed=-1)
either("+ stochastic seed=2**70", anything, V, ["seed"], "pool2d", X, 2, "stochastic", seed=2**70)
works(
    "+ stochastic seed=np.int64",
    lambda y: same(y, cx.pool2d(X, 2, "stochastic", seed=3)),
    "pool2d",
    X,
    2,
    "stochastic",
    seed=np.int64(3),
)

# Binding: `cx.activation` and its like.
BINDERS = {
    "activation": ("leaky_relu", "alpha"),
    "padding": ("constant", "value"),
    "pooling": ("percentile", "q"),
}
for binder, (name, parameter) in BINDERS.items():
    fails(
        f"+ {binder}({name}, {parameter}s=1)",
        T,
        [parameter + "s", word(parameter), name],
        binder,
        name,
        **{parameter + "s": 1},
    )
    fails(f"+ {binder}('nope')", V, ["nope", name], binder, "nope")
    fails(f"+ {binder}() without a name", T, [], binder)
    for value in (3, None, np.sin, ["relu"], True):
        what = "np.sin" if value is np.sin else repr(value)
        fails(f"+ {binder}({what})", T, [binder], binder, value)
    works(
        f"+ {binder} of a bound one",
        anything,
        lambda b=binder, n=name, p=parameter: same(
            np.array(getattr(cx, b)(getattr(cx, b)(n, **{p: 1})).params[p]), np.array(1)
        ),
    )


def required():
    with cx.activations.temporarily("test:slope", lambda x, slope: x * slope):
        return cx.activate(X, "test:slope")


fails("+ a required parameter that is missing", T, ["test:slope", r"\bslope\b"], required)


def changed_params():
    bound = cx.activation("leaky_relu", alpha=0.5)
    bound.params["alpha"] = 2


fails("+ parameters of a bound plugin are read-only", (T, AttributeError), [], changed_params)
works(
    "+ a bound activation",
    np.where(X > 0, X, X * np.float32(0.5)),
    lambda: cx.activate(X, cx.activation("leaky_relu", alpha=0.5)),
)
works(
    "+ a bound pooling",
    lambda y: same(y, cx.pool2d(X, 2, "percentile", q=25)),
    lambda: cx.pool2d(X, 2, cx.pooling("percentile", q=25)),
)
