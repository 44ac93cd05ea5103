"""Opens a folder as a dataset: reads sizes, captions, repeats and crops of its images, and names what is wrong.

Which images there are, `listing` says. Nothing is changed on disk.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec

from engine.dataset import captions, headers, sidecar
from engine.dataset.decode import read_header
from engine.dataset.listing import Entry, Listing, folder_repeat, folder_unreadable, listing
from engine.dataset.names import printable
from engine.protocol.errors import EngineError, ErrorInfo, describe
from engine.protocol.records import Crop

_WORKERS = 2
_FIRST = 60
_CHUNK = 50
_POLITE = 8
"""Added to the niceness of threads that read thousands of files."""


class ImageFile(msgspec.Struct, frozen=True, kw_only=True):
    """One image of a dataset.

    `name` is relative to the dataset (see `names`), `path` absolute as the file system spells it; width and
    height are pixels after EXIF rotation, 0 when `problem` says that the image cannot be used. `caption` is None
    without a caption file. `folder_repeat` comes from a `10_name/` folder or the sidecar, `mark_repeat` and
    `own_repeat` from the sidecar; a repeat of 0 leaves the image out; `crop` is the part that trains, None for all of
    it. With `flip` it trains mirrored as well, `flip_repeat` times or as often as itself. `problem` is a code of
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
    mark_repeat: int | None = None
    own_repeat: int | None = None
    problem: str = ""
    crop: Crop | None = None
    marks: str = ""
    flip: bool = False
    flip_repeat: int | None = None

    @property
    def usable(self) -> bool:
        """Whether the image can train."""
        return self.width > 0 and self.height > 0

    @property
    def set_repeat(self) -> int | None:
        """The repeat that image, mark or folder set; None leaves it to the bake's global repeat."""
        if self.own_repeat is not None:
            return self.own_repeat
        return self.folder_repeat if self.mark_repeat is None else self.mark_repeat


class Dataset(msgspec.Struct, frozen=True, kw_only=True):
    """An opened folder: its images by name, and what was found wrong (about files and about the whole)."""

    path: Path
    images: tuple[ImageFile, ...]
    findings: list[ErrorInfo] = []

    @property
    def usable(self) -> list[ImageFile]:
        """The images that can train."""
        return [image for image in self.images if image.usable]


class Reading:
    """A dataset that is being read, from the first image on: rows can be had before all are there."""

    def __init__(self, path: Path, previous: Dataset | None = None) -> None:
        """List the folder at once, raising EngineErrors as `scan` does, and begin to read behind the caller's back."""
        self.listing = listing(path)
        self._previous = previous
        self._rows: list[ImageFile] = []
        self._news = threading.Condition()
        self._dataset: Dataset | None = None
        self._failure: Exception | None = None

    def start(self, then: Callable[[Dataset | None], None]) -> None:
        """Read behind the caller's back; `then` is told the end (None: it failed) before anybody who waits for it."""
        threading.Thread(target=self._read, args=(then,), name="scan", daemon=True).start()

    def rows(self, count: int, *, better: int = 0, patience: float = 0.0) -> list[ImageFile]:
        """The images read so far, as soon as these are `count` or all; `better` many, where `patience` seconds do."""
        with self._news:
            self._news.wait_for(lambda: len(self._rows) >= count or self._over)
            self._news.wait_for(lambda: len(self._rows) >= better or self._over, patience)
            if self._failure is not None:
                raise self._failure
            return self._rows

    def dataset(self, timeout: float | None = None) -> Dataset | None:
        """The whole, None when it is not there in time."""
        with self._news:
            self._news.wait_for(lambda: self._over, timeout)
            if self._failure is not None:
                raise self._failure
            return self._dataset

    @property
    def _over(self) -> bool:
        return self._dataset is not None or self._failure is not None

    def _read(self, then: Callable[[Dataset | None], None]) -> None:
        dataset, failure = None, None
        try:
            dataset = _read_all(self.listing, self._previous, self._tell)
        except Exception as error:  # raised again where somebody waits
            failure = error
        then(dataset)
        with self._news:
            self._dataset, self._failure = dataset, failure
            self._news.notify_all()

    def _tell(self, rows: list[ImageFile]) -> None:
        with self._news:
            self._rows.extend(rows)
            self._news.notify_all()


def scan(path: Path, *, previous: Dataset | None = None) -> Dataset:
    """Open the folder `path`; headers of files that `previous` or the cache know unchanged are not read again.

    Raises EngineError `dataset_missing`, `dataset_not_folder`, `dataset_unreadable` or `dataset_empty`; trouble
    with single files becomes findings and the row's `problem`.
    """
    return _read_all(listing(path), previous, lambda rows: None)


def _read_all(found: Listing, previous: Dataset | None, tell: Callable[[list[ImageFile]], None]) -> Dataset:
    known = headers.of(previous.images) if previous else headers.load(found.root)
    findings = list(found.findings)
    images: list[ImageFile] = []
    entries = found.entries

    def take(rows: list[tuple[ImageFile, list[ErrorInfo]]]) -> None:
        images.extend(image for image, _ in rows)
        for _, trouble in rows:
            findings.extend(trouble)
        tell([image for image, _ in rows])

    # What stands on the first screen comes before the rest takes the processor.
    take([_read(entry, found, known) for entry in entries[:_FIRST]])
    chunks = [entries[i : i + _CHUNK] for i in range(_FIRST, len(entries), _CHUNK)]
    # Threads hide the latency of a network disk; Pillow's header parsing itself holds the interpreter.
    with ThreadPoolExecutor(max_workers=_WORKERS, initializer=_give_way) as pool:
        for rows in pool.map(lambda chunk: [_read(entry, found, known) for entry in chunk], chunks):
            take(rows)
    headers.store(found.root, images, known)
    return Dataset(path=found.root, images=tuple(images), findings=findings)


def _give_way() -> None:
    """Let this thread read only when nobody else needs the processor: a person may be moving through what is there."""
    with contextlib.suppress(OSError, AttributeError):  # where threads have no priority of their own
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), os.getpriority(os.PRIO_PROCESS, 0) + _POLITE)


def _read(entry: Entry, found: Listing, known: headers.Headers) -> tuple[ImageFile, list[ErrorInfo]]:
    path, kept, trouble = found.root / entry.relative, found.kept, []
    width = height = size = mtime = 0
    try:
        stat = os.stat(path)
        size, mtime = stat.st_size, stat.st_mtime_ns
        before = known.get(entry.name)
        if before is not None and before[:2] == (size, mtime):
            width, height = before[2:]
        else:
            width, height = read_header(path, entry.name)
    except EngineError as error:
        trouble.append(error.info)
    except OSError as error:
        trouble.append(describe("image_unreadable", file=entry.name, reason=error.strerror or str(error)))
    caption = None
    if entry.caption:
        beside = path.with_suffix(entry.caption)
        try:
            with open(beside, "rb") as file:
                raw = file.read(captions.MAX_BYTES + 1)
            caption = captions.decode_caption(raw, os.path.splitext(entry.name)[0] + ".txt")
        except EngineError as error:
            trouble.append(error.info)
            caption = ""
        except OSError as error:
            trouble.append(folder_unreadable(beside, error).info)
    crop = kept.crops.get(entry.name)
    if crop is not None and width and not fits(crop, width, height):
        trouble.append(describe("crop_void", file=entry.name))
        crop = None
    marks = kept.marks.get(entry.name, "")
    image = ImageFile(
        name=entry.name,
        path=path,
        width=width,
        height=height,
        bytes=size,
        mtime_ns=mtime,
        caption=caption,
        folder_repeat=entry.folder_repeat,
        mark_repeat=_of_marks(marks, kept.mark_repeats),
        own_repeat=kept.repeats.get(entry.name),
        problem=trouble[0].code if trouble else "same_stem" if entry.relative in found.twins else "",
        crop=crop,
        marks=marks,
        flip=entry.name in kept.flips,
        flip_repeat=kept.flips.get(entry.name),
    )
    return image, trouble


def _of_marks(marks: str, repeats: Mapping[str, int]) -> int | None:
    """The highest of the repeats that an image's marks set."""
    return max((repeats[mark] for mark in marks if mark in repeats), default=None) if repeats else None


def fits(crop: Crop, width: int, height: int) -> bool:
    """Whether a crop was made for a picture of this size and lies in it; the file it comes from may say anything."""
    left, top, right, bottom = crop.box
    return crop.of == (width, height) and 0 <= left < right <= width and 0 <= top < bottom <= height


def find(dataset: Dataset, name: str) -> ImageFile:
    """The image called `name`; raises EngineError `image_missing`."""
    for image in dataset.images:
        if image.name == name:
            return image
    raise EngineError("image_missing", file=printable(name))


def find_all(dataset: Dataset, names: Sequence[str]) -> list[ImageFile]:
    """The images of these names, each once, in this order; raises EngineError `image_missing`."""
    by_name = {image.name: image for image in dataset.images}
    for name in names:
        if name not in by_name:
            raise EngineError("image_missing", file=printable(name))
    return [by_name[name] for name in dict.fromkeys(names)]


def reread(dataset: Dataset, names: Sequence[str]) -> Dataset:
    """`dataset` with captions and facts of the named images read again; all else as it was scanned."""
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
    marks = kept.marks.get(image.name, "")
    return msgspec.structs.replace(
        image,
        caption=caption,
        folder_repeat=folder_repeat(image.name, kept),
        mark_repeat=_of_marks(marks, kept.mark_repeats),
        own_repeat=kept.repeats.get(image.name),
        crop=crop if crop is not None and fits(crop, image.width, image.height) else None,
        problem="" if problem == "crop_void" else problem,
        marks=marks,
        flip=image.name in kept.flips,
        flip_repeat=kept.flips.get(image.name),
    )
