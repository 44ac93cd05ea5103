"""Batch crops: which part of each picture trains, kept as numbers in the sidecar; written to files only on demand.

Originals are never touched. How a crop reaches the trainer, `plan` and `buckets.within` say.
"""

from __future__ import annotations

import io
import os
import re
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from engine.dataset import captions, sidecar
from engine.dataset.buckets import Box, Fit, Size, cover, within
from engine.dataset.facts import Tell
from engine.dataset.names import inside, printable
from engine.dataset.pixels import load_rgb
from engine.dataset.scan import Dataset, ImageFile
from engine.protocol.errors import EngineError, ErrorInfo, describe
from engine.protocol.files import atomic_write
from engine.protocol.records import Crop, Finding

ALIASES: dict[Size, Size] = {(512, 468): (512, 768)}
SHORTEST, LONGEST = 16, 8192
"""Sides of a size in pixels; a bake brings every crop to its bucket anyway."""
_WORKERS = 2
_SIZE = re.compile(r"(\d{1,5})\s*[xX×*]\s*(\d{1,5})")
_ENDINGS = {".jpg": "JPEG", ".jpeg": "JPEG", ".png": "PNG", ".webp": "WEBP"}


def parse_size(text: str) -> tuple[Size, ErrorInfo | None]:
    """(width, height) of "512x768", and what to tell about it; raises EngineError `size_invalid`."""
    match = _SIZE.fullmatch(text.strip())
    size = (int(match[1]), int(match[2])) if match else (0, 0)
    if not all(SHORTEST <= side <= LONGEST for side in size):
        raise EngineError("size_invalid", size=printable(text))
    meant = ALIASES.get(size)
    if meant is None:
        return size, None
    return meant, describe("notice_size_alias", size="{}x{}".format(*size), meant="{}x{}".format(*meant))


def part_size(full: Size, size: Size) -> Size:
    """The largest part of a picture that has the shape of `size`, to the nearest pixel."""
    width, height = full
    if width * size[1] > height * size[0]:
        return min(width, max(1, round(height * size[0] / size[1]))), height
    return width, min(height, max(1, round(width * size[1] / size[0])))


def centre_box(full: Size, size: Size) -> Box:
    """That part, from the middle."""
    width, height = part_size(full, size)
    left, top = (full[0] - width) // 2, (full[1] - height) // 2
    return left, top, left + width, top + height


def crop(dataset: Dataset, images: Sequence[ImageFile], size: Size) -> None:
    """Crop the images around their middle to the shape of `size`; unreadable ones are passed over.

    Raises EngineError `dataset_unwritable`, `path_outside` or `sidecar_unreadable`.
    """
    crops = {}
    for image in images:
        if image.usable:
            full = (image.width, image.height)
            crops[image.name] = Crop(box=centre_box(full, size), size=size, of=full, mode="center")
    sidecar.set_crops(dataset.path, crops)


def clear(dataset: Dataset, images: Sequence[ImageFile]) -> None:
    """Let the whole pictures train again; raises EngineErrors as `crop` does."""
    sidecar.set_crops(dataset.path, {image.name: None for image in images})


def export(
    dataset: Dataset,
    images: Sequence[ImageFile],
    folder: Path,
    tell: Tell = lambda done, total: None,
) -> tuple[int, list[Finding]]:
    """Write the cropped pictures at their size, with captions and repeats, into `folder`; how many, and what failed.

    Every file appears whole or not at all, and none is replaced: `file_exists` is among the failures instead.
    Raises EngineError `crop_none`, `export_inside` or `out_unwritable`.
    """
    cropped = [image for image in images if image.crop is not None]
    if not cropped:
        raise EngineError("crop_none", path=printable(str(dataset.path)))
    if inside(dataset.path, folder) or inside(folder, dataset.path):
        raise EngineError("export_inside", path=printable(str(folder)))
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise EngineError("out_unwritable", path=printable(str(folder)), reason=error.strerror or str(error)) from None
    written: list[ImageFile] = []
    failed: list[Finding] = []
    with ThreadPoolExecutor(max_workers=_WORKERS) as pool:
        for image, trouble in zip(cropped, pool.map(lambda one: _export(dataset, one, folder), cropped), strict=True):
            if trouble is None:
                written.append(image)
            else:
                failed.append(
                    Finding(
                        file=image.name,
                        code=trouble.code,
                        message=trouble.message,
                        hint=trouble.hint,
                        args=trouble.args,
                    )
                )
            tell(len(written) + len(failed), len(cropped))
    repeats: dict[int, list[str]] = {}
    for image in written:
        if image.own_repeat is not None:
            repeats.setdefault(image.own_repeat, []).append(image.name)
    for repeat, names in repeats.items():
        sidecar.set_repeat(folder, names, repeat)
    return len(written), failed


def _export(dataset: Dataset, image: ImageFile, folder: Path) -> ErrorInfo | None:
    assert image.crop is not None
    target = folder / image.path.relative_to(dataset.path)
    try:
        if os.path.lexists(target):
            raise EngineError("file_exists", file=image.name)
        data = encode(image, image.crop)
        target.parent.mkdir(parents=True, exist_ok=True)
        # The caption first: a picture that is there has its words.
        caption = captions.caption_path(image.path)
        if captions.is_caption(caption):
            atomic_write(target.with_name(caption.name), caption.read_bytes(), mode=0o644)
        atomic_write(target, data, mode=0o644)
    except EngineError as error:
        return error.info
    except OSError as error:
        return describe("out_unwritable", path=printable(str(folder)), reason=error.strerror or str(error))
    return None


def encode(image: ImageFile, part: Crop) -> bytes:
    """The cropped picture at the size it was cropped for, in the format that the ending of its name promises.

    Raises EngineError `image_missing`, `image_unreadable`, `image_too_large` or `dataset_changed`.
    """
    from PIL import Image

    kind = _ENDINGS[image.path.suffix.lower()]
    options: dict[str, Any] = {}
    if kind == "JPEG":
        options = {"quality": 95, "subsampling": 0}
    elif kind == "WEBP":
        options = {"lossless": True}
    target = io.BytesIO()
    Image.fromarray(load_rgb(image.path, exact_fit(part))).save(target, kind, **options)
    return target.getvalue()


def exact_fit(part: Crop) -> Fit:
    """The fit of `part.box` to `part.size`: covering it, so that nothing is stretched and nothing padded."""
    left, top, right, bottom = part.box
    return within(part.of, part.box, cover(right - left, bottom - top, part.size))
