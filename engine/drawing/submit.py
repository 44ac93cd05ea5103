"""Hands a test to the worker that has its base model in memory, and starts one where there is none. Torch-free.

A worker that keeps a base warm is a run of kind `test`; requests to it are lines of its `requests.jsonl`. Asking and
leaving happen under the queue's lock, so that no request falls between.
"""

from __future__ import annotations

import contextlib
import os
import time

import msgspec

from engine.drawing import beside, history
from engine.drawing.request import prepare
from engine.protocol import control
from engine.protocol.drawing import Drawn, DrawParams
from engine.protocol.errors import EngineError, describe
from engine.protocol.files import FILE_MODE, lock_holder
from engine.protocol.params import BakeParams
from engine.protocol.records import Job
from engine.runs import launch, queue
from engine.runs.folder import RunFolder, all_runs, run_folder

REQUESTS = "requests.jsonl"
CLOSED = "closed"
"""A file of this name in the run's folder: its worker takes no more requests."""


def submit(asked: DrawParams) -> Drawn:
    """Write the test down, ask for it, and see to it that somebody draws it. Raises EngineError as `prepare`."""
    ready = prepare(asked, time.time())
    drawn = history.create(ready.drawn)
    with queue.locked():
        run = _open_session(ready.base, ready.precision)
        if run is None:
            run = _new_session(ready.base, ready.precision)
        drawn = msgspec.structs.replace(drawn, run=run.id)
        history.write(drawn)
        _append(run, drawn.id)
    launch.ensure_runner()
    if beside.a_bake_is_paused():
        with contextlib.suppress(EngineError):  # then it waits as any other
            return beside.now(drawn.id)
    return drawn


def stop(ident: str) -> Drawn:
    """Take a test back that waits, or end the worker that draws it; a test that is over stays as it is.

    Raises EngineError `test_unknown`, `home_unwritable`.
    """
    drawn = history.find(ident)
    with queue.locked():
        run = run_folder(drawn.run)
        if drawn.state == "waiting":
            drawn = msgspec.structs.replace(drawn, state="failed", error=describe("test_stopped", test=drawn.id))
            history.write(drawn)
            asked = [history.load(one) for one in requests(run)]
            if all(one.state == "failed" for one in asked) and any(i.run.id == run.id for i in queue.waiting()):
                queue.change(run, "cancelled")
            return drawn
    if drawn.state == "drawing":
        try:
            control.send(run.control, "stop_now")
        except OSError as error:
            raise EngineError("home_unwritable", path=run.control, reason=error.strerror or error) from None
    return drawn


def _open_session(base: str, precision: str) -> RunFolder | None:
    """A worker that has this base in memory, or is about to."""
    waiting = {item.run.id for item in queue.waiting() if item.state == "queued"}
    for run in reversed(list(all_runs())):
        try:
            job = run.read_job()
        except EngineError:
            continue
        if job.kind != "test" or job.base != base or (run.path / CLOSED).exists():
            continue
        if precision not in ("auto", job.params.precision):
            continue
        if run.id in waiting or lock_holder(run.lock) is not None:
            return run
    return None


def _new_session(base: str, precision: str) -> RunFolder:
    name = os.path.basename(base.rstrip("/")).removesuffix(".safetensors")
    params = msgspec.convert({"precision": precision}, BakeParams)
    job = Job(id="", kind="test", name=f"test-{name}", created=time.time(), dataset="", base=base, params=params)
    run = queue.submit(job, [], start=True)
    # Somebody waits for the pictures; a bake that waits has hours to go.
    queue.move(run, -len(queue.waiting()))
    return run


def _append(run: RunFolder, ident: str) -> None:
    fd = os.open(run.path / REQUESTS, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, FILE_MODE)
    try:
        os.write(fd, ident.encode() + b"\n")
        os.fsync(fd)
    finally:
        os.close(fd)


def requests(run: RunFolder) -> list[str]:
    """Every test that was asked of this worker, in order."""
    try:
        return (run.path / REQUESTS).read_text("utf-8").split("\n")[:-1]
    except FileNotFoundError:
        return []


def close(run: RunFolder, done: int) -> bool:
    """Take no more requests, unless there are more than `done`; whether it is closed."""
    with queue.locked():
        if len(requests(run)) > done:
            return False
        (run.path / CLOSED).touch(FILE_MODE)
        return True
