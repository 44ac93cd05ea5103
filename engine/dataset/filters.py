"""The filters a person used on a dataset and those saved under a name, in `<dataset>/.lorabake/filters.json`."""

from __future__ import annotations

from pathlib import Path

import msgspec

from engine.dataset import query
from engine.dataset.names import inside, printable
from engine.dataset.sidecar import FOLDER
from engine.protocol.errors import EngineError
from engine.protocol.files import Lock, atomic_write, make_private_dir
from engine.protocol.found import Filters

HISTORY = 50
_SAVED = 200


def read_filters(dataset: Path) -> Filters:
    """What is remembered; nothing when the file is missing or broken, for no work is lost with it."""
    try:
        return msgspec.json.decode((dataset / FOLDER / "filters.json").read_bytes(), type=Filters)
    except (OSError, msgspec.DecodeError, UnicodeDecodeError):
        return Filters()


def keep_filter(dataset: Path, text: str, name: str = "") -> Filters:
    """Put a filter on top of the history, or save it under a name ("" takes the name away).

    Raises EngineError `dataset_unwritable` or `path_outside`, and for a mistake in it as `query.parse` does.
    """
    query.parse(text)
    path = dataset / FOLDER / "filters.json"
    lock = Lock(path.parent / "filters.lock")
    for part in (path.parent, path, lock.path):
        if not inside(dataset, part):
            raise EngineError("path_outside", path=printable(str(part)), root=printable(str(dataset)))
    try:
        make_private_dir(path.parent)
        with lock:
            before = read_filters(dataset)
            if name:
                saved = {**before.saved, name: text}
                if not text:
                    del saved[name]
                after = Filters(history=before.history, saved=dict(list(saved.items())[-_SAVED:]))
            else:
                rest = [used for used in before.history if used != text]
                after = Filters(history=[text, *rest][:HISTORY] if text else rest, saved=before.saved)
            if after != before:
                atomic_write(path, msgspec.json.format(msgspec.json.encode(after), indent=1) + b"\n")
    except OSError as error:
        raise EngineError(
            "dataset_unwritable", path=printable(str(dataset)), reason=error.strerror or str(error)
        ) from None
    return after
