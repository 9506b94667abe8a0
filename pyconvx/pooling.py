"""Pooling types: how the elements of a window become one, by name, each with its gradient.

Imports registry and compiled.

Functions see windows as arrays (..., k), whose last axis is the window. Geometry is not their concern.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from .plugin import Bound, Plugin, accepted, calling, numbers, returned
from .registry import Registry

if TYPE_CHECKING:
    from .compiled import Compiled

__all__ = ["Pooling", "evaluate", "kernel_of", "pooling", "poolings", "slopes"]

Array = NDArray[Any]
Indices = NDArray[np.intp]


@dataclass(frozen=True, eq=False)
class Pooling(Plugin):
    """A registered pooling. `function(w, **params)` reduces windows (..., k) to y (...), of the dtype of w.

    `gradient(w, y, **params)` returns dy/dw, of the shape of w, and takes those parameters that it names. If
    `indexed`, both get one more positional argument, `index` (...): the flat position of each output element
    in (N, *out, C) order, for randomness that does not depend on how the work is cut. If `exact`, y is an element of
    its window: windows and y have the dtype of x, whichever real one, and dy/dw may have any real dtype; else integers
    are promoted before windows are made.

    `compiled` is the function again in compiled form, `compiled_gradient` its gradient: each a PyCapsule named by its C
    signature, a SciPy LowLevelCallable, a numba cfunc, a ctypes function pointer, or a dict of these by dtype. They get
    n windows as rows, one for each of their taps, and run without the GIL and from several threads, with T float or
    double: `int (const T *const *rows, Py_ssize_t taps, T *y, Py_ssize_t n, void *user)` fills y[i] from rows[t][i],
    `int (const T *const *rows, Py_ssize_t taps, const T *y, T *const *slopes, Py_ssize_t n, void *user)` fills
    slopes[t][i] with dy[i]/d rows[t][i], and both return 0 unless they fail. `compiled` may also be what
    scipy.ndimage.generic_filter takes, `int (double *window, npy_intp taps, double *y, void *user)`, for one window at
    a time, which returns 1 unless it fails. `user` is the data that comes with them, or else points to the parameters,
    a double each, in their order. Where a dtype has none, or a parameter is no number, the Python functions are called.

    What `ordered`, `propagates_nan`, `limits` and `surrogate` declare is what
    `testing.check_pooling` holds the pooling to.

    >>> import numpy as np, pyconvx as cx
    >>> with cx.poolings.temporarily("range", lambda w: w.max(-1) - w.min(-1)):
    ...     cx.pool1d(np.array([[1.0], [4.0], [2.0], [0.0]]), 2, "range")
    array([[3.],
           [2.]])
    >>> second = lambda w: np.sort(w, -1)[..., 1]
    >>> with cx.poolings.temporarily("second", second, exact=True):
    ...     cx.pool1d(np.array([[7], [9], [8], [5]], np.uint8), 4, "second")
    array([[7]], dtype=uint8)
    """

    kind: ClassVar[str] = "pooling"
    arguments: ClassVar[tuple[str, ...]] = ("w",)

    gradient: Callable[..., Any] | None = None
    indexed: bool = False
    exact: bool = False
    """Whether y is an element of its window, so that any real dtype is kept."""
    ordered: bool = False
    """Whether the order of the elements in a window matters."""
    propagates_nan: bool = True
    """Whether a NaN in a window makes the result NaN."""
    limits: bool = False
    """Whether an infinity gives the limit where there is one; otherwise it may give NaN."""
    surrogate: bool = False
    """Whether the gradient is meant to be another than that of the function."""
    compiled: Any = None
    compiled_gradient: Any = None
    kernel: str | Compiled | None = None
    """What computes the same: the name of a reduction of the core, for built-in poolings, or what was given in compiled
    form."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.gradient is not None:
            self._check_companion("gradient", self.gradient, ("w", "y", *self._leading()[1:]))
        if self.compiled is not None or self.compiled_gradient is not None:
            if self.kernel is not None:
                raise TypeError(f"pooling {self.name!r} takes kernel= or compiled=, not both")
            if self.indexed:
                raise TypeError(f"pooling {self.name!r} takes indexed=True or compiled=, not both: it gets no index")
            if self.compiled_gradient is not None and self.gradient is None:
                raise TypeError(f"pooling {self.name!r} takes compiled_gradient= with gradient=, its definition")
            from .compiled import GRADIENT_FORMS, POOLING_FORMS, compiled_of  # only plugins need it

            forward = ("compiled", self.compiled, POOLING_FORMS)
            backward = ("compiled_gradient", self.compiled_gradient, GRADIENT_FORMS)
            object.__setattr__(self, "kernel", compiled_of(str(self), forward, backward, tuple(self.defaults)))

    def _leading(self) -> tuple[str, ...]:
        return (*self.arguments, "index") if self.indexed else self.arguments

    def __reduce__(self) -> tuple[Any, ...]:
        return _named, (self.name,)


def _named(name: str) -> Pooling:
    return poolings[name]


poolings: Registry[Pooling] = Registry(Pooling.kind, Pooling, "pyconvx.poolings")
"""Every pooling by name."""


def pooling(kind: str | Pooling | Bound[Pooling], /, **params: Any) -> Bound[Pooling]:
    """Return a pooling with its parameters set, for use as `kind`.

    Raises UnknownNameError for an unknown name, TypeError for a parameter that the pooling does not have.

    >>> import pyconvx as cx
    >>> cx.pooling("lp", p=3)
    lp(p=3)
    """
    return poolings.resolve(kind, params)


def kernel_of(
    bound: Bound[Pooling], dtype: np.dtype[Any], taps: int, backward: bool = False
) -> tuple[Compiled, tuple[float, ...]] | None:
    """The function of a plugin in compiled form for windows of so many taps, or of its gradient, and its parameters.

    None if the plugin brings none. Raises what the Python function, which knows what it can take, raises for wrong
    parameters.
    """
    kernel = bound.plugin.kernel
    if kernel is None or isinstance(kernel, str) or dtype.kind != "f" or not kernel.has(dtype.itemsize, backward):
        return None
    given = numbers(bound)
    if given is not None and bound is not bound.plugin.plain:
        evaluate(bound, np.zeros((1, min(taps, 2**16)), dtype))
    return None if given is None else (kernel, given)


def evaluate(bound: Bound[Pooling], w: Array, index: Indices | None = None) -> Array:
    """Return the pooling (...) of windows `w` (..., k); an indexed one needs the positions `index` (...).

    Raises ValueError, naming the pooling, if it returns anything but an array of the right shape and dtype.

    >>> evaluate(pooling("median"), np.array([[3.0, 1.0, 2.0]]))
    array([2.])
    """
    plugin = bound.plugin
    arguments = _arguments(plugin, index, w)
    with calling(plugin), np.errstate(all="ignore"):
        y = plugin.function(*arguments, **bound.params)
    return returned(plugin, "function", y, w.shape[:-1], w.dtype)


def slopes(bound: Bound[Pooling], w: Array, y: Array, index: Indices | None = None) -> Array:
    """Return dy/dw (..., k) for windows `w` (..., k) and their pooling `y` (...), with `index` as in `evaluate`.

    Raises ValueError, naming the pooling, if it has no gradient, or one that returns anything but an array of
    the right shape and dtype.

    >>> slopes(pooling("avg"), np.array([[3.0, 1.0]]), np.array([2.0]))
    array([[0.5, 0.5]])
    """
    plugin = bound.plugin
    if plugin.gradient is None:
        raise ValueError(
            f"pooling {plugin.name!r} (registered by {plugin.owner}) has no gradient; "
            f"register it with gradient= (dy/dw, of w and y)"
        )
    arguments = _arguments(plugin, index, w, y)
    params = accepted(plugin.gradient, bound.params, len(arguments))
    with calling(plugin, "gradient"), np.errstate(all="ignore"):
        result = plugin.gradient(*arguments, **params)
    wide = (np.dtype(np.float64),) if plugin.exact else ()
    return returned(plugin, "gradient", result, w.shape, w.dtype, *wide)


def _arguments(plugin: Pooling, index: Indices | None, *arrays: Array) -> list[Array]:
    """Read-only views of what is passed to the plugin, with the index if it takes that."""
    views = [array.view() for array in arrays]
    if plugin.indexed:
        if index is None:
            raise ValueError(f"pooling {plugin.name!r} needs the index of each output element, got None")
        views.append(index.view())
    for view in views:
        view.flags.writeable = False
    return views


# The built-in poolings. A NaN in a window makes the result NaN; ties go to the first.


def _one_hot(w: Array, position: Indices) -> Array:
    """1 at `position` (...) of each window, 0 elsewhere."""
    chosen: NDArray[np.bool_] = np.arange(w.shape[-1]) == position[..., None]
    return chosen.astype(w.dtype)


@poolings.register("max", exact=True, kernel="max", gradient=lambda w, y: _one_hot(w, w.argmax(-1)))
def maximum(w: Array) -> Array:
    """Largest element. ONNX MaxPool."""
    return np.asarray(w.max(-1))


@poolings.register("min", exact=True, kernel="min", gradient=lambda w, y: _one_hot(w, w.argmin(-1)))
def minimum(w: Array) -> Array:
    """Smallest element."""
    return np.asarray(w.min(-1))


@poolings.register("avg", aliases=("mean",), kernel="avg", gradient=lambda w, y: np.full_like(w, 1 / w.shape[-1]))
def average(w: Array, count_include_pad: bool = False, divisor: float | None = None) -> Array:
    """Mean of the elements. ONNX AveragePool.

    Both parameters concern windows that reach into padding, and are the library's to apply: `count_include_pad`
    divides by the number of positions in the padded extent, and `divisor` is what to divide by instead.
    """
    return np.asarray(w.mean(-1))


@poolings.register("sum", kernel="sum", gradient=lambda w, y: np.ones_like(w))
def total(w: Array) -> Array:
    """Sum of the elements."""
    return np.asarray(w.sum(-1))


def _norm(w: Array, p: float) -> Array:
    largest = np.abs(w).max(-1)
    scale = np.where((largest > 0) & (largest < np.inf), largest, 1)  # powers of w itself could overflow
    powers = (np.abs(w) / scale[..., None]) ** p
    return np.asarray(scale * powers.sum(-1) ** (1 / p))


def _lp_gradient(w: Array, y: Array, p: float) -> Array:
    ratio = np.abs(w) / y[..., None]
    return np.where(w == 0, 0, np.sign(w) * ratio ** (p - 1))  # at 0 the gradient is 0, whatever p


@poolings.register("lp", kernel="lp", gradient=_lp_gradient)
def lp(w: Array, p: float = 2.0) -> Array:
    """Norm of the window: (sum of |w| ** p) ** (1 / p), with gradient 0 where w is 0. ONNX LpPool."""
    if not p > 0:
        raise ValueError(f"p must be positive, got {p}")
    return _norm(w, p)


def _ranks(k: int, q: float) -> tuple[int, int, float]:
    """The two ranks between which the percentile q of k elements lies, and how far it is from the lower."""
    if not 0 <= q <= 100:
        raise ValueError(f"q must be between 0 and 100, got {q}")
    position = q / 100 * (k - 1)
    lower = int(position)
    return lower, min(lower + 1, k - 1), position - lower


def _percentile_gradient(w: Array, y: Array, q: float = 50.0) -> Array:
    lower, upper, weight = _ranks(w.shape[-1], q)
    order = w.argsort(-1, kind="stable")
    below, above = (_one_hot(w, order[..., rank]) for rank in (lower, upper))
    return np.asarray((1 - weight) * below + weight * above)


@poolings.register("median", kernel="percentile", gradient=_percentile_gradient)
def median(w: Array) -> Array:
    """Median; of an even number of elements the mean of the middle two. numpy.median."""
    return percentile(w, 50.0)


@poolings.register("percentile", kernel="percentile", gradient=_percentile_gradient)
def percentile(w: Array, q: float = 50.0) -> Array:
    """Percentile q, between two elements by linear interpolation. numpy.percentile."""
    lower, upper, weight = _ranks(w.shape[-1], q)
    partition = np.partition(w, sorted({lower, upper, w.shape[-1] - 1}), -1)
    low, high, last = partition[..., lower], partition[..., upper], partition[..., -1]
    between = np.where(low == high, low, (1 - weight) * low + weight * high)  # equal infinities too
    exact = low if weight == 0 else between
    return np.where(np.isnan(last), last, exact)  # NaN sorts last


def _exponentials(w: Array, temperature: float) -> Array:
    """exp(w / temperature), relative to that of the largest element."""
    if not temperature > 0:
        raise ValueError(f"temperature must be positive, got {temperature}")
    largest = w.max(-1, keepdims=True)
    return np.asarray(np.exp(np.where(w == largest, 0, w - largest) / temperature))  # equal infinities too


def _softmax(w: Array, temperature: float) -> Array:
    e = _exponentials(w, temperature)
    return np.asarray(e / e.sum(-1, keepdims=True))


@poolings.register("logsumexp", kernel="logsumexp", gradient=lambda w, y, temperature: _softmax(w, temperature))
def logsumexp(w: Array, temperature: float = 1.0) -> Array:
    """Smooth maximum: temperature * log(sum of exp(w / temperature)).

    Boyd and Vandenberghe 2004, section 3.1.5; ONNX ReduceLogSumExp.
    """
    return np.asarray(w.max(-1) + temperature * np.log(_exponentials(w, temperature).sum(-1)))


def _softmax_gradient(w: Array, y: Array, temperature: float) -> Array:
    share = _softmax(w, temperature)
    return np.where(share == 0, 0, share * (1 + (w - y[..., None]) / temperature))


@poolings.register("softmax", kernel="softmax", gradient=_softmax_gradient)
def softmax(w: Array, temperature: float = 1.0) -> Array:
    """Mean weighted by the softmax of w / temperature. Stergiou et al. 2021, arXiv:2101.00440."""
    share = _softmax(w, temperature)
    return np.asarray(np.where(share == 0, 0, share * w).sum(-1))


def _splitmix(state: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Mix 64 bits so that any difference in the input changes half of the output. Steele et al. 2014."""
    z = state + np.uint64(0x9E3779B97F4A7C15)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return np.asarray(z ^ (z >> np.uint64(31)))


def _pick(w: Array, index: Indices, seed: int) -> Indices:
    """The position in its window of the element that stochastic pooling takes."""
    if not isinstance(seed, int):
        raise TypeError(f"seed must be an int, got {seed!r}")
    key = _splitmix(np.array([seed & (2**64 - 1)], np.uint64))[0]
    bits = _splitmix(index.astype(np.uint64) ^ key)
    uniform = (bits >> np.uint64(12)) * 2.0**-52  # in [0, 1), with a distance to 1 that products keep
    largest = w.max(-1, keepdims=True).astype(np.float64)
    chance = np.where(w == largest, 1, np.maximum(w, 0) / largest)
    chance = np.where(largest > 0, chance, 1)  # uniform where nothing is positive
    rising = chance.cumsum(-1)
    picked = (rising > (uniform * rising[..., -1])[..., None]).argmax(-1)
    missing = np.isnan(w)
    return np.asarray(np.where(missing.any(-1), missing.argmax(-1), picked))


@poolings.register(
    "stochastic", indexed=True, ordered=True, gradient=lambda w, y, index, seed: _one_hot(w, _pick(w, index, seed))
)
def stochastic(w: Array, index: Indices, seed: int = 0) -> Array:
    """One element of the window, by chance: in proportion to the positive ones, or any if there is none.

    The choice depends on the seed and the place of the output, so it is the same for any number of threads.
    Zeiler and Fergus 2013, arXiv:1301.3557.
    """
    picked = _pick(w, index, seed)
    return np.asarray(np.take_along_axis(w, picked[..., None], -1)[..., 0])


def _mixed_gradient(w: Array, y: Array, alpha: float) -> Array:
    return np.asarray(alpha * _one_hot(w, w.argmax(-1)) + (1 - alpha) / w.shape[-1])


@poolings.register("mixed", kernel="mixed", gradient=_mixed_gradient)
def mixed(w: Array, alpha: float = 0.5) -> Array:
    """Mix of maximum and average: alpha * max + (1 - alpha) * avg. Lee et al. 2016, arXiv:1509.08985."""
    return np.asarray(alpha * w.max(-1) + (1 - alpha) * w.mean(-1))


def _deviation(w: Array) -> Array:
    """Of the elements from their mean, which in a flat window is exactly the first element."""
    first = w[..., :1]
    return np.asarray(w - (first + (w - first).mean(-1, keepdims=True)))


def _std_gradient(w: Array, y: Array) -> Array:
    deviation = _deviation(w)
    return np.where(y[..., None] == 0, 0, deviation / y[..., None] / w.shape[-1])


@poolings.register("std", kernel="std", gradient=_std_gradient)
def std(w: Array) -> Array:
    """Standard deviation of the population, with gradient 0 where it is 0. numpy.std."""
    return np.asarray(_norm(_deviation(w), 2) / np.sqrt(w.dtype.type(w.shape[-1])))
