"""Regularisation images for the viewer: a job that draws them, in the queue like any other."""

from __future__ import annotations

from engine.handlers import Context
from engine.protocol.datasets import RegParams
from engine.protocol.records import RunRow
from engine.runs import launch, queue


def reg_submit(context: Context, params: RegParams) -> RunRow:
    """Check everything, put it at the end of the queue, wake the runner."""
    from engine.runs.reg import prepare

    run = queue.submit(prepare(params), [], start=params.start)
    launch.ensure_runner()
    return context.runs.row(run)
