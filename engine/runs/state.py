"""What a run has come to: its row in the list, from ticket, lock and the ends of its journal.

Cheap enough for hundreds of runs several times a second: nothing is read again that did not change.
"""

from __future__ import annotations

import contextlib
import threading
import time
from typing import Any

import msgspec

from engine.protocol.errors import EngineError, ErrorInfo, describe
from engine.protocol.files import lock_holder
from engine.protocol.records import LIVE_STATES, WAITING_STATES, Job, RunRow, RunState
from engine.runs import devices, queue
from engine.runs import folder as folders
from engine.runs.folder import RunFolder
from engine.runs.queue import Ticket
from engine.runs.schedule import Schedule
from engine.runs.tail import Tail
from engine.runs.timetable import timed

STALLED_SECONDS = 600.0
STALLED_STEPS = 20
"""A live run is stalled after this long, or this many of its usual steps, without an event; the longer counts."""
ENDED: frozenset[str] = frozenset({"stopped", "failed", "cancelled"})


class Runs:
    """The list of runs of this home; keep one instance, for it remembers what it read. Not thread-safe."""

    def __init__(self) -> None:
        self._known: dict[str, _Run] = {}
        self._lanes = 0

    def rows(self) -> list[RunRow]:
        """All runs: waiting ones in queue order first, then the others from the youngest to the oldest."""
        boot = queue.boot_id()
        order = {run: place for place, run in enumerate(queue.read_queue().order)}
        ids = folders.run_ids()
        self._known = {i: self._known.get(i) or _Run(folders.run_folder(i)) for i in ids}
        pairs = [(run, row) for run in self._known.values() if (row := run.row(boot)) is not None]
        waits = [p for p in pairs if p[1].state in WAITING_STATES]
        waits.sort(key=lambda p: (order.get(p[1].id, len(order)), p[0].since, p[1].id))
        rest = [row for _, row in pairs if row.state not in WAITING_STATES]
        rest.sort(key=lambda row: (row.created, row.id), reverse=True)
        rows = [_placed(row, place) for place, (_, row) in enumerate(waits, 1)] + rest
        if not waits and not any(row.state in LIVE_STATES for row in rest):
            return rows
        # Which devices there are does not change while a host lives, and asking the driver takes time.
        self._lanes = self._lanes or len(devices.devices())
        return timed(
            rows,
            takes=lambda run: self._known[run].seconds,
            schedule=lambda run: self._known[run].schedule,
            lanes=self._lanes,
            now=time.time(),
        )

    def row(self, run: RunFolder) -> RunRow:
        """The row of one run; raises EngineError when its job.toml cannot be read."""
        run.read_job()
        return next(row for row in self.rows() if row.id == run.id)


class LockedRuns(Runs):
    """`Runs` for several threads."""

    def __init__(self) -> None:
        super().__init__()
        self._lock = threading.RLock()

    def rows(self) -> list[RunRow]:
        """As `Runs.rows`, one caller at a time."""
        with self._lock:
            return super().rows()


def _placed(row: RunRow, place: int) -> RunRow:
    return msgspec.structs.replace(row, position=place)


class _Run:
    def __init__(self, run: RunFolder) -> None:
        self.run = run
        self.tail = Tail(run.journal)
        self.since = 0.0
        self._job: Job | None = None
        self._ticket: Ticket | None = None
        self._ticket_stamp: tuple[int, int] = (0, 0)

    @property
    def seconds(self) -> float:
        """What the whole job takes as estimated when it was submitted; 0 where that is not known."""
        return self._job.forecast.seconds if self._job is not None else 0.0

    @property
    def schedule(self) -> Schedule:
        """When it may start."""
        return self._ticket.schedule if self._ticket is not None else Schedule()

    def row(self, boot: str) -> RunRow | None:
        """The row, or None for a folder that is no run; a run whose job.toml is broken is shown as failed."""
        if self._job is None:
            try:
                self._job = self.run.read_job()
            except EngineError as broken:
                if not self.run.job_toml.exists():
                    return None
                where = str(self.run.path)
                return RunRow(id=self.run.id, name=self.run.id, kind="", state="failed", dir=where, error=broken.info)
        job = self._job
        ticket = self._read_ticket()
        self.since = ticket.since if ticket else 0.0
        tail = self.tail.refresh()
        state, error = self._state(ticket, boot)
        live = state in ("running", "paused", "stopping")
        plan, step, tagging = tail.plan, tail.step, tail.tagging
        eta = tagging.eta_s if tagging is not None else step.eta_s if step else None
        return RunRow(
            id=self.run.id,
            name=job.name,
            kind=job.kind,
            state=state,
            dir=str(self.run.path),
            created=job.created,
            dataset=job.dataset,
            base=job.base,
            epoch=tail.epoch,
            epochs=plan.epochs if plan else job.params.epochs if job.kind not in ("tag", "test") else 0,
            step=tagging.done if tagging is not None else tail.done_steps,
            steps=tagging.total if tagging is not None else plan.steps if plan else 0,
            phase=tail.phase if live else "",
            eta_s=eta if live else None,
            loss=step.loss if step else None,
            finished=tail.finished.t if tail.finished and state in ("done", "stopped", "failed") else None,
            error=error,
            resumable=state in ENDED,
            stalled=live and state != "paused" and stalled(tail),
            begun=tail.begun if live else 0.0,
            told=tail.t if live else 0.0,
            when=ticket.schedule.told if ticket is not None and state in WAITING_STATES | LIVE_STATES else "",
            crash=state == "held" and ticket is not None and queue.fell(ticket, boot),
            retries=ticket.retries if ticket is not None and state in WAITING_STATES | LIVE_STATES else 0,
            device=plan.device if plan is not None and state != "queued" else "",
            parent=job.parent,
        )

    def _read_ticket(self) -> Ticket | None:
        try:
            stat = self.run.ticket.stat()
        except OSError:
            return None
        stamp = (stat.st_ino, stat.st_mtime_ns)
        if stamp != self._ticket_stamp:
            self._ticket, self._ticket_stamp = queue.read_ticket(self.run), stamp
        return self._ticket

    def _state(self, ticket: Ticket | None, boot: str) -> tuple[RunState, ErrorInfo | None]:
        tail = self.tail
        if ticket is not None and queue.holds(self.run, ticket):
            if self._held_by() is not None:
                return "starting", None
            wish = queue.wish(ticket, boot)
            if wish != "cancelled":
                return wish, None
            if not tail.events:
                return "cancelled", None
        if tail.finished is not None:
            return tail.finished.reason, tail.error if tail.finished.reason == "failed" else None
        if self._held_by() is None:
            return self._ended_meanwhile()
        if tail.stopping:
            return "stopping", None
        if tail.paused:
            return "paused", None
        return ("running" if tail.phase else "starting"), None

    def _ended_meanwhile(self) -> tuple[RunState, ErrorInfo | None]:
        # The worker may have written its last event between our reading of the journal and of the lock.
        finished = self.tail.refresh().finished
        if finished is not None:
            return finished.reason, self.tail.error if finished.reason == "failed" else None
        return "failed", self.tail.error or died(self.run, "unknown")

    def _held_by(self) -> int | None:
        with contextlib.suppress(OSError):
            return lock_holder(self.run.lock)
        return None


def stalled(tail: Tail) -> bool:
    """Whether a worker that lives and is not paused has said nothing for long."""
    speed = tail.step.it_s if tail.step else None
    patience = max(STALLED_SECONDS, STALLED_STEPS / speed if speed else 0.0)
    return not tail.paused and bool(tail.t) and time.time() - tail.t > patience


def died(run: RunFolder, status: Any) -> ErrorInfo:
    """What to tell of a worker that left no word."""
    return describe("worker_died", run=run.id, status=status, dir=run.path)
