"""What taggers said of a dataset's images, kept in `.lorabake/scores/`, one compact file for each tagger.

Scores belong to the content of a file: they outlive renaming, and a picture that was changed has none. Only a cache of
work: a broken file counts as empty. Thresholds and captions are `pick` and `apply`.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from engine.dataset.names import inside, printable
from engine.dataset.scan import ImageFile
from engine.dataset.sidecar import FOLDER
from engine.dataset.tag_names import key_of
from engine.protocol.errors import EngineError
from engine.protocol.files import atomic_write, make_private_dir
from engine.protocol.tag_options import FLOOR
from engine.tagging.labels import Label

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

UNIT = 10_000
"""Scores are kept as whole numbers of this part."""
_VERSION = 1
_ENDING = ".scores"


class File(msgspec.Struct, frozen=True, array_like=True):
    """An image file as it was scored: size, time and the hash of its bytes, by which `_Stored.entries` knows it."""

    size: int
    mtime_ns: int
    digest: bytes


class Entry(msgspec.Struct, frozen=True, array_like=True):
    """The scores of one picture from the floor on: numbers of tags and scores, as little-endian uint16, falling; and by
    category number the highest score below the floor, which finding the widest gap needs."""

    tags: bytes
    values: bytes
    rest: dict[str, int] = {}

    def arrays(self) -> tuple[NDArray[np.uint16], NDArray[np.uint16]]:
        """Numbers of tags, and scores in units of 1 / `UNIT`."""
        import numpy as np

        return np.frombuffer(self.tags, dtype="<u2"), np.frombuffer(self.values, dtype="<u2")


class _Stored(msgspec.Struct, kw_only=True):
    version: int = _VERSION
    tagger: str = ""
    mark: str = ""
    general: float = 0.35
    character: float = 0.85
    names: list[str] = []
    categories: list[str] = []
    files: dict[str, File] = {}
    entries: dict[bytes, Entry] = {}


# Worked out here, under the import lock: two threads doing that at once bring the process down (msgspec).
_decoder = msgspec.msgpack.Decoder(_Stored)


class Scores:
    """The scores of one tagger for one dataset. Reading and changing is in memory, `save` puts it on the disk whole."""

    def __init__(self, root: Path, tagger: str) -> None:
        self.root, self.tagger = root, tagger
        self.path = root / FOLDER / "scores" / (safe_name(tagger) + _ENDING)
        self._kept = _read(self.path)
        self.changed = False

    @property
    def thresholds(self) -> tuple[float, float]:
        """The tagger's own for general tags and for characters."""
        return self._kept.general, self._kept.character

    @property
    def labels(self) -> list[Label]:
        """The tagger's tags in the order of their numbers."""
        return [Label(*pair) for pair in zip(self._kept.names, self._kept.categories, strict=True)]

    def begin(self, mark: str, labels: list[Label], general: float, character: float, *, again: bool) -> None:
        """Say which model the scores are of; those of another one (or all, with `again`) are forgotten."""
        kept = self._kept
        if again or kept.mark != mark:
            self._kept = kept = _Stored(mark=mark)
        kept.tagger, kept.general, kept.character = self.tagger, general, character
        kept.names, kept.categories = [one.name for one in labels], [one.category for one in labels]
        self.changed = True

    def has(self, image: ImageFile) -> bool:
        """Whether the picture, as it is on the disk now, was scored; one that was only renamed or touched is known by
        its content."""
        try:
            stat = os.stat(image.path)
            file = self._kept.files.get(image.name)
            if file is not None and (file.size, file.mtime_ns) == (stat.st_size, stat.st_mtime_ns):
                return file.digest in self._kept.entries
            if not self._kept.entries:
                return False
            digest = digest_of(image.path)
        except OSError:
            return False
        if digest not in self._kept.entries:
            return False
        self._kept.files[image.name] = File(stat.st_size, stat.st_mtime_ns, digest)
        self.changed = True
        return True

    def put(self, name: str, file: File, scores: NDArray[np.float32]) -> None:
        """Keep what the model says of a picture: probabilities by number of tag."""
        self._kept.entries[file.digest] = _entry(scores, self._kept.categories)
        self._kept.files[name] = file
        self.changed = True

    def entry(self, name: str) -> Entry | None:
        """The scores of an image by name."""
        file = self._kept.files.get(name)
        return self._kept.entries.get(file.digest) if file is not None else None

    def scored(self) -> Iterator[str]:
        """The names of the images that have scores."""
        return (name for name, file in self._kept.files.items() if file.digest in self._kept.entries)

    def of_tag(self, tag: str) -> Mapping[str, float]:
        """Image → score of a tag in any spelling, where it is above the floor."""
        numbers = [place for place, name in enumerate(self._kept.names) if key_of(name) == key_of(tag)]
        found: dict[str, float] = {}
        for name in self.scored() if numbers else ():
            entry = self.entry(name)
            assert entry is not None
            tags, values = entry.arrays()
            for place in (tags == numbers[0]).nonzero()[0]:
                found[name] = int(values[place]) / UNIT
        return found

    def of_image(self, name: str) -> list[tuple[Label, float]]:
        """Tag and score of an image, the highest first."""
        entry = self.entry(name)
        if entry is None:
            return []
        tags, values = entry.arrays()
        names, categories = self._kept.names, self._kept.categories
        return [
            (Label(names[tag], categories[tag]), value / UNIT)
            for tag, value in zip(tags.tolist(), values.tolist(), strict=True)
        ]

    def keep_only(self, names: Iterable[str]) -> None:
        """Forget the names that are gone, and entries that no name leads to."""
        kept, wanted = self._kept, set(names)
        kept.files = {name: file for name, file in kept.files.items() if name in wanted}
        used = {file.digest for file in kept.files.values()}
        kept.entries = {digest: entry for digest, entry in kept.entries.items() if digest in used}

    def save(self) -> None:
        """Write the file whole; raises EngineError `path_outside` or `dataset_unwritable`."""
        if not self.changed:
            return
        for part in (self.path.parent.parent, self.path.parent, self.path):
            if not inside(self.root, part):
                raise EngineError("path_outside", path=printable(str(part)), root=printable(str(self.root)))
        try:
            make_private_dir(self.path.parent)
            atomic_write(self.path, msgspec.msgpack.encode(self._kept))
        except OSError as error:
            raise EngineError(
                "dataset_unwritable", path=printable(str(self.root)), reason=error.strerror or str(error)
            ) from None
        self.changed = False


def stored(root: Path) -> list[Scores]:
    """The scores of all taggers that a dataset was tagged with, the latest first."""
    folder = root / FOLDER / "scores"
    with suppress(OSError):
        found = sorted(folder.glob("*" + _ENDING), key=lambda path: (-path.stat().st_mtime_ns, path.name))
        names = [tagger for path in found if (tagger := _read(path).tagger)]
        return [Scores(root, tagger) for tagger in names]
    return []


def safe_name(tagger: str) -> str:
    """A tagger's name as a file name."""
    plain = re.sub(r"[^\w.-]+", "_", tagger)[:80].strip("._") or "tagger"
    mark = hashlib.sha256(tagger.encode("utf-8", "surrogateescape")).hexdigest()[:6]
    return plain if plain == tagger else f"{plain}-{mark}"


def digest_of(path: Path) -> bytes:
    """The hash by which the content of a file is known; raises OSError."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").digest()[:16]


def file_of(path: Path) -> File:
    """An image file as it is now; raises OSError."""
    stat = os.stat(path)
    return File(stat.st_size, stat.st_mtime_ns, digest_of(path))


def _entry(scores: NDArray[np.float32], categories: list[str]) -> Entry:
    import numpy as np

    values = np.rint(scores.astype(np.float64) * UNIT).astype("<u2")
    floor = round(FLOOR * UNIT)
    order = np.argsort(-values.astype(np.int32), kind="stable")
    kept = order[values[order] >= floor]
    below = order[len(kept) :]
    rest: dict[str, int] = {}
    for number in below.tolist():
        if not values[number]:
            break
        rest.setdefault(categories[number], int(values[number]))
        if len(rest) == len(_GAPS) or values[number] < 1:
            break
    return Entry(kept.astype("<u2").tobytes(), values[kept].tobytes(), rest)


_GAPS = ("general", "character", "rating")


def _read(path: Path) -> _Stored:
    with suppress(OSError, msgspec.DecodeError, UnicodeDecodeError):
        kept = _decoder.decode(path.read_bytes())
        if kept.version == _VERSION and len(kept.names) == len(kept.categories):
            return kept
    return _Stored()
