"""What a bake will take, before it starts: exact counts from the plan, time and memory from the best source there is.

Counts are the trainer's own (`dataset.plan`); past bakes speak through `calibration`, formulas through `footprint`.
"""

from __future__ import annotations

import functools
from pathlib import Path

import msgspec

from engine import calibration, footprint, optimizers, presets
from engine.calibration import Facts
from engine.dataset.plan import BakePlan, make_plan
from engine.dataset.scan import Dataset, scan
from engine.protocol import fields
from engine.protocol.errors import ErrorInfo, describe
from engine.protocol.messages import EstimateParams
from engine.protocol.notices import Setting, notices_of
from engine.protocol.params import BakeParams
from engine.protocol.records import Estimate

_FIXED_SHARE = {"CPU": 0.1}
_FIXED_SHARE_GPU = 0.3
"""Share of a measured step that does not grow with its pixels: launching kernels on a GPU costs more than on a CPU."""

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
        measured = scan(Path(params.validation_dir).expanduser())
    plan = make_plan(dataset, reg, params, measured)
    return of_plan(plan, params, base=request.base, device=device, notices=[
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
    facts = calibration.facts(plan, params, device=device, model=known.model, precision=_precision(params, device))
    weights = footprint.lora_parameters(params, known.model, known.path)
    times, memory, source = _times(facts, weights)
    seconds = times.setup + times.step * plan.optimizer_steps + times.closing * plan.epochs
    seconds += times.previews * preview_rounds(params)
    return Estimate(
        images=sum(not item.reg and not item.flip for item in plan.items),
        reg_images=plan.reg.used,
        image_views=plan.image_views,
        steps_per_epoch=plan.steps_per_epoch,
        optimizer_steps=plan.optimizer_steps,
        epochs=plan.epochs,
        seconds=round(seconds, 1),
        memory_bytes=memory,
        disk_bytes=_disk(plan, params, weights),
        source=source,
        buckets=list(plan.buckets),
        notices=notices or [],
    )


def preview_rounds(params: BakeParams) -> int:
    """How often four previews are drawn: the baseline, and each `preview_every_epochs`-th epoch."""
    every = params.preview_every_epochs
    return 1 + params.epochs // every if every else 0


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


def _precision(params: BakeParams, device: str) -> str:
    if params.precision != "auto":
        return params.precision
    return "fp32" if device == "CPU" else "bf16"


def _times(facts: Facts, weights: int) -> tuple[footprint.Forecast, int, str]:
    modelled = footprint.forecast(facts)
    memory = footprint.memory(facts, weights)
    row = calibration.nearest(facts, calibration.load())
    if row is None:
        return modelled, memory, "model"
    # What was measured, moved to these settings by the model's own proportions.
    then = footprint.forecast(row.facts)
    fixed = _FIXED_SHARE.get(facts.device, _FIXED_SHARE_GPU)
    ratio = facts.work / max(1, row.facts.work)
    passes = _passes(facts) / _passes(row.facts)
    step = row.seconds_per_step * (fixed + (1 - fixed) * ratio * passes)
    setup = row.setup_seconds * modelled.setup / then.setup
    previews = modelled.previews
    if row.preview_seconds and row.facts.preview_work:
        previews = row.preview_seconds * facts.preview_work / row.facts.preview_work
    if row.memory_bytes and row.facts == msgspec.structs.replace(facts, images=row.facts.images):
        memory = row.memory_bytes
    return footprint.Forecast(step, setup, previews, row.closing_seconds), memory, "history"


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
