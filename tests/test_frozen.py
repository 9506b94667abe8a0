"""Frozen networks: what they leave out, what they put together, and the memory they keep."""

import pickle
import threading

import numpy as np
import pytest
from hypothesis import given, reject, settings
from hypothesis import strategies as st
from memory import peak

import pyconvx as cx
from pyconvx import nn
from pyconvx.nn import chain

rng = np.random.default_rng(5)
KINDS = ["conv", "conv", "depthwise", "separable", "transpose", "pool", "adaptive", "pad", "norm", "act", "group"]


@st.composite
def networks(draw):
    """A network for pictures, built, in which every kind of layer may be."""
    layout = draw(st.sampled_from(["channels_last", "channels_first"]))
    first = {"layout": layout}
    activations = st.sampled_from([None, "relu", "gelu", "softmax", "odd", cx.activation("leaky_relu", alpha=0.2)])
    layers, flat = [], False
    for _ in range(draw(st.integers(1, 6))):
        kind = draw(st.sampled_from(KINDS))
        if kind == "conv":
            options = {
                "padding_mode": draw(st.sampled_from(["zeros", "reflect", "globe"])),
                "bias": draw(st.booleans()),
            }
            size = draw(st.sampled_from([1, 3, 5]))
            layers.append(
                nn.Conv2D(
                    draw(st.integers(1, 20)), size, padding="same", activation=draw(activations), **options, **first
                )
            )
        elif kind == "depthwise":
            layers.append(nn.DepthwiseConv2D(draw(st.sampled_from([3, 15])), padding="same", **first))
        elif kind == "separable":
            layers.append(
                nn.SeparableConv2D(draw(st.integers(1, 6)), 3, padding="same", activation=draw(activations), **first)
            )
        elif kind == "transpose":
            layers.append(nn.ConvTranspose2D(draw(st.integers(1, 5)), 2, activation=draw(activations), **first))
        elif kind == "pool":
            pooling = draw(st.sampled_from(["max", "avg", "lp", "median"]))
            layers.append(nn.Pool2D(2, pooling, stride=1, padding=1, **first))
        elif kind == "adaptive":
            layers.append(nn.AdaptivePool2D(draw(st.integers(4, 7)), **first))
        elif kind == "pad":
            layers.append(nn.Pad(1, draw(st.sampled_from(["edge", "wrap"])), **first))
        elif kind == "norm":
            layers.append(nn.BatchNorm(**first))
        elif kind == "act":
            layers.append(nn.Activation(draw(st.sampled_from(["tanh", "odd", "softmax"])), **first))
        else:
            inner = nn.Conv2D(4, 3, padding="same", **first)
            layers.append(
                draw(st.sampled_from([nn.Residual(nn.BatchNorm(**first)), nn.Parallel(inner, **first), nn.Dropout()]))
            )
    if draw(st.booleans()):
        layers.append(nn.GlobalPool(**first) if draw(st.booleans()) else nn.Flatten())
        flat = True
    if flat:
        layers += [nn.Dense(draw(st.integers(1, 30)), activation=draw(activations)), nn.BatchNorm(), nn.Dense(3)]
    shape = (8, 8, 2) if layout == "channels_last" else (2, 8, 8)
    net = nn.Sequential(*layers).build(shape, dtype=draw(st.sampled_from(["float32", "float64"])))
    for name, array in {**net.params, **net.state}.items():
        spread = np.random.default_rng(3).uniform(0.5, 1.5, array.shape)
        array[...] = spread if name.endswith(("variance", "scale")) else array + spread - 1
    return net


@pytest.fixture(autouse=True)
def odd():
    """An activation that is no more than a function of Python."""
    with cx.activations.temporarily("odd", lambda x: x * x - x):
        yield


@settings(deadline=None, max_examples=100)
@given(networks(), st.integers(1, 9), st.sampled_from([2**9, 2**12, 2**20]))
def test_the_same_in_pieces_with_any_number_of_threads(net, n, piece):
    x = rng.standard_normal((n, *net.input_shape)).astype(next(iter(net.params.values()), np.float32(1)).dtype)
    try:
        want, results = net(x), []
    except ValueError as error:
        if "pole" in str(error):  # a globe has an even number of longitudes
            reject()
        raise
    most = chain.PIECE
    try:
        for threads, size in ((1, most), (1, piece), (2, piece), (3, piece)):
            chain.PIECE = size
            fast = net.freeze()
            with cx.threads(threads):
                first, second = fast(x), fast(x)
            np.testing.assert_array_equal(first, second)
            assert np.may_share_memory(first, x) or not np.may_share_memory(first, second)
            results.append(first)
    finally:
        chain.PIECE = most
    assert all(np.array_equal(results[0], result, equal_nan=True) for result in results[1:])
    tolerance = 1e-3 if x.dtype == np.float32 else 1e-9
    np.testing.assert_allclose(results[0], want, rtol=tolerance, atol=tolerance * np.abs(want).max(initial=1))
    assert results[0].dtype == want.dtype


def pictures_net():
    """Two convolutions and two dense layers, whose maps of some samples are several pieces."""
    return nn.Sequential(
        nn.Conv2D(16, 3, padding=1, activation="relu"),
        nn.MaxPool2D(2),
        nn.Conv2D(24, 3, padding=1, activation="relu"),
        nn.MaxPool2D(2),
        nn.Flatten(),
        nn.Dense(12, activation="relu"),
        nn.Dense(5),
    ).build((32, 32, 3))


def test_maps_are_kept_between_calls_and_results_are_not():
    net = pictures_net()
    fast, x = net.freeze(), rng.standard_normal((40, 32, 32, 3)).astype(np.float32)
    first = fast(x)
    kept = first.copy()
    most = peak(lambda: fast(x))
    assert most < 2**15, "one map of a sample has 2**16 bytes"
    fast(2 * x)
    np.testing.assert_array_equal(first, kept)
    large = np.zeros((400, 32, 32, 3), np.float32)
    assert peak(lambda: fast(large)) < 400 * 2**16 / 3, "pieces, not maps of the whole batch"


def test_a_result_that_is_a_view_is_the_callers():
    fast = nn.Sequential(nn.Conv2D(4, 3), nn.MaxPool2D(2), nn.Flatten()).build((8, 8, 1)).freeze()
    x = np.ones((2, 8, 8, 1), np.float32)
    first, kept = fast(x), fast(x).copy()
    fast(2 * x)
    np.testing.assert_array_equal(first, kept)


def test_no_layer_that_may_keep_it_is_given_memory_that_is_used_again():
    class Recorder(nn.Layer):
        def output_shape(self, input_shape):
            return input_shape

        def forward(self, x, run):
            seen.append(x)
            return x

    seen = []
    net = nn.Sequential(nn.Conv2D(4, 3), nn.MaxPool2D(2), Recorder(), nn.Flatten(), nn.Dense(2)).build((8, 8, 1))
    x = rng.standard_normal((2, 8, 8, 1)).astype(np.float32)
    fast = net.freeze()
    np.testing.assert_allclose(fast(x), net(x), rtol=1e-5)
    kept = seen[0].copy()
    fast(2 * x)
    np.testing.assert_array_equal(seen[0], kept)


def test_many_threads_use_one_frozen_network():
    fast = pictures_net().freeze()
    xs = [rng.standard_normal((n, 32, 32, 3)).astype(np.float32) for n in (1, 3, 24, 40, 1, 8)]
    want, wrong = [fast(x) for x in xs], []

    def work(x, y):
        wrong.extend(1 for _ in range(20) if not np.array_equal(fast(x), y))

    workers = [threading.Thread(target=work, args=pair) for pair in zip(xs, want, strict=True)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert not wrong


def test_a_frozen_network_is_pickled():
    fast, x = pictures_net().freeze(), np.ones((2, 32, 32, 3), np.float32)
    want = fast(x)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(fast))(x), want)


@pytest.mark.parametrize(
    "base", [nn.Conv2D, nn.Dense, nn.BatchNorm, nn.Activation, nn.Dropout, nn.MaxPool2D, nn.Sequential]
)
def test_a_layer_of_a_derived_class_does_what_that_says(base):
    class Double(base):
        def forward(self, x, run):
            return 2 * super().forward(x, run)

    arguments = {nn.Conv2D: (3, 3), nn.Dense: (3,), nn.Activation: ("relu",), nn.Dropout: (0.5,), nn.MaxPool2D: (2,)}
    layer = Double(nn.BatchNorm()) if base is nn.Sequential else Double(*arguments.get(base, ()))
    before = nn.Dense(4) if base in (nn.Dense, nn.BatchNorm, nn.Activation) else nn.Conv2D(4, 3)
    net = nn.Sequential(before, layer, nn.BatchNorm()).build((6,) if isinstance(before, nn.Dense) else (8, 8, 2))
    net.params["2.shift"][:] = 1
    x = rng.standard_normal((3, *net.input_shape)).astype(np.float32)
    np.testing.assert_allclose(net.freeze()(x), net(x), rtol=1e-4, atol=1e-5)


def test_arrays_of_other_forms():
    net = pictures_net()
    fast, x = net.freeze(), rng.integers(0, 255, (4, 32, 32, 3))
    for array in (
        x,
        x.astype("u1"),
        x.astype(">f4"),
        x.astype(float),
        x.astype("f")[::2],
        x.astype("f")[..., ::-1],
        x[:0],
    ):
        want, got = net(array), fast(array)
        np.testing.assert_allclose(got, want, rtol=1e-3, atol=1e-3)
        assert got.dtype == want.dtype
    for wrong in (x[..., :2], x[:, :30], x[0]):
        with pytest.raises(ValueError, match=r"channels|features|shape") as error:
            net(wrong)
        with pytest.raises(ValueError, match=r"channels|features|shape") as other:
            fast(wrong)
        assert str(other.value)[:20] == str(error.value)[:20]


def test_what_a_name_stands_for_may_change():
    net = nn.Sequential(nn.Conv2D(4, 3, activation="odd"), nn.MaxPool2D(2)).build((8, 8, 1))
    fast, x = net.freeze(), rng.standard_normal((2, 8, 8, 1)).astype(np.float32)
    before = fast(x)
    with cx.activations.temporarily("odd", lambda x: -x):
        np.testing.assert_allclose(fast(x), net(x), rtol=1e-5)
    np.testing.assert_array_equal(fast(x), before)
