"""Torn queue files under a working runner: nothing is forgotten, nothing runs twice."""

import pytest

from engine.protocol.events import Phase
from engine.runs import queue
from tests.engine_processes import Home, Host, assert_whole, journal, until


@pytest.mark.parametrize("content", [b"", b'{"order":["2026', b"\x00" * 9])
def test_a_torn_queue_file_in_the_middle_of_the_work(home: Home, host: Host, content: bytes) -> None:
    runs = [host.submit(name=name, params={"epochs": 1, "repeat": 4}) for name in "abcd"]
    held = host.submit(name="held", start=False)
    until(lambda: journal(runs[0]), "the first has begun")
    queue.queue_path().write_bytes(content)
    for run in runs:
        home.reaches(run, "done")
    home.quiet()
    for run in runs:
        assert len([e for e in assert_whole(run) if isinstance(e, Phase) and e.name == "prepare"]) == 1
    assert home.row(held).state == "held"
    begun = [journal(run)[0].t for run in runs]
    assert begun == sorted(begun)


def test_a_job_put_in_while_the_runner_is_leaving_is_not_forgotten(home: Home, host: Host) -> None:
    runs = []
    for index in range(3):
        runs.append(host.submit(name=f"job-{index}", params={"epochs": 1, "repeat": 1}))
        home.reaches(runs[-1], "done")
    home.quiet()
    assert [home.row(run).state for run in runs] == ["done"] * 3


def test_clocks_that_jump_do_not_change_the_order(home: Home, host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    import time

    first = host.submit(name="first", start=False)
    monkeypatch.setattr(time, "time", lambda: 1_000_000_000.0)
    queue.requeue(first)
    back = queue.submit(first.read_job(), [], start=False)
    assert [item.run.id for item in queue.waiting()] == [first.id, back.id]
