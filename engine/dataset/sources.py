"""What shall be added to a dataset, found and judged before anything is written: files, folders, zip archives.

No link is followed, nothing outside what was named is touched, and an archive is believed in nothing: names, sizes and
counts are checked before and while it is read.
"""

from __future__ import annotations

import contextlib
import os
import stat
import zipfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import BinaryIO, NamedTuple

from engine.dataset import captions
from engine.dataset.decode import EXTENSIONS
from engine.dataset.encodings import guess
from engine.dataset.listing import KOHYA_FOLDER
from engine.dataset.names import printable
from engine.protocol.errors import EngineError, ErrorInfo, describe

MAX_FILE_BYTES = 512 * 1024 * 1024
"""No image is larger: 150 megapixels of 16-bit RGBA are 1.2 GB at worst, and real pictures compress."""
MAX_ZIP_BYTES = 64 * 1024 * 1024 * 1024
MAX_ZIP_ENTRIES = 200_000
MAX_RATIO = 200
"""Unpacked to packed: pictures are packed already, a bomb is a thousand to one."""
_RATIO_FROM = 1024 * 1024
"""Smaller files may be as regular as they like."""
_CHUNK = 1 << 20
_UTF8_NAME = 0x800
"""The flag of an entry whose name is UTF-8."""
_SKIPPED = frozenset({"__MACOSX", ".git", ".lorabake"})


class Source(NamedTuple):
    """One image to add: where it shall lie in the dataset ("" in front for the top), how messages call it, the file
    it is, or the archive and the entry in it; and its caption the same way (None for none)."""

    relative: str
    title: str
    path: Path
    entry: str = ""
    caption: Path | None = None
    caption_entry: str = ""


class Refusal(NamedTuple):
    """What is not added, and why."""

    title: str
    why: ErrorInfo


class Notice(NamedTuple):
    """What to know of sources that are added all the same."""

    title: str
    what: ErrorInfo


Found = Source | Refusal | Notice


def find_sources(names: list[str]) -> Iterator[Found]:
    """The images of the named files, folders and archives, in order; what cannot be taken as a refusal."""
    for name in names:
        path, title = Path(name), printable(name)
        try:
            mode = os.lstat(path).st_mode
            if stat.S_ISLNK(mode):
                yield Refusal(title, describe("add_link", file=title))
            elif stat.S_ISDIR(mode):
                yield from _folder(path)
            elif not stat.S_ISREG(mode):
                yield Refusal(title, describe("add_kind", file=title))
            elif path.suffix.lower() in EXTENSIONS:
                yield _file(path, path.name, title)
            elif zipfile.is_zipfile(path):
                yield from _archive(path)
            else:
                yield Refusal(title, describe("add_kind", file=title))
        except (OSError, ValueError) as error:
            yield Refusal(title, describe("add_unreadable", file=title, reason=_reason(error)))


def _reason(error: Exception) -> str:
    return (isinstance(error, OSError) and error.strerror) or printable(str(error))[:120] or type(error).__name__


def _file(path: Path, relative: str, title: str) -> Source:
    caption = captions.caption_path(path)
    ordinary = caption.is_file() and not caption.is_symlink()
    return Source(relative, title, path, caption=caption if ordinary else None)


def _folder(root: Path) -> Iterator[Source | Refusal]:
    """The images below a folder, which keeps its own name only where that says a repeat (`10_mira`)."""
    above = root.parent if KOHYA_FOLDER.match(root.name) else root
    pending = [root]
    while pending:
        here = pending.pop()
        try:
            with os.scandir(here) as found:
                entries = sorted(found, key=lambda entry: entry.name)
        except OSError as error:
            title = printable(str(here))
            yield Refusal(title, describe("add_unreadable", file=title, reason=_reason(error)))
            continue
        below: list[Path] = []
        for entry in entries:
            path = Path(entry.path)
            if entry.name.startswith(".") or entry.name in _SKIPPED:
                continue
            if entry.is_symlink():
                if path.suffix.lower() in EXTENSIONS or entry.is_dir():
                    yield Refusal(printable(entry.path), describe("add_link", file=printable(entry.path)))
            elif entry.is_dir(follow_symlinks=False):
                below.append(path)
            elif path.suffix.lower() in EXTENSIONS and entry.is_file(follow_symlinks=False):
                yield _file(path, str(path.relative_to(above)), printable(entry.path))
            elif path.suffix.lower() in EXTENSIONS:
                yield Refusal(printable(entry.path), describe("image_not_file", file=printable(entry.path)))
        pending += reversed(below)


def _archive(path: Path) -> Iterator[Found]:
    title = printable(str(path))
    try:
        with zipfile.ZipFile(path) as archive:
            entries = archive.infolist()
    except (zipfile.BadZipFile, NotImplementedError, RecursionError, ValueError, EOFError) as error:
        yield Refusal(title, describe("zip_broken", file=title, reason=_reason(error)))
        return
    if len(entries) > MAX_ZIP_ENTRIES:
        yield Refusal(title, describe("zip_bomb", file=title, reason=f"{len(entries)} entries"))
        return
    images = [entry for entry in entries if _ending(entry.filename) in EXTENSIONS and not entry.is_dir()]
    if sum(entry.file_size for entry in images) > MAX_ZIP_BYTES:
        yield Refusal(title, describe("zip_bomb", file=title, reason="more than 64 GB unpacked"))
        return
    texts = {entry.filename: entry for entry in entries if entry.filename.endswith(captions.EXTENSIONS)}
    meant, encoding = _meant_names(entries)
    example = printable(next((meant[entry.filename] for entry in images if entry.filename in meant), ""))
    if encoding and example:
        yield Notice(title, describe("zip_names", file=title, encoding=encoding, example=example))
    seen: set[str] = set()
    for entry in images:
        name = meant.get(entry.filename, entry.filename)
        shown = f"{title}: {printable(name)}"
        parts = PurePosixPath(name.replace("\\", "/")).parts
        if any((part.startswith(".") and part not in ("..", "/")) or part in _SKIPPED for part in parts):
            continue
        refused = _refused(entry, parts, shown)
        if refused is None and entry.filename in seen:
            refused = describe("file_exists", file=shown)
        seen.add(entry.filename)
        if refused is not None:
            yield Refusal(shown, refused)
            continue
        stem = entry.filename[: -len(_ending(entry.filename))]
        words = next((stem + ending for ending in captions.EXTENSIONS if stem + ending in texts), "")
        if words and _refused(texts[words], parts, shown):
            words = ""
        yield Source("/".join(parts), shown, path, entry.filename, caption_entry=words)


def _meant_names(entries: list[zipfile.ZipInfo]) -> tuple[dict[str, str], str]:
    """How names that are not marked as UTF-8 are meant, by how they were read; and the encoding, where it is a guess.

    Zip knows UTF-8 and the signs of the first PCs; packers of Chinese and Japanese systems write neither, and some
    write UTF-8 without saying so.
    """
    odd: dict[str, bytes] = {}
    for entry in entries:
        if not entry.flag_bits & _UTF8_NAME and not entry.filename.isascii():
            with contextlib.suppress(UnicodeEncodeError):  # told right in a field of its own
                odd[entry.filename] = entry.filename.encode("cp437")
    if not odd:
        return {}, ""
    try:
        return {stored: raw.decode() for stored, raw in odd.items()}, ""
    except UnicodeDecodeError:
        guessed = guess(b"\n".join(odd.values()))
    if guessed is None or guessed.encoding.startswith("utf-16"):
        return {name: name for name in odd}, "CP437"
    return {stored: raw.decode(guessed.encoding) for stored, raw in odd.items()}, guessed.encoding.upper()


def _ending(name: str) -> str:
    return os.path.splitext(name)[1].lower()


def _refused(entry: zipfile.ZipInfo, parts: tuple[str, ...], shown: str) -> ErrorInfo | None:
    """Why an entry is not taken by what the archive says of it; when it is read, it is counted again."""
    mode = entry.external_attr >> 16
    if not parts or parts[0] == "/" or ".." in parts or "\0" in entry.filename or ":" in parts[0]:
        return describe("zip_path", file=shown)
    if any(len(os.fsencode(part)) > 240 for part in parts) or len(entry.filename) > 2000:
        return describe("zip_path", file=shown)
    if stat.S_ISLNK(mode):
        return describe("add_link", file=shown)
    if mode and stat.S_IFMT(mode) not in (0, stat.S_IFREG):
        return describe("add_kind", file=shown)
    if entry.flag_bits & 1:
        return describe("zip_locked", file=shown)
    if entry.file_size > MAX_FILE_BYTES:
        return describe("zip_bomb", file=shown, reason=f"{entry.file_size // 1_000_000} MB")
    if entry.file_size > _RATIO_FROM and entry.file_size > MAX_RATIO * max(1, entry.compress_size):
        return describe("zip_bomb", file=shown, reason=f"{entry.file_size // max(1, entry.compress_size)} : 1")
    return None


def copy(source: Source, target: Path, archive: zipfile.ZipFile | None) -> None:
    """Write the image to the new file `target` and flush it; raises EngineError or OSError, and leaves nothing then."""
    _written(source.path, source.entry, target, archive, source.title, MAX_FILE_BYTES)


def copy_caption(source: Source, target: Path, archive: zipfile.ZipFile | None) -> ErrorInfo | None:
    """The same for the caption, if there is one; what is wrong with it keeps no image away, and is the answer."""
    if source.caption is None and not source.caption_entry:
        return None
    path = source.caption or source.path
    try:
        _written(path, source.caption_entry, target, archive, source.title, captions.MAX_BYTES)
    except (EngineError, OSError) as error:
        long = isinstance(error, EngineError) and error.info.code == "zip_bomb"
        reason = f"it is longer than {captions.MAX_BYTES // 1024} KiB" if long else _reason(error)
        return describe("add_caption", file=source.title, reason=reason)
    return None


def _written(path: Path, entry: str, target: Path, archive: zipfile.ZipFile | None, title: str, limit: int) -> None:
    try:
        with _opened(path, entry, archive) as read, open(target, "xb") as write:
            left = limit
            while block := read.read(_CHUNK):
                left -= len(block)
                if left < 0:
                    raise EngineError("zip_bomb", file=title, reason=f"more than {limit // 1_000_000} MB")
                write.write(block)
            write.flush()
            os.fchmod(write.fileno(), 0o644)
            os.fsync(write.fileno())
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError, ValueError) as error:
        target.unlink(missing_ok=True)
        raise EngineError("zip_broken", file=title, reason=_reason(error)) from None
    except Exception as error:
        target.unlink(missing_ok=True)
        if type(error).__module__ in ("zlib", "lzma", "_lzma", "bz2"):  # damaged streams
            raise EngineError("zip_broken", file=title, reason=_reason(error)) from None
        raise


def _opened(path: Path, entry: str, archive: zipfile.ZipFile | None) -> BinaryIO:
    if archive is not None and entry:
        return archive.open(entry)  # type: ignore[return-value]
    # Not through a link that took the file's place meanwhile, and never waiting for a pipe.
    return os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC), "rb")
