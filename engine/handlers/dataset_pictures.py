"""Many pictures of a dataset at once for the viewer: contact sheets, and the small pictures of a grid."""

from __future__ import annotations

from engine.handlers import Context
from engine.handlers.opened import absolute
from engine.protocol.datasets import Pictures, PicturesParams, SheetParams, SheetReport
from engine.protocol.errors import EngineError
from engine.protocol.records import Picture

_MOST = 64
_SIDE = 104
"""So many pictures of this size fit one line, zipped or not."""


def dataset_sheet(context: Context, params: SheetParams) -> SheetReport:
    """Write a contact sheet."""
    from engine.dataset.scan import find_all
    from engine.dataset.sheet import write_sheet

    dataset = context.datasets.get(params.path)
    images = find_all(dataset, params.images) or list(dataset.images)
    out = absolute(params.out) if params.out else None
    with context.work.telling(dataset.path, "dataset.sheet") as tell:
        return write_sheet(dataset, images, out=out, columns=params.columns, cell=params.cell, tell=tell)


def dataset_pictures(context: Context, params: PicturesParams) -> Pictures:
    """The pictures of a grid, each as `picture` gives it; None for those that cannot be drawn."""
    from engine.dataset.pixels import picture

    dataset = context.datasets.get(params.path)
    found: list[Picture | None] = []
    for name in params.images[:_MOST]:
        try:
            found.append(picture(dataset.path, name, min(params.width, _SIDE), min(params.height, _SIDE)))
        except EngineError:
            found.append(None)
    return Pictures(pictures=found)
