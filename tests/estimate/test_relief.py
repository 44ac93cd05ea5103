"""What helps against a full memory is told with amounts that are differences of the estimate's own."""

from __future__ import annotations

from pathlib import Path

import msgspec

from engine import calibration, footprint, relief
from engine.dataset.plan import BakePlan, make_plan
from engine.dataset.scan import Dataset, ImageFile
from engine.protocol.params import BakeParams

GIB = 2**30


def plan_of(params: BakeParams) -> BakePlan:
    image = ImageFile(name="a.png", path=Path("/set/a.png"), width=params.resolution, height=params.resolution)
    return make_plan(Dataset(path=Path("/set"), images=(image,)), None, params)


def told(params: BakeParams, *, device: str = "NVIDIA L40S", precision: str = "bf16") -> dict[str, int]:
    weights = footprint.lora_parameters(params, "sdxl")
    rows = relief.reliefs(plan_of(params), params, model="sdxl", weights=weights, device=device, precision=precision)
    assert [row.bytes for row in rows] == sorted((row.bytes for row in rows), reverse=True)
    return dict(rows)


def memory(params: BakeParams) -> int:
    facts = calibration.facts(plan_of(params), params, device="NVIDIA L40S", model="sdxl", precision="bf16")
    return footprint.memory(facts, footprint.lora_parameters(params, "sdxl"))


def test_each_amount_is_what_the_estimate_would_say_less() -> None:
    params = BakeParams(resolution=1024, batch_size=4, network_dim=32)
    rows = told(params)
    assert rows.keys() == {
        "batch_size = 2",
        "gradient_checkpointing = true",
        "resolution = 768",
        "network_dim = 16",
        "optimizer = AdamW8bit",
    }
    changes: dict[str, dict[str, object]] = {
        "batch_size = 2": {"batch_size": 2},
        "gradient_checkpointing = true": {"gradient_checkpointing": True},
        "resolution = 768": {"resolution": 768},
        "network_dim = 16": {"network_dim": 16},
        "optimizer = AdamW8bit": {"optimizer": "AdamW8bit"},
    }
    for change, values in changes.items():
        less = memory(params) - memory(msgspec.structs.replace(params, **values))
        assert abs(rows[change] - less) < 0.02 * GIB, change


def test_what_is_done_already_is_not_proposed() -> None:
    rows = told(BakeParams(resolution=1024, gradient_checkpointing=True, optimizer="AdamW8bit", network_dim=1))
    assert rows.keys() == {"resolution = 768"}
    assert "optimizer = Adafactor" in told(BakeParams(resolution=1024), device="CPU", precision="fp32")


def test_amounts_are_readable() -> None:
    rows = [relief.Relief("batch_size = 1", 5 * GIB // 2), relief.Relief("resolution = 384", 300 << 20)]
    assert relief.told(rows) == "batch_size = 1 (2.5 GiB), resolution = 384 (300 MiB)"
