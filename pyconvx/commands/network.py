"""`pyconvx summary`, `train` and `predict`: networks in files. May import the layers."""

from __future__ import annotations

import json
import os
from argparse import ArgumentParser, Namespace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import pyconvx as cx
from pyconvx import nn
from pyconvx.nn.layer import channel_axis
from pyconvx.nn.save import raise_unless_damaged, write_whole

from . import UserError, require_place
from .pictures import light, opened

Array = NDArray[Any]


def network_of(path: Path) -> cx.Layer:
    """A network of a .npz or .safetensors file, with its weights, or of a configuration, without."""
    if path.suffix in (".npz", ".safetensors"):
        return nn.load(path)
    if path.suffix != ".json":
        raise UserError(f"{path}: a network is a file that ends in .npz, .safetensors or .json")
    try:
        return nn.from_config(path.read_text(encoding="utf-8"))
    except (ValueError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: {error}") from error


def _shape(text: str) -> tuple[int, ...]:
    try:
        return tuple(int(n) for n in text.replace("x", ",").split(",") if n.strip())
    except ValueError:
        raise UserError(f"a shape is written as 32,32,3 or 32x32x3, got {text!r}") from None


def add_summary(parser: ArgumentParser) -> None:
    """What `summary` takes."""
    parser.add_argument(
        "net", metavar="NET", type=Path, help="a network: .npz, .safetensors, or its configuration, .json"
    )
    parser.add_argument(
        "--input-shape", metavar="SHAPE", help="of one sample, as 32,32,3; needed for a configuration alone"
    )


def summary(arguments: Namespace) -> None:
    """Print the table."""
    net = network_of(arguments.net)
    if arguments.input_shape is not None:
        shape: Any = _shape(arguments.input_shape)
    elif net.input_shape is None:
        raise UserError(f"{arguments.net} holds no shape of its input: give --input-shape, as 32,32,3")
    else:
        shape = net.input_shape
    print(net.summary(shape))


def _arrays(path: Path, *names: str) -> list[Array]:
    """Arrays of these names of a .npz file."""
    if path.suffix != ".npz":
        raise UserError(f"{path}: data is a .npz file with the arrays {' and '.join(names)}, or a folder of idx files")
    try:
        with open(path, "rb") as stream, np.load(stream, allow_pickle=False) as file:
            missing = [name for name in names if name not in file.files]
            if missing:
                raise UserError(
                    f"{path} lacks the array {', '.join(missing)}; it has {', '.join(file.files) or 'none'}"
                )
            return [file[name] for name in names]
    except UserError:
        raise
    except (ValueError, KeyError, EOFError, AttributeError) as error:
        raise UserError(f"{path} is no .npz file of numbers: {error}") from error
    except Exception as error:  # zipfile's own
        raise_unless_damaged(error)
        raise UserError(f"{path} is no .npz file: {error}") from error


def _check_ending(path: Path) -> None:
    """Refuse a picture that matplotlib does not write."""
    from pyconvx.plot.page import new_figure  # which other commands need not wait for

    kinds = new_figure(1, 1).canvas.get_supported_filetypes().keys() - {"pgf"}  # which needs TeX
    if path.suffix[1:].lower() not in kinds:
        raise UserError(f"--plot {path}: the name must end in one of {', '.join(f'.{kind}' for kind in sorted(kinds))}")


def add_train(parser: ArgumentParser) -> None:
    """What `train` takes."""
    parser.add_argument("net", metavar="NET", type=Path, help="a configuration (.json), or a network to go on with")
    parser.add_argument(
        "--data",
        metavar="DATA",
        type=Path,
        required=True,
        help="a .npz file with x (N, ...) and y, or a folder with the four idx files of MNIST or its like; pixels of "
        "uint8 and uint16 are scaled to 0 ... 1",
    )
    parser.add_argument(
        "-o", "--output", metavar="OUT", type=Path, required=True, help="the trained network: .npz or .safetensors"
    )
    parser.add_argument("--epochs", type=int, default=10, help="how often all samples are seen (default: 10)")
    parser.add_argument("--batch-size", type=int, default=64, help="samples in a step (default: 64)")
    parser.add_argument("--loss", default="cross_entropy", help=f"of {', '.join(nn.losses)} (default: cross_entropy)")
    parser.add_argument("--optimizer", default="adam", choices=("sgd", "adam", "adamw"), help="(default: adam)")
    parser.add_argument("--learning-rate", type=float, help="by default that of the optimizer")
    parser.add_argument("--schedule", default="constant", help=f"of {', '.join(nn.schedules)} (default: constant)")
    parser.add_argument(
        "--validation",
        type=float,
        default=0.1,
        help="share of the samples that is held back, 0 for none (default: 0.1)",
    )
    parser.add_argument("--seed", type=int, default=0, help="of weights, order and dropout (default: 0)")
    parser.add_argument(
        "--checkpoint", metavar="FILE", type=Path, help="written after each epoch; training goes on from it"
    )
    parser.add_argument("--plot", metavar="FILE", type=Path, help="draw the curves (needs matplotlib)")


def train(arguments: Namespace) -> None:
    """Train and save."""
    output: Path = arguments.output
    if output.suffix not in (".npz", ".safetensors"):
        raise UserError(f"-o {output}: the name must end in .npz or .safetensors")
    require_place("-o", output)
    _apart(output, arguments.data, arguments.checkpoint)
    for option, path in (("--checkpoint", arguments.checkpoint), ("--plot", arguments.plot)):
        if path is not None:
            require_place(option, path)
    if arguments.plot is not None:
        _check_ending(arguments.plot)
    if not 0 <= arguments.validation < 1:
        raise UserError(f"--validation must be a share from 0 to less than 1, got {arguments.validation}")
    net = network_of(arguments.net)
    if arguments.data.is_dir():
        (x, y), validation = nn.load_idx(arguments.data)
        held: Any = validation
    else:
        x, y = _arrays(arguments.data, "x", "y")
        x = _light(x)
        held = arguments.validation or None
    if net.input_shape is None:
        net.build(x.shape[1:], seed=arguments.seed)
    rate = {} if arguments.learning_rate is None else {"learning_rate": arguments.learning_rate}
    history = nn.fit(
        net,
        x,
        y,
        loss=arguments.loss,
        optimizer=nn.optimizer(arguments.optimizer, **rate),
        epochs=arguments.epochs,
        batch_size=arguments.batch_size,
        schedule=arguments.schedule,
        validation=held,
        seed=arguments.seed,
        checkpoint=arguments.checkpoint,
        progress=True,
    )
    nn.save(net, output)
    print(f"{output}: {net.parameters:,} parameters")
    if arguments.plot is not None:
        history.plot().savefig(arguments.plot)
        print(f"curves: {arguments.plot}")


def _apart(output: Path, *others: Path | None) -> None:
    """Refuse to write over what is read."""
    for other in others:
        if other is not None and os.path.realpath(other) == os.path.realpath(output):
            raise UserError(f"-o {output}: that is a file that is needed, choose another name")


def add_predict(parser: ArgumentParser) -> None:
    """What `predict` takes."""
    parser.add_argument("net", metavar="NET", type=Path, help="a trained network: .npz or .safetensors")
    parser.add_argument(
        "input",
        metavar="INPUT",
        type=Path,
        nargs="+",
        help=".npy, .npz with x (N, ...), or pictures of the network's size, taken as grey for one channel; pixels of "
        "8 and 16 bits are scaled to 0 ... 1",
    )
    parser.add_argument("-o", "--output", metavar="OUT", type=Path, help="write the results (N, ...) as .npy")
    parser.add_argument("--names", metavar="NAMES", help="what the classes are called, with commas")


def predict(arguments: Namespace) -> None:
    """Print labels, or write the results."""
    if arguments.output is not None:
        if arguments.output.suffix != ".npy":
            raise UserError(f"-o {arguments.output}: the name must end in .npy")
        require_place("-o", arguments.output)
        _apart(arguments.output, arguments.net, *arguments.input)
    net = network_of(arguments.net)
    if net.input_shape is None:
        raise UserError(f"{arguments.net} has no weights: train it first")
    fast = net.freeze()
    names = None if arguments.names is None else arguments.names.split(",")
    results = []
    for path in arguments.input:
        y = nn.predict(fast, _samples(path, net))
        results.append(y)
        for i, row in enumerate(y if arguments.output is None else ()):
            told = path.name if len(y) == 1 else f"{path.name}[{i}]"
            print(f"{told}: {_told(row, names)}")
    if arguments.output is not None:
        whole = np.concatenate(results)
        write_whole(arguments.output, lambda file: np.save(file, whole))
        print(f"{arguments.output}: {whole.shape}")


def _samples(path: Path, net: cx.Layer) -> Array:
    assert net.input_shape is not None
    shape = net.input_shape
    if path.suffix == ".npz":
        x = _arrays(path, "x")[0]
    elif path.suffix == ".npy":
        try:
            x = np.load(path, allow_pickle=False)
        except (ValueError, EOFError) as error:
            raise UserError(f"{path} is no .npy file of numbers: {error}") from error
    else:
        x = _picture(path, net, shape)
    x = _light(x)
    if x.shape == shape:
        x = x[None]
    shapes = {name: array.shape for name, array in net.params.items()}
    if x.ndim != 1 + len(shape) or net.param_shapes(x.shape[1:]) != shapes:
        raise UserError(f"{path}: the network takes samples of the shape {shape}, got an array {x.shape}")
    return x


def _light(x: Array) -> Array:
    """Pixels of 8 or 16 bits as numbers from 0 to 1, as those of pictures and of idx files are; others as they are."""
    return x.astype(np.float32) / np.iinfo(x.dtype).max if x.dtype.kind == "u" and x.itemsize < 4 else x


def _picture(path: Path, net: cx.Layer, shape: tuple[int, ...]) -> Array:
    """A picture as one sample, in grey for a network of one channel."""
    try:
        axis = _channel_axis(net, shape)
    except ValueError as error:
        raise UserError(f"{path}: the network takes samples of the shape {shape}, {error}") from error
    with opened(path) as picture:
        pixels = light(picture, shape[axis - 1])
    return np.moveaxis(pixels[None], -1, axis)


def _channel_axis(net: cx.Layer, shape: tuple[int, ...]) -> int:
    """The axis of the channels in arrays of pictures. Raises ValueError that says why there is none."""
    if len(shape) != 3:
        raise ValueError("which are no pictures: these have three axes")
    layout = _layout(net, shape)
    axes = [channel_axis(each, 4) for each in (("channels_last", "channels_first") if layout is None else (layout,))]
    fitting = [axis for axis in axes if shape[axis - 1] in (1, 3)]
    if not fitting:
        raise ValueError(f"which are no pictures: these have 1 or 3 channels{f', {layout}' if layout else ''}")
    if len(fitting) > 1:
        raise ValueError("and no layer tells whether their channels are first or last: give it an array")
    return fitting[0]


def _layout(net: cx.Layer, shape: tuple[int, ...]) -> str | None:
    """The layout of the first layer that has one and sees pictures; None if there is none."""
    if isinstance(net, (cx.Sequential, cx.Parallel)):
        return next(filter(None, map(_layout, net, net.inputs(shape))), None)
    if len(shape) != 3 or isinstance(net, cx.Activation):  # which most often does the same in any layout
        return None
    layout: str | None = getattr(net, "layout", None)
    return layout


def _told(row: Array, names: list[str] | None) -> str:
    """The class with its share, of logits, or the numbers."""
    if row.ndim != 1 or row.size < 2:
        return json.dumps(np.asarray(row, np.float64).round(6).tolist())
    best = int(row.argmax())
    row = row.astype(np.float64)
    shares = row if row.min() >= 0 and abs(row.sum() - 1) < 1e-3 else cx.activate(row[None], "softmax")[0]
    share = float(shares[best])
    name = names[best] if names is not None and best < len(names) else str(best)
    return f"{name} ({share:.1%})"
