"""What a filter finds in a dataset: an index of tags, texts and numbers that follows edits row by row.

Answers are boolean arrays over the rows; nothing is read from the disk here except the bytes of equally long files,
once, for `dup:`.
"""

from __future__ import annotations

import itertools
import operator
import time
from array import array
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.dataset import query
from engine.dataset.captions import first_line, split_tags
from engine.dataset.scan import Dataset, ImageFile
from engine.dataset.tag_names import key_of
from engine.dataset.tokens import about_tokens
from engine.protocol.errors import EngineError

Mask = NDArray[np.bool_]
Rows = NDArray[np.int32]

REGEX_SECONDS = 1.0
"""What all regular expressions of one filter may take together, in time of the processor."""

_REMEMBERED = 48
_CHUNK = 512
_TAME = 4096
"""How much of a text a tame expression looks at: without a limit in time there must be one in length."""
_SLACK = 0.005
"""Aspect ratios and scores are equal within this."""
_COMPARE: dict[str, Callable[[Any, float], Any]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


class Facts:
    """What an index asks others about: `scores(tag)` gives row → score, `warnings` the codes found for each image
    by the last check, and `duplicates` the images that have a double."""

    def __init__(
        self,
        *,
        scores: Callable[[str], Mapping[str, float]] | None = None,
        scored: Callable[[], Iterable[str]] | None = None,
        warnings: Mapping[str, Iterable[str]] | None = None,
        duplicates: Iterable[str] | None = None,
    ) -> None:
        self.scores = scores
        self.scored = scored
        self.warnings = warnings or {}
        self.duplicates = duplicates


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

    def find(self, text: str, facts: Facts | None = None) -> Mask:
        """Which rows a filter finds; raises the EngineErrors of `query.parse`, or `filter_slow`."""
        node = query.parse(text)
        if node is None:
            return np.ones(len(self.images), dtype=bool)
        return _Search(self, facts or Facts()).find(node, None)

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


class _Search:
    """One filter on one index. `within` is what still counts: text is only looked for there."""

    def __init__(self, index: Index, facts: Facts) -> None:
        self.index = index
        self.facts = facts
        self.deadline = time.thread_time() + REGEX_SECONDS

    def find(self, node: query.Node, within: Mask | None) -> Mask:
        match node:
            case query.All(nodes):
                mask = within
                for inner in sorted(nodes, key=_cost):
                    found = self.find(inner, mask)
                    mask = found if mask is None else mask & found
                assert mask is not None
                return mask
            case query.Any_(nodes):
                mask = self.find(nodes[0], within)
                for inner in nodes[1:]:
                    mask = mask | self.find(inner, within)
                return mask
            case query.Not(inner):
                return ~self.find(inner, within)
            case query.Number():
                return self._compared(node)
            case query.Choice(field, word):
                return self._chosen(field, word)
            case query.Text(field, parts):
                return self._tagged(parts) if field == "tag" else self._written(field, parts, within)
            case query.Match(field, pattern):
                return self._matched(field, pattern, within)

    def _compared(self, node: query.Number) -> Mask:
        if node.field == "score":
            values = np.zeros(len(self.index.images))
            if self.facts.scores is not None:
                scores = self.facts.scores(node.tag)
                if scores:
                    values = np.array([scores.get(image.name, 0.0) for image in self.index.images])
        else:
            values = self.index.column(node.field)
        with np.errstate(invalid="ignore"):
            if node.operator == "..":
                return (values >= node.low) & (values <= node.high)
            if node.operator == "=":
                slack = _SLACK if node.field in ("ratio", "score") else 0.0
                return np.abs(values - node.low) <= slack
            found: Mask = _COMPARE[node.operator](values, node.low)
            return found

    def _chosen(self, field: str, word: str) -> Mask:
        images = self.index.images
        if field == "has":
            return self._having(word)
        if field == "warn":
            warned = self.facts.warnings
            return np.array([_warned(word, image.problem, warned.get(image.name, ())) for image in images], dtype=bool)
        known = self.facts.duplicates
        doubles = self.index.doubles() if known is None else self.index.doubles() | frozenset(known)
        return np.array([image.name in doubles and word in image.name.casefold() for image in images], dtype=bool)

    def _having(self, word: str) -> Mask:
        images = self.index.images
        if word == "tags":
            return self.index.column("tags") > 0
        if word == "scores":
            scored = frozenset(self.facts.scored()) if self.facts.scored is not None else frozenset[str]()
            return np.array([image.name in scored for image in images], dtype=bool)
        tests: dict[str, Callable[[ImageFile], bool]] = {
            "caption": lambda image: bool(image.caption),
            "crop": lambda image: image.crop is not None,
            "repeat": lambda image: image.own_repeat is not None,
            "problem": lambda image: bool(image.problem),
        }
        return np.array([tests[word](image) for image in images], dtype=bool)

    def _tagged(self, parts: tuple[str, ...]) -> Mask:
        index = self.index
        wanted = tuple(key_of(part, trimmed=False) for part in parts)
        if len(wanted) == 1:
            return index.carriers(index.numbers_of_key(wanted[0].strip()))
        numbers = [n for key, spellings in index.keys().items() if _fits(key, wanted) for n in spellings]
        return index.carriers(numbers)

    def _written(self, field: str, parts: tuple[str, ...], within: Mask | None) -> Mask:
        if field == "path":
            return _where([str(image.path).casefold() for image in self.index.images], within, _pattern(parts))
        if field == "name":
            return _where(self.index.texts("name"), within, _pattern(parts))
        mask = self._in_captions(parts, within, anchored=field == "caption")
        if not field:
            rest = ~mask if within is None else within & ~mask
            loose = ("", *parts, "") if len(parts) > 1 else parts
            mask = mask | _where(self.index.texts("name"), rest, _pattern(loose))
        return mask

    def _in_captions(self, parts: tuple[str, ...], within: Mask | None, *, anchored: bool) -> Mask:
        captions = self.index.texts("caption")
        for part in parts:
            if part:
                held = self._holding(part, within)
                within = held if within is None else within & held
        if len(parts) == 1:
            return within if within is not None else np.ones(len(captions), dtype=bool)
        return _where(captions, within, _pattern(parts if anchored else ("", *parts, "")))

    def _holding(self, word: str, within: Mask | None) -> Mask:
        """The captions that hold a word. One without a comma lies within a tag, and tags are few."""
        captions = self.index.texts("caption")
        if "," in word or word != word.strip():
            return _where(captions, within, _pattern((word,)))
        mask = self.index.recall(word)
        if mask is None:
            folded = self.index.folded()
            mask = self.index.carriers(number for number, tag in enumerate(folded) if word in tag)
            for row in self.index.odd():
                mask[row] = word in captions[row]
            self.index.remember(word, mask)
        return mask

    def _matched(self, field: str, pattern: query.Regex, within: Mask | None) -> Mask:
        key = ("regex", field, pattern.source)
        known = self.index.recall(key)
        if known is not None:
            return known
        images = self.index.images
        if field == "tag":
            mask = self.index.carriers(np.flatnonzero(self._searched(pattern, self.index.tags, None)).tolist())
        elif field == "path":
            mask = self._searched(pattern, [str(image.path) for image in images], within)
        elif field == "name":
            mask = self._searched(pattern, [image.name for image in images], within)
        else:
            held = self._holding(pattern.literal, within) if pattern.literal else None
            inside = within if held is None else held if within is None else within & held
            mask = self._searched(pattern, [image.caption or "" for image in images], inside)
            if not field:
                rest = ~mask if within is None else within & ~mask
                mask = mask | self._searched(pattern, [image.name for image in images], rest)
        if within is None or field == "tag":
            self.index.remember(key, mask)
        return mask

    def _searched(self, pattern: query.Regex, texts: Sequence[str], within: Mask | None) -> Mask:
        """Where a regular expression is found, within what is left of `REGEX_SECONDS`."""
        rows = range(len(texts)) if within is None else np.flatnonzero(within).tolist()
        mask = np.zeros(len(texts), dtype=bool)
        search = pattern.pattern.search
        for start in range(0, len(rows), _CHUNK):
            chunk = rows[start : start + _CHUNK]
            try:
                left = self.deadline - time.thread_time()
                if left <= 0:
                    raise TimeoutError
                if pattern.tame:
                    found = [row for row in chunk if search(texts[row][:_TAME]) is not None]
                else:
                    found = [row for row in chunk if search(texts[row], timeout=left) is not None]
            except (TimeoutError, MemoryError):
                end = pattern.start + len(pattern.source) + 2
                raise EngineError("filter_slow", place=pattern.start + 1, end=end, what=pattern.source) from None
            mask[found] = True
        return mask


def _pattern(parts: tuple[str, ...]) -> Callable[[str], bool]:
    """Tells whether a text holds the one part, or fits all of several."""
    return (lambda text: parts[0] in text) if len(parts) == 1 else (lambda text: _fits(text, parts))


def _where(texts: Sequence[str], within: Mask | None, fits: Callable[[str], bool]) -> Mask:
    mask = np.zeros(len(texts), dtype=bool)
    rows = range(len(texts)) if within is None else np.flatnonzero(within).tolist()
    found = [row for row in rows if fits(texts[row])]
    mask[found] = True
    return mask


def _fits(text: str, parts: tuple[str, ...]) -> bool:
    """Whether `text` is the parts in this order with anything between them; takes time linear in both."""
    first, *middle, last = parts
    if len(text) < len(first) + len(last) or not text.startswith(first) or not text.endswith(last):
        return False
    at, end = len(first), len(text) - len(last)
    for part in middle:
        at = text.find(part, at, end)
        if at < 0:
            return False
        at += len(part)
    return True


def _warned(word: str, problem: str, codes: Iterable[str]) -> bool:
    found = {problem, *codes} - {""}
    return bool(found) if not word else any(word in code for code in found)


def _cost(node: query.Node) -> int:
    match node:
        case query.Number() | query.Choice():
            return 0
        case query.Text("tag", _):
            return 0
        case query.Match():
            return 3
        case query.Not(inner):
            return _cost(inner)
        case query.All(nodes) | query.Any_(nodes):
            return max(map(_cost, nodes))
        case _:
            return 2


def runs_of(mask: Mask) -> list[int]:
    """The rows of a mask as runs: from, up to, from, up to …"""
    edges = np.diff(np.concatenate(([0], mask.view(np.int8), [0])))
    runs: list[int] = np.flatnonzero(edges).tolist()
    return runs
