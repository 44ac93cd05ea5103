"""A journal in brief: a viewer makes of it what it makes of every event, whatever happened to file or journal."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.protocol import events
from engine.protocol.journal import JournalWriter
from engine.protocol.messages import Batch, Past
from engine.protocol.wire import encode
from engine.runs import history
from engine.runs.folder import RunFolder
from engine.runs.history import History
from lorabake_tui.store import RunFold, RunView, Store
from tests.tui.test_store_run import comparable

PATIENT = settings(deadline=None, max_examples=25, suppress_health_check=list(HealthCheck))


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    (tmp_path / "run").mkdir()
    return RunFolder(tmp_path / "run")


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Everything is worth keeping, and a message holds few points."""
    monkeypatch.setattr(history, "KEPT_FROM", 0)
    monkeypatch.setattr(history, "POINTS", 7)


def write(run: RunFolder, words: str, boot: str = "a", first: int = 1) -> None:
    """A boot of a run, a letter for each event: s(tep), p(hase), c(heckpoint), v(alidation), r(esumed three back)."""
    writer = JournalWriter(run.journal, run.id, boot)
    writer.emit(events.Phase, name="prepare", plan=events.Plan(steps=99, epochs=9))
    step = first - 1
    for letter in words:
        match letter:
            case "s":
                step += 1
                rates = {"unet": 1e-4} | ({"text_encoder": 5e-5} if step > 4 else {})
                loss = None if step == 3 else step / 7
                writer.emit(events.Step, step=step, epoch=step // 5 + 1, loss=loss, lr=rates, it_s=4.0)
            case "p":
                writer.emit(events.Phase, name="train")
            case "c":
                path = f"epochs/{step:02}/m.safetensors"
                writer.emit(events.Checkpoint, kind="epoch", epoch=step, step=step, path=path)
            case "v":
                writer.emit(events.Validation, epoch=step, step=step, loss=0.5)
            case "r":
                step = max(0, step - 3)
                writer.emit(events.Resumed, step=step, epoch=1)
    writer.close()


def told(view: RunView) -> dict[str, Any]:
    """A view as plain values; columns without a point say nothing."""
    values = comparable(view)
    return {**values, "series": {name: column for name, column in values["series"].items() if column}}


def one_by_one(run: RunFolder) -> dict[str, Any]:
    fold = RunFold(run.id)
    fold.add_lines(run.journal.read_bytes().split(b"\n"))
    return told(fold.view())


def in_brief(run: RunFolder) -> dict[str, Any]:
    """What a store makes of the messages, sent over a pipe."""
    store = Store()
    store.fold(run.id)
    for past in History(run).refresh().parts():
        store.push(msgspec.json.decode(encode(past), type=Past))
    assert run.id in store.replaying
    store.push(Batch(run=run.id, events=[], live=True))
    assert not store.replaying
    return told(store.view(run.id))


@PATIENT
@given(st.lists(st.text("sssssspcvr", max_size=40), min_size=1, max_size=3), st.integers(1, 12))
def test_it_is_what_every_event_told(boots: list[str], points: int) -> None:
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr(history, "POINTS", points)
        patch.setattr(history, "KEPT_FROM", 0)
        run = RunFolder(Path(folder))
        for number, words in enumerate(boots):
            write(run, words, boot=str(number), first=1 + 2 * number)
            assert in_brief(run) == one_by_one(run)
            history.keep(run)
        assert in_brief(run) == one_by_one(run)


def test_what_is_kept_is_not_read_again_and_the_rest_is(run: RunFolder, small: None) -> None:
    write(run, "ssssscss")
    covered = history.keep(run)
    assert covered == run.journal.stat().st_size
    write(run, "sss", boot="b", first=8)
    found = History(run)
    assert found.refresh().seq == 13
    assert found.kept == covered
    assert in_brief(run) == one_by_one(run)


@pytest.mark.parametrize("what", ["torn", "flipped", "older", "other journal", "shorter journal", "gone"])
def test_a_file_that_does_not_fit_is_passed_over(run: RunFolder, small: None, what: str) -> None:
    write(run, "ssssscss")
    history.keep(run)
    data = run.history.read_bytes()
    match what:
        case "torn":
            run.history.write_bytes(data[: len(data) // 2])
        case "flipped":
            run.history.write_bytes(data[:200] + bytes([data[200] ^ 1]) + data[201:])
        case "older":
            kept = msgspec.msgpack.decode(data[:-4], type=history._Kept)
            old = msgspec.msgpack.encode(msgspec.structs.replace(kept, version=0))
            run.history.write_bytes(old + history.zlib.crc32(old).to_bytes(4, "little"))
        case "other journal":
            lines = run.journal.read_bytes().replace(b'"step":2', b'"step":1')
            run.journal.write_bytes(lines)
        case "shorter journal":
            run.journal.write_bytes(b"\n".join(run.journal.read_bytes().split(b"\n")[:4]) + b"\n")
        case _:
            run.journal.unlink()
            run.journal.touch()
    assert History(run).refresh().kept == 0
    assert in_brief(run) == one_by_one(run)


def test_a_disk_that_takes_nothing_costs_nothing_but_time(run: RunFolder, small: None) -> None:
    write(run, "sss")
    run.history.mkdir()
    assert history.keep(run) == 0
    assert in_brief(run)["facts"]["step"] == 3


def test_a_long_past_fits_the_lines_of_the_pipe(run: RunFolder) -> None:
    write(run, "sc" * 600)
    sizes = [len(encode(past)) for past in History(run).refresh().parts()]
    assert max(sizes) < 1 << 20
