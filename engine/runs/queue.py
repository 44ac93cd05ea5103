"""The queue: which runs wait, in which order, and who may start them. Survives a kill at any point.

Two facts, each in one atomically replaced file: a run's *ticket* says what a person wants with it (queued,
held, cancelled); `queue.json` says the order of the waiting runs and whether a runner is at work. A ticket is
used up as soon as the run's journal grows, so a run is neither started twice nor forgotten, whoever dies when.
Starting processes is `runner`, showing states is `state`.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Literal

import msgspec

from engine import home
from engine.protocol.errors import EngineError
from engine.protocol.events import Finished
from engine.protocol.files import Lock, atomic_write, lock_holder
from engine.protocol.records import Job, ManifestEntry
from engine.runs import folder as folders
from engine.runs.folder import RunFolder
from engine.runs.schedule import Schedule
from engine.runs.tail import last_event

_TORN_LINE = 1
"""A new writer closes a torn line with one byte; only growth beyond it is an event."""

_AT_ONCE = Schedule()
_threads = threading.RLock()
_depth = 0


class Ticket(msgspec.Struct, frozen=True, kw_only=True):
    """What a person wants with a run.

    It holds while the journal has not grown past `journal` bytes. `boot` is the machine's boot in which a
    person said so: a queued ticket of an earlier boot counts as held. Commands in control.jsonl count from
    byte `control` on. `schedule` says when it may start; a worker that dies is replaced up to `retries` times.
    `crash`: it is held because of one, not because a person wished so.
    """

    state: Literal["queued", "held", "cancelled"]
    journal: int = 0
    control: int = 0
    since: float = 0.0
    boot: str = ""
    schedule: Schedule = Schedule()
    retries: int = 0
    crash: bool = False


class QueueFile(msgspec.Struct, frozen=True, kw_only=True):
    """`order` of the waiting runs; `runner` is the boot in which a runner began and has not left, else "".

    `changes` counts what people did, so that whoever watches this one file misses nothing.
    """

    order: list[str] = []
    runner: str = ""
    changes: int = 0


class Waiting(msgspec.Struct, frozen=True):
    """A run that waits, and whether it may start by itself."""

    run: RunFolder
    ticket: Ticket
    state: Literal["queued", "scheduled", "held"]

    @property
    def goes(self) -> bool:
        """Whether it will start without a person, now or later."""
        return self.state != "held"


def boot_id() -> str:
    """The machine's boot; "" where the kernel does not tell."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text("ascii").strip()
    except OSError:
        return ""


def queue_path() -> Path:
    """The order of the waiting runs."""
    return home.home() / "queue.json"


def runner_lock() -> Path:
    """Held by the one runner of this home."""
    return home.home() / "runner.lock"


@contextlib.contextmanager
def locked() -> Iterator[None]:
    """Only one process, and in it one thread, changes the queue at a time; nests within a thread."""
    global _depth
    with _threads:
        lock = Lock(home.home() / "queue.lock") if _depth == 0 else None
        if lock is not None:
            lock.acquire(blocking=True)
        _depth += 1
        try:
            yield
        finally:
            _depth -= 1
            if lock is not None:
                lock.release()


def read_ticket(run: RunFolder) -> Ticket | None:
    """The run's ticket, or None when it has none or it is unreadable."""
    try:
        return msgspec.json.decode(run.ticket.read_bytes(), type=Ticket)
    except (OSError, msgspec.DecodeError):
        return None


def holds(run: RunFolder, ticket: Ticket) -> bool:
    """Whether the run has not been started since the ticket was written."""
    return _size(run.journal) <= ticket.journal + _TORN_LINE


def wish(ticket: Ticket, boot: str) -> Literal["queued", "scheduled", "held", "cancelled"]:
    """What the ticket means in this boot of the machine, at this moment."""
    if ticket.state == "queued" and ticket.boot != boot:
        return "held"
    if ticket.state == "queued" and ticket.schedule != _AT_ONCE:
        now = time.time()
        return "scheduled" if ticket.schedule.opens(now) > now else "queued"
    return ticket.state


def fell(ticket: Ticket, boot: str) -> bool:
    """Whether the run is held because the machine, or the runner with its worker, went down before it began."""
    return ticket.crash or (ticket.state == "queued" and ticket.boot != boot)


def waiting() -> list[Waiting]:
    """All waiting runs in order; runs that `queue.json` does not know come last, oldest first."""
    boot = boot_id()
    found = []
    for run in folders.all_runs():
        ticket = read_ticket(run)
        if ticket is not None and ticket.state != "cancelled" and holds(run, ticket):
            state = wish(ticket, boot)
            assert state != "cancelled"
            found.append(Waiting(run, ticket, state))
    place = {run: index for index, run in enumerate(read_queue().order)}
    return sorted(found, key=lambda i: (place.get(i.run.id, len(place)), i.ticket.since, i.run.id))


def read_queue() -> QueueFile:
    """The queue file; one that is missing, torn or foreign counts as empty, for the tickets hold the jobs."""
    try:
        return msgspec.json.decode(queue_path().read_bytes(), type=QueueFile)
    except (OSError, msgspec.DecodeError):
        return QueueFile()


def stamp() -> tuple[int, int]:
    """Differs whenever the queue was changed."""
    try:
        stat = os.stat(queue_path())
    except OSError:
        return (0, 0)
    return stat.st_ino, stat.st_mtime_ns


def submit(
    job: Job,
    manifest: list[ManifestEntry],
    *,
    start: bool,
    schedule: Schedule = _AT_ONCE,
    retries: int = 0,
    fill: Callable[[RunFolder], None] | None = None,
) -> RunFolder:
    """Create the run of `job` at the end of the queue, with a unique id and name; its `id` is filled in here.

    The run appears in one rename, complete; `fill` may put more into its folder before. Raises EngineError
    `home_unwritable`.
    """
    with _disk(), locked():
        judge_crash()
        folders.sweep()
        staged = folders.staging_folder()
        try:
            when = time.strftime("%Y%m%d-%H%M", time.localtime(job.created))
            name = folders.free_name(job.name)
            job = msgspec.structs.replace(job, name=name, id=folders.reserve_id(name, when))
            staged.write_manifest(manifest)
            staged.write_job(job)
            if fill is not None:
                fill(staged)
            ticket = Ticket(
                state="queued" if start else "held",
                since=time.time(),
                boot=boot_id(),
                schedule=schedule,
                retries=retries,
            )
            _write_ticket(staged, ticket)
            run = folders.publish(staged, job.id)
        except BaseException:
            shutil.rmtree(staged.path, ignore_errors=True)
            raise
        _append(run.id)
        return run


def requeue(run: RunFolder, *, retry: bool = False) -> None:
    """Put a run that has ended, or was cancelled, at the end of the queue again; it goes on from its last state.

    As a `retry` it takes its turn at the front, and has one less. A worker that has written its last event and is
    about to exit is no obstacle. Raises EngineError `run_live`.
    """
    with _disk(), locked():
        judge_crash()
        old = read_ticket(run)
        if old is not None and old.state == "queued" and old.boot == boot_id() and holds(run, old):
            return
        if _works(run):
            raise EngineError("run_live", run=run.id)
        ticket = Ticket(
            state="queued",
            journal=_size(run.journal),
            control=_size(run.control),
            since=time.time(),
            boot=boot_id(),
            schedule=old.schedule if retry and old is not None else _AT_ONCE,
            retries=max(0, (old.retries if old is not None else 0) - retry),
        )
        _write_ticket(run, ticket)
        (_prepend if retry else _append)(run.id)


def change(run: RunFolder, state: Literal["queued", "held", "cancelled"]) -> None:
    """Hold, start or cancel a waiting run. Raises EngineError `run_live` or `run_not_waiting`."""
    with _disk(), locked():
        judge_crash()
        ticket = _waiting_ticket(run)
        _write_ticket(run, msgspec.structs.replace(ticket, state=state, boot=boot_id(), crash=False))
        _write_queue(order=[item.run.id for item in waiting()])


def plan(run: RunFolder, *, schedule: Schedule | None = None, retries: int | None = None) -> None:
    """Say when a waiting run may start, or how often its worker may be replaced. A held one stays held.

    Raises EngineError `run_live` or `run_not_waiting`.
    """
    with _disk(), locked():
        judge_crash()
        ticket = _waiting_ticket(run)
        changed = msgspec.structs.replace(
            ticket,
            schedule=ticket.schedule if schedule is None else schedule,
            retries=ticket.retries if retries is None else retries,
        )
        _write_ticket(run, changed)
        _write_queue(order=[item.run.id for item in waiting()])


def move(run: RunFolder, by: int) -> None:
    """Move a waiting run by `by` places (negative: towards the front), at most to either end."""
    with _disk(), locked():
        _waiting_ticket(run)
        order = [item.run.id for item in waiting()]
        place = order.index(run.id)
        order.insert(max(0, min(len(order) - 1, place + by)), order.pop(place))
        _write_queue(order=order)


def judge_crash() -> bool:
    """Hold every queued run when a runner died before its time and no worker outlived it; True if that was so.

    Without the queue file nothing is known of a runner, and the boot in the tickets has to do.
    """
    with locked():
        state = read_queue()
        if not state.runner or lock_holder(runner_lock()) is not None or live_runs():
            return False
        for item in waiting():
            if item.goes:
                _write_ticket(item.run, msgspec.structs.replace(item.ticket, state="held", crash=True))
        _write_queue(runner="")
        return True


def live_runs() -> list[tuple[RunFolder, int]]:
    """The runs that a process holds right now, with its process id."""
    pairs = ((run, lock_holder(run.lock)) for run in folders.all_runs())
    return [(run, pid) for run, pid in pairs if pid is not None]


def mark_runner(present: bool) -> None:
    """Note that a runner begins, or leaves in order. Call it under the queue's lock."""
    _write_queue(order=[item.run.id for item in waiting()], runner=boot_id() or "unknown" if present else "")


def _waiting_ticket(run: RunFolder) -> Ticket:
    ticket = read_ticket(run)
    if ticket is not None and ticket.state != "cancelled" and holds(run, ticket):
        if _works(run):
            raise EngineError("run_live", run=run.id)
        return ticket
    raise EngineError("run_live" if _works(run) else "run_not_waiting", run=run.id)


def _works(run: RunFolder) -> bool:
    return lock_holder(run.lock) is not None and not isinstance(last_event(run.journal), Finished)


def _append(run: str) -> None:
    _write_queue(order=[*(i.run.id for i in waiting() if i.run.id != run), run])


def _prepend(run: str) -> None:
    _write_queue(order=[run, *(i.run.id for i in waiting() if i.run.id != run)])


def _write_queue(order: list[str] | None = None, runner: str | None = None) -> None:
    now = read_queue()
    state = QueueFile(
        order=now.order if order is None else order,
        runner=now.runner if runner is None else runner,
        changes=now.changes + 1,
    )
    atomic_write(queue_path(), msgspec.json.encode(state) + b"\n")


def _write_ticket(run: RunFolder, ticket: Ticket) -> None:
    atomic_write(run.ticket, msgspec.json.encode(ticket) + b"\n")


def _size(path: Path) -> int:
    try:
        return os.stat(path).st_size
    except FileNotFoundError:
        return 0


@contextlib.contextmanager
def _disk() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise EngineError("home_unwritable", path=home.home(), reason=error.strerror or error) from None
