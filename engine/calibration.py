"""What probes and past bakes on this machine measured, and how estimates compared with the truth. Estimates learn.

Keeps one small file and finds the nearest measurement; turning that into a forecast is `estimate`'s business.
"""

from __future__ import annotations

import contextlib
import functools
import math
import threading
import time
from collections.abc import Callable
from pathlib import Path

import msgspec

from engine import optimizers
from engine.dataset.plan import BakePlan
from engine.home import home
from engine.protocol.estimates import Outcome
from engine.protocol.files import Lock, atomic_write
from engine.protocol.params import BakeParams

MAX_RECORDS = 100

_threads = threading.Lock()


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """What decides how long a step of a bake takes.

    `device` is the GPU's name or "CPU"; `model` is "demo" or the family; `pixels` the mean area of a training
    picture, `step_pixels` that of an optimizer step, short batches counted as they are (0: full ones); `images` those
    whose latents are made, `held_out` those measured with; `preview_work` is pictures × denoising steps × pixels of
    one round of previews; `optimizer_bytes` is what the optimizer keeps per trained weight.
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
    step_pixels: int = 0
    held_out: int = 0
    conv_dim: int = 0
    dora: bool = False

    @property
    def work(self) -> int:
        """Pixels per optimizer step."""
        return self.step_pixels or self.pixels * self.batch_size * self.gradient_accumulation

    def like(self, other: Facts) -> bool:
        """Whether steps of both are the same work, give or take a tenth of their pixels."""
        counts = {"images": 0, "held_out": 0, "preview_work": 0, "pixels": 0, "step_pixels": 0}
        same = msgspec.structs.replace(self, **counts) == msgspec.structs.replace(other, **counts)
        return same and abs(math.log(max(1, self.work) / max(1, other.work))) < 0.1


class Measured(msgspec.Struct, frozen=True, kw_only=True):
    """What a bake with these facts took, or would take as a `probe` of a few steps found.

    Seconds of an optimizer step and of the part of it that does not grow with its pixels (0: not known), of all before
    the first image is encoded (`load`), of encoding one image, of one round of previews (0: none drawn), of saving an
    epoch, of measuring one held-out image; the peak of memory (0: not known).
    """

    facts: Facts
    seconds_per_step: float
    fixed_seconds: float = 0.0
    load_seconds: float = 0.0
    image_seconds: float = 0.0
    preview_seconds: float = 0.0
    closing_seconds: float = 0.0
    held_seconds: float = 0.0
    memory_bytes: int = 0
    t: float = 0.0
    probe: bool = False


class _File(msgspec.Struct, frozen=True, kw_only=True):
    version: int = 2
    measured: list[Measured] = []
    outcomes: list[Outcome] = []


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
        step_pixels=round(area / max(1, plan.steps_per_epoch)),
        held_out=len(plan.validation),
        conv_dim=params.conv_dim,
        dora=params.use_dora,
    )


def calibration_path() -> Path:
    """Where the measurements are kept."""
    return home() / "calibration.json"


def load() -> list[Measured]:
    """All measurements, newest last; [] without a file or with a damaged one, which the next `learn` replaces."""
    return _read().measured


def outcomes(device: str, model: str) -> list[Outcome]:
    """The bakes whose end was compared with their estimate, on this device and kind of model, newest last."""
    return [row for row in _read().outcomes if (row.device, row.model) == (device, model)]


def _read() -> _File:
    try:
        return _parsed(calibration_path().read_bytes())
    except OSError:
        return _File()


@functools.lru_cache(maxsize=2)
def _parsed(data: bytes) -> _File:
    # A form asks at every key; the same bytes are parsed once.
    try:
        return msgspec.json.decode(data, type=_File)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return _File()


def learn(row: Measured) -> None:
    """Remember what a bake or a probe took; one of the same facts replaces its former figures: a probe's at once,
    a bake's averaged with them.

    Never raises for a disk that refuses: a bake must not fail over a statistic. Nonsense is not remembered.
    """
    times = (row.seconds_per_step, row.fixed_seconds, row.load_seconds, row.image_seconds)
    times += (row.preview_seconds, row.closing_seconds, row.held_seconds)
    if row.seconds_per_step == 0 or not all(0 <= seconds < math.inf for seconds in times):
        return
    fresh = msgspec.structs.replace(row, t=time.time())

    def added(file: _File) -> _File:
        former = next((one for one in file.measured if (one.facts, one.probe) == (row.facts, row.probe)), None)
        rows = [one for one in file.measured if one is not former]
        if former is not None and row.probe:
            # Images that the former one encoded cost this one nothing.
            rows.append(msgspec.structs.replace(fresh, image_seconds=max(former.image_seconds, fresh.image_seconds)))
        else:
            rows.append(fresh if former is None else _blended(former, fresh))
        return msgspec.structs.replace(file, measured=rows[-MAX_RECORDS:])

    _change(added)


def compare(outcome: Outcome) -> None:
    """Remember how an estimate and the truth compared; never raises for a disk that refuses."""

    def added(file: _File) -> _File:
        rows = [one for one in file.outcomes if one.run != outcome.run]
        return msgspec.structs.replace(file, outcomes=[*rows, outcome][-MAX_RECORDS:])

    _change(added)


def _change(update: Callable[[_File], _File]) -> None:
    path = calibration_path()
    with contextlib.suppress(OSError), _threads, Lock(path.with_suffix(".lock")):
        atomic_write(path, msgspec.json.format(msgspec.json.encode(update(_read())), indent=1))


def _blended(old: Measured, new: Measured) -> Measured:
    return msgspec.structs.replace(
        new,
        seconds_per_step=(old.seconds_per_step + new.seconds_per_step) / 2,
        fixed_seconds=_mean(old.fixed_seconds, new.fixed_seconds),
        load_seconds=(old.load_seconds + new.load_seconds) / 2,
        # Images that were encoded before cost nothing; what a fresh dataset will cost is the greater figure.
        image_seconds=max(old.image_seconds, new.image_seconds),
        preview_seconds=_mean(old.preview_seconds, new.preview_seconds),
        closing_seconds=_mean(old.closing_seconds, new.closing_seconds),
        held_seconds=_mean(old.held_seconds, new.held_seconds),
        memory_bytes=max(old.memory_bytes, new.memory_bytes),
    )


def _mean(old: float, new: float) -> float:
    return (old + new) / 2 if old and new else old or new


def nearest(wanted: Facts, rows: list[Measured]) -> Measured | None:
    """The measurement on the same device and model that says most about `wanted`: the newest of the same work; else
    what changes the kind of work first (checkpointing, text encoder, precision), then the size of a step."""
    fitting = [row for row in rows if (row.facts.device, row.facts.model) == (wanted.device, wanted.model)]

    def distance(row: Measured) -> tuple[bool, int, float, float]:
        f = row.facts
        unlike = (
            4 * (f.gradient_checkpointing != wanted.gradient_checkpointing)
            + 2 * (f.text_encoder != wanted.text_encoder)
            + (f.precision != wanted.precision)
            + (f.dora != wanted.dora)
        )
        if f.like(wanted):
            return False, 0, 0.0, -row.t
        return True, unlike, abs(math.log(max(1, f.work) / max(1, wanted.work))), -row.t

    return min(fitting, key=distance, default=None)
