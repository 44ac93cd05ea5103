"""How long what is left of a bake will take: steps, rows of previews, closings and saves, each by its own cost.

Knows no clock and no tensor; `report` feeds it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from itertools import pairwise
from statistics import fmean, median

from engine.protocol.events import Phase
from engine.protocol.params import BakeParams

WARM_UP = 3
"""The first steps of a boot compile, allocate and fill caches; they say nothing of the others."""
RECENT = 50
"""Steps whose mean is the speed that is told."""
WINDOW = 200
"""Steps by which those to come are priced: long enough for a machine's moods to cancel out, short enough to follow one
that has changed for good."""
STRANGE = 8.0
"""A step that took so many times the usual one (a suspended machine, a stopped process) is no measure of others."""
DRAWS_LONGER = 1.25
"""What drawing with a LoRA in training takes of drawing with the bare base; until the first such row is drawn."""
ROWS = 5
"""Rows of previews, and closings, whose mean is taken."""


class Pace:
    """Seconds of steps, previews, closings and saves as they come in. A state is saved every `save_every` seconds."""

    def __init__(self, save_every: float = 60.0) -> None:
        self._save_every = save_every
        self._steps: deque[float] = deque(maxlen=WINDOW)
        self._seen = 0
        self._bare_row = self._bare_closing = 0.0
        self._rows: deque[float] = deque(maxlen=ROWS)
        self._closings: deque[float] = deque(maxlen=ROWS)
        self._save = 0.0

    def step(self, seconds: float) -> None:
        """A step took this long."""
        self._seen += 1
        if self._seen > WARM_UP:
            self._steps.append(seconds)

    def began(self, seconds: float, drawing: float) -> None:
        """The bare base was measured in `seconds` and drawn in `drawing` (0: it was not)."""
        self._bare_closing, self._bare_row = seconds, drawing * DRAWS_LONGER

    def closed(self, seconds: float, drawing: float) -> None:
        """Saving and measuring an epoch took `seconds`, its previews `drawing` (0: none were drawn)."""
        self._closings.append(seconds)
        if drawing:
            self._rows.append(drawing)

    def recall(self, phases: Iterable[Phase]) -> None:
        """What earlier boots of the bake tell of previews and closings, by the phases of its journal."""
        for phase, after in pairwise(phases):
            seconds = after.t - phase.t
            if phase.boot != after.boot or seconds < 0:
                continue
            match phase.name:
                case "baseline":
                    self._bare_row = seconds * DRAWS_LONGER
                case "preview":
                    self._rows.append(seconds)
                case "save":
                    self._closings.append(seconds)

    def saved(self, seconds: float) -> None:
        """A state was saved within an epoch."""
        self._save = seconds

    @property
    def step_seconds(self) -> float | None:
        """Of a step as they are just now, None before there was one."""
        return _usual(list(self._steps)[-RECENT:])

    def left(self, params: BakeParams, steps: int, epoch: int) -> float | None:
        """Seconds until the end with `steps` to go in `epoch`, which is still to be closed; None when unknown."""
        each = _usual(self._steps)
        if each is None:
            return None
        closing = fmean(self._closings) if self._closings else self._bare_closing
        row = fmean(self._rows) if self._rows else self._bare_row
        training = steps * each
        saving = self._save * training / self._save_every
        return training + saving + (params.epochs - epoch + 1) * closing + preview_rows(params, epoch) * row


def _usual(steps: Sequence[float]) -> float | None:
    """The mean of steps without the strange ones."""
    if not steps:
        return None
    limit = STRANGE * median(steps)
    return fmean([seconds for seconds in steps if seconds <= limit])


def preview_rows(params: BakeParams, epoch: int) -> int:
    """How many of the epochs from `epoch` on are closed with previews: each `preview_every_epochs`-th, and the last."""
    every = params.preview_every_epochs
    if not every or epoch > params.epochs:
        return 0
    return params.epochs // every - (epoch - 1) // every + (params.epochs % every > 0)
