"""What an edit did to one caption, kept small: only what stood and stands between a common beginning and end.

Files and their safe replacing are `tag_journal`'s business.
"""

from __future__ import annotations

import zlib
from typing import NamedTuple

import msgspec

NO_FILE = -1
"""The checksum of a caption file that is not there."""


class FileChange(NamedTuple):
    """A caption file by its relative path; the whole text before and after, None for no file."""

    file: str
    before: str | None
    after: str | None


class Row(msgspec.Struct, frozen=True, array_like=True):
    """What an edit did to one file: between the first `head` and the last `tail` signs `old` became `new`; the
    checksums are those of the whole texts (-1: there was no file)."""

    file: str
    head: int
    tail: int
    old: str
    new: str
    sum_old: int
    sum_new: int


def checksum(text: str | None) -> int:
    """CRC-32 of a whole text in UTF-8, `NO_FILE` for none."""
    return NO_FILE if text is None else zlib.crc32(text.encode())


def row_of(change: FileChange) -> Row:
    """The row that keeps a change."""
    old, new = change.before or "", change.after or ""
    if new.endswith(old) or old.endswith(new):  # what prepending and its like do, told without looking for it
        head, tail = 0, min(len(old), len(new))
    else:
        head = _common(old, new)
        tail = _common(old[head:][::-1], new[head:][::-1])
    return Row(
        change.file,
        head,
        tail,
        old[head : len(old) - tail],
        new[head : len(new) - tail],
        checksum(change.before),
        checksum(change.after),
    )


def _common(a: str, b: str) -> int:
    """How many signs two texts begin with in common."""
    low, high = 0, min(len(a), len(b))
    while low < high:
        middle = (low + high + 1) // 2
        if a[low:middle] == b[low:middle]:
            low = middle
        else:
            high = middle - 1
    return low


def other_side(text: str, row: Row, *, back: bool) -> str:
    """The text before the edit (`back`) from the one after it, or the other way round."""
    put = row.old if back else row.new
    return text[: row.head] + put + text[len(text) - row.tail :]
