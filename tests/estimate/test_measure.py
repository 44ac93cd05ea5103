"""A journal tells what a bake took, whatever happened in it, and estimates repeat it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from engine import calibration
from engine.dataset.manifest import freeze
from engine.dataset.plan import make_plan
from engine.dataset.scan import scan
from engine.estimate import estimate
from engine.measure import learn_from, outcome_of, process_start
from engine.protocol import events
from engine.protocol.estimates import Outcome
from engine.protocol.messages import EstimateParams
from engine.protocol.params import BakeParams
from engine.protocol.records import Forecast, Job
from engine.publish.results import results
from engine.runs.folder import RunFolder
from tests.dataset import make

PARAMS = BakeParams(resolution=64, repeat=3, epochs=2, precision="fp32")
PLAN = events.Plan(family="sd15", device="CPU", precision="fp32")


class Journal:
    """Writes events at times of our choosing."""

    def __init__(self, run: RunFolder) -> None:
        self.run, self.seq, self.boot, self.t = run, 0, "b1", 1000.0

    def after(self, seconds: float, kind: type[events.Event], **facts: Any) -> None:
        self.t, self.seq = self.t + seconds, self.seq + 1
        event = kind(run="r", seq=self.seq, boot=self.boot, t=self.t, **facts)
        with open(self.run.journal, "ab") as file:
            file.write(msgspec.json.encode(event) + b"\n")

    def steps(self, count: int, seconds: float) -> None:
        for number in range(count):
            self.after(seconds, events.Step, step=number + 1, epoch=1, loss=0.1, elapsed_s=0.0)


@pytest.fixture(autouse=True)
def own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LORABAKE_HOME", str(tmp_path / "home"))


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    for i in range(4):
        make.image(tmp_path / "set" / f"{i}.png", caption="girl")
    folder = RunFolder(tmp_path / "run")
    folder.path.mkdir()
    folder.write_job(
        Job(id="r", kind="bake", name="r", created=0.0, dataset=str(tmp_path / "set"), base="demo", params=PARAMS)
    )
    folder.write_manifest(freeze(make_plan(scan(tmp_path / "set"), None, PARAMS)))
    return folder


def whole_bake(journal: Journal) -> None:
    """20 s until the training starts, 12 steps of 2 s in each of two epochs, 5 s of previews, 1.5 s of closing."""
    journal.after(8, events.Phase, name="prepare")
    journal.after(4, events.Phase, name="load", plan=PLAN)
    journal.after(3, events.Phase, name="cache", plan=PLAN)
    journal.after(5, events.Phase, name="baseline")
    journal.after(5, events.Phase, name="train")
    for _ in range(2):
        journal.steps(12, 2)
        journal.after(0, events.Phase, name="save")
        journal.after(1.5, events.Phase, name="preview")
        journal.after(5, events.Phase, name="train")
    journal.after(0, events.Finished, reason="done")


def test_each_second_goes_to_its_phase(run: RunFolder) -> None:
    journal = Journal(run)
    whole_bake(journal)
    assert learn_from(run, started=1000.0, memory_bytes=5) is True
    (row,) = calibration.load()
    assert row.seconds_per_step == pytest.approx(2)
    assert row.load_seconds + row.image_seconds * 4 == pytest.approx(20)
    assert row.preview_seconds == pytest.approx(5)
    assert row.closing_seconds == pytest.approx(1.5)
    assert row.memory_bytes == 5
    assert (row.facts.device, row.facts.model, row.facts.images) == ("CPU", "demo", 4)


def test_the_next_estimate_of_the_same_bake_is_what_this_one_took(run: RunFolder) -> None:
    journal = Journal(run)
    whole_bake(journal)
    learn_from(run, started=1000.0)
    request = EstimateParams(dataset=run.read_job().dataset, params={"resolution": 64, "repeat": 3, "epochs": 2})
    found = estimate(request, device="CPU")
    assert found.optimizer_steps == 12 * 2
    assert found.source == "history"
    assert found.seconds == pytest.approx(journal.t - 1000.0)


def test_the_truth_is_kept_beside_the_estimate(run: RunFolder) -> None:
    journal = Journal(run)
    run.write_job(
        msgspec.structs.replace(run.read_job(), forecast=Forecast(seconds=60.0, memory_bytes=9, source="model"))
    )
    assert outcome_of(run) is None
    whole_bake(journal)
    learn_from(run, started=1000.0, memory_bytes=5)
    found = outcome_of(run)
    assert results(run).outcome == found
    assert found is not None
    assert (found.estimated_seconds, found.estimated_memory, found.memory_bytes) == (60.0, 9, 5)
    assert found.seconds == pytest.approx(journal.t - 1000.0)
    request = EstimateParams(dataset=run.read_job().dataset, params={"resolution": 64})
    assert estimate(request, device="CPU").past == found


def test_an_estimate_says_how_far_off_its_kind_was(run: RunFolder) -> None:
    request = EstimateParams(dataset=run.read_job().dataset, params={"resolution": 64})
    assert estimate(request, device="CPU").error == 1.0
    for number in range(3):
        calibration.compare(
            Outcome(run=str(number), name="r", t=0.0, device="CPU", model="demo", source="model",
                    estimated_seconds=10.0, seconds=12.0)
        )  # fmt: skip
    assert estimate(request, device="CPU").error == 0.2


def test_a_pause_is_not_training(run: RunFolder) -> None:
    journal = Journal(run)
    journal.after(0, events.Phase, name="cache", plan=PLAN)
    journal.after(10, events.Phase, name="train")
    journal.steps(10, 1)
    journal.after(0, events.Paused, step=10)
    journal.after(3600, events.Resumed, step=10, epoch=1)
    journal.steps(10, 1)
    assert learn_from(run) is True
    (row,) = calibration.load()
    assert row.seconds_per_step == pytest.approx(1)
    assert row.image_seconds * 4 == pytest.approx(10)
    assert row.preview_seconds == 0


def test_only_the_last_boot_counts(run: RunFolder) -> None:
    journal = Journal(run)
    whole_bake(journal)
    journal.boot = "b2"
    journal.after(86_400, events.Phase, name="cache", plan=PLAN)
    journal.after(1, events.Resumed, step=24, epoch=2)
    journal.after(1, events.Phase, name="train")
    journal.steps(6, 7)
    assert learn_from(run) is True
    (row,) = calibration.load()
    assert row.seconds_per_step == pytest.approx(7)
    assert row.image_seconds * 4 == pytest.approx(2)


@pytest.mark.parametrize("steps", [0, 4])
def test_too_few_steps_teach_nothing(run: RunFolder, steps: int) -> None:
    journal = Journal(run)
    journal.after(0, events.Phase, name="train", plan=PLAN)
    journal.steps(steps, 1)
    assert learn_from(run) is False
    assert calibration.load() == []


def test_what_is_missing_or_broken_teaches_nothing(run: RunFolder, tmp_path: Path) -> None:
    assert learn_from(RunFolder(tmp_path / "nowhere")) is False
    assert learn_from(run) is False
    run.journal.write_bytes(b"")
    assert learn_from(run) is False
    run.journal.write_bytes(b"not json\n\xff\n{}\n")
    assert learn_from(run) is False


def test_this_process_began_before_now() -> None:
    assert process_start() > 0
