"""A disk that is full or read-only: a sentence, no traceback for the person, nothing half-written, resumable later."""

import os
import resource
import subprocess
from pathlib import Path

import pytest

from engine.protocol import events
from engine.runs import queue
from engine.runs.folder import RunFolder
from tests.engine_processes import Home, Host, assert_whole, journal, until

LIMIT = 3000


def limited() -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (LIMIT, LIMIT))


def test_a_journal_that_cannot_grow_ends_the_worker_in_a_sentence(home: Home, host: Host) -> None:
    run = host.submit(params={"epochs": 1, "repeat": 5, "preview_every_epochs": 0}, start=False)
    worker = home.start("worker", str(run.path), stderr=subprocess.PIPE, preexec_fn=limited)
    _, told = worker.communicate(timeout=60)
    assert worker.returncode not in (0, None)
    assert b"The disk of" in told
    assert b"Traceback" not in told
    assert run.journal.stat().st_size <= LIMIT
    assert [e.seq for e in journal(run)] == list(range(1, len(journal(run)) + 1))
    assert home.row(run).resumable
    host.call("runs.resume", run=run.id)
    home.reaches(run, "done")
    assert_whole(run)


def test_any_other_file_that_cannot_grow_is_an_error_in_the_journal(home: Home, host: Host) -> None:
    run = host.submit(params={"epochs": 1, "repeat": 5}, start=False)
    worker = home.start("worker", str(run.path), stderr=subprocess.PIPE, preexec_fn=limited)
    _, told = worker.communicate(timeout=60)
    assert (worker.returncode, told) == (1, b"")
    row = home.row(run)
    assert row.error is not None
    assert (row.state, row.error.code) == ("failed", "disk_full")
    assert not list(run.path.rglob("*.part"))


def test_the_runner_writes_the_end_as_soon_as_there_is_space(home: Home, host: Host) -> None:
    run = host.submit(params={"epochs": 1, "repeat": 5, "preview_every_epochs": 0}, start=False)
    home.start("worker", str(run.path), stderr=subprocess.DEVNULL, preexec_fn=limited).wait(60)
    other = host.submit(params={"epochs": 1, "repeat": 1})
    home.reaches(other, "done")
    last = journal(run)[-1]
    assert isinstance(last, events.Finished)
    assert last.reason == "failed"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_read_only_home_can_be_looked_at_and_says_why_it_takes_no_job(home: Home, host: Host) -> None:
    run = host.submit(params={"epochs": 1, "repeat": 1})
    home.reaches(run, "done")
    home.quiet()
    for folder in (home.path / "runs", home.path):
        folder.chmod(0o500)
    try:
        again = Host(home)
        assert [row["state"] for row in again.call("runs.list")] == ["done"]
        again.call("runs.watch", run="last")
        assert until(lambda: again.events(run), "history can be read")
        assert again.fails("runs.submit", dataset="", kind="fake") == "home_unwritable"
        again.close()
    finally:
        for folder in (home.path, home.path / "runs"):
            folder.chmod(0o700)


def test_a_run_whose_folder_is_deleted_under_a_live_worker(home: Home, host: Host, tmp_path: Path) -> None:
    run = host.submit(params={"epochs": 1, "repeat": 100})
    until(lambda: len(journal(run)) > 20, "it trains")
    run.path.rename(tmp_path / "away")
    home.quiet()
    assert host.call("runs.list") == []
    after = host.submit(name="after", params={"epochs": 1, "repeat": 1})
    home.reaches(after, "done")
    assert [item.run.id for item in queue.waiting()] == []
    assert RunFolder(tmp_path / "away").console.exists()
