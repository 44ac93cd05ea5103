"""What lies ready beside a dataset for its tagger: pinned tags, bookmarks, macros; `<dataset>/.lorabake/desk.json`."""

from __future__ import annotations

from pathlib import Path

import msgspec

from engine.dataset.names import inside, printable
from engine.dataset.sidecar import FOLDER
from engine.protocol.errors import EngineError
from engine.protocol.files import atomic_write, make_private_dir
from engine.protocol.tags import Desk

_decoder = msgspec.json.Decoder(Desk)
_PINS = 9


def read_desk(root: Path) -> Desk:
    """What lies there; nothing when the file is missing or broken: all of it is soon put there again."""
    try:
        return _decoder.decode((root / FOLDER / "desk.json").read_bytes())
    except (OSError, msgspec.DecodeError, UnicodeDecodeError):
        return Desk()


def keep_desk(root: Path, desk: Desk) -> None:
    """Put it there. Raises EngineError `path_outside` or `dataset_unwritable`."""
    path = root / FOLDER / "desk.json"
    for part in (path.parent, path):
        if not inside(root, part):
            raise EngineError("path_outside", path=printable(str(part)), root=printable(str(root)))
    try:
        make_private_dir(path.parent)
        kept = msgspec.structs.replace(desk, pins=desk.pins[:_PINS])
        atomic_write(path, msgspec.json.format(msgspec.json.encode(kept), indent=1) + b"\n")
    except OSError as error:
        reason = error.strerror or str(error)
        raise EngineError("dataset_unwritable", path=printable(str(root)), reason=reason) from None
