"""A probe of a bake: real steps of its heaviest bucket, and an estimate that says it was measured."""

from __future__ import annotations

import msgspec
import pytest

from engine import calibration
from engine.dataset.manifest import freeze
from engine.dataset.plan import make_plan
from engine.dataset.scan import scan
from engine.estimate import estimate
from engine.protocol.control import ControlReader, send
from engine.protocol.events import Event, Finished, Preview
from engine.protocol.messages import EstimateParams
from engine.runs.folder import RunFolder
from engine.train import probe
from tests.train.conftest import Kitchen, Watched

PARAMS = {"batch_size": 2, "validation_split": 0.4, "preview_every_epochs": 1, "preview_steps": 3}


def job_of(kitchen: Kitchen) -> RunFolder:
    run = kitchen.submit("probe", **PARAMS)
    job = msgspec.structs.replace(run.read_job(), kind="probe")
    run.write_job(job)
    run.write_manifest(freeze(make_plan(scan(kitchen.dataset), None, job.params)))
    return run


def measured(run: RunFolder) -> list[Event]:
    journal = Watched(run, lambda run, event: None)
    try:
        probe.probe(run, run.read_job(), journal, ControlReader(run.control, offset=0))
    finally:
        journal.close()
    return Kitchen.events(run)


@pytest.fixture(autouse=True)
def _short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probe, "LEAST_SECONDS", 0.0)


def test_the_estimate_after_a_probe_is_measured(kitchen: Kitchen) -> None:
    run = job_of(kitchen)
    params = msgspec.to_builtins(run.read_job().params)
    asked = EstimateParams(dataset=str(kitchen.dataset), base=str(kitchen.base), params=params)
    before = estimate(asked, device="CPU")
    assert before.source == "model"
    events = measured(run)
    assert isinstance(events[-1], Finished)
    assert events[-1].reason == "done"
    assert not any(isinstance(event, Preview) for event in events)
    (row,) = calibration.load()
    assert row.probe
    assert row.seconds_per_step >= row.fixed_seconds >= 0
    assert min(row.load_seconds, row.image_seconds, row.preview_seconds, row.closing_seconds, row.held_seconds) > 0
    assert row.memory_bytes > 50 << 20
    after = estimate(asked, device="CPU")
    assert (after.source, after.optimizer_steps) == ("probe", before.optimizer_steps)
    assert after.memory_bytes == row.memory_bytes
    heaviest = max(width * height for width, height in ((b.width, b.height) for b in after.buckets))
    assert row.facts.work <= heaviest * 2
    assert not (run.path / "probe").exists()
    assert not list(run.path.glob("epochs/*"))


def test_a_probe_can_be_stopped(kitchen: Kitchen) -> None:
    run = job_of(kitchen)
    send(run.control, "stop")
    events = measured(run)
    assert isinstance(events[-1], Finished)
    assert events[-1].reason == "stopped"
    assert calibration.load() == []
    assert not (run.path / "probe").exists()
