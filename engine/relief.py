"""What to change when memory runs out, and about how much each change saves. Torch-free.

The amounts are differences of the formulas of `footprint`; good for choosing, not for promises.
"""

from __future__ import annotations

import importlib.util
from typing import NamedTuple

import msgspec

from engine import calibration, footprint, optimizers
from engine.dataset.plan import BakePlan
from engine.protocol.params import BakeParams, Optimizer

_SMALLEST = 64
"""No lower resolution than this is proposed."""
_WORTH = 16 << 20
"""Bytes below which a change is not worth telling."""


class Relief(NamedTuple):
    """A change of a parameter, as a person would write it, and the bytes it saves."""

    change: str
    bytes: int


def reliefs(
    plan: BakePlan, params: BakeParams, *, model: str, weights: int, device: str, precision: str
) -> list[Relief]:
    """The changes that help this bake, the greatest first; [] when none is left that is worth it.

    `model` is the kind of base (`footprint.model_at`), `weights` the numbers trained, `precision` the one in use.
    """
    facts = calibration.facts(plan, params, device=device, model=model, precision=precision)
    now = footprint.memory(facts, weights)

    def saved(trained: int = weights, **changed: object) -> int:
        return now - footprint.memory(msgspec.structs.replace(facts, **changed), trained)

    found: list[Relief] = []
    if params.batch_size > 1:
        half = params.batch_size // 2
        found.append(Relief(f"batch_size = {half}", saved(batch_size=half)))
    if not params.gradient_checkpointing:
        found.append(Relief("gradient_checkpointing = true", saved(gradient_checkpointing=True)))
    lower = params.resolution * 3 // 4 // 8 * 8
    if lower >= _SMALLEST:
        pixels = round(facts.pixels * (lower / params.resolution) ** 2)
        found.append(Relief(f"resolution = {lower}", saved(pixels=pixels)))
    if precision == "fp32" and device != "CPU":
        found.append(Relief("precision = bf16", saved(precision="bf16")))
    if params.network_dim > 1 and not params.dim_from_weights:
        found.append(Relief(f"network_dim = {params.network_dim // 2}", saved(trained=weights // 2)))
    leaner: Optimizer = "Adafactor" if device == "CPU" else "AdamW8bit"
    kept = optimizers.memory(msgspec.structs.replace(params, optimizer=leaner))
    found.append(Relief(f"optimizer = {leaner}", saved(optimizer_bytes=kept)))
    return sorted((row for row in found if row.bytes >= _WORTH), key=lambda row: -row.bytes)


def helping(rows: list[Relief], phase: str) -> list[Relief]:
    """Those of `rows` that help where memory ran out: encoding and drawing pictures know no batches and optimizers."""
    if phase == "cache":
        return [row for row in rows if row.change.startswith("resolution")]
    if phase in ("baseline", "preview"):
        kept = [row for row in rows if row.change.startswith(("resolution", "precision", "network_dim", "optimizer"))]
        return [Relief("preview_every_epochs = 0", 0), *kept]
    return rows


def fitting(
    plan: BakePlan, params: BakeParams, *, model: str, weights: int, device: str, precision: str, over: int
) -> dict[str, str | int | float | bool]:
    """The parameters to change so that a bake needs `over` bytes less, what harms least first; {} where nothing near
    is enough.

    First what costs only time (checkpointing, smaller batches accumulated to the same step), then a leaner optimizer,
    then half precision, last the resolution. What proves needless in the end is left as it was.
    """
    facts = calibration.facts(plan, params, device=device, model=model, precision=precision)
    now = footprint.memory(facts, weights)

    def saved(changes: dict[str, str | int | float | bool]) -> int:
        changed = msgspec.structs.replace(params, **changes)
        side = (changed.resolution / params.resolution) ** 2
        then = msgspec.structs.replace(
            facts,
            batch_size=changed.batch_size,
            gradient_checkpointing=changed.gradient_checkpointing,
            precision=str(changes.get("precision", precision)),
            optimizer_bytes=optimizers.memory(changed),
            pixels=round(facts.pixels * side),
        )
        return now - footprint.memory(then, weights)

    steps: list[dict[str, str | int | float | bool]] = []
    if not params.gradient_checkpointing:
        steps.append({"gradient_checkpointing": True})
    batch, sums = params.batch_size, params.gradient_accumulation
    while batch > 1:
        sums = sums * batch // (batch // 2)
        batch //= 2
        steps.append({"batch_size": batch, "gradient_accumulation": min(sums, 256)})
    if params.optimizer == "AdamW":
        small = device != "CPU" and importlib.util.find_spec("bitsandbytes") is not None
        steps.append({"optimizer": "AdamW8bit" if small else "Adafactor"})
    if precision == "fp32" and device != "CPU":
        steps.append({"precision": "bf16"})
    for share in (0.75, 0.5):
        lower = round(params.resolution * share) // 64 * 64
        if lower >= _SMALLEST:
            steps.append({"resolution": lower})
    chosen: dict[str, str | int | float | bool] = {}
    for step in steps:
        chosen |= step
        if saved(chosen) >= over:
            break
    else:
        return {}
    for step in steps:
        without = {name: value for name, value in chosen.items() if name not in step}
        if step.keys() <= chosen.keys() and without and saved(without) >= over:
            chosen = without
    return chosen


def told(rows: list[Relief]) -> str:
    """The changes in one line, the same in every language."""
    return ", ".join(f"{row.change} ({_amount(row.bytes)})" if row.bytes else row.change for row in rows)


def _amount(size: int) -> str:
    return f"{size / 2**30:.1f} GiB" if size >= 2**30 else f"{size / 2**20:.0f} MiB"
