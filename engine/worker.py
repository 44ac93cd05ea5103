"""One job in one process: takes the run's and the device's lock, opens the journal, does the work by its kind.

Whatever goes wrong ends in an `error` and a `finished` event; tracebacks go to console.log. What a bake does is
`train.loop`; who starts workers is `runs.runner`.
"""

from __future__ import annotations

import contextlib
import errno
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path

import msgspec

from engine.libraries import importing
from engine.protocol import events
from engine.protocol.control import Action, Command, ControlReader
from engine.protocol.errors import EngineError, ErrorInfo, describe
from engine.protocol.files import DISK_FULL, Lock, lock_holder
from engine.protocol.journal import JournalWriter
from engine.protocol.records import Job
from engine.runs import queue
from engine.runs.devices import Device
from engine.runs.folder import RunFolder
from engine.runs.launch import ensure_runner, tell
from engine.runs.parking import Berth, Parked, park, wait
from engine.runs.runner import EXIT_LOCKED
from engine.runs.tail import Tail, last_event


class Controls(ControlReader):
    """The commands of control.jsonl, and SIGTERM among them: the first means stop, the next stop now."""

    def __init__(self, path: Path, offset: int) -> None:
        super().__init__(path, offset=offset)
        self._pending: list[Command] = []
        self._count = 0

    def install(self) -> None:
        """Turn SIGTERM into a command and ignore the terminal's signals. Main thread only."""
        signal.signal(signal.SIGTERM, self._on_sigterm)
        for ignored in (signal.SIGHUP, signal.SIGINT):
            signal.signal(ignored, signal.SIG_IGN)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})

    def poll(self) -> list[Command]:
        """New commands, signals first."""
        pending, self._pending = self._pending, []
        return pending + super().poll()

    def put_back(self, commands: list[Command]) -> None:
        """Commands that were read and are for whoever polls next."""
        self._pending = [*commands, *self._pending]

    def _on_sigterm(self, *_: object) -> None:
        # In memory, not in the file: a signal must work on a full disk as well.
        self._count += 1
        action: Action = "stop" if self._count == 1 else "stop_now"
        self._pending.append(Command(id=f"sigterm-{self._count}", action=action, t=time.time()))


def main(run_dir: str, berth: str = "") -> int:
    """Work on the run in `run_dir`; exit status 0 (done or stopped), 1 (failed), 4 (held by another process).

    With a `berth` this process already holds the run, which is paused: it waits for somebody to resume it first.
    """
    run = RunFolder(Path(run_dir).absolute())
    paths = [run.lock, Device(os.environ.get("LORABAKE_WORKER_DEVICE", "cpu")).lock]
    if berth:
        return _parked(run, paths, msgspec.json.decode(berth, type=Berth))
    locks = [Lock(path) for path in paths]
    ticket = queue.read_ticket(run)
    control = Controls(run.control, ticket.control if ticket else 0)
    try:
        for taken in locks:
            if not taken.acquire():
                raise EngineError("run_locked", run=run.id, pid=lock_holder(taken.path))
        last = last_event(run.journal)
        if isinstance(last, events.Finished) and last.reason == "done":
            raise EngineError("run_finished", run=run.id)
        journal = JournalWriter(run.journal, run.id)
    except EngineError as error:
        print(error.info.message, error.info.hint, file=sys.stderr)
        return EXIT_LOCKED
    except OSError as error:
        return _unwritable(run, error)
    return _to_the_end(run, locks, journal, control)


def _parked(run: RunFolder, paths: list[Path], berth: Berth) -> int:
    """The paused run, waiting; then the bake itself, as a boot of its own."""
    locks = [Lock.taken_over(path, fd) for path, fd in zip(paths, berth.locks, strict=True)]
    control = Controls(run.control, berth.control)
    control.install()
    try:
        journal = JournalWriter(run.journal, run.id, boot=berth.boot)
        later = wait(run, journal, control)
        journal.close()
        if later is None:
            _hand_over()
            return 0
        control.put_back(later)
        journal = JournalWriter(run.journal, run.id)
    except OSError as error:
        return _unwritable(run, error)
    return _to_the_end(run, locks, journal, control)


def _to_the_end(run: RunFolder, locks: list[Lock], journal: JournalWriter, control: Controls) -> int:
    try:
        return _work(run, journal, control)
    except Parked:
        park(run, locks, journal, control)
    finally:
        try:
            journal.close()
        except OSError as error:
            _unwritable(run, error)
        _tell(run)
        _hand_over()


def _tell(run: RunFolder) -> None:
    """Whoever wants to know hears how it ended; of an end that only the runner sees, the runner tells."""
    with contextlib.suppress(OSError):
        last = last_event(run.journal)
        if isinstance(last, events.Finished):
            tell(run, last.reason)


def _work(run: RunFolder, journal: JournalWriter, control: Controls) -> int:
    control.install()
    try:
        try:
            job = run.read_job()
            _check_manifest(run, job, journal)
            _kind(job)(run, job, journal, control)
            if job.kind == "bake":
                _afterwards(run)
            return 0
        except EngineError as error:
            return _fail(run, journal, error.info)
        except OSError as error:
            if error.errno not in DISK_FULL:
                raise
            return _fail(run, journal, describe("disk_full", path=run.path, run=run.id))
    except OSError as error:
        if error.errno in DISK_FULL:
            return _unwritable(run, error)
        return _unexpected(run, journal, error)
    except Parked:
        raise
    except Exception as error:
        return _unexpected(run, journal, error)


def _kind(job: Job) -> Callable[[RunFolder, Job, JournalWriter, ControlReader], None]:
    if job.kind == "fake":
        from engine.runs import fake

        return fake.bake
    if job.kind == "bake":
        with importing():
            from engine.train import loop

        return loop.bake
    if job.kind == "reg":
        with importing():
            from engine.train import regularise

        return regularise.regularise
    if job.kind == "probe":
        with importing():
            from engine.train import probe

        return probe.probe
    if job.kind == "test":
        with importing():
            from engine.drawing import session

        return session.serve
    if job.kind == "tag":
        from engine.tagging import job as tagging

        return tagging.tag
    raise EngineError("kind_not_built", kind=job.kind)


def _afterwards(run: RunFolder) -> None:
    """What is nice to have of a bake that is over and whole: a fault here is for the log alone."""
    for thing in (_learn, _judge):
        try:
            thing(run)
        except Exception as error:
            traceback.print_exception(error)


def _judge(run: RunFolder) -> None:
    """Let a tagger look at the previews; the bake is over by now, and whole without it."""
    from engine.judge import try_to_judge

    try_to_judge(run)


def _learn(run: RunFolder) -> None:
    """Let later estimates know what this bake took."""
    from engine.measure import learn_from, peak_memory, process_start

    learn_from(run, started=process_start(), memory_bytes=peak_memory())


def _check_manifest(run: RunFolder, job: Job, journal: JournalWriter) -> None:
    """What was frozen is what is trained: other pixels end the bake here, later edits of the folder are told."""
    manifest = run.read_manifest()
    if not manifest:
        return
    from engine.dataset.manifest import edited, verify
    from engine.dataset.scan import scan

    changed = verify(manifest)
    if changed:
        raise EngineError("dataset_changed", count=len(changed), file=changed[0])
    try:
        captions, new = edited(manifest, scan(Path(job.dataset)), job.created)
    except (EngineError, OSError):
        return
    for code, names in (("notice_captions_edited", captions), ("notice_images_added", new)):
        if names:
            info = describe(code, count=len(names), file=names[0])
            journal.emit(events.Warning, code=code, message=info.message, hint=info.hint, args=info.args)


def _unexpected(run: RunFolder, journal: JournalWriter, error: Exception) -> int:
    traceback.print_exception(error)
    reason = f"{type(error).__name__}: {error}"[:500]
    try:
        return _fail(run, journal, describe("internal", reason=reason, log=run.console))
    except OSError as second:
        return _unwritable(run, second)


def _fail(run: RunFolder, journal: JournalWriter, info: ErrorInfo) -> int:
    """Journal why and that it is over, unless the work already did."""
    tail = Tail(run.journal).refresh()
    here = tail.boot == journal.boot
    if here and tail.finished is not None:
        return 1
    if not (here and tail.error is not None):
        journal.emit(events.Error, error=info)
    seconds = tail.step.elapsed_s or 0.0 if tail.step else 0.0
    journal.emit(events.Finished, reason="failed", epoch=tail.epoch, step=tail.done_steps, seconds=seconds)
    return 1


def _unwritable(run: RunFolder, error: OSError) -> int:
    """The journal cannot take even the bad news; the exit status tells the runner, which tries again later."""
    full = error.errno in DISK_FULL
    info = (
        describe("disk_full", path=run.path, run=run.id)
        if full
        else describe("home_unwritable", path=run.path, reason=error.strerror or error)
    )
    with contextlib.suppress(OSError):  # console.log lies on the same full disk
        print(info.message, info.hint, file=sys.stderr, flush=True)
    return errno.ENOSPC if full else 1


def _hand_over() -> None:
    """Should the runner have died meanwhile, the next job still gets its turn."""
    try:
        ensure_runner(survivor=True)
    except (EngineError, OSError) as error:
        print(error, file=sys.stderr)
