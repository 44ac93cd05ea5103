"""The dataset's doctor for the viewer: a check with its progress, findings by pages, fixes and their undoing."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from engine.handlers import Context
from engine.handlers.opened import absolute
from engine.protocol import fields
from engine.protocol.messages import CheckParams, FindingsParams, FixParams, PathParams
from engine.protocol.records import CheckReport, Finding, FindingsPage, FixReport
from engine.protocol.wire import MAX_EVENT_BYTES

if TYPE_CHECKING:
    from engine.dataset.checks import Diagnosis

_PAGE_BYTES = MAX_EVENT_BYTES * 8
_encoder = msgspec.json.Encoder()


def dataset_check(context: Context, params: CheckParams) -> CheckReport:
    """Scan again, decode what changed, judge everything; pushes `Progress` meanwhile."""
    found = _diagnose(context, params, "dataset.check")
    root = found.dataset.path
    context.checks[root] = found.findings
    first = _page(root, found.findings, 0)
    plan = found.plan
    return CheckReport(
        path=first.path,
        images=len(found.dataset.images),
        findings=first.findings,
        total=len(found.findings),
        next=first.next,
        buckets=found.buckets,
        reg=found.reg,
        trigger=found.trigger,
        image_views=plan.image_views if plan else 0,
        epochs=plan.epochs if plan else 0,
        steps_per_epoch=plan.steps_per_epoch if plan else 0,
        optimizer_steps=plan.optimizer_steps if plan else 0,
    )


def dataset_findings(context: Context, params: FindingsParams) -> FindingsPage:
    """More of what the last check found; nothing when there was none."""
    root = absolute(params.path)
    return _page(root, context.checks.get(root, []), params.offset)


def dataset_fix(context: Context, params: FixParams) -> FixReport:
    """Check, then mend what was asked for; the dataset is scanned again afterwards."""
    from engine.dataset.fixes import fix

    found = _diagnose(context, params, "dataset.check")
    try:
        with context.work.telling(found.dataset.path, "dataset.fix") as tell:
            return fix(found, codes=params.codes, files=params.files, tell=tell)
    finally:
        context.datasets.forget(params.path)


def dataset_undo_fix(context: Context, params: PathParams) -> FixReport:
    """Take back the last round of fixes."""
    from engine.dataset.fixes import undo

    # Not opened first: a dataset whose last image was dropped must be restorable.
    root = absolute(params.path)
    try:
        with context.work.telling(root, "dataset.undo_fix") as tell:
            return undo(root, tell)
    finally:
        context.datasets.forget(params.path)


def _diagnose(context: Context, params: CheckParams, task: str) -> Diagnosis:
    from engine.dataset.checks import diagnose

    built = fields.build(params.params)
    dataset = context.datasets.open(params.path)
    reg = context.datasets.open(params.reg) if params.reg else None
    with context.work.telling(dataset.path, task) as tell:
        return diagnose(dataset, reg, built, trigger=params.trigger, family=_family(params.base), tell=tell)


def _family(base: str) -> str:
    """The family of a base by name or path, "" for none."""
    if not base:
        return ""
    from engine.models.catalogue import list_models, locate

    known = next((row.family for row in list_models() if row.kind == "base" and row.name == base), "")
    return known or locate(base).family


def _page(root: Path, findings: list[Finding], offset: int) -> FindingsPage:
    """Half a megabyte of findings at most (but at least one)."""
    from engine.dataset.names import printable

    rows: list[Finding] = []
    size = 0
    offset = max(0, offset)
    for finding in findings[offset:]:
        size += len(_encoder.encode(finding)) + 1
        if rows and size > _PAGE_BYTES:
            break
        rows.append(finding)
    end = offset + len(rows)
    return FindingsPage(
        path=printable(str(root)), offset=offset, findings=rows, next=end if end < len(findings) else None
    )
