"""Turns the numbers of a step into its event one step later, so that a GPU is never waited for."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass

from torch import Tensor

from engine.protocol import events
from engine.protocol.errors import EngineError
from engine.protocol.journal import JournalWriter

_SMOOTHING = 0.9
_FILES_NAMED = 4


@dataclass(frozen=True)
class Taken:
    """A step that is under way on the device: `numbers` are those of `loop`'s step."""

    step: int
    epoch: int
    numbers: Tensor
    rates: dict[str, float]
    images: int
    files: list[str]
    it_s: float | None
    eta_s: float | None
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

    def __init__(self, journal: JournalWriter, clock: Clock, steps: int, *, scaled: bool) -> None:
        self._journal = journal
        self._clock = clock
        self._steps = steps
        self._scaled = scaled
        self._pending: Taken | None = None
        self._step_seconds: float | None = None
        self._last: float | None = None
        self._closing_seconds = 0.0

    def step(
        self, step: int, epoch: int, numbers: Tensor, rates: dict[str, float], files: list[str], closings: int
    ) -> None:
        """A step was launched: journal the one before it. `closings` epochs are still to be closed.

        Raises EngineError `nonfinite_loss`.
        """
        now = time.monotonic()
        if self._last is not None:
            took = now - self._last
            before = took if self._step_seconds is None else self._step_seconds
            self._step_seconds = _SMOOTHING * before + (1 - _SMOOTHING) * took
        self._last = now
        seconds = self._step_seconds
        taken = Taken(
            step=step,
            epoch=epoch,
            numbers=numbers,
            rates=rates,
            images=len(files),
            files=files,
            it_s=1 / seconds if seconds else None,
            eta_s=(self._steps - step) * seconds + closings * self._closing_seconds if seconds else None,
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
            eta_s=taken.eta_s,
            elapsed_s=taken.elapsed_s,
            **_weight_norms(norms),
        )
        # Under loss scaling an infinite gradient is normal: the scaler skips that step and halves its scale.
        if not finite or not (self._scaled or math.isfinite(norm)):
            files = sorted(set(taken.files))
            more = f", … ({len(files)})" if len(files) > _FILES_NAMED else ""
            raise EngineError("nonfinite_loss", step=taken.step, files=", ".join(files[:_FILES_NAMED]) + more)

    def interrupted(self) -> None:
        """The time until the next step is no measure of speed (previews, a pause)."""
        self._last = None

    def closed(self, seconds: float) -> None:
        """An epoch's files, validation and previews took this long."""
        self._closing_seconds = seconds
        self.interrupted()


def _weight_norms(norms: list[float]) -> dict[str, int | float]:
    if not norms:
        return {}
    scaled, mean, largest = norms
    return {"norms_scaled": int(scaled), "norm_mean": round(mean, 6), "norm_max": round(largest, 6)}
