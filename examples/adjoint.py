"""Transposed convolution is the exact adjoint of convolution: <conv(x), g> = <x, conv_transpose(g)>."""

import numpy as np

import pyconvx as cx

random = np.random.default_rng(0)
x = random.normal(size=(2, 9, 9, 3))
filters = random.normal(size=(8, 3, 3, 3))

y = cx.conv2d(x, filters, stride=2, padding=1)
g = random.normal(size=y.shape)
back = cx.conv_transpose2d(g, filters, stride=2, padding=1)  # the same filters: 8 channels in, 3 out

print("down", x.shape, "->", y.shape, "  up", g.shape, "->", back.shape)
print(f"<conv(x), g> = {np.vdot(y, g):.10f}")
print(f"<x, conv_transpose(g)> = {np.vdot(x, back):.10f}")
assert np.isclose(np.vdot(y, g), np.vdot(x, back))

# The gradient of a convolution with respect to x is the same thing.
_, pullback = cx.vjp(cx.conv2d, x, filters, stride=2, padding=1)
assert np.allclose(pullback(g)[0], back)
