"""Where many new files are made before they take the place of others: folders that are quick to make files in.

ext4 without a journal looks, for every new file, at each file that was deleted in its neighbourhood within the last
minutes. Where thousands were, 10,000 new ones take 5 s instead of 0.3; another neighbourhood is as quick as ever.
"""

from __future__ import annotations

import atexit
import contextlib
import fcntl
import os
import secrets
import struct
import threading
import time
from collections.abc import Sequence
from pathlib import Path

from engine.protocol.files import DIR_MODE

_GET_FLAGS, _SET_FLAGS, _TOP = 0x80086601, 0x40086602, 0x00020000
"""`FS_IOC_GETFLAGS`, `FS_IOC_SETFLAGS` and `FS_TOPDIR_FL`, the hint of `chattr +T`: folders in here are unrelated."""
_WRITING = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW
_LOOKED_AT = 32
_SLOW_SECONDS = 0.00008
"""Processor time of making one file, by `_LOOKED_AT` files at a time, from which on another folder is tried."""
_MOVES = 40
_LONG = "-" * 56
"""What names begin with: a block of a folder is searched from end to end, twice for every new file, so few long names
in it are quicker than many short ones (a fifth of the time of making a file)."""
_making = threading.Lock()
_known: set[Path] = set()
"""Workshops of this process; the host, which ends without Python's farewell, leaves them by itself."""


class Bench:
    """Makes files in a folder of its own below `workshop`, for one thread; `mask` is the process's umask."""

    def __init__(self, workshop: Path, mask: int) -> None:
        self._workshop = workshop
        self._mask = mask
        self._moves = 0
        self._prefix = self._folder()
        self._count = 0
        self._since = time.thread_time()

    def put(self, text: str | None, mode: int) -> str:
        """The path of a new file with this text; for None one where none is. Raises OSError."""
        self._count += 1
        part = f"{self._prefix}{self._count}"
        if text is None:
            return part
        data = text.encode()
        fd = os.open(part, _WRITING, mode)
        try:
            wrote = os.write(fd, data)
            while wrote < len(data):
                wrote += os.write(fd, data[wrote:])
            if mode & self._mask:
                os.fchmod(fd, mode)
        finally:
            os.close(fd)
        if not self._count % _LOOKED_AT:
            self._look()
        return part

    def _look(self) -> None:
        now = time.thread_time()
        if now - self._since > _LOOKED_AT * _SLOW_SECONDS and self._moves < _MOVES:
            self._moves += 1
            self._prefix = self._folder()
            now = time.thread_time()
        self._since = now

    def _folder(self) -> str:
        folder = f"{self._workshop}/{os.getpid()}-{secrets.token_hex(4)}"
        with _making:  # nobody takes the workshop away meanwhile
            with contextlib.suppress(FileExistsError):
                os.mkdir(self._workshop, DIR_MODE)
            _spread(self._workshop)
            os.mkdir(folder, DIR_MODE)
            if not _known:
                atexit.register(leave)
            _known.add(self._workshop)
        return f"{folder}/{_LONG}"


def folders(workshop: Path) -> list[str]:
    """The folders in it, of this process and of others; a link in the workshop's place has none."""
    try:
        return [] if workshop.is_symlink() else [entry.path for entry in os.scandir(workshop) if _is_folder(entry)]
    except OSError:
        return []


def _is_folder(entry: os.DirEntry[str]) -> bool:
    return entry.is_dir(follow_symlinks=False)


def sweep(workshop: Path, which: Sequence[str]) -> None:
    """Take away these folders of it with what lies in them, and the workshop when that was all."""
    for folder in which:
        with contextlib.suppress(OSError):
            for left in os.listdir(folder):
                os.unlink(f"{folder}/{left}")
            os.rmdir(folder)
    with _making, contextlib.suppress(OSError):
        os.rmdir(workshop)


def leave() -> None:
    """Take away what this process has made in any workshop; for its end."""
    own = f"/{os.getpid()}-"
    for workshop in _known:
        sweep(workshop, [folder for folder in folders(workshop) if own in folder])


def _spread(workshop: Path) -> None:
    """Let each folder in it begin in another neighbourhood of the disk; raises OSError when it is a link."""
    fd = os.open(workshop, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        with contextlib.suppress(OSError):  # other disks do not know the hint, nor need it
            flags = struct.unpack("l", fcntl.ioctl(fd, _GET_FLAGS, struct.pack("l", 0)))[0]
            fcntl.ioctl(fd, _SET_FLAGS, struct.pack("l", flags | _TOP))
    finally:
        os.close(fd)
