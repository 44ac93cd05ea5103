"""Reads from a run's journal what the bake really took, and hands it to `calibration`.

The journal has the time of every event, so nothing has to be measured while training.
"""

from __future__ import annotations

import time
from pathlib import Path

from engine import calibration
from engine.dataset.manifest import thaw
from engine.estimate import base_kind
from engine.protocol import events
from engine.protocol.errors import EngineError
from engine.protocol.events import decode_event
from engine.runs.folder import RunFolder

_DRAWING = frozenset({"baseline", "preview"})
_CLOSING = frozenset({"save", "validate"})
_FEWEST_STEPS = 5
"""Fewer steps say nothing: the first ones warm caches up."""


class _Sums:
    """Seconds and counts per kind of phase, over one boot of a worker."""

    def __init__(self) -> None:
        self.seconds = {"train": 0.0, "draw": 0.0, "close": 0.0}
        self.steps = self.drawn = self.epochs = 0
        self.first_train: float | None = None
        self.drawn_before = 0.0


def learn_from(run: RunFolder, *, started: float | None = None, memory_bytes: int = 0) -> bool:
    """Learn from the last boot of a bake; returns False where there is too little to learn.

    `started` is when that worker's process began (its imports belong to the set-up), `memory_bytes` its peak.
    Never raises: a bake must not fail over a statistic.
    """
    try:
        job, manifest = run.read_job(), run.read_manifest()
        rows = _last_boot(run.journal)
        kind = base_kind(job.base)
    except (EngineError, OSError):
        return False
    plan = next((row.plan for row in reversed(rows) if isinstance(row, events.Phase) and row.plan), None)
    sums = _sums(rows)
    if job.kind != "bake" or plan is None or sums.first_train is None or sums.steps < _FEWEST_STEPS:
        return False
    facts = calibration.facts(
        thaw(manifest, job.params), job.params, device=plan.device, model=kind.model, precision=plan.precision
    )
    begin = rows[0].t if started is None else min(started, rows[0].t)
    calibration.learn(
        facts,
        seconds_per_step=sums.seconds["train"] / sums.steps,
        setup_seconds=max(0.0, sums.first_train - begin - sums.drawn_before),
        preview_seconds=sums.seconds["draw"] / sums.drawn if sums.drawn else 0.0,
        closing_seconds=sums.seconds["close"] / sums.epochs if sums.epochs else 0.0,
        memory_bytes=memory_bytes,
    )
    return True


def process_start() -> float:
    """When this process began, in Unix time."""
    import psutil  # type: ignore[import-untyped]

    return min(float(psutil.Process().create_time()), time.time())


def _last_boot(journal: Path) -> list[events.Event]:
    with open(journal, "rb") as lines:
        rows = [row for line in lines if (row := decode_event(line)) is not None]
    return [row for row in rows if row.boot == rows[-1].boot] if rows else []


def _sums(rows: list[events.Event]) -> _Sums:
    sums = _Sums()
    phase, since = "", 0.0
    for row in rows:
        # Every stretch of time between two events belongs to the phase it lies in; a pause belongs to none.
        kind = "draw" if phase in _DRAWING else "close" if phase in _CLOSING else phase
        if kind in sums.seconds:
            sums.seconds[kind] += row.t - since
            if sums.first_train is None:
                sums.drawn_before += row.t - since
        since = row.t
        if isinstance(row, events.Phase):
            phase = row.name
            sums.drawn += phase in _DRAWING
            sums.epochs += phase == "save"
            if phase == "train" and sums.first_train is None:
                sums.first_train = row.t
        elif isinstance(row, events.Step):
            sums.steps += 1
        elif isinstance(row, events.Paused):
            phase = ""
        elif isinstance(row, events.Resumed):
            phase = "train" if sums.first_train is not None else phase
    return sums
