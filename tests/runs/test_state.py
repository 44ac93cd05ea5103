"""What the list says of a run, from ticket, lock and the ends of its journal; and that looking is cheap."""

import os
import time
from pathlib import Path

import pytest

from engine.protocol import events
from engine.protocol.errors import describe
from engine.protocol.events import Plan
from engine.protocol.journal import JournalWriter
from engine.protocol.params import BakeParams
from engine.protocol.records import Job
from engine.runs import queue, tail
from engine.runs.folder import RunFolder
from engine.runs.state import Runs
from tests.engine_processes import Home


def run_with(*emissions: tuple, epochs: int = 4) -> RunFolder:
    """A run whose worker wrote these events and is gone."""
    job = Job(id="", kind="fake", name="mira", created=time.time(), dataset="/d", params=BakeParams(epochs=epochs))
    run = queue.submit(job, [], start=True)
    write(run, *emissions)
    return run


def write(run: RunFolder, *emissions: tuple) -> None:
    writer = JournalWriter(run.journal, run.id)
    for kind, fields in emissions:
        writer.emit(kind, **fields)
    writer.close()


PLAN = (events.Phase, {"name": "prepare", "plan": Plan(images=3, epochs=4, steps=100, steps_per_epoch=25)})
TRAIN = (events.Phase, {"name": "train"})


def step(number: int) -> tuple:
    fields = {"step": number, "epoch": 1 + number // 25, "loss": 0.1, "it_s": 2.0, "eta_s": 50.0, "elapsed_s": 3.0}
    return events.Step, fields


def finished(reason: str, number: int = 0) -> tuple:
    return events.Finished, {"reason": reason, "step": number}


@pytest.mark.parametrize("reason", ["done", "stopped", "failed"])
def test_an_ended_run_is_what_its_last_event_says(home: Home, reason: str) -> None:
    run = run_with(PLAN, TRAIN, step(7), finished(reason, 7))
    row = home.row(run)
    assert (row.state, row.step, row.steps, row.epochs) == (reason, 7, 100, 4)
    assert row.resumable == (reason != "done")
    assert row.finished is not None
    assert (row.eta_s, row.phase) == (None, "")


def test_a_failed_run_says_why(home: Home) -> None:
    run = run_with(PLAN, (events.Error, {"error": describe("disk_full", path="/x", run="r")}), finished("failed"))
    error = home.row(run).error
    assert error is not None
    assert error.code == "disk_full"


def test_a_worker_that_left_no_word_is_a_failure_that_can_be_resumed(home: Home) -> None:
    run = run_with(PLAN, TRAIN, step(3))
    row = home.row(run)
    assert (row.state, row.resumable, row.step) == ("failed", True, 3)
    assert row.error is not None
    assert row.error.code == "worker_died"


def test_an_error_of_an_earlier_boot_is_past(home: Home) -> None:
    run = run_with(PLAN, (events.Error, {"error": describe("disk_full", path="/x", run="r")}), finished("failed"))
    queue.requeue(run)
    write(run, PLAN, step(5), finished("stopped", 5))
    row = home.row(run)
    assert (row.state, row.error) == ("stopped", None)


def test_a_run_that_was_not_started_shows_what_its_job_says(home: Home) -> None:
    run = run_with(epochs=7)
    row = home.row(run)
    assert (row.state, row.position, row.epochs, row.steps) == ("queued", 1, 7, 0)


def test_the_list_has_waiting_jobs_first_then_the_youngest(home: Home) -> None:
    ended = [run_with(PLAN, finished("done")) for _ in range(2)]
    waiting = [run_with() for _ in range(2)]
    assert [row.id for row in home.rows()] == [waiting[0].id, waiting[1].id, ended[1].id, ended[0].id]


def test_the_ends_of_a_long_journal_are_enough(home: Home) -> None:
    run = run_with(PLAN, TRAIN)
    with open(run.journal, "ab") as handle:
        line = run.journal.read_bytes().splitlines()[-1]
        handle.writelines(line.replace(b'"seq":2', b'"seq":%d' % n) + b"\n" for n in range(3, 20_000))
    write(run, step(90), finished("stopped", 90))
    size = run.journal.stat().st_size
    read = 0
    original = tail.JournalReader.read

    def counted(self: tail.JournalReader, *arguments: int) -> list:
        nonlocal read
        before = self.offset
        pairs = original(self, *arguments)
        read += self.offset - before
        return pairs

    pytest.MonkeyPatch().setattr(tail.JournalReader, "read", counted)
    try:
        runs = Runs()
        row = runs.rows()[0]
        assert (row.state, row.step, row.steps) == ("stopped", 90, 100)
        assert read < 100_000 < size
        read = 0
        assert runs.rows()[0] == row
        assert read == 0
    finally:
        tail.JournalReader.read = original  # type: ignore[method-assign]


def test_a_remembered_run_follows_its_journal(home: Home) -> None:
    run = run_with(PLAN, TRAIN, step(1))
    runs = Runs()
    assert runs.rows()[0].step == 1
    write(run, step(2), finished("stopped", 2))
    assert (runs.rows()[0].step, runs.rows()[0].state) == (2, "stopped")
    run.journal.write_bytes(b"")
    assert runs.rows()[0].state == "queued"


def test_noise_and_a_torn_line_in_a_journal_change_nothing(home: Home) -> None:
    run = run_with(PLAN, TRAIN, step(3), finished("stopped", 3))
    before = home.row(run)
    with open(run.journal, "ab") as handle:
        handle.write(b'garbage\n{"type":"new_kind","run":"x","seq":99,"boot":"b","t":1.0}\n{"type":"step","st')
    assert home.row(run) == before


def test_a_run_folder_without_rights_hides_only_itself(home: Home) -> None:
    good, bad = run_with(PLAN, finished("done")), run_with(PLAN, finished("done"))
    if os.geteuid() == 0:
        bad.job_toml.unlink()
        bad.job_toml.mkdir()
    else:
        Path(bad.job_toml).chmod(0)
    rows = {row.id: row.state for row in home.rows()}
    assert rows == {good.id: "done", bad.id: "failed"}
