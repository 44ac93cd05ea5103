"""Edits of tags over many images: what an operation would change, doing it through the journal, undoing, redoing.

What a verb makes of one caption is `tag_verbs`' business, how files change safely `tag_journal`'s.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec

from engine.dataset import tag_sources
from engine.dataset.caption_files import (
    CaptionFile,
    CaptionFolder,
    from_relative,
    said,
    stem_of,
    with_caption,
    with_first_line,
)
from engine.dataset.captions import MAX_BYTES, join_tags, split_tags
from engine.dataset.names import printable
from engine.dataset.scan import Dataset, ImageFile
from engine.dataset.tag_journal import Outcome, TagJournal, opened
from engine.dataset.tag_patch import FileChange
from engine.dataset.tag_rules import Ruler, Scores
from engine.dataset.tag_verbs import verb
from engine.protocol.errors import EngineError, ErrorInfo, describe
from engine.protocol.records import Finding
from engine.protocol.tags import CaptionDiff, EditRow, TagOp, TagRule

UNREADABLE = frozenset({"caption_undecodable", "caption_too_long"})


class Plan(NamedTuple):
    """What an operation would change: of `scope` images these, with their captions before and after."""

    op: TagOp
    scope: int
    changes: list[tuple[ImageFile, str]]
    failed: list[Finding]


class Done(NamedTuple):
    """What was changed: captions by the name of their image, as they are now, and before and after for showing."""

    edit: int
    title: str
    captions: dict[str, str | None]
    diffs: list[CaptionDiff]
    failed: list[Finding]


def plan(
    images: Sequence[ImageFile], op: TagOp, counts: dict[str, int] | None = None, scores: Scores | None = None
) -> Plan:
    """Which captions of `images` an operation changes; `counts` (tag → images) for sorting by frequency and for rare
    tags, `scores` for tags that exclude each other.

    Raises EngineError `tags_missing` or `filter_regex`, `filter_slow`, `param_invalid`.
    """
    if op.verb == "write":
        changes = [(image, op.new) for image in images if (image.caption or "") != op.new]
        return Plan(op, len(images), changes, [])
    ruled = Ruler(op.rules, counts or {}, scores) if op.verb == "rules" else None
    change = verb(op, counts)
    changes, failed = [], []
    for image in images:
        if image.problem in UNREADABLE:
            failed.append(_finding(image.name, describe(image.problem, file=image.name, limit=MAX_BYTES // 1024)))
            continue
        tags = split_tags(image.caption or "")
        after = ruled(image.name, tags) if ruled is not None else change(tags)
        if after != tags:
            rest = (image.caption or "").partition("\n")
            changes.append((image, join_tags(after) + rest[1] + rest[2]))
    return Plan(op, len(images), changes, failed)


def carry_out(dataset: Dataset, planned: Plan) -> Done:
    """Do what was planned, as one edit of the journal.

    Captions that another program changed meanwhile are left alone and named. Raises EngineError `dataset_busy`,
    `dataset_unwritable` or `path_outside`.
    """
    op, failed = planned.op, list(planned.failed)
    if not planned.changes:
        return Done(0, title_of(op), {}, [], failed)
    with opened(dataset.path) as journal:
        files: dict[str, FileChange] = {}
        read: dict[str, CaptionFile | None] = {}
        images: dict[str, list[ImageFile]] = {}
        for image, caption in planned.changes:
            file = journal.files.likely(image.path, image.name)
            try:
                found = journal.files.read(file) if file not in files else None
                if found is None and file not in files:
                    file = journal.files.of_image(image.path)
                    found = journal.files.read(file)
                images.setdefault(file, []).append(image)
                if file not in files:
                    files[file] = _change(found, file, image, caption, whole=op.verb == "write")
                    read[file] = found
            except EngineError as error:
                failed.append(_finding(image.name, error.info))
        outcome = journal.commit(op, list(files.values()), read) if files else Outcome(0, [], [])
        owners = {file: [image.name for image in group] for file, group in images.items()}
        done = _done(op, outcome, owners, failed)
        tag_sources.note(dataset.path, op, done.captions, {image.name: image.caption for image, _ in planned.changes})
    return done


def _change(found: CaptionFile | None, file: str, image: ImageFile, caption: str, *, whole: bool) -> FileChange:
    text = found.text if found is not None else None
    if said(text) != image.caption:
        raise EngineError("caption_changed", file=image.name)
    after = with_caption(text, caption) if whole else with_first_line(text, caption.partition("\n")[0])
    if len(after) * 4 > MAX_BYTES and len(after.encode()) > MAX_BYTES:
        raise EngineError("caption_too_long", file=image.name, limit=MAX_BYTES // 1024)
    return FileChange(file, text, after)


def write(dataset: Dataset, image: ImageFile, caption: str, *, expected: str | None) -> dict[str, str | None]:
    """Give one image a caption; `expected` is what the editor started from. Captions by image, as they are now.

    Raises EngineError `caption_changed` when the image says something else by now, `caption_undecodable`,
    `caption_too_long`, or as `carry_out` does.
    """
    if image.problem in UNREADABLE:
        raise EngineError(image.problem, file=image.name, limit=MAX_BYTES // 1024)
    wanted = said(with_caption(None, caption))
    if wanted == image.caption:
        return {}
    if image.caption != expected:
        raise EngineError("caption_changed", file=image.name)
    op = TagOp(verb="write", new=caption, names=[image.name])
    done = carry_out(dataset, Plan(op, 1, [(image, caption)], []))
    for finding in done.failed:
        raise EngineError(finding.code, **finding.args)
    return done.captions


def undo(dataset: Dataset) -> Done:
    """Take back the youngest edit; raises EngineError `edit_nothing`, or as `carry_out` does."""
    return _step(dataset, back=True)


def redo(dataset: Dataset) -> Done:
    """Do again what was undone last; raises EngineError `edit_nothing`, or as `carry_out` does."""
    return _step(dataset, back=False)


def _step(dataset: Dataset, *, back: bool) -> Done:
    with opened(dataset.path) as journal:
        stack = journal.done if back else journal.undone
        if not stack:
            word = "undo" if back else "redo"
            raise EngineError("edit_nothing", verb=word, path=printable(str(dataset.path)))
        op = stack[-1].op
        outcome = journal.undo() if back else journal.redo()
        assert outcome is not None
        return _done(op, outcome, _owners(dataset), [])


def _done(op: TagOp, outcome: Outcome, owners: Mapping[str, list[str]], failed: list[Finding]) -> Done:
    captions: dict[str, str | None] = {}
    diffs: list[CaptionDiff] = []
    for change in outcome.done:
        names = owners.get(change.file) or owners.get(_stem(change.file)) or []
        before, after = said(change.before), said(change.after)
        for name in names:
            captions[name] = after
        diffs.append(CaptionDiff(file=names[0] if names else change.file, before=before, after=after))
    for file in outcome.refused:
        names = owners.get(file) or owners.get(_stem(file)) or [printable(file)]
        failed.append(_finding(names[0], describe("caption_changed", file=names[0])))
    return Done(outcome.edit, title_of(op), captions, diffs, failed)


def _owners(dataset: Dataset) -> dict[str, list[str]]:
    """The stem of a caption file → names of the images it belongs to."""
    files = CaptionFolder(dataset.path)
    owners: dict[str, list[str]] = {}
    for image in dataset.images:
        name = image.name if image.name.isascii() else from_relative(files.relative(image.path))
        owners.setdefault(stem_of(name), []).append(image.name)
    return owners


def _stem(file: str) -> str:
    return stem_of(from_relative(file))


def _finding(name: str, info: ErrorInfo) -> Finding:
    return Finding(file=name, code=info.code, message=info.message, hint=info.hint, args=info.args)


def with_captions(dataset: Dataset, captions: Mapping[str, str | None]) -> Dataset:
    """The dataset with these captions (by image name) instead of those that were scanned."""
    images = tuple(
        msgspec.structs.replace(image, caption=captions[image.name]) if image.name in captions else image
        for image in dataset.images
    )
    return msgspec.structs.replace(dataset, images=images)


def history(root: Path) -> tuple[list[EditRow], list[EditRow]]:
    """The edits that can be undone, oldest first, and those that can be redone, the next one last."""
    try:
        journal = TagJournal(root)
    except OSError as error:
        raise EngineError("dataset_unreadable", path=printable(str(root)), reason=error.strerror or error) from None

    def row(entry: object, done: bool) -> EditRow:
        edit, t, op, count, *_ = entry  # type: ignore[misc]
        return EditRow(edit=edit, t=t, title=title_of(op), count=count, done=done, op=op)

    return [row(entry, True) for entry in journal.done], [row(entry, False) for entry in journal.undone]


def title_of(op: TagOp) -> str:
    """An operation in a few words, as its command would be typed."""
    if op.title:
        return op.title
    tags = ", ".join(op.tags)
    if len(tags) > 60:
        tags = tags[:59] + "…"
    match op.verb:
        case "add" if op.off:
            return " · ".join([f"add {tags}"] * bool(tags) + [f"remove {', '.join(op.off)}"])
        case "replace":
            return f"replace {tags} > {op.new}"
        case "sort":
            return f"sort {op.by}"
        case "rules":
            told = " · ".join(map(_rule, op.rules))
            return f"rules {told}" if len(told) < 60 else f"rules {told[:59]}…"
        case "bind":
            return f"bind {op.new}: {tags}"
        case "add" | "move" if op.at:
            return f"{op.verb} {tags}@{op.at}"
        case _:
            return f"{op.verb} {tags}".strip()


def _rule(rule: TagRule) -> str:
    tags = ", ".join(rule.tags)
    match rule.kind:
        case "replace":
            return f"{tags} > {rule.new}"
        case "implied" if rule.tags:
            return f"{tags} < {rule.new}"
        case "rare":
            return f"rare {rule.below}"
        case "exclude":
            return f"-{tags}"
        case _:
            return " | ".join(rule.tags) or rule.kind
