"""A network whose frozen copy is taken apart in several tests."""

from pyconvx import nn


def pictures_net(*units):
    """Two convolutions and dense layers, whose maps of some samples are several pieces; all but the last rectify."""
    *hidden, last = units
    return nn.Sequential(
        nn.Conv2D(16, 3, padding=1, activation="relu"),
        nn.MaxPool2D(2),
        nn.Conv2D(24, 3, padding=1, activation="relu"),
        nn.MaxPool2D(2),
        nn.Flatten(),
        *(nn.Dense(each, activation="relu") for each in hidden),
        nn.Dense(last),
    ).build((32, 32, 3))
