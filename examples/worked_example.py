"""The worked example of every tutorial: a 32x32x3 image, six 5x5x3 filters, "same" padding, ReLU, pooling."""

import numpy as np

import pyconvx as cx

random = np.random.default_rng(0)
image = random.random((32, 32, 3), dtype=np.float32)
filters = random.normal(size=(6, 5, 5, 3)).astype(np.float32)  # six filters that see all three channels
bias = np.zeros(6, dtype=np.float32)

maps = cx.conv2d(image, filters, bias, padding="same", activation="relu")
print("feature maps:", maps.shape)  # (32, 32, 6)

for kind in ("max", "avg"):
    print(f"{kind} pooling:", cx.pool2d(maps, 2, kind).shape)  # (16, 16, 6)

print("parameters:", filters.size + bias.size)  # 456
print("a dense layer:", image.size * maps.size + maps.size)  # 18880512

# One number by hand: 75 products around row 10, column 20, for filter 3.
by_hand = np.sum(image[8:13, 18:23] * filters[3]) + bias[3]
assert np.isclose(maps[10, 20, 3], max(by_hand, 0), atol=1e-4)
