"""Every activation that PyTorch has."""

import numpy as np
import pytest

import pyconvx as cx

from .bounds import Worst, pull, torch

F = torch.nn.functional


def elementwise(f, **options):
    return lambda x: f(x, **options)


# name: (parameters, PyTorch's function) pairs.
ACTIVATIONS = {
    "identity": [({}, lambda x: x * 1)],
    "relu": [({}, F.relu)],
    "relu6": [({}, F.relu6)],
    "leaky_relu": [({}, F.leaky_relu), ({"alpha": 0.3}, elementwise(F.leaky_relu, negative_slope=0.3))],
    "prelu": [
        ({}, lambda x: F.prelu(x, torch.tensor([0.25], dtype=x.dtype))),
        ({"alpha": np.linspace(-1, 1, 6)}, lambda x: F.prelu(x, torch.linspace(-1, 1, 6, dtype=x.dtype))),
    ],
    "elu": [({}, F.elu), ({"alpha": 0.5}, elementwise(F.elu, alpha=0.5))],
    "selu": [({}, F.selu)],
    "celu": [({}, F.celu), ({"alpha": 2.0}, elementwise(F.celu, alpha=2.0))],
    "gelu": [({}, F.gelu)],
    "gelu_tanh": [({}, elementwise(F.gelu, approximate="tanh"))],
    "silu": [({}, F.silu)],
    "mish": [({}, F.mish)],
    "softplus": [
        ({}, F.softplus),
        ({"beta": 2.0, "threshold": 5.0}, elementwise(F.softplus, beta=2.0, threshold=5.0)),
    ],
    "softsign": [({}, F.softsign)],
    "sigmoid": [({}, torch.sigmoid)],
    "log_sigmoid": [({}, F.logsigmoid)],
    "hard_sigmoid": [({}, lambda x: F.relu6(x + 3) / 6)],  # its own has the float32 of 1/6 in float64
    "hard_swish": [({}, F.hardswish)],
    "hard_tanh": [
        ({}, F.hardtanh),
        ({"min": -0.5, "max": 2.0}, elementwise(F.hardtanh, min_val=-0.5, max_val=2.0)),
    ],
    "tanh": [({}, torch.tanh)],
    "tanh_shrink": [({}, F.tanhshrink)],
    "soft_shrink": [({}, F.softshrink), ({"threshold": 1.0}, elementwise(F.softshrink, lambd=1.0))],
    "hard_shrink": [({}, F.hardshrink), ({"threshold": 1.0}, elementwise(F.hardshrink, lambd=1.0))],
    "threshold": [({"threshold": 0.5, "value": -2.0}, elementwise(F.threshold, threshold=0.5, value=-2.0))],
    "softmax": [({}, elementwise(F.softmax, dim=-1))],
    "log_softmax": [({}, elementwise(F.log_softmax, dim=-1))],
    "glu": [({}, elementwise(F.glu, dim=-1))],
}
KINKS = [
    -30.0,
    -20.0,
    -6.0,
    -3.0,
    -1.0,
    -0.5,
    -0.0,
    0.0,
    0.5,
    1.0,
    2.0,
    3.0,
    6.0,
    20.0,
    21.0,
    30.0,
    88.0,
    -88.0,
    700.0,
    -700.0,
]


def test_every_activation_is_compared():
    assert set(ACTIVATIONS) == {name for name in cx.activations if cx.activations[name].owner.startswith("pyconvx")}


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activation(name, dtype):
    """Value and gradient, at random points and where a formula changes or overflows.

    A formula is a handful of operations whose operands are no larger than 1, |x|, |y| (the value) or
    1, |x|, |dy/dx| (the gradient), each rounded: 16 roundings of the largest. A row
    (softmax) adds its 6 elements.
    """
    worst, rng = Worst(), np.random.default_rng(4)
    x = np.concatenate([rng.standard_normal(600) * 2, rng.standard_normal(300) * 20, np.resize(KINKS, 60)])
    x = x.astype(dtype).reshape(-1, 6)
    for params, function in ACTIVATIONS[name]:
        rows = {"softmax", "log_softmax", "glu"} & {name}
        gy = rng.standard_normal((len(x), 3 if name == "glu" else 6)).astype(dtype)
        y, pullback = cx.vjp(cx.activate, x, name, **params)
        (gx,) = pullback(gy)
        want_y, want_gx = pull(function, [x], gy)
        largest = np.maximum(1, np.abs(x))
        if rows:
            largest = largest.max(-1, keepdims=True)
            scale_gx = largest * np.maximum(1, np.abs(gy).sum(-1, keepdims=True))
        else:
            scale_gx = np.maximum(np.abs(want_gx), largest * np.abs(gy))
        terms = 16 + (6 if rows else 0)
        worst.check(f"{name} {params}", y, want_y, np.maximum(np.abs(want_y), largest), terms)
        worst.check(f"gradient of {name} {params}", gx, want_gx, scale_gx, terms)
    print(f"\n{name} {np.dtype(dtype)}: worst error {worst.ratio:.3f} of its bound")
