"""What bakes measured is kept, averaged, and found again by what is nearest."""

from __future__ import annotations

import threading
from pathlib import Path

import msgspec
import pytest

from engine import calibration
from engine.calibration import MAX_RECORDS, Facts, Measured, calibration_path, load, nearest
from engine.protocol.estimates import Outcome

FACTS = Facts(
    device="CPU",
    model="demo",
    precision="fp32",
    pixels=4096,
    batch_size=4,
    gradient_accumulation=1,
    gradient_checkpointing=False,
    text_encoder=True,
    network_dim=16,
    images=20,
    preview_work=327680,
)


@pytest.fixture(autouse=True)
def own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LORABAKE_HOME", str(tmp_path))


def like(**changes: object) -> Facts:
    return msgspec.structs.replace(FACTS, **changes)


def learn(facts: Facts, **figures: float) -> None:
    calibration.learn(Measured(facts=facts, **figures))  # type: ignore[arg-type]


def test_nothing_is_known_at_first() -> None:
    assert load() == []
    assert nearest(FACTS, load()) is None


def test_the_same_bake_again_is_averaged() -> None:
    learn(FACTS, seconds_per_step=0.2, load_seconds=10, preview_seconds=4, memory_bytes=100)
    learn(FACTS, seconds_per_step=0.4, load_seconds=20, memory_bytes=90)
    (row,) = load()
    assert row.seconds_per_step == pytest.approx(0.3)
    assert row.load_seconds == pytest.approx(15)
    assert row.preview_seconds == 4
    assert row.memory_bytes == 100


@pytest.mark.parametrize("step", [0.0, -1.0, float("nan"), float("inf")])
def test_nonsense_is_not_remembered(step: float) -> None:
    learn(FACTS, seconds_per_step=step, load_seconds=1)
    assert load() == []


def test_the_nearest_kind_of_work_counts_before_its_size() -> None:
    rows = [
        like(gradient_checkpointing=True, batch_size=4),
        like(batch_size=1),
        like(batch_size=8),
        like(device="NVIDIA H100", batch_size=4),
        like(model="sd15", batch_size=4),
    ]
    for i, facts in enumerate(rows):
        learn(facts, seconds_per_step=i + 1, load_seconds=0)
    found = nearest(FACTS, load())
    assert found is not None
    assert found.facts.batch_size == 8
    assert nearest(like(device="other"), load()) is None


def test_the_same_work_counts_before_all_and_its_newest_measurement() -> None:
    learn(like(images=500, held_out=3), seconds_per_step=1, load_seconds=0)
    learn(like(batch_size=5), seconds_per_step=2, load_seconds=0)
    learn(FACTS, seconds_per_step=3, load_seconds=0, probe=True)
    found = nearest(like(preview_work=1), load())
    assert found is not None
    assert (found.seconds_per_step, found.probe) == (3, True)
    learn(like(images=500, held_out=3), seconds_per_step=5, load_seconds=0)
    found = nearest(FACTS, load())
    assert found is not None
    assert (found.seconds_per_step, found.probe) == (3, False), "a bake after the probe, averaged with the one before"


def test_a_second_probe_takes_the_place_of_the_first() -> None:
    learn(FACTS, seconds_per_step=1, image_seconds=2, probe=True)
    learn(FACTS, seconds_per_step=3, image_seconds=0, probe=True)
    (row,) = load()
    assert (row.seconds_per_step, row.image_seconds) == (3, 2)


def test_outcomes_are_kept_by_device_and_model() -> None:
    for number, device in enumerate(("CPU", "CPU", "H100", "CPU")):
        calibration.compare(
            Outcome(run=f"r{number % 3}", name="x", t=number, device=device, model="demo", source="model",
                    estimated_seconds=10, seconds=number)
        )  # fmt: skip
    assert [row.run for row in calibration.outcomes("CPU", "demo")] == ["r1", "r0"], (
        "a run counts once, by its last end"
    )
    assert calibration.outcomes("CPU", "sdxl") == []


def test_the_file_stays_small() -> None:
    for pixels in range(MAX_RECORDS + 5):
        learn(like(pixels=pixels + 1), seconds_per_step=1, load_seconds=0)
    rows = load()
    assert len(rows) == MAX_RECORDS
    assert rows[-1].facts.pixels == MAX_RECORDS + 5


@pytest.mark.parametrize("junk", [b"", b"{}]", b'{"measured": 3}', b"\xff"])
def test_a_damaged_file_counts_as_none_and_is_replaced(junk: bytes) -> None:
    calibration_path().write_bytes(junk)
    assert load() == []
    learn(FACTS, seconds_per_step=1, load_seconds=0)
    assert len(load()) == 1


def test_a_disk_that_refuses_does_not_stop_a_bake(tmp_path: Path) -> None:
    calibration_path().mkdir()
    learn(FACTS, seconds_per_step=1, load_seconds=0)
    assert load() == []


def test_two_bakes_that_end_together_lose_nothing() -> None:
    def finish(number: int) -> None:
        learn(like(pixels=number + 1), seconds_per_step=1, load_seconds=0)

    threads = [threading.Thread(target=finish, args=(number,)) for number in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(row.facts.pixels for row in load()) == list(range(1, 13))
