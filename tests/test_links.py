"""Layers as links of a frozen network: what reads what, and in which layout."""

import numpy as np
import pytest

import pyconvx as cx
from pyconvx import _core, nn
from pyconvx._core import Row
from pyconvx.nn import layout, links
from pyconvx.nn.chain import Chain
from pyconvx.nn.layout import Relayout, channels_last_inside

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
    "two": (lambda: first(conv(4, **FIRST), conv(5, **FIRST)), "RCCR"),
    "flattened": (lambda: first(conv(4, **FIRST), conv(5, **FIRST), nn.Flatten(), nn.Dense(3)), "RCCRFD"),
    "pooled": (
        lambda: first(
            conv(4, **FIRST), nn.MaxPool2D(2, **FIRST), conv(5, **FIRST), nn.GlobalPool(**FIRST), nn.Dense(3)
        ),
        "RCMCGRD",
    ),
    "activated": (
        lambda: first(conv(4, **FIRST), nn.BatchNorm(**FIRST), nn.Activation("tanh"), conv(5, **FIRST)),
        "RCCR",
    ),
    "softmax": (lambda: first(conv(4, **FIRST), nn.Activation("softmax", **FIRST), conv(5, **FIRST)), "RCCR"),
    "another axis": (lambda: first(conv(4, **FIRST), nn.Activation("softmax"), conv(5, **FIRST)), "RCRARCR"),
    "padded": (lambda: first(conv(4, **FIRST), nn.Pad(1, "reflect", **FIRST), conv(5, **FIRST)), "RCPCR"),
    "residual": (
        lambda: first(
            conv(4, **FIRST),
            nn.Residual(conv(4, **FIRST), nn.BatchNorm(**FIRST)),
            nn.Activation("relu"),
        ),
        "RCRAR",
    ),
    "with a shortcut": (
        lambda: first(nn.Residual(conv(5, **FIRST), shortcut=nn.Conv2D(5, 1, **FIRST))),
        "RRR",
    ),
    "in parallel": (
        lambda: first(nn.Parallel(conv(2, **FIRST), conv(3, **FIRST), **FIRST), conv(2, **FIRST)),
        "RPCR",
    ),
    "nested": (lambda: first(nn.Residual(nn.Residual(conv(3, **FIRST), conv(3, **FIRST)))), "RRR"),
    "of its own": (lambda: first(conv(4, **FIRST), Halved("relu"), conv(5, **FIRST)), "RCRHRCR"),
    "one": (lambda: first(conv(4, **FIRST), nn.MaxPool2D(2, **FIRST)), "CM"),
    "channels last": (lambda: nn.Sequential(conv(4), conv(3)).build((8, 8, 3)), "CC"),
}


@pytest.mark.parametrize("name", NETS)
def test_channels_first_is_done_with_channels_last_inside(name, monkeypatch):
    monkeypatch.setattr(layout, "MANY", 1)
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
        last = nn.Sequential(Relayout("channels_last"))
        np.testing.assert_array_equal(last(x), np.moveaxis(x, 1, -1))
        np.testing.assert_array_equal(nn.Sequential(Relayout("channels_first"))(last(x)), x)
    flat = rng.standard_normal((2, 3))
    assert nn.Sequential(Relayout("channels_last"))(flat) is flat


def test_layers_are_turned_once_and_only_where_they_are_run(monkeypatch):
    monkeypatch.setattr(layout, "MANY", 1)
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
            assert kernel.runs
            for added in (other, None) if name else (other,):
                kernel.fill(x, added, y)
                want = x if added is None else x + added
                np.testing.assert_array_equal(
                    y, want if name is None else np.where(want > 0, want, want * want.dtype.type(sum(params)))
                )


def test_a_row_reads_only_what_was_filled_before():
    kernel = _core.kernels.Activate("relu", (), (2, 4), np.dtype("float32"), 1)
    maps = [np.zeros((2, 4), np.float32)]
    for reads, biases in (([0, 0], [None, None]), ([-1, 1], [None, None]), ([-2, 0], [None, None]), ([-1, 0], [0, 1])):
        with pytest.raises(ValueError, match="reads map"):
            Row([kernel, kernel], biases, maps, reads)
    with pytest.raises(ValueError, match="1 reads"):
        Row([kernel, kernel], [None, None], maps, [-1])


def test_channels_last_is_not_worth_it_between_few_channels():
    few = first(*[conv(3, **FIRST) for _ in range(3)]).freeze()
    assert few.chain.inside is few.layers
    depthwise = first(*[nn.DepthwiseConv2D(3, padding="same", **FIRST) for _ in range(3)]).freeze()
    assert depthwise.chain.inside is depthwise.layers
    many = nn.Sequential(*[nn.DepthwiseConv2D(3, padding="same", **FIRST) for _ in range(2)]).build((16, 8, 8)).freeze()
    assert "".join(repr(layer)[0] for layer in many.chain.inside) == "RDDR"


def test_an_activation_that_comes_to_mean_something_else_is_looked_up_again():
    with cx.activations.temporarily("mine", lambda x: x * 2):
        layers = conv(16, **FIRST), nn.MaxPool2D(2, **FIRST), nn.Activation("mine"), conv(16, **FIRST)
        net = nn.Sequential(*layers).build((16, 8, 8))
        fast, x = ready(net, 16, 8, 8)
        np.testing.assert_allclose(fast(x), net(x), rtol=1e-4, atol=1e-4)
    with cx.activations.temporarily("mine", lambda x: x - x.mean(-1, keepdims=True), rowwise=True):
        np.testing.assert_allclose(fast(x), net(x), rtol=1e-4, atol=1e-4)
        np.testing.assert_allclose(net.freeze()(x), net(x), rtol=1e-4, atol=1e-4)
    net.freeze()  # which needs to know nothing of what the name means


def test_branches_of_a_group_that_is_no_link_are_made_ready(monkeypatch):
    monkeypatch.setattr(layout, "MANY", 1)
    net = first(nn.Parallel(nn.Sequential(conv(2, **FIRST), conv(3, **FIRST)), conv(2, **FIRST), **FIRST))
    fast, x = ready(net)
    (group,) = [layer for layer in fast.chain.inside if isinstance(layer, nn.Parallel)]
    assert all(branch.chain._known for branch in group.layers)
    np.testing.assert_allclose(fast(x), net(x), atol=1e-5)


def test_a_layer_tells_of_itself_what_is_wrong():
    layers = [nn.BatchNorm(**FIRST), conv(16, **FIRST), conv(16, **FIRST)]
    net = nn.Sequential(*layers).build((16, 8, 8))
    fast = net.freeze()
    x = np.ones((2, 12, 8, 8), np.float32)
    with pytest.raises(ValueError, match="built for 16 channels") as expected:
        net(x)
    for _ in range(3):
        with pytest.raises(ValueError, match="built for 16 channels") as found:
            fast(x)
        assert str(found.value) == str(expected.value)


@pytest.mark.parametrize("kind", [nn.DepthwiseConv2D, lambda *size, **options: nn.SeparableConv2D(3, *size, **options)])
@pytest.mark.parametrize("order", ["channels_last", "channels_first"])
def test_depthwise_filters_for_other_channels_are_refused(kind, order):
    """They might do for fewer groups: a frozen network would have made too small a result of that."""
    at, net = (-1 if order == "channels_last" else 1), nn.Sequential(kind(3, padding="same", layout=order))
    shape = [2, 9, 9, 9]
    shape[at] = 64
    net(np.ones(shape, np.float32))
    fast = net.freeze()
    for channels in (1, 8, 32, 128):
        shape[at] = channels
        x = np.ones(shape, np.float32)
        for _ in range(3):
            for each in (net, fast):
                with pytest.raises(ValueError, match=f"built for 64 channels, got {channels}|fit"):
                    each(x)
        with pytest.raises(ValueError, match=f"built for 64 channels, got {channels}|fit"):
            net.vjp(x)
    net.build((9, 9, 3) if order == "channels_last" else (3, 9, 9))


def test_memory_is_as_large_as_what_fills_it():
    class Wrong(nn.Pool2D):
        """A pooling that says less than it does."""

    links.OPERATIONS.add(Wrong)
    try:
        Wrong.output_shape = lambda self, shape: (1, 1, shape[-1])
        fast = nn.Sequential(Wrong(2))
        fast.chain = Chain(fast.layers)
        x = np.ones((4, 8, 8, 3), np.float32)
        for _ in range(3):
            assert fast(x).shape == (4, 4, 4, 3)
    finally:
        links.OPERATIONS.remove(Wrong)


def test_an_error_of_somebodys_layer_reaches_the_caller_and_it_runs_once():
    ran = []

    class Once(nn.Layer):
        """A layer that fails the first time."""

        def output_shape(self, input_shape):
            return input_shape

        def forward(self, x, run):
            ran.append(1)
            if len(ran) == 1:
                raise ValueError("the sensor is not there yet")
            return x

    own = Once()
    own.__post_init__()
    net = nn.Sequential(conv(8, **FIRST), own, conv(8, **FIRST)).build((8, 8, 8))
    fast, x = net.freeze(), np.ones((2, 8, 8, 8), np.float32)
    assert fast.chain.inside is not fast.layers
    with pytest.raises(ValueError, match="not there yet"):
        fast(x)
    assert len(ran) == 1
    np.testing.assert_allclose(fast(x), net(x), rtol=1e-4, atol=1e-6)


def test_a_name_that_is_not_there_any_more_is_told_of_in_its_turn():
    with cx.activations.temporarily("test:a", lambda x: x):
        layers = conv(8, **FIRST), nn.MaxPool2D(2, **FIRST), nn.Activation("test:a"), conv(8, **FIRST)
        net = nn.Sequential(*layers).build((8, 8, 8))
        fast = net.freeze()
    for shape, match in (((2, 7, 8, 8), "fit"), ((2, 8, 8, 8), "test:a")):
        for each in (net, fast):
            with pytest.raises(ValueError, match=match):
                each(np.ones(shape, np.float32))


def test_a_group_whose_layers_are_set_anew_is_done_as_it_is():
    net = nn.Sequential(conv(8), nn.Residual(conv(8), conv(8))).build((8, 8, 8))
    fast = net.freeze()
    inner = fast.layers[1].layers[0]
    inner.layers = inner.layers[:1]
    x = rng.standard_normal((2, 8, 8, 8)).astype(np.float32)
    want = fast.layers[1](fast.layers[0](x))
    for _ in range(3):
        np.testing.assert_allclose(fast(x), want, atol=1e-5)
