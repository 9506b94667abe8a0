"""Weights as PyTorch and Keras order their axes, into a network and out of it. May import the layers."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .basic import Activation, BatchNorm, Dense, Dropout, Flatten
from .conv import _Convolution, _DepthwiseConv, _SeparableConv
from .layer import Array, Layer, Shape, built_shape, channel_axis
from .sequential import Parallel, Sequential

__all__ = ["from_keras_weights", "from_torch_state_dict", "to_keras_weights", "to_torch_state_dict"]

SKIPPED = "num_batches_tracked"
"""What PyTorch counts beside the statistics of a normalisation, and nothing here needs."""


@dataclass(frozen=True)
class _Slot:
    """One array of a layer, and how another library has it."""

    module: str  # of PyTorch
    name: str  # in that module
    array: Array
    write: Callable[[Array], Array]
    """Our array as theirs."""
    read: Callable[[Array], Array]
    """Theirs as ours."""
    layer: Layer

    @property
    def key(self) -> str:
        """Its name in a state_dict."""
        return _key(self.module, self.name)


def _key(module: str, name: str) -> str:
    return f"{module}.{name}" if module else name


@dataclass(frozen=True)
class _Format:
    """How a library orders axes."""

    filters: tuple[Callable[[Array], Array], Callable[[Array], Array]]
    """Filters (F, *kernel, C) as theirs, and back."""
    depthwise: Callable[[int], tuple[Callable[[Array], Array], Callable[[Array], Array]]]
    """The same for filters of as many channels, each by itself."""
    weights: Callable[[Array], Array]
    """Weights (features, units) as theirs, and back."""
    channels_last: bool
    """The order of features that were flattened."""


def _same(array: Array) -> Array:
    return array


def _keras_depthwise(channels: int) -> tuple[Callable[[Array], Array], Callable[[Array], Array]]:
    def write(filters: Array) -> Array:
        kernel = np.moveaxis(filters[..., 0], 0, -1)
        return kernel.reshape(*kernel.shape[:-1], channels, -1)

    def read(kernel: Array) -> Array:
        return np.moveaxis(kernel.reshape(*kernel.shape[:-2], -1), -1, 0)[..., None]

    return write, read


TORCH_FILTERS = (lambda filters: np.moveaxis(filters, -1, 1), lambda weight: np.moveaxis(weight, 1, -1))
TORCH = _Format(TORCH_FILTERS, lambda _: TORCH_FILTERS, np.transpose, False)
KERAS = _Format(
    (lambda filters: np.moveaxis(filters, 0, -1), lambda kernel: np.moveaxis(kernel, -1, 0)),
    _keras_depthwise,
    _same,
    True,
)


Order = NDArray[np.intp] | None
"""Which of our features stands where theirs do; None where the orders are the same."""
UNKNOWN = np.empty(0, np.intp)
"""The order of features that nobody can tell, as where others were added to them in another order."""


class _Walk:
    """Goes through a network in order and collects its slots; knows how data lies and, once flattened, its features."""

    def __init__(self, net: Layer, form: _Format) -> None:
        shape = built_shape(net)
        if any(layer.frozen for layer in _single(net)):
            raise ValueError(f"{net!r} is frozen: exchange the weights of the network it was made from")
        self.form, self.slots = form, list[_Slot]()
        self._through(net, "", shape, None, "channels_last")

    def _through(self, net: Layer, prefix: str, shape: Shape, order: Order, layout: str) -> tuple[Order, str]:
        """Take a layer whose input has that shape, order of features and layout; returns those of its result."""
        if isinstance(net, Parallel):
            return self._beside(net, prefix, shape, order, layout)
        if isinstance(net, Sequential):
            for i, (layer, given) in enumerate(zip(net, net.inputs(shape), strict=True)):
                order, layout = self._through(layer, f"{prefix}{i}.", given, order, layout)
            return order, layout
        layout = layout if isinstance(net, _PLACE_BY_PLACE) else getattr(net, "layout", layout)
        if isinstance(net, Flatten):
            return (order if len(shape) == 1 else _rows(shape, layout, self.form)), layout
        self.slots += self._of(net, prefix[:-1], shape, order)
        return (order if isinstance(net, (*_PLACE_BY_PLACE, BatchNorm)) and len(shape) == 1 else None), layout

    def _beside(self, net: Parallel, prefix: str, shape: Shape, order: Order, layout: str) -> tuple[Order, str]:
        ends = [self._through(layer, f"{prefix}{i}.", shape, order, layout) for i, layer in enumerate(net)]
        after = next((end for _, end in ends if end != layout), layout)
        results = [layer.output_shape(shape) for layer in net]
        if len(results[0]) > 1:
            return None, net.layout if net.merge == "concat" else after
        orders = [np.arange(n) if end is None else end for (end, _), (n,) in zip(ends, results, strict=True)]
        if all(end is None for end, _ in ends):
            return None, after
        if any(each is UNKNOWN for each in orders):
            return UNKNOWN, after
        if net.merge == "add":
            return (orders[0] if all(np.array_equal(each, orders[0]) for each in orders) else UNKNOWN), after
        starts = np.cumsum([0, *(n for (n,) in results[:-1])])
        return np.concatenate([start + each for start, each in zip(starts, orders, strict=True)]), after

    def _of(self, layer: Layer, module: str, shape: Shape, order: Order) -> Iterator[_Slot]:
        form = self.form
        if order is UNKNOWN and isinstance(layer, (Dense, BatchNorm)):
            raise ValueError(f"the order of the features that {layer!r} gets is another one in each of its branches")
        if isinstance(layer, _SeparableConv):
            first, second = layer.steps()
            channels = shape[channel_axis(layer.layout, 1 + len(shape)) - 1]
            yield from _of_convolution(first, channels, f"{module}.depthwise".lstrip("."), form)
            yield from _of_convolution(second, channels, f"{module}.pointwise".lstrip("."), form)
        elif isinstance(layer, _Convolution):
            yield from _of_convolution(layer, layer.channels_of(shape), module, form)
        elif isinstance(layer, Dense):
            yield _of_dense(layer, module, form, order)
            yield from _plain(layer, module, {"bias": "bias"}, layer.params)
        elif isinstance(layer, BatchNorm):
            rows = order if len(shape) == 1 else None
            yield from _plain(layer, module, {"weight": "scale", "bias": "shift"}, layer.params, rows)
            yield from _plain(layer, module, {"running_mean": "mean", "running_var": "variance"}, layer.state, rows)
        elif layer.params or layer.state:
            raise ValueError(f"{layer!r} has no counterpart in other libraries")


_PLACE_BY_PLACE = (Activation, Dropout)
"""Layers whose result does not tell how data lies, and which keep the order of features."""


def _single(net: Layer) -> Iterator[Layer]:
    """Every layer that is not made of others."""
    if isinstance(net, (Sequential, Parallel)):
        for layer in net:
            yield from _single(layer)
    else:
        yield net


def _slots(net: Layer, form: _Format) -> list[_Slot]:
    return _Walk(net, form).slots


def _plain(
    layer: Layer, module: str, names: Mapping[str, str], arrays: Mapping[str, Array], rows: Order = None
) -> Iterator[_Slot]:
    """Vectors, which are the same everywhere but for the order of features."""
    write, read = (_same, _same) if rows is None else (lambda ours: ours[rows], lambda theirs: theirs[np.argsort(rows)])
    for theirs, ours in names.items():
        if ours in arrays:
            yield _Slot(module, theirs, arrays[ours], write, read, layer)


def _of_convolution(layer: _Convolution, channels: int, module: str, form: _Format) -> Iterator[_Slot]:
    write, read = form.depthwise(channels) if isinstance(layer, _DepthwiseConv) else form.filters
    filters = layer.params["filters"]
    last = np.moveaxis(filters, 1, -1) if layer.layout == "channels_first" else filters  # a view
    yield _Slot(module, "weight", last, write, read, layer)
    yield from _plain(layer, module, {"bias": "bias"}, layer.params)


def _of_dense(layer: Dense, module: str, form: _Format, rows: Order) -> _Slot:
    def write(weights: Array) -> Array:
        return form.weights(weights if rows is None else weights[rows])

    def read(weights: Array) -> Array:
        weights = form.weights(weights)
        return weights if rows is None else weights[np.argsort(rows)]

    return _Slot(module, "weight", layer.params["weights"], write, read, layer)


def _rows(shape: Shape, layout: str, form: _Format) -> Order:
    """The order of features that were flattened."""
    if (layout == "channels_last") == form.channels_last:
        return None
    numbers = np.arange(math.prod(shape)).reshape(shape)
    return np.moveaxis(numbers, *((0, -1) if form.channels_last else (-1, 0))).ravel()


def _fill(slots: Sequence[_Slot], given: Iterable[tuple[str, Any]]) -> None:
    """Set the arrays from others with their names, all of them or, if one does not fit, none."""
    found = []
    for slot, (name, value) in zip(slots, given, strict=True):
        theirs, like = np.asarray(value), slot.write(slot.array).shape
        if theirs.shape != like or theirs.dtype.kind not in "fiub":
            raise ValueError(
                f"{name} has the shape {theirs.shape} and dtype {theirs.dtype}; "
                f"{slot.layer!r} (module {slot.module!r}) takes numbers of the shape {like}"
            )
        found.append(slot.read(theirs))
    for slot, array in zip(slots, found, strict=True):
        slot.array[...] = array


def from_torch_state_dict(net: Layer, state_dict: Mapping[str, Any]) -> Layer:
    """Set the weights of a built network to those of a PyTorch module, and return the network.

    state_dict: `module.state_dict()`, or the same names with arrays, as a .safetensors file holds them. Names such as
    "0.weight", which `to_torch_state_dict` gives, are taken as they are; modules of other names in their order, or, if
    the names are sorted as in a file, by the numbers in them. They must be those of `net`: a weight
    (F, C // groups, *kernel) for each convolution, (C, F // groups, *kernel) for each transposed one, (units, features)
    for each dense layer, in which flattened features have the order (C, *spatial); and four vectors for each
    normalisation. A SeparableConv is two modules. Nothing is set if one array does not fit.

    PyTorch's `padding` is an int or a tuple of them, and that is what a layer here must have; its 3x3 "same" is
    `padding="same"`. Raises ValueError for a network that is not built, and for weights that are not those of `net`.

    >>> import numpy as np, pyconvx as cx
    >>> net = cx.Sequential(cx.Conv2D(8, 3), cx.Flatten(), cx.Dense(10)).build((4, 4, 1))
    >>> weights = {"conv.weight": np.ones((8, 1, 3, 3)), "conv.bias": np.zeros(8)}
    >>> weights |= {"head.weight": np.ones((10, 32)), "head.bias": np.zeros(10)}
    >>> cx.nn.from_torch_state_dict(net, weights)(np.ones((1, 4, 4, 1)))[0, 0].item()
    288.0
    """
    slots = _slots(net, TORCH)
    names = [name for name in state_dict if name.rpartition(".")[2] != SKIPPED]
    if names == sorted(names):  # as a file has them, where "10" comes before "2"
        names = sorted(names, key=_by_number)
    if set(names) == {slot.key for slot in slots}:
        _fill(slots, [(slot.key, state_dict[slot.key]) for slot in slots])
        return net
    modules = list(dict.fromkeys(name.rpartition(".")[0] for name in names))
    own = list(dict.fromkeys(slot.module for slot in slots))
    if len(modules) != len(own):
        raise ValueError(f"state_dict has {len(modules)} modules with weights ({_listed(modules)}), net has {len(own)}")
    called = dict(zip(own, modules, strict=True))
    wanted = [_key(called[slot.module], slot.name) for slot in slots]
    if set(wanted) != set(names):
        missing, more = (set(wanted) - set(names), set(names) - set(wanted))
        raise ValueError(f"state_dict lacks {_listed(sorted(missing))} and has {_listed(sorted(more))} besides")
    _fill(slots, [(name, state_dict[name]) for name in wanted])
    return net


def _by_number(name: str) -> list[tuple[int, str]]:
    """What sorts names by the numbers in them."""
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", name)]


def _listed(names: Sequence[str]) -> str:
    return ", ".join(map(repr, names)) or "nothing"


def to_torch_state_dict(net: Layer) -> dict[str, Array]:
    """The weights of a built network as `from_torch_state_dict` takes them: copies, by names as "0.weight".

    The names are those that a torch.nn.Sequential of the same layers gives.

    >>> import pyconvx as cx
    >>> net = cx.Sequential(cx.Conv2D(8, 3), cx.Flatten(), cx.Dense(10)).build((4, 4, 1))
    >>> {name: array.shape for name, array in cx.nn.to_torch_state_dict(net).items()}
    {'0.weight': (8, 1, 3, 3), '0.bias': (8,), '2.weight': (10, 32), '2.bias': (10,)}
    """
    return {slot.key: np.array(slot.write(slot.array), order="C") for slot in _slots(net, TORCH)}


def from_keras_weights(net: Layer, weights: Sequence[Any]) -> Layer:
    """Set the weights of a built network to those of a Keras model, and return the network.

    weights: `model.get_weights()`, a list of arrays layer by layer: a kernel (*kernel, C // groups, F) for each
    convolution, (*kernel, C, multiplier) for a depthwise one, both for a separable one, (*kernel, F, C) for a
    transposed one, (features, units) for each dense layer, each with its bias; gamma, beta, mean and variance for each
    normalisation (whose epsilon is 1e-3 in Keras: `BatchNorm(epsilon=1e-3)`). Nothing is set if one does not fit.

    Raises ValueError for a network that is not built, and for weights that are not those of `net`.

    >>> import numpy as np, pyconvx as cx
    >>> net = cx.Sequential(cx.Conv2D(8, 3), cx.GlobalPool()).build((4, 4, 1))
    >>> cx.nn.from_keras_weights(net, [np.ones((3, 3, 1, 8)), np.zeros(8)])(np.ones((1, 4, 4, 1)))[0, 0].item()
    9.0
    """
    slots = _slots(net, KERAS)
    if len(slots) != len(weights):
        raise ValueError(f"weights are {len(weights)} arrays, net has {len(slots)}")
    _fill(slots, [(f"weights[{i}]", array) for i, array in enumerate(weights)])
    return net


def to_keras_weights(net: Layer) -> list[Array]:
    """The weights of a built network as `model.set_weights` of Keras takes them: copies.

    >>> import pyconvx as cx
    >>> net = cx.Sequential(cx.Conv2D(8, 3), cx.GlobalPool()).build((4, 4, 1))
    >>> [array.shape for array in cx.nn.to_keras_weights(net)]
    [(3, 3, 1, 8), (8,)]
    """
    return [np.array(slot.write(slot.array), order="C") for slot in _slots(net, KERAS)]
