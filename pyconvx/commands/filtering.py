"""`pyconvx filter`: a photograph through a picture filter. May import the operations; Pillow on first use."""

from __future__ import annotations

import ast
import sys
from argparse import ArgumentParser, Namespace
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import pyconvx as cx
from pyconvx.nn.save import write_whole

from . import UserError, require_place
from .pictures import bits, is_deep, opened, pillow, readable

SIGNED = ("clip", "absolute", "centre")
LARGE = 20_000_000  # pixels from which on it is told what takes so long


def add_arguments(parser: ArgumentParser) -> None:
    """What the command takes."""
    parser.add_argument("photo", metavar="PHOTO", type=Path, help="a picture of any format that Pillow reads")
    parser.add_argument(
        "--filter",
        metavar="NAME",
        required=True,
        help='a picture filter: see "pyconvx plugins filters"; parameters in parentheses, as "gaussian(sigma=3)"',
    )
    parser.add_argument(
        "--padding-mode",
        metavar="NAME",
        default="reflect",
        help='what is beyond the border: see "pyconvx plugins paddings" (default: reflect)',
    )
    parser.add_argument(
        "--signed",
        choices=SIGNED,
        default="clip",
        help="negative results, as edges have: cut off (clip), as positive ones (absolute), or around middle grey "
        "(centre) (default: clip); pictures of floats keep their signs, but with absolute",
    )
    parser.add_argument(
        "-o", "--output", metavar="OUT", type=Path, required=True, help="where to write; its ending chooses the format"
    )


def bound_of(text: str, registry: Any) -> tuple[str, dict[str, Any]]:
    """A name with parameters in parentheses, as Python would write a call: "gaussian(sigma=3)"."""
    try:
        tree = ast.parse(text.strip(), mode="eval").body
        if isinstance(tree, ast.Call) and all(word.arg for word in tree.keywords):
            name, words = ast.unparse(tree.func), [(str(word.arg), word.value) for word in tree.keywords]
            if tree.args:
                raise UserError(_with_names(name, registry[name], tree.args, words))
            return name, {key: ast.literal_eval(value) for key, value in words}
    except (SyntaxError, ValueError):
        pass
    return text, {}


def _with_names(name: str, plugin: Any, values: list[ast.expr], words: list[tuple[str, ast.expr]]) -> str:
    """How parameters are written that were given without their names."""
    if len(values) > len(plugin.defaults):
        return f"{plugin.kind} {name!r} takes fewer parameters than that; its parameters: {plugin.takes or 'none'}"
    told = ", ".join(
        f"{key}={ast.unparse(value)}" for key, value in [*zip(plugin.defaults, values, strict=False), *words]
    )
    return f"parameters are written as {name}({told})"


def run(arguments: Namespace) -> None:
    """Filter and write."""
    Image = pillow()
    output: Path = arguments.output
    if output.suffix.lower() not in Image.registered_extensions():
        raise UserError(f"-o {output}: Pillow writes no pictures whose name ends in {output.suffix!r}")
    require_place("-o", output)
    name, params = bound_of(arguments.filter, cx.filters)
    kernel = cx.filters[name](**params)
    mode, mode_params = bound_of(arguments.padding_mode, cx.paddings)
    padding_mode = cx.padding(mode, **mode_params)
    with opened(arguments.photo) as photo:
        if bits(photo) > 8 and (not is_deep(photo) or "transparency" in photo.info):
            raise UserError(
                f"{arguments.photo}: its colours or opacity have {bits(photo)} bits, of which Pillow keeps 8 at most; "
                "save it in 8 bits, or in grey without opacity"
            )
        if photo.width * photo.height > LARGE:
            print(f"filtering {photo.width} x {photo.height} pixels ...", file=sys.stderr)
        image = readable(photo)
        inks = photo.mode in ("CMYK", "YCbCr", "LAB", "HSV")
        profile = None if inks else photo.info.get("icc_profile")  # what the numbers of the colours mean
    pixels = np.asarray(image)
    pixels = pixels.astype(pixels.dtype.newbyteorder("="), copy=False)  # some formats are written wrongly otherwise
    filtered = _filtered(pixels, kernel, padding_mode, arguments.signed, image.mode)
    result = Image.fromarray(filtered)
    drawn = BytesIO()  # what the format cannot hold must not cost a file that is there
    try:
        format = Image.registered_extensions()[output.suffix.lower()]
        result.save(drawn, format=format, **({} if profile is None else {"icc_profile": profile}))
    except (OSError, ValueError) as error:
        raise UserError(f"-o {output}: {error}") from error
    if is_deep(image) and not np.array_equal(np.asarray(Image.open(drawn)), filtered, equal_nan=image.mode == "F"):
        raise UserError(f"-o {output}: {format} does not hold numbers as large or exact as these: choose .tiff")
    write_whole(output, lambda file: file.write(drawn.getvalue()))
    print(f"{output}: {image.width} x {image.height}, {name} of {kernel.shape[0]} x {kernel.shape[1]}, {mode} borders")


def _filtered(pixels: NDArray[Any], kernel: NDArray[Any], mode: Any, signed: str, image_mode: str) -> NDArray[Any]:
    """Each channel filtered, but for opacity, rounded and cut off to what the dtype of the picture holds.

    What blurs takes the colours of pixels by their opacity: one that cannot be seen has none to give.
    """
    x = pixels[..., None] if pixels.ndim == 2 else pixels
    light = x.shape[-1] - (image_mode in ("LA", "RGBA"))
    filters = np.broadcast_to(kernel[None, ..., None], (light, *kernel.shape, 1))
    x_light = x[..., :light]
    if x.dtype == np.int32:  # numbers of 32 bits, which float32 does not hold
        x_light = x_light.astype(np.float64)
    options: dict[str, Any] = {"padding": "same", "padding_mode": mode}
    opacity = x[..., light:].astype(np.float32)
    if opacity.size and opacity.min() < opacity.max() and kernel.min() >= 0 and kernel.max() > 0:
        seen = cx.conv2d(opacity, filters[:1], **options)
        y = cx.conv2d(x_light * opacity, filters, groups=light, **options)
        y *= kernel.sum()
        y = np.divide(y, seen, out=x_light.astype(y.dtype), where=seen > 1e-5 * kernel.sum() * opacity.max())
    else:
        y = cx.conv2d(x_light, filters, groups=light, **options)
    if x.dtype.kind == "f":
        shown = np.abs(y) if signed == "absolute" else y
    else:
        low, high = np.iinfo(x.dtype).min if image_mode != "I" else 0, np.iinfo(x.dtype).max
        if image_mode == "I":
            high = max(65535, int(x.max(initial=0)))
        if signed == "absolute":
            np.abs(y, out=y)
        elif signed == "centre":
            y /= max(1.0, np.abs(kernel).sum() / 2)
            y += (low + high + 1) / 2
        shown = np.clip(np.rint(y, out=y), low, high, out=y).astype(x.dtype)
    whole = np.concatenate([shown.astype(x.dtype, copy=False), x[..., light:]], -1) if light < x.shape[-1] else shown
    return whole[..., 0] if pixels.ndim == 2 else np.ascontiguousarray(whole)
