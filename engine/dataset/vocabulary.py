"""Tags to choose from while typing: indexed once, answered in milliseconds, ranked by how they fit and how common they
are. Vocabulary files are in danbooru's format, `name,category,count,"alias,alias"`, without a heading.
"""

from __future__ import annotations

import bisect
import csv
import difflib
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from engine.dataset.names import printable
from engine.dataset.tag_names import KAOMOJI, key_of
from engine.protocol.errors import EngineError

_PREFIX, _WORD, _ALIAS, _INSIDE, _TYPO = range(5)
_ENOUGH = 4000
"""Candidates of one kind that are ranked; more only come from one or two letters, whose best are found earlier."""
_CATEGORIES = {"0": "general", "1": "artist", "3": "copyright", "4": "character", "5": "meta", "9": "rating"}
_TYPO_FROM = 4
_ALIKE = 0.75


class Word(NamedTuple):
    """A tag as it is written, how common it is in its source, and what kind of tag it is there."""

    tag: str
    count: int
    source: str
    category: str = ""


class Vocabulary:
    """Words by prefix, by the beginnings of their words, by alias, and by what they hold."""

    def __init__(self, words: Iterable[tuple[Word, tuple[str, ...]]]) -> None:
        entries: dict[str, Word] = {}
        aliases: list[tuple[str, str]] = []
        for word, others in words:
            key = key_of(word.tag)
            known = entries.get(key)
            if known is None or word.count > known.count:
                entries[key] = word
            aliases += [(key_of(other), key) for other in others if other]
        # The most common first, so that a search that stops early has found the best.
        self._keys = sorted(entries, key=lambda key: (-entries[key].count, key))
        self._words = [entries[key] for key in self._keys]
        place = {key: number for number, key in enumerate(self._keys)}
        starts = [(key, number) for number, key in enumerate(self._keys)]
        inner = [
            (key[at + 1 :], number)
            for number, key in enumerate(self._keys)
            for at, sign in enumerate(key)
            if sign in " -(" and at + 1 < len(key)
        ]
        self._starts = sorted(starts)
        self._inner = sorted(inner)
        self._aliases = sorted((alias, place[key]) for alias, key in aliases if alias and key in place)
        self._text = "\n".join(["", *self._keys, ""])
        self._ends: list[int] = []
        at = 0
        for key in self._keys:
            at += len(key) + 1
            self._ends.append(at)

    def __len__(self) -> int:
        return len(self._keys)

    def word(self, key: str) -> Word | None:
        """The word with this key."""
        at = bisect.bisect_left(self._starts, (key,))
        return self._words[self._starts[at][1]] if at < len(self._starts) and self._starts[at][0] == key else None

    def find(self, typed: str, limit: int) -> list[tuple[Word, int]]:
        """The best words for what is typed, with how they fit: prefix, word, alias, inside, typo."""
        wanted = key_of(typed)
        if not wanted:
            return []
        found: dict[int, int] = {}
        for rank, table in ((_PREFIX, self._starts), (_WORD, self._inner), (_ALIAS, self._aliases)):
            for number in sorted(_begins(table, wanted))[: limit * 3]:
                found.setdefault(number, rank)
        if len(found) < limit:
            for number in self._holding(wanted, limit * 3):
                found.setdefault(number, _INSIDE)
        if not found and len(wanted) >= _TYPO_FROM:
            for number in self._alike(wanted, limit):
                found[number] = _TYPO
        best = sorted(found, key=lambda number: (found[number], number))[:limit]
        return [(self._words[number], found[number]) for number in best]

    def _holding(self, wanted: str, limit: int) -> list[int]:
        numbers: list[int] = []
        at = 0
        while len(numbers) < limit and (at := self._text.find(wanted, at)) >= 0:
            number = bisect.bisect_right(self._ends, at - 1)
            numbers.append(number)
            at = self._ends[number]
        return numbers

    def _alike(self, wanted: str, limit: int) -> list[int]:
        """Words that begin with the same letter, or with its neighbour swapped, and are almost as long."""
        near: list[tuple[float, int]] = []
        matcher = difflib.SequenceMatcher(autojunk=False)
        matcher.set_seq2(wanted)
        letters = {wanted[:1], wanted[1:2]}
        for number, key in enumerate(self._keys[:_ENOUGH]):
            if abs(len(key) - len(wanted)) > 2 or key[:1] not in letters:
                continue
            matcher.set_seq1(key)
            if matcher.real_quick_ratio() >= _ALIKE and matcher.quick_ratio() >= _ALIKE:
                ratio = matcher.ratio()
                if ratio >= _ALIKE:
                    near.append((-ratio, number))
        return [number for _ratio, number in sorted(near)[:limit]]


def _begins(table: list[tuple[str, int]], wanted: str) -> list[int]:
    low = bisect.bisect_left(table, (wanted,))
    high = bisect.bisect_left(table, (wanted + "\U0010ffff",), low)
    return [number for _key, number in table[low:high]]


def read_csv(path: Path) -> list[tuple[Word, tuple[str, ...]]]:
    """The words of a vocabulary file with their aliases; underscores become spaces, kaomoji apart.

    Raises EngineError `vocabulary_unreadable`.
    """
    try:
        with open(path, encoding="utf-8", newline="") as file:
            return [
                (
                    Word(_spaced(row[0]), _count(row), path.stem, _category(row)),
                    tuple(row[3].split(",")) if len(row) > 3 else (),
                )
                for row in csv.reader(file)
                if row and row[0]
            ]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise EngineError("vocabulary_unreadable", path=printable(str(path)), reason=error) from None


def _count(row: list[str]) -> int:
    text = row[2] if len(row) > 2 else row[1] if len(row) > 1 else ""
    return int(text) if text.isascii() and text.isdigit() and len(text) < 12 else 0


def _category(row: list[str]) -> str:
    return _CATEGORIES.get(row[1].strip(), "") if len(row) > 2 else ""


def _spaced(tag: str) -> str:
    return tag if tag in KAOMOJI else tag.replace("_", " ")
