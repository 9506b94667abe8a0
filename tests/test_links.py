"""Layers as links of a frozen network: what reads what, and in which layout."""

import numpy as np
import pytest

import pyconvx as cx
from pyconvx import _core, nn
from pyconvx._core import Row
from pyconvx.nn.chain import Chain
from pyconvx.nn.layout import Exchange, channels_last_inside

rng = np.random.default_rng(21)


def ready(net, *shape, dtype="float32"):
    """A frozen copy that is ready for x, and x."""
    fast = net.freeze()
    x = rng.standard_normal((3, *(shape or net.input_shape))).astype(dtype)
    for _ in range(2):
        fast(x)
    return fast, x


def links_of(fast):
    """(reads, adds) of each segment of a network that is ready for one form of x; a layer that is none in between."""
    (parts,) = fast.chain._known.values()
    return [
        pair
        for part in parts
        for pair in (
            [(each.reads, each.adds) for each in part.segments] if hasattr(part, "segments") else [type(part).__name__]
        )
    ]


def conv(filters, size=3, **options):
    return nn.Conv2D(filters, size, padding="same", **options)


def test_a_residual_block_is_links_of_the_chain():
    net = nn.Sequential(
        conv(4), nn.Residual(conv(4, activation="relu"), conv(4)), nn.Activation("relu"), nn.MaxPool2D(2)
    )
    fast, x = ready(net.build((8, 8, 2)))
    assert links_of(fast) == [([-1, 0, 1, 2, 3], [None, None, None, 0, None])]
    np.testing.assert_allclose(fast(x), net(x), atol=1e-5)


BLOCKS = {  # for any number of channels: layers, and what their links read and add
    "first": ([nn.Residual(conv(2))], [-1, 0], [None, -1]),
    "with a shortcut": ([nn.Residual(conv(5), shortcut=nn.Conv2D(5, 1))], [-1, -1, 0], [None, None, 1]),
    "around nothing": ([nn.Residual()], [-1], [-1]),
    "nested": ([nn.Residual(nn.Residual(conv(2)), conv(2))], [-1, 0, 1, 2], [None, -1, None, -1]),
    "activated within": ([nn.Residual(nn.Residual(conv(2)), nn.Activation("tanh"))], [-1, 0, 1], [None, -1, -1]),
    "read before it is activated": (
        [nn.Residual(conv(2)), nn.Residual(nn.Activation("tanh"))],
        [-1, 0, 1, 2],
        [None, -1, None, 1],
    ),
    "read twice within": (
        [nn.Residual(nn.Residual(conv(2)), nn.Residual(nn.Activation("tanh"), conv(2)))],
        [-1, 0, 1, 2, 3, 4],
        [None, -1, None, None, 1, -1],
    ),
    "three in parallel": (
        [nn.Parallel(conv(3), conv(3), conv(3), merge="add")],
        [-1, -1, -1, 0, 3],
        [None, None, None, 1, 2],
    ),
    "activated twice": (
        [nn.Residual(conv(2)), nn.Activation("relu"), nn.Activation("tanh")],
        [-1, 0, 1],
        [None, -1, None],
    ),
}


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("name", BLOCKS)
def test_what_links_read(name, threads):
    layers, reads, adds = BLOCKS[name]
    net = nn.Sequential(*layers).build((7, 6, 2))
    with cx.threads(threads):
        fast, x = ready(net)
        assert links_of(fast) == [(reads, adds)]
        np.testing.assert_allclose(fast(x), net(x), atol=1e-5)


def test_large_maps_lie_in_as_few_blocks_as_are_read_at_a_time(monkeypatch):
    from pyconvx.nn import pieces

    monkeypatch.setattr(pieces, "APART", 0)
    net = nn.Sequential(conv(2), *[nn.Residual(conv(2), conv(2)) for _ in range(4)], conv(2)).build((9, 9, 2))
    with cx.threads(1):
        fast, x = ready(net)
    (memory,) = fast.chain._free  # the shortcut, what is read and what is filled:
    assert sum(name.startswith("large") for name in memory._blocks) == 3
    np.testing.assert_allclose(fast(x), net(x), atol=1e-5)


@pytest.mark.parametrize("activation", ["odd", "softmax"])
def test_only_a_compiled_activation_of_elements_is_done_with_a_sum(activation):
    with cx.activations.temporarily("odd", lambda x: x * x):
        net = nn.Sequential(nn.Residual(conv(2)), nn.Activation(activation)).build((6, 6, 2))
        fast, x = ready(net)
        assert links_of(fast) == [([-1, 0, 1], [None, -1, None])]
        np.testing.assert_allclose(fast(x), net(x), atol=1e-5)


class Halved(nn.Activation):
    """An activation with a rule of its own."""

    def forward(self, x, run):
        return super().forward(x, run) / 2


def test_a_block_with_a_layer_that_is_not_known_is_done_as_before():
    net = nn.Sequential(nn.Residual(conv(2), Halved("relu")), nn.Residual(conv(2))).build((6, 6, 2))
    fast, x = ready(net)
    assert links_of(fast) == ["Residual", ([-1, 0], [None, -1])]
    np.testing.assert_allclose(fast(x), net(x), atol=1e-5)


def test_a_sum_of_infinities_is_that_of_the_network():
    net = nn.Sequential(nn.Residual(conv(2))).build((20, 20, 2))
    fast, x = ready(net)
    x[1, 4, 5, 1], x[2, 3, 3, 0] = np.inf, np.nan
    with np.errstate(invalid="ignore"):  # infinities of either sign
        np.testing.assert_allclose(fast(x), net(x), atol=1e-5)


FIRST = {"layout": "channels_first"}


def first(*layers):
    return nn.Sequential(*layers).build((3, 8, 8))


NETS = {  # channels first, with the kinds of layers that are done in place of them
    "two": (lambda: first(conv(4, **FIRST), conv(5, **FIRST)), "ECCE"),
    "flattened": (lambda: first(conv(4, **FIRST), conv(5, **FIRST), nn.Flatten(), nn.Dense(3)), "ECCEFD"),
    "pooled": (
        lambda: first(
            conv(4, **FIRST), nn.MaxPool2D(2, **FIRST), conv(5, **FIRST), nn.GlobalPool(**FIRST), nn.Dense(3)
        ),
        "ECMCGED",
    ),
    "activated": (
        lambda: first(conv(4, **FIRST), nn.BatchNorm(**FIRST), nn.Activation("tanh"), conv(5, **FIRST)),
        "ECCE",
    ),
    "softmax": (lambda: first(conv(4, **FIRST), nn.Activation("softmax", **FIRST), conv(5, **FIRST)), "ECCE"),
    "another axis": (lambda: first(conv(4, **FIRST), nn.Activation("softmax"), conv(5, **FIRST)), "ECEAECE"),
    "padded": (lambda: first(conv(4, **FIRST), nn.Pad(1, "reflect", **FIRST), conv(5, **FIRST)), "ECPCE"),
    "residual": (
        lambda: first(
            conv(4, **FIRST),
            nn.Residual(conv(4, **FIRST), nn.BatchNorm(**FIRST)),
            nn.Activation("relu"),
        ),
        "ECRAE",
    ),
    "with a shortcut": (
        lambda: first(nn.Residual(conv(5, **FIRST), shortcut=nn.Conv2D(5, 1, **FIRST))),
        "ERE",
    ),
    "in parallel": (
        lambda: first(nn.Parallel(conv(2, **FIRST), conv(3, **FIRST), **FIRST), conv(2, **FIRST)),
        "EPCE",
    ),
    "nested": (lambda: first(nn.Residual(nn.Residual(conv(3, **FIRST), conv(3, **FIRST)))), "ERE"),
    "of its own": (lambda: first(conv(4, **FIRST), Halved("relu"), conv(5, **FIRST)), "ECEHECE"),
    "one": (lambda: first(conv(4, **FIRST), nn.MaxPool2D(2, **FIRST)), "CM"),
    "channels last": (lambda: nn.Sequential(conv(4), conv(3)).build((8, 8, 3)), "CC"),
}


@pytest.mark.parametrize("name", NETS)
def test_channels_first_is_done_with_channels_last_inside(name):
    make, letters = NETS[name]
    net = make()
    for _, array in {**net.params, **net.state}.items():
        array[...] = rng.uniform(0.3, 1.1, array.shape)
    fast, x = ready(net)
    assert "".join(repr(layer)[0] for layer in fast.chain.inside) == letters
    once = net.freeze()(x)
    np.testing.assert_array_equal(fast(x), once)
    np.testing.assert_allclose(once, net(x), rtol=1e-4, atol=1e-5)
    assert once.flags.c_contiguous
    for layer, given in zip(fast.layers, net.freeze().layers, strict=True):
        assert repr(layer) == repr(given)  # nobody sees what is done inside


def test_what_the_network_refuses_is_told_of_its_own_layers():
    net = NETS["two"][0]()
    fast = net.freeze()
    for shape in ((2, 5, 8, 8), (2, 3, 8), (3, 8, 8)):
        with pytest.raises(ValueError, match=r"layer|shape|fit") as expected:
            net(np.ones(shape, np.float32))
        for _ in range(3):
            with pytest.raises(ValueError, match=r"layer|shape|fit") as found:
                fast(np.ones(shape, np.float32))
            assert str(found.value) == str(expected.value)


@pytest.mark.parametrize("dtype", ["float16", "float64", "int32", ">f4"])
def test_other_numbers_go_through_the_same_layers(dtype):
    net = NETS["residual"][0]()
    fast = net.freeze()
    x = (rng.standard_normal((2, 3, 8, 8)) * 4).astype(dtype)
    for _ in range(3):
        y = fast(x)
        assert y.dtype == net(x).dtype
        np.testing.assert_allclose(y, net(x), rtol=2e-2 if dtype == "float16" else 1e-4, atol=1e-2)


def test_an_exchange_is_undone_by_the_other():
    for shape in ((2, 3, 5), (1, 4, 3, 2), (2, 3, 4, 2, 5)):
        x = rng.standard_normal(shape)
        last = nn.Sequential(Exchange("channels_last"))
        np.testing.assert_array_equal(last(x), np.moveaxis(x, 1, -1))
        np.testing.assert_array_equal(nn.Sequential(Exchange("channels_first"))(last(x)), x)
    flat = rng.standard_normal((2, 3))
    assert nn.Sequential(Exchange("channels_last"))(flat) is flat


def test_layers_are_turned_once_and_only_where_they_are_run():
    fast = nn.Sequential(conv(2, **FIRST), nn.Residual(conv(2, **FIRST))).build((2, 5, 5)).freeze()
    assert fast.chain._inside is None
    inside = fast.chain.inside
    assert fast.chain.inside is inside
    assert channels_last_inside(inside) is inside
    assert Chain(inside).inside is inside


@pytest.mark.parametrize("isa", _core.supported())
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("n", [1, 7, 16, 40_000])
@pytest.mark.parametrize("threads", [1, 2, 3])
def test_a_sum_and_its_activation(threads, n, dtype, isa):
    x, other = rng.standard_normal((2, 3, n)).astype(dtype)
    with _core.using(isa):
        for name, params in ((None, ()), ("relu", ()), ("leaky_relu", (0.25,))):
            kernel, y = _core.kernels.Activate(name, params, x.shape, x.dtype, threads), np.empty_like(x)
            assert kernel.adds
            assert kernel.runs
            for added in (other, None) if name else (other,):
                kernel.fill(x, added, y)
                want = x if added is None else x + added
                np.testing.assert_array_equal(
                    y, want if name is None else np.where(want > 0, want, want * want.dtype.type(sum(params)))
                )


def test_a_plugin_sums_nothing():
    assert not _core.kernels.Activate("glu", (), (4, 6), np.dtype("float32"), 1).adds


def test_a_row_reads_only_what_was_filled_before():
    kernel = _core.kernels.Activate("relu", (), (2, 4), np.dtype("float32"), 1)
    maps = [np.zeros((2, 4), np.float32)]
    for reads, biases in (([0, 0], [None, None]), ([-1, 1], [None, None]), ([-2, 0], [None, None]), ([-1, 0], [0, 1])):
        with pytest.raises(ValueError, match="reads map"):
            Row([kernel, kernel], biases, maps, reads)
    with pytest.raises(ValueError, match="1 reads"):
        Row([kernel, kernel], [None, None], maps, [-1])
