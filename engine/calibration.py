"""What past bakes on this machine measured: seconds per step, set-up, previews, memory. Estimates learn from it.

Keeps one small file and finds the nearest measurement; turning that into a forecast is `estimate`'s business.
"""

from __future__ import annotations

import contextlib
import math
import threading
import time
from pathlib import Path

import msgspec

from engine import optimizers
from engine.dataset.plan import BakePlan
from engine.home import home
from engine.protocol.files import Lock, atomic_write
from engine.protocol.params import BakeParams

MAX_RECORDS = 100

_threads = threading.Lock()


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """What decides how long a step of a bake takes.

    `device` is the GPU's name or "CPU"; `model` is "demo" or the family; `pixels` the mean area of a training
    picture; `images` those whose latents are made; `preview_work` is pictures × denoising steps × pixels of one
    round of previews; `optimizer_bytes` is what the optimizer keeps per trained weight.
    """

    device: str
    model: str
    precision: str
    pixels: int
    batch_size: int
    gradient_accumulation: int
    gradient_checkpointing: bool
    text_encoder: bool
    network_dim: int
    images: int
    preview_work: int
    optimizer_bytes: int = 8

    @property
    def work(self) -> int:
        """Pixels per optimizer step."""
        return self.pixels * self.batch_size * self.gradient_accumulation


class Measured(msgspec.Struct, frozen=True, kw_only=True):
    """What a bake with these facts took: seconds of an optimizer step, of all before the first one (loading and
    caching), of one round of previews (0: none drawn), of saving and validating one epoch, and the peak of memory
    (0: not known)."""

    facts: Facts
    seconds_per_step: float
    setup_seconds: float
    preview_seconds: float = 0.0
    closing_seconds: float = 0.0
    memory_bytes: int = 0
    t: float = 0.0


class _File(msgspec.Struct, frozen=True, kw_only=True):
    version: int = 1
    measured: list[Measured] = []


# Worked out here, under the import lock: two threads doing that at once bring the process down (msgspec).
msgspec.json.Decoder(_File)


PREVIEWS = 4
"""Pictures in one round of previews."""


def facts(plan: BakePlan, params: BakeParams, *, device: str, model: str, precision: str = "") -> Facts:
    """The facts of a bake; `precision` is the one in use where `params` says auto."""
    views = max(1, plan.views_per_epoch)
    area = sum(row.views * row.width * row.height for row in plan.buckets)
    return Facts(
        device=device,
        model=model,
        precision=precision or params.precision,
        pixels=round(area / views),
        batch_size=params.batch_size,
        gradient_accumulation=params.gradient_accumulation,
        gradient_checkpointing=params.gradient_checkpointing,
        text_encoder=max(params.text_encoder_lrs) > 0,
        network_dim=params.network_dim,
        images=len(plan.items) + len(plan.validation),
        preview_work=PREVIEWS * params.preview_steps * params.resolution**2,
        optimizer_bytes=optimizers.memory(params),
    )


def calibration_path() -> Path:
    """Where the measurements are kept."""
    return home() / "calibration.json"


def load() -> list[Measured]:
    """All measurements, newest last; [] without a file or with a damaged one, which the next `learn` replaces."""
    try:
        return msgspec.json.decode(calibration_path().read_bytes(), type=_File).measured
    except (OSError, msgspec.DecodeError, UnicodeDecodeError):
        return []


def learn(
    known: Facts,
    *,
    seconds_per_step: float,
    setup_seconds: float,
    preview_seconds: float = 0.0,
    closing_seconds: float = 0.0,
    memory_bytes: int = 0,
) -> None:
    """Remember what a bake took; a bake of the same facts replaces its former figures, averaged with them.

    Never raises for a disk that refuses: a bake must not fail over a statistic. Nonsense is not remembered.
    """
    times = (seconds_per_step, setup_seconds, preview_seconds, closing_seconds)
    if seconds_per_step == 0 or not all(0 <= seconds < math.inf for seconds in times):
        return
    fresh = Measured(
        facts=known,
        seconds_per_step=seconds_per_step,
        setup_seconds=setup_seconds,
        preview_seconds=preview_seconds,
        closing_seconds=closing_seconds,
        memory_bytes=memory_bytes,
        t=time.time(),
    )
    path = calibration_path()
    with contextlib.suppress(OSError), _threads, Lock(path.with_suffix(".lock")):
        rows = load()
        former = next((row for row in rows if row.facts == known), None)
        rows = [row for row in rows if row is not former]
        rows.append(_blended(former, fresh) if former else fresh)
        atomic_write(path, msgspec.json.format(msgspec.json.encode(_File(measured=rows[-MAX_RECORDS:])), indent=1))


def _blended(old: Measured, new: Measured) -> Measured:
    return msgspec.structs.replace(
        new,
        seconds_per_step=(old.seconds_per_step + new.seconds_per_step) / 2,
        setup_seconds=(old.setup_seconds + new.setup_seconds) / 2,
        preview_seconds=_mean(old.preview_seconds, new.preview_seconds),
        closing_seconds=_mean(old.closing_seconds, new.closing_seconds),
        memory_bytes=max(old.memory_bytes, new.memory_bytes),
    )


def _mean(old: float, new: float) -> float:
    return (old + new) / 2 if old and new else old or new


def nearest(wanted: Facts, rows: list[Measured]) -> Measured | None:
    """The measurement on the same device and model that says most about `wanted`: what changes the kind of work
    first (checkpointing, text encoder, precision), then the size of a step, then the newest."""
    fitting = [row for row in rows if (row.facts.device, row.facts.model) == (wanted.device, wanted.model)]

    def distance(row: Measured) -> tuple[int, float, float]:
        f = row.facts
        unlike = (
            4 * (f.gradient_checkpointing != wanted.gradient_checkpointing)
            + 2 * (f.text_encoder != wanted.text_encoder)
            + (f.precision != wanted.precision)
        )
        return unlike, abs(math.log(max(1, f.work) / max(1, wanted.work))), -row.t

    return min(fitting, key=distance, default=None)
