"""A small network learns to read digits: 1,797 pictures of 8 x 8 pixels, which come with scikit-learn.

Needs scikit-learn, which `pip install "pyconvx[train]"` brings.
"""

import sys

import numpy as np

from pyconvx import nn

try:
    from sklearn.datasets import load_digits
except ImportError:
    sys.exit('this example needs scikit-learn: pip install "pyconvx[train]"')

digits = load_digits()
order = np.random.default_rng(0).permutation(len(digits.target))
x = (digits.images[order, :, :, None] / 16).astype(np.float32)  # (N, 8, 8, 1)
labels = digits.target[order]
seen, held_out = slice(0, 1437), slice(1437, None)

net = nn.Sequential(
    nn.Conv2D(32, 3, padding="same", activation="relu"),
    nn.Conv2D(32, 3, padding="same", activation="relu"),
    nn.MaxPool2D(2),
    nn.Dropout(0.25),
    nn.Flatten(),
    nn.Dense(64, activation="relu"),
    nn.Dropout(0.5),
    nn.Dense(10),
)
print(net.summary((8, 8, 1)))
history = nn.fit(
    net,
    x[seen],
    labels[seen],
    epochs=15,
    batch_size=64,
    optimizer=nn.Adam(0.004),
    schedule="one_cycle",
    callbacks=[lambda history, net: print(history.line())],
)

_, accuracy = nn.evaluate(net, x[held_out], labels[held_out])
assert accuracy is not None
print(f"held out: {accuracy:.1%} of {len(labels) - 1437} digits are read")
assert accuracy >= 0.985
