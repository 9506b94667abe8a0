"""A network of two convolutions learns to tell ten kinds of clothes: 70,000 pictures of 28 x 28 pixels.

Run it with the folder that holds the four idx files of Fashion-MNIST; Debian's package dataset-fashion-mnist puts them
into /usr/share/datasets/fashion-mnist. It takes some minutes, writes fashion_mnist.npz, and with matplotlib its curves
and its confusion matrix, fashion_mnist.png.
"""

import argparse
from pathlib import Path

import numpy as np

import pyconvx as cx
from pyconvx import nn

CLASSES = ("T-shirt", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "ankle boot")
GOAL = 0.92

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("folder", nargs="?", type=Path)
parser.add_argument("--epochs", type=int, default=14)
parser.add_argument("--output", type=Path, default=Path("fashion_mnist.npz"))
options = parser.parse_args()

if options.folder is None:
    print("name the folder with the files of Fashion-MNIST, as /usr/share/datasets/fashion-mnist")
    raise SystemExit

(x, y), (x_test, y_test) = nn.load_idx(options.folder)
mean, spread = x.mean(), x.std()
x, x_test = (x - mean) / spread, (x_test - mean) / spread

net = cx.Sequential(
    cx.Conv2D(32, 3, padding="same", bias=False),
    cx.BatchNorm(),
    cx.Activation("relu"),
    cx.MaxPool2D(2),
    cx.Conv2D(64, 3, padding="same", bias=False),
    cx.BatchNorm(),
    cx.Activation("relu"),
    cx.MaxPool2D(2),
    cx.Dropout(0.3),
    cx.Flatten(),
    cx.Dense(24, activation="relu"),
    cx.Dense(10),
)
summary = net.summary(x.shape[1:])
print(summary)
assert summary.parameters < 100_000

history = nn.fit(
    net,
    x,
    y,
    epochs=options.epochs,
    batch_size=128,
    optimizer=nn.AdamW(0.004, weight_decay=0.02),
    schedule="one_cycle",
    validation=(x_test, y_test),  # watched, and nothing is chosen by it: the last parameters are those that are kept
    progress=True,
)
_, accuracy = nn.evaluate(net, x_test, y_test)
assert accuracy is not None
print(f"test accuracy {accuracy:.4f} after {options.epochs} epochs, {sum(history.seconds):.0f} s of training")
nn.save(net, options.output)

try:
    figure = cx.plot.new_figure(13.0, 4.2)
except ImportError:
    print('for pictures: pip install "pyconvx[plot]"')
else:
    loss, right, confusion = figure.subplots(1, 3)
    history.plot(what="loss", ax=loss)
    history.plot(what="accuracy", ax=right)
    right.axhline(GOAL, color=cx.plot.FAINT, linewidth=0.8, linestyle=":")
    guesses = nn.predict(net, x_test).argmax(-1)
    cx.plot.confusion_matrix(y_test, guesses, names=CLASSES, title="test pictures", ax=confusion)
    figure.subplots_adjust(0.05, 0.2, 0.99, 0.92, 0.22)
    figure.savefig(options.output.with_suffix(".png"))
    print(f"pictures: {options.output.with_suffix('.png')}")
if options.epochs >= 14:
    assert accuracy >= GOAL, np.round(accuracy, 4)
