"""A bake outlives the apps that show it, killed or hung up; then the Monitor of others has it all."""

from __future__ import annotations

import json
import os
import re
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from engine.demo import paths
from engine.protocol.events import Checkpoint, Finished, Preview, Step
from engine.protocol.journal import JournalReader
from tests.e2e.terminal import Terminal, until

pytestmark = pytest.mark.timeout(900)  # on a machine with other work, starting torch alone can take a minute

APP = [sys.executable, "-m", "lorabake_tui"]
REPEAT, EPOCHS = 1, 3


@pytest.fixture
def env(tmp_path: Path) -> dict[str, str]:
    """The environment of a person with an empty home, speaking English."""
    return {
        **{name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ},
        "LORABAKE_HOME": str(tmp_path / "home"),
        "LORABAKE_LANG": "en",
        "LANG": "C.UTF-8",
        "OMP_NUM_THREADS": "1",
        "PYTHONPATH": str(Path(__file__).parents[2]),
    }


def _start_bake(terminal: Terminal) -> None:
    """From the opened sample dataset to a running bake of `EPOCHS` epochs, by keys alone."""
    terminal.wait_for("20 images", seconds=120)
    terminal.press("3")
    terminal.wait_for("Optimizer steps", "200")
    terminal.press("/", "repeat", "enter", "e", "\x15", str(REPEAT), "enter")
    terminal.press("/", "epochs", "enter", "e", "\x15", str(EPOCHS), "enter")
    views = re.compile(rf"Image views\s+{20 * REPEAT * EPOCHS}\b")
    until(lambda: views.search(terminal.text), "the estimate is of the new parameters")
    terminal.press("s")
    terminal.wait_for("step ", "Loss", seconds=240)


def _run(env: dict[str, str]) -> Path:
    runs = Path(env["LORABAKE_HOME"], "runs")
    until(lambda: runs.is_dir() and any(runs.iterdir()), "a run's folder appears")
    (run,) = (child for child in runs.iterdir() if child.is_dir())
    return run


def _events(run: Path) -> list:
    return JournalReader(run / "events.jsonl").read_all()


def _finished(run: Path) -> Callable[[], bool]:
    return lambda: any(isinstance(event, Finished) for event in _events(run))


def _stepped(run: Path) -> Callable[[], bool]:
    return lambda: any(isinstance(event, Step) for event in _events(run))


def _assert_complete(run: Path) -> None:
    events = _events(run)
    assert [event.seq for event in events] == list(range(1, len(events) + 1))
    assert isinstance(events[-1], Finished)
    assert events[-1].reason == "done"
    steps = [event.step for event in events if isinstance(event, Step)]
    assert steps == list(range(1, len(steps) + 1))
    epochs = [event.epoch for event in events if isinstance(event, Checkpoint) and event.kind == "epoch"]
    assert epochs == list(range(1, EPOCHS + 1))
    assert sum(isinstance(event, Preview) for event in events) == 4 * (EPOCHS + 1)
    assert json.loads((run / "manifest.json").read_bytes())


def _host_of(app: int) -> int:
    """The process id of the engine host that an app started."""
    children = Path(f"/proc/{app}/task/{app}/children").read_text().split()
    hosts = [pid for pid in children if b"host" in Path(f"/proc/{pid}/cmdline").read_bytes()]
    return int(hosts[0])


def test_a_bake_outlives_killed_and_hung_up_apps_and_two_others_have_it_all(env: dict[str, str]) -> None:
    with Terminal([*APP, str(paths.DATASET)], env) as starter:
        _start_bake(starter)
        run = _run(env)
        until(_stepped(run), "the first step", 240)
        host = _host_of(starter.pid)
        starter.kill()
        os.kill(host, signal.SIGKILL)
    assert not _finished(run)()
    with Terminal([*APP], env, 80, 24) as follower:
        follower.press("5")
        follower.wait_for("step ", "Loss", seconds=120)
        follower.hang_up()
    assert not _finished(run)(), "it goes on, whoever leaves"
    with Terminal([*APP], env) as first, Terminal([*APP], env, 80, 24) as second:
        for terminal in (first, second):
            terminal.press("5")
        for terminal in (first, second):
            terminal.wait_for("done", f"epoch {EPOCHS}/{EPOCHS}", seconds=400)
        first.wait_for("100 %", f"epoch {EPOCHS} #1")
        assert all(f"epoch {epoch}: " in first.text for epoch in range(1, EPOCHS + 1))
        first.press("ctrl+q")
        assert first.wait() == 0
    _assert_complete(run)
