"""Puts many texts into the place of files quickly: each new file changes names with the old one in a single step.

A plain rename onto a file makes the disk write the new one at once (ext4), which costs more than all the rest; and the
old file is in our hands afterwards, so that what another program wrote in the last moment is seen, and put back.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
from collections.abc import Callable
from pathlib import Path
from types import TracebackType

from engine.dataset.caption_files import CaptionFile, CaptionFolder, stamp_of

_NEW, _EXCHANGE = 1, 2
_HERE = -100
_UNFIT = frozenset({errno.EINVAL, errno.ENOSYS, errno.EXDEV, errno.EOPNOTSUPP})


def _call(name: str) -> Callable[..., int] | None:
    try:
        found: Callable[..., int] = getattr(ctypes.CDLL(None, use_errno=True), name)
    except (OSError, AttributeError):
        return None
    return found


_renameat2 = _call("renameat2")


class Swapper:
    """Changes files below `files` by way of one temporary file; its owner holds the journal's lock."""

    def __init__(self, files: CaptionFolder, part: Path) -> None:
        self.files = files
        self._part = os.fspath(part)
        self._raw = os.fsencode(part)
        self._mask = 0

    def __enter__(self) -> Swapper:
        self._mask = os.umask(0o022)
        os.umask(self._mask)
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self._part)
        return self

    def put(self, file: str, text: str | None, found: CaptionFile | None) -> bool:
        """Give a file this text, None removes it; False, and all is as it was, when it is not what was `found`.

        Raises EngineError `path_outside`, or OSError, of which `unfit` tells those that another way may not have.
        """
        path = self.files.path_of(file)
        if text is None:
            try:
                os.rename(path, self._part)
            except FileNotFoundError:
                return found is None
            return self._settle(found, path, _NEW)
        self._write(text, found.mode if found is not None else 0o644)
        if found is None:
            try:
                _rename(self._raw, path, _NEW)
            except FileExistsError:
                os.unlink(self._part)
                return False
            return True
        try:
            _rename(self._raw, path, _EXCHANGE)
        except FileNotFoundError:  # somebody took the file away meanwhile
            os.unlink(self._part)
            return False
        return self._settle(found, path, _EXCHANGE)

    def _write(self, text: str, mode: int) -> None:
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW
        fd = os.open(self._part, flags, mode)
        try:
            data = text.encode()
            wrote = os.write(fd, data)
            while wrote < len(data):
                wrote += os.write(fd, data[wrote:])
            if mode & self._mask:
                os.fchmod(fd, mode)
        finally:
            os.close(fd)

    def _settle(self, found: CaptionFile | None, path: str, flags: int) -> bool:
        """Throw the old file away if it is what was found, else put it back."""
        if found is not None and stamp_of(os.lstat(self._part)) == found.stamp:
            os.unlink(self._part)
            return True
        _rename(self._raw, path, flags)
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self._part)
        return False

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self._part)


def _rename(part: bytes, path: str, flags: int) -> None:
    if _renameat2 is None:
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS), path)
    if _renameat2(_HERE, part, _HERE, os.fsencode(path), flags) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), path)


def unfit(error: OSError) -> bool:
    """Whether this disk, or these two disks, cannot change names."""
    return error.errno in _UNFIT
