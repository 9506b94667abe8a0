"""What follows the sums in the kernel: an activation, and channels first."""

import numpy as np
import pytest

import pyconvx as cx
from pyconvx import _core
from pyconvx.functional.algorithms import CANDIDATES

from .candidates import ALONE, NAMES


@pytest.mark.parametrize("isa", _core.supported())
@pytest.mark.parametrize("name", NAMES)
def test_an_activation_in_the_kernel_is_one_after_it(name, isa):
    """Bit for bit, whatever the threads, the place of the result, and what is done again."""
    rng = np.random.default_rng(12)
    groups = 16 if name in ALONE else 1
    x = rng.standard_normal((2, 21, 23, 16)).astype("f")
    x[0, 5, 6, 7] = np.nan
    filters, bias = rng.standard_normal((80 // (groups // 4 or 1), 3, 3, 16 // groups)).astype("f"), None
    if groups == 1:
        bias = rng.standard_normal(80).astype("f")
    else:
        filters = filters[:16]
    options = dict(padding="same", groups=groups, algorithm=name)
    with _core.using(isa):
        z = cx.conv2d(x, filters, bias, **options)
        for activation in ("relu", "gelu", "softmax", "log_softmax", cx.activation("leaky_relu", alpha=0.3)):
            want = cx.activate(z, activation)
            for threads in (1, 2):
                with cx.threads(threads):
                    prepared = cx.prepare(filters)
                    for weights in (filters, prepared, prepared):  # the last is a repeated call
                        got = cx.conv2d(x, weights, bias, activation=activation, **options)
                        assert np.array_equal(got, want, equal_nan=True)
            room = np.full((2, 25, 29, want.shape[-1]), 7.0, "f")
            cx.conv2d(x, filters, bias, activation=activation, out=room[:, 2:23, 3:26], **options)
            assert np.array_equal(room[:, 2:23, 3:26], want, equal_nan=True)
            room[:, 2:23, 3:26] = 7
            assert (room == 7).all()


@pytest.mark.parametrize("outputs", [3, 8, 70])
def test_an_activation_of_a_transposed_convolution_in_the_kernel(outputs):
    x, filters = np.ones((9, 11, 6), "f"), np.linspace(-1, 1, 6 * 25 * outputs, dtype="f").reshape(6, 5, 5, outputs)
    for stride in (1, 2, 3):
        z = cx.conv_transpose2d(x, filters, stride=stride)
        for activation in ("relu", "softmax"):
            y = cx.conv_transpose2d(x, filters, stride=stride, activation=activation)
            assert np.array_equal(y, cx.activate(z, activation))


APART = [candidate.name for candidate in CANDIDATES if candidate.apart]
PLANAR = [  # x, filters, options: rows longer and shorter than what is turned at once, few and many channels
    ((2, 9, 200, 3), (21, 3, 3, 3), {"padding": "same", "padding_mode": "reflect"}),
    ((1, 7, 5, 40), (37, 1, 1, 40), {}),
    ((3, 6, 71, 6), (6, 3, 2, 2), {"groups": 3, "padding": 2, "padding_mode": cx.padding("constant", value=0.5)}),
    ((2, 15, 33, 2), (1, 5, 5, 2), {"padding": "same", "padding_mode": "odd_reflect"}),
    ((1, 12, 40, 5), (5, 3, 3, 1), {"groups": 5, "padding": "same"}),
    ((2, 14, 31, 4), (18, 4, 3, 4), {"stride": (1, 2), "dilation": (2, 1)}),
    ((1, 1, 1100, 1), (3, 1, 9, 1), {"padding": "full"}),
]


@pytest.mark.parametrize("isa", _core.supported())
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", APART)
def test_channels_first_goes_through_the_same_kernels_without_a_copy(name, dtype, isa):
    rng, computed = np.random.default_rng(9), 0
    for x_shape, filters_shape, options in PLANAR:
        x, filters = rng.standard_normal(x_shape).astype(dtype), rng.standard_normal(filters_shape).astype(dtype)
        bias = rng.standard_normal(filters_shape[0]).astype(dtype)
        first = [np.ascontiguousarray(np.moveaxis(array, -1, 1)) for array in (x, filters)]
        for activation in (None, "tanh", "softmax"):  # the last one looks at all channels of a place
            given = {**options, "algorithm": name, "activation": activation}
            with _core.using(isa):
                try:
                    want = np.moveaxis(cx.conv2d(x, filters, bias, **given), -1, 1)
                except ValueError:  # it does not fit here; the count below says that it fits somewhere
                    continue
                given["layout"] = "channels_first"
                packed, out = cx.prepare(first[1], layout="channels_first"), np.empty(want.shape, dtype)
                assert np.array_equal(cx.conv2d(*first, bias, **given), want)
                for _ in range(2):  # the second call goes straight to the kernel
                    assert np.array_equal(cx.conv2d(first[0], packed, bias, **given), want)
                    assert np.array_equal(cx.conv2d(first[0], packed, bias, out=out, **given), want)
                _, pullback = cx.vjp(cx.conv2d, *first, bias, **given)
                gy = rng.standard_normal(want.shape).astype(dtype)
                got = pullback(gy)
                given["layout"] = "channels_last"
                _, pullback = cx.vjp(cx.conv2d, x, filters, bias, **given)
                for one, other in zip(got[:2], pullback(np.moveaxis(gy, 1, -1))[:2], strict=True):
                    assert np.array_equal(one, np.moveaxis(other, -1, 1))
            computed += 1
    assert computed >= 9
