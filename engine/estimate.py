"""What a bake will take, before it starts: exact counts from the plan, time and memory from the best source there is.

Counts are the trainer's own (`dataset.plan`); probes and past bakes speak through `calibration`, formulas through
`footprint`; what to change where it does not fit is `relief`'s.
"""

from __future__ import annotations

import functools
import math
import os
from pathlib import Path

import msgspec

from engine import calibration, footprint, optimizers, presets, relief
from engine.calibration import Facts
from engine.dataset.plan import BakePlan, make_plan
from engine.dataset.scan import Dataset, scan
from engine.protocol import fields
from engine.protocol.errors import ErrorInfo, describe
from engine.protocol.estimates import Estimate, Outcome, Rates
from engine.protocol.messages import EstimateParams
from engine.protocol.notices import Setting, notices_of
from engine.protocol.params import BakeParams
from engine.rates import read_rates

_FIXED_SHARE = {"CPU": 0.1}
_FIXED_SHARE_GPU = 0.3
"""Share of a measured step that does not grow with its pixels: launching kernels on a GPU costs more than on a CPU."""

_DRIVER_BYTES = 700 << 20
"""What a CUDA context and the allocator's gaps take of a card."""

_HEADER_BYTES = 150_000
"""A LoRA file beyond its weights: names and metadata."""
_BYTES_PER_PREVIEW_PIXEL = 1.5
_LATENT_BYTES_PER_PIXEL = 4 * 4 * 2 / 64
"""Four channels of fp32, mean and deviation, one for every 8 × 8 pixels."""


class BaseKind(msgspec.Struct, frozen=True):
    """A base model as estimates see it: which measurements it shares (`model`), its family, where it lies, and what
    it says that it predicts ("epsilon" | "v_prediction")."""

    model: str
    family: str
    path: Path | None = None
    prediction: str = ""


def estimate(
    request: EstimateParams,
    *,
    dataset: Dataset | None = None,
    reg: Dataset | None = None,
    measured: Dataset | None = None,
    device: str | None = None,
) -> Estimate:
    """The estimate of a bake; folders already scanned can be handed in, else they are scanned here.

    `device` is a GPU's name or "CPU"; None asks the machine. `source` is `history` when a past bake on this device
    and kind of model was measured, else `model`. Raises EngineError for a bad parameter, an unknown base, or a
    folder that is no dataset.
    """
    params = fields.build(request.params)
    base = base_kind(request.base)
    dataset = dataset or scan(Path(request.dataset))
    if reg is None and request.reg:
        reg = scan(Path(request.reg))
    if measured is None and params.validation_dir:
        measured = scan(Path(os.path.expanduser(params.validation_dir)))
    plan = make_plan(dataset, reg, params, measured)
    return of_plan(plan, params, base=request.base, device=device, notices=[
        *_base_notices(request.base),
        *notices_of(params, Setting(family=base.family, reg=reg is not None, prediction=base.prediction)),
        *_dataset_notices(plan, reg, params),
    ])  # fmt: skip


def of_plan(
    plan: BakePlan,
    params: BakeParams,
    *,
    base: str,
    device: str | None = None,
    notices: list[ErrorInfo] | None = None,
) -> Estimate:
    """The estimate of a plan that is already made."""
    known = base_kind(base)
    device = device or this_device()
    precision = precision_on(params, device)
    facts = calibration.facts(plan, params, device=device, model=known.model, precision=precision)
    weights = footprint.lora_parameters(params, known.model, known.path)
    times, memory, source, far = _times(facts, weights)
    seconds = times.load + times.image * facts.images + times.step * plan.optimizer_steps
    seconds += times.closing * plan.epochs + times.held * facts.held_out * (plan.epochs + 1)
    seconds += times.previews * preview_rounds(params)
    past = calibration.outcomes(device, known.model)
    rates, room = read_rates(), device_memory(device)
    fits = not room or memory <= room
    images = sum(not item.reg and not item.flip for item in plan.items)
    hours = seconds / 3600
    return Estimate(
        images=images,
        reg_images=plan.reg.used,
        image_views=plan.image_views,
        views_each=round(plan.image_views / images, 1),
        steps_per_epoch=plan.steps_per_epoch,
        optimizer_steps=plan.optimizer_steps,
        epochs=plan.epochs,
        epoch_files=saved_epochs(params),
        seconds=round(seconds, 1),
        error=round(min(1.0, _error(source, past) * (1 + far)), 2),
        memory_bytes=memory,
        device=device,
        device_memory=room,
        fits=fits,
        relief={} if fits else relief.fitting(plan, params, model=known.model, weights=weights, device=device,
                                              precision=precision, over=memory - room),
        disk_bytes=_disk(plan, params, weights),
        energy_kwh=rates.watts * hours / 1000 if rates.watts else None,
        cost=_cost(rates, hours),
        currency=rates.currency,
        source=source,
        past=past[-1] if past else None,
        buckets=list(plan.buckets),
        notices=notices or [],
    )  # fmt: skip


def _cost(rates: Rates, hours: float) -> float | None:
    """Hire and energy together; None where a person named neither price."""
    if not rates.per_hour and not (rates.per_kwh and rates.watts):
        return None
    return round(hours * (rates.per_hour + rates.per_kwh * rates.watts / 1000), 4)


_ERRORS = {"probe": 0.15, "history": 0.25, "model": 1.0}
"""How far off a time of each source may be while no bake has shown it."""
_JUDGED = 10


def _error(source: str, past: list[Outcome]) -> float:
    """How far off the last estimates of this source were, on average."""
    rows = [row for row in past if row.source == source and row.estimated_seconds][-_JUDGED:]
    if len(rows) < 3:
        return _ERRORS[source]
    mean = sum(abs(row.seconds / row.estimated_seconds - 1) for row in rows) / len(rows)
    return max(0.01, round(mean, 2))


def preview_rounds(params: BakeParams) -> int:
    """How often four previews are drawn: the baseline, each `preview_every_epochs`-th epoch, and the last."""
    every = params.preview_every_epochs
    return 1 + params.epochs // every + (params.epochs % every > 0) if every else 0


def saved_epochs(params: BakeParams) -> int:
    """How many epoch files stay: each `save_every_epochs`-th, and the last."""
    every = params.save_every_epochs
    return params.epochs // every + (params.epochs % every > 0)


def base_kind(name: str) -> BaseKind:
    """What a base is, by name or path; raises EngineError `model_unknown` or why the path is no base model."""
    entry = presets.bases().get(name)
    if entry is not None:  # downloaded or not, its layout is known
        prediction = "v_prediction" if entry.prediction == "v" else "epsilon"
        return BaseKind("demo" if name == "demo" else entry.family, entry.family, prediction=prediction)
    from engine.models.catalogue import locate
    from engine.models.sniff import sniff

    located = locate(name)
    model = footprint.model_at(located.path, located.family)
    return BaseKind(model, located.family, located.path, sniff(located.path).prediction_type)


@functools.cache
def this_device() -> str:
    """The name of the first GPU, or "CPU"; asked once per process."""
    from engine.runs.devices import devices
    from engine.telemetry import Telemetry

    if devices()[0].name == "cpu":
        return "CPU"
    gpus = Telemetry().gpus()
    return gpus[0].name if gpus else "CPU"


@functools.cache
def device_memory(device: str) -> int:
    """Bytes that a bake can have on a device: the GPU's, less what a driver keeps; all of the machine's on a processor.

    0 where that is not known. Asked once per process and device.
    """
    if device == "CPU":
        import psutil  # type: ignore[import-untyped]

        return int(psutil.virtual_memory().total)
    from engine.telemetry import Telemetry

    gpu = next((gpu for gpu in Telemetry().gpus() if gpu.name == device), None)
    return max(0, gpu.memory_total - _DRIVER_BYTES) if gpu is not None else 0


def precision_on(params: BakeParams, device: str) -> str:
    """The precision that `auto` means on a device."""
    if params.precision != "auto":
        return params.precision
    return "fp32" if device == "CPU" else "bf16"


def _times(facts: Facts, weights: int) -> tuple[footprint.Forecast, int, str, float]:
    """Times, memory, their source, and how far the measurement behind them is from this work (0: the same)."""
    modelled = footprint.forecast(facts)
    memory = footprint.memory(facts, weights)
    row = calibration.nearest(facts, calibration.load())
    if row is None:
        return modelled, memory, "model", 0.0
    # What was measured, moved to these settings by the model's own proportions.
    fixed = fixed_share(facts.device)
    if row.fixed_seconds:
        fixed = min(1.0, row.fixed_seconds / row.seconds_per_step)
    ratio = facts.work / max(1, row.facts.work)
    passes = _passes(facts) / _passes(row.facts)
    step = row.seconds_per_step * (fixed + (1 - fixed) * ratio * passes)
    area = facts.pixels / max(1, row.facts.pixels)
    previews = modelled.previews
    if row.preview_seconds and row.facts.preview_work:
        previews = row.preview_seconds * facts.preview_work / row.facts.preview_work
    held = row.held_seconds * area if row.held_seconds else modelled.held
    if row.memory_bytes:
        former = footprint.memory(row.facts, _weights_then(row.facts, facts, weights))
        memory = max(row.memory_bytes + memory - former, row.memory_bytes // 2)
    times = footprint.Forecast(step, row.load_seconds, row.image_seconds * area, previews, row.closing_seconds, held)
    like = row.facts.like(facts)
    far = 0.0 if like else abs(math.log(max(1, facts.work) / max(1, row.facts.work)))
    return times, memory, "probe" if row.probe and like else "history", far


def _weights_then(then: Facts, now: Facts, weights: int) -> int:
    """How many weights that bake trained: those of this one, in proportion to the ranks."""
    return round(weights * (then.network_dim + then.conv_dim) / max(1, now.network_dim + now.conv_dim))


def fixed_share(device: str) -> float:
    """The share of a step that does not grow with its pixels, where that was not measured."""
    return _FIXED_SHARE.get(device, _FIXED_SHARE_GPU)


def _passes(facts: Facts) -> float:
    return 1.4 if facts.gradient_checkpointing else 1.0


def _disk(plan: BakePlan, params: BakeParams, weights: int) -> int:
    """Bytes of the epoch files, the resumable state (weights in fp32 and the optimizer's memory), the previews
    and the cached latents."""
    epoch_file = weights * (4 if params.save_precision == "fp32" else 2) + _HEADER_BYTES
    state = weights * (4 + optimizers.memory(params))
    previews = preview_rounds(params) * calibration.PREVIEWS * params.resolution**2 * _BYTES_PER_PREVIEW_PIXEL
    latents = sum(row.images * row.width * row.height for row in plan.buckets) * _LATENT_BYTES_PER_PIXEL
    return round(saved_epochs(params) * epoch_file + state + previews + latents)


def _base_notices(name: str) -> list[ErrorInfo]:
    from engine.models.catalogue import is_present

    entry = presets.bases().get(name)
    if entry is None or name == "demo" or is_present(entry):
        return []
    size, source = f"{entry.bytes / 1e9:.1f}", entry.hub or entry.diffusers
    return [describe("notice_download", name=name, gigabytes=size, source=source)]


def _dataset_notices(plan: BakePlan, reg: Dataset | None, params: BakeParams) -> list[ErrorInfo]:
    rows: list[ErrorInfo] = []
    if plan.skipped:
        rows.append(describe("notice_images_skipped", count=plan.skipped))
    if reg is not None and plan.reg.used == 0:
        rows.append(describe("notice_reg_empty", path=reg.path))
    elif reg is not None:
        rows.append(describe("notice_reg_use", views=plan.reg.views, used=plan.reg.used,
                             repeated=plan.reg.repeated, unused=plan.reg.unused))  # fmt: skip
    small = [row for row in plan.buckets if row.views < params.batch_size]
    if small and plan.batches_per_epoch > 1:
        first = f"{small[0].width} × {small[0].height}"
        rows.append(describe("notice_small_buckets", count=len(small), first=first, batch_size=params.batch_size))
    enlarged = sum(item.fit.enlargement > 1 for item in plan.items)
    if enlarged:
        rows.append(describe("notice_enlarged", count=enlarged, resolution=params.resolution))
    if params.validation_split and not plan.validation:
        rows.append(describe("notice_no_validation", value=f"{params.validation_split:g}"))
    uncaptioned = sum(not item.image.caption and not item.reg for item in plan.items)
    if uncaptioned:
        rows.append(describe("notice_uncaptioned", count=uncaptioned))
    return rows
