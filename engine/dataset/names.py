"""Names of files inside a folder: printable, JSON-safe, the same on every system, and never outside the folder.

A name is the relative path with "/" between parts, composed (NFC) and with undecodable bytes written `\\xNN`.
"""

from __future__ import annotations

import os
import unicodedata
from pathlib import Path

from engine.protocol.errors import EngineError

_LONGEST = 247
"""Bytes: `.caption` is longer than the ending of any image."""


def to_name(relative: str) -> str:
    """The name of a relative path as the file system spells it."""
    if relative.isascii():
        return relative
    # A file name that is not UTF-8 arrives with lone surrogates, which no JSON line may hold.
    text = relative.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    return unicodedata.normalize("NFC", text)


def printable(text: str) -> str:
    """`text` as it may stand in a message: no lone surrogates."""
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def fitting(stem: str, rest: str) -> str:
    """`stem` + `rest` as the name of a file, the stem cut where no file system would take the whole, nor a caption
    beside it."""
    while len(os.fsencode(stem + rest)) > _LONGEST and stem:
        stem = stem[:-1]
    return stem + rest


def locate(root: Path, name: str) -> Path:
    """The existing file called `name` under `root`.

    Raises EngineError `path_outside` when it lies elsewhere (also through a link) and `image_missing` when
    there is none.
    """
    relative = Path(name)
    if relative.is_absolute() or ".." in relative.parts or "\0" in name:
        raise EngineError("path_outside", path=printable(name), root=printable(str(root)))
    found = _spelt(root, name)
    if found is None:
        raise EngineError("image_missing", file=printable(name))
    if not inside(root, found):
        raise EngineError("path_outside", path=printable(name), root=printable(str(root)))
    return found


def inside(root: Path, path: Path) -> bool:
    """Whether `path`, with every link followed, lies under `root`."""
    real_root = os.path.realpath(root)
    return os.path.commonpath([real_root, os.path.realpath(path)]) == real_root


def _spelt(root: Path, name: str) -> Path | None:
    direct = root / name
    if os.path.lexists(direct):
        return direct
    # Stored composed, but spelt otherwise on disk (decomposed by macOS, or not UTF-8): go part by part.
    here = root
    for part in name.split("/"):
        try:
            match = next((entry for entry in os.listdir(here) if to_name(entry) == part), None)
        except OSError:
            return None
        if match is None:
            return None
        here = here / match
    return here
