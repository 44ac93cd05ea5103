"""The runner closes what dead workers left open: in their name, with their own error if they had one."""

import os
import time

import pytest

from engine.protocol import events
from engine.protocol.errors import describe
from engine.protocol.journal import JournalWriter
from engine.protocol.records import Job
from engine.runs import launch, queue
from engine.runs.folder import RunFolder
from tests.engine_processes import Home, assert_whole, journal, until


def left_open(*emissions: tuple) -> RunFolder:
    """A run whose worker wrote these events and died."""
    run = queue.submit(Job(id="", kind="fake", name="left", created=time.time(), dataset=""), [], start=True)
    writer = JournalWriter(run.journal, run.id)
    for kind, fields in emissions:
        writer.emit(kind, **fields)
    writer.close()
    return run


def one_more() -> RunFolder:
    run = queue.submit(Job(id="", kind="fake", name="more", created=time.time(), dataset=""), [], start=True)
    assert launch.ensure_runner()
    return run


def test_an_open_journal_is_closed_in_the_name_of_its_boot(home: Home) -> None:
    run = left_open((events.Phase, {"name": "prepare"}))
    more = one_more()
    home.reaches(more, "done")
    phase, error, finished = assert_whole(run)
    assert phase.boot == error.boot == finished.boot
    assert isinstance(error, events.Error)
    assert error.error.code == "worker_died"


def test_what_the_worker_said_itself_is_not_said_again(home: Home) -> None:
    info = describe("out_of_memory", device="GPU", phase="train", advice="batch_size = 2", run="last")
    run = left_open((events.Phase, {"name": "train"}), (events.Error, {"error": info}))
    home.reaches(one_more(), "done")
    assert [type(event) for event in assert_whole(run)] == [events.Phase, events.Error, events.Finished]
    error = home.row(run).error
    assert error is not None
    assert error.code == "out_of_memory"


def test_a_torn_last_line_is_closed_and_the_count_goes_on(home: Home) -> None:
    run = left_open((events.Phase, {"name": "prepare"}), (events.Phase, {"name": "train"}))
    with open(run.journal, "ab") as handle:
        handle.write(b'{"type":"step","st')
    home.reaches(one_more(), "done")
    assert [event.seq for event in assert_whole(run)] == [1, 2, 3, 4]


def test_a_runner_that_cannot_start_is_not_tried_again_at_once_and_its_jobs_wait(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = left_open((events.Phase, {"name": "prepare"}), (events.Finished, {"reason": "failed"}))
    queue.requeue(run)
    monkeypatch.setattr(launch, "_rest_until", 0.0)
    monkeypatch.setenv("PYTHONHOME", os.devnull)
    assert launch.ensure_runner()
    until(lambda: launch.reap() or not launch._children, "the runner could not start")
    assert not launch.ensure_runner()
    monkeypatch.delenv("PYTHONHOME")
    assert [item.run.id for item in queue.waiting()] == [run.id]
    assert journal(run)[-1].seq == 2
