"""The operations that come in a function per rank, by rank. Imports the public face of pyconvx."""

import pyconvx as cx

CONV = {1: cx.conv1d, 2: cx.conv2d, 3: cx.conv3d}
POOL = {1: cx.pool1d, 2: cx.pool2d, 3: cx.pool3d}
ADAPTIVE = {1: cx.adaptive_pool1d, 2: cx.adaptive_pool2d, 3: cx.adaptive_pool3d}
