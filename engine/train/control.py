"""Listens to what a person asks of the bake, acknowledges it, and says when to stop. Knows no tensor.

The asking is `engine.protocol.control`; acting is the loop.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable

from engine.protocol.control import Action, Command, ControlReader
from engine.protocol.events import Ack
from engine.protocol.journal import JournalWriter

_POLL_SECONDS = 0.2


class Stopped(Exception):
    """Unwinds to the end of the bake because a person asked for it."""


class Control:
    """The open requests of a run."""

    def __init__(self, reader: ControlReader, journal: JournalWriter) -> None:
        self._reader = reader
        self._journal = journal
        self._open: dict[str, list[str]] = {}
        self._changes: list[Command] = []
        self._paused = False

    def wants(self, action: Action) -> bool:
        """Whether `action` was asked for and is not done."""
        return action in self._open

    @property
    def stopping(self) -> bool:
        """Whether the bake should end at the next step."""
        return self.wants("stop") or self.wants("stop_now")

    def poll(self) -> None:
        """Read and acknowledge new requests."""
        for command in self._reader.poll():
            self._take(command)

    def check(self) -> None:
        """Poll; raises Stopped when a stop was asked for. Called between steps and inside long phases."""
        self.poll()
        if self.stopping:
            raise Stopped

    def check_now(self) -> None:
        """Poll; raises Stopped only when the current step is not to be finished either."""
        self.poll()
        if self.wants("stop_now"):
            raise Stopped

    def done(self, *actions: Action) -> None:
        """Acknowledge requests as carried out."""
        for action in actions:
            for re in self._open.pop(action, []):
                self._acknowledge(re, action, "done")

    def take_changes(self) -> list[Command]:
        """Requests to change parameters that are not carried out, in their order; they are the caller's now."""
        taken, self._changes = self._changes, []
        return taken

    def answer(self, command: Command, *, done: bool) -> None:
        """Acknowledge a change as made, or as refused."""
        self._acknowledge(command.id, command.action, "done" if done else "ignored")

    def hold(self, ready: Callable[[], bool] = lambda: False) -> None:
        """Stand still until somebody asks to resume, or `ready`; raises Stopped when somebody asks to stop instead."""
        self._paused = True
        self.done("pause")
        try:
            while not self.wants("resume") and not ready():
                self.check()
                time.sleep(_POLL_SECONDS)
            self.done("resume")
        finally:
            self._paused = False

    def _take(self, command: Command) -> None:
        senseless = (command.action == "resume" and not (self._paused or self.wants("pause"))) or (
            command.action == "pause" and (self._paused or self.stopping)
        )
        state = "ignored" if senseless else "accepted"
        self._acknowledge(command.id, command.action, state)
        if senseless:
            return
        if command.action == "resume" and not self._paused:
            # Asked to resume before the pause took effect: the two cancel each other.
            self._open.setdefault("resume", []).append(command.id)
            self.done("pause", "resume")
            return
        if command.action == "set":
            self._changes.append(command)
            return
        self._open.setdefault(command.action, []).append(command.id)

    def _acknowledge(self, re: str, action: Action, state: str) -> None:
        # A full disk may refuse the line; the request holds all the same.
        with contextlib.suppress(OSError):
            self._journal.emit(Ack, re=re, action=action, state=state)
