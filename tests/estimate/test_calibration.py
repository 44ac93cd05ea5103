"""What bakes measured is kept, averaged, and found again by what is nearest."""

from __future__ import annotations

import threading
from pathlib import Path

import msgspec
import pytest

from engine.calibration import MAX_RECORDS, Facts, calibration_path, learn, load, nearest

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


def test_nothing_is_known_at_first() -> None:
    assert load() == []
    assert nearest(FACTS, load()) is None


def test_the_same_bake_again_is_averaged() -> None:
    learn(FACTS, seconds_per_step=0.2, setup_seconds=10, preview_seconds=4, memory_bytes=100)
    learn(FACTS, seconds_per_step=0.4, setup_seconds=20, memory_bytes=90)
    (row,) = load()
    assert row.seconds_per_step == pytest.approx(0.3)
    assert row.setup_seconds == pytest.approx(15)
    assert row.preview_seconds == 4
    assert row.memory_bytes == 100


@pytest.mark.parametrize("step", [0.0, -1.0, float("nan"), float("inf")])
def test_nonsense_is_not_remembered(step: float) -> None:
    learn(FACTS, seconds_per_step=step, setup_seconds=1)
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
        learn(facts, seconds_per_step=i + 1, setup_seconds=0)
    found = nearest(FACTS, load())
    assert found is not None
    assert found.facts.batch_size == 8
    assert nearest(like(device="other"), load()) is None


def test_the_file_stays_small() -> None:
    for pixels in range(MAX_RECORDS + 5):
        learn(like(pixels=pixels + 1), seconds_per_step=1, setup_seconds=0)
    rows = load()
    assert len(rows) == MAX_RECORDS
    assert rows[-1].facts.pixels == MAX_RECORDS + 5


@pytest.mark.parametrize("junk", [b"", b"{}]", b'{"measured": 3}', b"\xff"])
def test_a_damaged_file_counts_as_none_and_is_replaced(junk: bytes) -> None:
    calibration_path().write_bytes(junk)
    assert load() == []
    learn(FACTS, seconds_per_step=1, setup_seconds=0)
    assert len(load()) == 1


def test_a_disk_that_refuses_does_not_stop_a_bake(tmp_path: Path) -> None:
    calibration_path().mkdir()
    learn(FACTS, seconds_per_step=1, setup_seconds=0)
    assert load() == []


def test_two_bakes_that_end_together_lose_nothing() -> None:
    def finish(number: int) -> None:
        learn(like(pixels=number + 1), seconds_per_step=1, setup_seconds=0)

    threads = [threading.Thread(target=finish, args=(number,)) for number in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(row.facts.pixels for row in load()) == list(range(1, 13))
