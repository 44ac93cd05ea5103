"""Durable file primitives: atomic replacement, private folders, and the lock that says a process lives.

Policy (which files, where) belongs to the callers.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import struct
import tempfile
from collections.abc import Iterator
from pathlib import Path

DIR_MODE = 0o700
FILE_MODE = 0o600
DISK_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
"""What the system says when a file cannot grow: no space, no quota, or a limit on the size of a file."""


def make_private_dir(path: Path) -> Path:
    """Create `path` and its missing parents with mode 0700; an existing folder keeps its mode."""
    path.mkdir(mode=DIR_MODE, parents=True, exist_ok=True)
    return path


def fsync_dir(path: Path) -> None:
    """Make a rename inside `path` survive a power cut."""
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


@contextlib.contextmanager
def atomic_path(path: Path, *, mode: int | None = None) -> Iterator[Path]:
    """Yield a temporary path beside `path`; on success fsync it and rename it over `path`.

    An existing file keeps its permission bits unless `mode` is given; a new one gets 0600.
    On an exception the temporary file is removed and `path` is untouched.
    """
    fd, name = tempfile.mkstemp(prefix=f".{path.name[:40]}.", suffix=".part", dir=path.parent)
    os.close(fd)
    temporary = Path(name)
    try:
        yield temporary
        with open(temporary, "rb") as handle:
            os.fsync(handle.fileno())
        os.chmod(temporary, mode if mode is not None else _mode_of(path))
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    fsync_dir(path.parent)


def atomic_write(path: Path, data: bytes, *, mode: int | None = None) -> None:
    """Replace the content of `path` by `data`: a reader sees the old bytes or the new ones, never a mixture."""
    with atomic_path(path, mode=mode) as temporary:
        temporary.write_bytes(data)


def _mode_of(path: Path) -> int:
    try:
        return path.stat().st_mode & 0o7777
    except FileNotFoundError:
        return FILE_MODE


class Lock:
    """A POSIX record lock on a whole file, held until `release` or until the process dies, however it dies.

    `lockf` and not `flock`: a forked child would keep an flock held after its parent is gone. A process
    must open a lock file only through one `Lock`, since closing any descriptor of the file drops the lock.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._fd: int | None = None

    @classmethod
    def taken_over(cls, path: Path, descriptor: int) -> Lock:
        """The lock that this process held before it was replaced by `exec`, by its descriptor."""
        lock = cls(path)
        os.set_inheritable(descriptor, False)
        lock._fd = descriptor
        return lock

    @property
    def descriptor(self) -> int:
        """Of the locked file, for `taken_over`; raises ValueError when the lock is not held."""
        if self._fd is None:
            raise ValueError(f"{self.path} is not held")
        return self._fd

    def acquire(self, *, blocking: bool = False) -> bool:
        """Take the lock; returns False when another process has it and `blocking` is false."""
        fd = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, FILE_MODE)
        try:
            fcntl.lockf(fd, fcntl.LOCK_EX | (0 if blocking else fcntl.LOCK_NB))
        except OSError as error:
            os.close(fd)
            if error.errno in (errno.EACCES, errno.EAGAIN):
                return False
            raise
        self._fd = fd
        return True

    def release(self) -> None:
        """Give the lock back; a lock that is not held is left alone."""
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None

    def __enter__(self) -> Lock:
        self.acquire(blocking=True)
        return self

    def __exit__(self, *_: object) -> None:
        self.release()


def lock_holder(path: Path) -> int | None:
    """The process id that holds the lock on `path`, or None. Never call it in the process that holds the lock."""
    try:
        fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        request = struct.pack("hhqqi", fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)
        answer = fcntl.fcntl(fd, fcntl.F_GETLK, request)
    finally:
        os.close(fd)
    kind, _, _, _, pid = struct.unpack("hhqqi", answer[: struct.calcsize("hhqqi")])
    return None if kind == fcntl.F_UNLCK else int(pid)
