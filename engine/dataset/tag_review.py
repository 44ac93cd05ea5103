"""Which images were looked at in the review of a tag, in `<dataset>/.lorabake/tag_reviews.json`."""

from __future__ import annotations

from pathlib import Path

import msgspec

from engine.dataset.names import printable
from engine.dataset.sidecar import FOLDER
from engine.dataset.tag_journal import opened
from engine.protocol.errors import EngineError
from engine.protocol.files import atomic_write


def judged(root: Path, tag: str) -> set[str]:
    """The images that were looked at for a tag."""
    return set(_read(root).get(tag, ()))


def judge(root: Path, tag: str, image: str, *, again: bool) -> None:
    """Remember that an image was looked at, or with `again` that it was not.

    Raises EngineError `dataset_unwritable`, `dataset_busy` or `path_outside`.
    """
    with opened(root):
        reviews = _read(root)
        rest = [name for name in reviews.get(tag, []) if name != image]
        reviews[tag] = rest if again else [*rest, image]
        try:
            atomic_write(root / FOLDER / "tag_reviews.json", msgspec.json.encode(reviews) + b"\n")
        except OSError as error:
            reason = error.strerror or str(error)
            raise EngineError("dataset_unwritable", path=printable(str(root)), reason=reason) from None


def _read(root: Path) -> dict[str, list[str]]:
    try:
        return msgspec.json.decode((root / FOLDER / "tag_reviews.json").read_bytes(), type=dict[str, list[str]])
    except (OSError, msgspec.DecodeError, UnicodeDecodeError):
        return {}
