"""What the taggings of a dataset left in its captions, in `.lorabake/tagged.json`: tells what a person took out since.

Each record belongs to an edit of the tags' journal and counts only while that edit is not undone.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path

import msgspec

from engine.dataset.names import inside, printable
from engine.dataset.sidecar import FOLDER
from engine.protocol.errors import EngineError
from engine.protocol.files import atomic_write, make_private_dir
from engine.tagging.merge import Before

_DEPTH = 8
"""Taggings of one image that are remembered, for undoing one after the other."""


class _Left(msgspec.Struct, frozen=True, array_like=True):
    edit: int
    tags: list[int]
    gone: list[int] = []
    found: list[int] = []


class _Kept(msgspec.Struct, kw_only=True):
    version: int = 1
    tags: list[str] = []
    images: dict[str, list[_Left]] = {}


# Worked out here, under the import lock: two threads doing that at once bring the process down (msgspec).
_decoder = msgspec.json.Decoder(_Kept)


class Memory:
    """The records of one dataset. `done` are the numbers of the journal's edits that are not undone."""

    def __init__(self, root: Path, done: Collection[int]) -> None:
        self.root = root
        self.path = root / FOLDER / "tagged.json"
        self._done = done
        try:
            self._kept = _decoder.decode(self.path.read_bytes())
        except (OSError, msgspec.DecodeError, UnicodeDecodeError):
            self._kept = _Kept()  # every tag taken out by hand may then come back; nothing is lost
        self._numbers = {tag: number for number, tag in enumerate(self._kept.tags)}

    def before(self, name: str) -> Before | None:
        """What the last tagging left of an image's caption; None when there was none, or it was undone."""
        left = next((one for one in reversed(self._kept.images.get(name, ())) if one.edit in self._done), None)
        if left is None:
            return None
        words = self._kept.tags
        try:
            tags, gone, found = ([words[tag] for tag in some] for some in (left.tags, left.gone, left.found))
            return Before(tuple(tags), frozenset(gone), frozenset(found))
        except IndexError:
            return None

    def remember(self, edit: int, left: Mapping[str, Before]) -> None:
        """Keep what an edit left; raises EngineError `path_outside` or `dataset_unwritable`."""
        for name, before in left.items():
            records = [one for one in self._kept.images.get(name, []) if one.edit in self._done]
            parts = (before.tags, sorted(before.gone), sorted(before.found))
            numbers = [[self._number(tag) for tag in part] for part in parts]
            self._kept.images[name] = [*records[1 - _DEPTH :], _Left(edit, *numbers)]
        for part in (self.path.parent, self.path):
            if not inside(self.root, part):
                raise EngineError("path_outside", path=printable(str(part)), root=printable(str(self.root)))
        try:
            make_private_dir(self.path.parent)
            atomic_write(self.path, msgspec.json.encode(self._kept))
        except OSError as error:
            raise EngineError(
                "dataset_unwritable", path=printable(str(self.root)), reason=error.strerror or str(error)
            ) from None

    def _number(self, tag: str) -> int:
        number = self._numbers.setdefault(tag, len(self._kept.tags))
        if number == len(self._kept.tags):
            self._kept.tags.append(tag)
        return number
