"""Opens image files of unknown origin: three formats only, a size limit, EXIF rotation, and every fault named.

What the pixels become afterwards (training arrays, thumbnails) is the business of `pixels`.
"""

from __future__ import annotations

import io
import os
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple

from engine.dataset.names import printable
from engine.protocol.errors import EngineError

if TYPE_CHECKING:
    from PIL import Image

FORMATS = ("PNG", "JPEG", "WEBP")
EXTENSIONS = frozenset({".png", ".jpg", ".jpeg", ".webp"})
MAX_MEGAPIXELS = 150
"""Larger pictures are refused before they are decoded: 150 megapixels take 450 MB as RGB."""

MAX_SIDE = 65_500
"""What a JPEG can hold; a strip of a million pixels by one breaks more tools than ours."""

_ORIENTATION_TAG = 0x0112


class Header(NamedTuple):
    """Width and height in pixels after EXIF rotation."""

    width: int
    height: int


def read_header(path: Path, name: str) -> Header:
    """The size of an image without decoding it; a file whose end looks cut off is decoded to be sure.

    `name` is what messages call it. Raises EngineError `image_unreadable` or `image_too_large`.
    """
    try:
        with open(path, "rb") as file:
            image = open_image(file, name)
            if not _looks_complete(file, image.format or ""):
                load(image, name)
    except OSError as error:
        raise _unreadable(name, error.strerror or str(error)) from None
    width, height = image.size
    return Header(height, width) if orientation(image) >= 5 else Header(width, height)


def open_image(file: BinaryIO, name: str) -> Image.Image:
    """A lazily opened image; raises EngineError `image_unreadable` or `image_too_large`."""
    from PIL import Image

    # Pillow's own limit warns through the global warnings module and hides the size; ours is below.
    Image.MAX_IMAGE_PIXELS = None
    if os.fstat(file.fileno()).st_size == 0:
        raise _unreadable(name, "the file is empty")
    try:
        image = Image.open(file, formats=FORMATS)
    except Exception as error:  # parsers of hostile files fail in every way there is
        raise _unreadable(name, _reason(error)) from None
    width, height = image.size
    if width * height > MAX_MEGAPIXELS * 1_000_000 or max(width, height) > MAX_SIDE:
        raise EngineError("image_too_large", file=name, width=width, height=height, limit=MAX_MEGAPIXELS, side=MAX_SIDE)
    return image


def load(image: Image.Image, name: str) -> None:
    """Decode all pixels; raises EngineError `image_unreadable` for a truncated or damaged file."""
    try:
        image.load()
    except Exception as error:  # as above
        raise _unreadable(name, _reason(error)) from None


def orientation(image: Image.Image) -> int:
    """The EXIF orientation, 1 to 8; 1 where there is none or it is damaged.

    Only what stands before the pixels is read: `Image.getexif` would decode a whole PNG to look behind them,
    and scan and training must agree.
    """
    from PIL import Image

    raw = image.info.get("exif")
    if not isinstance(raw, bytes):
        return 1
    with suppress(Exception):  # parsers of hostile files fail in every way there is
        exif: Any = Image.Exif()  # type: ignore[no-untyped-call]
        exif.load(raw)
        value = exif.get(_ORIENTATION_TAG, 1)
        if isinstance(value, int) and 1 <= value <= 8:
            return value
    return 1


def _looks_complete(file: BinaryIO, kind: str) -> bool:
    size = file.seek(0, io.SEEK_END)
    file.seek(max(0, size - 12))
    tail = file.read(12)
    if kind == "PNG":
        return tail[4:8] == b"IEND"
    if kind in ("JPEG", "MPO"):
        return tail[-2:] == b"\xff\xd9"
    file.seek(4)
    return int.from_bytes(file.read(4), "little") + 8 <= size


def _reason(error: Exception) -> str:
    from PIL import UnidentifiedImageError

    if isinstance(error, UnidentifiedImageError):
        return "it is not a PNG, JPEG or WebP file"
    text = printable(str(error)).splitlines()
    return text[0][:120] if text and text[0] else type(error).__name__


def _unreadable(name: str, reason: str) -> EngineError:
    return EngineError("image_unreadable", file=name, reason=reason)
