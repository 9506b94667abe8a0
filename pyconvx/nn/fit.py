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

from ..geometry import integer
from .layer import Array, Layer, Params, Run
from .losses import loss_and_gradient, losses
from .optimizers import Optimizer, clip_gradients, optimizer
from .save import arrays_of, check_arrays, write_whole
from .schedules import factor, schedules

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
        """The epoch, counted from 0, with the least loss in validation, or in training if there was none.

        A loss that is no number is no least one. Raises ValueError before the first epoch.
        """
        values = self.validation_loss or self.loss
        if not values:
            raise ValueError("there has been no epoch yet")
        return int(np.argmin(np.where(np.isnan(values), np.inf, values)))

    def plot(self, *, what: str | None = None, ax: Any = None) -> Any:
        """A Figure of its curves, as `cx.plot.training_curves` draws them. Needs matplotlib."""
        from ..plot import training_curves

        return training_curves(self, what=what, ax=ax)

    def line(self) -> str:
        """The last epoch in words."""
        if not self.loss:
            return "no epoch yet"
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
    x, batch_size = np.asarray(x), integer("batch_size", batch_size, 1)
    parts = [net(x[start : start + batch_size]) for start in range(0, len(x), batch_size)]
    return np.concatenate(parts) if parts else net(x)


def evaluate(
    net: Layer, x: Any, y: Any, *, loss: Any = "cross_entropy", batch_size: int = 256
) -> tuple[float, float | None]:
    """The mean loss, and the share of right labels, or None where targets are none.

    Raises ValueError for x and y of different lengths, or none.
    """
    x, y = _pairs(x, y)
    batch_size = integer("batch_size", batch_size, 1)
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

    An optimizer that has taken steps goes on with what it remembers of them. If the training fails or is interrupted,
    the network is left as after the last whole step, or with keep_best as it was best. Raises ValueError for arguments
    that do not fit, for a checkpoint of another training, and for a loss that is not finite.

    >>> import numpy as np, pyconvx as cx
    >>> x = np.random.default_rng(0).standard_normal((64, 4))
    >>> net = cx.nn.Sequential(cx.nn.Dense(2))
    >>> history = cx.nn.fit(net, x, (x[:, 0] > 0).astype(int), epochs=20, optimizer=cx.nn.Adam(0.05))
    >>> history.accuracy[-1] > 0.9
    True
    """
    x, y = _pairs(x, y)
    chosen, planned = _optimizer(optimizer), schedules.resolve(schedule)
    if isinstance(validation, (int, float, np.floating)):
        if not 0 < validation < 1:
            raise ValueError(f"validation must be (x, y) or a share between 0 and 1, got {validation}")
        held = max(1, round(len(x) * validation))
        validation, x, y = (x[-held:], y[-held:]), x[:-held], y[:-held]
        _pairs(x, y)
    epochs, batch_size = integer("epochs", epochs, 1), integer("batch_size", batch_size, 1)
    seed = integer("seed", seed, 0)
    patience = None if patience is None else integer("patience", patience, 1)
    if clip is not None and not 0 < clip < np.inf:
        raise ValueError(f"clip must be positive and finite, or None, got {clip}")
    clip = None if clip is None else float(clip)
    if callable(callbacks) or not all(map(callable, callbacks)):
        raise TypeError(f"callbacks must be a sequence of functions, got {callbacks!r}")
    if validation is not None:
        if not isinstance(validation, Sequence) or len(validation) != 2:
            raise ValueError(f"validation must be (x, y) or a share between 0 and 1, got {validation!r}")
        validation = _pairs(*validation)
    for some_x, some_y in ((x, y), *([] if validation is None else [validation])):
        evaluate(net, some_x[:1], some_y[:1], loss=loss)  # before any time is spent
    settings = {
        "loss": repr(losses.resolve(loss)),
        "optimizer": repr(chosen),
        "schedule": repr(planned),
        "batch_size": batch_size,
        "seed": seed,
        "clip": clip,
        "samples": len(x),
        "keep_best": bool(keep_best),
        "validation": None if validation is None else len(validation[0]),
    }
    if planned.name != "constant":
        settings["epochs"] = epochs
    history, best, rate = History(), dict[str, Array](), 1.0
    path = None if checkpoint is None else Path(checkpoint)
    if path is not None and (path.suffix != ".npz" or not path.parent.is_dir()):
        raise ValueError(f"checkpoint must end in .npz, in a folder that there is, got {str(path)!r}")
    if path is not None and path.exists():
        history, best = _resume(path, net, chosen, settings)
    try:
        batches = -(-len(x) // batch_size)
        while history.epochs < epochs and not _patient_enough(history, patience):
            epoch = history.epochs
            order = np.random.default_rng([seed, epoch]).permutation(len(x))
            dropping = np.random.default_rng([seed, epoch, 1])
            since, total, right = time.perf_counter(), 0.0, 0
            slices = (slice(start, start + batch_size) for start in range(0, len(x), batch_size))
            for number, some in enumerate(_bar(slices, batches, f"epoch {epoch + 1}/{epochs}", progress)):
                rows, rate = order[some], factor(planned, (epoch * batches + number) / (epochs * batches))
                value, good = _step(net, x[rows], y[rows], loss, chosen, rate, clip, dropping)
                if not np.isfinite(value):
                    where = f"epoch {epoch + 1}, batch {number + 1}"
                    hint = "see that x and y are finite, and try a smaller learning_rate"
                    raise ValueError(f"the loss is {value} in {where}: {hint}")
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
                _write(path, net, chosen, history, best, settings)
            if progress:
                print(history.line(), file=sys.stderr)
            if any([_is_true(callback(history, net)) for callback in callbacks]):
                break
    finally:
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
    out, pullback = net.pull(x, Run(True, rng, updates, input_gradient=False))
    value, gradient = loss_and_gradient(loss, out, y)
    if not np.isfinite(value):
        return value, 0  # and the network is left as it is
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


def _is_true(answer: Any) -> bool:
    """Whether a callback returned True; what else it returns means nothing."""
    return isinstance(answer, (bool, np.bool_)) and bool(answer)


Settings = dict[str, Any]


def _write(path: Path, net: Layer, chosen: Optimizer, history: History, best: Params, settings: Settings) -> None:
    """A checkpoint, whole or not at all."""
    arrays: dict[str, Any] = {f"net/{key}": array for key, array in arrays_of(net).items()}
    arrays |= {f"best/{key}": array for key, array in best.items()}
    arrays |= {f"optimizer/{key}": array for key, array in chosen.state.items()}
    about = {"history": asdict(history), "steps": chosen.steps, "settings": settings, "network": repr(net)}
    arrays["about"] = np.frombuffer(json.dumps(about).encode(), np.uint8)
    write_whole(path, lambda file: np.savez(file, **arrays))


def _resume(path: Path, net: Layer, chosen: Optimizer, settings: Settings) -> tuple[History, Params]:
    """What a checkpoint holds, once all of it is known to fit."""
    try:
        with open(path, "rb") as stream, np.load(stream, allow_pickle=False) as file:
            about = json.loads(file["about"].tobytes())
            parts: dict[str, Params] = {"net": {}, "best": {}, "optimizer": {}}
            for key in file.files:
                kind, _, name = key.partition("/")
                if name:
                    parts[kind][name] = file[key]
        if about["network"] != repr(net):
            raise ValueError(f"its network was {about['network']}, is {net!r}")
        for name, value in settings.items():
            if about["settings"].get(name, value) != value:
                raise ValueError(f"{name} was {about['settings'][name]!r}, is {value!r}")
        shapes = {key: array.shape for key, array in arrays_of(net).items()}
        check_arrays(parts["net"], shapes)
        for key, array in arrays_of(net).items():
            if parts["net"][key].dtype != array.dtype:
                raise ValueError(f"its {key} is of {parts['net'][key].dtype}, that of the network of {array.dtype}")
        if parts["best"]:
            check_arrays(parts["best"], shapes)
        remembered = {key: net.params[key.partition(".")[2]].shape for key in parts["optimizer"]}
        check_arrays(parts["optimizer"], remembered)
        steps, history = integer("steps", about["steps"], 0), History(**about["history"])
        for values in asdict(history).values():
            if not isinstance(values, list) or not all(isinstance(value, (int, float)) for value in values):
                raise ValueError(f"its history holds {values!r}")
    except OSError:
        raise
    except Exception as error:
        raise ValueError(f"{path} is no checkpoint of this training: {error}") from error
    _restore(net, parts["net"])
    chosen.state, chosen.steps = parts["optimizer"], steps
    return history, parts["best"]
