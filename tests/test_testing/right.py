"""Plugins that are right, as people write them: no law may find anything wrong with them."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from foreign import activation, both

from pyconvx import OUTSIDE


@dataclass(frozen=True)
class Right:
    """A plugin to register in `registry`; `like` is a definition of it, if there is a plainer one."""

    registry: str
    name: str
    function: Callable[..., Any]
    fields: dict[str, Any] = field(default_factory=dict)
    like: Any = None


RIGHT: list[Right] = []


def right(registry, *, like=None, **fields):
    """Decorator that adds a plugin to the list, under the name of its function."""

    def add(function):
        RIGHT.append(Right(registry, function.__name__, function, fields, like))
        return function

    return add


def sigmoid(x):
    e = np.exp(-np.abs(x))
    return np.where(x < 0, e, 1) / (1 + e)


def one_hot(index, w):
    return (np.arange(w.shape[-1]) == index[..., None]).astype(w.dtype)


# Activations.


@right("activations", derivative=lambda x, y, a: 1 + np.sin(2 * a * x))
def snake(x, a=1.0):
    return x + np.sin(a * x) ** 2 / a


@right("activations", derivative=lambda x, y: 2 * x, limits=True)
def square(x):
    return x * x


@right("activations", derivative=lambda x, y: np.cos(x), like=np.sin)
def sine(x):
    return np.sin(x)


@right("activations", derivative=lambda x, y: -2 * x * y)
def gaussian(x):
    return np.exp(-x * x)


@right("activations", derivative=lambda x, y: x / (2 * np.sqrt(x * x + 1)) + 1)
def bent_identity(x):
    return (np.sqrt(x * x + 1) - 1) / 2 + x


@right("activations", derivative=lambda x, y, b: (1 + x / np.sqrt(x * x + b)) / 2)
def squareplus(x, b=4.0):
    return (x + np.sqrt(x * x + b)) / 2


@right("activations", derivative=lambda x, y: 1 / (1 + x * x), limits=True, like=np.arctan)
def arc_tangent(x):
    return np.arctan(x)


@right("activations", derivative=lambda x, y, beta: sigmoid(beta * x) * (1 + beta * x * sigmoid(-beta * x)))
def swish(x, beta=1.5):
    return x * sigmoid(beta * x)


@right("activations", derivative=lambda x, y: np.tanh(x))
def log_cosh(x):
    return np.abs(x) + np.log1p(np.exp(-2 * np.abs(x))) - np.log(x.dtype.type(2))


@right("activations", derivative=lambda x, y: 3 * x * x)
def cube(x):
    return x * x * x


@right("activations", derivative=lambda x, y: np.where(x > 0, 2 * x, 0), propagates_nan=False)
def squared_relu(x):
    return np.where(x > 0, x, 0) ** 2


@right("activations", derivative=lambda x, y: np.abs(x) < 1, surrogate=True, propagates_nan=False)
def sign_with_straight_through_gradient(x):
    return np.where(x < 0, -1, 1).astype(x.dtype)


@right("activations", derivative=lambda x, y: (x > -4) & (x < 4), surrogate=True)
def quantized(x):
    return np.round(np.clip(x, -4, 4) * 8) / 8


@right("activations")
def exponential_without_derivative(x):
    return np.exp(x)


@right("activations", derivative=lambda x, y: y, limits=True)
def exponential_that_is_its_own_derivative(x):
    return np.exp(x)


@right("activations", derivative=lambda x, y: sigmoid(x), like=lambda x: np.log(1 + np.exp(x)))
def softplus_whose_definition_overflows(x):
    return np.logaddexp(x, 0).astype(x.dtype)


@right("activations", rowwise=True, gradient=lambda x, y, gy: gy - gy.mean(-1, keepdims=True))
def centred(x):
    return x - x.mean(-1, keepdims=True)


def normalized(x):
    """Centred rows, and what they are divided by."""
    centred = x - x.mean(-1, keepdims=True)
    return centred, np.sqrt((centred * centred).mean(-1, keepdims=True) + 1)


def layer_norm_gradient(x, y, gy):
    """In two steps, which leave rounding where the gradient is zero."""
    centred, scale = normalized(x)
    h = centred / scale
    gv = (gy - h * (gy * h).mean(-1, keepdims=True)) / scale
    return gv - gv.mean(-1, keepdims=True)


@right("activations", rowwise=True, gradient=layer_norm_gradient)
def layer_norm(x):
    centred, scale = normalized(x)
    return centred / scale


def pairs(length):
    if length % 2:
        raise ValueError(f"maxout takes pairs, got {length}")
    return length // 2


def maxout_gradient(x, y, gy):
    first = x[..., ::2] >= x[..., 1::2]
    return np.stack([gy * first, gy * ~first], -1).reshape(x.shape)


@right("activations", rowwise=True, output_size=pairs, gradient=maxout_gradient)
def maxout(x):
    return np.maximum(x[..., ::2], x[..., 1::2])


def support(x):
    """Which elements sparsemax keeps, and what it subtracts from them. Martins and Astudillo 2016."""
    z = np.sort(x, -1)[..., ::-1]
    k = np.arange(1, x.shape[-1] + 1)
    sums = z.cumsum(-1)
    size = (1 + k * z > sums).sum(-1, keepdims=True)
    tau = (np.take_along_axis(sums, np.maximum(size, 1) - 1, -1) - 1) / size.astype(x.dtype)
    return x > tau, tau


def sparsemax_gradient(x, y, gy):
    kept, _ = support(x)
    count = np.maximum(kept.sum(-1, keepdims=True), 1).astype(x.dtype)
    return np.where(kept, gy - (gy * kept).sum(-1, keepdims=True) / count, 0)


@right("activations", rowwise=True, gradient=sparsemax_gradient)
def sparsemax(x):
    return np.maximum(x - support(x)[1], 0)


# Poolings.


def share(w):
    e = np.exp(w - w.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


@right("poolings", gradient=lambda w, y: np.exp(w - y[..., None]))
def lse(w):
    m = w.max(-1)
    return m + np.log(np.exp(w - m[..., None]).sum(-1))


@right(
    "poolings", gradient=lambda w, y: one_hot(w.argmax(-1), w) - one_hot(w.argmin(-1), w), like=lambda w: np.ptp(w, -1)
)
def spread(w):
    return w.max(-1) - w.min(-1)


def midrange_gradient(w, y):
    """Of equal elements the first is the largest and the last the smallest: two have a slope of 1/2 each."""
    last = w.shape[-1] - 1 - w[..., ::-1].argmin(-1)
    return (one_hot(w.argmax(-1), w) + one_hot(last, w)) / 2


@right("poolings", gradient=midrange_gradient)
def midrange(w):
    return (w.max(-1) + w.min(-1)) / 2


def second(w):
    return min(1, w.shape[-1] - 1)


@right("poolings", exact=True, propagates_nan=False,
       gradient=lambda w, y: one_hot(np.argsort(w, -1, kind="stable")[..., second(w)], w))  # fmt: skip
def second_smallest(w):
    return np.sort(w, -1)[..., second(w)]


def trimmed_gradient(w, y):
    order = np.argsort(w, -1, kind="stable")
    kept = (np.arange(w.shape[-1]) >= trim(w)) & (np.arange(w.shape[-1]) < w.shape[-1] - trim(w))
    gradient = np.zeros_like(w)
    np.put_along_axis(gradient, order, np.broadcast_to(kept / kept.sum(), w.shape), -1)
    return gradient


def trim(w):
    return (w.shape[-1] - 1) // 4


@right("poolings", gradient=trimmed_gradient, propagates_nan=False)
def trimmed_mean(w):
    return np.sort(w, -1)[..., trim(w) : w.shape[-1] - trim(w)].mean(-1)


def rms_gradient(w, y):
    return np.where(y[..., None] == 0, 0, w / np.where(y == 0, 1, y)[..., None] / w.shape[-1])


@right("poolings", gradient=rms_gradient, limits=True)
def root_mean_square(w):
    return np.sqrt((w * w).mean(-1))


@right("poolings", ordered=True, exact=True, gradient=lambda w, y: one_hot(np.zeros(w.shape[:-1], int), w),
       propagates_nan=False)  # fmt: skip
def first(w):
    return w[..., 0]


@right("poolings", ordered=True, gradient=lambda w, y: np.broadcast_to(ramp(w), w.shape))
def weighted(w):
    return (w * ramp(w)).sum(-1)


def ramp(w):
    k = w.shape[-1]
    return (np.arange(1, k + 1) / (k * (k + 1) / 2)).astype(w.dtype)


@right("poolings", propagates_nan=False, gradient=lambda w, y: one_hot(np.argmax(np.where(w == w, w, -np.inf), -1), w))
def largest_number(w):
    return np.nanmax(w, -1)


@right("poolings", gradient=lambda w, y: np.sign(w) / (1 + np.abs(w)) / w.shape[-1])
def mean_logarithm(w):
    return np.log1p(np.abs(w)).mean(-1)


@right("poolings", gradient=lambda w, y: share(w) * (1 + w - y[..., None]))
def soft(w):
    return (w * share(w)).sum(-1)


@right("poolings", indexed=True, ordered=True, propagates_nan=False,
       gradient=lambda w, y, index: one_hot(index * 7 % w.shape[-1], w))  # fmt: skip
def by_turns(w, index):
    return np.take_along_axis(w, (index * 7 % w.shape[-1])[..., None], -1)[..., 0]


@right("poolings")
def variance_without_gradient(w):
    return w.var(-1)


# Padding modes.


@right("paddings", like="reflect")
def bounce(i, n):
    period = max(2 * n - 2, 1)
    i = i % period
    return np.minimum(i, period - i)


@right("paddings")
def edge_before_zeros_after(i, n):
    return np.where(i >= n, OUTSIDE, np.maximum(i, 0))


@right("paddings", like=lambda x, before, after: np.pad(x, (before, after), "edge"))
def edge_by_search(i, n):
    return np.array([min(max(j, 0), n - 1) for j in i.tolist()], np.int32)


@right("paddings")
def linear_extrapolation(i, n):
    inner = min(1, n - 1)
    beyond = np.where(i < 0, -i, np.where(i >= n, i - n + 1, 0))
    end = np.clip(i, 0, n - 1)
    before_end = np.where(i < 0, inner, np.where(i >= n, n - 1 - inner, 0))
    if n == 1:
        return end, np.ones(i.shape)
    return np.stack([end, before_end]), np.stack([1.0 + beyond, -1.0 * beyond])


@right("paddings")
def fading_edge(i, n):
    distance = np.where(i < 0, -i, np.where(i >= n, i - n + 1, 0))
    return np.clip(i, 0, n - 1), 0.5**distance


@right("paddings")
def antiperiodic(i, n):
    return i % n, np.where(i // n % 2 == 0, 1, -1)


@right("paddings")
def mean_of_the_ends(i, n):
    outside = (i < 0) | (i >= n)
    first, last = np.where(outside, 0, i), np.full_like(i, n - 1)
    return np.stack([first, last]), np.stack([np.where(outside, 0.5, 1), np.where(outside, 0.5, 0)])


@right("paddings")
def reflect_once(i, n):
    if i.size and (i.min() <= -n or i.max() > 2 * n - 2):
        raise ValueError("reflect_once takes pads shorter than the axis")
    i = np.abs(i)
    return np.where(i >= n, 2 * (n - 1) - i, i)


@right("paddings")
def constant_of_one(i, n, value=1.0):
    return np.where((i >= 0) & (i < n), i, OUTSIDE)


@right("paddings")
def cylinder_with_a_cap(i, n):
    wrapped = i % n
    return np.where(i < 0, wrapped, np.minimum(i, n - 1))


# Parameters that do not take any value, and compiled forms that are free to differ.


@right("activations", derivative=lambda x, y, gain: np.full_like(x, gain))
def takes_a_few_values(x, gain=1.0):
    if gain not in (0.5, 1.0, 2.0):
        raise ValueError("gain must be 0.5, 1 or 2")
    return x * x.dtype.type(gain)


@right("activations", derivative=lambda x, y, share: np.where(x > 0, 1, share).astype(x.dtype))
def asserts_its_share(x, share=0.9):
    assert 0 <= share <= 1
    return np.where(x > 0, x, share * x).astype(x.dtype)


@right("activations", propagates_nan=False, derivative=lambda x, y: (~np.isnan(x)).astype(x.dtype))
def fills_with_nan(x, fill=float("nan")):
    return np.where(np.isnan(x), fill, x).astype(x.dtype)


@right("activations", compiled=both(activation, lambda x, low, high: np.fmax(np.fmin(x, high), low) + 0 * x, 2))
def band(x, low=0.0, high=0.2):
    return np.clip(x, low, high)


@right(
    "activations",
    rowwise=True,
    compiled=both(activation, lambda x: x / (np.fmax.reduce(np.abs(x)) + 1)),
)
def by_the_largest(x):
    return x / (np.abs(x).max(-1, keepdims=True) + 1)


def pairs(w):
    return w[..., :, None] - w[..., None, :]


@right("poolings", gradient=lambda w, y: 2 * np.sign(pairs(w)).mean(-1) / w.shape[-1])
def mean_difference(w):
    return np.abs(pairs(w)).mean((-1, -2))


# Joint padding modes.


def over_the_poles(i, n):
    """Rows, columns and where the other side of the globe is."""
    (latitude, longitude), (rows, columns) = i, n
    latitude = latitude % (2 * rows)
    beyond = latitude >= rows
    if columns % 2 and beyond.any():
        raise ValueError("an even number of longitudes, please")
    return np.minimum(latitude, 2 * rows - 1 - latitude), (longitude + beyond * (columns // 2)) % columns, beyond


@right("paddings", joint=True, ranks=(2,), like="globe")
def sphere(i, n):
    return over_the_poles(i, n)[:2]


@right("paddings", joint=True, ranks=(2,))
def wind(i, n):
    """A vector points the other way beyond a pole."""
    row, column, beyond = over_the_poles(i, n)
    return (row, column), np.where(beyond, -1, 1)


@right("paddings", joint=True, like=lambda x, pad_width: np.pad(x, pad_width, "wrap"))
def torus(i, n):
    return tuple(at % size for at, size in zip(i, n, strict=True))


@right("paddings", joint=True, ranks=(2,))
def klein_bottle(i, n):
    turned = i[0] // n[0] % 2 == 1
    column = i[1] % n[1]
    return i[0] % n[0], np.where(turned, n[1] - 1 - column, column)


@right("paddings", joint=True, ranks=(2, 3))
def round_corners(i, n, value=0.0):
    """Edges are repeated, and nothing is beyond a corner."""
    corner = np.all(np.broadcast_arrays(*((at < 0) | (at >= size) for at, size in zip(i, n, strict=True))), axis=0)
    first, *others = (np.clip(at, 0, size - 1) for at, size in zip(i, n, strict=True))
    return np.where(corner, OUTSIDE, first), *others


@right("paddings", joint=True)
def fading_with_distance(i, n):
    beyond = [np.maximum(np.maximum(-at, at - size + 1), 0) for at, size in zip(i, n, strict=True)]
    return tuple(np.clip(at, 0, size - 1) for at, size in zip(i, n, strict=True)), 0.5 ** sum(beyond)


@right("paddings", joint=True, ranks=(2,))
def globe_that_looks_at_sizes_first(i, n):
    if n[1] % 2:
        raise ValueError("longitudes must be even")
    beyond = (i[0] < 0) | (i[0] >= n[0])
    row = i[0] % (2 * n[0])
    row = np.minimum(row, 2 * n[0] - 1 - row)
    return row, (i[1] + (i[0] // n[0] % 2) * (n[1] // 2) + 0 * beyond) % n[1]


@right("paddings")
def bounces_until_it_is_inside(i, n):
    i = i.copy()
    while i.min() < 0 or i.max() >= n:
        i = np.where(i < 0, -i - 1, i)
        i = np.where(i >= n, 2 * n - 1 - i, i)
    return i


# Functions that are steep, or bend often.


@right("activations", derivative=lambda x, y: 1e4 * (1 - y * y), like=lambda x: np.tanh(1e4 * x))
def steep_tanh(x):
    return np.tanh(x * x.dtype.type(1e4))


@right("activations", derivative=lambda x, y: 1e5 * np.cos(1e5 * x))
def fast_sine(x):
    return np.sin(1e5 * x)


@right("activations", derivative=lambda x, y, steepness: steepness * (1 - y * y))
def tanh_of_a_steepness(x, steepness=1e3):
    return np.tanh(x * x.dtype.type(steepness))
