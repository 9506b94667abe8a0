"""Picture filters: what each kernel does to a picture, and what is refused."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import pyconvx as cx
from pyconvx import filters

DETECTORS = ["sobel_x", "sobel_y", "prewitt_x", "prewitt_y", "scharr_x", "scharr_y", "laplacian", "laplacian_8"]
KEEPERS = ["identity", "box", "gaussian", "sharpen", "emboss"]


def test_every_filter_either_finds_something_or_keeps_the_picture():
    assert set(DETECTORS + KEEPERS) == set(filters)


@pytest.mark.parametrize("name", filters)
def test_a_kernel_is_a_small_odd_float32_array_of_ones_own(name):
    kernel = filters[name]()
    assert kernel.dtype == np.float32
    assert kernel.ndim == 2
    assert all(size % 2 for size in kernel.shape)
    kernel[:] = 0
    assert filters[name]().any()


@pytest.mark.parametrize("name", filters)
def test_a_flat_picture_stays_or_vanishes(name):
    flat = np.full((9, 9, 1), 3.0, np.float32)
    y = cx.conv2d(flat, filters[name].as_filters(), padding="same", padding_mode="edge")
    assert y == pytest.approx(np.full_like(flat, 3 if name in KEEPERS else 0), rel=1e-5, abs=1e-5)


@pytest.mark.parametrize("name", ["sobel", "prewitt", "scharr"])
def test_edge_detectors_point_right_and_down(name):
    rising = np.arange(5, dtype=np.float32)
    right, down = np.tile(rising, (5, 1))[..., None], np.tile(rising[:, None], (1, 5))[..., None]
    along = filters[f"{name}_x"].as_filters()
    across = filters[f"{name}_y"].as_filters()
    assert (cx.conv2d(right, along) > 0).all()
    assert (cx.conv2d(down, along) == 0).all()
    assert (cx.conv2d(right, across) == 0).all()
    assert np.array_equal(cx.conv2d(down, across), cx.conv2d(right, along).transpose(1, 0, 2))


@pytest.mark.parametrize("name", ["laplacian", "laplacian_8"])
def test_the_laplacian_is_positive_in_a_dip(name):
    dip = np.ones((3, 3, 1), np.float32)
    dip[1, 1] = 0
    assert cx.conv2d(dip, filters[name].as_filters()).item() > 0


@given(st.floats(0.1, 5))
def test_gaussian_is_a_normalised_symmetric_bump(sigma):
    kernel = filters["gaussian"](sigma=sigma)
    assert kernel.shape == (2 * np.ceil(3 * sigma) + 1,) * 2
    assert kernel.sum() == pytest.approx(1, rel=1e-5)
    assert np.array_equal(kernel, kernel.T)
    assert np.array_equal(kernel, kernel[::-1])
    centre = len(kernel) // 2
    assert kernel.max() == kernel[centre, centre]
    assert kernel[centre, centre + 1] / kernel[centre, centre] == pytest.approx(np.exp(-0.5 / sigma**2), rel=1e-4)


def test_sizes():
    assert filters["gaussian"](size=5).shape == (5, 5)
    assert filters["box"](size=5).tolist() == [[np.float32(1 / 25)] * 5] * 5
    assert filters["identity"](size=1).tolist() == [[1]]
    for name in ("gaussian", "box", "identity"):
        for size in (0, -3, 4):
            with pytest.raises(ValueError, match=f"size must be odd and positive, .* got {size}"):
                filters[name](size=size)
    for sigma in (0, -1, np.inf):
        with pytest.raises(ValueError, match="sigma must be positive and finite"):
            filters["gaussian"](sigma=sigma)
    with pytest.raises(TypeError, match="filter 'sharpen' has no parameter 'size'"):
        filters["sharpen"](size=3)


@pytest.mark.parametrize("channels", [1, 3])
def test_as_filters_is_a_depthwise_bank(channels):
    bank = filters["gaussian"].as_filters(channels, sigma=0.5)
    assert bank.shape == (channels, 5, 5, 1)
    assert all(np.array_equal(kernel[..., 0], filters["gaussian"](sigma=0.5)) for kernel in bank)
    with pytest.raises(ValueError, match="channels must be at least 1, got 0"):
        filters["gaussian"].as_filters(0)


@pytest.mark.parametrize(
    ("result", "message"),
    [
        (None, "shape ()"),
        (np.zeros(3), r"shape \(3,\)"),
        (np.zeros((0, 3)), r"shape \(0, 3\)"),
        ([[1], [1, 2]], "no array of real numbers"),
        (np.full((3, 3), 1j), "complex128"),
        (np.ma.zeros((3, 3)), "a masked array: fill it first"),
    ],
)
def test_what_is_no_kernel_is_refused(result, message):
    with filters.temporarily("broken", lambda: result), pytest.raises(ValueError, match=f"filter 'broken'.*{message}"):
        filters["broken"]()
