"""Turns the numbers of a step into its event one step later, so that a GPU is never waited for."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass

from torch import Tensor

from engine.protocol import events
from engine.protocol.errors import EngineError
from engine.protocol.journal import JournalWriter
from engine.protocol.params import BakeParams
from engine.train.pace import Pace

_FILES_NAMED = 4
SKIPPED_STEPS = 32
"""So many steps in a row that loss scaling leaves out mean that no scale is small enough: it halves with each."""


@dataclass(frozen=True)
class Taken:
    """A step that is under way on the device: `numbers` are those of `loop`'s step, `ends` is when the bake is to end
    on the monotonic clock."""

    step: int
    epoch: int
    numbers: Tensor
    rates: dict[str, float]
    images: int
    files: list[str]
    it_s: float | None
    ends: float | None
    elapsed_s: float


class Clock:
    """Seconds of training over all boots; stands still while the bake is paused."""

    def __init__(self, before: float) -> None:
        self._before = before
        self._started: float | None = time.monotonic()

    @property
    def seconds(self) -> float:
        """Trained so far."""
        return self._before + (time.monotonic() - self._started if self._started is not None else 0.0)

    def stop(self) -> None:
        """Stand still."""
        self._before, self._started = self.seconds, None

    def start(self) -> None:
        """Go on."""
        self._started = time.monotonic()


class Reporter:
    """Speed, time left and the journal's `step` events."""

    def __init__(self, journal: JournalWriter, clock: Clock, *, scaled: bool) -> None:
        self._journal = journal
        self._clock = clock
        self._scaled = scaled
        self._pending: Taken | None = None
        self._last: float | None = None
        self._skipped = 0
        self.pace = Pace()

    def step(
        self,
        step: int,
        epoch: int,
        numbers: Tensor,
        rates: dict[str, float],
        files: list[str],
        *,
        params: BakeParams,
        steps: int,
    ) -> None:
        """A step was launched: journal the one before it. The bake has `steps` in all.

        Raises EngineError `nonfinite_loss`.
        """
        now = time.monotonic()
        if self._last is not None:
            self.pace.step(now - self._last)
        self._last = now
        seconds = self.pace.step_seconds
        left = self.pace.left(params, steps - step, epoch)
        taken = Taken(
            step=step,
            epoch=epoch,
            numbers=numbers,
            rates=rates,
            images=len(files),
            files=files,
            it_s=1 / seconds if seconds else None,
            ends=now + left if left is not None else None,
            elapsed_s=self._clock.seconds,
        )
        self.flush()
        self._pending = taken

    def flush(self) -> None:
        """Journal the step under way; waits for the device. Raises EngineError `nonfinite_loss`."""
        taken, self._pending = self._pending, None
        if taken is None:
            return
        loss, norm, *norms = taken.numbers.tolist()  # CPU–GPU sync, of the step before the one just launched
        finite = math.isfinite(loss)
        self._journal.emit(
            events.Step,
            step=taken.step,
            epoch=taken.epoch,
            loss=loss if finite else None,
            nonfinite=not finite,
            lr=taken.rates,
            grad_norm=norm if math.isfinite(norm) else None,
            images=taken.images,
            it_s=taken.it_s,
            eta_s=max(0.0, taken.ends - time.monotonic()) if taken.ends is not None else None,
            elapsed_s=taken.elapsed_s,
            **_weight_norms(norms),
        )
        # Under loss scaling an infinite gradient is normal: the scaler skips that step and halves its scale.
        self._skipped = 0 if math.isfinite(norm) else self._skipped + 1
        if not finite or self._skipped > (SKIPPED_STEPS if self._scaled else 0):
            files = sorted(set(taken.files))
            more = f", … ({len(files)})" if len(files) > _FILES_NAMED else ""
            raise EngineError("nonfinite_loss", step=taken.step, files=", ".join(files[:_FILES_NAMED]) + more)

    def interrupted(self) -> None:
        """The time until the next step is no measure of speed (previews, a pause)."""
        self._last = None

    def began(self, seconds: float, drawing: float) -> None:
        """The untrained base was measured in `seconds`, and drawn in `drawing` (0: it was not)."""
        self.pace.began(seconds, drawing)
        self.interrupted()

    def closed(self, seconds: float, drawing: float) -> None:
        """An epoch was closed: files and validation took `seconds`, previews `drawing` (0: none were drawn)."""
        self.pace.closed(seconds, drawing)
        self.interrupted()

    def saved(self, seconds: float) -> None:
        """A state was saved within an epoch."""
        self.pace.saved(seconds)
        self.interrupted()


def _weight_norms(norms: list[float]) -> dict[str, int | float]:
    if not norms:
        return {}
    scaled, mean, largest = norms
    return {"norms_scaled": int(scaled), "norm_mean": round(mean, 6), "norm_max": round(largest, 6)}
