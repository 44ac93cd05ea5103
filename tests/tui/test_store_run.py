"""A run's journal folded: the same view from any replay, whatever noise the file holds."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import msgspec
import pytest

from engine.protocol.errors import describe
from engine.protocol.events import (
    Ack,
    Checkpoint,
    Error,
    Event,
    Finished,
    Paused,
    Phase,
    Plan,
    Preview,
    Progress,
    Resumed,
    Step,
    Validation,
    Warning,
)
from engine.protocol.journal import JournalReader, JournalWriter
from engine.protocol.messages import Batch
from engine.protocol.records import RunRow
from lorabake_tui.store import RunFold, RunView, Store

PLAN = Plan(images=12, image_views=120, epochs=5, steps=60, steps_per_epoch=12, previews_per_epoch=4)


class Tape:
    """Makes the events of one run, numbered and timed one second apart."""

    def __init__(self) -> None:
        self.seq, self.boot, self.events = 0, "a", []

    def emit(self, kind: type[Event], /, **fields: Any) -> None:
        self.seq += 1
        self.events.append(kind(run="r1", seq=self.seq, boot=self.boot, t=1000.0 + self.seq, **fields))

    def step(self, number: int, loss: float | None = 0.1) -> None:
        rates = {"unet": 1e-4, "text_encoder": 5e-5}
        self.emit(
            Step,
            step=number,
            epoch=(number - 1) // 12 + 1,
            loss=loss,
            nonfinite=loss is None,
            lr=rates,
            images=2,
            it_s=4.0,
            eta_s=15.0,
            elapsed_s=number / 4,
        )

    def view(self) -> RunView:
        fold = RunFold("r1")
        for event in self.events:
            assert fold.add(event)
        return fold.view()


@pytest.fixture
def tape() -> Tape:
    return Tape()


def story(tape: Tape) -> None:
    """A bake of two epochs with everything that can happen on the way."""
    tape.emit(Phase, name="prepare")
    tape.emit(Phase, name="cache", plan=PLAN)
    tape.emit(Progress, phase="cache", done=12, total=12)
    tape.emit(Preview, epoch=0, step=0, index=1, path="epochs/00/preview-1.png", seed=7, prompt="miku")
    tape.emit(Phase, name="train")
    for number in range(1, 13):
        tape.step(number, loss=None if number == 5 else 0.2 - number / 100)
    tape.emit(Validation, epoch=1, step=12, loss=0.15)
    tape.emit(Checkpoint, kind="epoch", epoch=1, step=12, path="epochs/01/m-e01.safetensors", bytes=99)
    tape.emit(Preview, epoch=1, step=12, index=1, path="epochs/01/preview-1.png", seed=7, prompt="miku")
    tape.emit(Ack, re="c1", action="pause", state="accepted")
    tape.emit(Checkpoint, kind="state", epoch=1, step=12, path="state/12")
    tape.emit(Paused, step=12)
    tape.emit(Ack, re="c1", action="pause", state="done")
    tape.emit(Resumed, step=12, epoch=1)
    tape.emit(Warning, code="disk_full", message="The disk is nearly full.", args={"path": "/data", "run": "r1"})
    for number in range(13, 25):
        tape.step(number)
    tape.emit(Finished, reason="done", epoch=2, step=24, seconds=6.0, files=["epochs/01/m-e01.safetensors"])


def comparable(view: RunView) -> dict[str, Any]:
    """Everything a view holds as plain values, NaN written as None so that it equals itself."""
    facts = {name: getattr(view, name) for name in view.__struct_fields__ if name != "series"}
    series = view.series
    columns = {name: list(getattr(series, name)) for name in ("steps", "epochs", "loss", "grad_norm", "it_s")}
    columns |= {f"lr.{group}": list(rates) for group, rates in series.lr.items()}
    clean = {
        name: [None if isinstance(v, float) and math.isnan(v) else v for v in values]
        for name, values in columns.items()
    }
    return {"facts": facts, "series": clean}


def test_the_facts_of_a_bake(tape: Tape) -> None:
    story(tape)
    view = tape.view()
    assert view.state == "done"
    assert (view.epoch, view.step, view.plan) == (2, 24, PLAN)
    assert list(view.series.steps) == list(range(1, 25))
    assert math.isnan(view.series.loss[4])
    assert view.series.first_of_epochs() == [(1, 1), (2, 13)]
    assert set(view.previews) == {0, 1}
    assert view.epochs[1].bytes == 99
    assert view.saved is not None
    assert view.saved.path == "state/12"
    assert [line.level for line in view.log if line.level in ("good", "warning", "error")] == [
        "good",
        "good",
        "warning",
        "good",
    ]
    assert view.seconds_spent(now=9e9) == 6.0
    assert view.seconds_left(now=9e9) is None


def test_a_noisy_journal_gives_the_same_view(tape: Tape, tmp_path: Path) -> None:
    """A torn last line, an unknown kind and lines that are no JSON change nothing."""
    story(tape)
    clean = [msgspec.json.encode(event) for event in tape.events]
    noise = [
        b"Loading pipeline components...: 100%|",
        b"\xff\xfe\x00 not text",
        b"[1, 2]",
        b'{"type": "hologram", "run": "r1", "seq": 9, "boot": "a", "t": 1.0}',
        b'{"type": "step", "run": "r1", "seq": "nine"}',
        b"",
    ]
    lines = [line for at, event in enumerate(clean) for line in (noise[at % len(noise)], event)]
    path = tmp_path / "events.jsonl"
    path.write_bytes(b"\n".join(lines) + b"\n" + clean[-1][: len(clean[-1]) // 2])
    fold = RunFold("r1")
    reader = JournalReader(path)
    while pairs := reader.read(max_bytes=700):
        fold.add_lines(line for line, _ in pairs)
    assert comparable(fold.view()) == comparable(tape.view())

    raw = RunFold("r1")
    raw.add_lines(path.read_bytes().split(b"\n"))
    assert comparable(raw.view()) == comparable(tape.view())


def test_a_journal_continued_after_a_torn_line(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    writer = JournalWriter(path, "r1")
    writer.emit(Phase, name="train")
    writer.emit(Step, step=1, epoch=1, loss=0.5)
    writer.close()
    with path.open("ab") as file:
        file.write(b'{"type":"step","run":"r1","se')
    writer = JournalWriter(path, "r1")
    writer.emit(Resumed, step=1, epoch=1)
    writer.emit(Step, step=2, epoch=1, loss=0.4)
    writer.close()
    fold = RunFold("r1")
    fold.add_lines(path.read_bytes().split(b"\n"))
    view = fold.view()
    assert (view.seq, view.gaps, view.boots) == (4, 0, 2)
    assert list(view.series.loss) == [0.5, 0.4]


def test_events_seen_before_are_ignored_and_gaps_are_counted(tape: Tape) -> None:
    story(tape)
    fold = RunFold("r1")
    for event in tape.events:
        fold.add(event)
    before = comparable(fold.view())
    assert not any(fold.add(event) for event in tape.events)
    assert comparable(fold.view()) == before
    torn = RunFold("r1")
    for event in tape.events[:10] + tape.events[13:]:
        torn.add(event)
    assert torn.view().gaps == 3


def test_a_resume_that_goes_back_replaces_the_steps_it_takes_again(tape: Tape) -> None:
    tape.emit(Phase, name="train", plan=PLAN)
    for number in range(1, 21):
        tape.step(number, loss=1.0)
    tape.emit(Validation, epoch=1, step=12, loss=0.3)
    tape.emit(Validation, epoch=2, step=18, loss=0.2)
    tape.boot = "b"
    tape.emit(Resumed, step=14, epoch=2)
    view = tape.view()
    assert list(view.series.steps) == list(range(1, 15))
    assert [point.step for point in view.validation] == [12]
    assert (view.step, view.boots) == (14, 2)
    for number in range(15, 19):
        tape.step(number, loss=2.0)
    view = tape.view()
    assert list(view.series.steps) == list(range(1, 19))
    assert list(view.series.loss) == [1.0] * 14 + [2.0] * 4
    assert {len(rates) for rates in view.series.lr.values()} == {18}


def test_steps_taken_again_without_a_word_also_win(tape: Tape) -> None:
    for number in (1, 2, 3, 4, 2, 3):
        tape.step(number, loss=float(tape.seq))
    view = tape.view()
    assert list(view.series.steps) == [1, 2, 3]
    assert list(view.series.loss) == [0.0, 4.0, 5.0]


def test_stop_is_followed_through_its_rungs(tape: Tape) -> None:
    tape.emit(Phase, name="train", plan=PLAN)
    tape.step(1)
    tape.emit(Ack, re="c1", action="stop", state="accepted")
    assert tape.view().state == "stopping"
    tape.emit(Ack, re="c1", action="stop", state="done")
    tape.emit(Finished, reason="stopped", epoch=1, step=1)
    assert tape.view().state == "stopped"
    tape.boot = "b"
    tape.emit(Resumed, step=1, epoch=1)
    view = tape.view()
    assert (view.state, view.finished, view.ack) == ("running", None, None)


def test_a_failure_keeps_its_reason(tape: Tape) -> None:
    tape.emit(Phase, name="train", plan=PLAN)
    tape.emit(Error, error=describe("nonfinite_loss", step=3, files="a.png"))
    tape.emit(Finished, reason="failed", epoch=0, step=3)
    view = tape.view()
    assert view.state == "failed"
    assert view.error is not None
    assert view.error.error.code == "nonfinite_loss"


def test_a_view_does_not_change_when_events_follow(tape: Tape) -> None:
    fold = RunFold("r1")
    tape.emit(Phase, name="train", plan=PLAN)
    tape.emit(Preview, epoch=0, step=0, index=1, path="p", seed=1, prompt="x")
    for event in tape.events:
        fold.add(event)
    view = fold.view()
    assert fold.view() is view
    tape.emit(Preview, epoch=0, step=0, index=2, path="q", seed=2, prompt="x")
    tape.step(1)
    for event in tape.events:
        fold.add(event)
    assert (len(view.previews[0]), view.step, len(view.log)) == (1, 0, 1)
    assert (len(fold.view().previews[0]), fold.view().step) == (2, 1)


def test_the_countdown_follows_the_clock(tape: Tape) -> None:
    tape.emit(Phase, name="train", plan=PLAN)
    tape.step(1)
    view = tape.view()
    assert view.last is not None
    assert view.seconds_left(view.last.t + 5) == 10.0
    assert view.seconds_left(view.last.t + 500) == 0.0
    assert view.seconds_spent(view.last.t + 5) == pytest.approx(5.25)
    assert view.images_s == 8.0
    assert view.fraction == pytest.approx(1 / 60)


def test_batches_of_a_run_nobody_opened_are_ignored(tape: Tape) -> None:
    story(tape)
    raw = [msgspec.Raw(msgspec.json.encode(event)) for event in tape.events]
    store = Store()
    store.push(Batch(run="r1", events=raw, live=False))
    assert store.view("r1").seq == 0
    store.push(Batch(run="r1", events=raw, live=False))
    assert store.replaying == {"r1"}
    store.push(Batch(run="r1", events=[], live=True))
    assert not store.replaying
    assert comparable(store.view("r1")) == comparable(tape.view())


def test_a_run_whose_name_begins_like_anothers_is_still_found() -> None:
    store = Store()
    names = ("mira-night", "mira", "lena")
    store.set_runs(RunRow(id=f"1122-{name}", name=name, kind="bake", state="held", dir="") for name in names)
    found = {word: row.name for word in ("1122-mira", "mira", "1122-l", "lena") if (row := store.meant(word))}
    assert found == {"1122-mira": "mira", "mira": "mira", "1122-l": "lena", "lena": "lena"}
    assert store.meant("nobody") is None
