"""The facts of a run that stand at the head and the tail of its journal, without reading what lies between.

What they mean together with lock and ticket is `state`.
"""

from __future__ import annotations

import os
from pathlib import Path

from engine.protocol import events
from engine.protocol.errors import ErrorInfo
from engine.protocol.events import Event, Plan, decode_event
from engine.protocol.journal import JournalReader

_HEAD_BYTES = 16 * 1024
_TAIL_BYTES = 32 * 1024
_STOPS = frozenset({"stop", "stop_now"})


class Tail:
    """A fold over a journal's last events; `refresh` reads only what was appended since."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._reader = JournalReader(path)
        self._inode = 0
        self._forget()

    def _forget(self) -> None:
        self.plan: Plan | None = None
        self.step: events.Step | None = None
        self.done_steps = 0
        self.epoch = 0
        self.phase = ""
        self.tagging: events.Progress | None = None
        self.boot = ""
        self.t = 0.0
        self.begun = 0.0
        self.events = 0
        self.paused = False
        self.stopping = False
        self.error: ErrorInfo | None = None
        self.finished: events.Finished | None = None

    def refresh(self) -> Tail:
        """Take in what is new. A journal that shrank or was replaced is read afresh."""
        try:
            stat = os.stat(self.path)
        except FileNotFoundError:
            return self
        if stat.st_ino != self._inode or stat.st_size < self._reader.offset:
            self._forget()
            self._inode = stat.st_ino
            self._reader.offset = 0
        if self._reader.offset == 0 and stat.st_size > _HEAD_BYTES + _TAIL_BYTES:
            self._head()
            self._reader.offset = _line_start(self.path, stat.st_size - _TAIL_BYTES)
        while self._reader.offset < stat.st_size:
            before = self._reader.offset
            for _, event in self._reader.read():
                self._take(event)
            if self._reader.offset == before:
                break
        return self

    def _head(self) -> None:
        for _, event in JournalReader(self.path).read(_HEAD_BYTES):
            if isinstance(event, events.Phase) and event.plan is not None:
                self.plan = event.plan

    def _take(self, event: Event) -> None:
        if event.boot != self.boot:
            self.boot, self.paused, self.stopping, self.error, self.finished = event.boot, False, False, None, None
            self.phase, self.begun = "", event.t
        self.t, self.events = event.t, self.events + 1
        match event:
            case events.Phase():
                self.phase = event.name
                self.plan = event.plan or self.plan
            case events.Step():
                self.step, self.done_steps, self.epoch, self.paused = event, event.step, event.epoch, False
                # In a long journal the phase itself may lie before the part that is read.
                self.phase = "train"
            case events.Progress(phase="tag"):
                self.tagging, self.phase = event, "tag"
            case events.Checkpoint():
                self.done_steps, self.epoch = event.step, event.epoch
            case events.Paused():
                self.paused, self.done_steps = True, event.step
            case events.Resumed():
                self.paused, self.done_steps = False, event.step
            case events.Ack():
                self.stopping = self.stopping or (event.action in _STOPS and event.state != "ignored")
            case events.Error():
                self.error = event.error
            case events.Finished():
                self.finished = event
                self.done_steps, self.epoch = event.step or self.done_steps, event.epoch or self.epoch
            case _:
                pass


def last_event(path: Path) -> Event | None:
    """The last event of a journal; None when there is none in its last kilobytes."""
    try:
        with open(path, "rb") as handle:
            size = handle.seek(0, os.SEEK_END)
            handle.seek(max(0, size - _TAIL_BYTES * 4))
            lines = handle.read().split(b"\n")
    except FileNotFoundError:
        return None
    return next((e for line in reversed(lines) if (e := decode_event(line)) is not None), None)


def _line_start(path: Path, offset: int) -> int:
    with open(path, "rb") as handle:
        handle.seek(offset)
        handle.readline()
        return handle.tell()
