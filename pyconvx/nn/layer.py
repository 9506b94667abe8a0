"""What a layer is: options, parameters, and a call that leaves nothing behind. May import the functional core."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import MISSING, Field, dataclass, fields
from fractions import Fraction
from functools import cache
from inspect import getattr_static, isroutine
from threading import RLock
from types import FunctionType
from typing import Any, ClassVar, TypeVar

import numpy as np
from numpy.typing import NDArray

from .. import functional
from ..activation import activation, pull
from ..functional.arrays import as_gradient, check_layout, compute_dtypes
from ..geometry import integer, sample_shape
from ..padding import padding
from ..pooling import pooling
from .initializers import initializers

__all__ = [
    "PLUGIN_OPTIONS",
    "Array",
    "Layer",
    "LayerPullback",
    "Operation",
    "Params",
    "Run",
    "Shape",
    "Span",
    "Spans",
    "built_shape",
    "channel_axis",
    "floating",
    "generator",
    "is_rectifier",
    "masked",
    "overrides",
    "ranks",
    "require_known",
    "sizes",
    "spatial_of",
    "tuples",
]

Array = NDArray[Any]
Shape = tuple[int, ...]
Params = dict[str, Array]
LayerPullback = Callable[[Any], tuple[Any, Params]]
Span = tuple[Fraction, Fraction, Fraction]
"""Along one axis: between which two numbers all places of the input lie that the first place of a result sees, and how
far on those of the next one do."""
Spans = tuple[Span, ...] | None
"""Of each axis; () for what works place by place, None for what sees all places."""

_RELU = activation("relu")  # whatever the name may be given to later
_building = RLock()  # an initializer may use a layer

PLUGIN_OPTIONS: dict[str, Callable[..., Any]] = {
    "activation": activation,
    "padding_mode": padding,
    "mode": padding,
    "kind": pooling,
    "initializer": initializers.resolve,
    "bias_initializer": initializers.resolve,
}
"""Options that name a plugin, and what finds it."""


@dataclass
class Run:
    """How a network is run."""

    training: bool
    rng: np.random.Generator | None
    """What dropout draws from."""
    updates: Params
    """Receives new state, keyed as `state` of the layer that is run."""
    input_gradient: bool = True
    """Whether the gradient with respect to the input is wanted; a pullback may return None for it otherwise."""
    inner: bool = False
    """Whether the result goes to another layer only, which does not change it: a pullback may read it."""
    # Where the last thing that a layer does is to rectify, a pooling that takes the largest can do the mask of its
    # gradient, on far fewer elements: it is that of the largest. And BatchNorm can do what layers behind it would do.
    masked: bool = False
    """Of a layer that rectifies: whether the gradient that comes is masked already."""
    masks: bool = False
    """Of a pooling: whether it is to mask the gradient of a rectifier before it."""
    following: Sequence[Layer] = ()
    """The layers behind this one in a chain: `pull` may do what they would do."""
    ahead: int = 0
    """How many of these it has done, as `pull` says."""
    done: bool = False
    """Whether a layer before has done the work of this one: x is its result, and gy what that layer takes."""


@dataclass(eq=False, repr=False)
class Layer:
    """One step of a network. Subclasses are dataclasses whose fields are the options.

    `params` holds what is learned, by name, and `state` what is only remembered (the statistics of BatchNorm). Both are
    empty until the shape of the input is known: at the first call, or by `build`. A call changes neither, so that one
    layer serves many threads. Arrays have a first axis N; shapes are told without it.
    """

    frozen: ClassVar[bool] = False
    """Whether it only infers, as layers of a frozen network do that have parameters."""

    def __post_init__(self) -> None:
        self.params: Params = {}
        self.state: Params = {}
        self.input_shape: Shape | None = None
        for field in fields(self):
            value = getattr(self, field.name)
            if isinstance(value, np.ndarray):
                setattr(self, field.name, tuples(value.tolist()))
            elif field.name in PLUGIN_OPTIONS:
                require_known(PLUGIN_OPTIONS[field.name], value)
            elif field.name == "layout":
                check_layout(value)

    # what a subclass defines

    def output_shape(self, input_shape: Shape) -> Shape:
        """The shape of the result for that of the input, both without N. Raises ValueError if the layer cannot."""
        raise NotImplementedError

    def make(self, input_shape: Shape, rng: np.random.Generator, dtype: np.dtype[Any]) -> tuple[Params, Params]:
        """Fresh parameters, and fresh state."""
        return {}, {}

    def forward(self, x: Array, run: Run) -> Array:
        """The result alone."""
        return self.pull(x, run)[0]

    def pull(self, x: Array, run: Run) -> tuple[Array, LayerPullback]:
        """The result with its pullback, which returns gx and the gradients of `params`."""
        raise NotImplementedError

    @property
    def rectifies(self) -> bool:
        """Whether the last thing that `pull` does is to rectify, and it knows `Run.masked`."""
        return False

    @property
    def only_rectifies(self) -> bool:
        """Whether that is all, and it knows `Run.done`."""
        return False

    @property
    def takes_largest(self) -> bool:
        """Whether results are elements of x, each the largest of some; `pull` knows `Run.masks` and `Run.done`."""
        return False

    @property
    def looks_ahead(self) -> bool:
        """Whether `pull` may do what layers behind it would do: it is told `Run.following`, and tells `Run.ahead`."""
        return False

    def multiply_adds(self, input_shape: Shape) -> int:
        """Multiplications, each with an addition, for one sample."""
        return 0

    def window(self, input_shape: Shape) -> Mapping[str, Any] | None:
        """What `receptive_field` needs: {} for a layer that works place by place, None for one without one window."""
        return {}

    def spans(self, input_shape: Shape) -> Spans:
        """What the first place of the result sees of the input at most, along each spatial axis."""
        window = self.window(input_shape)
        if not window:
            return None if window is None else ()
        taps = window["kernel_size"]
        each = (window.get(name, (default,) * len(taps)) for name, default in (("padding", 0), ("stride", 1)))
        reaches = ((k - 1) * d for k, d in zip(taps, window.get("dilation", (1,) * len(taps)), strict=True))
        return tuple(
            (Fraction(-before), Fraction(reach - before), Fraction(stride))
            for before, stride, reach in zip(*each, reaches, strict=True)
        )

    def param_shapes(self, input_shape: Shape) -> dict[str, Shape]:
        """The shapes of the parameters, by name, for that of the input. Nothing is made."""
        return {}

    def state_shapes(self, input_shape: Shape) -> dict[str, Shape]:
        """The shapes of the state, in the same way."""
        return {}

    # what a user calls

    def build(self, input_shape: Any, *, seed: int | np.random.Generator = 0, dtype: Any = np.float32) -> Layer:
        """Make the parameters for an input of that shape (without N), anew if there are some, and return the layer.

        seed: an int or a Generator; the same int gives the same parameters. dtype: float32 or float64. Raises
        ValueError for a shape that the layer cannot take, TypeError for another dtype.
        """
        shape = sample_shape(input_shape)
        self.output_shape(shape)
        self._build(shape, generator(seed), floating(dtype), anew=True)
        return self

    def _build(self, shape: Shape, rng: np.random.Generator, dtype: np.dtype[Any], anew: bool) -> None:
        """Make what is missing, or all of it."""
        if anew or self.input_shape is None:
            self.params, self.state = self.make(shape, rng, dtype)
            self.input_shape = shape

    def _assume(self, shape: Shape) -> None:
        """Be built for that shape, without parameters: they are about to be set."""
        self.input_shape = shape

    def __call__(self, x: Any, *, training: bool = False, rng: np.random.Generator | None = None) -> Array:
        """The result for x (N, ...). Builds the layer if that has not been done.

        training: whether dropout and batch statistics apply; rng: what dropout draws from.
        """
        return self.forward(self._built(x), Run(training, rng, {}))

    def vjp(
        self,
        x: Any,
        *,
        training: bool = False,
        rng: np.random.Generator | None = None,
        updates: Params | None = None,
    ) -> tuple[Array, LayerPullback]:
        """The result for x (N, ...), with its pullback: pullback(gy) is (gx, gradients keyed as `params`).

        updates: a dict that receives new state, keyed as `state`, for the caller to keep or not. The pullback raises
        ValueError for a gradient of another shape than the result, TypeError for what is none.
        """
        y, pullback = self.pull(self._built(x), Run(training, rng, {} if updates is None else updates))
        compute, _ = compute_dtypes(y.dtype)
        shape = y.shape
        return y, lambda gy: pullback(as_gradient(gy, shape, compute))

    def to_config(self) -> dict[str, Any]:
        """The layer as data that JSON can hold, without its parameters. Raises TypeError for an option that is none."""
        from .config import to_config

        return to_config(self)

    @classmethod
    def from_config(cls, config: Any) -> Layer:
        """A layer or network of what `to_config` made, or its JSON text.

        Raises ValueError that says where, for a layer, option or plugin that is not known.
        """
        from .config import from_config

        return from_config(config)

    def summary(self, input_shape: Any) -> Any:
        """A table of layers, shapes, parameters, multiply-adds and receptive fields, as `nn.summary` makes it."""
        from .summary import summary

        return summary(self, input_shape)

    def freeze(self) -> Layer:
        """A copy for inference alone, faster: `nn.frozen`."""
        from .freeze import frozen

        return frozen(self)

    def replace(self, **options: Any) -> Layer:
        """The same network, weights kept, with other options wherever layers have them: `nn.replaced`."""
        from .replace import replaced

        return replaced(self, **options)

    def _built(self, given: Any) -> Array:
        x: Array = np.asarray(given)
        if x.dtype.kind not in "biuf" or x.itemsize > 8:
            raise TypeError(f"x must be of a real dtype of up to 8 bytes, got {x.dtype}")
        if self.input_shape is None:
            with _building:
                if self.input_shape is None:
                    shape = sample_shape(x.shape[1:])
                    self.output_shape(shape)
                    dtype = np.float64 if x.dtype == np.float64 else np.float32
                    self._build(shape, generator(0), np.dtype(dtype), anew=False)
        elif x.ndim != 1 + len(self.input_shape):
            hint = ": add it, x[None]" if x.ndim == len(self.input_shape) else ""
            axes = "the axis N and those of a sample as "
            raise ValueError(f"x must have {axes}{self.input_shape}, got the shape {x.shape}{hint}")
        return x

    @property
    def parameters(self) -> int:
        """How many numbers are learned. Raises ValueError before the layer is built."""
        built_shape(self)
        return sum(array.size for array in self.params.values())

    def options(self) -> dict[str, Any]:
        """The options that are not defaults, by name."""
        return {
            field.name: value
            for field in fields(self)
            if (value := getattr(self, field.name)) is not _default(field) and value != _default(field)
        }

    def __repr__(self) -> str:
        given = self.options()
        required = [repr(given.pop(field.name)) for field in fields(self) if _default(field) is MISSING]
        return f"{type(self).__name__}({', '.join([*required, *(f'{key}={value!r}' for key, value in given.items())])})"


def _default(field: Field[Any]) -> Any:
    return field.default_factory() if field.default_factory is not MISSING else field.default


def require_known(find: Callable[..., Any], value: Any) -> None:
    """Raises UnknownNameError, or TypeError, unless an option names plugins that there are."""
    if isinstance(value, Sequence) and not isinstance(value, str):
        for each in value:
            find(each)
    elif value is not None:
        find(value)


def tuples(value: Any) -> Any:
    """Lists, and those in them, as tuples."""
    return tuple(map(tuples, value)) if isinstance(value, list) else value


def generator(seed: int | np.random.Generator) -> np.random.Generator:
    """A generator of random numbers, or that of a seed."""
    return seed if isinstance(seed, np.random.Generator) else np.random.default_rng(integer("seed", seed, 0))


def floating(dtype: Any) -> np.dtype[Any]:
    """The dtype of parameters; TypeError for one that they cannot have."""
    found: np.dtype[Any] = np.dtype(dtype).newbyteorder("=")
    if found not in (np.float32, np.float64):
        raise TypeError(f"dtype of parameters must be float32 or float64, got {np.dtype(dtype)}")
    return found


L = TypeVar("L", bound=Layer)


def ranks(layer: type[L]) -> tuple[type[L], type[L], type[L]]:
    """A layer over any number of spatial axes as three classes, named for 1, 2 and 3; # in its docstring is that."""
    name = layer.__name__.strip("_")
    made = []
    for rank in (1, 2, 3):
        doc = (layer.__doc__ or "").replace("#", str(rank))
        init = _renamed(layer.__init__, f"{name}{rank}D.__init__")
        members = {"rank": rank, "__doc__": doc, "__module__": layer.__module__, "__init__": init}
        made.append(type(f"{name}{rank}D", (layer,), members))
    return made[0], made[1], made[2]


def _renamed(function: Any, name: str) -> Any:
    """A copy of a function, whose arguments are told of under that name."""
    copy: Any = FunctionType(
        function.__code__, function.__globals__, function.__name__, function.__defaults__, function.__closure__
    )
    copy.__kwdefaults__, copy.__annotations__ = function.__kwdefaults__, function.__annotations__
    copy.__qualname__ = name
    return copy


@dataclass(eq=False, repr=False)
class Operation(Layer):
    """A layer without parameters: an operation of one array, with its arguments and options."""

    def call(self, ndim: int) -> tuple[Any, tuple[Any, ...], dict[str, Any]]:
        """The operation for arrays of so many axes, its arguments after x, and its options."""
        raise NotImplementedError

    def output_shape(self, input_shape: Shape) -> Shape:
        function, arguments, options = self.call(1 + len(input_shape))
        return functional.output_shape(function, (1, *input_shape), *arguments, **options)[1:]

    def forward(self, x: Array, run: Run) -> Array:
        function, arguments, options = self.call(x.ndim)
        y: Array = function(x, *arguments, **options)
        return y

    def pull(self, x: Array, run: Run) -> tuple[Array, LayerPullback]:
        function, arguments, options = self.call(x.ndim)
        y, pullback = functional.vjp(function, x, *arguments, **options)
        return y, lambda gy: (pullback(gy)[0], {})


def masked(y: Array, gy: Any) -> Array:
    """The gradient of a rectifier, from its result. Raises ValueError for a gradient of another shape, TypeError for
    what is none.
    """
    if y.dtype not in (np.float32, np.float64):
        return np.where(y <= 0, 0, as_gradient(gy, y.shape, np.dtype(np.float64))).astype(y.dtype)
    y, gy = np.ascontiguousarray(y), np.ascontiguousarray(as_gradient(gy, y.shape, y.dtype))
    return pull(_RELU, y, y, gy, functional.num_threads())


def is_rectifier(given: Any) -> bool:
    """Whether an activation, by name or bound, is relu."""
    return activation(given).plugin.kernel == "relu"


def channel_axis(layout: str, ndim: int) -> int:
    """The axis of the channels in arrays of so many axes, N among them."""
    return 1 if layout == "channels_first" and ndim > 1 else ndim - 1


def spatial_of(layout: str, shape: Shape) -> Shape:
    """The spatial axes of a shape without N."""
    return shape[1:] if layout == "channels_first" else shape[:-1]


def overrides(layer: Layer, kind: type[Layer]) -> bool:
    """Whether the class of a layer, derived from one of the library's, has methods of its own in place of its ones."""
    own: Any = type(layer)
    usual: Any = kind
    return _overrides(own, usual)


@cache
def _overrides(of: Any, kind: Any) -> bool:
    for own in of.__mro__[: of.__mro__.index(kind)]:
        if own.__module__ != kind.__module__:
            for name in vars(own).keys() - {"__init__", "__post_init__", "__repr__"}:
                usual = getattr_static(kind, name, None)
                if isroutine(usual) or isinstance(usual, property):
                    return True
    return False


def built_shape(net: Layer) -> Shape:
    """The shape that a network was built for. Raises ValueError if it was not."""
    if net.input_shape is None:
        raise ValueError(f"{net!r} has no parameters yet: call it, or build(input_shape)")
    return net.input_shape


def sizes(value: Any, rank: int) -> tuple[int, ...]:
    """An int, or one per spatial axis, as a tuple."""
    return (int(value),) * rank if isinstance(value, (int, np.integer)) else tuple(value)
