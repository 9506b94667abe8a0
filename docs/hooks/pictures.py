"""Draws the pictures of the documentation: python docs/hooks/pictures.py docs/images. Needs matplotlib and pillow."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

import pyconvx as cx
from pyconvx import plot
from pyconvx.demo import photograph

folder = Path(sys.argv[1])
photo = photograph()
grey = photo.mean(-1)
random = np.random.default_rng(0)

numbers = random.integers(0, 10, (5, 5)).astype(float)
sharpen = cx.filters["sharpen"]()
plot.animate_sliding_filter(
    folder / "sliding.gif", numbers, sharpen, padding="same", title="3 x 3, stride 1, padding same"
)
apart = {"stride": (1, 2), "padding": 1, "dilation": (1, 2)}
wide = np.random.default_rng(1).integers(0, 10, (4, 8)).astype(float)
title = "3 x 3, stride 1 down and 2 across, padding 1, dilation 2 across"
plot.animate_sliding_filter(folder / "sliding_apart.gif", wide, sharpen, title=title, **apart)
page = plot.new_figure(9.6, 5.4)
axes = page.subplots(3, 1)
for ax, (title, options) in zip(
    axes,
    (
        ("valid: no padding", {"step": 4}),
        ("stride 2, padding 1, reflect", {"stride": 2, "padding": 1, "padding_mode": "reflect", "step": 4}),
        ("dilation 2, padding same", {"dilation": 2, "padding": "same", "step": 12}),
    ),
    strict=True,
):
    plot.sliding_filter(numbers, sharpen, title=title, ax=ax, **options)
page.set_size_inches(6.2, 9.0)
page.subplots_adjust(0.02, 0.01, 0.98, 0.96, 0.1, 0.15)
page.savefig(folder / "windows.png", dpi=100)

plot.padding_strip(title="what padding modes put around 1 2 3 4 5").savefig(folder / "padding_strip.png", dpi=110)
page = plot.new_figure(10.0, 2.9)
for ax, mode in zip(page.subplots(1, 4), ("zeros", "reflect", "wrap", "edge"), strict=True):
    plot.padding_photograph(photo, mode, ax=ax)
page.subplots_adjust(0.01, 0.02, 0.99, 0.9, 0.05)
page.savefig(folder / "padding_photograph.png", dpi=90)

page = plot.new_figure(10.0, 5.0)
names = ("relu", "leaky_relu", "sigmoid", "tanh", "gelu", "softplus", "hard_swish", "mish")
for ax, name in zip(page.subplots(2, 4).flat, names, strict=True):
    plot.activation_curve(name, ax=ax)
page.subplots_adjust(0.04, 0.08, 0.99, 0.94, 0.22, 0.4)
page.savefig(folder / "activations.png", dpi=90)

small = random.integers(0, 10, (6, 6)).astype(float)
plot.pooling_before_after(small, 2, ["max", "avg", "median"]).savefig(folder / "pooling_numbers.png", dpi=110)
plot.pooling_before_after(grey, 8, ["max", "avg", "min"]).savefig(folder / "pooling_photograph.png", dpi=100)

net = cx.Sequential(
    cx.Conv2D(6, 5, padding="same", activation="relu"),
    cx.MaxPool2D(2),
    cx.Conv2D(16, 5, activation="relu"),
    cx.MaxPool2D(2),
    cx.Flatten(),
    cx.Dense(84, activation="relu"),
    cx.Dense(10),
)
plot.network(net, (32, 32, 3)).savefig(folder / "network.png", dpi=100)
deep = cx.Sequential(
    cx.Conv2D(8, 5, padding="same"), cx.MaxPool2D(2), cx.Conv2D(8, 5, padding="same"), cx.MaxPool2D(2), cx.Conv2D(8, 5)
)
plot.receptive_field(deep, photo[60:140, 60:160]).savefig(folder / "receptive_field.png", dpi=100)

bank = np.stack([cx.filters[name]() for name in ("sobel_x", "sobel_y", "laplacian", "sharpen", "box", "emboss")])
maps = cx.conv2d(grey[..., None], bank[..., None], padding="same", padding_mode="reflect")
page = plot.new_figure(9.0, 3.4)
left, right = page.subplots(1, 2, width_ratios=(1, 2.2))
plot.filter_grid(bank, columns=2, title="six filters", ax=left)
plot.feature_grid(maps, columns=3, limit=1.0, title="their feature maps", ax=right)
page.subplots_adjust(0.01, 0.01, 0.99, 0.92, 0.05)
page.savefig(folder / "feature_maps.png", dpi=100)
