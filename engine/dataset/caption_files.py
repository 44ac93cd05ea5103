"""Caption files as raw text, byte-order mark and line ends included, for edits that give every byte back.

What a caption means is `captions`' business; when its files are changed, the journal's.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from pathlib import Path
from types import TracebackType
from typing import NamedTuple

from engine.dataset import captions
from engine.dataset.names import inside, printable
from engine.protocol.errors import EngineError
from engine.protocol.files import fsync_dir

_MARK = "\ufeff"
_HEX = "\0"


_READING = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK

Stamp = tuple[int, int, int]
"""Time of the last change, size, and number of a file."""


class CaptionFile(NamedTuple):
    """The whole text of a file, its permissions, and its stamp at that time."""

    text: str
    mode: int
    stamp: Stamp = (0, 0, 0)


def escaped(relative: str) -> str:
    """A relative path as JSON can hold it."""
    try:
        relative.encode()
    except UnicodeEncodeError:
        return _HEX + os.fsencode(relative).hex()
    return relative


def from_relative(file: str) -> str:
    """The file system's spelling of a path that `escaped` wrote."""
    return os.fsdecode(bytes.fromhex(file[len(_HEX) :])) if file.startswith(_HEX) else file


class CaptionFolder:
    """The caption files below one folder; remembers which of its folders were found to lie inside it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._prefix = str(root).rstrip("/") + "/"
        self._cut = len(self._prefix)
        self._inside: set[str] = set()

    def path_of(self, file: str) -> str:
        """Where a file lies; raises EngineError `path_outside`."""
        relative = from_relative(file)
        path = self._prefix + relative
        folder = path.rpartition("/")[0]
        if folder not in self._inside:
            if os.path.isabs(relative) or ".." in relative.split("/") or not inside(self.root, Path(folder)):
                raise EngineError("path_outside", path=printable(path), root=printable(str(self.root)))
            self._inside.add(folder)
        return path

    def relative(self, path: str | Path) -> str:
        """A path below the folder as it stands in the journal: as it is, or in hexadecimal when it is not UTF-8."""
        text = str(path)
        return (
            escaped(text[self._cut :]) if text.startswith(self._prefix) else escaped(os.path.relpath(text, self.root))
        )

    def of_image(self, image: Path) -> str:
        """The caption file of an image, as `captions.caption_path` finds it."""
        stem = stem_of(os.fspath(image))
        for extension in captions.EXTENSIONS:
            with contextlib.suppress(OSError):
                mode = os.lstat(stem + extension).st_mode
                if stat.S_ISREG(mode) or (stat.S_ISLNK(mode) and captions.is_caption(Path(stem + extension))):
                    return self.relative(stem + extension)
        return self.relative(stem + captions.EXTENSIONS[0])

    def likely(self, image: Path, name: str) -> str:
        """The caption file that the image of this name most likely has, without a look at the disk."""
        if name.isascii():  # then it is spelt as the file is
            return stem_of(name) + captions.EXTENSIONS[0]
        return self.relative(stem_of(os.fspath(image)) + captions.EXTENSIONS[0])

    def read(self, file: str) -> CaptionFile | None:
        """A caption file whole; None when there is none.

        Raises EngineError `caption_undecodable`, `caption_too_long`, `path_outside` or `dataset_unreadable`.
        """
        path = self.path_of(file)
        try:
            fd = os.open(path, _READING | os.O_NOFOLLOW)
        except FileNotFoundError:
            return None
        except OSError as error:
            if error.errno == errno.ELOOP and captions.is_caption(Path(path)):
                return self._read(os.open(path, _READING), file)
            if error.errno == errno.ELOOP:
                return None
            raise EngineError("dataset_unreadable", path=printable(path), reason=error.strerror or str(error)) from None
        return self._read(fd, file)

    def stamp(self, file: str) -> Stamp | None:
        """What changes when anybody writes a file; None when there is none."""
        try:
            return stamp_of(os.stat(self.path_of(file)))
        except OSError:
            return None

    def _read(self, fd: int, file: str) -> CaptionFile | None:
        try:
            facts = os.fstat(fd)
            if not stat.S_ISREG(facts.st_mode):
                return None
            raw = os.read(fd, min(facts.st_size, captions.MAX_BYTES) + 1)
            if len(raw) > facts.st_size:  # it has grown meanwhile
                raw += os.read(fd, captions.MAX_BYTES)
        finally:
            os.close(fd)
        if len(raw) > captions.MAX_BYTES:
            raise EngineError("caption_too_long", file=printable(file), limit=captions.MAX_BYTES // 1024)
        try:
            return CaptionFile(raw.decode("utf-8"), stat.S_IMODE(facts.st_mode), stamp_of(facts))
        except UnicodeDecodeError:
            raise EngineError("caption_undecodable", file=printable(file)) from None


def stem_of(path: str) -> str:
    """A path without its ending, which `os.path.splitext` would tell after four times as long."""
    stem, dot, ending = path.rpartition(".")
    plain = dot and "/" not in ending and stem[-1:] not in ("", "/", ".")
    return stem if plain else os.path.splitext(path)[0]


def said(text: str | None) -> str | None:
    """What `captions.decode_caption` makes of a raw text."""
    if text is None:
        return None
    return text.removeprefix(_MARK).replace("\r\n", "\n").rstrip("\r\n")


def with_first_line(text: str | None, line: str) -> str:
    """The raw text with another first line; everything else stays as it is, byte for byte."""
    if text is None:
        return line
    mark = _MARK if text.startswith(_MARK) else ""
    first, newline, rest = text.removeprefix(_MARK).partition("\n")
    ending = "\r" if first.endswith("\r") else ""
    return mark + line + ending + newline + rest


def with_caption(text: str | None, caption: str) -> str:
    """The raw text with another caption: mark, line ends and a final newline stay as they were."""
    wanted = printable(caption).replace("\r\n", "\n").rstrip("\r\n")
    if text is None:
        return wanted
    mark = _MARK if text.startswith(_MARK) else ""
    body = wanted + ("\n" if text.endswith("\n") else "")
    return mark + (body.replace("\n", "\r\n") if "\r\n" in text else body)


def stamp_of(facts: os.stat_result) -> Stamp:
    """The stamp of a file."""
    return facts.st_mtime_ns, facts.st_size, facts.st_ino


class Writer:
    """Puts whole texts into place, each by one rename of the one temporary file; its owner holds the journal's lock.

    With `flush` every file is on the disk when its name is.
    """

    def __init__(self, files: CaptionFolder, part: Path, *, flush: bool) -> None:
        self.files = files
        self.part = str(part)
        self.flush = flush
        self._folders: set[str] = set()

    def __enter__(self) -> Writer:
        return self

    def put(self, file: str, text: str | None, mode: int) -> None:
        """Give a file this text; None removes it."""
        path = self.files.path_of(file)
        if self.flush:
            self._folders.add(os.path.dirname(path))
        if text is None:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(path)
            return
        try:
            self._write(self.part, text, mode)
            os.rename(self.part, path)
        except OSError as error:
            if error.errno != errno.EXDEV:
                raise
            beside = os.path.join(os.path.dirname(path), f".{os.path.basename(path)[:40]}.part")
            self._write(beside, text, mode)
            os.rename(beside, path)

    def _write(self, path: str, text: str, mode: int) -> None:
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            data = memoryview(text.encode())
            while data:
                data = data[os.write(fd, data) :]
            os.fchmod(fd, mode)
            if self.flush:
                os.fsync(fd)
        finally:
            os.close(fd)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with contextlib.suppress(OSError):
            os.unlink(self.part)
        for folder in self._folders:
            fsync_dir(Path(folder))
