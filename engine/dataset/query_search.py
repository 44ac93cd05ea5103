"""What a filter finds: its terms answered from an index, the cheap ones first, text only where it still counts.

The language itself is `query`'s business, the rows and what is known of them `query_index`'s.
"""

from __future__ import annotations

import operator
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from engine.dataset import query
from engine.dataset.query_index import Index, Mask
from engine.dataset.scan import ImageFile
from engine.dataset.tag_names import key_of
from engine.protocol.errors import EngineError

REGEX_SECONDS = 1.0
"""What all regular expressions of one filter may take together, in time of the processor."""

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
    """What a search asks others about: `scores(tag)` gives row → score, `warnings` the codes found for each image
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


def find(index: Index, text: str, facts: Facts | None = None) -> Mask:
    """Which rows a filter finds; raises the EngineErrors of `query.parse`, or `filter_slow`."""
    node = query.parse(text)
    if node is None:
        return np.ones(len(index.images), dtype=bool)
    return _Search(index, facts or Facts()).find(node, None)


def runs_of(mask: Mask) -> list[int]:
    """The rows of a mask as runs: from, up to, from, up to …"""
    edges = np.diff(np.concatenate(([0], mask.view(np.int8), [0])))
    runs: list[int] = np.flatnonzero(edges).tolist()
    return runs


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
