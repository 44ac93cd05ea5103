"""What a viewer may ask about tags: the verbs with their preview, the journal of edits, rules and suggestions.

Parameters and results of the `tags.*` methods, listed in `messages.METHODS`; what the verbs do, `engine.dataset` knows.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from engine.protocol.errors import ErrorInfo
from engine.protocol.records import Finding, ImageRow, Record

Verb = Literal["add", "remove", "replace", "prepend", "append", "move", "sort", "dedupe", "write", "tag"]
"""`write` gives one image a whole caption, `tag` is what a tagger wrote (another's scores make other captions, so it is
not replayed); the others change tags."""

SortBy = Literal["name", "count", "people"]

TagSource = Literal["manual", "model", "rule"]
"""Who put a tag there. What came with the files has no source and counts as a person's."""


class TagOp(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One edit: a verb with its tags, on the images `names`, or on those `where` finds, or on all when both are empty.

    `new` is what `replace` puts there, or the caption that `write` writes; `at` the place for `add` and `move` (1 is
    the front, -1 the end, 0 for `add`: the end, unless it is there); `sort` leaves the first `keep` tags alone.
    """

    verb: Verb
    tags: list[str] = []
    new: str = ""
    at: int = 0
    by: SortBy = "name"
    keep: int = 0
    where: str = ""
    names: list[str] = []
    source: TagSource = "manual"
    title: str = ""


class EditParams(msgspec.Struct, frozen=True, kw_only=True):
    """Do an edit, or with `dry_run` only say what it would do. `expected` is the caption that a `write` started from.
    At most `diffs` changed captions are shown."""

    path: str
    op: TagOp
    dry_run: bool = False
    expected: str | None = None
    diffs: int = 20


class ReplayParams(msgspec.Struct, frozen=True, kw_only=True):
    """Do the edits of a journal again, here: the lines of an edits.jsonl, one operation each."""

    path: str
    ops: list[TagOp]
    dry_run: bool = False
    diffs: int = 20


class StepParams(msgspec.Struct, frozen=True, kw_only=True):
    """Undo or redo `count` edits."""

    path: str
    count: int = 1


class CaptionDiff(Record, frozen=True):
    """A caption before (None: no file) and after."""

    file: str
    before: str | None
    after: str | None


class TagReport(Record, frozen=True):
    """What an edit changed (or would change): of `scope` images, `changed` did; on the others there was nothing to do.

    `failed` were left alone, above all captions that another program changed meanwhile. `rows` are the images as they
    are now, as many as fit a line; when `reload` is set there were more and the dataset should be read again.
    """

    path: str
    title: str
    scope: int
    changed: int
    diffs: list[CaptionDiff] = []
    failed: list[Finding] = []
    rows: list[ImageRow] = []
    reload: bool = False
    edit: int = 0


class EditRow(Record, frozen=True):
    """One edit of the journal: its number, when, how it reads, of how many captions; `done` is false while undone."""

    edit: int
    t: float
    title: str
    count: int
    done: bool
    op: TagOp


class EditHistory(Record, frozen=True):
    """The edits that can be undone, then those that can be redone, oldest first."""

    path: str
    edits: list[EditRow]
    notice: ErrorInfo | None = None
