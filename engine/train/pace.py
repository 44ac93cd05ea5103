"""How long what is left of a bake will take: steps by the mean of the latest, previews and closings by their own.

Knows no clock and no tensor; `report` feeds it.
"""

from __future__ import annotations

from collections import deque

from engine.protocol.params import BakeParams

WARM_UP = 3
"""The first steps of a boot compile, allocate and fill caches; they say nothing of the others."""
WINDOW = 50
"""Steps whose mean is taken: long enough for every bucket to be among them, short enough to follow a busy machine."""


class Pace:
    """Seconds of steps, previews and closings as they come in."""

    def __init__(self) -> None:
        self._steps: deque[float] = deque(maxlen=WINDOW)
        self._sum = 0.0
        self._seen = 0
        self._previews: float | None = None
        self._closing: float | None = None

    def step(self, seconds: float) -> None:
        """A step took this long."""
        self._seen += 1
        if self._seen <= WARM_UP:
            return
        if len(self._steps) == WINDOW:
            self._sum -= self._steps[0]
        self._steps.append(seconds)
        self._sum += seconds

    def drew(self, seconds: float) -> None:
        """A row of previews took this long; the first one also warmed up."""
        self._previews = seconds

    def closed(self, seconds: float) -> None:
        """Saving and measuring an epoch took this long, without its previews."""
        self._closing = seconds

    @property
    def step_seconds(self) -> float | None:
        """Of a usual step, None before there was one."""
        return self._sum / len(self._steps) if self._steps else None

    def left(self, params: BakeParams, steps: int, epoch: int) -> float | None:
        """Seconds until the end with `steps` to go in `epoch`, which is still to be closed; None when unknown."""
        each = self.step_seconds
        if each is None:
            return None
        closings = params.epochs - epoch + 1
        rows = preview_rows(params, epoch)
        return steps * each + closings * (self._closing or 0.0) + rows * (self._previews or 0.0)


def preview_rows(params: BakeParams, epoch: int) -> int:
    """How many of the epochs from `epoch` on are closed with previews: each `preview_every_epochs`-th, and the last."""
    every = params.preview_every_epochs
    if not every or epoch > params.epochs:
        return 0
    return params.epochs // every - (epoch - 1) // every + (params.epochs % every > 0)
