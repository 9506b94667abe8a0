"""What a place of a result sees is what gradients reach."""

import numpy as np
import pytest

import pyconvx as cx
from pyconvx import nn


@pytest.mark.parametrize(
    ("branches", "then", "field"),
    [
        ([cx.Conv2D(2, (1, 7), padding="same"), cx.Conv2D(2, (5, 1), padding="same")], 3, "7 x 9"),
        ([cx.Conv2D(2, (1, 7), padding="same"), cx.Conv2D(2, 3, padding="same")], 3, "5 x 9"),
        ([cx.Conv2D(2, 3, padding=((2, 0), (2, 0))), cx.Conv2D(2, 3, padding=((0, 2), (0, 2)))], 1, "5 x 5"),
    ],
)
def test_the_receptive_field_of_branches_is_that_of_all(branches, then, field):
    net = cx.Sequential(cx.Parallel(branches), cx.Conv2D(2, then))
    assert nn.summary(net, (20, 20, 1)).rows[-1][4] == field


def seen_by_gradients(net, n):
    """The widest side that places of the result see of an input of n places, as gradients tell."""
    net.build((n, 1))
    for array in net.params.values():
        array[...] = 1
    y, pullback = net.vjp(np.ones((1, n, 1)))
    widest = 0
    for place in range(y.shape[1]):
        gy = np.zeros_like(y)
        gy[:, place] = 1
        there = np.flatnonzero(pullback(gy)[0])
        widest = max(widest, np.ptp(there) + 1 if there.size else 0)
    return widest


@pytest.mark.parametrize(
    "layers",
    [
        [cx.ConvTranspose1D(1, 4, stride=2)],
        [cx.ConvTranspose1D(1, 3, stride=2, padding=1)],
        [cx.ConvTranspose1D(1, 2, stride=3)],
        [cx.ConvTranspose1D(1, 3, dilation=2)],
        [cx.ConvTranspose1D(1, 4, stride=2, padding="same"), cx.Conv1D(1, 3)],
        [cx.ConvTranspose1D(1, 4, stride=2), cx.ConvTranspose1D(1, 4, stride=2), cx.Conv1D(1, 3, padding="same")],
        [cx.Conv1D(1, 3, stride=2), cx.ConvTranspose1D(1, 4, stride=2), cx.AvgPool1D(2)],
        [
            cx.Parallel(
                cx.ConvTranspose1D(1, 4, stride=2, padding="same"), cx.ConvTranspose1D(1, 2, stride=2, padding="same")
            ),
            cx.Conv1D(1, 3),
        ],
        [cx.AdaptivePool1D(2)],
        [cx.AdaptivePool1D(7)],
        [cx.AdaptivePool1D(45)],
        [cx.AdaptivePool1D(15), cx.Conv1D(1, 2)],
        [cx.Conv1D(1, 5), cx.AdaptivePool1D(6), cx.Conv1D(1, 3)],
    ],
    ids=str,
)
@pytest.mark.parametrize("n", [30, 31, 44])
def test_receptive_fields_are_what_gradients_reach(layers, n):
    net = cx.Sequential(*layers, cx.Activation("relu"))
    field = nn.summary(net, (n, 1)).rows[-1][4]
    assert field == str(seen_by_gradients(net, n))
    assert net.freeze().summary((n, 1)).rows[-1][4] == field


class Mean(cx.Layer):
    """Over the first axis of a sample, without a word of its own on what it sees."""

    def output_shape(self, input_shape):
        return input_shape[1:]


def test_the_receptive_field_behind_layers_that_know_no_layout_or_no_axes():
    net = cx.Sequential(cx.ConvTranspose1D(1, 4, stride=3, padding=1, layout="channels_first"), cx.Activation("relu"))
    assert [row[4] for row in nn.summary(net, (1, 20)).rows] == ["2", "2"]
    net = cx.Sequential(cx.Conv2D(4, 3), Mean(), Mean(), cx.Dense(2))
    assert [row[4] for row in nn.summary(net, (9, 9, 1)).rows] == ["3 x 3", "3 x 3", "3 x 3", "all"]
    assert nn.summary(cx.AdaptivePool1D(997), (1000, 1)).rows[0][4] == "3"


def test_the_receptive_field_of_many_residual_blocks():
    net = cx.Sequential(*(cx.Residual(cx.Conv2D(1, 3, padding="same")) for _ in range(60)))
    assert nn.summary(net, (20, 20, 1)).rows[-2][4] == "121 x 121"
