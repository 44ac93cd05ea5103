"""The scripted bake behaves as the protocol says a worker does: order of events, files, control, resume."""

import struct
from pathlib import Path

import pytest
from PIL import Image

from engine.protocol import control, events
from engine.protocol.events import Event
from engine.runs.folder import RunFolder
from tests.engine_processes import Home, Host, assert_whole, journal, slower, until


def of(kind: type, run: RunFolder) -> list:
    return [event for event in journal(run) if isinstance(event, kind)]


def losses(run: RunFolder) -> dict[int, float]:
    """Step → loss, the last word on each step."""
    return {step.step: step.loss for step in of(events.Step, run)}


def phases(read: list[Event]) -> list[str]:
    return [event.name for event in read if isinstance(event, events.Phase)]


def test_a_whole_bake(home: Home, host: Host, tmp_path: Path) -> None:
    run = host.submit(params={"epochs": 2, "repeat": 2}, out=str(tmp_path / "out"))
    home.reaches(run, "done")
    home.quiet()
    read = assert_whole(run)
    assert phases(read) == ["prepare", "load", "cache", "baseline", *["train", "save", "preview"] * 2]
    plan = of(events.Phase, run)[0].plan
    assert (plan.image_views, plan.steps, plan.steps_per_epoch) == (40, 40, 20)
    assert list(losses(run)) == list(range(1, 41))
    assert losses(run)[40] < losses(run)[1] + 0.1
    assert [(p.epoch, p.index) for p in of(events.Preview, run)] == [(e, i) for e in range(3) for i in range(1, 5)]
    for preview in of(events.Preview, run):
        with Image.open(run.path / preview.path, formats=("PNG",)) as image:
            image.load()
    last = read[-1]
    assert last.files == ["epochs/01/mira-e01.safetensors", "epochs/02/mira-e02.safetensors"]
    for name in last.files:
        data = (run.path / name).read_bytes()
        (length,) = struct.unpack("<Q", data[:8])
        assert data[8 : 8 + length].lstrip().startswith(b"{")
        assert (Path(last.out) / Path(name).name).read_bytes() == data
    assert len({event.boot for event in read}) == 1


def test_stop_then_resume_gives_the_same_steps_as_an_uninterrupted_bake(
    home: Home, host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    params = {"epochs": 3, "repeat": 4, "seed": 7}
    straight = host.submit(name="straight", params=params)
    home.reaches(straight, "done")
    home.quiet()
    slower(home, monkeypatch, 100)
    with_stop = Host(home)
    run = with_stop.submit(name="stopped", params=params)
    until(lambda: len(losses(run)) > 50, "it is in its second epoch")
    with_stop.call("runs.control", run=run.id, action="stop")
    row = home.reaches(run, "stopped")
    assert 50 < row.step < 120
    assert row.resumable
    assert_whole(run)
    assert {a.state for a in of(events.Ack, run) if a.action == "stop"} == {"accepted", "done"}
    with_stop.call("runs.resume", run=run.id)
    home.reaches(run, "done")
    home.quiet()
    assert_whole(run)
    assert losses(run) == losses(straight)
    assert len(of(events.Step, run)) == 120
    assert of(events.Resumed, run)[0].step == row.step
    assert with_stop.fails("runs.resume", run=run.id) == "run_finished"
    with_stop.close()


def test_pause_stands_still_and_resume_goes_on(home: Home, host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    run = host.submit(params={"epochs": 2, "repeat": 10})
    until(lambda: of(events.Step, run), "it trains")
    host.call("runs.control", run=run.id, action="pause")
    home.reaches(run, "paused")
    stood = len(of(events.Step, run))
    host.call("runs.control", run=run.id, action="save_now")
    until(lambda: "save_now" in {a.action for a in of(events.Ack, run) if a.state == "done"}, "it saved in its pause")
    assert len(of(events.Step, run)) == stood
    host.call("runs.control", run=run.id, action="resume")
    home.reaches(run, "done")
    home.quiet()
    assert len(losses(run)) == 200
    assert_whole(run)


def test_every_command_is_answered_even_the_senseless_ones(home: Home, host: Host) -> None:
    run = host.submit(params={"epochs": 1, "repeat": 60})
    until(lambda: of(events.Step, run), "it trains")
    before = len(of(events.Preview, run))
    sent = [control.send(run.control, action) for action in ("resume", "preview_now", "save_now", "stop_now")]
    home.reaches(run, "stopped")
    answers = {(ack.re, ack.state) for ack in of(events.Ack, run)}
    assert {(sent[0].id, "ignored"), *((c.id, "done") for c in sent[1:])} <= answers
    assert len(of(events.Preview, run)) == before + 4


def test_commands_to_a_run_that_is_not_live_are_refused(home: Home, host: Host) -> None:
    run = host.submit(params={"epochs": 1, "repeat": 1})
    home.reaches(run, "done")
    assert host.fails("runs.control", run=run.id, action="pause") == "run_not_live"
    assert host.fails("runs.control", run="nobody", action="pause") == "run_unknown"
    assert host.fails("queue.hold", run=run.id) == "run_not_waiting"
    assert not run.control.exists()
