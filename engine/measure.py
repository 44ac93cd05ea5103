"""Reads from a run's journal what the bake really took, and hands it to `calibration`.

The journal has the time of every event, so nothing has to be measured while training.
"""

from __future__ import annotations

import contextlib
import resource
import sys
import time
from pathlib import Path

import msgspec

from engine import calibration
from engine.dataset.manifest import thaw
from engine.estimate import base_kind
from engine.protocol import events
from engine.protocol.errors import EngineError
from engine.protocol.estimates import Outcome
from engine.protocol.events import decode_event
from engine.protocol.files import atomic_write
from engine.runs.folder import RunFolder

_FEWEST_STEPS = 5
"""Fewer steps say nothing: the first ones warm caches up."""


class _Sums:
    """Seconds and counts per kind of phase, over one boot of a worker."""

    def __init__(self) -> None:
        self.seconds = {"train": 0.0, "draw": 0.0, "save": 0.0, "held": 0.0, "cache": 0.0}
        self.steps = self.drawn = self.epochs = self.measured = 0
        self.cache_from: float | None = None
        self.first_train: float | None = None
        self.paused = 0.0


def learn_from(run: RunFolder, *, started: float | None = None, memory_bytes: int = 0) -> bool:
    """Learn from the last boot of a bake; returns False where there is too little to learn.

    `started` is when that worker's process began (its imports belong to the set-up), `memory_bytes` its peak. A bake
    that came to its end in one boot is also compared with its estimate, in `measured.json`.
    Never raises: a bake must not fail over a statistic.
    """
    try:
        job, manifest = run.read_job(), run.read_manifest()
        whole = _journal(run.journal)
        rows = [row for row in whole if row.boot == whole[-1].boot] if whole else []
        kind = base_kind(job.base)
    except (EngineError, OSError):
        return False
    plan = next((row.plan for row in reversed(rows) if isinstance(row, events.Phase) and row.plan), None)
    sums = _sums(rows)
    if job.kind != "bake" or plan is None or sums.first_train is None:
        return False
    begin = rows[0].t if started is None else min(started, rows[0].t)
    end = rows[-1]
    if isinstance(end, events.Finished) and end.reason == "done" and len(rows) == len(whole):
        outcome = Outcome(
            run=run.id,
            name=job.name,
            t=end.t,
            device=plan.device,
            model=kind.model,
            source=job.forecast.source,
            estimated_seconds=job.forecast.seconds,
            seconds=round(end.t - begin - sums.paused, 1),
            estimated_memory=job.forecast.memory_bytes,
            memory_bytes=memory_bytes,
        )
        if job.forecast.source:
            with contextlib.suppress(OSError):
                atomic_write(run.measured_json, msgspec.json.encode(outcome) + b"\n")
            calibration.compare(outcome)
    if sums.steps < _FEWEST_STEPS:
        return False
    facts = calibration.facts(
        thaw(manifest, job.params), job.params, device=plan.device, model=kind.model, precision=plan.precision
    )
    cached = sums.cache_from if sums.cache_from is not None else sums.first_train
    calibration.learn(
        calibration.Measured(
            facts=facts,
            seconds_per_step=sums.seconds["train"] / sums.steps,
            load_seconds=max(0.0, cached - begin),
            image_seconds=sums.seconds["cache"] / max(1, facts.images),
            preview_seconds=sums.seconds["draw"] / sums.drawn if sums.drawn else 0.0,
            closing_seconds=sums.seconds["save"] / sums.epochs if sums.epochs else 0.0,
            held_seconds=sums.seconds["held"] / (sums.measured * facts.held_out) if facts.held_out else 0.0,
            memory_bytes=memory_bytes,
        )
    )
    return True


def outcome_of(run: RunFolder) -> Outcome | None:
    """How the estimate of a bake and the truth compared; None while it goes on and where nothing is known."""
    try:
        return msgspec.json.decode(run.measured_json.read_bytes(), type=Outcome)
    except (OSError, msgspec.DecodeError, UnicodeDecodeError):
        return None


def peak_memory() -> int:
    """The most that this process took so far: of the card where one is in use, else of main memory."""
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_initialized():
        return int(torch.cuda.max_memory_reserved())
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def process_start() -> float:
    """When this process began, in Unix time."""
    import psutil  # type: ignore[import-untyped]

    return min(float(psutil.Process().create_time()), time.time())


def _journal(journal: Path) -> list[events.Event]:
    with open(journal, "rb") as lines:
        return [row for line in lines if (row := decode_event(line)) is not None]


_KIND = {"baseline": "draw", "preview": "draw", "save": "save", "validate": "held", "train": "train", "cache": "cache"}


def _sums(rows: list[events.Event]) -> _Sums:
    sums = _Sums()
    phase, since = "", 0.0
    for row in rows:
        # Every stretch of time between two events belongs to the phase it lies in; a pause belongs to none.
        kind = _KIND.get(phase, "")
        if kind:
            sums.seconds[kind] += row.t - since
        elif phase == "paused":
            sums.paused += row.t - since
        since = row.t
        if isinstance(row, events.Phase):
            phase = row.name
            sums.drawn += _KIND.get(phase) == "draw"
            sums.epochs += phase == "save"
            sums.measured += phase == "validate"
            if phase == "cache" and sums.cache_from is None:
                sums.cache_from = row.t
            if phase == "train" and sums.first_train is None:
                sums.first_train = row.t
        elif isinstance(row, events.Step):
            sums.steps += 1
        elif isinstance(row, events.Paused):
            phase = "paused"
        elif isinstance(row, events.Resumed):
            phase = "train" if sums.first_train is not None else phase if phase != "paused" else "load"
    return sums
