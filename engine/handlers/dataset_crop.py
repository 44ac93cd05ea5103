"""Crops for the viewer: in batches, or one by hand; the rows of the dataset then carry them."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import TYPE_CHECKING

from engine.handlers import Context
from engine.handlers.opened import absolute
from engine.protocol.datasets import CropChoices, RowsReport, SetCrop, SuggestParams
from engine.protocol.errors import EngineError
from engine.protocol.messages import CropParams
from engine.protocol.records import CropReport, Finding

if TYPE_CHECKING:
    from engine.dataset.focus import FaceFinder

_NAMED = 2000
"""Failures that are named; more would not fit a line."""


def dataset_crop(context: Context, params: CropParams) -> CropReport:
    """Clear, then crop, then export, each if asked for; all that can be wrong with the request is found first."""
    from engine.dataset import crop
    from engine.dataset.names import printable
    from engine.dataset.scan import find

    size, notice = crop.parse_size(params.size) if params.size else (None, None)
    finder = _finder(params.face_model)
    dataset = context.datasets.open(params.path)
    images = [find(dataset, name) for name in params.images] or list(dataset.images)
    names = [image.name for image in images]
    failed: list[Finding] = []
    kept = exported = 0
    with context.work.telling(dataset.path, "dataset.crop") as tell:
        if params.clear:
            crop.clear(dataset, images)
        if size is not None:
            try:
                kept, failed = crop.crop(dataset, images, size, params.mode, finder, tell)
            except EngineError:
                context.datasets.forget(params.path)  # some of them are cropped
                raise
        if params.clear or size is not None:
            dataset = context.datasets.reread(params.path, names)
        if params.export:
            chosen = set(names)
            cropped = [image for image in dataset.images if image.name in chosen]
            exported, trouble = crop.export(dataset, cropped, absolute(params.export), tell)
            failed += trouble
    return CropReport(
        path=printable(str(dataset.path)),
        images=len(dataset.images),
        cropped=sum(image.crop is not None for image in dataset.images),
        kept=kept,
        exported=exported,
        failed=failed[:_NAMED],
        notices=[notice] if notice else [],
    )


def dataset_set_crop(context: Context, params: SetCrop) -> RowsReport:
    """Place, accept or take away the crop of one image; answers with its row."""
    from engine.dataset.crop_by_hand import set_crop
    from engine.dataset.names import printable
    from engine.dataset.rows import row
    from engine.dataset.scan import find

    dataset = context.datasets.get(params.path)
    set_crop(dataset, find(dataset, params.image), params, _finder(params.face_model))
    dataset = context.datasets.reread(params.path, [params.image])
    return RowsReport(path=printable(str(dataset.path)), rows=[row(find(dataset, params.image))])


def dataset_suggest_crops(context: Context, params: SuggestParams) -> CropChoices:
    """What could be cropped in an image; nothing is changed."""
    from engine.dataset.crop_by_hand import suggest
    from engine.dataset.scan import find

    dataset = context.datasets.get(params.path)
    return suggest(dataset, find(dataset, params.image), params.size, _finder(params.face_model))


def _finder(model: str) -> FaceFinder | None:
    """A detector is loaded once: a reviewer asks about picture after picture."""
    if not model:
        return None
    from engine.faces.catalogue import locate

    return _loaded(locate(model))


@functools.lru_cache(maxsize=2)
def _loaded(model: Path) -> FaceFinder:
    from engine.faces.finder import FaceFinder

    return FaceFinder(model)
