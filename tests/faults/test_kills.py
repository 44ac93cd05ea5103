"""Whatever is killed, the bake goes on or can go on, its journal is whole, and no process is left over."""

import fcntl
import itertools
import os
import pty
import shutil
import signal
import subprocess
import sys
import termios
from pathlib import Path

import pytest

from engine.protocol import events
from engine.runs import launch, queue
from engine.runs.folder import RunFolder, run_folder
from tests.engine_processes import ROOT, Home, Host, assert_whole, journal, slower, until


@pytest.fixture(autouse=True)
def unhurried(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    slower(home, monkeypatch, 150)


def steps(run: RunFolder) -> list[int]:
    return [event.step for event in journal(run) if isinstance(event, events.Step)]


def training(run: RunFolder) -> None:
    until(lambda: len(steps(run)) > 5, "it trains")


def boots(run: RunFolder) -> int:
    return len({event.boot for event in journal(run)})


def test_a_killed_host_changes_nothing(home: Home, host: Host) -> None:
    run = host.submit(params={"epochs": 2, "repeat": 20})
    training(run)
    host.process.kill()
    home.reaches(run, "done")
    home.quiet()
    assert steps(run) == list(range(1, 401))
    assert boots(run) == 1
    assert_whole(run)
    again = Host(home)
    again.call("runs.watch", run="last")
    until(lambda: again.events(run) and again.events(run)[-1]["type"] == "finished", "the new host shows all of it")
    assert [e["seq"] for e in again.events(run)] == list(range(1, len(journal(run)) + 1))
    again.close()


def test_a_killed_viewer_takes_its_host_along_and_nothing_else(home: Home) -> None:
    program = (
        "import json, subprocess, sys\n"
        "host = subprocess.Popen([sys.executable, '-m', 'engine', 'host'], stdin=-1, stdout=-1)\n"
        "host.stdout.readline()\n"
        "ask = {'type': 'request', 'id': 1, 'method': 'runs.submit', 'params': {'dataset': '', 'kind': 'fake',"
        " 'params': {'epochs': 1, 'repeat': 40}}}\n"
        "host.stdin.write(json.dumps(ask).encode() + b'\\n'); host.stdin.flush()\n"
        "print(json.loads(host.stdout.readline())['result']['dir'], flush=True)\n"
        "sys.stdin.read()"
    )
    viewer = subprocess.Popen(
        [sys.executable, "-c", program], env=home.env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert viewer.stdout is not None
    run = RunFolder(Path(viewer.stdout.readline().strip()))
    training(run)
    viewer.kill()
    viewer.wait()
    until(lambda: not home.processes("host"), "the host has left")
    home.reaches(run, "done")
    assert boots(run) == 1


def test_closing_the_terminal_ends_the_host_and_not_the_bake(home: Home) -> None:
    master, slave = pty.openpty()

    def take_terminal() -> None:
        os.setsid()
        fcntl.ioctl(slave, termios.TIOCSCTTY, 0)

    host = home.start("host", stdin=slave, stdout=slave, stderr=slave, preexec_fn=take_terminal, close_fds=True)
    os.close(slave)
    submit = b'{"type":"request","id":1,"method":"runs.submit","params":{"dataset":"","kind":"fake"}}\n'
    os.write(master, submit)
    until(lambda: home.rows(), "the job is there")
    run = run_folder(home.rows()[0].id)
    training(run)
    assert os.getpgid(host.pid) == host.pid
    os.close(master)
    host.wait(30)
    here = len(steps(run))
    until(lambda: len(steps(run)) > here + 20, "it goes on")
    (worker,) = home.processes("worker")
    assert os.getsid(worker) == worker


@pytest.mark.skipif(shutil.which("tmux") is None, reason="tmux is not installed")
def test_ending_tmux_ends_what_was_shown_in_it_and_not_the_bake(home: Home, tmp_path: Path) -> None:
    """Whoever asked for the bake is a child of the tmux server, and so is the one it was asked of."""
    script = tmp_path / "viewer.py"
    script.write_text(
        "import subprocess, sys\n"
        'host = subprocess.Popen([sys.executable, "-m", "engine", "host"], stdin=subprocess.PIPE)\n'
        'asked = b\'{"type":"request","id":1,"method":"runs.submit","params":{"dataset":"","kind":"fake"}}\\n\'\n'
        "host.stdin.write(asked), host.stdin.flush()\n"
        "host.wait()\n"
    )
    tmux = ["tmux", "-S", str(tmp_path / "socket"), "-f", "/dev/null"]
    words = [*tmux, "new-session", "-d", "-x", "80", "-y", "24", f"{sys.executable} {script}"]
    subprocess.run(words, env=home.env, cwd=ROOT, check=True)
    until(lambda: home.rows(), "the job is there")
    run = run_folder(home.rows()[0].id)
    training(run)
    assert home.processes("host")
    subprocess.run([*tmux, "kill-server"], check=True)
    until(lambda: not home.processes("host"), "what was shown in it is gone")
    here = len(steps(run))
    until(lambda: len(steps(run)) > here + 20, "it goes on")


def test_a_killed_worker_is_told_and_resumes_where_it_saved(home: Home, host: Host) -> None:
    params = {"epochs": 3, "repeat": 5}
    run = host.submit(params=params)
    next_one = host.submit(name="next", params={"epochs": 1, "repeat": 1})
    until(lambda: len(steps(run)) > 60, "an epoch is saved")
    home.kill("worker")
    row = home.reaches(run, "failed")
    assert row.error is not None
    assert row.error.code == "worker_died"
    assert row.resumable
    until(lambda: isinstance(journal(run)[-1], events.Finished), "the runner closed the journal")
    error = next(e for e in journal(run) if isinstance(e, events.Error))
    assert error.error.args["status"] == "SIGKILL"
    home.reaches(next_one, "done")
    host.call("runs.resume", run=run.id)
    home.reaches(run, "done")
    home.quiet()
    assert_whole(run)
    assert sorted(set(steps(run))) == list(range(1, 151))
    resumed = next(e for e in journal(run) if isinstance(e, events.Resumed))
    assert resumed.step == 50
    assert run.console.exists()


def test_a_killed_runner_is_replaced_and_waits_for_the_live_worker(home: Home, host: Host) -> None:
    runs = [host.submit(name=name, params={"epochs": 1, "repeat": 25}) for name in "ab"]
    training(runs[0])
    first = home.kill("runner")
    until(lambda: home.processes("runner"), "the host starts another")
    assert set(home.processes("runner")) != set(first)
    for run in runs:
        home.reaches(run, "done")
    home.quiet()
    for run in runs:
        assert_whole(run)
        assert boots(run) == 1
        assert len(steps(run)) == 250
    assert journal(runs[1])[0].t >= journal(runs[0])[-1].t


def test_without_any_host_a_worker_that_outlived_its_runner_passes_the_turn(home: Home, host: Host) -> None:
    runs = [host.submit(name=name, params={"epochs": 1, "repeat": 25}) for name in "ab"]
    training(runs[0])
    host.process.kill()
    host.process.wait()
    home.kill("runner")
    for run in runs:
        home.reaches(run, "done")
    home.quiet()
    assert [boots(run) for run in runs] == [1, 1]


def test_runner_and_worker_killed_hold_the_queue_until_a_person_starts_it(home: Home, host: Host) -> None:
    runs = [host.submit(name=name, params={"epochs": 1, "repeat": 20}) for name in "abc"]
    training(runs[0])
    host.process.kill()
    host.process.wait()
    for pid in [*home.processes("runner"), *home.processes("worker")]:
        os.kill(pid, signal.SIGSTOP)  # so that neither sees the other die
    home.kill("runner")
    home.kill("worker")
    again = Host(home)
    until(lambda: [home.row(r).state for r in runs] == ["failed", "held", "held"], "the rest is held")
    assert not home.processes("runner")
    again.call("queue.start", run=runs[2].id)
    home.reaches(runs[2], "done")
    home.quiet()
    assert [home.row(r).state for r in runs] == ["failed", "held", "done"]
    assert_whole(runs[0])
    again.call("runs.resume", run=runs[0].id)
    home.reaches(runs[0], "done")
    assert sorted(set(steps(runs[0]))) == list(range(1, 201))
    again.close()


def test_everything_killed_at_once_again_and_again_ends_in_the_same_steps(home: Home, host: Host) -> None:
    run = host.submit(params={"epochs": 4, "repeat": 5})
    host.process.kill()
    for _ in range(3):
        seen = len(steps(run))
        until(lambda seen=seen: len(steps(run)) > seen + 55 or home.row(run).state == "done", "it gets somewhere")
        home.kill()
        again = Host(home)
        home.reaches(run, "failed", "done")
        if home.row(run).state == "failed":
            again.call("runs.resume", run=run.id)
        again.process.kill()
    home.reaches(run, "done")
    home.quiet()
    assert_whole(run)
    assert sorted(set(steps(run))) == list(range(1, 201))
    by_step: dict[int, set[float | None]] = {}
    for event in journal(run):
        if isinstance(event, events.Step):
            by_step.setdefault(event.step, set()).add(event.loss)
    assert all(len(losses) == 1 for losses in by_step.values())


def test_sigterm_is_a_stop_and_twice_is_stop_now(home: Home, host: Host) -> None:
    run = host.submit(params={"epochs": 1, "repeat": 100})
    training(run)
    (pid,) = home.processes("worker")
    os.kill(pid, signal.SIGTERM)
    row = home.reaches(run, "stopped")
    assert row.step > 0
    acks = [e for e in journal(run) if isinstance(e, events.Ack)]
    assert [(a.re, a.action, a.state) for a in acks] == [
        ("sigterm-1", "stop", "accepted"),
        ("sigterm-1", "stop", "done"),
    ]
    assert_whole(run)


def test_a_worker_that_was_asked_to_stop_has_not_failed(home: Home, host: Host) -> None:
    run = host.submit(params={"epochs": 1, "repeat": 100}, start=False)
    worker = home.start("worker", str(run.path))
    training(run)
    worker.terminate()
    assert worker.wait(60) == 0
    assert_whole(run)


def test_sighup_and_sigint_do_not_reach_a_worker(home: Home, host: Host) -> None:
    run = host.submit(params={"epochs": 1, "repeat": 30})
    training(run)
    (pid,) = home.processes("worker")
    os.kill(pid, signal.SIGHUP)
    os.kill(pid, signal.SIGINT)
    home.reaches(run, "done")
    assert boots(run) == 1


def test_a_worker_that_does_not_listen_is_ended_by_the_ladder(home: Home, host: Host) -> None:
    run = host.submit(params={"epochs": 1, "repeat": 200})
    training(run)
    (pid,) = home.processes("worker")
    os.kill(pid, signal.SIGSTOP)
    host.call("runs.control", run=run.id, action="stop_now")
    home.reaches(run, "stopped")
    assert pid not in home.processes("worker")
    until(lambda: isinstance(journal(run)[-1], events.Finished), "the runner closed the journal")
    assert not [e for e in journal(run) if isinstance(e, events.Error)]


def test_a_second_worker_on_a_run_leaves_at_once_and_harms_nothing(home: Home, host: Host) -> None:
    run = host.submit(params={"epochs": 1, "repeat": 30})
    training(run)
    second = home.start("worker", str(run.path), stderr=subprocess.PIPE)
    _, told = second.communicate(timeout=60)
    assert second.returncode == 4
    assert b"already held by process" in told
    home.reaches(run, "done")
    assert boots(run) == 1
    third = home.start("worker", str(run.path), stderr=subprocess.PIPE)
    _, told = third.communicate(timeout=60)
    assert b"already complete" in told
    assert boots(run) == 1


def test_a_second_runner_leaves_at_once(home: Home, host: Host) -> None:
    run = host.submit(params={"epochs": 1, "repeat": 30})
    training(run)
    assert home.start("runner").wait(60) == 0
    home.reaches(run, "done")
    assert boots(run) == 1


def test_one_bake_at_a_time_on_one_device(home: Home, host: Host) -> None:
    runs = [host.submit(name=name, params={"epochs": 1, "repeat": 5}) for name in "abc"]
    for run in runs:
        home.reaches(run, "done")
    spans = [(journal(run)[0].t, journal(run)[-1].t) for run in runs]
    assert all(end <= start for (_, end), (start, _) in itertools.pairwise(spans))


def test_a_worker_that_cannot_even_start_is_told_once(home: Home, host: Host) -> None:
    run = host.submit(start=False)
    run.job_toml.write_text("broken [")
    queue.change(run, "queued")
    assert launch.ensure_runner()
    until(lambda: journal(run) and isinstance(journal(run)[-1], events.Finished), "its failure is journaled")
    home.quiet()
    codes = [e.error.code for e in journal(run) if isinstance(e, events.Error)]
    assert codes == ["params_unreadable"]
