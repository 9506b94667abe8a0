"""Weights learned by backpropagation: gradient descent finds the Sobel filter from pictures and their edges."""

import numpy as np

import pyconvx as cx

random = np.random.default_rng(0)
x = random.normal(size=(4, 24, 24, 1))  # four pictures of noise, which hold every pattern
target = cx.conv2d(x, cx.filters["sobel_x"].as_filters())  # what the layer should answer

filters = np.zeros((1, 3, 3, 1))
bias = np.zeros(1)
rate = 0.1
for step in range(61):
    y, pullback = cx.vjp(cx.conv2d, x, filters, bias)
    error = y - target
    loss = np.mean(error**2)
    gx, gfilters, gbias = pullback(2 * error / error.size)  # the gradient of the loss with respect to y goes in
    filters -= rate * gfilters
    bias -= rate * gbias
    if step % 20 == 0:
        print(f"step {step:2}  loss {loss:.2e}")

print(np.round(filters[0, :, :, 0], 3) + 0.0)
assert np.allclose(filters[0, :, :, 0], cx.filters["sobel_x"](), atol=1e-3)
