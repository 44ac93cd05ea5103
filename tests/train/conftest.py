"""A tiny base, a small dataset, and real bakes on them: in this process, or in one that is killed."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from engine.protocol import fields
from engine.protocol.control import ControlReader, send
from engine.protocol.events import Event, Step
from engine.protocol.journal import JournalReader, JournalWriter
from engine.protocol.records import Job
from engine.runs.folder import RunFolder
from tests.tiny import tiny_base, tiny_dataset

if TYPE_CHECKING:
    from engine.train.control import Control
    from engine.train.setup import Setup

QUICK = {
    "resolution": 32,
    "repeat": 2,
    "epochs": 2,
    "network_dim": 4,
    "network_alpha": 2.0,
    "unet_lr": 1e-2,
    "text_encoder_lr": 1e-2,
    "preview_every_epochs": 0,
    "preview_steps": 2,
}

Hook = Callable[[RunFolder, Event], None]


class Watched(JournalWriter):
    """The run's journal, with a look at every event just after it is written."""

    def __init__(self, run: RunFolder, hook: Hook) -> None:
        super().__init__(run.journal, run.id)
        self._folder, self._hook = run, hook

    def emit(self, kind: Any, /, **values: object) -> Any:
        event = super().emit(kind, **values)
        self._hook(self._folder, event)
        return event


@dataclass
class Kitchen:
    """Submits bakes to a home of its own and runs them."""

    home: Path
    base: Path
    dataset: Path
    runs: dict[str, RunFolder] = field(default_factory=dict)

    def submit(self, name: str, *, reg: str = "", out: str = "", **params: Any) -> RunFolder:
        run = RunFolder(self.home / "runs" / name)
        run.path.mkdir(parents=True)
        job = Job(
            id=name,
            kind="bake",
            name="tiny",
            created=1_700_000_000.0,
            dataset=str(self.dataset),
            reg=reg,
            base=str(self.base),
            out=out,
            params=fields.build(QUICK, params),
        )
        run.write_job(job)
        return run

    def bake(self, run: RunFolder, hook: Hook = lambda run, event: None) -> list[Event]:
        """One boot of a bake in this process, as the worker does it; returns the whole journal so far."""
        from engine.train.loop import bake

        journal = Watched(run, hook)
        size = run.control.stat().st_size if run.control.exists() else 0
        try:
            bake(run, run.read_job(), journal, ControlReader(run.control, offset=size))
        finally:
            journal.close()
        return self.events(run)

    def bake_and_die(self, run: RunFolder, when: Callable[[Event], bool]) -> bool:
        """A boot in a process that SIGKILLs itself right after the event that `when` picks; False if it finished."""
        pid = os.fork()
        if pid == 0:
            status = 1
            try:
                self.bake(run, lambda _, event: os.kill(os.getpid(), signal.SIGKILL) if when(event) else None)
                status = 0
            finally:
                os._exit(status)
        _, status = os.waitpid(pid, 0)
        if os.WIFSIGNALED(status):
            return os.WTERMSIG(status) == signal.SIGKILL
        assert os.WEXITSTATUS(status) == 0
        return False

    @staticmethod
    def events(run: RunFolder) -> list[Event]:
        return JournalReader(run.journal).read_all()


def losses(events: list[Event]) -> dict[int, float | None]:
    """Loss by step, the last word counts."""
    return {event.step: event.loss for event in events if isinstance(event, Step)}


def at_step(step: int, action: Any) -> Hook:
    """Asks for `action` through the control file once step `step` is journaled for the first time."""
    asked = False

    def hook(run: RunFolder, event: Event) -> None:
        nonlocal asked
        if isinstance(event, Step) and event.step == step and not asked:
            asked = True
            send(run.control, action)

    return hook


def prepared(kitchen: Kitchen, name: str, **params: Any) -> tuple[Setup, Control]:
    """A bake that is ready for its first step, and what it is asked."""
    from engine.train.control import Control
    from engine.train.faults import Stage
    from engine.train.setup import prepare
    from engine.train.space import Space

    run = kitchen.submit(name, **params)
    journal = JournalWriter(run.journal, run.id)
    requests = Control(ControlReader(run.control), journal)
    with Space(run, journal, requests) as space:
        return prepare(run, run.read_job(), journal, requests, Stage(journal), space), requests


def wait_for(condition: Callable[[], bool], seconds: float = 120.0) -> None:
    """Return as soon as `condition` holds; fail after `seconds`."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.01)


@pytest.fixture(scope="session")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_base(tmp_path_factory.mktemp("base") / "tiny", lean=True)


Straight = Callable[..., RunFolder]


@pytest.fixture(scope="session")
def straight(base: Path, tmp_path_factory: pytest.TempPathFactory) -> Straight:
    """`straight(**params)`: a bake of the kitchen's pictures that nobody disturbed, of each settings one for all tests.

    Where a home and its dataset lie changes no number, so any bake can be held against it.
    """
    folder = tmp_path_factory.mktemp("straight")
    shop = Kitchen(folder / "home", base, tiny_dataset(folder / "dataset"))
    baked: dict[str, RunFolder] = {}

    def bake(**params: Any) -> RunFolder:
        key = repr(sorted(params.items()))
        if key not in baked:
            with pytest.MonkeyPatch.context() as patch:
                patch.setenv("LORABAKE_HOME", str(shop.home))
                patch.setenv("OMP_NUM_THREADS", "1")
                run = shop.submit(f"straight-{len(baked)}", **params)
                shop.bake(run)
            baked[key] = run
        return baked[key]

    return bake


@pytest.fixture
def kitchen(base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Kitchen:
    monkeypatch.setenv("LORABAKE_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    return Kitchen(tmp_path / "home", base, tiny_dataset(tmp_path / "dataset"))
