"""A convolution with a max pooling behind, in pieces: the same as one after the other, for every instruction set."""

import numpy as np
import pytest
from hypothesis import given, reject, settings
from hypothesis import strategies as st
from memory import peak

import pyconvx as cx
from pyconvx import _core, nn
from pyconvx.functional import pooled_conv as module
from pyconvx.functional.pooled_conv import pooled_conv

rng = np.random.default_rng(8)
every_isa = pytest.mark.parametrize("isa", _core.supported())
RANKS = {1: (cx.conv1d, cx.pool1d), 2: (cx.conv2d, cx.pool2d), 3: (cx.conv3d, cx.pool3d)}
TRANSPOSED = {1: cx.conv_transpose1d, 2: cx.conv_transpose2d, 3: cx.conv_transpose3d}


def apart(x):
    """The same, with channels first in memory."""
    return np.moveaxis(np.moveaxis(x, -1, 1).copy(), 1, -1)


def every_other(x):
    return np.repeat(x, 2, 1)[:, ::2]


@st.composite
def problems(draw):
    """(function, arrays, options, pool, arguments, options of that): equal elements are frequent."""
    rank, transposed = draw(st.sampled_from([1, 2, 2, 3])), draw(st.booleans())
    random = np.random.default_rng(draw(st.integers(0, 2**32)))
    dtype = draw(st.sampled_from([np.float32, np.float64]))
    groups = draw(st.sampled_from([1, 1, 2]))
    channels, filters = (groups * draw(st.sampled_from([1, 2, 8, 16])) for _ in range(2))
    kernel = (draw(st.sampled_from([1, 2, 3])),) * rank
    x = random.integers(-3, 4, (draw(st.integers(1, 7)), *random.integers(4, 13 if rank < 3 else 7, rank), channels))
    shape = (channels, *kernel, filters // groups) if transposed else (filters, *kernel, channels // groups)
    weights = random.integers(-2, 3, shape) if draw(st.booleans()) else random.standard_normal(shape)
    x = draw(st.sampled_from([np.asarray, apart, every_other]))(x.astype(dtype))
    arrays = x, weights.astype(dtype)
    arrays += (random.standard_normal(filters).astype(dtype) if draw(st.booleans()) else None,)
    options = {
        "stride": draw(st.integers(1, 2)),
        "padding": draw(st.sampled_from([0, 1])),
        "padding_mode": draw(st.sampled_from(["zeros", "reflect", "circular", "odd_reflect"])),
        "dilation": draw(st.integers(1, 2)),
        "groups": groups,
        "activation": draw(st.sampled_from([None, "relu"])),
    }
    size = draw(st.integers(1, 3))
    pool_options = {
        "stride": draw(st.sampled_from([None, 1, 2])),
        "padding": draw(st.sampled_from([0, "same"])),
        "ceil_mode": draw(st.booleans()),
    }
    function, pool = RANKS[rank]
    return TRANSPOSED[rank] if transposed else function, arrays, options, pool, (size,), pool_options


@every_isa
@settings(max_examples=120, deadline=None)
@given(problem=problems(), piece=st.sampled_from([1, 2**10, 2**21]))
def test_it_is_a_convolution_and_a_pooling(isa, problem, piece):
    function, arrays, options, pool, arguments, pool_options = problem
    present = [array for array in arrays if array is not None]
    with _core.using(isa):
        try:
            z, conv_back = cx.vjp(function, *present, **options)
            y, pool_back = cx.vjp(pool, z, *arguments, **pool_options)
        except ValueError:  # windows that do not fit
            reject()
        found = []
        usual = module.PIECE
        try:
            module.PIECE = piece
            for threads in (1, 3):
                with cx.threads(threads):
                    both = pooled_conv(function, arrays, options, pool, arguments, pool_options)
                    assert both is not None
                    gy = np.random.default_rng(0).standard_normal(y.shape).astype(y.dtype)
                    if options["activation"] == "relu":
                        gy[both.y <= 0] = 0
                    found.append((both.y, *both.gradients(gy, True)))
                    for one, other in zip(both.gradients(gy, False)[1:], found[-1][2:], strict=True):
                        np.testing.assert_array_equal(one, other)
        finally:
            module.PIECE = usual
        (gz,) = pool_back(gy)
        wanted = y, *conv_back(gz), *([None] if arrays[2] is None else [])
    close = 1e-4 if y.dtype == np.float32 else 1e-10
    for want, got, again in zip(wanted, *found, strict=True):
        if want is None:
            assert got is None
            continue
        np.testing.assert_array_equal(got, again, "any number of threads gives the same bits")
        assert got.dtype == want.dtype
        np.testing.assert_allclose(got, want, rtol=close, atol=close * max(1, np.abs(want).max(initial=0)))


def test_nan_wins():
    x = np.zeros((3, 6, 6, 1), np.float32)
    x[1, 2, 3] = np.nan
    both = pooled_conv(cx.conv2d, (x, np.ones((1, 1, 1, 1), "f")), {"activation": "relu"}, cx.pool2d, (2,), {})
    assert np.isnan(both.y).sum() == 1
    gx, _, _ = both.gradients(np.ones_like(both.y), True)
    assert gx[1, 2, 3] == 1
    assert gx[1, 2, 2] == 0


@pytest.mark.parametrize(
    ("arrays", "options", "pooling"),
    [
        ("ff", {"layout": "channels_first"}, {"layout": "channels_first"}),
        ("fd", {}, {}),
        ("ii", {}, {}),
        ("ff", {"padding": 1, "padding_mode": "globe"}, {}),
        ("ff", {}, {"kind": "avg"}),
        ("ff", {}, {"layout": "channels_first"}),
        ("ff", {}, {"padding_mode": "globe", "padding": 1}),
    ],
)
def test_what_it_leaves_to_the_two(arrays, options, pooling):
    x, filters = np.ones((2, 8, 8, 8), arrays[0]), np.ones((8, 3, 3, 8), arrays[1])
    if "layout" in options:
        filters = np.ones((8, 8, 3, 3), arrays[1])
    assert pooled_conv(cx.conv2d, (x, filters), options, cx.pool2d, (2,), pooling) is None


def test_large_filters_are_not_taken_in_pieces():
    """Each piece has a gradient of all of them."""
    x, filters = np.ones((40, 8, 8, 128), np.float32), np.ones((128, 3, 3, 128), np.float32)
    assert pooled_conv(cx.conv2d, (x, filters), {}, cx.pool2d, (2,), {})._step > 40


@pytest.mark.parametrize("pool", [nn.MaxPool2D((1, 2)), nn.MaxPool1D(2)])
def test_a_pooling_of_another_rank(pool):
    net = nn.Sequential(nn.Conv1D(4, 3), pool).build((10, 2))
    x = rng.standard_normal((5, 10, 2)).astype(np.float32)
    y, back = net.vjp(x)
    np.testing.assert_allclose(y, net(x), rtol=1e-6)
    assert back(np.ones_like(y))[0].shape == x.shape


@pytest.mark.parametrize("activation", [None, "relu"])
def test_gradients_that_are_none(activation):
    net = nn.Sequential(nn.Conv2D(4, 3, padding=1, activation=activation), nn.MaxPool2D(2)).build((8, 8, 1))
    y, back = net.vjp(np.ones((2, 8, 8, 1), np.float32))
    for shape in ((2, 4, 16, 1), (128,), (3, 4, 4, 4)):
        with pytest.raises(ValueError, match=r"gy must have the shape of the result, \(2, 4, 4, 4\)"):
            back(np.ones(shape, np.float32))
    with pytest.raises(TypeError, match="gy"):
        back(y.astype(complex))


def test_a_rectifier_is_the_one_that_the_layer_was_given():
    net = nn.Sequential(nn.Conv2D(4, 3), nn.Activation(cx.activation("relu")), nn.MaxPool2D(2)).build((8, 8, 1))
    x = rng.standard_normal((2, 8, 8, 1)).astype(np.float32)
    want = net(x)
    with cx.activations.temporarily("relu", lambda x: -x):
        y, back = net.vjp(x)
        gx, _ = back(np.ones_like(y))
    np.testing.assert_allclose(y, want, rtol=1e-6)
    np.testing.assert_array_equal(gx, net.vjp(x)[1](np.ones_like(y))[0])


def test_what_lies_between_is_never_whole():
    net = cx.Sequential(cx.Conv2D(32, 3, padding=1, activation="relu"), cx.MaxPool2D(4)).build((64, 64, 1))
    x = np.ones((64, 64, 64, 1), np.float32)
    between = 64 * 64 * 64 * 32 * 4

    def step():
        y, back = net.vjp(x)
        back(np.ones_like(y))

    assert peak(step) < between / 2
    y, back = net.vjp(x)
    with pytest.raises(ValueError, match="shape"):
        back(np.ones((64, 64, 64, 32), np.float32))
    once = back(np.ones_like(y))
    for one, other in zip(once[1].values(), back(np.ones_like(y))[1].values(), strict=True):
        np.testing.assert_array_equal(one, other)
