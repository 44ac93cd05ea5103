"""Pixels of one image: exactly its bucket for training, or small enough for the terminal.

EXIF rotation is applied and transparency laid on white, in both cases; files are opened by `decode`.
"""

from __future__ import annotations

import io
import math
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from engine.dataset import thumbs
from engine.dataset.buckets import Fit, Size
from engine.dataset.decode import load, open_image, orientation
from engine.dataset.listing import in_place
from engine.dataset.names import locate, printable
from engine.dataset.sidecar import read_sidecar
from engine.protocol.errors import EngineError
from engine.protocol.records import Picture

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from PIL import Image

MAX_PICTURE_SIDE = 1024
"""Pictures for the terminal are never larger, so that one always fits a line of the wire."""
_MOST_BYTES = 2_500_000
_DRAFT = 1.5
"""A draft has at least this many times the pixels a side that are asked for."""
_CHEAP_BYTES = 100_000
"""Smaller files are decoded faster than the cache is managed."""


def load_rgb(path: Path, fit: Fit, *, draft: bool = False) -> NDArray[np.uint8]:
    """The picture as [H, W, 3] uint8 RGB of exactly `fit.bucket`.

    With `draft` a JPEG that shrinks much is decoded smaller: three times faster, and what differs no eye sees.

    Raises EngineError `image_missing`, `image_unreadable`, `image_too_large`, or `dataset_changed` when the file
    has not the size that `fit` was made for.
    """
    import numpy as np
    from PIL import Image

    enough = math.ceil(fit.resize[0] * _DRAFT), math.ceil(fit.resize[1] * _DRAFT)
    image, full = upright_rgb(path, within=enough if draft else None)
    if full != fit.source:
        raise EngineError("dataset_changed", count=1, file=printable(str(path)))
    # Cutting in source coordinates while scaling: one pass, and nothing is computed that is cut off.
    across, down = image.width / fit.resize[0], image.height / fit.resize[1]
    left, top, right, bottom = fit.crop
    box = (left * across, top * down, min(right * across, image.width), min(bottom * down, image.height))
    if image.size != fit.bucket:
        # Area averaging where it shrinks (Hamming: a box filter without its dislocated lines), else Lanczos.
        shrinks = fit.enlargement < 1
        method = Image.Resampling.HAMMING if shrinks else Image.Resampling.LANCZOS
        image = image.resize(fit.bucket, method, box=box)
    return np.asarray(image, dtype=np.uint8)


def upright_rgb(path: Path, *, within: Size | None = None) -> tuple[Image.Image, Size]:
    """The whole picture, upright, RGB, transparency on white, and its full size.

    With `within` a JPEG may come smaller (its decoder halves cheaply), but never smaller than fits `within`.
    """
    name = printable(path.name)
    try:
        with open(path, "rb") as file:
            image = open_image(file, name)
            turned = orientation(image)
            full = image.size[::-1] if turned >= 5 else image.size
            if within is not None:
                size = fitting(full, within)
                image.draft("RGB", size[::-1] if turned >= 5 else size)
            load(image, name)
    except FileNotFoundError:
        raise EngineError("image_missing", file=name) from None
    except OSError as error:
        reason = error.strerror or str(error)
        raise EngineError("image_unreadable", file=name, reason=reason) from None
    return upright(flat_rgb(image), turned), full


def fitting(full: Size, within: Size) -> Size:
    """The largest size of the shape of `full` that fits `within`."""
    scale = min(within[0] / full[0], within[1] / full[1])
    return max(1, round(full[0] * scale)), max(1, round(full[1] * scale))


def flat_rgb(image: Image.Image) -> Image.Image:
    """A decoded picture as RGB, transparency on white, 16 bits reduced to 8."""
    from PIL import Image

    if image.mode.startswith("I"):
        # 16-bit grey: Pillow's own conversion cuts everything above 255 to white.
        image = image.convert("I").point(lambda value: value * (1 / 256)).convert("L")
    if image.mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in image.info:
        image = image.convert("RGBA")
        white = Image.new("RGBA", image.size, (255, 255, 255, 255))
        return Image.alpha_composite(white, image).convert("RGB")
    return image if image.mode == "RGB" else image.convert("RGB")


def upright(image: Image.Image, orientation: int) -> Image.Image:
    """The picture turned as its EXIF orientation (1 to 8) says."""
    from PIL.Image import Transpose

    turns = {
        2: Transpose.FLIP_LEFT_RIGHT,
        3: Transpose.ROTATE_180,
        4: Transpose.FLIP_TOP_BOTTOM,
        5: Transpose.TRANSPOSE,
        6: Transpose.ROTATE_270,
        7: Transpose.TRANSVERSE,
        8: Transpose.ROTATE_90,
    }
    turn = turns.get(orientation)
    return image if turn is None else image.transpose(turn)


def picture(
    root: Path,
    file: str,
    width: int,
    height: int,
    encoding: Literal["raw", "png", "jpeg"] = "raw",
    *,
    zoom: int = 1,
    at: tuple[float, float] = (0.5, 0.5),
) -> Picture:
    """The image `file` of the folder `root`, scaled to fit `width` × `height` pixels, for the terminal; with `zoom`
    what is seen of it around `at` when it is that many times as large.

    Raises EngineError `path_outside`, `image_missing`, `image_unreadable` or `image_too_large`.
    """
    from PIL import Image

    path = _located(root, file)
    zoom = max(1, zoom)
    room = min(max(1, width), MAX_PICTURE_SIDE // zoom), min(max(1, height), MAX_PICTURE_SIDE // zoom)
    within = room[0] * zoom, room[1] * zoom
    image, full = reduced(path, within)
    size = fitting(full, within)
    if image.size != size:
        shrinks = image.size[0] > size[0]
        method = Image.Resampling.HAMMING if shrinks else Image.Resampling.BICUBIC
        image = image.resize(size, method)
    if zoom > 1:
        size = min(size[0], room[0]), min(size[1], room[1])
        left, top = (
            round(min(whole - seen, max(0, whole * middle - seen / 2)))
            for whole, seen, middle in zip(image.size, size, at, strict=True)
        )
        image = image.crop((left, top, left + size[0], top + size[1]))
    return Picture(
        width=size[0], height=size[1], data=_packed(image, encoding), full_width=full[0], full_height=full[1]
    )


def _located(root: Path, file: str) -> Path:
    """The file of that name, also where a person linked it in from elsewhere."""
    try:
        return locate(root, file)
    except EngineError:
        if in_place(root, read_sidecar(root), file):
            return root / file
        raise


def _packed(image: Image.Image, encoding: Literal["raw", "png", "jpeg"]) -> bytes:
    if encoding == "raw":
        return zlib.compress(image.tobytes(), 1)
    target = io.BytesIO()
    options: dict[str, int] = {"compress_level": 1} if encoding == "png" else {"quality": 90}
    image.info = {}
    image.save(target, encoding.upper(), **options)
    # The noisiest picture of the largest size is longer than a line as a PNG.
    return target.getvalue() if target.tell() <= _MOST_BYTES else _packed(image, "jpeg")


def reduced(path: Path, within: Size) -> tuple[Image.Image, Size]:
    """The picture at least as large as fits `within`, from the cache where that saves work, and its full size."""
    from PIL import Image

    try:
        stat = path.stat()
    except OSError:
        raise EngineError("image_missing", file=printable(path.name)) from None
    if max(within) > thumbs.SIDE or stat.st_size < _CHEAP_BYTES:
        return upright_rgb(path, within=within)
    key = thumbs.key_of(path, stat)
    cached = thumbs.load(key)
    if cached is not None:
        return cached
    box = (thumbs.SIDE, thumbs.SIDE)
    image, full = upright_rgb(path, within=box)
    if max(full) <= thumbs.SIDE:
        return image, full
    image = image.resize(fitting(full, box), Image.Resampling.HAMMING, reducing_gap=2.0)
    thumbs.store(key, image, full)
    return image, full
