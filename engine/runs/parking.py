"""A paused bake gives everything back: its process becomes a small one that keeps its locks and waits to be resumed.

The process is replaced by `exec`, so number, locks and session stay, while its memory and what it had of a GPU are
gone. Saving before is the work's business, going on after is `worker`'s.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from typing import Any, NoReturn

import msgspec

from engine.protocol import events
from engine.protocol.control import Command, ControlReader
from engine.protocol.files import Lock
from engine.protocol.journal import JournalWriter
from engine.runs.folder import RunFolder
from engine.runs.tail import Tail

_POLL_SECONDS = 0.2


class Parked(Exception):
    """Unwinds to the worker: the bake is saved, has said so, and gives its memory back."""


class Berth(msgspec.Struct, frozen=True, kw_only=True):
    """What the small process needs to know of the one before: descriptors of the locks, the boot whose words go on,
    and how far the control file was read."""

    locks: list[int]
    boot: str
    control: int


def park(run: RunFolder, locks: list[Lock], journal: JournalWriter, control: ControlReader) -> NoReturn:
    """Become the small process. Raises OSError when that cannot be, with everything as it was but the journal."""
    berth = Berth(locks=[lock.descriptor for lock in locks], boot=journal.boot, control=control.offset)
    journal.close()
    # Until the handlers stand again, a request to end has to wait.
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    kept = sorted({0, 1, 2, *berth.locks})
    for fd in berth.locks:
        os.set_inheritable(fd, True)
    # Whatever a driver opened must go as well, or a GPU would keep what it holds for us.
    for low, high in zip(kept, [*kept[1:], os.sysconf("SC_OPEN_MAX")], strict=True):
        os.closerange(low + 1, high)
    words = ["worker", str(run.path), msgspec.json.encode(berth).decode()]
    os.execv(sys.executable, [sys.executable, "-P", "-X", "faulthandler", "-m", "engine", *words])


def wait(run: RunFolder, journal: JournalWriter, control: ControlReader) -> list[Command] | None:
    """Answer requests until one says resume; returns those that wait for the bake itself, None when it was stopped."""
    later: list[Command] = []
    while True:
        for command in control.poll():
            match command.action:
                case "resume":
                    _acknowledge(journal, command, "accepted", "done")
                    return later
                case "stop" | "stop_now":
                    _acknowledge(journal, command, "accepted", "done")
                    _finish(run, journal)
                    return None
                case "save_now":  # nothing was done since it was saved
                    _acknowledge(journal, command, "accepted", "done")
                case "set":
                    later.append(command)
                case _:
                    _acknowledge(journal, command, "ignored")
        time.sleep(_POLL_SECONDS)


def _acknowledge(journal: JournalWriter, command: Command, *states: Any) -> None:
    for state in states:
        journal.emit(events.Ack, re=command.id, action=command.action, state=state)


def _finish(run: RunFolder, journal: JournalWriter) -> None:
    tail = Tail(run.journal).refresh()
    journal.emit(
        events.Finished,
        reason="stopped",
        epoch=tail.epoch,
        step=tail.done_steps,
        seconds=tail.step.elapsed_s or 0.0 if tail.step else 0.0,
    )
    journal.sync()
