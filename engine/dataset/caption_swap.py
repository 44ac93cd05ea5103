"""Puts many texts into the place of files quickly: each new file changes names with the old one in a single step.

A plain rename onto a file makes the disk write the new one at once (ext4), which costs more than all the rest; and the
old file is in our hands afterwards, so that what another program wrote in the last moment is seen, and put back.
"""

from __future__ import annotations

import ctypes
import errno
import os
import stat
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

from engine.dataset.caption_files import CaptionFile, CaptionFolder, Stamp
from engine.dataset.tag_patch import checksum
from engine.dataset.workshop import Bench

_NEW, _EXCHANGE = 1, 2
_HERE = -100
_UNFIT = frozenset({errno.EINVAL, errno.ENOSYS, errno.EXDEV, errno.EOPNOTSUPP})
_HANDS = 2


def _call(name: str) -> Callable[..., int] | None:
    try:
        found: Callable[..., int] = getattr(ctypes.CDLL(None, use_errno=True), name)
    except (OSError, AttributeError):
        return None
    return found


_renameat2 = _call("renameat2")


class Wanted(NamedTuple):
    """What a file shall say, None for no file, and what was found there before."""

    file: str
    text: str | None
    found: CaptionFile | None


class Old(NamedTuple):
    """A file that had to give way, where it lies now: undoing puts itself back."""

    part: str
    stamp: Stamp
    sum: int


class Swapper:
    """Changes files below `files` by way of files in `workshop`; its owner holds the journal's lock.

    Making new files is most of the work and harms nobody, so `prepare` does it for all of them, by two threads. `olds`
    are the files that were there before; they stay until the next one with `olds` of its own, or the process, ends.
    """

    def __init__(self, files: CaptionFolder, workshop: Path) -> None:
        self.files = files
        self.olds: dict[str, Old] = {}
        self._workshop = workshop
        self._parts: list[str] = []
        self._wanted: Sequence[Wanted] = ()

    def prepare(self, wanted: Sequence[Wanted], olds: Mapping[str, Old], meanwhile: Callable[[], None]) -> None:
        """Make the new files, or find them among `olds`; no caption is touched. `meanwhile` is called by this thread,
        which has time while the others work. Raises OSError."""
        self._wanted = wanted
        self._parts = [_again(each, olds.get(each.file)) for each in wanted] if olds else [""] * len(wanted)
        missing = [number for number, part in enumerate(self._parts) if not part]
        mask = os.umask(0o022)
        os.umask(mask)

        def make(numbers: Sequence[int]) -> None:
            bench = Bench(self._workshop, mask)
            for number in numbers:
                _, text, found = wanted[number]
                self._parts[number] = bench.put(text, found.mode if found is not None else 0o644)

        size = -(-len(missing) // _HANDS) or 1
        with ThreadPoolExecutor(_HANDS) as hands:
            making = hands.map(make, [missing[at : at + size] for at in range(0, len(missing), size)])
            meanwhile()
            for _ in making:
                pass

    def put(self, number: int) -> bool:
        """Do the change of this number; False, and all is as it was, when the file is not what was found.

        Raises EngineError `path_outside`, or OSError, of which `unfit` tells those that another way may not have.
        """
        file, text, found = self._wanted[number]
        part, path = self._parts[number], self.files.path_of(file)
        try:
            if text is None:
                os.rename(path, part)
            else:
                _rename(part, path, _NEW if found is None else _EXCHANGE)
        except FileNotFoundError:  # somebody took the file away meanwhile
            return text is None and found is None
        except FileExistsError:
            return False
        if text is not None and found is None:
            return True
        facts = os.lstat(part)
        if found is not None and (facts.st_mtime_ns, facts.st_size, facts.st_ino) == found.stamp:
            self.olds[file] = Old(part, found.stamp, checksum(found.text))
            return True
        _rename(part, path, _NEW if text is None else _EXCHANGE)
        return False


def _again(wanted: Wanted, old: Old | None) -> str:
    """Where the wanted text already lies with the wanted permissions; "" for nowhere."""
    if old is None or wanted.text is None or checksum(wanted.text) != old.sum:
        return ""
    try:
        facts = os.lstat(old.part)
    except OSError:
        return ""
    fits = wanted.found is None or stat.S_IMODE(facts.st_mode) == wanted.found.mode
    return (
        old.part
        if fits and facts.st_nlink == 1 and (facts.st_mtime_ns, facts.st_size, facts.st_ino) == old.stamp
        else ""
    )


def _rename(part: str, path: str, flags: int) -> None:
    if _renameat2 is None:
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS), path)
    here, there = _encoded(part), _encoded(path)
    if _renameat2(_HERE, here, _HERE, there, flags) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), path)


def _encoded(path: str) -> bytes:
    return path.encode() if path.isascii() else os.fsencode(path)


def unfit(error: OSError) -> bool:
    """Whether this disk, or these two disks, cannot change names."""
    return error.errno in _UNFIT
