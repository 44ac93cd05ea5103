"""A full disk pauses a bake instead of ending it: it says so, waits for room, and goes on by itself.

What is written and how is the business of `closing`, `checkpoint` and the journal; this guards their writes.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

from engine.protocol import events
from engine.protocol.errors import describe
from engine.protocol.files import DISK_FULL, FILE_MODE
from engine.protocol.journal import JournalWriter
from engine.runs.folder import RunFolder
from engine.train.control import Control
from engine.train.report import Clock, Reporter

MARGIN = 16 << 20
"""Bytes that a write leaves free on the disk, for the journal and for others."""
RESERVE = 64 << 10
"""Bytes set aside in the run's folder, given up to let the journal say that the disk is full."""
RETRY_SECONDS = 15.0
"""Where the system refuses a write although there seems to be room (a quota), it is tried again this often."""

T = TypeVar("T")


class Space:
    """Writes of one bake, each repeated until there is room for it."""

    def __init__(self, run: RunFolder, journal: JournalWriter, control: Control) -> None:
        self._run = run
        self._journal = journal
        self._control = control
        self._reserve = run.path / ".reserve"
        self._giving_up = False
        self._step: Callable[[], int] = lambda: 0
        self._clock: Clock | None = None
        self._report: Reporter | None = None

    def __enter__(self) -> Space:
        self._set_aside()
        self._journal.on_full = self._journal_full
        return self

    def __exit__(self, *_: object) -> None:
        self._give_up()
        with contextlib.suppress(OSError):
            self._reserve.unlink(missing_ok=True)

    def attend(self, step: Callable[[], int], clock: Clock, report: Reporter) -> None:
        """From now on there is training: a wait names its step and does not count as time trained."""
        self._step, self._clock, self._report = step, clock, report

    def write(self, folder: Path, needed: int, action: Callable[[], T]) -> T:
        """Do `action`, which writes about `needed` bytes into `folder`; on a full disk wait, and do it again.

        Raises Stopped when a person asks for that instead, OSError for other faults, and for a full disk within
        `last_words`.
        """
        while True:
            try:
                if free(folder) < needed + MARGIN:
                    raise OSError(28, "no space left on device")
                return action()
            except OSError as error:
                if error.errno not in DISK_FULL or self._giving_up:
                    raise
            self._wait(folder, needed)

    @contextlib.contextmanager
    def last_words(self) -> Iterator[None]:
        """What a bake that ends would still like to write; it does not wait, and a full disk is passed over."""
        self._give_up()
        try:
            yield
        except OSError as error:
            if error.errno not in DISK_FULL:
                raise

    def _give_up(self) -> None:
        self._giving_up = True
        self._journal.on_full = None

    def _journal_full(self) -> None:
        self._wait(self._run.path, RESERVE)

    def _wait(self, folder: Path, needed: int) -> None:
        if self._clock is not None:
            self._clock.stop()
        refused, again = free(folder) >= needed + MARGIN, time.monotonic() + RETRY_SECONDS
        with contextlib.suppress(OSError):
            self._reserve.unlink(missing_ok=True)
        info = describe(
            "disk_full_waits", path=folder, needed=_mib(needed + MARGIN), free=_mib(free(folder)), run=self._run.id
        )
        self._say(events.Warning, code=info.code, message=info.message, hint=info.hint, args=info.args)
        self._say(events.Paused, step=self._step())

        def roomy() -> bool:
            return time.monotonic() > again if refused else free(folder) >= needed + MARGIN + RESERVE

        self._control.hold(roomy)
        self._set_aside()
        self._say(events.Resumed, step=self._step())
        if self._clock is not None and self._report is not None:
            self._clock.start()
            self._report.interrupted()

    def _say(self, kind: type[events.Event], **values: object) -> None:
        # Not even the reserve may have made room for a line; the bake waits all the same.
        with contextlib.suppress(OSError):
            self._journal.emit(kind, **values)

    def _set_aside(self) -> None:
        with contextlib.suppress(OSError):
            fd = os.open(self._reserve, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, FILE_MODE)
            try:
                os.posix_fallocate(fd, 0, RESERVE)
            finally:
                os.close(fd)


def free(folder: Path) -> int:
    """Bytes that can still be written into a folder, or into the nearest one above it that exists."""
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    return shutil.disk_usage(folder).free


def _mib(size: int) -> str:
    return f"{size / (1 << 20):.0f}"
