"""One real bake of three epochs on a tiny base, shared by all tests of results; each module gets a copy of its home."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from engine.protocol.drawing import Drawn, DrawParams
from engine.runs.folder import RunFolder
from tests.tiny import tiny_base, tiny_dataset
from tests.train.conftest import Kitchen


@dataclass
class Bench:
    """A home with a finished bake in it."""

    home: Path
    run: RunFolder

    def draw(self, *asked: DrawParams) -> list[Drawn]:
        """Have tests drawn by the worker's own code, in this process; returns what is kept of them."""
        from engine.drawing import history, session
        from engine.drawing.request import prepare
        from engine.drawing.submit import _append, _new_session
        from engine.protocol.control import ControlReader
        from engine.protocol.journal import JournalWriter

        ready = [prepare(one, 1_700_000_000.0) for one in asked]
        run = _new_session(ready[0].base, "auto")
        drawn = [history.create(one.drawn) for one in ready]
        for one in drawn:
            _append(run, one.id)
        journal = JournalWriter(run.journal, run.id)
        try:
            session.serve(run, run.read_job(), journal, ControlReader(run.control))
        finally:
            journal.close()
        return [history.load(one.id) for one in drawn]


@pytest.fixture(scope="session")
def baked_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("baked")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LORABAKE_HOME", str(folder / "home"))
        patch.setenv("OMP_NUM_THREADS", "1")
        kitchen = Kitchen(folder / "home", tiny_base(folder / "tiny", lean=True), tiny_dataset(folder / "dataset"))
        run = kitchen.submit("20260101-0000-tiny", epochs=3, repeat=1, conv_dim=2, preview_every_epochs=1)
        assert kitchen.bake(run)[-1].reason == "done"  # type: ignore[attr-defined]
    return folder / "home"


@pytest.fixture
def bench(baked_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    """A home of the test's own with the bake in it; nothing leaves this machine, no worker starts."""
    home = tmp_path / "home"
    shutil.copytree(baked_home, home)
    settings: dict[str, Any] = {
        "LORABAKE_HOME": str(home),
        "LORABAKE_TEST_IDLE": "0",
        "OMP_NUM_THREADS": "1",
        "HF_HOME": str(tmp_path / "hf"),
        "HF_HUB_DISABLE_XET": "1",
    }
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    return Bench(home, RunFolder(home / "runs" / "20260101-0000-tiny"))
