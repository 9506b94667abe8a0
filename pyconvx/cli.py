"""The command `pyconvx`: one function per subcommand, found through the table COMMANDS.

A mistake of the user's is one line on stderr and exit code 2. Nothing heavy is imported before it is needed.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from io import TextIOWrapper
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

from .commands import UserError, require_place


@dataclass(frozen=True)
class Command:
    """A subcommand: what `--help` says, its arguments, and what runs."""

    name: str
    summary: str
    description: str
    add_arguments: Callable[[argparse.ArgumentParser], None]
    run: Callable[[argparse.Namespace], None]


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: error: {message} (see {self.prog} --help)\n")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line `arguments` (by default the process's own) and return the exit code."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="replace")  # bars and signs that a terminal's encoding may lack
    given = sys.argv[1:] if arguments is None else list(arguments)
    parser = _build_parser(given[0] if given else "")
    parsed = parser.parse_args(given)
    if parsed.command is None:
        parser.print_help()
        return 0
    try:
        with np.errstate(all="ignore"):  # results and errors tell of numbers that are not finite
            parsed.run(parsed)
        sys.stdout.flush()
    except (
        UserError,
        ImportError,
        OSError,
        TypeError,
        ValueError,
        MemoryError,
        RecursionError,
    ) as error:  # whose messages tell what is wrong
        if isinstance(error, BrokenPipeError):
            # The reader of our output has gone, as in `pyconvx demo | head -1`: nobody is left to tell.
            # Python's own flush at exit would complain, so it is given somewhere to write.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return 1
        print(f"pyconvx {parsed.command}: error: {_one_line(error)}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
    return 0


def _build_parser(chosen: str) -> argparse.ArgumentParser:
    parser = _Parser(
        prog="pyconvx",
        description="Convolution and pooling layers for NumPy arrays.",
        epilog="Start with:  pyconvx demo\nIn Python:   import pyconvx as cx; help(cx.conv2d)",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"pyconvx {_version()}")
    subparsers = parser.add_subparsers(dest="command", metavar="COMMAND", title="commands")
    for command in COMMANDS:
        subparser = subparsers.add_parser(
            command.name,
            help=command.summary,
            description=command.description,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        if command.name == chosen:  # what others take is not needed, and may be slow to import
            command.add_arguments(subparser)
        subparser.set_defaults(run=command.run)
    return parser


def _version() -> str:
    try:
        return version("pyconvx")
    except PackageNotFoundError:  # run from the sources
        from . import __version__

        return __version__


def _one_line(error: BaseException) -> str:
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    return " ".join(str(error).split())


def _demo_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "-o",
        "--output",
        metavar="FILE",
        type=Path,
        default=Path("pyconvx-demo.png"),
        help="where to write the picture; the name's ending chooses the format: "
        ".png, .pdf, .svg, .jpg (default: pyconvx-demo.png in the current folder)",
    )


def _demo(arguments: argparse.Namespace) -> None:
    output: Path = arguments.output
    if output.suffix not in (".png", ".pdf", ".svg", ".jpg"):
        raise UserError(f"-o {output}: the name must end in .png, .pdf, .svg or .jpg")
    require_place("-o", output)
    from . import demo

    print(demo.write(output))
    print(f"\nPicture: {output}")


def _plugins_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "kinds",
        metavar="KIND",
        nargs="*",
        help="paddings, activations, poolings or filters (default: all of them)",
    )


def _plugins(arguments: argparse.Namespace) -> None:
    from . import listing

    print(listing.plugins(*arguments.kinds))


def _later(module: str, name: str) -> Callable[..., None]:
    """A function of `pyconvx.commands` that is imported when it is called."""

    def call(argument: Any) -> None:
        getattr(import_module(f"pyconvx.commands.{module}"), name)(argument)

    return call


COMMANDS = (
    Command(
        name="demo",
        summary="compute a worked example on a photograph and draw one picture of it",
        description=(
            "Convolve a photograph that comes with the package, print the worked example\n"
            "(32x32x3 image, six 5x5x3 filters, ReLU, pooling) and write one picture that shows\n"
            "feature maps, activation and pooling.\n\n"
            'Needs matplotlib and pillow: pip install "pyconvx[demo]"'
        ),
        add_arguments=_demo_arguments,
        run=_demo,
    ),
    Command(
        name="plugins",
        summary="list every padding mode, activation, pooling and picture filter that has a name",
        description=(
            "List everything that is registered, also by installed packages: name, parameters with\n"
            "their defaults, whether it is compiled and has a gradient, a picture, aliases, and\n"
            "which package it is from.\n\n"
            "Pictures: a padding mode around the elements 1 2 3; an activation from -4 to 4; what a\n"
            "pooling makes of a window; the shape of a picture filter."
        ),
        add_arguments=_plugins_arguments,
        run=_plugins,
    ),
    Command(
        name="filter",
        summary="put a photograph through a picture filter",
        description=(
            "Convolve each channel of a picture (grey or colour, opacity kept) with a picture filter and write the\n"
            "result in the same depth: grey in 8 to 32 bits or floats, colour in 8 bits. Pillow keeps no more of\n"
            "colour and opacity: PNG, TIFF and PPM files that have more are refused, other formats read in 8 bits.\n\n"
            "  pyconvx filter cat.jpg --filter sharpen -o sharp.jpg\n"
            '  pyconvx filter cat.jpg --filter "gaussian(sigma=4)" --padding-mode edge -o soft.png\n'
            "  pyconvx filter cat.jpg --filter sobel_x --signed centre -o edges.png\n\n"
            'Needs pillow: pip install "pyconvx[image]"'
        ),
        add_arguments=_later("filtering", "add_arguments"),
        run=_later("filtering", "run"),
    ),
    Command(
        name="summary",
        summary="print what a network is made of: shapes, parameters, multiply-adds, receptive fields",
        description=(
            "Print a table of a network's layers. NET is a file that pyconvx saved, or a configuration:\n\n"
            '  {"layer": "Sequential", "layers": [\n'
            '    {"layer": "Conv2D", "filters": 6, "kernel_size": 5, "padding": "same"},\n'
            '    {"layer": "MaxPool2D", "size": 2}, {"layer": "Flatten"}, {"layer": "Dense", "units": 10}]}\n\n'
            "  pyconvx summary net.json --input-shape 32,32,3"
        ),
        add_arguments=_later("network", "add_summary"),
        run=_later("network", "summary"),
    ),
    Command(
        name="train",
        summary="train a network on a file of arrays or a folder of idx files",
        description=(
            "Train a network, print a line for each epoch, and save it. NET is a configuration (see\n"
            '"pyconvx summary --help") or a saved network to go on with.\n\n'
            "  pyconvx train net.json --data digits.npz --epochs 20 --plot curves.png -o digits-net.npz\n"
            "  pyconvx train net.json --data /usr/share/datasets/fashion-mnist -o clothes.npz\n\n"
            "In a folder of idx files the test pictures are the validation."
        ),
        add_arguments=_later("network", "add_train"),
        run=_later("network", "train"),
    ),
    Command(
        name="predict",
        summary="let a trained network tell what pictures or arrays are",
        description=(
            "Print the likeliest class of each sample with its share, or write all results.\n\n"
            "  pyconvx predict clothes.npz shoe.png --names T-shirt,trouser,pullover,dress,coat,sandal,shirt,sneaker\n"
            "  pyconvx predict digits-net.npz digits.npz -o results.npy"
        ),
        add_arguments=_later("network", "add_predict"),
        run=_later("network", "predict"),
    ),
    Command(
        name="bench",
        summary="time layers on this machine",
        description=(
            "Time a few layers that networks are made of, and print milliseconds, GFLOP/s, and which algorithm\n"
            'ran. The comparison with other libraries is "python -m benchmarks" in a clone of the sources.'
        ),
        add_arguments=_later("bench", "add_arguments"),
        run=_later("bench", "run"),
    ),
)
