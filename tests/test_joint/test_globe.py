"""The rule of a globe: a function on the sphere is continued; poles, odd numbers of longitudes, empty axes."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import pyconvx as cx
from pyconvx.listing import entries

from .modes import wrapped


def test_picture_of_a_globe():
    x = [[1, 2, 3, 4], [5, 6, 7, 8]]
    assert cx.pad(x, 1, "globe").tolist() == [
        [2, 3, 4, 1, 2, 3],
        [4, 1, 2, 3, 4, 1],
        [8, 5, 6, 7, 8, 5],
        [6, 7, 8, 5, 6, 7],
    ]
    assert cx.pad(x, 1, "globe", poles=True).tolist() == [
        [6, 7, 8, 5, 6, 7],
        [4, 1, 2, 3, 4, 1],
        [8, 5, 6, 7, 8, 5],
        [2, 3, 4, 1, 2, 3],
    ]


def test_the_list_of_plugins_shows_a_small_map():
    (globe,) = (entry for entry in entries("paddings") if entry.name == "globe")
    assert globe.picture == "2 3 4 1 2 3 / 4 | 1 2 3 4 | 1 / 8 | 5 6 7 8 | 5 / 6 7 8 5 6 7"
    with cx.paddings.temporarily("test:volume", wrapped, joint=True, ranks=(3,)):
        (volume,) = (entry for entry in entries("paddings") if entry.name == "test:volume")
    assert volume.picture == "8 5 6 7 8 5 / 4 | 1 2 3 4 | 1 / 8 | 5 6 7 8 | 5 / 4 1 2 3 4 1"
    (line,) = (entry for entry in entries("paddings") if entry.name == "test:wrapped")
    assert line.picture == "4 | 1 2 3 4 | 1"


@pytest.mark.parametrize("poles", [False, True])
@given(rows=st.integers(1, 5), columns=st.integers(1, 4), amount=st.integers(0, 12))
def test_a_function_on_the_sphere_is_continued(poles, rows, columns, amount):
    """The globe is padded as latitudes and longitudes go on: any function of points in space is continued."""
    columns *= 2
    if poles and rows == 1:
        return

    def space(i, j):
        latitude = np.pi * (i / (rows - 1) if poles else (i + 0.5) / rows) - np.pi / 2
        longitude = 2 * np.pi * j / columns
        x, y, z = np.cos(latitude) * np.cos(longitude), np.cos(latitude) * np.sin(longitude), np.sin(latitude)
        return x + 2 * y + 3 * z + x * y - y * z

    world = space(*np.ogrid[:rows, :columns])
    around = space(*np.ogrid[-amount : rows + amount, -amount : columns + amount])
    np.testing.assert_allclose(cx.pad(world, amount, "globe", poles=poles), around, atol=1e-12)


def test_a_single_row_of_poles_is_repeated():
    x = np.arange(4.0)[None]
    np.testing.assert_array_equal(cx.pad(x, {0: 3, 1: 0}, "globe", poles=True), np.repeat(x, 7, 0))
    assert cx.pad(np.arange(5.0)[None], 1, "globe", poles=True).shape == (3, 7)


def test_an_odd_number_of_longitudes_has_no_half_turn():
    x = np.arange(15.0).reshape(3, 5)
    np.testing.assert_array_equal(cx.pad(x, {0: 0, 1: 4}, "globe"), np.pad(x, ((0, 0), (4, 4)), "wrap"))
    with pytest.raises(ValueError, match="takes an even number of longitudes, got 5") as info:
        cx.conv2d(x[..., None], np.ones((1, 3, 3, 1)), padding="same", padding_mode="globe")
    assert "padding mode 'globe'" in info.value.__notes__[0]


def test_empty_axes_cannot_be_extended():
    for shape in ((0, 4), (3, 0)):
        with pytest.raises(ValueError, match="cannot extend an empty axis with padding mode 'globe'"):
            cx.pad(np.zeros(shape), 1, "globe")
    assert cx.pad(np.zeros((0, 4)), ((0, 0), (1, 1)), "globe").shape == (0, 6)
    nothing = np.zeros((0, 4, 4, 1))
    assert cx.conv2d(nothing, np.ones((2, 3, 3, 1)), padding=1, padding_mode="globe").shape == (0, 4, 4, 2)
    with pytest.raises(ValueError, match="empty axis"):
        cx.conv2d(np.zeros((0, 4, 1)), np.ones((1, 3, 3, 1)), padding=2, padding_mode="globe")
