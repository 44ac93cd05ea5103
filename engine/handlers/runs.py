"""Runs and queue for the viewer: submit, list, watch, control, and the changes of the queue."""

from __future__ import annotations

import re
import time

from engine.handlers import Context, Then
from engine.protocol import control
from engine.protocol.errors import EngineError
from engine.protocol.estimates import Outcome
from engine.protocol.messages import (
    Branch,
    ControlParams,
    Empty,
    MoveParams,
    RunParams,
    ScheduleParams,
    Submit,
    WatchParams,
)
from engine.protocol.records import LIVE_STATES, Job, RunRow
from engine.runs import launch, queue, schedule, tuning
from engine.runs.folder import find

LOG_BYTES = 48 * 1024
_CONTROL = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)|[\x00-\x08\x0b-\x1f\x7f-\x9f]")


def runs_submit(context: Context, params: Submit) -> RunRow:
    """Check everything, freeze it, put it at the end of the queue, wake the runner."""
    from engine.runs.submit import prepare

    when = schedule.read(params.when, time.time())
    job, manifest = prepare(params, context.datasets.open)
    run = queue.submit(job, manifest, start=params.start, schedule=when, retries=max(0, params.retries))
    launch.ensure_runner()
    return context.runs.row(run)


def runs_branch(context: Context, params: Branch) -> RunRow:
    """The same again, or from an epoch or the state of an earlier run, with other parameters."""
    from engine.runs.branch import prepare

    when = schedule.read(params.when, time.time())
    job, manifest, fill = prepare(find(params.run), params, context.datasets.open)
    run = queue.submit(job, manifest, start=params.start, schedule=when, retries=max(0, params.retries), fill=fill)
    launch.ensure_runner()
    return context.runs.row(run)


def runs_list(context: Context, _: Empty) -> list[RunRow]:
    """Waiting jobs in order, then the rest from the youngest on."""
    return context.runs.rows()


def runs_job(_: Context, params: RunParams) -> Job:
    """What was asked for."""
    return find(params.run).read_job()


def runs_outcome(_: Context, params: RunParams) -> list[Outcome]:
    """How its estimate and the truth compared; [] while it goes on and where nothing is known."""
    from engine.measure import outcome_of

    found = outcome_of(find(params.run))
    return [found] if found is not None else []


def runs_watch(context: Context, params: WatchParams) -> Then:
    """The row now; then the history after `seq` as batches or in brief, one batch (maybe empty) with `live` true, and
    news.

    Watching a run again starts it over from the given `seq`.
    """
    run = find(params.run)
    return Then(context.runs.row(run), lambda: context.follower.watch(run, params.seq, brief=params.brief))


def runs_unwatch(context: Context, params: RunParams) -> Empty:
    """No more batches of this run."""
    context.follower.unwatch(find(params.run))
    return Empty()


def runs_control(context: Context, params: ControlParams) -> RunRow:
    """Ask a live run for something; it answers in its journal."""
    run = find(params.run)
    row = context.runs.row(run)
    if row.state not in LIVE_STATES:
        raise EngineError("run_not_live", run=run.id, state=row.state)
    try:
        values = params.values
        if params.action == "set":
            values = tuning.check(run.read_job().params, values, epoch=row.epoch)
        control.send(run.control, params.action, values)
    except OSError as error:
        raise EngineError("home_unwritable", path=run.control, reason=error.strerror or error) from None
    return row


def runs_resume(context: Context, params: RunParams) -> RunRow:
    """Queue a stopped, failed or cancelled run again: same folder, same journal, from its last state."""
    run = find(params.run)
    row = context.runs.row(run)
    if row.state in LIVE_STATES:
        raise EngineError("run_live", run=run.id)
    if row.state == "done":
        raise EngineError("run_finished", run=run.id)
    if row.resumable:
        queue.requeue(run)
    elif row.state == "held":
        queue.change(run, "queued")
    launch.ensure_runner()
    return context.runs.row(run)


def runs_subscribe(context: Context, _: Empty) -> Then:
    """All rows now, and a push whenever one changed."""
    return Then(context.runs.rows(), context.follower.follow_runs)


def queue_cancel(context: Context, params: RunParams) -> RunRow:
    """Take a waiting job out of the queue; a resumed run goes back to what it was."""
    run = find(params.run)
    queue.change(run, "cancelled")
    return context.runs.row(run)


def queue_hold(context: Context, params: RunParams) -> RunRow:
    """Keep a waiting job from starting."""
    run = find(params.run)
    queue.change(run, "held")
    return context.runs.row(run)


def queue_start(context: Context, params: RunParams) -> RunRow:
    """Let a held job start when its turn comes."""
    run = find(params.run)
    queue.change(run, "queued")
    launch.ensure_runner()
    return context.runs.row(run)


def queue_move(context: Context, params: MoveParams) -> RunRow:
    """Change the order of the waiting jobs."""
    run = find(params.run)
    queue.move(run, params.by)
    return context.runs.row(run)


def queue_plan(context: Context, params: ScheduleParams) -> RunRow:
    """Say when a waiting job may start, or how often its worker may be replaced."""
    run = find(params.run)
    when = None if params.when is None else schedule.read(params.when, time.time())
    queue.plan(run, schedule=when, retries=None if params.retries is None else max(0, params.retries))
    launch.ensure_runner()
    return context.runs.row(run)


def log_tail(_: Context, params: RunParams) -> str:
    """The end of console.log, fit for a terminal: no control characters, progress bars by their last state."""
    path = find(params.run).console
    try:
        with open(path, "rb") as handle:
            handle.seek(0, 2)
            handle.seek(max(0, handle.tell() - LOG_BYTES))
            text = handle.read().decode("utf-8", "replace")
    except FileNotFoundError:
        return ""
    except OSError as error:
        raise EngineError("home_unwritable", path=path, reason=error.strerror or error) from None
    lines = [line.rstrip("\r").rpartition("\r")[2] for line in text.split("\n")]
    return _CONTROL.sub("", "\n".join(lines))
