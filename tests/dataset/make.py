"""Builds real image files of every awkward kind for the dataset tests."""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path

import numpy as np
from PIL import Image

ORIENTATION = 0x0112


def gradient(width: int, height: int) -> Image.Image:
    """Red rises to the right, green downwards: position can be read from a pixel."""
    across = np.linspace(0, 255, width)[None, :].repeat(height, 0)
    down = np.linspace(0, 255, height)[:, None].repeat(width, 1)
    return Image.fromarray(np.stack([across, down, np.full_like(across, 64)], -1).astype(np.uint8))


def image(path: Path, width: int = 64, height: int = 64, caption: str | None = None) -> Path:
    """A small gradient in the format of the suffix, with a caption beside it if one is given."""
    path.parent.mkdir(parents=True, exist_ok=True)
    gradient(width, height).save(path)
    if caption is not None:
        path.with_suffix(".txt").write_text(caption, encoding="utf-8")
    return path


def rotated(path: Path, width: int, height: int, orientation: int) -> Path:
    """A picture that looks like `gradient(width, height)` once its EXIF orientation is applied."""
    undo = {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }
    picture = gradient(width, height)
    if orientation in undo:
        picture = picture.transpose(undo[orientation])
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    options = {"quality": 100, "subsampling": 0} if path.suffix == ".jpg" else {"lossless": True}
    picture.save(path, exif=exif, **(options if path.suffix != ".png" else {}))
    return path


def encoded(kind: str, width: int = 64, height: int = 64) -> bytes:
    """The bytes of a gradient in PNG, JPEG, WEBP or another format that Pillow writes."""
    target = io.BytesIO()
    gradient(width, height).save(target, kind)
    return target.getvalue()


def png_of_size(width: int, height: int) -> bytes:
    """A PNG of any claimed size in a few bytes: a decompression bomb when the size is large."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    pixels = zlib.compress(b"\0" * 1000)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")
