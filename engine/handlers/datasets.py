"""Datasets and pictures for the viewer."""

from __future__ import annotations

from engine.handlers import Context
from engine.handlers.opened import absolute
from engine.home import home, runs_dir
from engine.protocol.errors import EngineError
from engine.protocol.found import TagTable
from engine.protocol.messages import DatasetRows, Empty, PathParams, PictureParams, SetCaption, SetRepeat
from engine.protocol.records import DatasetPage, DatasetSummary, Picture

_AT_ONCE = 300
"""Images that are read at once; of larger datasets the names are told first."""
_PATIENCE = 2.0
"""Seconds; on a slow disk even few images take long."""
_FIRST_ROWS = 60
_MORE_ROWS, _MORE_SECONDS = 2000, 0.5
"""The rows after the first screen come by thousands, or twice a second: a viewer who is told of every fifty
would only paint."""


def dataset_open(context: Context, params: PathParams) -> DatasetSummary:
    """List a folder; its files too where that is quick, else behind the viewer's back while it asks for rows."""
    from engine.dataset.rows import begun, summary

    reading = context.datasets.begin(params.path)
    few = len(reading.listing.entries) <= _AT_ONCE
    dataset = reading.dataset(timeout=_PATIENCE if few else 0)
    return begun(reading.listing) if dataset is None else summary(dataset)


def dataset_sample(_: Context, __: Empty) -> PathParams:
    """Where the person's own copy of the sample dataset is."""
    from engine.demo.sample import own_sample

    return PathParams(path=str(own_sample()))


def dataset_summary(context: Context, params: PathParams) -> DatasetSummary:
    """The whole summary, once everything is read."""
    from engine.dataset.rows import summary

    return summary(context.datasets.get(params.path))


def dataset_rows(context: Context, params: DatasetRows) -> DatasetPage:
    """A page of the last scan; of one at work what is there, at least one row."""
    from engine.dataset.rows import page, some

    reading = context.datasets.reading(params.path)
    if reading is None:
        return page(context.datasets.get(params.path), params.offset)
    total, offset = len(reading.listing.entries), max(0, params.offset)
    if offset:
        rows = reading.rows(offset + 1, better=offset + _MORE_ROWS, patience=_MORE_SECONDS)
    else:
        rows = reading.rows(min(total, _FIRST_ROWS))
    return some(reading.listing.root, rows, offset, total)


def dataset_tags(context: Context, params: PathParams) -> TagTable:
    """All tags with their counts."""
    from engine.dataset.tags import tag_table

    return tag_table(context.datasets.get(params.path))


def dataset_set_caption(context: Context, params: SetCaption) -> DatasetPage:
    """Write one caption, as an edit that the tags' journal can take back; answers with the row as it is now."""
    from engine.dataset.rows import only
    from engine.dataset.scan import find
    from engine.dataset.tag_edit import write

    find(context.datasets.get(params.path), params.image)
    dataset = context.datasets.reread(params.path, [params.image])
    captions = write(dataset, find(dataset, params.image), params.caption, expected=params.expected)
    return only(context.datasets.recaption(params.path, captions, []), [params.image])


def dataset_set_repeat(context: Context, params: SetRepeat) -> DatasetPage:
    """Give images their own repeat; answers with their rows as they are now."""
    from engine.dataset.groups import set_repeat
    from engine.dataset.rows import only
    from engine.dataset.scan import find_all

    dataset = context.datasets.get(params.path)
    find_all(dataset, params.images)
    set_repeat(dataset, params.repeat, images=params.images)
    return only(context.datasets.reread(params.path, params.images), params.images)


def picture(context: Context, params: PictureParams) -> Picture:
    """A picture of an opened dataset, of a run, or of a test; from nowhere else."""
    from engine.dataset.pixels import picture as drawn

    root = absolute(params.root)
    if not context.datasets.contains(root) and root.parent not in (runs_dir(), home() / "tests"):
        raise EngineError("path_outside", path=root, root=runs_dir())
    return drawn(root, params.file, params.width, params.height, params.encoding, zoom=params.zoom, at=params.at)
