"""The derived bound, the worst error against it, and the drawing of configurations."""

import warnings

import numpy as np
import pytest

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # of PyTorch's own import
    torch = pytest.importorskip("torch")

UNIT = {np.dtype(np.float32): 2.0**-24, np.dtype(np.float64): 2.0**-53}
# What the library promises of algorithm="auto", as a fraction of the largest result.
PROMISE = {np.dtype(np.float32): 1e-5, np.dtype(np.float64): 1e-14}


def gamma(n, unit):
    return n * unit / (1 - n * unit)


class Worst:
    """The worst error so far, as a fraction of its bound."""

    def __init__(self):
        self.ratio, self.configurations = 0.0, 0

    def check(self, what, got, want, scale, terms, promise=0.0):
        """|got - want| <= gamma(terms) scale, for the library's precision plus that of the reference."""
        assert got.shape == want.shape, what
        assert got.dtype in UNIT, what
        bound = (gamma(terms, UNIT[got.dtype]) + gamma(terms, 2.0**-53)) * scale
        bound = np.maximum(bound, promise * np.abs(want).max(initial=0)) + np.finfo(got.dtype).smallest_subnormal
        error = np.abs(got.astype(np.float64) - want)
        worst = float((error / bound).max(initial=0))
        assert worst <= 1, f"{what}: error {error.max()} is {worst} times its bound"
        self.ratio = max(self.ratio, worst)


def run(name, count, one):
    """`count` configurations of `one(rng, worst)`, each with its own seed, to repeat a failure alone."""
    worst = Worst()
    torch.set_num_threads(1)
    for seed in range(count):
        try:
            one(np.random.default_rng([seed, count]), worst)
        except Exception as error:
            raise AssertionError(f"{name}, configuration {seed} of {count}: {error}") from error
        worst.configurations += 1
    print(f"\n{name}: {worst.configurations} configurations, worst error {worst.ratio:.3f} of its bound")


def several(few, many):
    return pytest.mark.parametrize("count", [few, pytest.param(many, marks=pytest.mark.slow)])


def pull(model, arrays, gy):
    """y and the gradients of `model` at these arrays, in float64 by PyTorch."""
    tensors = [torch.tensor(np.asarray(array, np.float64), requires_grad=True) for array in arrays]
    y = model(*tensors)
    y.backward(torch.tensor(np.broadcast_to(np.asarray(gy, np.float64), y.shape).copy()))
    return [tensor.detach().numpy() for tensor in (y, *(tensor.grad for tensor in tensors))]


def absolute(model, arrays, gy):
    """The sums of absolute products, and their numbers, behind all that `pull` returns for a linear model."""
    scales = pull(model, [np.abs(array) for array in arrays], np.abs(gy))
    terms = pull(model, [np.ones_like(array) for array in arrays], np.ones_like(gy))
    return scales, terms


def last(array, channels_last, axis=1):
    """A channels_first array as the layout of this configuration wants it."""
    return np.moveaxis(array, axis, -1) if channels_last else array


def first(array, channels_last, axis=1):
    return np.moveaxis(array, -1, axis) if channels_last else array


def maybe_scalar(rng, values):
    """One int where all axes agree, at times; both spellings mean the same."""
    return values[0] if len(set(values)) == 1 and rng.random() < 0.7 else tuple(values)


def per_axis(rng, rank, low, high):
    """One integer per axis, equal on all of them half of the time."""
    values = rng.integers(low, high + 1, rank).tolist()
    return [values[0]] * rank if rng.random() < 0.5 else values


def draw(rng, shape, dtype):
    return rng.standard_normal(shape).astype(dtype)
