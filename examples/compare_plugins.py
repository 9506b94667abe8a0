"""The same network with other poolings and other padding modes: what changes when one name does.

Trains on scikit-learn's digits, for each name with two seeds, and with matplotlib draws compare_plugins.png. Needs
scikit-learn, which `pip install "pyconvx[train]"` brings.
"""

import sys
from typing import Any

import numpy as np

import pyconvx as cx
from pyconvx import nn

try:
    from sklearn.datasets import load_digits
except ImportError:
    sys.exit('this example needs scikit-learn: pip install "pyconvx[train]"')

EPOCHS, SEEDS = 6, (0, 1)


def two_largest(w: Any) -> Any:
    """The mean of the two largest elements of a window."""
    return np.sort(w, -1)[..., -2:].mean(-1)


def two_largest_gradient(w: Any, y: Any) -> Any:
    """One half for each of the two."""
    rank = np.argsort(np.argsort(w, -1, kind="stable"), -1, kind="stable")
    return ((rank >= w.shape[-1] - 2) / min(w.shape[-1], 2)).astype(w.dtype)


cx.poolings.register("two_largest", two_largest, gradient=two_largest_gradient)

digits = load_digits()
order = np.random.default_rng(0).permutation(len(digits.target))
x = (digits.images[order, :, :, None] / 16).astype(np.float32)
labels = digits.target[order]
seen, held_out = slice(0, 1200), slice(1200, None)

BASE = cx.Sequential(
    cx.Conv2D(12, 3, padding="same", activation="relu"),
    cx.Pool2D(2, "max"),
    cx.Conv2D(24, 3, padding="same", activation="relu"),
    cx.Pool2D(2, "max"),
    cx.Flatten(),
    cx.Dense(10),
)
CHANGES: dict[str, dict[str, dict[str, Any]]] = {
    "pooling": {
        "max": {"kind": "max"},
        "avg": {"kind": "avg"},
        "lp (p = 3)": {"kind": cx.pooling("lp", p=3)},
        "two_largest (ours)": {"kind": "two_largest"},
    },
    "padding mode": {mode: {"padding_mode": mode} for mode in ("zeros", "reflect", "circular")},
}


def trained(changes: dict[str, Any], seed: int) -> Any:
    """The history of a network with some options changed, and its accuracy on what it has not seen."""
    net = BASE.replace(**{"kind": "max", "padding_mode": "zeros", **changes})
    net.build(x.shape[1:], seed=seed)
    history = nn.fit(net, x[seen], labels[seen], epochs=EPOCHS, batch_size=32, optimizer=nn.Adam(0.003), seed=seed)
    return history, nn.evaluate(net, x[held_out], labels[held_out])[1]


results = {}
for what, names in CHANGES.items():
    print(f"{what:20} held out (mean and range of {len(SEEDS)} seeds)")
    for name, changes in names.items():
        results[what, name] = runs = [trained(changes, seed) for seed in SEEDS]
        right = [accuracy for _, accuracy in runs]
        print(f"  {name:18} {np.mean(right):.1%}  ({min(right):.1%} to {max(right):.1%})")
        assert min(right) > 0.85, name

try:
    figure = cx.plot.new_figure(10.0, 3.8)
except ImportError:
    print('for a picture: pip install "pyconvx[plot]"')
else:
    for axes, (what, names) in zip(figure.subplots(1, 2), CHANGES.items(), strict=True):
        for name, colour, style in zip(names, cx.plot.COLOURS, ("-", "--", "-.", ":"), strict=False):
            losses = np.array([history.loss for history, _ in results[what, name]])
            right = np.mean([accuracy for _, accuracy in results[what, name]])
            epochs = np.arange(1, EPOCHS + 1)
            axes.plot(epochs, losses.mean(0), style, color=colour, label=f"{name}: {right:.1%} held out")
            axes.fill_between(epochs, losses.min(0), losses.max(0), color=colour, alpha=0.15, linewidth=0)
        axes.set_yscale("log")
        axes.set_xlabel("epoch")
        axes.set_title(f"training loss by {what}", fontsize=10)
        axes.legend(frameon=False, fontsize=8)
        axes.spines[["top", "right"]].set_visible(False)
    figure.subplots_adjust(0.07, 0.13, 0.98, 0.92, 0.18)
    figure.savefig("compare_plugins.png")
    print("picture: compare_plugins.png")
