"""A disk cache of reduced pictures, so that a large photograph is decoded once and not at every look.

Only a cache: it may vanish at any time, and a disk that refuses makes it slower, never wrong.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
import secrets
from pathlib import Path
from typing import TYPE_CHECKING

from engine.home import cache_dir
from engine.protocol.errors import EngineError
from engine.protocol.files import make_private_dir

if TYPE_CHECKING:
    from PIL import Image

SIDE = 512
"""The longer side of a cached picture; requests for more are answered from the original."""
MAX_FILES = 8000
"""About 400 MB; the oldest half goes when there are more."""

_PRUNE_EVERY = 256
_written = 0


def key_of(path: Path, stat: os.stat_result) -> str:
    """The name of a picture in the cache: another one as soon as the file changes."""
    text = f"1\0{os.path.realpath(path)}\0{stat.st_mtime_ns}\0{stat.st_size}"
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()


def load(key: str) -> tuple[Image.Image, tuple[int, int]] | None:
    """The cached picture and the full size of its original; None when it is not there or damaged."""
    from PIL import Image

    try:
        image = Image.open(io.BytesIO(_path(key).read_bytes()), formats=("JPEG",))
        width, height = image.info["comment"].decode("ascii").split("x")
        image.load()  # type: ignore[no-untyped-call]
        return image.convert("RGB"), (int(width), int(height))
    except Exception:  # a cache that cannot be read, for whatever reason, is no cache
        return None


def store(key: str, image: Image.Image, full: tuple[int, int]) -> None:
    """Keep an upright RGB picture of at most `SIDE`; silently not, where the disk refuses."""
    global _written
    target = io.BytesIO()
    image.save(target, "JPEG", quality=92, subsampling=0, comment=f"{full[0]}x{full[1]}")
    with contextlib.suppress(OSError, EngineError):
        path = _path(key)
        make_private_dir(path.parent)
        # Not fsynced: a torn thumbnail after a power cut reads as none.
        temporary = path.with_name(f".{secrets.token_hex(8)}.part")
        temporary.write_bytes(target.getvalue())
        os.replace(temporary, path)
        _written += 1
        if _written % _PRUNE_EVERY == 0:
            prune(MAX_FILES)


def prune(most: int) -> None:
    """Forget the oldest pictures until half of `most` are left, if there are more than `most`."""
    with contextlib.suppress(OSError, EngineError):
        files = [(entry.stat().st_mtime_ns, entry.path) for entry in os.scandir(_folder())]
        if len(files) > most:
            for _, path in sorted(files)[: len(files) - most // 2]:
                Path(path).unlink(missing_ok=True)


def _folder() -> Path:
    return cache_dir() / "thumbs"


def _path(key: str) -> Path:
    return _folder() / f"{key}.jpg"
