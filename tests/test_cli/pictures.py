"""Pictures of every depth, and files of them that Pillow does not write."""

import struct
import zlib

import numpy as np
import pytest

Image = pytest.importorskip("PIL.Image")
ImageCms = pytest.importorskip("PIL.ImageCms")
PICTURES = {
    "L": np.uint8,
    "RGB": np.uint8,
    "RGBA": np.uint8,
    "LA": np.uint8,
    "I;16": np.uint16,
    "F": np.float32,
}
CHANNELS = {"RGB": 3, "RGBA": 4, "LA": 2}


def a_picture(mode, height=9, width=12):
    random, dtype = np.random.default_rng(0), PICTURES[mode]
    shape = (height, width, CHANNELS[mode]) if mode in CHANNELS else (height, width)
    return (random.random(shape) * (1 if mode == "F" else np.iinfo(dtype).max)).astype(dtype)


def write_png(path, pixels):
    """Write numbers of 16 bits (height, width, 2 to 4) as PNG, which Pillow does for grey alone."""
    colours = {2: 4, 3: 2, 4: 6}[pixels.shape[-1]]
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in pixels)
    header = struct.pack(">2I5B", pixels.shape[1], pixels.shape[0], 16, colours, 0, 0, 0)
    parts = ((b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b""))
    chunks = [
        struct.pack(">I", len(own)) + kind + own + struct.pack(">I", zlib.crc32(kind + own)) for kind, own in parts
    ]
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(chunks))


def write_tiff(path, width, height, bits, packed, planes=1):
    """Write numbers that are packed already as TIFF: colours for three numbers of a pixel, grey for one."""
    count, start = len(bits), 8 + 2 + 12 * 10 + 4
    short, long = 3, 4
    entries = (
        (256, long, 1, width),
        (257, long, 1, height),
        (258, short, count, start if count > 1 else bits[0]),
        (259, short, 1, 1),
        (262, short, 1, 2 if count > 1 else 1),
        (273, long, 1, start + 2 * count),
        (277, short, 1, count),
        (278, long, 1, height),
        (279, long, 1, len(packed)),
        (284, short, 1, planes),
    )
    header = struct.pack("<2sHIH", b"II", 42, 8, len(entries))
    table = b"".join(struct.pack("<2H2I", *each) for each in entries)
    path.write_bytes(header + table + bytes(4) + struct.pack(f"<{count}H", *bits) + packed)


def write_ppm(path, pixels):
    """Write numbers of 16 bits (height, width), or (height, width, 3), as PPM, which not every Pillow does for grey."""
    kind = 5 if pixels.ndim == 2 else 6
    path.write_bytes(b"P%d %d %d 65535\n" % (kind, *pixels.shape[1::-1]) + pixels.astype(">u2").tobytes())
