"""Counts are the plan's, time and memory name their source, and every setting moves them the right way."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from engine import calibration, footprint
from engine.calibration import Measured
from engine.dataset.plan import make_plan
from engine.dataset.scan import Dataset, scan
from engine.estimate import estimate, preview_rounds, saved_epochs
from engine.footprint import lora_parameters
from engine.protocol.errors import EngineError
from engine.protocol.estimates import Estimate, Rates
from engine.protocol.messages import EstimateParams
from engine.protocol.params import BakeParams
from engine.rates import write_rates
from tests.dataset import make

H100 = "NVIDIA H100 80GB HBM3"


@pytest.fixture(autouse=True)
def own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LORABAKE_HOME", str(tmp_path / "home"))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for i in range(6):
        make.image(tmp_path / "set" / f"{i}.png", 64 + 16 * i, 64, caption="girl")
    return tmp_path / "set"


@pytest.fixture
def dataset(folder: Path) -> Dataset:
    return scan(folder)


def ask(dataset: Dataset, base: str = "demo", device: str = "CPU", **params: Any) -> Estimate:
    values = {"resolution": 64, "repeat": 3, "epochs": 4, **params}
    return estimate(EstimateParams(dataset=str(dataset.path), base=base, params=values), dataset=dataset, device=device)


def codes(found: Estimate) -> list[str]:
    return [notice.code for notice in found.notices]


def test_counts_are_the_plans(dataset: Dataset) -> None:
    found = ask(dataset, batch_size=2, gradient_accumulation=2)
    plan = make_plan(
        dataset,
        None,
        BakeParams(resolution=64, repeat=3, epochs=4, batch_size=2, gradient_accumulation=2),
    )
    assert found.image_views == plan.image_views == 6 * 3 * 4
    assert found.steps_per_epoch == plan.steps_per_epoch
    assert found.optimizer_steps == plan.optimizer_steps == plan.steps_per_epoch * 4
    assert (found.images, found.epochs, found.reg_images) == (6, 4, 0)
    assert found.buckets == list(plan.buckets)
    assert found.source == "model"
    assert found.cost is None


def test_folders_are_scanned_when_nobody_did(folder: Path, tmp_path: Path) -> None:
    make.image(tmp_path / "reg" / "r.png")
    found = estimate(
        EstimateParams(dataset=str(folder), reg=str(tmp_path / "reg"), params={"resolution": 64}), device="CPU"
    )
    assert (found.images, found.reg_images) == (6, 1)
    assert found.image_views == 6 * 10 * 10
    assert "notice_reg_use" in codes(found)


def test_bad_input_is_named(dataset: Dataset, tmp_path: Path) -> None:
    for base, params, code in (
        ("nothing", {}, "model_unknown"),
        (str(dataset.path), {}, "model_not_base"),
        ("demo", {"epoch": 3}, "param_unknown"),
        ("demo", {"epochs": 0}, "param_invalid"),
    ):
        with pytest.raises(EngineError) as failure:
            ask(dataset, base, **params)
        assert failure.value.info.code == code
    with pytest.raises(EngineError, match="There is no folder"):
        estimate(EstimateParams(dataset=str(tmp_path / "gone")), device="CPU")


@pytest.mark.parametrize(
    ("change", "time", "memory", "disk"),
    [
        ({"epochs": 8}, 1, 0, 1),
        ({"resolution": 128}, 1, 1, 1),
        ({"network_dim": 64}, 0, 1, 1),
        ({"batch_size": 4, "repeat": 12}, 1, 1, 0),
        ({"gradient_checkpointing": True}, 1, -1, 0),
        ({"text_encoder_lr": 0}, 0, -1, -1),
        ({"optimizer": "Lion"}, 0, -1, -1),
        ({"optimizer": "AdamW8bit"}, 0, -1, -1),
        ({"optimizer": "Prodigy"}, 0, 1, 1),
        ({"optimizer": "Adafactor"}, 0, -1, -1),
        ({"save_every_epochs": 4}, 0, 0, -1),
        ({"preview_every_epochs": 0}, -1, 0, -1),
    ],
)
def test_settings_move_the_estimate_the_right_way(
    dataset: Dataset, change: dict[str, Any], time: int, memory: int, disk: int
) -> None:
    before, after = ask(dataset), ask(dataset, **change)

    def sign(a: float | None, b: float | None) -> int:
        assert a is not None
        assert b is not None
        return (b > a) - (b < a)

    assert sign(before.seconds, after.seconds) == time
    assert sign(before.memory_bytes, after.memory_bytes) == memory
    assert sign(before.disk_bytes, after.disk_bytes) == disk


def test_the_model_agrees_with_published_figures(dataset: Dataset) -> None:
    # SimpleTuner on an H100, batch 1, bf16: SD 1.5 at 512 0.18 s and 2.9 GiB, SDXL at 1024 0.61 s and 13 GiB.
    for base, resolution, seconds, gib in (("sd15", 512, 0.181, 2.87), ("sdxl", 1024, 0.606, 13.03)):
        plan = make_plan(dataset, None, BakeParams(resolution=resolution, enable_bucket=False))
        params = BakeParams(resolution=resolution, text_encoder_lr=0)
        facts = calibration.facts(plan, params, device=H100, model=base, precision="bf16")
        assert footprint.forecast(facts).step == pytest.approx(seconds, rel=0.35)
        used = footprint.memory(facts, lora_parameters(params, base))
        assert used / footprint.GIB == pytest.approx(gib, rel=0.25)


def test_sizes_of_lora_files() -> None:
    # Counted on the architectures: SD 1.5 at dim 32 is 75.5/2 MB, SDXL 228 MB, U-Net alone 27.1 and 170 MB.
    both = BakeParams(network_dim=32)
    unet = BakeParams(network_dim=32, text_encoder_lr=0)
    for params, model, megabytes in (
        (both, "sd15", 37.7),
        (unet, "sd15", 27.1),
        (both, "sdxl", 228),
        (unet, "sdxl", 170),
    ):
        assert lora_parameters(params, model) * 2 / 1e6 == pytest.approx(megabytes, rel=0.01)
    conv = BakeParams(network_dim=8, conv_dim=4, text_encoder_lr=0)
    assert lora_parameters(conv, "sd15") == 8 * 423_936 + 4 * 544_000 + 8 * 82_880
    assert lora_parameters(BakeParams(unet_lr=0, text_encoder_lr=0), "sd15") == 0


def learned(dataset: Dataset, step: float, device: str = "CPU", probe: bool = False, **params: Any) -> None:
    p = BakeParams(**{"resolution": 64, "repeat": 3, "epochs": 4, **params})
    facts = calibration.facts(
        make_plan(dataset, None, p), p, device=device, model="demo", precision="fp32" if device == "CPU" else "bf16"
    )
    calibration.learn(
        Measured(
            facts=facts,
            seconds_per_step=step,
            load_seconds=6,
            image_seconds=1,
            preview_seconds=2,
            memory_bytes=777,
            probe=probe,
        )
    )


def test_the_newest_of_probe_and_bake_of_the_same_work_is_believed(dataset: Dataset) -> None:
    learned(dataset, 0.5)
    learned(dataset, 0.7, probe=True)
    found = ask(dataset)
    assert found.source == "probe"
    assert found.seconds == pytest.approx(12 + 0.7 * found.optimizer_steps + 5 * 2)
    other = ask(dataset, batch_size=2, repeat=6)
    assert other.source == "history", "of other work it is a measurement like any"


def test_the_rates_of_a_person_make_the_cost(dataset: Dataset) -> None:
    assert ask(dataset).cost is None
    write_rates(Rates(currency=" € ", per_hour=3.6, per_kwh=0.5, watts=400))
    found = ask(dataset)
    assert found.seconds is not None
    assert found.energy_kwh == pytest.approx(found.seconds / 3600 * 0.4, rel=1e-2)
    assert found.cost == pytest.approx(found.seconds / 3600 * (3.6 + 0.2), abs=1e-3)
    assert found.currency == "€"
    write_rates(Rates(per_kwh=0.5))
    assert ask(dataset).cost is None, "a price of energy says nothing where nobody knows the watts"
    with pytest.raises(EngineError, match="per_hour = -1"):
        write_rates(Rates(per_hour=-1))


def test_what_does_not_fit_says_so_and_what_would(dataset: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    wanted = {"resolution": 1024, "batch_size": 8}
    whole = ask(dataset, "sdxl", H100, **wanted)
    assert whole.fits
    assert whole.memory_bytes is not None
    monkeypatch.setattr("engine.estimate.device_memory", lambda _: 24 << 30)
    found = ask(dataset, "sdxl", H100, **wanted)
    assert not found.fits
    assert found.relief["gradient_checkpointing"] is True
    nearest = ask(dataset, "sdxl", H100, **{**wanted, **found.relief})
    assert nearest.fits
    assert nearest.optimizer_steps == whole.optimizer_steps or "gradient_accumulation" in found.relief
    monkeypatch.setattr("engine.estimate.device_memory", lambda _: 1 << 30)
    assert ask(dataset, "sdxl", H100, **wanted).relief == {}


def test_a_past_bake_of_the_same_settings_is_believed(dataset: Dataset) -> None:
    learned(dataset, 0.5)
    found = ask(dataset)
    assert found.source == "history"
    assert found.seconds == pytest.approx(12 + 0.5 * found.optimizer_steps + 5 * 2)
    assert found.memory_bytes == 777
    assert ask(dataset, device=H100).source == "model"


def test_a_past_bake_of_other_settings_is_scaled(dataset: Dataset) -> None:
    learned(dataset, 0.5)
    base = ask(dataset, preview_every_epochs=0)
    double = ask(dataset, batch_size=2, repeat=6, preview_every_epochs=0)
    assert double.source == "history"
    assert double.optimizer_steps == base.optimizer_steps
    assert base.seconds is not None
    assert double.seconds is not None
    assert 1.5 < (double.seconds - 12) / (base.seconds - 12) < 2
    assert double.memory_bytes != 777


def test_notices_of_the_dataset(tmp_path: Path) -> None:
    folder = tmp_path / "odd"
    make.image(folder / "a.png", 20, 20)
    make.image(folder / "b.png", 128, 32, caption="x")
    make.image(folder / "0_out" / "c.png")
    (folder / "d.png").write_bytes(b"")
    found = ask(scan(folder), repeat=4, batch_size=8)
    assert codes(found) == [
        "notice_images_skipped",
        "notice_small_buckets",
        "notice_enlarged",
        "notice_uncaptioned",
    ]
    assert found.notices[0].args["count"] == "2"
    assert found.notices[1].args["first"] == "64 × 64"


def test_a_base_that_must_come_first_is_told(dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    told = ask(dataset, base="animagine-xl").notices[0]
    assert (told.code, told.args["gigabytes"]) == ("notice_download", "6.9")
    assert "notice_download" not in codes(ask(dataset))


def test_regularisation_says_what_is_used(dataset: Dataset, tmp_path: Path) -> None:
    for i in range(20):
        make.image(tmp_path / "reg" / f"{i}.png")
    found = estimate(
        EstimateParams(dataset=str(dataset.path), reg="x", params={"resolution": 64, "repeat": 2}),
        dataset=dataset,
        reg=scan(tmp_path / "reg"),
        device="CPU",
    )
    (told,) = [notice for notice in found.notices if notice.code == "notice_reg_use"]
    assert told.args == {"views": "12", "used": "12", "repeated": "0", "unused": "8"}
    assert found.image_views == 12 * 10


def test_settings_without_effect_are_told(dataset: Dataset) -> None:
    assert "notice_no_effect" in codes(ask(dataset, "sdxl", clip_skip=2))


@pytest.mark.parametrize("every", range(6))
@pytest.mark.parametrize("epochs", range(1, 8))
def test_rounds_and_files(every: int, epochs: int) -> None:
    params = BakeParams(epochs=epochs, preview_every_epochs=every, save_every_epochs=max(1, every))
    numbers = range(1, epochs + 1)
    drawn = [0] + [n for n in numbers if every and (n % every == 0 or n == epochs)]
    assert preview_rounds(params) == (len(drawn) if every else 0)
    assert saved_epochs(params) == sum(n % max(1, every) == 0 or n == epochs for n in numbers)


def test_an_estimate_imports_no_tensors(folder: Path) -> None:
    code = (
        "import sys; from engine.estimate import estimate; from engine.protocol.messages import EstimateParams;"
        f"print(estimate(EstimateParams(dataset={str(folder)!r}, params={{'resolution': 64}})).optimizer_steps > 0);"
        "print([m for m in ('torch','diffusers','transformers','peft','textual') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split("\n")[:2] == ["True", "[]"]
