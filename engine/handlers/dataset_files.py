"""What changes the files of a dataset for the viewer: add, remove, mirror, split, export, and taking rounds back."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING

from engine.handlers import Context
from engine.handlers.opened import absolute
from engine.protocol import fields
from engine.protocol.datasets import (
    AddParams,
    AddReport,
    CancelParams,
    Change,
    ChangeReport,
    ExportParams,
    ExportReport,
    ImagesParams,
    MirrorParams,
    SplitParams,
    TrashReport,
    UndoParams,
    UndoReport,
)
from engine.protocol.errors import EngineError
from engine.protocol.messages import Empty, PathParams

if TYPE_CHECKING:
    from engine.dataset.tell import Tell

_NAMED = 2000


def dataset_add(context: Context, params: AddParams) -> AddReport:
    """Take files, folders and archives into a dataset."""
    from engine.dataset.add import add

    with _changing(context, params.path, "dataset.add") as tell:
        sources = [str(absolute(source)) for source in params.sources]
        return add(absolute(params.path), sources, how=params.how, limit=params.limit, tell=tell)


def dataset_remove(context: Context, params: ImagesParams) -> ChangeReport:
    """Put images into the dataset's trash."""
    from engine.dataset.add import remove
    from engine.dataset.names import printable
    from engine.dataset.scan import find_all

    dataset = context.datasets.get(params.path)
    with _changing(context, params.path, "dataset.remove") as tell:
        count, failed = remove(dataset, find_all(dataset, params.images), tell)
    return ChangeReport(
        path=printable(str(dataset.path)),
        count=count,
        images=len(dataset.images) - count,
        failed=failed[:_NAMED],
    )


def dataset_undo(context: Context, params: UndoParams) -> UndoReport:
    """Take back the last round of changes, of whatever kind or of one."""
    from engine.dataset.names import printable
    from engine.dataset.undo import history, take_back

    # Not opened first: a dataset whose last image was removed must be restorable.
    root = absolute(params.path)
    with _changing(context, params.path, "dataset.undo") as tell:
        change, _, failed = take_back(root, params.kind, tell)
    return UndoReport(
        path=printable(str(root)),
        change=change,
        images=_count(context, params.path),
        left=len(history(root)),
        failed=failed[:_NAMED],
    )


def dataset_history(_: Context, params: PathParams) -> list[Change]:
    """The rounds that can be taken back, the youngest first."""
    from engine.dataset.undo import history

    return history(absolute(params.path))[:_NAMED]


def dataset_trash(_: Context, params: PathParams) -> TrashReport:
    """What lies in the trash of a dataset; nothing is changed."""
    from engine.dataset.trash import look

    return look(absolute(params.path))


def dataset_empty_trash(_: Context, params: PathParams) -> TrashReport:
    """Throw away what lies in the trash of a dataset."""
    from engine.dataset.trash import empty

    return empty(absolute(params.path))


def dataset_mirror(context: Context, params: MirrorParams) -> ChangeReport:
    """Write mirrored copies."""
    from engine.dataset.augment import mirror
    from engine.dataset.scan import find_all

    dataset = context.datasets.get(params.path)
    images = find_all(dataset, params.images) or list(dataset.images)
    with _changing(context, params.path, "dataset.mirror") as tell:
        return mirror(dataset, images, params.repeat, tell)


def dataset_split(context: Context, params: SplitParams) -> ChangeReport:
    """Write the parts of tall and wide images."""
    from engine.dataset.augment import split
    from engine.dataset.crop import parse_size
    from engine.dataset.scan import find_all

    shape = parse_size(params.size)[0] if params.size else None
    dataset = context.datasets.get(params.path)
    images = find_all(dataset, params.images) or list(dataset.images)
    with _changing(context, params.path, "dataset.split") as tell:
        return split(
            dataset,
            images,
            shape=shape,
            overlap=params.overlap,
            ratio=params.ratio,
            repeat=params.repeat,
            tell=tell,
        )


def dataset_export(context: Context, params: ExportParams) -> ExportReport:
    """Write the dataset as kohya's trainers want it."""
    from engine.dataset.kohya import export

    built = fields.build(params.params)
    dataset = context.datasets.get(params.path)
    reg = context.datasets.get(params.reg) if params.reg else None
    with context.work.telling(dataset.path, "dataset.export") as tell:
        return export(dataset, reg, built, absolute(params.out), how=params.how, crops=params.crops, tell=tell)


def dataset_cancel(context: Context, params: CancelParams) -> Empty:
    """End long requests on a dataset."""
    context.work.cancel(absolute(params.path), params.task)
    return Empty()


@contextlib.contextmanager
def _changing(context: Context, path: str, task: str) -> Iterator[Tell]:
    """Work that changes files: told, cancellable, and the dataset is scanned again by whoever asks next."""
    try:
        with context.work.telling(absolute(path), task) as tell:
            yield tell
    finally:
        context.datasets.forget(path)


def _count(context: Context, path: str) -> int:
    try:
        return len(context.datasets.get(path).images)
    except EngineError:  # nothing is left in it, or it is gone
        return 0
