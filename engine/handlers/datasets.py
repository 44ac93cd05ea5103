"""Datasets and pictures for the viewer."""

from __future__ import annotations

from engine.handlers import Context
from engine.handlers.opened import absolute
from engine.home import runs_dir
from engine.protocol.errors import EngineError
from engine.protocol.messages import DatasetRows, PathParams, PictureParams, SetCaption, SetRepeat
from engine.protocol.records import DatasetPage, DatasetSummary, Picture, TagTable


def dataset_open(context: Context, params: PathParams) -> DatasetSummary:
    """Scan a folder."""
    from engine.dataset.rows import summary

    return summary(context.datasets.open(params.path))


def dataset_rows(context: Context, params: DatasetRows) -> DatasetPage:
    """A page of the last scan."""
    from engine.dataset.rows import page

    return page(context.datasets.get(params.path), params.offset)


def dataset_tags(context: Context, params: PathParams) -> TagTable:
    """All tags with their counts."""
    from engine.dataset.tags import tag_table

    return tag_table(context.datasets.get(params.path))


def dataset_set_caption(context: Context, params: SetCaption) -> DatasetPage:
    """Write one caption; answers with the row as it is now."""
    from engine.dataset.captions import write_caption
    from engine.dataset.rows import only
    from engine.dataset.scan import find

    image = find(context.datasets.get(params.path), params.image)
    write_caption(image.path, params.caption, expected=params.expected)
    return only(context.datasets.reread(params.path, [params.image]), [params.image])


def dataset_set_repeat(context: Context, params: SetRepeat) -> DatasetPage:
    """Give images their own repeat; answers with their rows as they are now."""
    from engine.dataset.rows import only
    from engine.dataset.scan import find
    from engine.dataset.sidecar import set_repeat

    dataset = context.datasets.get(params.path)
    for name in params.images:
        find(dataset, name)
    set_repeat(dataset.path, params.images, params.repeat)
    return only(context.datasets.reread(params.path, params.images), params.images)


def picture(context: Context, params: PictureParams) -> Picture:
    """A picture of an opened dataset, or of a run; from nowhere else."""
    from engine.dataset.pixels import picture as drawn

    root = absolute(params.root)
    if not context.datasets.contains(root) and root.parent != runs_dir():
        raise EngineError("path_outside", path=root, root=runs_dir())
    return drawn(root, params.file, params.width, params.height)
