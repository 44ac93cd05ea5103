"""What holds for the scripted worker holds for the one that trains: stopped by SIGTERM, killed, resumed, finished, with
the very numbers of a bake that was left alone."""

import os
import signal
from pathlib import Path

import msgspec
import pytest

from engine.lora import kohya
from engine.protocol import events
from engine.protocol.control import ControlReader
from engine.protocol.journal import JournalWriter
from engine.runs.folder import RunFolder
from tests.engine_processes import Home, Host, assert_whole, journal, until
from tests.tiny import tiny_base, tiny_dataset

PARAMS = {
    "resolution": 32,
    "repeat": 4,
    "epochs": 3,
    "network_dim": 2,
    "network_alpha": 1.0,
    "preview_every_epochs": 3,
    "preview_steps": 1,
}
PATIENCE = 600.0


def steps(run: RunFolder) -> list[events.Step]:
    return [event for event in journal(run) if isinstance(event, events.Step)]


def worker(home: Home) -> int:
    return next(iter(until(lambda: home.processes("worker"), "the worker is there", PATIENCE)))


def left_alone(run: RunFolder) -> RunFolder:
    """The same bake from its beginning to its end, in this process."""
    from engine.train.loop import bake

    straight = RunFolder(run.path.with_name("straight"))
    straight.path.mkdir()
    straight.write_job(msgspec.structs.replace(run.read_job(), out=""))
    writer = JournalWriter(straight.journal, straight.id)
    bake(straight, straight.read_job(), writer, ControlReader(straight.control))
    writer.close()
    return straight


@pytest.mark.timeout(1800)
def test_a_real_bake_survives_sigterm_and_sigkill(home: Home, host: Host, tmp_path: Path) -> None:
    base, dataset, out = tiny_base(tmp_path / "base", lean=True), tiny_dataset(tmp_path / "mira"), tmp_path / "out"
    asked = {"dataset": str(dataset), "base": str(base), "out": str(out), "params": PARAMS, "kind": "bake"}
    run = host.submit(**asked)
    until(lambda: steps(run), "it trains", PATIENCE)
    os.kill(worker(home), signal.SIGTERM)
    stopped = home.reaches(run, "stopped", seconds=PATIENCE)
    assert_whole(run)
    assert 0 < stopped.step < stopped.steps
    host.call("runs.resume", run=run.id)
    until(lambda: steps(run)[-1].step > stopped.step, "it goes on", PATIENCE)
    assert len({event.boot for event in journal(run)}) == 2
    os.kill(worker(home), signal.SIGKILL)
    home.reaches(run, "failed", seconds=PATIENCE)
    until(lambda: isinstance(journal(run)[-1], events.Finished), "the runner closed the journal", PATIENCE)
    host.call("runs.resume", run=run.id)
    done = home.reaches(run, "done", seconds=PATIENCE)
    read = assert_whole(run)
    assert sorted({step.step for step in steps(run)}) == list(range(1, done.steps + 1))
    by_step: dict[int, set[float | None]] = {}
    for step in steps(run):
        by_step.setdefault(step.step, set()).add(step.loss)
    assert all(len(losses) == 1 for losses in by_step.values())
    last = read[-1]
    assert isinstance(last, events.Finished)
    assert [Path(name).name for name in last.files if name.endswith(".safetensors")] == [
        f"mira-e{epoch:02d}.safetensors" for epoch in (1, 2, 3)
    ]
    assert sorted(file.name for file in out.glob("*.safetensors")) == [
        f"mira-e0{epoch}.safetensors" for epoch in (1, 2, 3)
    ]
    home.quiet()
    straight = left_alone(run)
    assert by_step == {step.step: {step.loss} for step in steps(straight)}
    for epoch in (1, 2, 3):
        mine, theirs = (kohya.read(each.lora_file(epoch, "mira")).tensors for each in (run, straight))
        assert mine.keys() == theirs.keys()
        assert all((mine[name] == theirs[name]).all() for name in theirs)
