"""Pictures in files, as commands read them. Imports Pillow on first use."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from . import UserError

BITS_PER_SAMPLE, PHOTOMETRIC = 258, 262  # tags of TIFF


@contextmanager
def opened(path: Path) -> Iterator[Any]:
    """The picture of a file; an error of its contents names the file. Raises ImportError as `pillow`."""
    Image = pillow()
    Image.MAX_IMAGE_PIXELS = None  # it is the user's own picture, however large
    try:
        with Image.open(path) as image:
            if image.format == "TIFF" and is_deep(image) and image.tag_v2.get(PHOTOMETRIC) == 0:
                raise UserError(f"{path}: its white is 0, and Pillow turns that about for 8 bits only")
            yield image
    except (UserError, ImportError, MemoryError, Image.UnidentifiedImageError):
        raise
    except Exception as error:  # of any kind, as the decoders of formats have it
        if isinstance(error, OSError) and error.filename is not None:
            raise
        raise UserError(f"{path}: {error}") from error


def pillow() -> Any:
    """The module PIL.Image. Raises ImportError that says what to install."""
    try:
        from PIL import Image
    except ImportError as error:
        raise ImportError('pictures need pillow: pip install "pyconvx[image]"') from error
    return Image


def readable(picture: Any) -> Any:
    """The picture upright, in a mode whose pixels are numbers of light, not indices or inks."""
    from PIL import ImageOps

    image = ImageOps.exif_transpose(picture)
    if image.mode in ("L", "RGB") and "transparency" in image.info:
        return image.convert(f"{image.mode}A")
    if image.mode == "I" and picture.format == "PPM":  # whose numbers Pillow brings to 16 bits
        return image.convert("I;16")
    if image.mode in ("L", "LA", "RGB", "RGBA") or is_deep(image):
        return image
    if image.mode == "1":
        return image.convert("L")
    if image.mode in ("P", "PA"):
        return image.convert("RGBA" if "transparency" in image.info or image.mode == "PA" else "RGB")
    return image.convert("RGB")


def is_deep(picture: Any) -> bool:
    """Whether Pillow has more than 8 bits for each pixel's number, which it has for grey alone: I, I;16 and F."""
    return picture.mode[0] in "IF"


def bits(picture: Any) -> int:
    """How many bits each number has in the file of a picture that is not read yet; 8 where Pillow does not tell."""
    if picture.format == "TIFF":
        return int(max(picture.tag_v2.get(BITS_PER_SAMPLE, (1,))))
    unpacking = picture.tile[0][3] if picture.tile else ""  # "RGB;16B" of a PNG file, ("RGB", 65535) of a PPM file
    if picture.format == "PPM" and isinstance(unpacking, tuple):
        return int(unpacking[1]).bit_length()
    return 16 if picture.format in ("PNG", "PPM") and ";16" in unpacking else 8


def light(picture: Any, channels: int) -> NDArray[np.float32]:
    """The pixels (h, w, channels) of a picture that is not read yet, from 0 to 1, in grey for one channel.

    Floats are as they are; opacity is left out. Raises UserError for whole numbers of which none is known to be white.
    """
    white = _white(picture)
    image = readable(picture)
    if not is_deep(image):
        image = image.convert("L" if channels == 1 else "RGB")
    pixels = np.asarray(image, np.float32) / np.float32(white)
    pixels = pixels.reshape(image.height, image.width, -1)
    return np.repeat(pixels, channels // pixels.shape[-1], axis=-1)


def _white(picture: Any) -> int:
    if picture.mode == "F":
        return 1
    if not is_deep(picture):
        return 255
    if picture.format == "TIFF" and picture.mode != "I":
        return int(2 ** bits(picture) - 1)
    if picture.mode == "I" and picture.format not in ("PNG", "PPM"):  # whose numbers Pillow brings to 16 bits
        raise UserError(
            f"{picture.filename}: its numbers have a sign or 32 bits, so that none is known to be white; "
            "save it in 8 or 16 bits, or its numbers as .npy"
        )
    return 65535
