"""Edits of tags for the viewer: a verb on a scope with its preview, undo, redo, the journal and its replay."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from engine.handlers import Context
from engine.handlers.dataset_filter import facts
from engine.protocol.errors import EngineError
from engine.protocol.messages import PathParams
from engine.protocol.tags import (
    MAX_FAILED,
    BindParams,
    CaptionDiff,
    EditHistory,
    EditParams,
    OwnParams,
    OwnReport,
    ReplayParams,
    RulesParams,
    RuleTable,
    StepParams,
    TagOp,
    TagReport,
)

if TYPE_CHECKING:
    from engine.dataset.scan import Dataset, ImageFile
    from engine.dataset.tag_edit import Done, Plan
    from engine.dataset.tag_traits import Rules

_HISTORY = 500


def tags_edit(context: Context, params: EditParams) -> TagReport:
    """Do an edit, or tell what it would do."""
    from engine.dataset.tag_edit import carry_out

    dataset = context.datasets.get(params.path)
    if params.op.verb == "bind":
        from engine.dataset.tag_traits import verdicts_of

        verdicts = verdicts_of(dataset.path, params.op)
        bound = BindParams(path=params.path, trigger=params.op.new, verdicts=verdicts, dry_run=params.dry_run)
        return _bind(context, bound, params.diffs)
    planned = _plan(context, dataset, params.op)
    if params.op.verb == "write" and params.expected is not None:
        for image, _ in planned.changes:
            if (image.caption or "") != params.expected:
                raise EngineError("caption_changed", file=image.name)
    if params.dry_run:
        return _preview(dataset, planned, params.diffs)
    return _report(context, params.path, carry_out(dataset, planned), params.diffs, scope=planned.scope)


def tags_replay(context: Context, params: ReplayParams) -> TagReport:
    """Do the edits of a journal again, each as an edit of its own; as a dry run on captions in memory alone."""
    from engine.dataset.tag_edit import Done, carry_out, with_captions
    from engine.dataset.tag_traits import decide, read_rules, remember, verdicts_of

    dataset = context.datasets.get(params.path)
    first = {image.name: image.caption for image in dataset.images}
    failed, last = [], Done(0, "", {}, [], [])
    changed: dict[str, str | None] = {}
    rules = read_rules(dataset.path)
    for op in params.ops:
        planned = _plan(context, dataset, op, rules if params.dry_run else None)
        if params.dry_run:
            captions: dict[str, str | None] = {image.name: text for image, text in planned.changes}
            failed += planned.failed
            if op.verb == "bind":
                decide(rules, op.new, verdicts_of(dataset.path, op), planned, set(captions))
            dataset = with_captions(dataset, captions)
        else:
            last = carry_out(dataset, planned)
            captions, failed = last.captions, failed + last.failed
            if op.verb == "bind":
                remember(dataset.path, op.new, verdicts_of(dataset.path, op), planned, set(captions))
            dataset = context.datasets.recaption(params.path, captions, [])
        changed.update(captions)
    diffs = [CaptionDiff(file=name, before=first[name], after=text) for name, text in changed.items()]
    diffs = [diff for diff in diffs if diff.before != diff.after]
    done = last._replace(captions=changed, diffs=diffs, failed=failed)
    if params.dry_run:
        report = TagReport(path=params.path, title="", scope=len(first), changed=len(diffs), failed=failed[:MAX_FAILED])
        return msgspec.structs.replace(report, diffs=diffs[: params.diffs])
    return _report(context, params.path, done, params.diffs, scope=len(first))


def tags_bind(context: Context, params: BindParams) -> TagReport:
    """Remember what is bound to a trigger word, and make the captions so."""
    return _bind(context, params, 3)


def tags_rules(context: Context, params: RulesParams) -> RuleTable:
    """What the rules would find, after keeping the dataset's own."""
    from engine.dataset.names import printable
    from engine.dataset.tag_rules import keep_rules, own_rules, rows_of

    dataset = context.datasets.get(params.path)
    if params.keep is not None:
        keep_rules(dataset.path, params.keep)
    images = _scope(context, dataset, TagOp(verb="rules", where=params.where))
    with context.indexes.of(dataset) as index:
        counts = index.counts()
    rows = rows_of(images, own_rules(dataset.path), counts, params.rare, facts(context, dataset).scores)
    return RuleTable(path=printable(str(dataset.path)), images=len(images), rows=rows)


def _bind(context: Context, params: BindParams, diffs: int) -> TagReport:
    from engine.dataset.tag_edit import Done, carry_out
    from engine.dataset.tag_traits import bind_plan, remember

    dataset = context.datasets.get(params.path)
    planned = bind_plan(dataset, params.trigger, params.verdicts)
    if params.dry_run:
        return _preview(dataset, planned, diffs)
    done = carry_out(dataset, planned) if params.apply else Done(0, "", {}, [], [])
    if not params.apply:
        planned = planned._replace(changes=[])
    remember(dataset.path, params.trigger, params.verdicts, planned, set(done.captions))
    return _report(context, params.path, done, diffs, scope=planned.scope)


def tags_own(context: Context, params: OwnParams) -> OwnReport:
    """Make tags a person's, or a model's again."""
    from engine.dataset.names import printable
    from engine.dataset.tag_sources import own

    dataset = context.datasets.get(params.path)
    images = _scope(context, dataset, TagOp(verb="add", names=params.names, where=params.where))
    count, changed = own(dataset.path, images, params.tags, params.source, dry_run=params.dry_run)
    return OwnReport(path=printable(str(dataset.path)), images=count, changed=changed)


def tags_undo(context: Context, params: StepParams) -> TagReport:
    """Take back the youngest edits."""
    from engine.dataset.tag_edit import undo

    return _stepped(context, params, undo)


def tags_redo(context: Context, params: StepParams) -> TagReport:
    """Do again what was taken back."""
    from engine.dataset.tag_edit import redo

    return _stepped(context, params, redo)


def tags_history(context: Context, params: PathParams) -> EditHistory:
    """The latest edits, those that are undone behind them."""
    from engine.dataset.names import printable
    from engine.dataset.tag_edit import history

    root = context.datasets.get(params.path).path
    done, undone = history(root)
    rows = [msgspec.structs.replace(row, op=_short(row.op)) for row in [*done, *reversed(undone)]]
    return EditHistory(path=printable(str(root)), edits=rows[-_HISTORY:])


def _short(op: TagOp) -> TagOp:
    return msgspec.structs.replace(op, names=op.names[:1], new=op.new[:200])


def _stepped(context: Context, params: StepParams, step: object) -> TagReport:
    dataset = context.datasets.get(params.path)
    done: Done | None = None
    captions: dict[str, str | None] = {}
    failed = []
    for number in range(max(1, params.count)):
        try:
            done = step(dataset)  # type: ignore[operator]
        except EngineError as error:
            if number and error.info.code == "edit_nothing":
                break
            raise
        captions.update(done.captions)
        failed += done.failed
        dataset = context.datasets.recaption(params.path, done.captions, [])
    assert done is not None
    return _report(context, params.path, done._replace(captions=captions, failed=failed), 20, scope=len(captions))


def _plan(context: Context, dataset: Dataset, op: TagOp, rules: Rules | None = None) -> Plan:
    from engine.dataset.tag_edit import plan
    from engine.dataset.tag_traits import bind_plan, verdicts_of

    if op.verb == "bind":
        return bind_plan(dataset, op.new, verdicts_of(dataset.path, op), rules)
    scores = None
    if op.verb == "rules":
        from engine.dataset.tag_rules import spelt_out

        op, scores = spelt_out(dataset.path, op), facts(context, dataset).scores
    return plan(_scope(context, dataset, op), op, _counts(context, dataset, op), scores)


def _scope(context: Context, dataset: Dataset, op: TagOp) -> list[ImageFile]:
    """The images an operation is about: named, found, or all; named ones that are gone are passed over."""
    images = list(dataset.images)
    if op.where:
        from engine.dataset.query_search import find

        with context.indexes.of(dataset) as index:
            mask = find(index, op.where, facts(context, dataset))
        images = [images[row] for row in mask.nonzero()[0].tolist()]
    if op.names:
        wanted = set(op.names)
        images = [image for image in images if image.name in wanted]
    return images


def _counts(context: Context, dataset: Dataset, op: TagOp) -> dict[str, int] | None:
    if op.verb != "rules" and (op.verb != "sort" or op.by != "count"):
        return None
    with context.indexes.of(dataset) as index:
        return index.counts()


def _preview(dataset: Dataset, planned: Plan, diffs: int) -> TagReport:
    from engine.dataset.names import printable
    from engine.dataset.tag_edit import title_of

    shown = planned.changes[: max(0, diffs)]
    return TagReport(
        path=printable(str(dataset.path)),
        title=title_of(planned.op),
        scope=planned.scope,
        changed=len(planned.changes),
        diffs=[CaptionDiff(file=image.name, before=image.caption, after=after) for image, after in shown],
        failed=planned.failed[:MAX_FAILED],
    )


def _report(context: Context, path: str, done: Done, diffs: int, *, scope: int) -> TagReport:
    from engine.dataset.names import printable
    from engine.dataset.rows import among

    changed = [finding.file for finding in done.failed if finding.code == "caption_changed"]
    known = {image.name for image in context.datasets.get(path).images}
    reread = [name for name in changed if name in known]
    dataset = context.datasets.recaption(path, done.captions, reread)
    rows, whole = among(dataset, done.captions.keys() | set(reread))
    return TagReport(
        path=printable(str(dataset.path)),
        title=done.title,
        scope=scope,
        changed=len(done.captions),
        diffs=done.diffs[: max(0, diffs)],
        failed=done.failed[:MAX_FAILED],
        rows=rows if whole else [],
        reload=not whole,
        edit=done.edit,
    )
