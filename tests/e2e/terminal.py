"""A real terminal for end-to-end tests: the program runs in a pty of its own, a VT emulator keeps its screen.

Knows nothing of LoRABake; tests say what to run, type keys and wait for words on the screen.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import struct
import subprocess
import termios
import threading
import time
from collections.abc import Callable
from types import TracebackType

import pyte

KEYS = {"enter": "\r", "escape": "\x1b", "tab": "\t", "down": "\x1b[B", "up": "\x1b[A", "ctrl+q": "\x11"}


def until(condition: Callable[[], object], what: str, seconds: float = 120.0) -> None:
    """Wait until `condition` is true; fails with `what` after `seconds`."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {seconds:.0f} s: {what}")
        time.sleep(0.05)


def _take_terminal() -> None:
    # Makes the pty the controlling terminal of the new session, so that closing it sends SIGHUP.
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


class Terminal:
    """A child process on a pty of `columns` × `rows` cells."""

    def __init__(self, command: list[str], env: dict[str, str], columns: int = 120, rows: int = 36) -> None:
        self._screen = pyte.Screen(columns, rows)
        self._stream = pyte.ByteStream(self._screen)
        self._guard = threading.Lock()
        self._shown = ""
        self._changed = False
        self._fd, slave = os.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        self._process = subprocess.Popen(
            command,
            env={**env, "TERM": "xterm-256color"},
            stdin=slave,
            stdout=slave,
            stderr=slave,
            start_new_session=True,
            preexec_fn=_take_terminal,
        )
        os.close(slave)
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        while True:
            try:
                data = os.read(self._fd, 65536)
            except OSError:
                return
            if not data:
                return
            with self._guard:
                self._changed = True
                # The emulator has no notion of DECRQM answers or private-parameter queries: it must not die of them,
                # nor lose what comes after.
                for part in re.split(rb"(?=\x1b)", data):
                    with contextlib.suppress(Exception):
                        self._stream.feed(part)

    @property
    def pid(self) -> int:
        """The program's process id."""
        return self._process.pid

    @property
    def text(self) -> str:
        """What is on the screen now, one line per row."""
        with self._guard:
            if self._changed:  # tests look many times a second
                self._changed = False
                self._shown = "\n".join(line.rstrip() for line in self._screen.display)
            return self._shown

    def press(self, *keys: str) -> None:
        """Type keys: a name of `KEYS`, or text as it is."""
        for key in keys:
            os.write(self._fd, KEYS.get(key, key).encode())

    def wait_for(self, *words: str, seconds: float = 120.0) -> None:
        """Wait until all words are on the screen."""
        try:
            until(lambda: all(word in self.text for word in words), repr(words), seconds)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.text}") from None

    def kill(self) -> None:
        """`kill -9` of the program alone."""
        self._process.kill()
        self.wait()

    def hang_up(self) -> None:
        """Close the terminal, as a dropped link does: every process of its session gets SIGHUP."""
        os.close(self._fd)
        self._fd = -1
        self.wait()

    def wait(self, seconds: float = 60.0) -> int:
        """The exit status of the program; it must end by itself within `seconds`."""
        return self._process.wait(seconds)

    def __enter__(self) -> Terminal:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()
        if self._fd >= 0:
            os.close(self._fd)
