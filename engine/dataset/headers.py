"""A disk cache of image sizes by name, length and time of the file, so that a dataset opens faster the second time.

Only a cache: it may vanish at any time, and a disk that refuses makes opening slower, never wrong.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from engine.home import cache_dir
from engine.protocol.errors import EngineError
from engine.protocol.files import make_private_dir

if TYPE_CHECKING:
    from engine.dataset.scan import ImageFile

_VERSION = 1

Headers = Mapping[str, tuple[int, int, int, int]]
"""Name → bytes, time of change in ns, width, height."""

_decoder = msgspec.msgpack.Decoder(dict[str, tuple[int, int, int, int]])


def of(images: Sequence[ImageFile]) -> Headers:
    """What an earlier scan knows."""
    return {image.name: (image.bytes, image.mtime_ns, image.width, image.height) for image in images if image.usable}


def load(dataset: Path) -> Headers:
    """What is kept of a dataset, nothing where there is no cache or a damaged one."""
    with suppress(OSError, msgspec.DecodeError, EngineError):
        return _decoder.decode(_path(dataset).read_bytes())
    return {}


def store(dataset: Path, images: Sequence[ImageFile], known: Headers) -> None:
    """Keep the sizes of these images, if `known` does not hold just them."""
    now = of(images)
    if now == known:
        return
    with suppress(OSError, EngineError):
        path = _path(dataset)
        make_private_dir(path.parent)
        # Not fsynced: a torn file after a power cut reads as none.
        temporary = path.with_suffix(f".{os.getpid()}.part")
        temporary.write_bytes(msgspec.msgpack.encode(now))
        os.replace(temporary, path)


def _path(dataset: Path) -> Path:
    name = hashlib.sha256(os.fsencode(os.path.realpath(dataset))).hexdigest()
    return cache_dir() / "headers" / f"{name}.{_VERSION}.msgpack"
