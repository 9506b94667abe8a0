"""Training. May import the layers, losses, optimizers, schedules and checkpoints."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..geometry import integer, real
from ..plugin import Bound
from .checkpoint import copy_of, digest, restore, resume, write_checkpoint
from .evaluate import are_labels, count_right, evaluate, pairs
from .history import History
from .layer import Array, Layer, Params, Run
from .losses import check_targets, loss_and_gradient, losses
from .optimizers import Optimizer, clip_gradients, optimizer
from .schedules import factor, schedules

__all__ = ["fit"]

Callback = Callable[[History, Layer], Any]
Pairs = tuple[Array, Array]

_optimizer = optimizer


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
    same bits as if it had not been interrupted: `epochs` counts those that it holds, too. progress: a line for each
    epoch, and a bar where tqdm is installed.

    An optimizer that has taken steps goes on with what it remembers of them. If the training fails or is interrupted,
    the network is left as after the last whole step, or with keep_best as it was best. Raises ValueError for arguments
    that do not fit, for a checkpoint of another training (other data, settings or network) or of more epochs, and for a
    loss that is not finite.

    >>> import numpy as np, pyconvx as cx
    >>> x = np.random.default_rng(0).standard_normal((64, 4))
    >>> net = cx.nn.Sequential(cx.nn.Dense(2))
    >>> history = cx.nn.fit(net, x, (x[:, 0] > 0).astype(int), epochs=20, optimizer=cx.nn.Adam(0.05))
    >>> history.accuracy[-1] > 0.9
    True
    """
    if not isinstance(net, Layer):
        raise TypeError(f"net must be a layer or a network, got {net!r}")
    validation, x, y = _held_back(validation, *pairs(x, y))
    if callable(callbacks) or not all(map(callable, callbacks)):
        raise TypeError(f"callbacks must be a sequence of functions, got {callbacks!r}")
    if clip is not None:
        real("clip", clip)
    if clip is not None and not 0 < clip < np.inf:
        raise ValueError(f"clip must be positive and finite, or None, got {clip}")
    training = _Training(
        net=net,
        x=x,
        y=y,
        validation=validation,
        loss=loss,
        optimizer=_optimizer(optimizer),
        schedule=schedules.resolve(schedule),
        epochs=integer("epochs", epochs, 1),
        batch_size=integer("batch_size", batch_size, 1),
        clip=None if clip is None else float(clip),
        keep_best=bool(keep_best),
        seed=integer("seed", seed, 0),
        progress=progress,
    )
    patience = None if patience is None else integer("patience", patience, 1)
    path = None if checkpoint is None else Path(checkpoint)
    if path is not None and (path.suffix != ".npz" or not path.parent.is_dir()):
        raise ValueError(f"checkpoint must end in .npz, in a folder that there is, got {str(path)!r}")
    for some_x, some_y in ((x, y), *([] if validation is None else [validation])):
        out = net(some_x[:1])
        check_targets(loss, out, some_y)
        loss_and_gradient(loss, out, some_y[:1])  # before any time is spent
    settings, history, best = training.settings(), History(), dict[str, Array]()
    if path is not None:
        settings["data"] = digest(x, y, *(validation or ()))
    if path is not None and path.exists():
        history, best = resume(path, net, training.optimizer, settings, training.epochs)
    try:
        while history.epochs < training.epochs and not _patient_enough(history, patience):
            training.epoch(history)
            if keep_best and history.best == history.epochs - 1:
                best = copy_of(net)
            if path is not None:
                write_checkpoint(path, net, training.optimizer, history, best, settings)
            if progress:
                print(history.line(), file=sys.stderr)
            if any([_is_true(callback(history, net)) for callback in callbacks]):
                break
    finally:
        if best:
            restore(net, best)
    return history


def _held_back(validation: Any, x: Array, y: Array) -> tuple[Pairs | None, Array, Array]:
    """What is watched, if anything, and what is left to train with."""
    if validation is None:
        return None, x, y
    if isinstance(validation, (int, float, np.floating)):
        if not 0 < validation < 1:
            raise ValueError(f"validation must be (x, y) or a share between 0 and 1, got {validation}")
        held = max(1, round(len(x) * validation))
        return pairs(x[-held:], y[-held:]), *pairs(x[:-held], y[:-held])
    if not isinstance(validation, Sequence) or len(validation) != 2:
        raise ValueError(f"validation must be (x, y) or a share between 0 and 1, got {validation!r}")
    return pairs(*validation), x, y


@dataclass(frozen=True, eq=False, repr=False)
class _Training:
    """What does not change from epoch to epoch."""

    net: Layer
    x: Array
    y: Array
    validation: Pairs | None
    loss: Any
    optimizer: Optimizer
    schedule: Bound[Any]
    epochs: int
    batch_size: int
    clip: float | None
    keep_best: bool
    seed: int
    progress: bool

    def settings(self) -> dict[str, Any]:
        """What must be the same for a training to go on."""
        settings: dict[str, Any] = {
            "loss": repr(losses.resolve(self.loss)),
            "optimizer": repr(self.optimizer),
            "schedule": repr(self.schedule),
            "batch_size": self.batch_size,
            "seed": self.seed,
            "clip": self.clip,
            "samples": len(self.x),
            "keep_best": self.keep_best,
            "validation": None if self.validation is None else len(self.validation[0]),
        }
        return settings if self.schedule.name == "constant" else {**settings, "epochs": self.epochs}

    def epoch(self, history: History) -> None:
        """Go over all samples once, and write down what that came to."""
        number, x, y = history.epochs, self.x, self.y
        batches = -(-len(x) // self.batch_size)
        order = np.random.default_rng([self.seed, number]).permutation(len(x))
        dropping = np.random.default_rng([self.seed, number, 1])
        since, total, right, rate = time.perf_counter(), 0.0, 0, 1.0
        slices = (slice(start, start + self.batch_size) for start in range(0, len(x), self.batch_size))
        title = f"epoch {number + 1}/{self.epochs}"
        for batch, some in enumerate(_bar(slices, batches, title, self.progress)):
            rows, rate = order[some], factor(self.schedule, (number * batches + batch) / (self.epochs * batches))
            value, good = self._step(x[rows], y[rows], rate, dropping)
            if not np.isfinite(value):
                where = f"epoch {number + 1}, batch {batch + 1}"
                hint = "see that x and y are finite, and try a smaller learning_rate"
                raise ValueError(f"the loss is {value} in {where}: {hint}")
            total += value * len(rows)
            right += good
        history.loss.append(total / len(x))
        history.seconds.append(time.perf_counter() - since)
        history.learning_rate.append(self.optimizer.learning_rate * rate)
        if are_labels(y):
            history.accuracy.append(right / len(x))
        if self.validation is not None:
            held_loss, accuracy = evaluate(self.net, *self.validation, loss=self.loss)
            history.validation_loss.append(held_loss)
            if accuracy is not None:
                history.validation_accuracy.append(accuracy)

    def _step(self, x: Array, y: Array, rate: float, rng: np.random.Generator) -> tuple[float, int]:
        updates: Params = {}
        out, pullback = self.net.pull(x, Run(True, rng, updates, input_gradient=False))
        value, gradient = loss_and_gradient(self.loss, out, y)
        if not np.isfinite(value):
            return value, 0  # and the network is left as it is
        _, gradients = pullback(gradient)
        if self.clip is not None:
            gradients = clip_gradients(gradients, self.clip)
        self.optimizer.step(self.net.params, gradients, rate)
        for name, array in self.net.state.items():
            if name in updates:
                array[...] = updates[name]
        return value, count_right(out, y)


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


def _patient_enough(history: History, patience: int | None) -> bool:
    return patience is not None and history.epochs > 0 and history.epochs - 1 - history.best >= patience


def _is_true(answer: Any) -> bool:
    """Whether a callback returned True; what else it returns means nothing."""
    return isinstance(answer, (bool, np.bool_)) and bool(answer)
