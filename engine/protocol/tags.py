"""What a viewer may ask about tags: the verbs with their preview, the journal of edits, rules and suggestions.

Parameters and results of the `tags.*` methods, listed in `messages.METHODS`; what the verbs do, `engine.dataset` knows.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from engine.protocol.errors import EngineError, ErrorInfo
from engine.protocol.records import Finding, ImageRow, Record

Verb = Literal[
    "add", "remove", "replace", "prepend", "append", "move", "sort", "dedupe", "rules", "bind", "write", "tag"
]
"""`rules` applies `TagOp.rules`; `bind` makes `tags` exactly those that are bound to the trigger word `new`. `write`
gives one image a whole caption, `tag` is what a tagger wrote (another's scores make other captions, so it is not
replayed); the others change tags."""

SortBy = Literal["name", "count", "people"]

TagSource = Literal["manual", "model", "rule"]
"""Who put a tag there. What came with the files has no source and counts as a person's."""


RuleKind = Literal["exclude", "replace", "implied", "suffix", "exclusive", "rare", "own"]
"""What a rule does: see `TagRule`."""


class TagRule(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """`exclude` takes `tags` out, `*` standing for anything; `replace` writes `new` instead of them. `implied` takes
    `tags` out where `new`, which says more, stands too: "long hair" beside "very long hair". `suffix` takes a tag out
    where it stands once more behind colours, sizes and other such words: "dress" beside "blue dress". Of the tags of an
    `exclusive` group only the surest stays. `rare` takes out what fewer than `below` images carry. An implied or
    exclusive rule without tags is all that are known, `own` are those that are kept with the dataset."""

    kind: RuleKind
    tags: list[str] = []
    new: str = ""
    below: int = 0


class TagOp(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One edit: a verb with its tags, on the images `names`, or on those `where` finds, or on all when both are empty.

    `new` is what `replace` puts there, or the caption that `write` writes; `at` the place for `add` and `move` (1 is
    the front, -1 the end, 0 for `add`: the end, unless it is there); `sort` leaves the first `keep` tags alone. `add`
    takes the tags `off` away in the same edit.
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
    rules: list[TagRule] = []
    off: list[str] = []


class EditParams(msgspec.Struct, frozen=True, kw_only=True):
    """Do an edit, or with `dry_run` only say what it would do. `expected` is the caption that a `write` started from.
    At most `diffs` changed captions are shown."""

    path: str
    op: TagOp
    dry_run: bool = False
    expected: str | None = None
    diffs: int = 20


class OwnParams(msgspec.Struct, frozen=True, kw_only=True):
    """Say whose `tags` are on the images `names`, or on those `where` finds, or on all: those of a person stay whatever
    a tagger says. Captions stay as they are."""

    path: str
    tags: list[str]
    names: list[str] = []
    where: str = ""
    source: TagSource = "manual"
    dry_run: bool = False


class OwnReport(Record, frozen=True):
    """On how many images the tags stand, and on how many they counted as another's before."""

    path: str
    images: int
    changed: int


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


MAX_FAILED = 2000
"""Failures that a report names; more would not fit a line."""


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


class SuggestTags(msgspec.Struct, frozen=True, kw_only=True):
    """Tags that begin like `text`, or hold it, or are almost it: those of the dataset, of the taggers that scored it,
    and of vocabularies in danbooru's format (`name,category,count,"aliases"`) in LoRABake's home."""

    path: str
    text: str
    limit: int = 9


class TraitsParams(msgspec.Struct, frozen=True, kw_only=True):
    """The traits that may be bound to a trigger word, over the images that carry it (all, when it is "")."""

    path: str
    trigger: str = ""


Verdict = Literal["bind", "keep", ""]
"""Whether a trait is taken out of the captions so that the trigger word comes to mean it; "" is undecided."""


class Trait(Record, frozen=True):
    """A tag by how many of the trigger's images carry it, what was decided, and what would be proposed."""

    tag: str
    count: int
    verdict: Verdict = ""
    proposed: Verdict = ""


class Traits(Record, frozen=True):
    """Traits by falling frequency, and three images' captions as they would be with these verdicts."""

    path: str
    trigger: str
    images: int
    traits: list[Trait] = []
    samples: list[CaptionDiff] = []


class BindParams(msgspec.Struct, frozen=True, kw_only=True):
    """Remember verdicts (tag → verdict) for a trigger word; with `apply`, take bound tags out of its images' captions,
    and give those that are no longer bound back to the images that had them."""

    path: str
    trigger: str
    verdicts: dict[str, Verdict]
    apply: bool = True
    dry_run: bool = False


class RulesParams(msgspec.Struct, frozen=True, kw_only=True):
    """What rules would find on the images of a filter: those of the dataset, those that are known, tags on fewer than
    `rare` images. With `keep` the dataset's own rules become these first."""

    path: str
    where: str = ""
    rare: int = 2
    keep: list[TagRule] | None = None


class RuleRow(Record, frozen=True):
    """A rule with the number of captions it would change. `own` is one of the dataset's, `sure` one that is proposed;
    the others are for a person to choose."""

    rule: TagRule
    count: int
    own: bool = False
    sure: bool = False


class RuleTable(Record, frozen=True):
    """The rules that find something, and all of the dataset's own."""

    path: str
    images: int
    rows: list[RuleRow] = []


class Desk(Record, frozen=True):
    """What lies ready at a dataset: the tags pinned to the digits 1 to 9 ("" for none), image names by the letter of
    their bookmark, and recorded edits by letter."""

    pins: list[str] = []
    bookmarks: dict[str, str] = {}
    macros: dict[str, list[TagOp]] = {}


class DeskParams(msgspec.Struct, frozen=True, kw_only=True):
    """Ask what lies ready at a dataset, or with `desk` put that there."""

    path: str
    desk: Desk | None = None


class TrainsParams(msgspec.Struct, frozen=True, kw_only=True):
    """What a bake with `params` (a plain mapping) makes of one image's caption."""

    path: str
    image: str
    params: dict[str, Any] = {}


class Trains(Record, frozen=True):
    """A caption as the trainer takes it: `plain` without anything left to chance, `views` the first of the first
    epoch. `tokens` is an estimate, `limit` how many are read."""

    image: str
    plain: str
    views: list[str] = []
    tokens: int = 0
    limit: int = 75


class ReviewParams(msgspec.Struct, frozen=True, kw_only=True):
    """All images by what a tagger says of one tag, the doubtful ones first."""

    path: str
    tag: str


class ReviewRow(Record, frozen=True):
    """An image of a review: the tag's score (None where no tagger saw it), whether the caption holds it, and whether it
    was looked at before."""

    file: str
    score: float | None = None
    written: bool = False
    judged: bool = False


class Review(Record, frozen=True):
    """The images in the order of a review."""

    path: str
    tag: str
    rows: list[ReviewRow] = []


class JudgeParams(msgspec.Struct, frozen=True, kw_only=True):
    """Remember that an image was looked at in the review of a tag; with `again` it was not."""

    path: str
    tag: str
    image: str
    again: bool = False


def ops_of(lines: list[str]) -> list[TagOp]:
    """The operations of a journal or of a hand-written list, one JSON object a line, without what was undone and what
    a tagger wrote.

    Raises EngineError `edits_unreadable`.
    """
    ops: list[TagOp] = []
    undone: list[TagOp] = []
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            found = msgspec.json.decode(line, type=_Line)
            op = found.op if found.op is not None else msgspec.json.decode(line, type=TagOp) if not found.step else None
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise EngineError(
                "edits_unreadable", path=f"line {number}", reason=error, example='{"verb":"add","tags":["solo"]}'
            ) from None
        if found.undo and ops:
            undone.append(ops.pop())
        elif found.redo and undone:
            ops.append(undone.pop())
        elif op is not None:
            ops.append(op)
            undone.clear()
    return [op for op in ops if op.verb != "tag"]


class _Line(msgspec.Struct):
    op: TagOp | None = None
    undo: int = 0
    redo: int = 0

    @property
    def step(self) -> bool:
        return bool(self.undo or self.redo)
