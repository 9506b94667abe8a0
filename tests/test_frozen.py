"""Frozen networks: what they leave out, what they put together, and the memory they keep."""

import copy
import operator
import pickle
from functools import partial

import numpy as np
import pytest
from hypothesis import given, reject, settings
from hypothesis import strategies as st
from memory import peak
from networks import pictures_net
from threads import together

import pyconvx as cx
from pyconvx import nn
from pyconvx.nn import chain, pieces
from pyconvx.nn.prepared import Prepared

rng = np.random.default_rng(5)
KINDS = ["conv", "conv", "depthwise", "separable", "transpose", "pool", "adaptive", "pad", "norm", "act", "group"]


@st.composite
def groups(draw, first, activation):
    """One group of layers, or a few, for any number of channels."""
    convolution = partial(nn.Conv2D, 4, 3, padding="same", **first)
    keeping = partial(nn.DepthwiseConv2D, 3, padding="same", **first)
    make = draw(
        st.sampled_from(
            [
                lambda: [nn.Residual(nn.BatchNorm(**first))],
                lambda: [nn.Parallel(convolution(), **first)],
                lambda: [nn.Parallel(convolution(), nn.Conv2D(3, 1, **first), **first)],
                lambda: [nn.Dropout(), nn.Sequential(convolution(), nn.Sequential())],
                lambda: [nn.Residual(keeping()), nn.Activation(activation or "relu", **first)],
                lambda: [nn.Residual(nn.Residual(keeping()), nn.Residual(nn.Activation("relu"), keeping()))],
                lambda: [nn.Residual(nn.Sequential(), nn.Activation("tanh"), keeping(), nn.Activation("relu"))],
                lambda: [nn.Parallel(convolution(), convolution(), nn.Conv2D(4, 1, **first), merge="add")],
                lambda: [nn.Residual(convolution(), nn.Activation("odd"), shortcut=nn.Conv2D(4, 1, **first))],
                lambda: [nn.Residual(), nn.Activation("relu"), nn.Residual(nn.Pool2D(3, stride=1, padding=1, **first))],
            ]
        )
    )
    return make()


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
            layers += draw(groups(first, draw(activations)))
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
@given(networks(), st.integers(1, 9), st.sampled_from([2**9, 2**12, 2**20]), st.sampled_from([1, 1000]))
def test_the_same_in_pieces_with_any_number_of_threads(net, n, piece, scale):
    x = rng.standard_normal((n, *net.input_shape)).astype(next(iter(net.params.values()), np.float32(1)).dtype)
    x[::3] *= scale  # what is done for a sample must not depend on the others
    try:
        want, results = net(x), []
    except ValueError as error:
        if "pole" in str(error):  # a globe has an even number of longitudes
            reject()
        raise
    most = pieces.PIECE
    try:
        for threads, size in ((1, most), (1, piece), (2, piece), (3, piece)):
            pieces.PIECE = size
            fast = net.freeze()
            with cx.threads(threads):
                layers, first, second = fast(x), fast(x), fast(x)  # it makes itself ready at the second call
            np.testing.assert_array_equal(layers, first)
            np.testing.assert_array_equal(first, second)
            assert np.may_share_memory(first, x) or not np.may_share_memory(first, second)
            results.append(first)
    finally:
        pieces.PIECE = most
    assert all(np.array_equal(results[0], result, equal_nan=True) for result in results[1:])
    tolerance = 1e-3 if x.dtype == np.float32 else 1e-9
    np.testing.assert_allclose(results[0], want, rtol=tolerance, atol=tolerance * np.abs(want).max(initial=1))
    assert results[0].dtype == want.dtype


def test_maps_are_kept_between_calls_and_results_are_not():
    net = pictures_net(12, 5)
    fast, x = net.freeze(), rng.standard_normal((40, 32, 32, 3)).astype(np.float32)
    first, kept = [fast(x) for _ in range(3)][-1], fast(x).copy()
    most = peak(lambda: fast(x))
    assert most < 2**15, "one map of a sample has 2**16 bytes"
    fast(2 * x)
    np.testing.assert_array_equal(first, kept)
    large = np.zeros((400, 32, 32, 3), np.float32)
    fast(large)
    assert peak(lambda: fast(large)) < 400 * 2**16 / 3, "pieces, not maps of the whole batch"


def test_a_result_that_is_a_view_is_the_callers():
    fast = nn.Sequential(nn.Conv2D(4, 3), nn.MaxPool2D(2), nn.Flatten()).build((8, 8, 1)).freeze()
    x = np.ones((2, 8, 8, 1), np.float32)
    fast(x)
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
    seen.clear()
    fast(x)
    kept = seen[0].copy()
    fast(2 * x)
    np.testing.assert_array_equal(seen[0], kept)


def test_many_threads_use_one_frozen_network():
    fast = pictures_net(12, 5).freeze()
    xs = [rng.standard_normal((n, 32, 32, 3)).astype(np.float32) for n in (1, 3, 24, 40, 1, 8)]
    want, wrong = [fast(x) for x in xs], []

    def work(pair):
        x, y = pair
        wrong.extend(1 for _ in range(20) if not np.array_equal(fast(x), y))

    together(work, *zip(xs, want, strict=True))
    assert not wrong


def test_a_frozen_network_is_pickled():
    fast, x = pictures_net(12, 5).freeze(), np.ones((2, 32, 32, 3), np.float32)
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
    net = pictures_net(12, 5)
    fast, x = net.freeze(), rng.integers(0, 255, (4, 32, 32, 3))
    for array in (
        x,
        x.astype("u1"),
        x.astype(">f4"),
        x.astype(float),
        x.astype("f")[::2],
        x.astype("f")[..., ::-1],
        x[:0],
        x.astype("f")[:0],
    ):
        want, _ = net(array), fast(array)
        for got in (fast(array), fast(array)):
            np.testing.assert_allclose(got, want, rtol=1e-3, atol=1e-3)
            assert got.dtype == want.dtype
    for wrong in (x[..., :2], x[:, :30], x[0]):
        with pytest.raises(ValueError, match=r"channels|features|shape") as error:
            net(wrong)
        with pytest.raises(ValueError, match=r"channels|features|shape") as other:
            fast(wrong)
        assert str(other.value)[:20] == str(error.value)[:20]


def test_tiles_of_a_sample_are_compared_with_its_own():
    """Winograd's algorithm leaves tiles that are far larger than usual to another one."""
    net = nn.Sequential(nn.Conv2D(16, 3), nn.Conv2D(16, 3)).build((40, 40, 16))
    x = rng.standard_normal((16, 40, 40, 16)).astype(np.float32)
    x[[1, 4, 9, 12]] *= 1000
    x[2, 20, 20] *= 1000
    fast, results = net.freeze(), []
    for threads in (1, 1, 2, 2, 8, 8):
        with cx.threads(threads):
            results.append(fast(x))
    alone = np.concatenate([fast(x[i : i + 1]) for i in range(16)])
    for result in results:
        np.testing.assert_array_equal(result, alone)


def test_a_pooling_of_more_axes_takes_no_batches():
    net = nn.Sequential(nn.Pool3D((2, 2, 1), layout="channels_first"), nn.Activation("relu"))
    x = rng.standard_normal((40, 8, 8, 2)).astype(np.float32)
    net(x)
    fast = net.freeze()
    for _ in range(3):
        np.testing.assert_array_equal(fast(x), net(x))


def test_layers_that_are_replaced_are_not_those_of_before():
    net = nn.Sequential(nn.MaxPool2D(2), nn.Activation("relu")).build((6, 6, 1))
    fast, x = net.freeze(), rng.standard_normal((2, 6, 6, 1)).astype(np.float32)
    other = fast.replace(kind="avg")
    for _ in range(3):
        fast(x)
        np.testing.assert_allclose(other(x), net.replace(kind="avg")(x), rtol=1e-6)


def test_parameters_stay():
    fast = pictures_net(12, 5).freeze()
    for change in (
        lambda: fast.params.update({}) or fast.params.__setitem__("0.bias", np.zeros(16, "f")),
        lambda: setattr(fast, "params", dict(fast.params)),
        lambda: fast.params["5.weights"].fill(0),
        lambda: fast.params["0.filters"].fill(0),
    ):
        with pytest.raises(ValueError, match=r"frozen|read-only"):
            change()


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda net: pickle.loads(pickle.dumps(net))])
def test_parameters_of_copies_stay(copied):
    fast = copied(nn.Sequential(nn.BatchNorm(), nn.Conv2D(4, 3), nn.Flatten(), nn.Dense(2)).build((8, 8, 1)).freeze())
    x = rng.standard_normal((2, 8, 8, 1)).astype(np.float32)
    before = [fast(x) for _ in range(3)][-1]
    for change in (
        lambda: fast.params["1.filters"].fill(0),
        lambda: fast.params.__setitem__("0.scale", np.full(1, 3, np.float32)),
        lambda: setattr(fast, "params", {name: 3 * array for name, array in fast.params.items()}),
        lambda: operator.setitem(fast[1].params, "bias", np.ones(4, np.float32)),
    ):
        with pytest.raises((ValueError, TypeError), match=r"frozen|read-only|assignment"):
            change()
        np.testing.assert_array_equal(fast(x), before)
    again = fast.freeze()
    np.testing.assert_array_equal(again(x), before)


class Own(nn.Conv2D):
    """With options of its own."""

    def __init__(self, filters, **options):
        super().__init__(2 * filters, 3, padding="same", **options)


def test_a_class_with_a_constructor_of_its_own_is_folded():
    net = nn.Sequential(Own(4), nn.BatchNorm(), nn.Activation("relu"), nn.Conv2D(3, 1)).build((8, 8, 3))
    fast, x = net.freeze(), rng.standard_normal((2, 8, 8, 3)).astype(np.float32)
    assert len(fast.layers) == 2
    for _ in range(3):
        np.testing.assert_allclose(fast(x), net(x), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("n", [3, 5, 7])
def test_pieces_that_another_algorithm_would_do(n):
    """Fourier transforms pay for two of these samples, which they take at once, and not for one or three."""
    net = nn.Sequential(nn.DepthwiseConv2D(9, padding="same", activation="relu"), nn.MaxPool2D(2)).build((24, 24, 64))
    x = rng.standard_normal((n, 24, 24, 64)).astype(np.float32)
    fast, results = net.freeze(), []
    for threads in (1, 1, 2, 2, 3, 3):
        with cx.threads(threads):
            results.append(fast(x))
    for result in results[1:]:
        np.testing.assert_array_equal(result, results[0])


def test_as_many_forms_as_are_kept():
    fast = nn.Sequential(nn.Conv2D(2, 3), nn.MaxPool2D(2)).build((8, 8, 1)).freeze()
    for _ in range(2):
        for n in range(1, chain.MOST + 1):
            fast(np.ones((n, 8, 8, 1), np.float32))
    assert sum(parts is not None for parts in fast.chain._known.values()) == chain.MOST


class Normed(nn.Conv2D):
    def _arguments(self, x):
        return x, self.params["filters"] / 2, self.params["bias"]


class Lost(nn.Dense):
    def _sum(self, x):
        return 2 * super()._sum(x)


class Kept(nn.BatchNorm):
    def factors(self):
        raise AssertionError("is not asked")


class Usual(nn.Conv2D):
    """Of its own only in its options."""

    def __init__(self):
        super().__init__(3, 3, activation="relu")


def test_classes_that_change_a_step():
    net = nn.Sequential(Usual(), Normed(3, 1), Kept(), nn.GlobalPool(), Lost(3)).build((8, 8, 1))
    fast, x = net.freeze(), rng.standard_normal((2, 8, 8, 1)).astype(np.float32)
    for _ in range(3):
        np.testing.assert_allclose(fast(x), net(x), rtol=1e-5)
    assert [isinstance(layer, Prepared) for layer in fast] == [True, False, False, False, False]


def test_many_forms_in_turn_cost_no_more_than_they_did():
    """A form is made ready for once, and not at its first call."""
    net = nn.Sequential(nn.Conv2D(4, 3), nn.MaxPool2D(2), nn.Dropout(), nn.Flatten(), nn.Dense(2)).build((8, 8, 1))
    fast, made = net.freeze(), []

    def parts(self, x, usual=chain.Chain._parts):
        made.append(x.shape)
        return usual(self, x)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(chain.Chain, "_parts", parts)
        for n in range(1, 200):
            fast(np.ones((n, 8, 8, 1), np.float32))
        assert not made, "none has come twice"
        for n in [*range(1, 21)] * 4:
            fast(np.ones((n, 8, 8, 1), np.float32))
    assert len(made) == 20


def test_pieces_of_a_transposed_convolution():
    """Large kernels of single channels go through Fourier transforms where there is enough to do."""
    net = nn.Sequential(nn.ConvTranspose2D(8, 9, groups=8), nn.Activation("relu"), nn.MaxPool2D(2)).build((64, 64, 8))
    fast, x = net.freeze(), rng.standard_normal((64, 64, 64, 8)).astype(np.float32)
    results = []
    for threads in (1, 1, 2, 2):
        with cx.threads(threads):
            results.append(fast(x))
    assert any(parts is not None for parts in fast.chain._known.values())
    for result in results[1:]:
        np.testing.assert_array_equal(result, results[0])


def test_the_steps_of_a_separable_convolution_are_layers():
    net = nn.Sequential(nn.SeparableConv2D(4, 3), nn.GlobalPool()).build((8, 8, 2))
    fast, x = net.freeze(), np.ones((2, 8, 8, 2), np.float32)
    np.testing.assert_allclose(fast[1](fast[0](x)), net[0].freeze()(x), rtol=1e-6)
    assert fast[0].parameters + fast[1].parameters == net.parameters


def test_what_a_name_stands_for_may_change():
    net = nn.Sequential(nn.Conv2D(4, 3, activation="odd"), nn.MaxPool2D(2)).build((8, 8, 1))
    fast, x = net.freeze(), rng.standard_normal((2, 8, 8, 1)).astype(np.float32)
    before = fast(x)
    with cx.activations.temporarily("odd", lambda x: -x):
        np.testing.assert_allclose(fast(x), net(x), rtol=1e-5)
    np.testing.assert_array_equal(fast(x), before)


@pytest.mark.parametrize("layout", ["channels_last", "channels_first"])
def test_poolings_that_know_where_they_are_see_whole_batches(layout):
    """A piece of a batch would start to count anew."""

    def place(windows, index):
        return index.astype(windows.dtype) + 0 * windows[..., 0]

    first = {"layout": layout}
    shape = (32, 32, 8) if layout == "channels_last" else (8, 32, 32)
    x = rng.standard_normal((48, *shape)).astype(np.float32)
    with cx.poolings.temporarily("place", place, indexed=True):
        for kind in ("place", cx.pooling("stochastic", seed=3)):
            layers = nn.Conv2D(16, 3, padding="same", **first), nn.Pool2D(2, kind, **first), nn.Conv2D(8, 1, **first)
            net = nn.Sequential(*layers).build(shape)
            frozen, want = net.freeze(), net(x)
            for threads in (1, 2, 3, 1):
                with cx.threads(threads):
                    for _ in range(2):
                        np.testing.assert_allclose(frozen(x), want, rtol=1e-4, atol=1e-4)
