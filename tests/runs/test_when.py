"""When a job may start: what a person writes, quiet hours, the timetable, and the runner that keeps to them."""

import time
from pathlib import Path

import pytest

from engine.protocol import events
from engine.protocol.control import Command, ControlReader, send
from engine.protocol.errors import EngineError
from engine.protocol.journal import JournalWriter
from engine.protocol.records import RunRow
from engine.runs import queue, schedule
from engine.runs.runner import HOURS, _Live
from engine.runs.schedule import Schedule
from engine.runs.timetable import timed
from tests.engine_processes import Home, Host, journal, slower, until
from tests.runs.test_queue import submit


def at(clock: str, day: int = 10) -> float:
    return time.mktime(time.strptime(f"2026-11-{day} {clock}", "%Y-%m-%d %H:%M"))


NOON = at("12:00")


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("22:30", at("22:30")),
        ("8:05", at("08:05", 11)),
        ("2026-11-23 22:30", at("22:30", 23)),
        ("+90m", NOON + 5400),
        ("+1d2h", NOON + 26 * 3600),
        ("22:00-07:00", at("22:00")),
        ("11:00-13:00 pause", NOON),
        ("22:00–07:00", at("22:00")),
        ("", NOON),
        ("now", NOON),
    ],
)
def test_what_a_person_writes(text: str, moment: float) -> None:
    read = schedule.read(text, NOON)
    assert read.opens(NOON) == moment
    assert schedule.read(read.told, NOON).opens(NOON) == moment


@pytest.mark.parametrize("text", ["25:00", "22:61", "tomorrow", "22:00-22:00", "2026-02-31 10:00", "+", "1:2:3"])
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(EngineError) as raised:
        schedule.read(text, NOON)
    assert raised.value.info.code == "when_invalid"


def test_quiet_hours_over_midnight() -> None:
    quiet = schedule.read("22:00-07:00 pause", NOON)
    for clock, closed in (("21:59", True), ("22:00", False), ("23:59", False), ("06:59", False), ("07:00", True)):
        assert quiet.closed(at(clock)) is closed
    assert quiet.opens(at("03:00")) == at("03:00")
    assert not schedule.read("22:00-07:00", NOON).closed(NOON), "only with pause a bake stands still"


def test_the_timetable_lays_estimates_end_to_end() -> None:
    def row(name: str, state: str, **facts: object) -> RunRow:
        return RunRow(id=name, name=name, kind="bake", state=state, dir="", **facts)  # type: ignore[arg-type]

    rows = [
        row("a", "queued", position=1),
        row("b", "scheduled", position=2),
        row("h", "held", position=3),
        row("live", "running", eta_s=600.0, told=NOON),
    ]
    hours = {"b": schedule.read("22:00", NOON)}
    found = {
        one.id: one
        for one in timed(
            rows, takes=lambda _: 1800.0, schedule=lambda run: hours.get(run, Schedule()), lanes=1, now=NOON
        )
    }
    assert found["live"].ends == NOON + 600
    assert (found["a"].starts, found["a"].ends) == (NOON + 600, NOON + 2400)
    assert (found["b"].starts, found["b"].ends) == (at("22:00"), at("22:30"))
    assert found["h"].starts is None
    unknown = timed(rows, takes=lambda _: 0.0, schedule=lambda _: Schedule(), lanes=1, now=NOON)
    assert [one.starts for one in unknown] == [NOON + 600, None, None, None]
    still = [row("paused", "paused", eta_s=600.0, told=NOON), *rows[:3]]
    for when, again in (("", None), ("22:00-07:00 pause", at("22:00")), ("11:00-13:00 pause", None)):
        paused = timed(
            still, takes=lambda _: 1800.0, schedule=lambda _, when=when: schedule.read(when, NOON), lanes=1, now=NOON
        )
        assert [(one.starts, one.ends) for one in paused[:2]] == [(again, None), (None, None)]


def test_a_scheduled_job_starts_when_its_time_has_come(home: Home, host: Host) -> None:
    late = host.submit(name="late", when="+2h", params={"epochs": 1, "repeat": 1})
    assert home.row(late).state == "scheduled"
    first = host.submit(name="first", params={"epochs": 1, "repeat": 1})
    home.reaches(first, "done")
    assert home.row(late).state == "scheduled"
    assert home.processes("runner"), "the runner waits for the hour"
    assert host.fails("queue.plan", run=late.id, when="soon") == "when_invalid"
    host.call("queue.plan", run=late.id, when="")
    home.reaches(late, "done")
    home.quiet()


def test_a_worker_that_dies_is_replaced_as_often_as_was_said(
    home: Home, host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    slower(home, monkeypatch, 100)
    run = host.submit(params={"epochs": 3, "repeat": 5}, retries=1)
    for boots in (1, 2):
        until(lambda: any(e.type == "step" for e in _last_boot(run, boots)), "it trains")  # noqa: B023
        home.kill("worker")
    home.reaches(run, "failed")
    assert home.row(run).retries == 0
    host.call("runs.resume", run=run.id)
    home.reaches(run, "done")
    assert len({event.boot for event in journal(run)}) == 3


class _Typed:
    def __init__(self, event: events.Event) -> None:
        self.type = str(event.__struct_config__.tag)


def _last_boot(run: object, boots: int) -> list[_Typed]:
    found = journal(run)  # type: ignore[arg-type]
    ids = list(dict.fromkeys(event.boot for event in found))
    return [_Typed(event) for event in found if len(ids) == boots and event.boot == ids[-1]]


def test_the_runner_pauses_at_the_end_of_quiet_hours_and_goes_on(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    from engine.protocol.files import Lock
    from engine.runs.runner import Runner

    run = submit("night")
    queue.plan(run, schedule=schedule.read("22:00-07:00 pause", NOON))
    now = at("23:00")
    monkeypatch.setattr(time, "time", lambda: now)
    live, runner = _Live(run, 1), Runner(Lock(home.path / "none"))
    for clock, actions in (("23:00", []), ("07:01", ["pause"]), ("07:02", ["pause"]), ("22:00", ["pause", "resume"])):
        now = at(clock)
        runner._keep_hours(live)
        given = _given(run.control)
        assert [command.action for command in given] == actions
        assert all(command.id.startswith(HOURS) for command in given)
    send(run.control, "pause", prefix=HOURS)
    assert _Live(run, 1).parked, "a runner that comes later knows of the pause"


def _given(path: Path) -> list[Command]:
    return ControlReader(path).poll()


def test_a_command_and_a_webhook_hear_how_it_ended(home: Home, host: Host, tmp_path: Path) -> None:
    told = tmp_path / "told.json"
    wish = {"command": f"cat > {told}.part && mv {told}.part {told}", "on": ["done"]}
    assert host.fails("tell.set", webhook="ftp://x") == "webhook_invalid"
    host.call("tell.set", **wish)
    run = host.submit(params={"epochs": 1, "repeat": 1})
    until(told.exists, "the command was run")
    import json

    facts = json.loads(told.read_text())
    assert (facts["event"], facts["run"], facts["name"], facts["epoch"]) == ("done", run.id, "mira", 1)
    host.call("tell.set", command="exit 3", webhook="http://127.0.0.1:9/none", on=["done"])
    report = host.call("tell.test")
    assert report["command"] == "exit status 3"
    assert "refused" in report["webhook"]
    assert home.row(run).state == "done"


def test_branches_from_an_epoch_the_state_and_the_beginning(home: Home, host: Host) -> None:
    run = host.submit(params={"epochs": 2, "repeat": 2, "unet_lr": 1e-3})
    home.reaches(run, "done")
    rows = {
        "again": host.call("runs.branch", run=run.id, params={"seed": 5}),
        "epoch": host.call("runs.branch", run=run.id, epoch=2),
        "state": host.call("runs.branch", run=run.id, state=True, params={"epochs": 3}),
    }
    assert host.fails("runs.branch", run=run.id, epoch=9) == "branch_no_epoch"
    assert len({row["name"] for row in rows.values()}) == 3
    assert [row.get("parent", "") for row in rows.values()] == ["", run.id, run.id]
    made = {kind: _folder(row) for kind, row in rows.items()}
    for branch in made.values():
        home.reaches(branch, "done")
    assert made["again"].read_job().params.unet_lr == 1e-3
    assert made["epoch"].read_job().params.network_weights.endswith("mira-e02.safetensors")
    resumed = next(e for e in journal(made["state"]) if isinstance(e, events.Resumed))
    assert resumed.step == 40
    assert home.row(made["state"]).step == 60


def _folder(row: dict[str, object]):  # type: ignore[no-untyped-def]
    from engine.runs.folder import RunFolder

    return RunFolder(Path(str(row["dir"])))


def test_a_paused_bake_is_a_small_process_that_stops_when_asked(home: Home, host: Host) -> None:
    run = host.submit(params={"epochs": 1, "repeat": 40})
    until(lambda: any(isinstance(e, events.Step) for e in journal(run)), "it trains")
    (pid,) = home.processes("worker")
    host.call("runs.control", run=run.id, action="pause")
    home.reaches(run, "paused")
    until(lambda: home.processes("worker").get(pid, [""])[-2].startswith("{"), "it has become small")
    host.call("runs.control", run=run.id, action="stop")
    home.reaches(run, "stopped")
    until(lambda: pid not in home.processes("worker"), "it has left")
    writer = JournalWriter(run.journal, run.id)
    writer.close()
    ends = [e for e in journal(run) if isinstance(e, events.Finished)]
    assert [e.reason for e in ends] == ["stopped"]
    home.quiet()
