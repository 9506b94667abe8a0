"""Networks on many samples: results, and how good they are. May import the layers and losses."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..geometry import integer
from .layer import Array, Layer
from .losses import loss_and_gradient

__all__ = ["are_labels", "count_right", "evaluate", "pairs", "predict"]


def predict(net: Layer, x: Any, *, batch_size: int = 256) -> Array:
    """The results for x (N, ...), a batch at a time, so that memory is bounded.

    A pooling that is told where in a batch its windows lie, as "stochastic", counts anew in each batch.
    """
    x, batch_size = np.asarray(x), integer("batch_size", batch_size, 1)
    parts = [net(x[start : start + batch_size]) for start in range(0, len(x), batch_size)]
    return np.concatenate(parts) if parts else net(x)


def evaluate(
    net: Layer, x: Any, y: Any, *, loss: Any = "cross_entropy", batch_size: int = 256
) -> tuple[float, float | None]:
    """The mean loss, and the share of right labels, or None where targets are none.

    Batches are as in `predict`. Raises ValueError for x and y of different lengths, or none.
    """
    x, y = pairs(x, y)
    batch_size = integer("batch_size", batch_size, 1)
    total, right = 0.0, 0
    for start in range(0, len(x), batch_size):
        some = slice(start, start + batch_size)
        out = net(x[some])
        total += loss_and_gradient(loss, out, y[some])[0] * len(out)
        right += count_right(out, y[some])
    return total / len(x), right / len(x) if are_labels(y) else None


def are_labels(y: Array) -> bool:
    """Whether targets are labels, of which some may be guessed right."""
    return y.ndim == 1 and y.dtype.kind in "iu"


def count_right(out: Array, y: Array) -> int:
    """How many labels have the largest share of the results."""
    return int((out.argmax(-1) == y).sum()) if are_labels(y) and out.ndim == 2 else 0


def pairs(x: Any, y: Any) -> tuple[Array, Array]:
    """x and y as arrays. Raises ValueError unless they are as many, and some."""
    x, y = np.asarray(x), np.asarray(y)
    if x.ndim == 0 or y.ndim == 0:
        raise ValueError(f"x and y must be arrays with an axis of samples, got the shapes {x.shape} and {y.shape}")
    if len(x) != len(y) or len(x) == 0:
        raise ValueError(f"x and y must have as many samples, at least one, got {len(x)} and {len(y)}")
    return x, y
