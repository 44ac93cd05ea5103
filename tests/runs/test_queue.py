"""The queue: order, hold, cancel, resume, and what survives a lost file, a crash of the machine, a kill."""

import multiprocessing
import os
import signal
import time
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule

from engine.home import runs_dir
from engine.protocol import events
from engine.protocol.errors import EngineError
from engine.protocol.files import Lock, atomic_write
from engine.protocol.journal import JournalWriter
from engine.protocol.records import Job
from engine.runs import queue
from engine.runs.folder import RunFolder
from tests.engine_processes import Home, until


def submit(name: str = "mira", *, start: bool = True) -> RunFolder:
    return queue.submit(Job(id="", kind="fake", name=name, created=time.time(), dataset=""), [], start=start)


def order() -> list[str]:
    return [item.run.read_job().name for item in queue.waiting()]


def states() -> dict[str, str]:
    return {item.run.read_job().name: item.state for item in queue.waiting()}


def begin(run: RunFolder, *, reason: str = "") -> None:
    """What a worker leaves behind: an event, and `finished` when a reason is given."""
    writer = JournalWriter(run.journal, run.id)
    writer.emit(events.Phase, name="prepare")
    if reason:
        writer.emit(events.Finished, reason=reason)
    writer.close()


def test_first_in_first_out(home: Home) -> None:
    for name in ("a", "b", "c"):
        submit(name)
    assert order() == ["a", "b", "c"]
    assert set(states().values()) == {"queued"}


def test_a_started_job_waits_no_longer(home: Home) -> None:
    run = submit("a")
    submit("b")
    begin(run)
    assert order() == ["b"]
    with pytest.raises(EngineError) as raised:
        queue.change(run, "held")
    assert raised.value.info.code == "run_not_waiting"


def test_moving(home: Home) -> None:
    runs = {name: submit(name) for name in "abcd"}
    queue.move(runs["d"], -2)
    assert order() == ["a", "d", "b", "c"]
    queue.move(runs["a"], 99)
    assert order() == ["d", "b", "c", "a"]
    queue.move(runs["c"], -99)
    assert order() == ["c", "d", "b", "a"]
    queue.move(runs["d"], 0)
    assert order() == ["c", "d", "b", "a"]


def test_hold_start_cancel(home: Home) -> None:
    a, b = submit("a"), submit("b", start=False)
    assert states() == {"a": "queued", "b": "held"}
    queue.change(a, "held")
    queue.change(b, "queued")
    assert states() == {"a": "held", "b": "queued"}
    queue.change(a, "cancelled")
    assert order() == ["b"]
    assert home.row(a).state == "cancelled"
    with pytest.raises(EngineError):
        queue.change(a, "queued")
    queue.requeue(a)
    assert order() == ["b", "a"]


def test_a_stopped_run_queued_again_waits_at_the_end_until_its_journal_grows(home: Home) -> None:
    old = submit("old")
    begin(old, reason="stopped")
    assert home.row(old).state == "stopped"
    submit("new")
    queue.requeue(old)
    assert order() == ["new", "old"]
    assert home.row(old).state == "queued"
    begin(old, reason="done")
    assert order() == ["new"]
    assert home.row(old).state == "done"


def test_cancelling_a_resumed_run_makes_it_what_it_was(home: Home) -> None:
    run = submit()
    begin(run, reason="stopped")
    queue.requeue(run)
    queue.change(run, "cancelled")
    assert home.row(run).state == "stopped"
    assert home.row(run).resumable


@pytest.mark.parametrize("content", [None, b"", b'{"order":["a', b"\xff\xff", b"[]", b'{"order":3}'])
def test_a_lost_or_torn_queue_file_loses_no_job(home: Home, content: bytes | None) -> None:
    a, b, c = submit("a"), submit("b"), submit("c")
    queue.change(b, "held")
    queue.change(c, "cancelled")
    if content is None:
        queue.queue_path().unlink()
    else:
        queue.queue_path().write_bytes(content)
    assert states() == {"a": "queued", "b": "held"}
    queue.move(b, -1)
    assert order() == ["b", "a"]
    assert home.row(a).position == 2


def test_a_torn_ticket_keeps_the_run_but_starts_nothing(home: Home) -> None:
    run = submit()
    run.ticket.write_bytes(b'{"state":"que')
    assert order() == []
    assert home.row(run).state == "failed"
    assert home.row(run).resumable
    queue.requeue(run)
    assert order() == ["mira"]


def test_after_another_boot_of_the_machine_queued_jobs_are_held(home: Home) -> None:
    run, other = submit("a"), submit("b")
    for each in (run, other):
        ticket = queue.read_ticket(each)
        assert ticket is not None
        atomic_write(each.ticket, each.ticket.read_bytes().replace(ticket.boot.encode(), b"another-boot"))
    assert states() == {"a": "held", "b": "held"}
    assert home.row(run).state == "held"
    assert home.row(run).crash
    queue.change(other, "queued")
    assert states() == {"a": "held", "b": "queued"}
    queue.change(other, "held")
    assert not home.row(other).crash


def test_a_runner_that_died_with_its_worker_leaves_held_jobs(home: Home) -> None:
    submit("a")
    with queue.locked():
        queue.mark_runner(True)
    assert queue.judge_crash()
    assert states() == {"a": "held"}
    assert [row.crash for row in home.rows()] == [True]
    assert not queue.judge_crash()
    submit("b")
    assert states() == {"a": "held", "b": "queued"}


def _hold_lock(path: str, ready: "multiprocessing.synchronize.Event") -> None:
    lock = Lock(RunFolder(Path(path)).lock)
    lock.acquire()
    ready.set()
    signal.pause()


def test_a_runner_that_died_alone_is_no_crash(home: Home) -> None:
    live, _ = submit("live"), submit("next")
    context = multiprocessing.get_context("spawn")
    ready = context.Event()
    worker = context.Process(target=_hold_lock, args=(str(live.path), ready))
    worker.start()
    try:
        assert ready.wait(60)
        begin(live)
        with queue.locked():
            queue.mark_runner(True)
        assert not queue.judge_crash()
        assert states()["next"] == "queued"
        with pytest.raises(EngineError) as raised:
            queue.requeue(live)
        assert raised.value.info.code == "run_live"
    finally:
        worker.kill()
        worker.join()
    assert queue.judge_crash()


def _submit_many(count: int) -> None:
    for index in range(count):
        submit(f"{os.getpid()}-{index}")


def test_many_submitters_at_once_lose_nothing(home: Home) -> None:
    context = multiprocessing.get_context("spawn")
    crowd = [context.Process(target=_submit_many, args=(5,)) for _ in range(3)]
    for process in crowd:
        process.start()
    for process in crowd:
        process.join(60)
    names = order()
    assert len(names) == len(set(names)) == 15
    for process in crowd:
        assert [n for n in names if n.startswith(f"{process.pid}-")] == [f"{process.pid}-{i}" for i in range(5)]


def _submit_forever() -> None:
    while True:
        run = submit("x")
        queue.move(run, -3)
        queue.change(run, "held")


def test_a_submitter_killed_at_any_moment_leaves_a_queue_that_works(home: Home) -> None:
    context = multiprocessing.get_context("spawn")
    for least in (2, 5, 9):
        process = context.Process(target=_submit_forever)
        process.start()
        until(lambda least=least: len(queue.waiting()) >= least, "some jobs are there")
        process.kill()
        process.join()
        for item in queue.waiting():
            assert item.run.read_job().id == item.run.id
            assert item.run.manifest_json.exists()
        last = submit("after")
        assert queue.waiting()[-1].run.id == last.id
        queue.change(last, "cancelled")
    assert not list(runs_dir().glob(".*"))
    assert not list(home.path.glob("*.part"))


class Model(RuleBasedStateMachine):
    """The queue beside the simplest thing it could be: a list."""

    def __init__(self) -> None:
        super().__init__()
        import tempfile

        os.environ["LORABAKE_HOME"] = tempfile.mkdtemp()
        self.waits: list[list[str]] = []
        self.runs: dict[str, RunFolder] = {}

    def _pick(self, place: int) -> tuple[int, RunFolder] | None:
        if not self.waits:
            return None
        index = place % len(self.waits)
        return index, self.runs[self.waits[index][0]]

    @rule(start=st.booleans())
    def submit(self, start: bool) -> None:
        run = submit("x", start=start)
        self.runs[run.id] = run
        self.waits.append([run.id, "queued" if start else "held"])

    @rule(place=st.integers(0, 20), by=st.integers(-5, 5))
    def move(self, place: int, by: int) -> None:
        if picked := self._pick(place):
            index, run = picked
            queue.move(run, by)
            entry = self.waits.pop(index)
            self.waits.insert(max(0, min(len(self.waits), index + by)), entry)

    @rule(place=st.integers(0, 20), state=st.sampled_from(["queued", "held"]))
    def change(self, place: int, state: str) -> None:
        if picked := self._pick(place):
            queue.change(picked[1], state)  # type: ignore[arg-type]
            self.waits[picked[0]][1] = state

    @rule(place=st.integers(0, 20))
    def cancel(self, place: int) -> None:
        if picked := self._pick(place):
            queue.change(picked[1], "cancelled")
            self.waits.pop(picked[0])

    @rule(place=st.integers(0, 20))
    def run_to_a_stop_and_resume(self, place: int) -> None:
        if picked := self._pick(place):
            begin(picked[1], reason="stopped")
            queue.requeue(picked[1])
            self.waits.append([self.waits.pop(picked[0])[0], "queued"])

    def teardown(self) -> None:
        assert [[item.run.id, item.state] for item in queue.waiting()] == self.waits


def test_the_queue_is_a_list(home: Home) -> None:
    Model.TestCase.settings = settings(max_examples=12, stateful_step_count=12, deadline=None)
    case = Model.TestCase()
    case.runTest()
