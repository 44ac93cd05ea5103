"""What a person can ask of a live run, as lines of its control.jsonl, and the file's append and tail.

The worker decides when to act (between steps) and acknowledges in the journal.
"""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Literal, get_args

import msgspec

from engine.protocol.files import FILE_MODE
from engine.protocol.wire import encode

Action = Literal["stop", "stop_now", "pause", "resume", "save_now", "preview_now", "set"]
ACTIONS: tuple[str, ...] = get_args(Action)


class Command(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One request to a run; `id` comes back in the acknowledgements. `set` changes the parameters in `values`."""

    id: str
    action: Action
    t: float
    values: dict[str, float] = {}


def send(path: Path, action: Action, values: dict[str, float] | None = None, *, prefix: str = "") -> Command:
    """Append a command to a control file (created when missing) and return it; `prefix` begins its id."""
    command = Command(id=prefix + os.urandom(4).hex(), action=action, t=time.time(), values=values or {})
    fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, FILE_MODE)
    try:
        os.write(fd, encode(command))
    finally:
        os.close(fd)
    return command


class ControlReader:
    """Reads the commands appended to a control file since the last call; costs one `stat` when nothing came."""

    def __init__(self, path: Path, *, from_end: bool = False, offset: int = 0) -> None:
        self.path = path
        self._offset = path.stat().st_size if from_end and path.exists() else offset
        self._decoder = msgspec.json.Decoder(Command)

    @property
    def offset(self) -> int:
        """How far the file was read, in bytes."""
        return self._offset

    def poll(self) -> list[Command]:
        """New whole lines as commands; lines that are not commands are skipped."""
        try:
            if self.path.stat().st_size <= self._offset:
                return []
            with open(self.path, "rb") as handle:
                handle.seek(self._offset)
                data = handle.read()
        except FileNotFoundError:
            return []
        end = data.rfind(b"\n") + 1
        self._offset += end
        return [command for line in data[:end].splitlines() if (command := self._decode(line)) is not None]

    def _decode(self, line: bytes) -> Command | None:
        try:
            return self._decoder.decode(line)
        except (msgspec.DecodeError, UnicodeDecodeError):
            return None
