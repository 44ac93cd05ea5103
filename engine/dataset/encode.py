"""Pictures back into files: upright RGB as a bake sees it, in the format the picture came in.

Decoding is `decode`'s and `pixels`'; where the files go, the callers know.
"""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any, NamedTuple

from engine.dataset.decode import load, open_image, orientation
from engine.dataset.names import printable
from engine.dataset.pixels import flat_rgb, upright
from engine.dataset.scan import ImageFile
from engine.protocol.errors import EngineError

if TYPE_CHECKING:
    from PIL import Image


class Plain(NamedTuple):
    """A picture upright, RGB, on white; its format, and the colour profile that still speaks of it."""

    picture: Image.Image
    kind: str
    profile: bytes | None


def plain(image: ImageFile) -> Plain:
    """The whole picture as a bake sees it; raises EngineError `image_missing`, `image_unreadable` or
    `image_too_large`."""
    try:
        with open(image.path, "rb") as file:
            picture = open_image(file, image.name)
            kind = "JPEG" if picture.format == "MPO" else picture.format or ""
            turned = orientation(picture)
            load(picture, image.name)
    except FileNotFoundError:
        raise EngineError("image_missing", file=image.name) from None
    except OSError as error:
        raise EngineError("image_unreadable", file=image.name, reason=error.strerror or str(error)) from None
    # A colour profile speaks of the colours it was made for; grey and CMYK ones do not survive the conversion.
    profile = picture.info.get("icc_profile") if picture.mode in ("RGB", "RGBA", "P") else None
    return Plain(upright(flat_rgb(picture), turned), kind, profile)


def encode(picture: Image.Image, kind: str, profile: bytes | None = None, *, name: str) -> bytes:
    """An RGB picture as a PNG, JPEG or WEBP file: without loss, or with as little as JPEG allows.

    `name` is what messages call it. Raises EngineError `image_encode` for what the format cannot hold.
    """
    options: dict[str, Any] = {"icc_profile": profile} if profile else {}
    if kind == "JPEG":
        options |= {"quality": 95, "subsampling": 0}
    elif kind == "WEBP":
        options |= {"lossless": True}
    picture.info = {}
    target = io.BytesIO()
    try:
        picture.save(target, kind, **options)
    except Exception as error:  # each format has limits of its own, and each encoder says it another way
        reason = printable(str(error))[:120] or type(error).__name__
        raise EngineError("image_encode", file=name, format=kind, reason=reason) from None
    return target.getvalue()
