"""The engine's face to a viewer: a JSON-lines server on stdin and stdout, torch-free, gone when the viewer is.

Owns the wire and the greeting; serving is `handlers`. Everything that lasts is in files, so that
a host can be killed at any moment.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from pathlib import Path
from typing import Any

from engine import __version__
from engine.home import home
from engine.protocol.control import ACTIONS
from engine.protocol.errors import EngineError
from engine.protocol.messages import Hello, Reply
from engine.protocol.wire import MAX_EVENT_BYTES, MAX_LINE_BYTES, encode

EXIT_CANNOT_START = 3


class Wire:
    """The one way out: whole lines, one at a time, from any thread. A viewer that is gone makes it mute."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._lock = threading.Lock()
        self.broken = False

    def send(self, message: Any) -> None:
        """Write one message; blocks while the viewer does not read."""
        data = memoryview(encode(message))
        with self._lock:
            try:
                while data and not self.broken:
                    data = data[os.write(self._fd, data) :]
            except OSError:
                self.broken = True


def main() -> int:
    """Serve until stdin ends; exit status 0, or 3 when this host cannot start or speaks another protocol."""
    fd = os.dup(1)
    os.dup2(2, 1)  # whatever a library prints must not break the pipe
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # ctrl+c is the viewer's to understand
    wire = Wire(fd)
    try:
        folder = home()
    except EngineError as error:
        wire.send(Reply(id=0, error=error.info))
        print(error.info.message, error.info.hint, file=sys.stderr)
        return EXIT_CANNOT_START
    wire.send(hello(folder))
    from engine.handlers.server import Server  # after the greeting, which a viewer waits for

    server = Server(wire)
    status = server.read(0)
    server.close()
    edited = sys.modules.get("engine.dataset.workshop")
    if edited is not None:  # what large edits keep for a quick undo goes with this process
        edited.leave()
    sys.stderr.flush()
    os._exit(status)  # threads may still wait for a disk; all they write is atomic


def hello(folder: Path) -> Hello:
    """Who this host is."""
    return Hello(
        engine=__version__,
        pid=os.getpid(),
        home=str(folder),
        capabilities=[*ACTIONS, "bake", "fake"],
        limits={"line": MAX_LINE_BYTES, "event": MAX_EVENT_BYTES},
    )
