"""The detached supervisor: one per home, starts the waiting bakes one at a time per device, leaves when none waits.

It owns no run: workers live without it, and a new runner takes up the live ones by their locks.
"""

from __future__ import annotations

import contextlib
import errno
import signal
import subprocess
import sys
import time
from collections.abc import Iterator

from engine.protocol import events
from engine.protocol.control import ControlReader, send
from engine.protocol.errors import EngineError, describe
from engine.protocol.files import Lock, lock_holder
from engine.protocol.journal import JournalWriter
from engine.runs import devices, history, launch, logout, queue
from engine.runs.folder import RunFolder, all_runs
from engine.runs.schedule import Schedule
from engine.runs.state import died, stalled
from engine.runs.tail import Tail, last_event

TICK_SECONDS = 0.1
IDLE_SECONDS = 1.0
"""Between looks while nothing runs and the next job waits for its hour."""
LOOK_SECONDS = 2.0
LOOK_AT_LIVE_SECONDS = 10.0
EXIT_LOCKED = 4
"""A worker's exit status when another process holds the run or the device: nothing was begun."""
RETRIED = frozenset({"worker_died", "disk_full"})
"""What a new worker may do better: the reasons for which a run with retries left is queued again."""
HOURS = "hours-"
"""How the ids of commands begin that the runner gives because quiet hours begin or end."""


def main() -> int:
    """Run until nothing is left to do; a second runner of the same home leaves at once."""
    lock = Lock(queue.runner_lock())
    if not lock.acquire():
        return 0
    with queue.locked(), _tolerant("mark"):
        queue.mark_runner(True)
    logout.outlive()
    Runner(lock).run()
    return 0


class _Live:
    """A worker that lives: our own child, or one that an earlier runner left behind (`child` is None)."""

    def __init__(
        self, run: RunFolder, pid: int, child: subprocess.Popen[bytes] | None = None, device: str = ""
    ) -> None:
        self.run, self.pid, self.child, self.device = run, pid, child, device
        ticket = queue.read_ticket(run)
        self.control = ControlReader(run.control, offset=ticket.control if ticket else 0)
        self.rung_at = 0.0
        self.rung = 0
        self.stop_asked = False
        self.schedule = ticket.schedule if ticket else Schedule()
        given = [command for command in ControlReader(run.control).poll() if command.id.startswith(HOURS)]
        self.tail = Tail(run.journal)
        self._look_at = 0.0
        self._silent = False
        self._kept = 0
        self.parked = bool(given) and given[-1].action == "pause"

    def ended(self) -> bool:
        if self.child is not None:
            return self.child.poll() is not None
        return lock_holder(self.run.lock) is None

    def look(self) -> None:
        """Now and then: tell, once for each silence, that a worker has said nothing for long, and keep a long journal
        in brief."""
        now = time.monotonic()
        if now < self._look_at:
            return
        self._look_at = now + LOOK_AT_LIVE_SECONDS
        with contextlib.suppress(OSError):
            if history.outgrown(self.run.journal.stat().st_size, self._kept):
                self._kept = history.keep(self.run)
            silent = stalled(self.tail.refresh())
            if silent and not self._silent:
                launch.tell(self.run, "stalled")
            self._silent = silent

    def status(self) -> str:
        code = self.child.returncode if self.child is not None else None
        if code is None:
            return "unknown"
        return signal.Signals(-code).name if code < 0 else str(code)


class Runner:
    """The loop and what it knows; `lock` is the held runner lock, given back on leaving."""

    def __init__(self, lock: Lock) -> None:
        self.lock = lock
        self.devices = devices.devices()
        self.live: dict[str, _Live] = {}
        self._tried: set[tuple[str, float]] = set()
        self._stamp: tuple[int, int] = (0, 0)
        self._looked = 0.0

    def run(self) -> None:
        """Adopt, settle, then start jobs until none is left."""
        self._adopt()
        for run in all_runs():
            if run.id not in self.live:
                self._settle(run, "unknown")
        while True:
            for live in [live for live in self.live.values() if live.ended()]:
                del self.live[live.run.id]
                self._settle(live.run, live.status(), killed=live.rung > 1, stopped=live.stop_asked)
                self._retry(live)
            for live in self.live.values():
                self._press(live)
                self._keep_hours(live)
                live.look()
            launch.reap()
            started = self._start_next()
            if not started and not self.live and self._leave():
                return
            time.sleep(TICK_SECONDS if started or self.live else IDLE_SECONDS)

    def _adopt(self) -> None:
        for run, pid in queue.live_runs():
            if run.id not in self.live:
                self.live[run.id] = _Live(run, pid)

    def _start_next(self) -> bool:
        """Start the first queued run on the first free device; True when something was started or is in the way."""
        own = {live.device for live in self.live.values() if live.child is not None}
        others = [d for d in self.devices if d.name not in own]
        free = [d for d in others if lock_holder(d.lock) is None]
        if len(free) < len(others):
            self._adopt()
        if not free:
            return bool(others)
        item = self._next()
        if item is None:
            return False
        if lock_holder(item.run.lock) is not None:
            self._looked = 0.0  # an earlier worker of this run is on its way out
            return True
        self._tried.add((item.run.id, item.ticket.since))
        try:
            child = launch.start_worker(item.run, free[0])
        except OSError as error:
            _log(f"{item.run.id}: cannot start: {error}")
            self._settle(item.run, error.strerror or str(error))
            return True
        self.live[item.run.id] = _Live(item.run, child.pid, child, free[0].name)
        return True

    def _next(self) -> queue.Waiting | None:
        # Looking at every ticket is worth it only when the queue changed; now and then in case a change was cut short.
        stamp, now = queue.stamp(), time.monotonic()
        if self.live and stamp == self._stamp and now - self._looked < LOOK_SECONDS:
            return None
        self._stamp, self._looked = stamp, now
        return next((i for i in queue.waiting() if i.state == "queued" and self._fresh(i)), None)

    def _fresh(self, item: queue.Waiting) -> bool:
        return item.run.id not in self.live and (item.run.id, item.ticket.since) not in self._tried

    def _leave(self) -> bool:
        """Give the lock back unless a job came meanwhile; under the queue's lock, so that none can slip between."""
        with queue.locked():
            if any(i.goes and self._fresh(i) for i in queue.waiting()):
                return False
            with _tolerant("leave"):
                queue.mark_runner(False)
            self.lock.release()
            return True

    def _press(self, live: _Live) -> None:
        """The ladder: asked to stop now and still there → SIGTERM → SIGKILL to its group, `grace` apart."""
        asked = [command.action for command in live.control.poll()]
        live.stop_asked = live.stop_asked or bool({"stop", "stop_now"} & set(asked))
        if "stop_now" in asked and not live.rung:
            live.rung, live.rung_at = 1, time.monotonic()
        if live.rung in (1, 2) and time.monotonic() - live.rung_at > launch.grace():
            (launch.ask_to_end if live.rung == 1 else launch.kill_group)(live.pid)
            live.rung, live.rung_at = live.rung + 1, time.monotonic()

    def _keep_hours(self, live: _Live) -> None:
        """Pause a bake at the end of its quiet hours, and let it go on when they begin again."""
        closed = live.schedule.closed(time.time())
        if closed != live.parked:
            live.parked = closed
            with _tolerant(f"{live.run.id}: its hours cannot be kept"):
                send(live.run.control, "pause" if closed else "resume", prefix=HOURS)

    def _retry(self, live: _Live) -> None:
        """Queue a run again whose worker died, as often as its ticket allows."""
        ticket = queue.read_ticket(live.run)
        if ticket is None or not ticket.retries or live.stop_asked:
            return
        tail = Tail(live.run.journal).refresh()
        if tail.finished is None or tail.finished.reason != "failed":
            return
        if tail.error is not None and tail.error.code not in RETRIED:
            return
        with _tolerant(f"{live.run.id}: cannot be tried again"):
            queue.requeue(live.run, retry=True)

    def _settle(self, run: RunFolder, status: str, *, killed: bool = False, stopped: bool = False) -> None:
        """Close the journal of a worker that ended without `finished`; nothing while somebody holds the run.

        Under the queue's lock: a ticket written between our reading of it and our last words would be void, for a
        ticket holds only as long as the journal does not grow.
        """
        try:
            with queue.locked():
                self._settle_locked(run, status, by_request=killed and stopped)
        except (OSError, EngineError) as error:
            _log(f"{run.id}: its end cannot be noted: {error}")

    def _settle_locked(self, run: RunFolder, status: str, *, by_request: bool) -> None:
        ticket = queue.read_ticket(run)
        begun = ticket is None or not queue.holds(run, ticket)
        attempt = (run.id, ticket.since if ticket else 0.0)
        if not begun and status == str(EXIT_LOCKED):
            self._tried.discard(attempt)
        if not begun and attempt not in self._tried:
            return
        lock = Lock(run.lock)
        try:
            if not lock.acquire():
                return
            if begun and isinstance(last_event(run.journal), events.Finished):
                return
            _close(run, status, begun=begun, by_request=by_request)
            launch.tell(run, "stopped" if by_request else "failed")
        finally:
            lock.release()


def _close(run: RunFolder, status: str, *, begun: bool, by_request: bool) -> None:
    tail = Tail(run.journal).refresh()
    writer = JournalWriter(run.journal, run.id)
    if begun:
        writer.boot = tail.boot or writer.boot  # the last words belong to the boot that could not say them
    try:
        if not by_request and not (begun and tail.error):
            full = status == str(errno.ENOSPC)
            info = describe("disk_full", path=run.path, run=run.id) if full else died(run, status)
            writer.emit(events.Error, error=info)
        writer.emit(
            events.Finished,
            reason="stopped" if by_request else "failed",
            epoch=tail.epoch,
            step=tail.done_steps,
            seconds=tail.step.elapsed_s or 0.0 if tail.step else 0.0,
        )
    finally:
        with contextlib.suppress(OSError):
            writer.close()


@contextlib.contextmanager
def _tolerant(what: str) -> Iterator[None]:
    try:
        yield
    except (OSError, EngineError) as error:
        _log(f"{what}: {error}")


def _log(text: str) -> None:
    with contextlib.suppress(OSError):
        print(time.strftime("%Y-%m-%d %H:%M:%S"), text, file=sys.stderr, flush=True)
