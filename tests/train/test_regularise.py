"""Regularisation images: drawn with their prompts in turn, and only those that are missing."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from engine.protocol.control import ControlReader, send
from engine.protocol.datasets import RegParams
from engine.protocol.errors import EngineError
from engine.protocol.events import Ack, Event, Finished, Progress
from engine.protocol.journal import JournalReader, JournalWriter
from engine.protocol.records import Job
from engine.runs.folder import RunFolder
from engine.runs.parking import Parked
from engine.runs.reg import prepare
from engine.train.regularise import regularise
from tests.train.conftest import QUICK, Kitchen


def drawn(run: RunFolder, job: Job, *, stopped: bool = False) -> Finished:
    if stopped:
        send(run.control, "stop")
    journal = JournalWriter(run.journal, run.id)
    regularise(run, job, journal, ControlReader(run.control))
    journal.close()
    last = read(run)[-1]
    assert isinstance(last, Finished)
    return last


def read(run: RunFolder) -> list[Event]:
    return JournalReader(run.journal).read_all()


def test_only_what_is_missing_is_drawn(kitchen: Kitchen, tmp_path: Path) -> None:
    out = tmp_path / "reg"
    asked = RegParams(out=str(out), base=str(kitchen.base), prompts=["1girl", " 1boy "], count=5, params=QUICK)
    job = prepare(asked)
    assert (job.kind, job.prompts, job.count, job.out) == ("reg", ["1girl", "1boy"], 5, str(out))
    run = RunFolder(tmp_path / "run")
    run.path.mkdir()
    run.write_job(job)
    assert run.read_job() == job
    assert drawn(run, job, stopped=True).reason == "stopped"
    run.control.unlink()
    send(run.control, "pause")
    journal = JournalWriter(run.journal, run.id)
    with pytest.raises(Parked):
        regularise(run, job, journal, ControlReader(run.control))
    journal.close()
    assert [event.state for event in read(run) if isinstance(event, Ack)][-2:] == ["accepted", "done"]
    run.control.unlink()
    end = drawn(run, job)
    assert (end.reason, end.step, end.out) == ("done", 5, str(out))
    first = {path.name: path.read_bytes() for path in out.iterdir()}
    assert sorted(first) == sorted(f"reg-{n:05d}{ending}" for n in range(1, 6) for ending in (".png", ".txt"))
    assert [first[f"reg-{n:05d}.txt"] for n in (1, 2, 3)] == [b"1girl\n", b"1boy\n", b"1girl\n"]
    with Image.open(out / "reg-00001.png") as picture:
        assert picture.size == (32, 32)
    (out / "reg-00002.png").unlink()
    stamp = (out / "reg-00001.png").stat().st_mtime_ns
    drawn(run, job)
    assert (out / "reg-00001.png").stat().st_mtime_ns == stamp
    assert (out / "reg-00002.png").exists()
    told = [event for event in read(run) if isinstance(event, Progress)]
    assert [(event.done, event.total) for event in told] == [(4, 5), (5, 5), (5, 5)]


@pytest.mark.parametrize(
    ("wrong", "code"),
    [({"prompts": [" "]}, "reg_prompts"), ({"count": 0}, "param_invalid"), ({"base": "none"}, "model")],
)
def test_what_cannot_be_drawn_is_told(kitchen: Kitchen, tmp_path: Path, wrong: dict[str, object], code: str) -> None:
    asked = {"out": str(tmp_path / "reg"), "base": str(kitchen.base), "prompts": ["1girl"], **wrong}
    with pytest.raises(EngineError) as raised:
        prepare(RegParams(**asked))  # type: ignore[arg-type]
    assert raised.value.info.code.startswith(code)
