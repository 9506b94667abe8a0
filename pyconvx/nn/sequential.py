"""Networks: layers one after another, beside one another, and around a shortcut. May import layer."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, NoReturn, TypeVar

import numpy as np

from ..functional.arrays import check_layout
from .layer import Array, Layer, LayerPullback, Params, Run, Shape, channel_axis

if TYPE_CHECKING:
    from .chain import Chain

__all__ = ["Parallel", "Residual", "Sequential", "one_after_another"]

T = TypeVar("T")


class _Group(Layer):
    """Layers that are one: parameters and state are theirs, keyed "0.filters" for those of the first, and so on."""

    chained: ClassVar[bool] = False
    """Whether each layer's input is the result of the one before, which may learn from its gradient."""

    def __init__(self, *layers: Any) -> None:
        if len(layers) == 1 and isinstance(layers[0], Sequence):
            layers = tuple(layers[0])
        for layer in layers:
            if not isinstance(layer, Layer):
                raise TypeError(f"{type(self).__name__} is made of layers, got {layer!r}")
        self._learning: list[Layer] = []
        """Layers that have parameters, in groups of groups too."""
        for i, layer in enumerate(layers):
            learning = layer._learning if isinstance(layer, _Group) else [layer] if _learns(layer) else []
            there = set(map(id, self._learning))
            for each in learning:
                if id(each) in there:
                    raise ValueError(f"layers[{i}] holds {each!r} a second time: a layer with parameters has one place")
            self._learning += learning
        self.layers: tuple[Layer, ...] = layers
        built = all(map(_is_built, layers))
        self.input_shape: Shape | None = layers[0].input_shape if layers and built else None

    def __iter__(self) -> Iterator[Layer]:
        return iter(self.layers)

    def __len__(self) -> int:
        return len(self.layers)

    def __getitem__(self, index: int) -> Layer:
        return self.layers[index]

    def __repr__(self) -> str:
        return self._called(self.layers)

    def _called(self, layers: Sequence[Layer], **options: Any) -> str:
        """The call that makes it."""
        given = [*map(repr, layers), *(f"{key}={value!r}" for key, value in options.items())]
        return f"{type(self).__name__}({', '.join(given)})"

    @property
    def params(self) -> Params:
        """What is learned, in one flat dict of the layers' own arrays."""
        return _Arrays(self, "params")

    @params.setter
    def params(self, values: Params) -> None:
        self._set("params", values)

    @property
    def state(self) -> Params:
        """What is remembered, keyed in the same way."""
        return _Arrays(self, "state")

    @state.setter
    def state(self, values: Params) -> None:
        self._set("state", values)

    def _keeps(self) -> bool:
        """Whether some layer is frozen."""
        return any(layer._keeps() if isinstance(layer, _Group) else layer.frozen for layer in self.layers)

    def _set(self, kind: str, values: Params) -> None:
        if self._keeps():
            raise ValueError(f"a frozen network keeps its parameters: {self!r}")
        if self.input_shape is not None:
            shapes = getattr(self, "param_shapes" if kind == "params" else "state_shapes")(self.input_shape)
            if shapes.keys() != values.keys():
                odd = ", ".join(sorted(shapes.keys() ^ values.keys()))
                raise ValueError(f"{kind} must be what there is, got too many or too few: {odd}")
            for name, shape in shapes.items():
                _check(name, values[name], shape)
        for i, layer in enumerate(self.layers):
            setattr(layer, kind, _of(i, values))

    def inputs(self, input_shape: Shape) -> list[Shape]:
        """The shape of each layer's input."""
        raise NotImplementedError

    def _build(self, shape: Shape, rng: np.random.Generator, dtype: np.dtype[Any], anew: bool) -> None:
        for layer, given in self._with_inputs(shape):
            layer._build(given, rng, dtype, anew)
        self.input_shape = shape

    def _assume(self, shape: Shape) -> None:
        for layer, given in self._with_inputs(shape):
            layer._assume(given)
        self.input_shape = shape

    def param_shapes(self, input_shape: Shape) -> dict[str, Shape]:
        return _numbered(layer.param_shapes(given) for layer, given in self._with_inputs(input_shape))

    def state_shapes(self, input_shape: Shape) -> dict[str, Shape]:
        return _numbered(layer.state_shapes(given) for layer, given in self._with_inputs(input_shape))

    def multiply_adds(self, input_shape: Shape) -> int:
        return sum(layer.multiply_adds(given) for layer, given in self._with_inputs(input_shape))

    def _with_inputs(self, input_shape: Shape) -> Iterator[tuple[Layer, Shape]]:
        """Each layer with the shape of its input."""
        return zip(self.layers, self.inputs(input_shape), strict=True)

    def _each(self, method: str, run: Run) -> Iterator[Callable[[Array], Any]]:
        """A method of each layer, `forward` or `pull`, whose new state goes where that of the group goes."""
        wanted = run.input_gradient
        before = Run(run.training, run.rng, {})
        for i, layer in enumerate(self.layers):
            last = not self.chained or i == len(self.layers) - 1
            inner = Run(run.training, run.rng, {}, wanted, run.inner if last else True)
            if method == "pull" and not last:
                following = self.layers[i + 1]
                # a pooling keeps its result for that, which must then not be the caller's
                inside = run.inner or i + 2 < len(self.layers)
                inner.masked = inside and layer.rectifies and following.takes_largest
                if layer.looks_ahead:
                    inner.following = self.layers[i + 1 :]
            inner.masks = before.masked
            # what the layer before, which has been pulled by now, said of those behind it
            inner.done, inner.ahead = before.ahead > 0, max(before.ahead - 1, 0)
            before = inner
            yield partial(getattr(layer, method), run=inner)
            run.updates.update(_numbered([inner.updates], i))
            wanted = wanted or (self.chained and bool(layer.params))


def _learns(layer: Layer) -> bool:
    """Whether a layer is of a kind that has parameters."""
    return type(layer).make is not Layer.make or type(layer).param_shapes is not Layer.param_shapes


def _is_built(layer: Layer) -> bool:
    """Whether there is nothing to be made any more."""
    return layer.input_shape is not None or (isinstance(layer, Sequential) and len(layer) == 0)


def _check(name: str, array: Any, shape: Shape) -> None:
    if np.shape(array) != shape:
        raise ValueError(f"{name} must have the shape {shape}, got {np.shape(array)}")


class _Arrays(dict[str, Array]):
    """What the layers of a group have, under its names: to set one sets that of the layer."""

    def __init__(self, group: _Group, kind: str) -> None:
        super().__init__(_numbered(getattr(layer, kind) for layer in group.layers))
        self._group, self._kind = group, kind

    def __setitem__(self, name: str, array: Array) -> None:
        _check(name, array, self[name].shape)  # KeyError for what there is not
        index, _, rest = name.partition(".")
        layer = self._group.layers[int(index)]
        if layer.frozen:
            raise ValueError(f"a frozen network keeps its parameters: {layer!r}")
        super().__setitem__(name, array)
        getattr(layer, self._kind)[rest] = array


def _of(index: int, values: Params) -> Params:
    prefix = f"{index}."
    return {key.removeprefix(prefix): array for key, array in values.items() if key.startswith(prefix)}


def _numbered(parts: Iterable[Mapping[str, T]], first: int = 0) -> dict[str, T]:
    """What each layer has, under the names of the group."""
    return {f"{i}.{key}": value for i, part in enumerate(parts, first) for key, value in part.items()}


class Sequential(_Group):
    """Layers one after another.

    >>> import numpy as np, pyconvx as cx
    >>> net = cx.nn.Sequential(
    ...     cx.nn.Conv2D(8, 3, padding="same", activation="relu"),
    ...     cx.nn.MaxPool2D(2),
    ...     cx.nn.Flatten(),
    ...     cx.nn.Dense(10),
    ... )
    >>> net(np.ones((2, 8, 8, 1))).shape
    (2, 10)
    >>> {key: array.shape for key, array in net.params.items()}
    {'0.filters': (8, 3, 3, 1), '0.bias': (8,), '3.weights': (128, 10), '3.bias': (10,)}
    >>> y, pullback = net.vjp(np.ones((2, 8, 8, 1)))
    >>> gx, gradients = pullback(np.ones_like(y))
    >>> gx.shape, list(gradients) == list(net.params)
    ((2, 8, 8, 1), True)
    """

    chained = True
    chain: Chain | None = None
    """How a frozen one does its layers without training."""

    @property
    def own_chain(self) -> Chain | None:
        """That, unless there are other layers now."""
        return self.chain if self.chain is not None and self.chain.layers is self.layers else None

    def _shapes(self, input_shape: Shape) -> list[Shape]:
        """Of the input, and of the result of each layer."""
        shapes = [input_shape]
        for i, layer in enumerate(self.layers):
            try:
                shapes.append(layer.output_shape(shapes[-1]))
            except ValueError as error:
                _refuse(i, layer, error)
        return shapes

    def inputs(self, input_shape: Shape) -> list[Shape]:
        return self._shapes(input_shape)[:-1]

    def output_shape(self, input_shape: Shape) -> Shape:
        return self._shapes(input_shape)[-1]

    def forward(self, x: Array, run: Run) -> Array:
        if not run.training:  # there is no new state
            if (chain := self.own_chain) is not None:
                return chain(x, run)
            return one_after_another(self.layers, x, run)
        for i, forward in enumerate(self._each("forward", run)):
            try:
                x = forward(x)
            except ValueError as error:
                _refuse(i, self.layers[i], error)
        return x

    def pull(self, x: Array, run: Run) -> tuple[Array, LayerPullback]:
        pullbacks, results = [], []
        for i, pull in enumerate(self._each("pull", run)):
            results.append(x)
            try:
                x, pullback = pull(x)
            except ValueError as error:
                _refuse(i, self.layers[i], error)
            pullbacks.append(pullback)
        if not run.inner and any(np.may_share_memory(x, each) for each in results[1:]):
            x = x.copy()  # what layers made for one another, and may read again, is not for a caller to change

        def back(gy: Any) -> tuple[Any, Params]:
            found: list[Params] = []
            for pullback in reversed(pullbacks):
                # None is that of an input before which nothing learns
                gy, gradients = (None, Params()) if gy is None else pullback(gy)
                found.append(gradients)
            return gy, _numbered(reversed(found))

        return x, back


def one_after_another(layers: Sequence[Layer], x: Array, run: Run) -> Array:
    """The result of layers without training; the ValueError of one says which it is."""
    for i, layer in enumerate(layers):
        try:
            x = layer.forward(x, run)
        except ValueError as error:
            _refuse(i, layer, error)
    return x


def _refuse(i: int, layer: Layer, error: ValueError) -> NoReturn:
    """Raise the error of layer i with its place; one of a plugin, which a note names, or of another class as it is."""
    if type(error) is not ValueError or getattr(error, "__notes__", None):
        raise error
    raise ValueError(f"layer {i}, {layer!r}: {error}") from error


class Parallel(_Group):
    """Layers that see the same x, whose results are added, or concatenated along the channels.

    merge: "concat" or "add"; layout: where the channels lie. Raises ValueError where shapes do not fit one another.

    >>> import numpy as np, pyconvx as cx
    >>> both = cx.nn.Parallel([cx.nn.Conv2D(4, 1), cx.nn.Conv2D(2, 3, padding="same")], merge="concat")
    >>> both(np.ones((1, 5, 5, 3))).shape
    (1, 5, 5, 6)
    """

    def __init__(self, *layers: Any, merge: str = "concat", layout: str = "channels_last") -> None:
        super().__init__(*layers)
        if merge not in ("concat", "add"):
            raise ValueError(f'merge must be "concat" or "add", got {merge!r}')
        if not self.layers:
            raise ValueError("Parallel needs at least one layer")
        check_layout(layout)
        self.merge, self.layout = merge, layout

    def __repr__(self) -> str:
        usual = {"merge": "concat", "layout": "channels_last"}
        return self._called(self.layers, **{key: own for key in usual if (own := getattr(self, key)) != usual[key]})

    def inputs(self, input_shape: Shape) -> list[Shape]:
        return [input_shape] * len(self.layers)

    def output_shape(self, input_shape: Shape) -> Shape:
        shapes = [layer.output_shape(input_shape) for layer in self.layers]
        axis = channel_axis(self.layout, 1 + len(shapes[0])) - 1
        alike = {shape if self.merge == "add" else (*shape[:axis], *shape[axis + 1 :]) for shape in shapes}
        if len(alike) > 1 or len(set(map(len, shapes))) > 1:
            raise ValueError(f"results of shapes {', '.join(map(str, shapes))} cannot be merged by {self.merge!r}")
        if self.merge == "add":
            return shapes[0]
        return (*shapes[0][:axis], sum(shape[axis] for shape in shapes), *shapes[0][axis + 1 :])

    def _merged(self, results: list[Array]) -> Array:
        if self.merge == "concat":
            return np.concatenate(results, channel_axis(self.layout, results[0].ndim))
        dtype = np.result_type(*results)
        dtype = np.result_type(dtype, np.float32) if dtype.kind in "biu" else dtype  # whose sums would overflow
        total = (
            np.add(results[0], results[1], dtype=dtype) if len(results) > 1 else results[0].astype(dtype, copy=False)
        )
        for result in results[2:]:
            total += result
        return total

    def forward(self, x: Array, run: Run) -> Array:
        return self._merged([forward(x) for forward in self._each("forward", run)])

    def pull(self, x: Array, run: Run) -> tuple[Array, LayerPullback]:
        pulled = [pull(x) for pull in self._each("pull", run)]
        results, pullbacks = [result for result, _ in pulled], [pullback for _, pullback in pulled]
        ends = np.cumsum([result.shape[channel_axis(self.layout, result.ndim)] for result in results])

        def back(gy: Any) -> tuple[Any, Params]:
            gy = np.asarray(gy)
            parts = [gy] * len(results)
            if self.merge == "concat":
                parts = np.split(gy, ends[:-1], channel_axis(self.layout, gy.ndim))
            found = [pullback(part) for pullback, part in zip(pullbacks, parts, strict=True)]
            whole = [gx for gx, _ in found if gx is not None]
            if len(whole) < len(found):
                return None, _numbered(gradients for _, gradients in found)
            gx = whole[0]
            for gradient in whole[1:]:
                gx = gx + gradient
            return gx, _numbered(gradients for _, gradients in found)

        return self._merged(results), back


class Residual(Parallel):
    """Layers around which x is led as it is, or through `shortcut`, and added: layers(x) + shortcut(x).

    shortcut: a layer that gives x the shape of what the layers make of it, where that is another one.

    >>> import numpy as np, pyconvx as cx
    >>> block = cx.nn.Residual(cx.nn.Conv2D(8, 3, padding="same", activation="relu"), cx.nn.Conv2D(3, 1))
    >>> block(np.ones((1, 5, 5, 3))).shape
    (1, 5, 5, 3)

    Source: He et al. 2015, arXiv:1512.03385.
    """

    def __init__(self, *layers: Any, shortcut: Layer | None = None) -> None:
        super().__init__(Sequential(*layers), Sequential() if shortcut is None else shortcut, merge="add")

    def __repr__(self) -> str:
        inner = self.layers[0]
        layers = inner.layers if type(inner) is Sequential else [inner]
        return self._called(layers, **({} if self.shortcut is None else {"shortcut": self.shortcut}))

    @property
    def shortcut(self) -> Layer | None:
        """What x is led through; None if it is led around as it is."""
        shortcut = self.layers[1]
        return None if type(shortcut) is Sequential and not shortcut.layers else shortcut
