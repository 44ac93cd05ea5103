"""A long journal in brief: its events that are no steps, and the numbers of its steps as columns.

What a viewer needs to show a run of 100,000 events at once. `history.bin` beside the journal saves reading all of it
again; it is believed only where it fits the journal byte for byte at both ends of what it covers, and can be deleted.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import zlib
from collections.abc import Iterator

import msgspec

from engine.protocol import events
from engine.protocol.columns import Columns, Packed
from engine.protocol.events import Event
from engine.protocol.files import atomic_write
from engine.protocol.journal import JournalReader
from engine.protocol.running import Past
from engine.runs.folder import RunFolder

VERSION = 1
KEPT_FROM = 1 << 20
"""Bytes of journal that are read anew as quickly as anything kept of them; from here on a growth of a tenth counts."""
POINTS = 8192
"""Points in one message: about half a megabyte."""
_PART_EVENTS, _PART_BYTES = 500, 48 * 1024
_WINDOW = 4096


class _Kept(msgspec.Struct, frozen=True, kw_only=True):
    """The file: what it covers (`offset` bytes, whose ends have `digest`), and what that came to."""

    version: int
    offset: int
    digest: bytes
    seq: int
    gaps: int
    events: list[bytes]
    columns: list[Packed]


class History:
    """A journal's events folded as they come; `refresh` reads only what was appended since."""

    def __init__(self, run: RunFolder) -> None:
        self.run = run
        self._reader = JournalReader(run.journal)
        self._forget()

    def _forget(self) -> None:
        self._reader.offset = 0
        self.kept = 0
        self.seq = self.gaps = 0
        self.columns = Columns()
        self._events: list[bytes] = []
        self._step = b""

    @property
    def offset(self) -> int:
        """How many bytes of the journal are folded in."""
        return self._reader.offset

    def refresh(self) -> History:
        """Take in what is new, from the kept file at first. A journal that shrank is read afresh."""
        if not self.offset:
            self._load()
        if self.offset > _size(self.run):
            self._forget()
        while True:
            before = self.offset
            for line, event in self._reader.read():
                self._take(line, event)
            if self.offset == before:
                return self

    def keep(self) -> None:
        """Write the file where enough is new; raises OSError."""
        if not outgrown(self.offset, self.kept):
            return
        kept = _Kept(
            version=VERSION,
            offset=self.offset,
            digest=_digest(self.run, self.offset),
            seq=self.seq,
            gaps=self.gaps,
            events=self.events(),
            columns=list(self.columns.packed(POINTS)),
        )
        data = msgspec.msgpack.encode(kept)
        atomic_write(self.run.history, data + zlib.crc32(data).to_bytes(4, "little"))
        self.kept = self.offset

    def events(self) -> list[bytes]:
        """The lines of all events that are no steps, each behind the last step before it, and the newest step."""
        return [*self._events, self._step] if self._step else list(self._events)

    def parts(self) -> Iterator[Past]:
        """The messages that tell a viewer all of it."""
        pieces: list[tuple[list[msgspec.Raw], Packed | None]] = []
        pieces += [(part, None) for part in parts(self.events(), _PART_EVENTS, _PART_BYTES)]
        pieces += [([], packed) for packed in self.columns.packed(POINTS)]
        for number, (lines, packed) in enumerate(pieces or [([], None)]):
            yield Past(run=self.run.id, begins=not number, seq=self.seq, gaps=self.gaps, events=lines, columns=packed)

    def _take(self, line: bytes, event: Event) -> None:
        if event.seq <= self.seq:
            return
        self.gaps += event.seq - self.seq - 1
        self.seq = event.seq
        if type(event) is events.Step:
            self.columns.add(event)
            self._step = line
            return
        if self._step:
            self._events.append(self._step)
            self._step = b""
        self._events.append(line)
        if type(event) is events.Resumed:
            self.columns.rewind(event.step + 1)

    def _load(self) -> None:
        """Begin where the file ends, if there is one and it fits."""
        try:
            data = self.run.history.read_bytes()
            if zlib.crc32(data[:-4]).to_bytes(4, "little") != data[-4:]:
                return
            kept = msgspec.msgpack.decode(data[:-4], type=_Kept)
            if kept.version != VERSION or kept.offset > _size(self.run):
                return
            if _digest(self.run, kept.offset) != kept.digest:
                return
            for packed in kept.columns:
                self.columns.extend(packed)
        except (OSError, msgspec.DecodeError, ValueError):
            self._forget()
            return
        self.seq, self.gaps, self._events = kept.seq, kept.gaps, kept.events
        self._reader.offset = self.kept = kept.offset


def outgrown(size: int, kept: int) -> bool:
    """Whether a journal of `size` bytes has grown enough since `kept` of them were folded into the file."""
    return size - kept > max(KEPT_FROM, kept // 10)


def keep(run: RunFolder) -> int:
    """Bring the run's file up to date if that is worth it; returns how much of the journal it covers then."""
    history = History(run).refresh()
    with contextlib.suppress(OSError):
        history.keep()
    return history.kept


def parts(lines: list[bytes], count: int, size: int) -> Iterator[list[msgspec.Raw]]:
    """The lines in groups of at most `count` of them and about `size` bytes."""
    part: list[msgspec.Raw] = []
    used = 0
    for line in lines:
        if part and (len(part) >= count or used + len(line) > size):
            yield part
            part, used = [], 0
        part.append(msgspec.Raw(line))
        used += len(line) + 1
    if part:
        yield part


def _size(run: RunFolder) -> int:
    try:
        return os.stat(run.journal).st_size
    except FileNotFoundError:
        return 0


def _digest(run: RunFolder, offset: int) -> bytes:
    """Of the first and the last kilobytes before `offset`: a journal is only ever appended to."""
    with open(run.journal, "rb") as handle:
        head = handle.read(min(_WINDOW, offset))
        handle.seek(max(0, offset - _WINDOW))
        tail = handle.read(min(_WINDOW, offset))
    return hashlib.blake2b(head + tail, digest_size=16).digest()
