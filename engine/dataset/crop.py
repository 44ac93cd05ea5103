"""Batch crops: which part of each picture trains, kept as numbers in the sidecar; written to files only on demand.

Originals are never touched. How a crop reaches the trainer, `plan` and `buckets.within` say.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from engine.dataset import captions, edits, sidecar
from engine.dataset.buckets import Box, Fit, Size, cover, within
from engine.dataset.encode import encode
from engine.dataset.focus import FaceFinder, Subject, subject
from engine.dataset.names import inside, printable
from engine.dataset.pixels import load_rgb, upright_rgb
from engine.dataset.scan import Dataset, ImageFile
from engine.dataset.tell import Tell, silent
from engine.protocol.errors import EngineError, ErrorInfo, describe
from engine.protocol.files import atomic_write
from engine.protocol.records import Crop, CropMode, Finding

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

ALIASES: dict[Size, Size] = {(512, 468): (512, 768)}
SHORTEST, LONGEST = 16, 8192
"""Sides of a size in pixels; a bake brings every crop to its bucket anyway."""
_WORKERS = 2
_DOUBT = 0.05
_HEAD = 4.0
"""Of somebody too tall for the part, the head shall be in it: what is cut off above costs four times as much."""
_LOOK = 640
"""Pictures are looked at no larger than this; a JPEG is decoded no larger."""
_FACES = 20
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


def focus_box(full: Size, size: Size, seen: Subject) -> tuple[Box, bool]:
    """That part, moved to where the subject is; and whether it cuts a face.

    Faces stay whole where they fit: all heads if there is room, else all faces, else the largest head, else its
    face. Upright, the face comes to lie above the middle. Without a face the part takes in most of what stands out.
    """
    width, height = part_size(full, size)
    if seen.faces:
        left = _around([(face[0], face[2]) for face in seen.faces], width, full[0], at=0.5, grown=(0.4, 0.4))
        top = _around([(face[1], face[3]) for face in seen.faces], height, full[1], at=0.4, grown=(0.6, 0.2))
    else:
        left = _most(seen.map.sum(axis=0), width, full[0], at=0.5)
        top = _most(seen.map.sum(axis=1), height, full[1], at=0.3, before=_HEAD)
    box = left, top, left + width, top + height
    return box, cuts(box, seen.faces)


def _around(spans: list[tuple[int, int]], window: int, whole: int, *, at: float, grown: tuple[float, float]) -> int:
    """Where a window begins that holds the spans (largest first), the middle of what it holds at the share `at`.

    `grown`: how much of its length a head reaches beyond a face, before and behind.
    """
    heads = [(a - grown[0] * (b - a), b + grown[1] * (b - a)) for a, b in spans]
    for group in (heads, spans, heads[:1], spans[:1]):
        first, last = max(0.0, min(a for a, _ in group)), min(float(whole), max(b for _, b in group))
        if last - first <= window:
            wanted = (first + last) / 2 - at * window
            inside = min(max(wanted, last - window), first)
            return round(min(max(inside, 0), whole - window))
    middle = sum(spans[0]) / 2
    return round(min(max(middle - window / 2, 0), whole - window))


def _most(profile: NDArray[np.float32], window: int, whole: int, *, at: float, before: float = 0.0) -> int:
    """Where a window begins that holds most of `profile`, which spans `whole` pixels; the middle weighs more than the
    window's rim, and what is lost before it counts `before` times more. In doubt it lies at the share `at` of the free
    way; in the middle where nothing stands out at all."""
    import numpy as np

    if whole == window or float(profile.sum()) <= 0:
        return (whole - window) // 2
    cells = len(profile)
    starts = np.linspace(0, whole - window, 65)
    places = (np.arange(cells) + 0.5) * whole / cells
    # From -1 at one rim of the window to 1 at the other.
    offset = (places[None, :] - starts[:, None]) / window * 2 - 1
    weight = np.where(np.abs(offset) <= 1, 1 - 0.5 * offset**2, 0)
    score = weight @ (profile / profile.sum())
    score -= before * ((offset < -1) @ (profile / profile.sum()))
    score -= _DOUBT * np.abs(np.linspace(0, 1, 65) - at)
    return round(float(starts[int(np.argmax(score))]))


def crop(
    dataset: Dataset,
    images: Sequence[ImageFile],
    size: Size,
    mode: CropMode = "center",
    finder: FaceFinder | None = None,
    tell: Tell = silent,
) -> tuple[int, list[Finding]]:
    """Crop the images to the shape of `size`, around their middle or (`focus`) their subject; unreadable ones are
    passed over, and named when looking for the subject found it out.

    Where a person chose the place, that counts: how many were left as they are or only brought to the new shape, and
    what failed. Raises EngineError `dataset_unwritable`, `path_outside` or `sidecar_unreadable`.
    """
    usable = [image for image in images if image.usable]
    crops: dict[str, Crop] = {}
    failed: list[Finding] = []
    kept = 0

    def one(image: ImageFile) -> Crop | ErrorInfo:
        full = (image.width, image.height)
        chosen = _chosen(image, size)
        if chosen is not None:
            return chosen
        if mode == "center":
            return Crop(box=centre_box(full, size), size=size, of=full)
        try:
            seen = look(image, finder)
        except EngineError as error:
            return error.info
        box, cut = focus_box(full, size, seen)
        return Crop(
            box=box,
            size=size,
            of=full,
            mode="focus",
            faces=len(seen.faces),
            face_boxes=seen.faces[:_FACES],
            cuts_face=cut,
        )

    try:
        with ThreadPoolExecutor(max_workers=_WORKERS) as pool:
            for number, (image, made) in enumerate(zip(usable, pool.map(one, usable), strict=True), 1):
                if isinstance(made, Crop):
                    crops[image.name] = made
                    kept += made.mode in ("point", "manual") or made.accepted
                else:
                    failed.append(_failure(image, made))
                tell(number, len(usable))
    finally:  # what was found before somebody ended it is kept, and can be taken back
        if crops:
            edits.set_facts(dataset.path, "crop", {"crops": crops})
    return kept, failed


def look(image: ImageFile, finder: FaceFinder | None) -> Subject:
    """Where the subject of an image is, in pixels of the upright picture.

    Raises EngineError `image_missing`, `image_unreadable`, `image_too_large` or `dataset_changed`.
    """
    full = (image.width, image.height)
    small, upright = upright_rgb(image.path, within=(_LOOK, _LOOK))
    if upright != full:
        raise EngineError("dataset_changed", count=1, file=image.name)
    scale = full[0] / small.width, full[1] / small.height
    seen = subject(small, finder)
    faces = [
        (int(a * scale[0]), int(b * scale[1]), min(full[0], round(c * scale[0])), min(full[1], round(d * scale[1])))
        for a, b, c, d in seen.faces
    ]
    return Subject(faces, seen.map)


def cuts(box: Box, faces: Sequence[Box]) -> bool:
    """Whether one of the faces is not whole in the box."""
    return any(f[0] < box[0] or f[1] < box[1] or f[2] > box[2] or f[3] > box[3] for f in faces)


def box_around(full: Size, size: Size, point: tuple[float, float]) -> Box:
    """The largest part of the shape of `size` whose middle is as near to `point` as the rim allows."""
    width, height = part_size(full, size)
    left = round(min(max(point[0] - width / 2, 0), full[0] - width))
    top = round(min(max(point[1] - height / 2, 0), full[1] - height))
    return left, top, left + width, top + height


def _chosen(image: ImageFile, size: Size) -> Crop | None:
    """The crop that follows from what a person chose, None where nobody did."""
    old = image.crop
    if old is None or not (old.accepted or old.mode in ("point", "manual")):
        return None
    if old.size == size:
        return old
    middle = old.point or ((old.box[0] + old.box[2]) / 2, (old.box[1] + old.box[3]) / 2)
    box = box_around(old.of, size, middle)
    return msgspec.structs.replace(old, box=box, size=size, accepted=False, cuts_face=cuts(box, old.face_boxes))


def clear(dataset: Dataset, images: Sequence[ImageFile]) -> None:
    """Let the whole pictures train again; raises EngineErrors as `crop` does."""
    edits.set_facts(dataset.path, "crop", {"crops": {image.name: sidecar.ABSENT for image in images}})


def export(
    dataset: Dataset,
    images: Sequence[ImageFile],
    folder: Path,
    tell: Tell = silent,
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
                failed.append(_failure(image, trouble))
            tell(len(written) + len(failed), len(cropped))
    repeats: dict[int, list[str]] = {}
    for image in written:
        if image.own_repeat is not None:
            repeats.setdefault(image.own_repeat, []).append(image.name)
    for repeat, names in repeats.items():
        sidecar.set_repeat(folder, names, repeat)
    return len(written), failed


def _failure(image: ImageFile, info: ErrorInfo) -> Finding:
    return Finding(file=image.name, code=info.code, message=info.message, hint=info.hint, args=info.args)


def _export(dataset: Dataset, image: ImageFile, folder: Path) -> ErrorInfo | None:
    assert image.crop is not None
    target = folder / image.path.relative_to(dataset.path)
    try:
        if os.path.lexists(target):
            raise EngineError("file_exists", file=image.name)
        data = encoded(image, image.crop)
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


def encoded(image: ImageFile, part: Crop) -> bytes:
    """The cropped picture at the size it was cropped for, in the format that the ending of its name promises.

    Raises EngineError `image_missing`, `image_unreadable`, `image_too_large` or `dataset_changed`.
    """
    from PIL import Image

    kind = _ENDINGS[image.path.suffix.lower()]
    return encode(Image.fromarray(load_rgb(image.path, exact_fit(part), draft=True)), kind, name=image.name)


def exact_fit(part: Crop) -> Fit:
    """The fit of `part.box` to `part.size`: covering it, so that nothing is stretched and nothing padded."""
    left, top, right, bottom = part.box
    return within(part.of, part.box, cover(right - left, bottom - top, part.size))
