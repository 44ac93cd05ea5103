"""A run's journal: append one event per line so that a crash tears at most the last one, and tail it.

One writer (the worker that holds the run's lock), any number of readers.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from engine.protocol.events import Event, decode_event
from engine.protocol.files import DISK_FULL, FILE_MODE
from engine.protocol.wire import MAX_EVENT_BYTES, MAX_LINE_BYTES, encode

FSYNC_SECONDS = 30.0
_TAIL_BYTES = 256 * 1024

E = TypeVar("E", bound=Event)


class JournalWriter:
    """Appends events of one run; numbers them on from whatever the file already holds."""

    def __init__(self, path: Path, run: str, boot: str = "") -> None:
        self.run = run
        self.boot = boot or os.urandom(4).hex()
        self._fd = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, FILE_MODE)
        self._seq = self._last_seq()
        self._close_torn_line()
        self._synced = time.monotonic()
        self._waiting = False
        self.on_full: Callable[[], None] | None = None
        """Called when the disk refuses a line; returns once there is room again. It may itself write events."""

    def emit(self, kind: type[E], /, **fields: object) -> E:
        """Append an event of `kind`, stamped with run, seq, boot and time, in one `write`; returns it.

        Raises OSError when the disk is full and nobody finds room (nothing is half-counted: the sequence number is
        then not used up) and ValueError for an event longer than a line may be.
        """
        while True:
            event = kind(run=self.run, seq=self._seq + 1, boot=self.boot, t=time.time(), **fields)
            line = encode(event)
            if len(line) > MAX_EVENT_BYTES:
                raise ValueError(f"an event of {len(line)} bytes is longer than a journal line may be")
            try:
                self._write(line)
                break
            except OSError as error:
                self._relieve(error)
        self._seq += 1
        if time.monotonic() - self._synced > FSYNC_SECONDS:
            self.sync()
        return event

    def sync(self) -> None:
        """Force the journal to the disk; call it after a checkpoint and at the end."""
        os.fsync(self._fd)
        self._synced = time.monotonic()

    def close(self) -> None:
        """Sync and close; the writer cannot be used afterwards."""
        if self._fd >= 0:
            self.sync()
            os.close(self._fd)
            self._fd = -1

    def _relieve(self, error: OSError) -> None:
        """Let `on_full` find room; raises `error` where there is nobody to find any."""
        if error.errno not in DISK_FULL or self.on_full is None or self._waiting:
            raise error
        self._waiting = True
        try:
            self.on_full()
        finally:
            self._waiting = False

    def _write(self, line: bytes) -> None:
        start = os.lseek(self._fd, 0, os.SEEK_END)
        try:
            written = os.write(self._fd, line)
            if written != len(line):
                raise OSError(28, "no space left on device")
        except OSError:
            os.ftruncate(self._fd, start)
            raise

    def _last_seq(self) -> int:
        size = os.lseek(self._fd, 0, os.SEEK_END)
        window = _TAIL_BYTES
        while True:
            data = os.pread(self._fd, min(window, size), max(0, size - window))
            lines = data.split(b"\n")[0 if window >= size else 1 :]
            for line in reversed(lines):
                event = decode_event(line)
                if event is not None:
                    return event.seq
            if window >= size:
                return 0
            window *= 4

    def _close_torn_line(self) -> None:
        size = os.lseek(self._fd, 0, os.SEEK_END)
        if size and os.pread(self._fd, 1, size - 1) != b"\n":
            os.write(self._fd, b"\n")


class JournalReader:
    """Follows a journal from an offset; a torn last line is simply not there yet."""

    def __init__(self, path: Path, offset: int = 0) -> None:
        self.path = path
        self.offset = offset

    def read(self, max_bytes: int = MAX_LINE_BYTES) -> list[tuple[bytes, Event]]:
        """The next whole lines with their events, at most about `max_bytes`; [] when nothing new is there.

        Lines that are no event (noise, unknown kinds) are skipped. A line longer than `MAX_LINE_BYTES` is too.
        """
        try:
            with open(self.path, "rb") as handle:
                handle.seek(self.offset)
                data = handle.read(max_bytes)
        except FileNotFoundError:
            return []
        end = data.rfind(b"\n") + 1
        if not end and len(data) >= MAX_LINE_BYTES:
            self.offset += len(data)
            return []
        self.offset += end
        pairs = []
        for line in data[:end].split(b"\n"):
            event = decode_event(line) if line else None
            if event is not None:
                pairs.append((line, event))
        return pairs

    def read_all(self) -> list[Event]:
        """Every event from the offset to the end of the file."""
        events: list[Event] = []
        while True:
            before = self.offset
            events.extend(event for _, event in self.read())
            if self.offset == before:
                return events
