"""What only a full decode tells about an image: is it whole, how is it stored, what does it look like in small.

Facts are kept in the cache by size and time of the file, so that a second check costs little; judging them is `checks`.
"""

from __future__ import annotations

import hashlib
import os
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import msgspec

from engine.dataset.decode import load, open_image, orientation
from engine.dataset.jpeg_end import drafted, ends_early
from engine.dataset.names import printable
from engine.dataset.pixels import flat_rgb, upright
from engine.dataset.scan import Dataset, ImageFile
from engine.dataset.tell import Tell, silent
from engine.home import cache_dir
from engine.protocol.errors import EngineError, ErrorInfo
from engine.protocol.files import make_private_dir

if TYPE_CHECKING:
    from PIL import Image

_VERSION = 2
_WORKERS = 3
_SMALL = 72
"""A JPEG is decoded no smaller than this: its whole stream is read and checked, most of its pixels never made."""


class Facts(msgspec.Struct, frozen=True, array_like=True):
    """One image file as decoded; with `error` set, the rest is empty.

    `kind` is PNG, JPEG or WEBP; `mode` Pillow's, `deep` more than 8 bits a channel, `turned` the EXIF orientation;
    `transparent` only when a pixel really is, `damaged` when it decodes but a checksum is wrong, `cut` when it decodes
    but its pixels stop early. `shape` is a 64-bit difference hash, `thumb` 8 × 8 RGB bytes.
    """

    size: int
    mtime_ns: int
    error: ErrorInfo | None = None
    kind: str = ""
    mode: str = ""
    deep: bool = False
    frames: int = 1
    turned: int = 1
    transparent: bool = False
    damaged: bool = False
    shape: int = 0
    thumb: bytes = b""
    cut: bool = False


def examine(dataset: Dataset, tell: Tell = silent) -> dict[str, Facts]:
    """The facts of every image by its name; files that did not change since the last time are not decoded again."""
    cache = _cache_path(dataset.path)
    known = _read(cache)
    images = dataset.images
    facts: dict[str, Facts] = {}
    with ThreadPoolExecutor(max_workers=_WORKERS) as pool:
        for image, found in zip(images, pool.map(lambda one: _facts(one, known.get(one.name)), images), strict=True):
            facts[image.name] = found
            tell(len(facts), len(images))
    if facts != known:
        _write(cache, facts)
    return facts


def _facts(image: ImageFile, known: Facts | None) -> Facts:
    try:
        stat = os.stat(image.path)
        if known is not None and (known.size, known.mtime_ns) == (stat.st_size, stat.st_mtime_ns):
            return known
        with open(image.path, "rb") as file:
            return _decoded(file, image.name, stat)
    except EngineError as error:
        return Facts(stat.st_size, stat.st_mtime_ns, error=error.info)
    except OSError as error:
        reason = error.strerror or str(error)
        return Facts(0, 0, error=EngineError("image_unreadable", file=image.name, reason=reason).info)


def _decoded(file: BinaryIO, name: str, stat: os.stat_result) -> Facts:
    from PIL.Image import Resampling

    image = open_image(file, name)
    kind = "JPEG" if image.format == "MPO" else image.format or ""
    mode, turned = image.mode, orientation(image)
    frames = _frames(image) if kind != "JPEG" else 1
    drafted(image, _SMALL)
    load(image, name)
    try:
        cut = kind == "JPEG" and ends_early(file, image, _SMALL)
        small = flat_rgb(image)
        if max(small.size) > 4 * _SMALL:
            small = small.resize((2 * _SMALL, 2 * _SMALL), Resampling.BOX, reducing_gap=2.0)
        small = upright(small, turned)
        shape = _difference_hash(small)
        thumb = small.resize((8, 8), Resampling.BOX).tobytes()
        transparent = _transparent(image)
    except Exception as error:  # odd modes of hostile files fail in every way there is
        reason = printable(str(error))[:120] or type(error).__name__
        raise EngineError("image_unreadable", file=name, reason=reason) from None
    return Facts(
        size=stat.st_size,
        mtime_ns=stat.st_mtime_ns,
        kind=kind,
        mode=mode,
        deep=mode.startswith("I") or (kind == "PNG" and _png_depth(file) > 8),
        frames=frames,
        turned=turned,
        transparent=transparent,
        damaged=kind == "PNG" and not _checksums_fit(file),
        shape=shape,
        thumb=thumb,
        cut=cut,
    )


def _frames(image: Image.Image) -> int:
    count = 1
    with suppress(Exception):  # damaged animation chunks
        count = int(getattr(image, "n_frames", 1))
    return max(1, count)


def _png_depth(file: BinaryIO) -> int:
    file.seek(24)  # in the IHDR chunk, which always stands first
    return (file.read(1) or b"\0")[0]


def _checksums_fit(file: BinaryIO) -> bool:
    from PIL import Image

    file.seek(0)
    try:
        Image.open(file, formats=("PNG",)).verify()
    except Exception:  # a wrong checksum is a SyntaxError, other damage anything
        return False
    return True


def _transparent(image: Image.Image) -> bool:
    if "transparency" in image.info or image.mode in ("PA", "La", "RGBa"):
        image = image.convert("RGBA")
    if image.mode not in ("RGBA", "LA"):
        return False
    lowest, _ = image.getchannel("A").getextrema()
    return lowest != 255


def _difference_hash(image: Image.Image) -> int:
    """One bit for each of 8 × 8 places: is it brighter than its right neighbour (dHash)."""
    import numpy as np
    from PIL.Image import Resampling

    grey = np.asarray(image.convert("L").resize((9, 8), Resampling.BOX), dtype=np.int16)
    bits = (grey[:, :-1] > grey[:, 1:]).ravel()
    return int.from_bytes(np.packbits(bits).tobytes(), "big")


def _cache_path(dataset: Path) -> Path:
    name = hashlib.sha256(os.fsencode(os.path.realpath(dataset))).hexdigest()
    return cache_dir() / "checks" / f"{name}.{_VERSION}.msgpack"


def _read(path: Path) -> dict[str, Facts]:
    with suppress(OSError, msgspec.DecodeError):
        return msgspec.msgpack.decode(path.read_bytes(), type=dict[str, Facts])
    return {}


def _write(path: Path, facts: dict[str, Facts]) -> None:
    # Only a cache: not fsynced, and a disk that refuses makes the next check slower, never wrong.
    with suppress(OSError):
        make_private_dir(path.parent)
        temporary = path.with_suffix(f".{os.getpid()}.part")
        temporary.write_bytes(msgspec.msgpack.encode(facts))
        os.replace(temporary, path)
