"""More images out of those there are, as files: mirrored copies, and the parts of tall and wide pictures.

Captions and repeats come along; every round can be taken back. Mirroring without files is a flag (`groups.set_flip`).
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import msgspec

from engine.dataset import captions
from engine.dataset.buckets import Box, Size
from engine.dataset.checks import SUFFIXES
from engine.dataset.crop import part_size
from engine.dataset.edits import Edits, editing
from engine.dataset.encode import encode, plain
from engine.dataset.groups import check_repeat
from engine.dataset.mirroring import against_mirroring, mirrored_crop, mirrored_words
from engine.dataset.names import fitting, printable, to_name
from engine.dataset.scan import Dataset, ImageFile
from engine.dataset.tell import Tell, silent
from engine.protocol.datasets import ChangeKind, ChangeReport
from engine.protocol.errors import EngineError, ErrorInfo, describe
from engine.protocol.records import Crop, Finding

_AT_ONCE = 8
"""Images held in memory while their files are made."""
_MIRROR = "_mirror"
_PART = "_part"
_MOST_PARTS = 64
_NAMED = 2000


class _Made(NamedTuple):
    """A file to be: its name's stem, its bytes and ending, its caption (None for none), its crop."""

    stem: str
    data: bytes
    ending: str
    caption: str | None
    crop: Crop | None


class _Work(NamedTuple):
    image: ImageFile
    made: list[_Made]
    failed: ErrorInfo | None


def mirror(
    dataset: Dataset, images: Sequence[ImageFile], repeat: int | None = None, tell: Tell = silent
) -> ChangeReport:
    """Write a mirrored copy of each image beside it, with its caption (left and right exchanged), crop and repeat.

    Copies themselves are passed over. Raises EngineError `param_invalid`, `dataset_busy`, `dataset_unwritable` or
    `path_outside`.
    """
    originals = [image for image in images if image.usable and not _is_copy(image)]
    notices = [found for image in originals if (found := against_mirroring(image)) is not None]
    swapped = [image for image in originals if image.caption and mirrored_words(image.caption) != image.caption]
    notices += [_finding(image.name, describe("mirror_words", file=image.name)) for image in swapped]
    report = _make(dataset, originals, "mirror", _mirrored, repeat, tell)
    return msgspec.structs.replace(report, notices=(notices + report.notices)[:_NAMED])


def split(
    dataset: Dataset,
    images: Sequence[ImageFile],
    *,
    shape: Size | None = None,
    overlap: float = 0.2,
    ratio: float = 1.5,
    repeat: int | None = None,
    tell: Tell = silent,
) -> ChangeReport:
    """Write the parts of those pictures that are `ratio` times longer than a part of `shape` (a square without one).

    Neighbours share at least `overlap` of a part. Raises EngineErrors as `mirror` does.
    """
    if not 0 <= overlap <= 0.9:
        raise EngineError("param_invalid", name="overlap", value=overlap, allowed="0 … 0.9")
    if not 1 < ratio <= 100:
        raise EngineError("param_invalid", name="ratio", value=ratio, allowed="above 1, up to 100")

    def parts(image: ImageFile) -> list[Box]:
        return split_boxes((image.width, image.height), shape or (1, 1), overlap, ratio)

    long = [image for image in images if image.usable and not _is_part(image) and parts(image)]
    report = _make(dataset, long, "split", lambda image: _cut(image, parts(image)), repeat, tell)
    notices = [_finding(i.name, describe("split_captions", file=i.name)) for i in long if i.caption]
    if not long:
        notices.append(_finding("", describe("split_none")))
    return msgspec.structs.replace(report, notices=notices[:_NAMED])


def split_boxes(full: Size, shape: Size, overlap: float, ratio: float) -> list[Box]:
    """The parts of `shape` that cover a picture, in reading order; none when it is not `ratio` times longer."""
    width, height = part_size(full, shape)
    long, part = (full[0], width) if full[0] - width >= full[1] - height else (full[1], height)
    if long < ratio * part:
        return []
    count = max(2, math.ceil((long - overlap * part) / (part - overlap * part) - 1e-9))
    starts = [round(number * (long - part) / (count - 1)) for number in range(count)]
    if part == width and long == full[0]:
        return [(start, 0, start + width, height) for start in starts]
    return [(0, start, width, start + height) for start in starts]


def mirrored_file(image: ImageFile) -> tuple[bytes, str]:
    """The mirrored picture as a file, and the ending of its format; raises EngineErrors as `encode.plain` does."""
    from PIL.Image import Transpose

    whole = plain(image)
    mirrored = whole.picture.transpose(Transpose.FLIP_LEFT_RIGHT)
    data = encode(mirrored, whole.kind, whole.profile, name=image.name)
    return data, _ending(image, whole.kind)


def _mirrored(image: ImageFile) -> list[_Made]:
    data, ending = mirrored_file(image)
    caption = None if image.caption is None else mirrored_words(image.caption)
    return [_Made(fitting(image.path.stem, _MIRROR), data, ending, caption, mirrored_crop(image.crop))]


def _cut(image: ImageFile, boxes: Sequence[Box]) -> list[_Made]:
    if len(boxes) > _MOST_PARTS:
        raise EngineError("split_many", file=image.name, count=len(boxes), limit=_MOST_PARTS)
    whole = plain(image)
    if whole.picture.size != (image.width, image.height):
        raise EngineError("dataset_changed", count=1, file=image.name)
    ending = _ending(image, whole.kind)
    return [
        _Made(
            fitting(image.path.stem, f"{_PART}{number}"),
            encode(whole.picture.crop(box), whole.kind, whole.profile, name=image.name),
            ending,
            image.caption,
            None,
        )
        for number, box in enumerate(boxes, 1)
    ]


def _ending(image: ImageFile, kind: str) -> str:
    endings = SUFFIXES[kind]
    return image.path.suffix if image.path.suffix.lower() in endings else endings[0]


def _is_copy(image: ImageFile) -> bool:
    return image.path.stem.endswith(_MIRROR)


def _is_part(image: ImageFile) -> bool:
    return re.search(rf"{_PART}\d+$", image.path.stem) is not None


def _make(
    dataset: Dataset,
    images: Sequence[ImageFile],
    kind: ChangeKind,
    make: Callable[[ImageFile], list[_Made]],
    repeat: int | None,
    tell: Tell,
) -> ChangeReport:
    check_repeat(repeat)
    made: list[str] = []
    failed: list[Finding] = []
    count = 0

    def work(image: ImageFile) -> _Work:
        try:
            return _Work(image, make(image), None)
        except EngineError as error:
            return _Work(image, [], error.info)

    with editing(dataset.path, kind) as edits, ThreadPoolExecutor(max_workers=os.cpu_count() or 1) as pool:
        for start in range(0, len(images), _AT_ONCE):
            for done in pool.map(work, images[start : start + _AT_ONCE]):
                trouble = done.failed
                try:
                    made += _placed(edits, dataset, done, repeat) if trouble is None else []
                except EngineError as error:
                    trouble = error.info
                except OSError as error:
                    reason = error.strerror or str(error)
                    folder = printable(str(done.image.path.parent))
                    trouble = describe("dataset_unwritable", path=folder, reason=reason)
                if trouble is not None:
                    failed.append(_finding(done.image.name, trouble))
                count += trouble is None
                tell(count + len(failed), len(images))
    return ChangeReport(
        path=printable(str(dataset.path)),
        count=count,
        images=len(dataset.images) + len(made),
        made=made[:_NAMED],
        failed=failed[:_NAMED],
    )


def _placed(edits: Edits, dataset: Dataset, done: _Work, repeat: int | None) -> list[str]:
    """The files of one image put beside it, captions first; their names."""
    folder, staging = done.image.path.parent, edits.staging()
    pairs: list[tuple[Path, Path]] = []
    facts: dict[str, dict[str, object]] = {"repeats": {}, "crops": {}}
    names = []
    for number, one in enumerate(done.made):
        target = folder / f"{one.stem}{one.ending}"
        name = to_name(str(target.relative_to(dataset.path)))
        if one.caption is not None:
            words = staging / f"{number}.words"
            _write(words, one.caption.encode("utf-8") + b"\n")
            pairs.append((words, target.with_suffix(captions.EXTENSIONS[0])))
        picture = staging / f"{number}.part"
        _write(picture, one.data)
        pairs.append((picture, target))
        own = done.image.own_repeat if repeat is None else repeat
        if own is not None:
            facts["repeats"][name] = own
        if one.crop is not None:
            facts["crops"][name] = one.crop
        names.append(name)
    edits.create(pairs)
    if any(facts.values()):
        edits.set_facts(facts)
    return names


def _write(path: Path, data: bytes) -> None:
    with open(path, "wb") as file:
        file.write(data)
        os.fchmod(file.fileno(), 0o644)
        file.flush()
        os.fsync(file.fileno())


def _finding(file: str, info: ErrorInfo) -> Finding:
    return Finding(file=file, code=info.code, message=info.message, hint=info.hint, args=info.args)
