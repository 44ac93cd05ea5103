"""A run as its journal tells it: events folded one by one into what the Monitor and the Results show.

Pure: no clock, no file, no widget. The state of the queue and of the worker's process comes from `RunRow`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Literal

import msgspec

from engine.protocol.events import (
    Ack,
    Changed,
    Checkpoint,
    Error,
    Event,
    Finished,
    Paused,
    Phase,
    Plan,
    Preview,
    Progress,
    Resumed,
    Step,
    Tagged,
    Tested,
    Validation,
    Warning,
    decode_event,
)
from engine.protocol.running import Past
from lorabake_tui.store.series import Series

LOG_LINES = 5000
"""How many log lines of a run are kept for the screen; the journal has them all."""

Level = Literal["info", "good", "warning", "error"]
Told = Literal["", "running", "paused", "stopping", "done", "stopped", "failed"]


class LogLine(msgspec.Struct, frozen=True):
    """One line of the log, not yet in words: `event` is translated where it is shown."""

    level: Level
    event: Event


class RunView(msgspec.Struct, frozen=True, kw_only=True):
    """What a screen shows of a run at one moment.

    `state` is what the journal alone tells ("" before its first event); `gaps` counts events that are missing
    from the journal. `series` is shared with the fold and grows; everything else never changes. Times are Unix
    seconds of the worker's clock, `previews` maps epoch → index → event.
    """

    run: str
    seq: int = 0
    boots: int = 0
    gaps: int = 0
    state: Told = ""
    plan: Plan = Plan()
    phase: str = ""
    progress: Progress | None = None
    epoch: int = 0
    step: int = 0
    series: Series
    last: Step | None = None
    validation: tuple[Validation, ...] = ()
    previews: Mapping[int, Mapping[int, Preview]] = {}
    epochs: Mapping[int, Checkpoint] = {}
    saved: Checkpoint | None = None
    log: tuple[LogLine, ...] = ()
    marks: tuple[Paused | Resumed | Changed, ...] = ()
    ack: Ack | None = None
    tagged: Tagged | None = None
    error: Error | None = None
    finished: Finished | None = None
    started: float | None = None
    updated: float | None = None

    @property
    def fraction(self) -> float:
        """How much of the bake's steps is taken, or of the images tagged, 0 to 1; 0 while their number is unknown."""
        if self.plan.steps:
            return min(1.0, self.step / self.plan.steps)
        progress = self.progress
        if progress is not None and progress.phase == "tag" and progress.total:
            return min(1.0, progress.done / progress.total)
        return 1.0 if self.tagged is not None else 0.0

    @property
    def images_s(self) -> float | None:
        """Samples per second at the last step, None when unknown."""
        if self.last is None or self.last.it_s is None or not self.last.images:
            return None
        return self.last.images * self.last.it_s

    def seconds_left(self, now: float) -> float | None:
        """Seconds until the end as last told, counted down to `now`; None when unknown or not training."""
        if self.last is None or self.last.eta_s is None or self.state not in ("running", "stopping"):
            return None
        return max(0.0, self.last.eta_s - max(0.0, now - self.last.t))

    def seconds_spent(self, now: float) -> float | None:
        """Seconds trained over all boots, counted on to `now` while the run lives; None before the first event."""
        if self.finished is not None and self.finished.seconds:
            return self.finished.seconds
        if self.started is None or self.updated is None:
            return None
        if self.last is None or self.last.elapsed_s is None:
            return max(0.0, (now if self.state == "running" else self.updated) - self.started)
        return self.last.elapsed_s + (max(0.0, now - self.last.t) if self.state == "running" else 0.0)


class RunFold:
    """Takes the events of one run in the order of its journal and gives `RunView`s.

    An event that was seen (`seq`) is ignored, so a replay may overlap what is there already.
    """

    def __init__(self, run: str) -> None:
        self.run = run
        self.seq = 0
        self.series = Series()
        self._boot = ""
        self._facts: dict[str, Any] = {"boots": 0, "gaps": 0}
        self._validation: list[Validation] = []
        self._previews: dict[int, dict[int, Preview]] = {}
        self._epochs: dict[int, Checkpoint] = {}
        self._marks: list[Paused | Resumed | Changed] = []
        self._log: deque[LogLine] = deque(maxlen=LOG_LINES)
        self._step = self._epoch = 0
        self._last: Step | None = None
        self._newest: Event | None = None
        self._training = False
        self._view: RunView | None = None
        self._takers: dict[type[Event], Callable[[Any], None]] = {
            Phase: self._on_phase,
            Progress: self._on_progress,
            Preview: self._on_preview,
            Checkpoint: self._on_checkpoint,
            Validation: self._on_validation,
            Tagged: self._on_tagged,
            Tested: self._on_tested,
            Warning: self._on_warning,
            Error: self._on_error,
            Paused: self._on_paused,
            Resumed: self._on_resumed,
            Changed: self._on_changed,
            Ack: self._on_ack,
            Finished: self._on_finished,
        }

    def add(self, event: Event, *, numbers: bool = True) -> bool:
        """Fold one event in, a step without its `numbers` if they are there already; False when it was known."""
        seq = event.seq
        if seq != self.seq + 1:
            if seq <= self.seq:
                return False
            self._facts["gaps"] += seq - self.seq - 1
        self.seq = seq
        if event.boot != self._boot:
            self._begin_boot(event)
        if type(event) is Step:
            if numbers:
                self.series.add(event)
            self._last, self._training = event, True
        else:
            if self._training:
                self._settle()
            self._takers[type(event)](event)
        self._newest = event
        self._view = None
        return True

    def add_lines(self, lines: Iterable[bytes | msgspec.Raw]) -> int:
        """Fold journal lines in; noise, torn lines and unknown kinds are skipped. Returns how many were new."""
        new = 0
        for line in lines:
            event = decode_event(line)  # type: ignore[arg-type,unused-ignore]
            if event is not None and self.add(event):
                new += 1
        return new

    def take_past(self, past: Past) -> None:
        """Take a part of the history in brief, in order, into a fold that has seen no event."""
        for line in past.events:
            event = decode_event(line)  # type: ignore[arg-type,unused-ignore]
            if event is not None:
                # Of the steps between the ones told here the numbers come as columns.
                self.seq = event.seq - 1
                self.add(event, numbers=False)
        if past.columns is not None:
            self.series.extend(past.columns)
        self.seq, self._facts["gaps"] = past.seq, past.gaps

    @property
    def newest(self) -> Event | None:
        """The last event that was folded in."""
        return self._newest

    def view(self) -> RunView:
        """The run as of now; the same object until another event came."""
        if self._view is None:
            if self._training:
                self._settle()
            self._view = RunView(
                run=self.run,
                seq=self.seq,
                series=self.series,
                step=self._step,
                epoch=self._epoch,
                last=self._last,
                updated=self._newest.t if self._newest is not None else None,
                validation=tuple(self._validation),
                previews={epoch: dict(row) for epoch, row in self._previews.items()},
                epochs=dict(self._epochs),
                log=tuple(self._log),
                marks=tuple(self._marks),
                **self._facts,
            )
        return self._view

    def _begin_boot(self, event: Event) -> None:
        self._boot = event.boot
        facts = self._facts
        facts["boots"] += 1
        facts.setdefault("started", event.t)
        facts.update(state="running", progress=None, error=None, finished=None, ack=None)

    def _settle(self) -> None:
        """Bring the facts up to the last step; once for many steps, since most events are steps."""
        self._training = False
        if self._last is not None:
            self._step, self._epoch = self._last.step, self._last.epoch
        if self._facts.get("phase") != "train":
            self._facts.update(phase="train", progress=None)

    def _on_phase(self, event: Phase) -> None:
        self._facts.update(phase=event.name, progress=None)
        if event.plan is not None:
            self._facts["plan"] = event.plan
        self._note("info", event)

    def _on_progress(self, event: Progress) -> None:
        self._facts.update(phase=event.phase, progress=event)

    def _on_preview(self, event: Preview) -> None:
        self._previews.setdefault(event.epoch, {})[event.index] = event

    def _on_checkpoint(self, event: Checkpoint) -> None:
        if event.kind == "epoch":
            self._epochs[event.epoch] = event
        else:
            self._facts["saved"] = event
        self._note("good", event)

    def _on_validation(self, event: Validation) -> None:
        self._validation.append(event)

    def _on_tagged(self, event: Tagged) -> None:
        self._facts["tagged"] = event
        self._note("good", event)

    def _on_tested(self, event: Tested) -> None:
        if event.state != "drawing":
            self._note("good" if event.state == "done" else "error", event)

    def _on_warning(self, event: Warning) -> None:
        self._note("warning", event)

    def _on_error(self, event: Error) -> None:
        self._facts["error"] = event
        self._note("error", event)

    def _on_paused(self, event: Paused) -> None:
        self._facts["state"] = "paused"
        self._marks.append(event)
        self._note("info", event)

    def _on_resumed(self, event: Resumed) -> None:
        self._facts["state"] = "running"
        self.series.rewind(event.step + 1)
        self._validation = [point for point in self._validation if point.step <= event.step]
        self._step = event.step
        self._epoch = event.epoch or self._epoch
        self._marks.append(event)
        self._note("info", event)

    def _on_changed(self, event: Changed) -> None:
        self._marks.append(event)
        self._note("info", event)

    def _on_ack(self, event: Ack) -> None:
        self._facts["ack"] = event
        if event.action in ("stop", "stop_now") and event.state == "accepted":
            self._facts["state"] = "stopping"
        self._note("info", event)

    def _on_finished(self, event: Finished) -> None:
        self._facts.update(state=event.reason, finished=event, progress=None)
        self._step = event.step or self._step
        self._epoch = event.epoch or self._epoch
        self._note({"done": "good", "stopped": "info", "failed": "error"}[event.reason], event)  # type: ignore[arg-type]

    def _note(self, level: Level, event: Event) -> None:
        self._log.append(LogLine(level, event))
