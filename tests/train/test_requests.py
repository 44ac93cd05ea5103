"""What a person asks of a live bake: acknowledged, done, and without effect on the numbers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from engine.protocol import events
from engine.protocol.control import ControlReader, send
from engine.protocol.events import Ack, Checkpoint, Event, Finished, Paused, Preview, Progress, Resumed, Step
from engine.protocol.journal import JournalWriter
from engine.runs.folder import RunFolder
from engine.runs.parking import Parked, wait
from engine.train.control import Control, Stopped
from tests.train.conftest import Kitchen, Straight, at_step, losses


def acks(found: list[Event], action: str) -> list[str]:
    return [e.state for e in found if isinstance(e, Ack) and e.action == action]


def test_a_pause_ends_the_boot_and_the_next_one_goes_on_exactly(kitchen: Kitchen, straight: Straight) -> None:
    run, expected = kitchen.submit("run"), losses(kitchen.events(straight()))
    with pytest.raises(Parked):
        kitchen.bake(run, at_step(3, "pause"))
    found = kitchen.events(run)
    assert acks(found, "pause") == ["accepted", "done"]
    paused = next(e for e in found if isinstance(e, Paused))
    assert any(isinstance(e, Checkpoint) and e.kind == "state" and e.seq < paused.seq for e in found)
    assert not any(isinstance(e, Step | Finished) and e.seq > paused.seq for e in found)
    found = kitchen.bake(run)
    assert losses(found) == expected
    assert next(e for e in found if isinstance(e, Resumed)).step == paused.step


def test_stop_while_paused(kitchen: Kitchen) -> None:
    run = kitchen.submit("run")
    with pytest.raises(Parked):
        kitchen.bake(run, at_step(2, "pause"))
    journal = JournalWriter(run.journal, run.id)
    control = ControlReader(run.control, from_end=True)
    for action in ("preview_now", "save_now", "stop"):
        send(run.control, action)  # type: ignore[arg-type]
    assert wait(run, journal, control) is None
    journal.close()
    found = kitchen.events(run)
    assert isinstance(found[-1], Finished)
    assert (found[-1].reason, found[-1].step) == ("stopped", max(losses(found)))
    assert acks(found, "stop") == acks(found, "save_now") == ["accepted", "done"]
    assert acks(found, "preview_now") == ["ignored"]


def test_what_is_changed_under_way_stands_after_a_resume(kitchen: Kitchen) -> None:
    runs = [kitchen.submit(name, epochs=2) for name in ("run", "straight")]
    values = {"unet_lr": 1e-3, "epochs": 3.0}

    def change(folder: RunFolder, event: Event) -> None:
        if isinstance(event, Step) and event.step == 2 and not folder.control.exists():
            send(folder.control, "set", values)

    def change_and_stop(folder: RunFolder, event: Event) -> None:
        change(folder, event)
        if isinstance(event, events.Changed):
            send(folder.control, "stop")

    straight = kitchen.bake(runs[1], change)
    kitchen.bake(runs[0], change_and_stop)
    found = kitchen.bake(runs[0])
    changed = next(e for e in found if isinstance(e, events.Changed))
    assert changed.values == {"unet_lr": 1e-3, "epochs": 3}
    assert acks(found, "set") == ["accepted", "done"]
    assert losses(found) == losses(straight)
    assert isinstance(found[-1], Finished)
    assert (found[-1].reason, found[-1].epoch) == ("done", 3)
    rates = {e.step: e.lr["unet"] for e in found if isinstance(e, Step)}
    assert rates[changed.step + 1] < rates[changed.step] / 5
    mine, theirs = (run.lora_file(3, "tiny").read_bytes() for run in runs)
    assert _weights(mine) == _weights(theirs)


def _weights(data: bytes) -> bytes:
    """A safetensors file without its header, which names the moment of its making."""
    return data[8 + int.from_bytes(data[:8], "little") :]


def test_preview_now_draws_the_weights_as_they_are(kitchen: Kitchen, straight: Straight) -> None:
    run, expected = kitchen.submit("run"), losses(kitchen.events(straight()))
    found = kitchen.bake(run, at_step(3, "preview_now"))
    drawn = [e for e in found if isinstance(e, Preview)]
    assert [e.index for e in drawn] == [1, 2, 3, 4]
    assert len({(run.path / e.path).read_bytes() for e in drawn}) == 4
    assert acks(found, "preview_now") == ["accepted", "done"]
    assert losses(found) == expected


def test_stop_now_breaks_off_an_accumulating_step_and_previews(kitchen: Kitchen) -> None:
    run = kitchen.submit("run", preview_every_epochs=1, preview_steps=200)

    def during_baseline(folder: RunFolder, event: Event) -> None:
        if isinstance(event, Progress) and event.phase == "baseline":
            send(folder.control, "stop_now")

    found = kitchen.bake(run, during_baseline)
    assert isinstance(found[-1], Finished)
    assert found[-1].reason == "stopped"
    assert not losses(found)


@pytest.mark.parametrize("action", ["stop", "stop_now"])
def test_stop_during_an_epochs_previews_keeps_its_file(kitchen: Kitchen, straight: Straight, action: Any) -> None:
    run = kitchen.submit("run", preview_every_epochs=1, preview_steps=5)
    whole = straight(preview_every_epochs=1, preview_steps=5)

    def hook(folder: RunFolder, event: Event) -> None:
        if isinstance(event, events.Phase) and event.name == "preview":
            send(folder.control, action)

    found = kitchen.bake(run, hook)
    assert isinstance(found[-1], Finished)
    assert found[-1].files == ["epochs/01/tiny-e01.safetensors"]
    assert not run.preview_file(1, 1).exists()
    found = kitchen.bake(run)
    assert losses(found) == losses(kitchen.events(whole))
    assert run.preview_file(1, 1).read_bytes() == whole.preview_file(1, 1).read_bytes()


def test_what_makes_no_sense_is_ignored(tmp_path: Path) -> None:
    journal = JournalWriter(tmp_path / "events.jsonl", "r")
    control = Control(ControlReader(tmp_path / "control.jsonl"), journal)
    send(tmp_path / "control.jsonl", "resume")
    control.check()
    for action in ("pause", "resume"):
        send(tmp_path / "control.jsonl", action)
    control.check()
    assert not control.wants("pause"), "resumed before it took effect"
    send(tmp_path / "control.jsonl", "stop")
    send(tmp_path / "control.jsonl", "pause")
    control.check_now()
    with pytest.raises(Stopped):
        control.check()
    from engine.protocol.journal import JournalReader

    told = [(e.action, e.state) for e in JournalReader(tmp_path / "events.jsonl").read_all() if isinstance(e, Ack)]
    assert told == [
        ("resume", "ignored"),
        ("pause", "accepted"),
        ("resume", "accepted"),
        ("pause", "done"),
        ("resume", "done"),
        ("stop", "accepted"),
        ("pause", "ignored"),
    ]
