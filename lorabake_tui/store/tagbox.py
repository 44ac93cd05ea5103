"""What is typed into the tag box: `tag` adds or removes, `-tag` removes, `old>new` replaces, `tag@1` places.

Knows the operations of the protocol and no widget.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from engine.protocol.records import ImageRow
from engine.protocol.tags import TagOp
from lorabake_tui.opened import tags_of

_PLACE = re.compile(r"(.+)@(-?\d{1,3})", re.DOTALL)


def ops_of(typed: str, rows: Sequence[ImageRow]) -> list[TagOp]:
    """The operations of one line on these images, one for each part between commas.

    A tag that all of them carry is removed, else it is added to those that lack it. Tags that begin with "-" or hold
    ">" or "@" themselves (`-_-`, `>_<`) are meant literally when an image carries them or nothing is left to replace.
    """
    names = [row.name for row in rows]
    carried = [{tag_key(tag) for tag in tags_of(first_line(row.caption))} for row in rows]
    ops: list[TagOp] = []
    for part in typed.split(","):
        text = part.strip()
        if not text:
            continue
        old, arrow, new = text.partition(">")
        place = _PLACE.fullmatch(text)
        if any(tag_key(text) in tags for tags in carried) or text in FACES:
            ops.append(_toggled(text, carried, names))
        elif text.startswith("-") and len(text) > 1:
            ops.append(TagOp(verb="remove", tags=[text[1:].strip()], names=names))
        elif arrow and old.strip():
            ops.append(TagOp(verb="replace", tags=[old.strip()], new=new.strip(), names=names))
        elif place and int(place[2]):
            ops.append(TagOp(verb="add", tags=[place[1].strip()], at=int(place[2]), names=names))
        else:
            ops.append(_toggled(text, carried, names))
    return ops


def _toggled(tag: str, carried: Sequence[set[str]], names: list[str]) -> TagOp:
    everywhere = bool(carried) and all(tag_key(tag) in tags for tags in carried)
    return TagOp(verb="remove" if everywhere else "add", tags=[tag], names=names)


FACES = frozenset({"-_-", ">_<", ">:(", ">:)", ">_o", "@_@", ">o<", "->", "<o>_<o>", "<|>_<|>"})
"""Tags that look like something else."""


def first_line(caption: str | None) -> str:
    """The line that trains."""
    return (caption or "").split("\n", 1)[0]


def tag_key(tag: str) -> str:
    """The form in which spellings of a tag are one, as far as a screen must know it."""
    text = tag.strip().casefold()
    return text if text in FACES or len(text) < 4 else text.replace("_", " ").replace("\\(", "(").replace("\\)", ")")


def having(tag: str, rows: Sequence[ImageRow]) -> int:
    """How many of these images carry a tag."""
    key = tag_key(tag)
    return sum(any(tag_key(own) == key for own in tags_of(first_line(row.caption))) for row in rows)
