"""What is timed, as data: every table of the report. A new layer is a new line here. Imports tasks."""

from __future__ import annotations

from dataclasses import replace

from .tasks import Activate, Comparison, Conv, Group, Pool

TORCH = ("torch", "torch channels_last")

LAYERS = (
    Conv("32x32x3 > 6, 5x5", (1, 32, 32, 3), (6, 5, 5, 3)),
    Conv("8x8x1 > 8, 3x3", (1, 8, 8, 1), (8, 3, 3, 1)),
    Conv("64 of 8x8x1 > 16, 3x3", (64, 8, 8, 1), (16, 3, 3, 1)),
    Conv("224x224x3 > 64, 7x7 stride 2", (1, 224, 224, 3), (64, 7, 7, 3), stride=2),
    Conv("56x56x64 > 64, 3x3", (1, 56, 56, 64), (64, 3, 3, 64)),
    Conv("28x28x128 > 128, 3x3", (1, 28, 28, 128), (128, 3, 3, 128)),
    Conv("14x14x256 > 256, 3x3", (1, 14, 14, 256), (256, 3, 3, 256)),
    Conv("7x7x512 > 512, 3x3", (1, 7, 7, 512), (512, 3, 3, 512)),
    Conv("56x56x128 > 128, 3x3 stride 2", (1, 56, 56, 128), (128, 3, 3, 128), stride=2),
    Conv("56x56x64 > 256, 1x1", (1, 56, 56, 64), (256, 1, 1, 64)),
    Conv("14x14x1024 > 256, 1x1", (1, 14, 14, 1024), (256, 1, 1, 1024)),
    Conv("28x28x192 > 32, 1x1", (1, 28, 28, 192), (32, 1, 1, 192)),
    Conv("224x224x3 > 64, 3x3", (1, 224, 224, 3), (64, 3, 3, 3)),
    Conv("112x112x128 > 128, 3x3", (1, 112, 112, 128), (128, 3, 3, 128)),
    Conv("16 of 28x28x128 > 128, 3x3", (16, 28, 28, 128), (128, 3, 3, 128)),
    Conv("112x112x32, 3x3 depthwise", (1, 112, 112, 32), (32, 3, 3, 1), groups=32),
    Conv("56x56x144, 3x3 stride 2 depthwise", (1, 56, 56, 144), (144, 3, 3, 1), stride=2, groups=144),
    Conv("56x56x96, 7x7 depthwise", (1, 56, 56, 96), (96, 7, 7, 1), groups=96),
    Conv("28x28x256 > 256, 3x3 dilation 2", (1, 28, 28, 256), (256, 3, 3, 256), dilation=2),
    Conv("28x28x256 > 256, 3x3 in 32 groups", (1, 28, 28, 256), (256, 3, 3, 8), groups=32),
    Conv("512x512x1 > 1, 31x31", (1, 512, 512, 1), (1, 31, 31, 1)),
)

UNTUNED = (
    Conv("57x43x37 > 53, 3x3", (1, 57, 43, 37), (53, 3, 3, 37)),
    Conv("31x29x19 > 23, 5x5", (1, 31, 29, 19), (23, 5, 5, 19)),
    Conv("45x45x100 > 75, 3x3 stride 2", (1, 45, 45, 100), (75, 3, 3, 100), stride=2),
    Conv("61x47x70 > 90, 1x1", (1, 61, 47, 70), (90, 1, 1, 70)),
    Conv("40x50x48 > 40, 1x7", (1, 40, 50, 48), (40, 1, 7, 48)),
    Conv("27x27x96 > 256, 5x5", (1, 27, 27, 96), (256, 5, 5, 96)),
    Conv("33x35x60 > 90, 3x3 in 3 groups", (1, 33, 35, 60), (90, 3, 3, 20), groups=3),
    Conv("50x50x24 > 24, 3x3 dilation 3", (1, 50, 50, 24), (24, 3, 3, 24), dilation=3),
    Conv("14x14x576, 5x5 depthwise", (1, 14, 14, 576), (576, 5, 5, 1), groups=576),
    Conv("35x37x50, 9x9 depthwise", (1, 35, 37, 50), (50, 9, 9, 1), groups=50),
    Conv("16000x1 > 64, 80 stride 4 (audio)", (1, 16000, 1), (64, 80, 1), stride=4),
    Conv("1500x80 > 256, 3 (audio)", (1, 1500, 80), (256, 3, 80)),
    Conv("4000x64 > 64, 3 dilation 8 (audio)", (1, 4000, 64), (64, 3, 64), dilation=8),
    Conv("16x56x56x3 > 32, 3x3x3 (video)", (1, 16, 56, 56, 3), (32, 3, 3, 3, 3)),
    Conv("8x28x28x64 > 64, 3x3x3 (video)", (1, 8, 28, 28, 64), (64, 3, 3, 3, 64)),
    Conv("8 of 30x30x20 > 30, 3x3", (8, 30, 30, 20), (30, 3, 3, 20)),
    Conv("128 of 28x28x1 > 32, 5x5", (128, 28, 28, 1), (32, 5, 5, 1), padding=0),
    Conv("480x640x3 > 16, 3x3 (RGB)", (1, 480, 640, 3), (16, 3, 3, 3)),
    Conv("480x640x3 > 3, 5x5 (RGB)", (1, 480, 640, 3), (3, 5, 5, 3)),
    Conv("480x640x3 > 8, 9x9 stride 2 (RGB)", (1, 480, 640, 3), (8, 9, 9, 3), stride=2),
    Conv("40x40x64 > 96, 3x3 bias relu", (1, 40, 40, 64), (96, 3, 3, 64), bias=True, activation="relu"),
    Conv("56x56x64 > 64, 3x3 reflect", (1, 56, 56, 64), (64, 3, 3, 64), padding_mode="reflect"),
)

PICTURES = tuple(
    Conv(f"1024x1024, {k}x{k} {mode}", (1, 1024, 1024, 1), (1, k, k, 1), padding_mode=mode)
    for k in (5, 31)
    for mode in ("zeros", "reflect")
)

SMALLEST = (
    Conv("8x8x1 > 8, 3x3 valid", (1, 8, 8, 1), (8, 3, 3, 1), padding=0),
    Conv("8x8x1 > 8, 3x3 same", (1, 8, 8, 1), (8, 3, 3, 1)),
)

FEATURE_MAP = (1, 112, 112, 64)
POOLING = (
    Pool("max 2x2 stride 2", FEATURE_MAP, 2, 2),
    Pool("max 3x3 stride 2", FEATURE_MAP, 3, 2, padding=1),
    Pool("avg 2x2 stride 2", FEATURE_MAP, 2, 2, "avg"),
    Pool("avg 3x3 stride 2", FEATURE_MAP, 3, 2, "avg", padding=1),
    Pool("max 2x2 stride 2 with indices", FEATURE_MAP, 2, 2, indices=True),
    Pool("max 3x3 stride 2 with indices", FEATURE_MAP, 3, 2, padding=1, indices=True),
    Pool("max 3x3 stride 2 with NaNs", FEATURE_MAP, 3, 2, padding=1, nan=True),
    *(
        Pool(f"{kind} {k}x{k} stride 2", FEATURE_MAP, k, 2, kind)
        for kind in ("min", "median", "lp", "logsumexp")
        for k in (2, 3)
    ),
)

ACTIVATIONS = tuple(
    Activate(name, (1000, 1000))
    for name in (
        *("relu", "relu6", "leaky_relu", "elu", "selu", "celu", "gelu", "gelu_tanh", "silu", "mish", "softplus"),
        *("softsign", "sigmoid", "log_sigmoid", "hard_sigmoid", "hard_swish", "hard_tanh", "tanh", "tanh_shrink"),
        *("soft_shrink", "hard_shrink", "threshold", "softmax", "log_softmax", "glu"),
    )
)

# How the time grows: one series after the other, each from the same 3x3 layer.
SCALING = (
    *(Conv(f"pixels {n}x{n}", (1, n, n, 64), (64, 3, 3, 64)) for n in (8, 16, 32, 64, 128)),
    *(Conv(f"channels {c}", (1, 32, 32, c), (c, 3, 3, c)) for c in (1, 4, 16, 64, 256)),
    *(Conv(f"kernel {k}x{k}", (1, 32, 32, 32), (32, k, k, 32)) for k in (1, 3, 5, 7, 11, 15)),
    *(Conv(f"batch {n}", (n, 28, 28, 32), (32, 3, 3, 32)) for n in (1, 2, 4, 16, 64)),
    *(Conv(f"threads {n}", (8, 56, 56, 64), (64, 3, 3, 64), threads=n) for n in (1, 2, 4, 8, 16)),
)

GROUPS = (
    Group(
        "layers",
        "Layers: prepared filters against every library, plain arrays against eager PyTorch",
        LAYERS,
        ("pyconvx", "pyconvx arrays"),
        (Comparison("prepared"), Comparison("arrays", "pyconvx arrays", TORCH)),
    ),
    Group(
        "first",
        "channels_first: against every library, those with channels first, and channels_last",
        LAYERS,
        ("pyconvx", "pyconvx channels_first"),
        (
            Comparison("first", "pyconvx channels_first"),
            Comparison("first/first", "pyconvx channels_first", ("torch", "onnxruntime", "openvino")),
            Comparison("last/first", "pyconvx channels_first", ("pyconvx",)),
        ),
    ),
    Group("untuned", "Shapes that nobody tuned for", UNTUNED),
    Group(
        "backward",
        "Gradients of x and filters together, against PyTorch's autograd",
        tuple(replace(layer, backward=True) for layer in LAYERS),
    ),
    Group(
        "double",
        "float64: the 3x3 layers",
        tuple(replace(layer, dtype="float64") for layer in LAYERS if layer.kernel == (3, 3) and layer.groups == 1),
        bars=False,
    ),
    Group(
        "pooling",
        "Pooling of 112x112x64; kinds that the others lack against pyconvx's own max",
        POOLING,
        ("pyconvx", "pyconvx max"),
        (Comparison("ratio"), Comparison("max/this", against=("pyconvx max",))),
    ),
    Group(
        "activations",
        "Activations of 1000x1000 floats",
        ACTIVATIONS,
        comparisons=(Comparison("ratio"), Comparison("torch/this", against=TORCH)),
    ),
    Group("pictures", "One picture of 1024x1024, one filter", PICTURES),
    Group(
        "smallest",
        "The smallest call",
        SMALLEST,
        ("pyconvx", "pyconvx arrays"),
        (Comparison("prepared"), Comparison("arrays", "pyconvx arrays", TORCH)),
        bars=False,
    ),
    Group("scaling", "How the time grows", SCALING, bars=False),
)
