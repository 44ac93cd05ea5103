"""A dataset as it travels to a viewer: a summary, and pages of rows that fit one line of the wire.

Only shapes for the protocol; the facts come from `scan`.
"""

from __future__ import annotations

from collections.abc import Container, Sequence
from pathlib import Path

import msgspec

from engine.dataset.listing import Listing
from engine.dataset.names import printable
from engine.dataset.scan import Dataset, ImageFile
from engine.protocol.records import DatasetPage, DatasetSummary, ImageRow
from engine.protocol.wire import MAX_EVENT_BYTES

MAX_FINDINGS = 50
"""A summary names this many findings; the rows' `problem` covers every image."""

_PAGE_BYTES = MAX_EVENT_BYTES * 8
_encoder = msgspec.json.Encoder()


def begun(found: Listing) -> DatasetSummary:
    """What a viewer learns of a large dataset before its files are read."""
    return DatasetSummary(
        path=printable(str(found.root)),
        images=len(found.entries),
        findings=found.findings[:MAX_FINDINGS],
        complete=False,
    )


def summary(dataset: Dataset) -> DatasetSummary:
    """What a viewer learns when a dataset opens."""
    return DatasetSummary(
        path=printable(str(dataset.path)),
        images=len(dataset.images),
        captioned=sum(bool(image.caption) for image in dataset.images),
        readable=sum(image.usable for image in dataset.images),
        findings=dataset.findings[:MAX_FINDINGS],
    )


def row(image: ImageFile) -> ImageRow:
    """One image for a list."""
    return ImageRow(
        name=image.name,
        width=image.width,
        height=image.height,
        bytes=image.bytes,
        caption=image.caption,
        repeat=image.set_repeat,
        own_repeat=image.own_repeat,
        problem=image.problem,
        crop=image.crop,
        marks=image.marks,
        flip=image.flip,
        flip_repeat=image.flip_repeat,
    )


def page(dataset: Dataset, offset: int) -> DatasetPage:
    """The rows from `offset` on, half a megabyte of them at most (but at least one)."""
    return some(dataset.path, dataset.images, offset, len(dataset.images))


def some(path: Path, images: Sequence[ImageFile], offset: int, total: int) -> DatasetPage:
    """The rows from `offset` on of those that are there of `total`, as `page`."""
    rows: list[ImageRow] = []
    size = 0
    offset = max(0, offset)
    for image in images[offset:]:
        entry = row(image)
        size += len(_encoder.encode(entry)) + 1
        if rows and size > _PAGE_BYTES:
            break
        rows.append(entry)
    end = offset + len(rows)
    return DatasetPage(path=printable(str(path)), offset=offset, rows=rows, next=end if end < total else None)


def among(dataset: Dataset, names: Container[str]) -> tuple[list[ImageRow], bool]:
    """The rows of these images, half a megabyte of them at most, and whether that is all of them."""
    rows: list[ImageRow] = []
    size = 0
    for image in dataset.images:
        if image.name in names:
            entry = row(image)
            size += len(_encoder.encode(entry)) + 1
            if size > _PAGE_BYTES:
                return rows, False
            rows.append(entry)
    return rows, True


def only(dataset: Dataset, names: list[str]) -> DatasetPage:
    """Just the named rows, as the answer to an edit of them."""
    wanted = set(names)
    picked = [(i, image) for i, image in enumerate(dataset.images) if image.name in wanted]
    return DatasetPage(
        path=printable(str(dataset.path)),
        offset=picked[0][0] if picked else 0,
        rows=[row(image) for _, image in picked],
        next=None,
    )
