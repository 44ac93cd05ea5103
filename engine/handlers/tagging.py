"""Taggers for the viewer: a tagging job, other thresholds from stored scores, the scores of one image."""

from __future__ import annotations

import time

import msgspec

from engine.handlers import Context
from engine.protocol.records import Job, RunRow
from engine.protocol.tagging import ImageScores, ScoresParams, TaggingReport, TagSubmit, ThresholdParams
from engine.runs import launch, queue

_BYTES = 384 * 1024
"""Of the changed captions as many are told as fit a line with ease."""


def tags_submit(context: Context, params: TagSubmit) -> RunRow:
    """Check everything, put the job at the end of the queue, wake the runner."""
    from engine.dataset.scan import find as image_of
    from engine.runs.folder import free_name
    from engine.tagging import apply, captioners
    from engine.tagging.contracts import find

    apply.check(params.options)
    captioner = captioners.find(params.options.taggers[0]) if len(params.options.taggers) == 1 else None
    # The worker stands elsewhere, so what is no name of the catalogue becomes an absolute path.
    if captioner is not None:
        names = [captioner.name]
        words: tuple[str, ...] = (captioner.name if captioner.hub else str(captioner.folder),)
    else:
        taggers = [find(name) for name in params.options.taggers]
        names = [tagger.name for tagger in taggers]
        words = tuple(one.name if one.known else str(one.model) for one in taggers)
    options = msgspec.structs.replace(params.options, taggers=words)
    dataset = context.datasets.get(params.path)
    for image in options.images:
        image_of(dataset, image)
    job = Job(
        id="",
        kind="tag",
        name=free_name(f"tag {dataset.path.name}"),
        created=time.time(),
        dataset=str(dataset.path),
        base=", ".join(names),
        tagging=options,
    )
    run = queue.submit(job, [], start=params.start)
    launch.ensure_runner()
    return context.runs.row(run)


def tags_thresholds(context: Context, params: ThresholdParams) -> TaggingReport:
    """Captions from the scores or sentences that are kept: what would change, or changing it."""
    from engine.tagging import apply, captioners, sentences

    dataset = context.datasets.open(params.path)
    captioner = captioners.find(params.options.taggers[0]) if len(params.options.taggers) == 1 else None
    if captioner is not None:
        report = sentences.from_kept(dataset, captioner, params.options, write=not params.dry_run)
        if report.changed and not params.dry_run:
            context.datasets.forget(params.path)
        return _cut(report)
    planned = apply.plan(dataset, params.options, apply.scores_of(dataset, params.options))
    report = planned.report
    if not params.dry_run:
        report, captions = apply.carry_out(dataset, planned)
        if captions:
            context.datasets.forget(params.path)
    return _cut(report)


def tags_scores(context: Context, params: ScoresParams) -> ImageScores:
    """The tags of one image, with categories, scores and who wrote them."""
    from engine.dataset.scan import find
    from engine.tagging import apply

    dataset = context.datasets.get(params.path)
    return apply.of_image(dataset, find(dataset, params.image))


def _cut(report: TaggingReport) -> TaggingReport:
    size, changes = 0, []
    for change in report.changes:
        size += len(msgspec.json.encode(change))
        if size > _BYTES:
            break
        changes.append(change)
    return msgspec.structs.replace(report, changes=changes)
