"""From stored scores to captions: what a tagging would change, and doing it as one edit of the tags' journal.

Which tags, `pick` says; how they join what is there, `merge`; how files change safely, `dataset.tag_edit`.
"""

from __future__ import annotations

from typing import NamedTuple

import msgspec

from engine.dataset import tag_edit
from engine.dataset.captions import join_tags, split_tags
from engine.dataset.names import printable
from engine.dataset.scan import Dataset, ImageFile
from engine.dataset.tag_journal import TagJournal
from engine.dataset.tag_names import key_of
from engine.dataset.tag_sources import read_sources
from engine.protocol.errors import EngineError
from engine.protocol.tag_options import FLOOR, TagOptions
from engine.protocol.tagging import ImageScores, TaggingReport, TagScore
from engine.protocol.tags import CaptionDiff, TagOp
from engine.tagging.contracts import find
from engine.tagging.memory import Memory
from engine.tagging.merge import Before, left_by, merged
from engine.tagging.pick import Picker, written
from engine.tagging.scores import Scores, stored

DIFFS = 2000
"""Captions that are shown of a report; more would not fit a line of the wire."""


class Planned(NamedTuple):
    """What a tagging would change: captions by image, what they leave for the next tagging, and the report so far."""

    plan: tag_edit.Plan
    left: dict[str, Before]
    report: TaggingReport


def check(options: TagOptions) -> None:
    """Raise EngineError `param_invalid` for options that cannot be meant."""
    for name, value in (("general", options.general), ("character", options.character)):
        if value and not FLOOR <= value <= 1.0:
            raise EngineError("param_invalid", name=name, value=value, allowed=f"{FLOOR} … 1")
    for name, number, most in (("limit", options.limit, 1000), ("batch", options.batch, 1024)):
        if not 0 <= number <= most:
            raise EngineError("param_invalid", name=name, value=number, allowed=f"0 … {most}")
    if not options.taggers:
        raise EngineError("param_invalid", name="taggers", value="“”", allowed="one or more")


def scores_of(dataset: Dataset, options: TagOptions) -> list[Scores]:
    """The stored scores of the options' taggers; raises EngineError `tags_no_scores` or as `contracts.find` does."""
    scores = [Scores(dataset.path, find(name).name) for name in options.taggers]
    missing = [one.tagger for one in scores if not any(True for _ in one.scored())]
    if missing:
        raise EngineError("tags_no_scores", taggers=", ".join(missing), path=printable(str(dataset.path)))
    return scores


def plan(dataset: Dataset, options: TagOptions, scores: list[Scores]) -> Planned:
    """What tagging `dataset` by these scores would change."""
    check(options)
    journal = TagJournal(dataset.path)
    memory = Memory(dataset.path, {entry.edit for entry in journal.done})
    sources = read_sources(dataset.path).images
    picker = Picker(scores, options)
    only = set(options.images)
    images = [image for image in dataset.images if not only or image.name in only]
    changes: list[tuple[ImageFile, str]] = []
    diffs: list[CaptionDiff] = []
    left: dict[str, Before] = {}
    added = removed = kept = scored = 0
    for image in images:
        if image.problem in tag_edit.UNREADABLE or not picker.has(image.name):
            continue
        scored += 1
        tags = split_tags(image.caption or "")
        known = sources.get(image.name, {})
        before = memory.before(image.name)
        after = merged(tags, [one.text for one in picker.tags(image.name)], options.existing, known, before)
        if after is None:
            kept += 1
        if after is None or after == tags:
            continue
        _first, newline, rest = (image.caption or "").partition("\n")
        caption = join_tags(after) + newline + rest
        changes.append((image, caption))
        left[image.name] = left_by(tags, after, known, before)
        was, now = {key_of(tag) for tag in tags}, {key_of(tag) for tag in after}
        added, removed = added + len(now - was), removed + len(was - now)
        if len(diffs) < DIFFS:
            diffs.append(CaptionDiff(file=image.name, before=image.caption, after=caption))
    names = [one.tagger for one in scores]
    report = TaggingReport(
        path=printable(str(dataset.path)),
        images=len(images),
        scored=scored,
        changed=len(changes),
        added=added,
        removed=removed,
        kept=kept,
        taggers=names,
        changes=diffs,
    )
    op = TagOp(verb="tag", tags=names, source="model")
    return Planned(tag_edit.Plan(op, len(images), changes, []), left, report)


def carry_out(dataset: Dataset, planned: Planned) -> tuple[TaggingReport, dict[str, str | None]]:
    """Write what was planned; the report, and the captions as they are now by the names of their images.

    Captions that another program changed meanwhile are left alone and counted as busy. Raises EngineErrors as
    `tag_edit.carry_out` does.
    """
    if not planned.plan.changes:
        return planned.report, {}
    done = tag_edit.carry_out(dataset, planned.plan)
    if done.captions:
        journal = TagJournal(dataset.path)
        memory = Memory(dataset.path, {entry.edit for entry in journal.done})
        memory.remember(done.edit, {name: planned.left[name] for name in done.captions if name in planned.left})
    busy = len(done.failed)
    report = msgspec.structs.replace(planned.report, changed=planned.report.changed - busy, busy=busy)
    return report, done.captions


def of_image(dataset: Dataset, image: ImageFile) -> ImageScores:
    """The tags of one image's caption and of its scores, with who wrote them."""
    known = read_sources(dataset.path).images.get(image.name, {})
    taggers = stored(dataset.path)
    seen: dict[str, tuple[str, str, float]] = {}
    for scores in taggers:
        for label, score in scores.of_image(image.name):
            text = written(label.name, spaces=True)
            if key_of(text) not in seen or score > seen[key_of(text)][2]:
                seen[key_of(text)] = (text, label.category, score)
    rows = []
    for tag in split_tags(image.caption or ""):
        found = seen.pop(key_of(tag), None)
        category = found[1] if found is not None else ""
        rows.append(
            TagScore(
                tag=tag,
                category=category,
                score=found[2] if found is not None else None,
                written=True,
                provenance=known.get(tag, "manual"),
            )
        )
    others = sorted(seen.values(), key=lambda one: -one[2])
    rows += [TagScore(tag=text, category=category, score=score) for text, category, score in others]
    return ImageScores(
        path=printable(str(dataset.path)), image=image.name, tags=rows, taggers=[one.tagger for one in taggers]
    )
