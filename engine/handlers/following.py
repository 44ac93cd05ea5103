"""Everything the host says unasked: events of watched runs, the changed list of runs, telemetry.

One thread polls files; a viewer that reads slowly slows only this thread.
"""

from __future__ import annotations

import contextlib
import os
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec

from engine.protocol.errors import EngineError
from engine.protocol.messages import Batch, DevicePush, Past, RunsChanged
from engine.protocol.records import RunRow
from engine.protocol.wire import MAX_LINE_BYTES
from engine.runs import launch
from engine.runs.folder import RunFolder
from engine.runs.history import History, parts
from engine.runs.queue import live_runs
from engine.runs.state import LockedRuns
from engine.telemetry import Telemetry

POLL_SECONDS = 0.1
RUNS_SECONDS = 0.5
DEVICE_SECONDS = 2.0
BATCH_EVENTS = 500
BATCH_BYTES = 48 * 1024
STEP_SECONDS = 0.5
"""How long steps of a live run wait for others of their kind; whatever else happens is told at once, behind them."""
PROGRESS_SECONDS = 2.0
"""How often the list of runs is pushed where nothing but progress is new."""
FEW_EVENTS = 2000
"""So many new events are told one by one also to who wants the history in brief."""
_CHUNK = 1024 * 1024
_STEP = b'{"type":"step"'


class _Peek(msgspec.Struct, gc=False):
    type: str
    seq: int


_peek = msgspec.json.Decoder(_Peek)


class Watch:
    """A journal read as raw lines: cheap, since the host only needs each event's number. With `brief` it begins with
    the history in brief."""

    def __init__(self, run: RunFolder, after: int, *, brief: bool) -> None:
        self.folder, self.path, self.run = run, run.journal, run.id
        self.after, self.brief = after, brief
        self.offset = 0
        self.history = _size(self.path)
        self.live = False
        self._steps: list[bytes] = []
        self._told = 0.0

    def read(self) -> Iterator[Batch | Past]:
        """What was appended since; the first batch that is `live` says that history is complete."""
        if self.brief:
            self.brief = False
            yield from self._past()
        while True:
            lines, more = self._lines()
            live = self.offset >= self.history or not more
            for part in parts(self._due(lines), BATCH_EVENTS, BATCH_BYTES):
                yield Batch(run=self.run, events=part, live=self.live)
            if live and not self.live:
                self.live = True
                yield Batch(run=self.run, events=[], live=True)
            if not more:
                return

    def _past(self) -> Iterator[Past]:
        history = History(self.folder).refresh()
        if self.after and history.seq - self.after < FEW_EVENTS:
            return
        yield from history.parts()
        self.offset, self.after = history.offset, history.seq
        with contextlib.suppress(OSError):
            history.keep()

    def _due(self, lines: list[bytes]) -> list[bytes]:
        """The lines to tell now: once live, steps alone wait a little, for each message costs more than its events."""
        self._steps += lines
        now = time.monotonic()
        soon = self.live and now - self._told < STEP_SECONDS
        if soon and all(line.startswith(_STEP) for line in lines):
            return []
        due, self._steps = self._steps, []
        self._told = now if due else self._told
        return due

    def _lines(self) -> tuple[list[bytes], bool]:
        try:
            with open(self.path, "rb") as handle:
                handle.seek(self.offset)
                data = handle.read(_CHUNK)
        except FileNotFoundError:
            return [], False
        end = data.rfind(b"\n") + 1
        if not end and len(data) == _CHUNK:
            return [], self._skip_long_line()
        self.offset += end
        lines = data[:end].split(b"\n")
        return [line for line in lines if line and _number(line) > self.after], len(data) == _CHUNK

    def _skip_long_line(self) -> bool:
        # Far longer than any event: foreign bytes. Go to the next line, if it has begun.
        with open(self.path, "rb") as handle:
            handle.seek(self.offset)
            while chunk := handle.readline(MAX_LINE_BYTES):
                if chunk.endswith(b"\n"):
                    self.offset = handle.tell()
                    return True
        return False


def _number(line: bytes) -> int:
    """The event's number; -1 for a line that is no JSON object with type and number, or no UTF-8."""
    try:
        if not line.isascii():
            line.decode("utf-8")
        return _peek.decode(line).seq
    except (msgspec.DecodeError, UnicodeDecodeError):
        return -1


class Follower:
    """Who wants to hear what, and the thread that tells them."""

    def __init__(self, send: Callable[[Any], None], runs: LockedRuns, telemetry: Telemetry) -> None:
        self._send, self._runs, self._telemetry = send, runs, telemetry
        self._lock = threading.Lock()
        self._watches: dict[str, Watch] = {}
        self._rows: list[RunRow] | None = None
        self._told = 0.0
        self._wants_runs = self._wants_devices = False
        self._wake = threading.Event()
        self._closed = False
        self._thread = threading.Thread(target=self._loop, name="follower", daemon=True)
        self._thread.start()

    def watch(self, run: RunFolder, after: int, *, brief: bool) -> None:
        """Replay from after event `after`, then follow."""
        with self._lock:
            self._watches[run.id] = Watch(run, after, brief=brief)
        self._wake.set()

    def unwatch(self, run: RunFolder) -> None:
        """Forget the run."""
        with self._lock:
            self._watches.pop(run.id, None)

    def follow_runs(self) -> None:
        """Push the list whenever it changed."""
        self._wants_runs = True
        self._wake.set()

    def follow_devices(self) -> None:
        """Push telemetry."""
        self._wants_devices = True

    def close(self) -> None:
        """End the thread soon."""
        self._closed = True
        self._wake.set()

    def _loop(self) -> None:
        runs_at = device_at = time.monotonic()
        while not self._closed:
            self._wake.wait(POLL_SECONDS)
            self._wake.clear()
            now = time.monotonic()
            self._tell(self._pump)
            if now >= runs_at:
                runs_at = now + RUNS_SECONDS
                self._tell(self._look_at_runs)
            if self._wants_devices and now >= device_at:
                device_at = now + DEVICE_SECONDS
                self._tell(lambda: self._send(DevicePush(sample=self._telemetry.sample(_workers))))

    def _tell(self, what: Callable[[], None]) -> None:
        try:
            what()
        except (EngineError, OSError) as error:
            print(error, file=sys.stderr)
        except Exception as error:  # the next round may go better; a silent follower would look like a dead run
            traceback.print_exception(error, file=sys.stderr)

    def _pump(self) -> None:
        with self._lock:
            watches = list(self._watches.values())
        for watch in watches:
            for message in watch.read():
                if self._closed or self._watches.get(watch.run) is not watch:
                    break
                self._send(message)

    def _look_at_runs(self) -> None:
        rows = self._runs.rows()
        if any(row.state in ("queued", "scheduled") for row in rows):
            launch.ensure_runner()
        launch.reap()
        if not self._wants_runs or rows == self._rows:
            return
        now = time.monotonic()
        if now - self._told > PROGRESS_SECONDS or _gist(rows) != _gist(self._rows or []):
            self._rows, self._told = rows, now
            self._send(RunsChanged(runs=rows))


def _gist(rows: list[RunRow]) -> list[RunRow]:
    """The rows without what grows by itself while a run lives."""
    return [
        msgspec.structs.replace(row, step=0, loss=None, eta_s=None, told=0.0, starts=None, ends=None) for row in rows
    ]


def _workers() -> set[int]:
    return {pid for _run, pid in live_runs()}


def _size(path: Path) -> int:
    try:
        return os.stat(path).st_size
    except FileNotFoundError:
        return 0
