"""The rows of a dataset made ready for questions: an index of tags, texts and numbers that follows edits row by row.

Sets of rows are boolean arrays; nothing is read from the disk here except the bytes of equally long files, once, for
`dup:`. What a filter makes of the index is `query_search`'s business.
"""

from __future__ import annotations

import itertools
from array import array
from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.dataset.captions import first_line, split_tags
from engine.dataset.scan import Dataset, ImageFile
from engine.dataset.tag_names import key_of
from engine.dataset.tokens import about_tokens

Mask = NDArray[np.bool_]
Rows = NDArray[np.int32]

_REMEMBERED = 48


class Index:
    """The rows of one dataset, ready to be asked. `follow` takes the dataset after an edit or a new scan."""

    def __init__(self, dataset: Dataset) -> None:
        self.images: tuple[ImageFile, ...] = ()
        self.ids: dict[str, int] = {}
        self.tags: list[str] = []
        self._names: list[str] = []
        self._captions: list[str] | None = None
        self._rows: list[Rows] = []
        self._sizes: NDArray[np.int32] = np.empty(0, dtype=np.int32)
        self._odd: set[int] = set()
        self._keys: dict[str, list[int]] = {}
        self._numbers: dict[str, NDArray[np.float64]] = {}
        self._tokens: dict[str, int] = {}
        self._folded: list[str] = []
        self.kept: dict[str, Any] = {}
        """What others worked out of the tags; forgotten when they change."""
        self._remembered: OrderedDict[object, Mask] = OrderedDict()
        self._doubles: frozenset[str] | None = None
        self._build(dataset.images)

    # -- building ---------------------------------------------------------------------------------------------

    def _build(self, images: tuple[ImageFile, ...]) -> None:
        self.images = images
        self._forget()
        self._doubles = None
        self._names = [image.name.casefold() for image in images]
        self._captions = None
        self._odd = set()
        self.ids = ids = {}
        flat, sizes = array("i"), array("i")
        for row, image in enumerate(images):
            numbers: list[int] = []
            if image.caption:
                try:
                    # Only whole, clean tags are in `ids`, so a caption of known tags needs no closer look.
                    numbers = [ids[part] for part in image.caption.split(", ")]
                except KeyError:
                    tags = split_tags(image.caption)
                    numbers = [ids.setdefault(tag, len(ids)) for tag in tags]
                    if ", ".join(tags) != image.caption:
                        self._odd.add(row)
                if len(set(numbers)) != len(numbers):
                    self._odd.add(row)
                    numbers = list(dict.fromkeys(numbers))
            flat.extend(numbers)
            sizes.append(len(numbers))
        self.tags, self._folded = list(ids), []
        self._sizes = np.array(sizes, dtype=np.int32)
        self._rows = _inverted(np.array(flat, dtype=np.int32), self._sizes, len(ids))
        self._keys = {}
        for number, tag in enumerate(self.tags):
            self._keys.setdefault(key_of(tag), []).append(number)

    def follow(self, dataset: Dataset) -> None:
        """Take the dataset as it is now; rows that did not change cost nothing."""
        new, old = dataset.images, self.images
        if new is old:
            return
        if len(new) != len(old):
            self._build(new)
            return
        changed = [row for row, (a, b) in enumerate(zip(old, new, strict=True)) if a is not b and a != b]
        if any(old[row].name != new[row].name for row in changed):
            self._build(new)
            return
        if any((old[row].bytes, old[row].mtime_ns) != (new[row].bytes, new[row].mtime_ns) for row in changed):
            self._doubles = None
        self.images = new
        if changed:
            self._forget()
            self._retag([row for row in changed if old[row].caption != new[row].caption], old)

    def _retag(self, rows: Sequence[int], old: Sequence[ImageFile]) -> None:
        gone: dict[int, list[int]] = {}
        come: dict[int, list[int]] = {}
        for row in rows:
            caption = self.images[row].caption or ""
            if self._captions is not None:
                self._captions[row] = caption.casefold()
            tags = split_tags(caption)
            before, after = set(split_tags(old[row].caption or "")), set(tags)
            self._sizes[row] = len(after)
            (self._odd.discard if ", ".join(tags) == caption and len(after) == len(tags) else self._odd.add)(row)
            for tag in before - after:
                gone.setdefault(self.ids[tag], []).append(row)
            for tag in after - before:
                come.setdefault(self._id_of(tag), []).append(row)
        for number in gone.keys() | come.keys():
            kept = np.setdiff1d(self._rows[number], np.array(gone.get(number, []), dtype=np.int32), assume_unique=True)
            self._rows[number] = np.union1d(kept, np.array(come.get(number, []), dtype=np.int32))

    def _id_of(self, tag: str) -> int:
        number = self.ids.get(tag)
        if number is None:
            number = self.ids[tag] = len(self.tags)
            self.tags.append(tag)
            self._rows.append(np.empty(0, dtype=np.int32))
            self._keys.setdefault(key_of(tag), []).append(number)
        return number

    def _forget(self) -> None:
        self._numbers.clear()
        self._remembered.clear()
        self.kept.clear()

    # -- asking -----------------------------------------------------------------------------------------------

    def counts(self) -> dict[str, int]:
        """Tag → how many images carry it."""
        return {tag: len(rows) for tag, rows in zip(self.tags, self._rows, strict=True) if len(rows)}

    def rows_of(self, tag: str) -> Rows:
        """The rows that carry exactly this tag."""
        number = self.ids.get(tag)
        return self._rows[number] if number is not None else np.empty(0, dtype=np.int32)

    def recall(self, key: object) -> Mask | None:
        """A remembered answer."""
        mask = self._remembered.get(key)
        if mask is not None:
            self._remembered.move_to_end(key)
        return mask

    def remember(self, key: object, mask: Mask) -> None:
        """Keep an answer until the dataset changes."""
        self._remembered[key] = mask
        while len(self._remembered) > _REMEMBERED:
            self._remembered.popitem(last=False)

    def texts(self, field: str) -> list[str]:
        """The casefolded names or captions of all rows."""
        if field == "name":
            return self._names
        if self._captions is None:
            self._captions = [(image.caption or "").casefold() for image in self.images]
        return self._captions

    def folded(self) -> list[str]:
        """The tags in small letters, by their numbers."""
        if len(self._folded) != len(self.tags):
            self._folded = [tag.casefold() for tag in self.tags]
        return self._folded

    def numbers_of_key(self, key: str) -> list[int]:
        """The spellings of a tag, by their numbers."""
        return self._keys.get(key, [])

    def keys(self) -> Mapping[str, list[int]]:
        """Normalised tag → numbers of its spellings."""
        return self._keys

    def carriers(self, numbers: Iterable[int]) -> Mask:
        """The rows that carry any of these tags."""
        mask = np.zeros(len(self.images), dtype=bool)
        for number in numbers:
            mask[self._rows[number]] = True
        return mask

    def column(self, field: str) -> NDArray[np.float64]:
        """The numbers of a field, NaN where an image has none."""
        values = self._numbers.get(field)
        if values is None:
            values = self._numbers[field] = np.asarray(_numbers(self, field), dtype=np.float64)
        return values

    def tokens(self) -> NDArray[np.float64]:
        """`about_tokens` of every first line, from what each tag costs."""
        counts = np.zeros(len(self.images))
        for tag, rows in zip(self.tags, self._rows, strict=True):
            cost = self._tokens.get(tag)
            if cost is None:
                # With the comma: signs that stand together are one token.
                cost = self._tokens[tag] = about_tokens(tag + ",")
            counts[rows] += cost
        counts -= self._sizes > 0
        for row in self._odd:
            counts[row] = about_tokens(first_line(self.images[row].caption or ""))
        return counts

    def sizes(self) -> NDArray[np.float64]:
        """How many tags every image has; one written twice counts once."""
        return self._sizes.astype(np.float64)

    def odd(self) -> set[int]:
        """The rows whose caption is not just its tags, each once: with more lines, spaces, or commas."""
        return self._odd

    def doubles(self) -> frozenset[str]:
        """Names of the images that are the same file as another."""
        if self._doubles is None:
            from engine.dataset.duplicates import same_files

            pairs = same_files(self.images)
            self._doubles = frozenset(self.images[row].name for pair in pairs.items() for row in pair)
        return self._doubles


def _numbers(index: Index, field: str) -> NDArray[np.float64] | list[float]:
    images, nothing = index.images, float("nan")
    if field == "tags":
        return index.sizes()
    if field == "tokens":
        return index.tokens()
    if field == "chars":
        return [len(image.caption or "") for image in images]
    if field == "repeat":
        return [nothing if image.set_repeat is None else image.set_repeat for image in images]
    if field == "ratio":
        return [image.width / image.height if image.usable else nothing for image in images]
    if field == "area":
        return [image.width * image.height if image.usable else nothing for image in images]
    return [(image.width if field == "w" else image.height) if image.usable else nothing for image in images]


def _inverted(flat: NDArray[np.int32], sizes: NDArray[np.int32], count: int) -> list[Rows]:
    """From the tags of each row, one after the other, the rows of each tag."""
    rows = np.repeat(np.arange(len(sizes), dtype=np.int32), sizes)[np.argsort(flat, kind="stable")]
    ends = [0, *np.cumsum(np.bincount(flat, minlength=count)).tolist()]
    # Copies: a view of the whole would keep all of it alive after the first edit.
    return [rows[begin:end].copy() for begin, end in itertools.pairwise(ends)] if count else []
