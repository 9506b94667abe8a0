"""Named picture filters on a photograph: edges of its brightness, and blur and sharpening channel by channel.

Writes edges_blur_sharpen.png. Needs the extra "demo".
"""

import numpy as np

import pyconvx as cx
from pyconvx import plot
from pyconvx.demo import photograph

photo = photograph()  # (224, 224, 3), 0 to 1
brightness = photo.mean(axis=-1, keepdims=True)

# A colour picture is filtered channel by channel: one filter for each, and as many groups as channels.
blurred = cx.conv2d(
    photo,
    cx.filters["gaussian"].as_filters(channels=3, sigma=2.0),
    groups=3,
    padding="same",
    padding_mode="reflect",
)
sharpened = cx.conv2d(
    photo, cx.filters["sharpen"].as_filters(channels=3), groups=3, padding="same", padding_mode="reflect"
)

# The strength of an edge is the length of the gradient: two filters, two feature maps.
sobel = np.concatenate([cx.filters[name].as_filters() for name in ("sobel_x", "sobel_y")])  # (2, 3, 3, 1)
gradient = cx.conv2d(brightness, sobel, padding="same", padding_mode="reflect")  # (224, 224, 2)
edges = np.hypot(gradient[..., 0], gradient[..., 1])

figure = plot.new_figure(12, 3.3)
axes = figure.subplots(1, 4, gridspec_kw={"left": 0.01, "right": 0.99, "bottom": 0.02, "top": 0.9, "wspace": 0.05})
plot.picture(photo, title="photograph", ax=axes[0])
plot.feature_map(edges, title="edges", ax=axes[1])
plot.picture(blurred, title="blurred", ax=axes[2])
plot.picture(sharpened, title="sharpened", ax=axes[3])
figure.savefig("edges_blur_sharpen.png")
print("the strongest edge is at row and column", *np.unravel_index(edges.argmax(), edges.shape))
