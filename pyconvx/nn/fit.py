"""Training. May import the layers, losses, optimizers and schedules."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from .layer import Array, Layer, Params
from .losses import loss_and_gradient, losses
from .optimizers import Optimizer, clip_gradients, optimizer
from .save import arrays_of
from .schedules import factor

__all__ = ["History", "evaluate", "fit", "predict"]

Callback = Callable[["History", Layer], Any]


@dataclass
class History:
    """What each epoch came to: one number per epoch in every list, or none where it was not measured.

    accuracy: the share of right labels, where targets are labels. seconds: of training alone.
    """

    loss: list[float] = field(default_factory=list)
    accuracy: list[float] = field(default_factory=list)
    validation_loss: list[float] = field(default_factory=list)
    validation_accuracy: list[float] = field(default_factory=list)
    learning_rate: list[float] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)

    @property
    def epochs(self) -> int:
        """How many there have been."""
        return len(self.loss)

    @property
    def best(self) -> int:
        """The epoch, counted from 0, with the least loss in validation, or in training if there was none."""
        return int(np.argmin(self.validation_loss or self.loss))

    def line(self) -> str:
        """The last epoch in words."""
        told = [f"epoch {self.epochs}", f"loss {self.loss[-1]:.4f}"]
        if self.accuracy:
            told.append(f"accuracy {self.accuracy[-1]:.4f}")
        if self.validation_loss:
            told.append(f"validation loss {self.validation_loss[-1]:.4f}")
        if self.validation_accuracy:
            told.append(f"accuracy {self.validation_accuracy[-1]:.4f}")
        return ", ".join(told) + f", {self.seconds[-1]:.1f} s"


def predict(net: Layer, x: Any, *, batch_size: int = 256) -> Array:
    """The results for x (N, ...), a batch at a time, so that memory is bounded."""
    x = np.asarray(x)
    parts = [net(x[start : start + batch_size]) for start in range(0, len(x), batch_size)]
    return np.concatenate(parts) if parts else net(x)


def evaluate(
    net: Layer, x: Any, y: Any, *, loss: Any = "cross_entropy", batch_size: int = 256
) -> tuple[float, float | None]:
    """The mean loss, and the share of right labels, or None where targets are none.

    Raises ValueError for x and y of different lengths, or none.
    """
    x, y = _pairs(x, y)
    total, right = 0.0, 0
    for start in range(0, len(x), batch_size):
        some = slice(start, start + batch_size)
        out = net(x[some])
        total += loss_and_gradient(loss, out, y[some])[0] * len(out)
        right += _right(out, y[some])
    return total / len(x), right / len(x) if _labels(y) else None


def _labels(y: Array) -> bool:
    return y.ndim == 1 and y.dtype.kind in "iu"


def _right(out: Array, y: Array) -> int:
    return int((out.argmax(-1) == y).sum()) if _labels(y) and out.ndim == 2 else 0


def _pairs(x: Any, y: Any) -> tuple[Array, Array]:
    x, y = np.asarray(x), np.asarray(y)
    if len(x) != len(y) or len(x) == 0:
        raise ValueError(f"x and y must have as many samples, at least one, got {len(x)} and {len(y)}")
    return x, y


def _bar(batches: Iterable[slice], total: int, title: str, progress: bool) -> Iterator[slice]:
    """Batches, with a progress bar where tqdm is installed."""
    if progress:
        try:
            from tqdm import tqdm
        except ImportError:
            pass
        else:
            batches = tqdm(batches, total=total, desc=title, leave=False)
    yield from batches


def fit(
    net: Layer,
    x: Any,
    y: Any,
    *,
    loss: Any = "cross_entropy",
    optimizer: str | Optimizer = "adam",
    epochs: int = 1,
    batch_size: int = 32,
    validation: tuple[Any, Any] | float | None = None,
    schedule: Any = "constant",
    clip: float | None = None,
    patience: int | None = None,
    keep_best: bool = False,
    seed: int = 0,
    callbacks: Sequence[Callback] = (),
    checkpoint: str | Path | None = None,
    progress: bool = False,
) -> History:
    """Train a network in place, and return what each epoch came to.

    x: samples (N, ...); y: targets, labels (N,) or arrays. loss: a name in `nn.losses`; optimizer: "sgd", "adam",
    "adamw" or an Optimizer. validation: (x, y), or the share of the samples that is held back, the last ones. schedule:
    a name in `nn.schedules`, by which the learning rate goes; clip: the largest norm of all gradients together.
    patience: so many epochs without a lower validation loss end the training; keep_best: the parameters of the best
    epoch are kept, not the last ones. seed: of the order of samples and of dropout, the same for any number of threads.
    callbacks: called with the history and the network after every epoch, which is the last one if one of them returns
    True. checkpoint: a path (.npz) written after every epoch; where it exists, training goes on from there, with the
    same bits as if it had not been interrupted. progress: a line for each epoch, and a bar where tqdm is installed.

    Raises ValueError for arguments that do not fit, and for a loss that is not finite.

    >>> import numpy as np, pyconvx as cx
    >>> x = np.random.default_rng(0).standard_normal((64, 4))
    >>> net = cx.nn.Sequential(cx.nn.Dense(2))
    >>> history = cx.nn.fit(net, x, (x[:, 0] > 0).astype(int), epochs=20, optimizer=cx.nn.Adam(0.05))
    >>> history.accuracy[-1] > 0.9
    True
    """
    x, y = _pairs(x, y)
    losses.resolve(loss)
    chosen = _optimizer(optimizer)
    if isinstance(validation, (int, float)):
        if not 0 < validation < 1:
            raise ValueError(f"validation must be (x, y) or a share between 0 and 1, got {validation}")
        held = max(1, round(len(x) * validation))
        validation, x, y = (x[-held:], y[-held:]), x[:-held], y[:-held]
        _pairs(x, y)
    if min(epochs, batch_size) < 1:
        raise ValueError(f"epochs and batch_size must be at least 1, got {epochs} and {batch_size}")
    net(x[:1])
    history, best, rate = History(), dict[str, Array](), 1.0
    path = None if checkpoint is None else Path(checkpoint)
    if path is not None and path.exists():
        history, best = _resume(path, net, chosen)
    batches = -(-len(x) // batch_size)
    while history.epochs < epochs and not _patient_enough(history, patience):
        epoch = history.epochs
        order = np.random.default_rng([seed, epoch]).permutation(len(x))
        dropping = np.random.default_rng([seed, epoch, 1])
        since, total, right = time.perf_counter(), 0.0, 0
        slices = (slice(start, start + batch_size) for start in range(0, len(x), batch_size))
        for number, some in enumerate(_bar(slices, batches, f"epoch {epoch + 1}/{epochs}", progress)):
            rows, rate = order[some], factor(schedule, (epoch * batches + number) / (epochs * batches))
            value, good = _step(net, x[rows], y[rows], loss, chosen, rate, clip, dropping)
            if not np.isfinite(value):
                where = f"epoch {epoch + 1}, batch {number + 1}"
                raise ValueError(f"the loss is {value} in {where}: try a smaller learning_rate")
            total += value * len(rows)
            right += good
        history.loss.append(total / len(x))
        history.seconds.append(time.perf_counter() - since)
        history.learning_rate.append(chosen.learning_rate * rate)
        if _labels(y):
            history.accuracy.append(right / len(x))
        if validation is not None:
            held_loss, accuracy = evaluate(net, *validation, loss=loss)
            history.validation_loss.append(held_loss)
            if accuracy is not None:
                history.validation_accuracy.append(accuracy)
        if keep_best and history.best == epoch:
            best = _copy(net)
        if path is not None:
            _write(path, net, chosen, history, best)
        if progress:
            print(history.line(), file=sys.stderr)
        if any([callback(history, net) is True for callback in callbacks]):
            break
    if best:
        _restore(net, best)
    return history


_optimizer = optimizer


def _step(
    net: Layer,
    x: Array,
    y: Array,
    loss: Any,
    chosen: Optimizer,
    rate: float,
    clip: float | None,
    rng: np.random.Generator,
) -> tuple[float, int]:
    updates: Params = {}
    out, pullback = net.vjp(x, training=True, rng=rng, updates=updates)
    value, gradient = loss_and_gradient(loss, out, y)
    _, gradients = pullback(gradient)
    if clip is not None:
        gradients = clip_gradients(gradients, clip)
    chosen.step(net.params, gradients, rate)
    for name, array in net.state.items():
        if name in updates:
            array[...] = updates[name]
    return value, _right(out, y)


def _patient_enough(history: History, patience: int | None) -> bool:
    return patience is not None and history.epochs > 0 and history.epochs - 1 - history.best >= patience


def _copy(net: Layer) -> Params:
    return {key: array.copy() for key, array in arrays_of(net).items()}


def _restore(net: Layer, arrays: Params) -> None:
    for key, array in arrays_of(net).items():
        array[...] = arrays[key]


def _write(path: Path, net: Layer, chosen: Optimizer, history: History, best: Params) -> None:
    """A checkpoint, whole or not at all: a file beside it takes its place when it is complete."""
    arrays: dict[str, Any] = {f"net/{key}": array for key, array in arrays_of(net).items()}
    arrays |= {f"best/{key}": array for key, array in best.items()}
    arrays |= {f"optimizer/{key}": array for key, array in chosen.state.items()}
    about = json.dumps({"history": asdict(history), "steps": chosen.steps, "optimizer": repr(chosen)})
    beside = path.with_name(path.name + ".part")
    with open(beside, "wb") as file:
        np.savez(file, about=np.frombuffer(about.encode(), np.uint8), **arrays)
    beside.replace(path)


def _resume(path: Path, net: Layer, chosen: Optimizer) -> tuple[History, Params]:
    try:
        with open(path, "rb") as stream, np.load(stream, allow_pickle=False) as file:
            about = json.loads(file["about"].tobytes())
            parts: dict[str, Params] = {"net": {}, "best": {}, "optimizer": {}}
            for key in file.files:
                kind, _, name = key.partition("/")
                if name:
                    parts[kind][name] = file[key]
        if about["optimizer"] != repr(chosen):
            raise ValueError(f"it was trained by {about['optimizer']}, not {chosen!r}")
        history = History(**about["history"])
        _restore(net, parts["net"])
        chosen.state, chosen.steps = parts["optimizer"], int(about["steps"])
    except OSError:
        raise
    except Exception as error:
        raise ValueError(f"{path} is no checkpoint of this training: {error}") from error
    return history, parts["best"]
