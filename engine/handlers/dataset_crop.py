"""Batch crops for the viewer: set, clear, export; the rows of the dataset then carry them."""

from __future__ import annotations

from engine.handlers import Context
from engine.handlers.dataset_doctor import teller
from engine.handlers.opened import absolute
from engine.protocol.messages import CropParams
from engine.protocol.records import CropReport, Finding

_NAMED = 2000
"""Failures that are named; more would not fit a line."""


def dataset_crop(context: Context, params: CropParams) -> CropReport:
    """Clear, then crop, then export, each if asked for; all that can be wrong with the request is found first."""
    from engine.dataset import crop
    from engine.dataset.focus import FaceFinder
    from engine.dataset.names import printable
    from engine.dataset.scan import find

    size, notice = crop.parse_size(params.size) if params.size else (None, None)
    finder = FaceFinder(absolute(params.face_model)) if params.face_model else None
    dataset = context.datasets.open(params.path)
    images = [find(dataset, name) for name in params.images] or list(dataset.images)
    if params.clear:
        crop.clear(dataset, images)
    failed: list[Finding] = []
    tell = teller(context, dataset.path, "dataset.crop")
    if size is not None:
        failed += crop.crop(dataset, images, size, params.mode, finder, tell)
    names = [image.name for image in images]
    if params.clear or size is not None:
        dataset = context.datasets.reread(params.path, names)
    exported = 0
    if params.export:
        chosen = set(names)
        exported, trouble = crop.export(
            dataset,
            [image for image in dataset.images if image.name in chosen],
            absolute(params.export),
            tell,
        )
        failed += trouble
    return CropReport(
        path=printable(str(dataset.path)),
        images=len(dataset.images),
        cropped=sum(image.crop is not None for image in dataset.images),
        exported=exported,
        failed=failed[:_NAMED],
        notices=[notice] if notice else [],
    )
