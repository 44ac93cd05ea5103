"""A test that waits for a bake: taken back, or drawn beside the bake by a worker that makes way for it."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.drawing import beside, history
from engine.drawing.submit import stop, submit
from engine.protocol.control import send
from engine.protocol.drawing import DrawParams
from engine.protocol.params import BakeParams
from engine.protocol.records import Job
from engine.runs import launch, queue
from engine.runs.devices import devices
from engine.runs.folder import run_folder
from tests.engine_processes import Home, slower, until
from tests.engine_processes import home as home  # a fixture
from tests.tiny import tiny_base


def test_a_test_is_taken_back_or_drawn_beside_a_bake(
    home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    slower(home, monkeypatch, 20)
    base = tiny_base(tmp_path / "tiny", lean=True)
    job = Job(id="", kind="fake", name="longer", created=1.0, dataset="", params=BakeParams(epochs=900))
    bake = queue.submit(job, [], start=True)
    launch.ensure_runner()
    home.reaches(bake, "running")
    asked = DrawParams(base=str(base), prompt="red", steps=1, width=32, height=32)
    first = submit(asked)
    assert home.row(run_folder(first.run)).state == "queued"
    # Beside a bake at work there is the processor alone, and a seat that is no device's.
    seat = beside._seat()
    assert seat.env["CUDA_VISIBLE_DEVICES"] == ""
    assert seat.lock not in [device.lock for device in devices()]
    stopped = stop(first.id).error
    assert stopped is not None
    assert stopped.code == "test_stopped"
    assert home.row(run_folder(first.run)).state == "cancelled"
    assert beside.now(first.id).state == "failed", "what waits no more is not hurried"
    # A paused bake has given its memory back: the next test is drawn at once, by a worker of its own.
    send(bake.control, "pause")
    home.reaches(bake, "paused")
    second = submit(asked)
    session = run_folder(second.run)
    until(lambda: history.load(second.id).state == "done", "the test is drawn")
    assert history.picture_file(second, 0).read_bytes().startswith(b"\x89PNG")
    assert home.row(bake).state == "paused"
    send(bake.control, "resume")
    home.reaches(session, "done")
    home.reaches(bake, "running")
