"""What a dataset remembers of its images, for the viewer: marks, repeats, mirrored views; what a bake makes of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.handlers import Context
from engine.protocol import fields
from engine.protocol.datasets import FlipParams, GroupViews, MarkParams, PlanParams, PlanTable, RepeatParams, RowsReport
from engine.protocol.errors import EngineError

if TYPE_CHECKING:
    from engine.dataset.plan import BakePlan
    from engine.dataset.scan import Dataset

_ROWS = 2000
"""Rows of an answer; whoever changed more asks for them by pages."""
_NAMED = 500


def dataset_mark(context: Context, params: MarkParams) -> RowsReport:
    """Mark images."""
    from engine.dataset.groups import set_mark
    from engine.dataset.scan import find_all

    dataset = context.datasets.get(params.path)
    set_mark(dataset, find_all(dataset, params.images), params.mark, params.on)
    return _rows(context, params.path, params.images)


def dataset_repeat(context: Context, params: RepeatParams) -> RowsReport:
    """Set repeats."""
    from engine.dataset.groups import set_repeat
    from engine.dataset.scan import find_all

    dataset = context.datasets.get(params.path)
    find_all(dataset, params.images)
    concerned = set_repeat(dataset, params.repeat, images=params.images, mark=params.mark, folder=params.folder)
    return _rows(context, params.path, concerned)


def dataset_flip(context: Context, params: FlipParams) -> RowsReport:
    """Let images train mirrored as well."""
    from engine.dataset.groups import set_flip
    from engine.dataset.scan import find_all

    dataset = context.datasets.get(params.path)
    warnings = set_flip(dataset, find_all(dataset, params.images), params.on, params.repeat)
    report = _rows(context, params.path, params.images)
    return RowsReport(path=report.path, rows=report.rows, notices=warnings[:_NAMED])


def dataset_plan(context: Context, params: PlanParams) -> PlanTable:
    """Buckets and views of every image as a bake would take them."""
    from engine.dataset.names import printable
    from engine.dataset.plan import make_plan

    built = fields.build(params.params)
    dataset = context.datasets.get(params.path)
    reg = context.datasets.get(params.reg) if params.reg else None
    try:
        plan = make_plan(dataset, reg, built)
    except EngineError as error:
        if error.info.code != "dataset_no_image":
            raise
        none = [0] * len(dataset.images)
        return PlanTable(
            path=printable(str(dataset.path)), buckets=[], bucket=[-1] * len(none), views=none, enlarged=none
        )
    return _table(dataset, reg, plan)


def _table(dataset: Dataset, reg: Dataset | None, plan: BakePlan) -> PlanTable:
    from engine.dataset.groups import folders, marks
    from engine.dataset.names import printable
    from engine.dataset.sidecar import read_sidecar

    place = {image.name: number for number, image in enumerate(dataset.images)}
    number_of = {(row.width, row.height): number for number, row in enumerate(plan.buckets)}
    bucket, views, enlarged = [-1] * len(place), [0] * len(place), [0] * len(place)
    reg_views: dict[str, int] = {}
    for item in plan.items:
        if item.reg:
            reg_views[item.image.name] = item.repeat
            continue
        row = place[item.image.name]
        bucket[row] = number_of[item.fit.bucket]
        views[row] += item.repeat
        enlarged[row] = round(item.fit.enlargement * 100)
    kept = read_sidecar(dataset.path)

    def group(name: str, places: list[int], repeat: int | None) -> GroupViews:
        return GroupViews(name=name, images=len(places), views=sum(views[p] for p in places), repeat=repeat)

    return PlanTable(
        path=printable(str(dataset.path)),
        buckets=list(plan.buckets),
        bucket=bucket,
        views=views,
        enlarged=enlarged,
        folders=[
            group(name, places, dataset.images[places[0]].folder_repeat) for name, places in folders(dataset).items()
        ],
        marks=[group(name, places, kept.mark_repeats.get(name)) for name, places in marks(dataset).items()],
        reg=plan.reg if reg else None,
        reg_views=[reg_views.get(image.name, 0) for image in reg.images] if reg else [],
        image_views=plan.image_views,
        epochs=plan.epochs,
        steps_per_epoch=plan.steps_per_epoch,
        optimizer_steps=plan.optimizer_steps,
    )


def _rows(context: Context, path: str, names: list[str]) -> RowsReport:
    from engine.dataset.names import printable
    from engine.dataset.rows import row

    dataset = context.datasets.reread(path, names)
    wanted = set(names)
    rows = [row(image) for image in dataset.images if image.name in wanted]
    return RowsReport(path=printable(str(dataset.path)), rows=rows[:_ROWS])
