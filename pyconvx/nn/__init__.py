"""Layers and networks of them, by name. Imports the functional core and the registry."""

from .basic import Activation, BatchNorm, Dense, Dropout, Flatten, Pad
from .config import from_config, to_config
from .conv import (
    Conv1D,
    Conv2D,
    Conv3D,
    ConvTranspose1D,
    ConvTranspose2D,
    ConvTranspose3D,
    DepthwiseConv1D,
    DepthwiseConv2D,
    DepthwiseConv3D,
    SeparableConv1D,
    SeparableConv2D,
    SeparableConv3D,
)
from .datasets import load_idx, read_idx
from .evaluate import evaluate, predict
from .exchange import from_keras_weights, from_torch_state_dict, to_keras_weights, to_torch_state_dict
from .fit import fit
from .freeze import frozen
from .history import History
from .initializers import Initializer, initializer, initializers
from .layer import Layer
from .losses import Loss, loss, losses
from .optimizers import SGD, Adam, AdamW, Optimizer, optimizer
from .pool import (
    AdaptivePool1D,
    AdaptivePool2D,
    AdaptivePool3D,
    AvgPool1D,
    AvgPool2D,
    AvgPool3D,
    GlobalPool,
    MaxPool1D,
    MaxPool2D,
    MaxPool3D,
    Pool1D,
    Pool2D,
    Pool3D,
)
from .replace import replaced
from .save import load, save
from .schedules import Schedule, schedule, schedules
from .sequential import Parallel, Residual, Sequential
from .summary import Summary, summary

__all__ = [
    "SGD",
    "Activation",
    "Adam",
    "AdamW",
    "AdaptivePool1D",
    "AdaptivePool2D",
    "AdaptivePool3D",
    "AvgPool1D",
    "AvgPool2D",
    "AvgPool3D",
    "BatchNorm",
    "Conv1D",
    "Conv2D",
    "Conv3D",
    "ConvTranspose1D",
    "ConvTranspose2D",
    "ConvTranspose3D",
    "Dense",
    "DepthwiseConv1D",
    "DepthwiseConv2D",
    "DepthwiseConv3D",
    "Dropout",
    "Flatten",
    "GlobalPool",
    "History",
    "Initializer",
    "Layer",
    "Loss",
    "MaxPool1D",
    "MaxPool2D",
    "MaxPool3D",
    "Optimizer",
    "Pad",
    "Parallel",
    "Pool1D",
    "Pool2D",
    "Pool3D",
    "Residual",
    "Schedule",
    "SeparableConv1D",
    "SeparableConv2D",
    "SeparableConv3D",
    "Sequential",
    "Summary",
    "evaluate",
    "fit",
    "from_config",
    "from_keras_weights",
    "from_torch_state_dict",
    "frozen",
    "initializer",
    "initializers",
    "load",
    "load_idx",
    "loss",
    "losses",
    "optimizer",
    "predict",
    "read_idx",
    "replaced",
    "save",
    "schedule",
    "schedules",
    "summary",
    "to_config",
    "to_keras_weights",
    "to_torch_state_dict",
]
