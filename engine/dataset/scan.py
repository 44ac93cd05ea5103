"""Opens a folder as a dataset: finds its images, reads sizes, captions and repeats, and names what is wrong.

Any layout will do: loose images, nested folders, kohya's `10_name/`. Nothing is changed on disk.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import msgspec

from engine.dataset import captions, sidecar
from engine.dataset.decode import EXTENSIONS, read_header
from engine.dataset.names import inside, printable, to_name
from engine.protocol.errors import EngineError, ErrorInfo, describe
from engine.protocol.records import Crop

_WORKERS = 4
_CHUNK = 50
_KOHYA_FOLDER = re.compile(r"(\d{1,4})_")


class ImageFile(msgspec.Struct, frozen=True, kw_only=True):
    """One image of a dataset.

    `name` is relative to the dataset (see `names`), `path` absolute as the file system spells it; width and
    height are pixels after EXIF rotation, 0 when `problem` says that the image cannot be used. `caption` is None
    without a caption file. `folder_repeat` comes from a `10_name/` folder, `own_repeat` from the sidecar; a repeat
    of 0 leaves the image out; `crop` is the part that trains, None for all of it. `problem` is a code of
    `errors.SENTENCES` or "".
    """

    name: str
    path: Path
    width: int = 0
    height: int = 0
    bytes: int = 0
    mtime_ns: int = 0
    caption: str | None = None
    folder_repeat: int | None = None
    own_repeat: int | None = None
    problem: str = ""
    crop: Crop | None = None

    @property
    def usable(self) -> bool:
        """Whether the image can train."""
        return self.width > 0 and self.height > 0

    @property
    def set_repeat(self) -> int | None:
        """The repeat that image or folder set; None leaves it to the bake's global repeat."""
        return self.folder_repeat if self.own_repeat is None else self.own_repeat


class Dataset(msgspec.Struct, frozen=True, kw_only=True):
    """An opened folder: its images by name, and what was found wrong (about files and about the whole)."""

    path: Path
    images: tuple[ImageFile, ...]
    findings: list[ErrorInfo] = []

    @property
    def usable(self) -> list[ImageFile]:
        """The images that can train."""
        return [image for image in self.images if image.usable]


class _Candidate(NamedTuple):
    name: str
    relative: str
    path: str
    folder_repeat: int | None
    caption: str | None  # path of the caption file


def scan(path: Path, *, previous: Dataset | None = None) -> Dataset:
    """Open the folder `path`; headers of files that `previous` knows unchanged (size, mtime) are not read again.

    Raises EngineError `dataset_missing`, `dataset_not_folder`, `dataset_unreadable` or `dataset_empty`; trouble
    with single files becomes findings and the row's `problem`.
    """
    root = _checked(path)
    findings: list[ErrorInfo] = []
    try:
        candidates = _unique(sorted(_walk(root, findings), key=lambda c: _natural(c.name)))
    except OSError as error:
        raise _folder_unreadable(root, error) from None
    if not candidates:
        raise EngineError("dataset_empty", path=printable(str(root)))
    try:
        kept = sidecar.read_sidecar(root)
    except EngineError as error:
        kept = sidecar.Sidecar()
        findings.append(error.info)
    known = {image.path: image for image in previous.images} if previous else {}
    twins = _shared_captions(candidates, findings)

    def read(candidate: _Candidate) -> tuple[ImageFile, list[ErrorInfo]]:
        return _read(candidate, kept, known, candidate.path in twins)

    # Threads hide the latency of a network disk; Pillow's header parsing itself holds the interpreter.
    chunks = [candidates[i : i + _CHUNK] for i in range(0, len(candidates), _CHUNK)]
    with ThreadPoolExecutor(max_workers=_WORKERS) as pool:
        rows = [row for chunk in pool.map(lambda chunk: [read(one) for one in chunk], chunks) for row in chunk]
    for _, trouble in rows:
        findings.extend(trouble)
    return Dataset(path=root, images=tuple(image for image, _ in rows), findings=findings)


def _checked(path: Path) -> Path:
    root = Path(os.path.abspath(path.expanduser()))
    try:
        if not root.exists():
            raise EngineError("dataset_missing", path=printable(str(root)))
        if not root.is_dir():
            raise EngineError("dataset_not_folder", path=printable(str(root)))
    except (OSError, ValueError) as error:
        raise _folder_unreadable(root, error) from None
    return root


def _walk(root: Path, findings: list[ErrorInfo]) -> Iterator[_Candidate]:
    """Every image file below `root`; hidden folders, links that lead outside and odd files are left out."""
    pending: list[tuple[str, int | None]] = [("", None)]
    while pending:
        relative, repeat = pending.pop()
        try:
            entries = list(os.scandir(root / relative))
        except OSError as error:
            if not relative:
                raise
            findings.append(_folder_unreadable(root / relative, error).info)
            continue
        beside = {entry.name: entry for entry in entries}
        for entry in entries:
            below = f"{relative}/{entry.name}" if relative else entry.name
            if entry.name.startswith(".") or entry.name == "__MACOSX":
                continue
            if entry.is_dir(follow_symlinks=False):
                match = _KOHYA_FOLDER.match(entry.name)
                pending.append((below, int(match[1]) if match else repeat))
            elif os.path.splitext(entry.name)[1].lower() in EXTENSIONS:
                if entry.is_symlink() and not inside(root, Path(entry.path)):
                    findings.append(describe("path_outside", path=printable(below), root=printable(str(root))))
                elif entry.is_file():
                    yield _Candidate(to_name(below), below, entry.path, repeat, _caption_beside(entry, beside))


def _caption_beside(image: os.DirEntry[str], beside: dict[str, os.DirEntry[str]]) -> str | None:
    stem = os.path.splitext(image.name)[0]
    for extension in captions.EXTENSIONS:
        entry = beside.get(stem + extension)
        # What the listing knows without asking the disk again; a link is looked at closely.
        if entry is not None and (
            entry.is_file(follow_symlinks=False) or (entry.is_symlink() and captions.is_caption(Path(entry.path)))
        ):
            return entry.path
    return None


def _natural(name: str) -> list[tuple[int, int, str]]:
    """Sort key that puts 2.png before 10.png."""
    parts = re.split(r"(\d{1,18})", name.casefold())
    return [(0, int(part), "") if i % 2 else (1, 0, part) for i, part in enumerate(parts)] + [(2, 0, name)]


def _unique(candidates: list[_Candidate]) -> list[_Candidate]:
    """Two spellings of one name (composed and decomposed) keep apart: the later one keeps its own spelling."""
    seen: set[str] = set()
    result = []
    for candidate in candidates:
        name = candidate.name
        if name in seen:
            name = printable(candidate.relative)
        if name not in seen:
            seen.add(name)
            result.append(candidate._replace(name=name))
    return result


def _shared_captions(candidates: list[_Candidate], findings: list[ErrorInfo]) -> set[str]:
    first: dict[str, _Candidate] = {}
    twins: set[str] = set()
    for candidate in candidates:
        stem = os.path.splitext(candidate.path)[0]
        other = first.setdefault(stem, candidate)
        if other is not candidate:
            twins.update((other.path, candidate.path))
            findings.append(describe("same_stem", file=candidate.name, other=other.name))
    return twins


def _read(
    candidate: _Candidate, kept: sidecar.Sidecar, known: dict[Path, ImageFile], twin: bool
) -> tuple[ImageFile, list[ErrorInfo]]:
    path, trouble = Path(candidate.path), []
    width = height = size = mtime = 0
    try:
        stat = os.stat(path)
        size, mtime = stat.st_size, stat.st_mtime_ns
        before = known.get(path)
        if before is not None and before.usable and (before.bytes, before.mtime_ns) == (size, mtime):
            width, height = before.width, before.height
        else:
            width, height = read_header(path, candidate.name)
    except EngineError as error:
        trouble.append(error.info)
    except OSError as error:
        reason = error.strerror or str(error)
        trouble.append(describe("image_unreadable", file=candidate.name, reason=reason))
    caption = None
    if candidate.caption is not None:
        try:
            with open(candidate.caption, "rb") as file:
                raw = file.read(captions.MAX_BYTES + 1)
            caption = captions.decode_caption(raw, os.path.splitext(candidate.name)[0] + ".txt")
        except EngineError as error:
            trouble.append(error.info)
            caption = ""
        except OSError as error:
            trouble.append(_folder_unreadable(Path(candidate.caption), error).info)
    crop = kept.crops.get(candidate.name)
    if crop is not None and width and not fits(crop, width, height):
        trouble.append(describe("crop_void", file=candidate.name))
        crop = None
    problem = trouble[0].code if trouble else "same_stem" if twin else ""
    image = ImageFile(
        name=candidate.name,
        path=path,
        width=width,
        height=height,
        bytes=size,
        mtime_ns=mtime,
        caption=caption,
        folder_repeat=candidate.folder_repeat,
        own_repeat=kept.repeats.get(candidate.name),
        problem=problem,
        crop=crop,
    )
    return image, trouble


def fits(crop: Crop, width: int, height: int) -> bool:
    """Whether a crop was made for a picture of this size and lies in it; the file it comes from may say anything."""
    left, top, right, bottom = crop.box
    return crop.of == (width, height) and 0 <= left < right <= width and 0 <= top < bottom <= height


def _folder_unreadable(path: Path, error: Exception) -> EngineError:
    reason = (isinstance(error, OSError) and error.strerror) or str(error)
    return EngineError("dataset_unreadable", path=printable(str(path)), reason=reason)


def find(dataset: Dataset, name: str) -> ImageFile:
    """The image called `name`; raises EngineError `image_missing`."""
    for image in dataset.images:
        if image.name == name:
            return image
    raise EngineError("image_missing", file=printable(name))


def reread(dataset: Dataset, names: Sequence[str]) -> Dataset:
    """`dataset` with captions and repeats of the named images read again; all else as it was scanned."""
    wanted = set(names)
    kept = sidecar.read_sidecar(dataset.path)
    images = tuple(_reread(image, kept) if image.name in wanted else image for image in dataset.images)
    return msgspec.structs.replace(dataset, images=images)


def _reread(image: ImageFile, kept: sidecar.Sidecar) -> ImageFile:
    problem = "" if image.problem == "caption_undecodable" else image.problem
    try:
        caption = captions.read_caption(image.path)
    except EngineError as error:
        caption, problem = "", problem or error.info.code
    crop = kept.crops.get(image.name)
    return msgspec.structs.replace(
        image,
        caption=caption,
        own_repeat=kept.repeats.get(image.name),
        crop=crop if crop is not None and fits(crop, image.width, image.height) else None,
        problem="" if problem == "crop_void" else problem,
    )
