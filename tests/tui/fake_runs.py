"""Scripted bakes for tests of the terminal: one finished run to copy, and submitting more from a running app."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from engine.protocol.messages import RunParams, Submit
from engine.protocol.records import LIVE_STATES, WAITING_STATES, RunRow

EPOCHS, STEPS = 3, 60


def image_folder(folder: Path) -> Path:
    """Ten small pictures with captions."""
    from PIL import Image

    folder.mkdir()
    for number in range(10):
        Image.new("RGB", (64, 64), (20 * number, 90, 160)).save(folder / f"{number:02}.png")
        (folder / f"{number:02}.txt").write_text("mira, solo")
    return folder


def fake(dataset: Path, name: str, *, epochs: int = EPOCHS, start: bool = True, **params: Any) -> Submit:
    """A scripted bake of 20 steps an epoch."""
    chosen = {"epochs": epochs, "repeat": 2, **params}
    return Submit(kind="fake", dataset=str(dataset), name=name, params=chosen, start=start)


@pytest.fixture(scope="session")
def _baked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with one finished scripted bake named mira."""
    base = tmp_path_factory.mktemp("baked")
    dataset = image_folder(base / "mira")
    asyncio.run(_bake(base / "home", fake(dataset, "mira")))
    return base / "home"


async def _bake(home: Path, job: Submit) -> None:
    from lorabake_tui.client import EngineClient

    before = {name: os.environ.get(name) for name in ("LORABAKE_HOME", "LORABAKE_FAKE_RATE")}
    os.environ.update(LORABAKE_HOME=str(home), LORABAKE_FAKE_RATE="2000")
    try:
        async with EngineClient() as client:
            row = await client.call("runs.submit", job)
            while row.state in LIVE_STATES | WAITING_STATES:
                await asyncio.sleep(0.02)
                rows: list[RunRow] = await client.call("runs.list")
                row = next(other for other in rows if other.id == row.id)
        assert row.state == "done", row
    finally:
        for name, value in before.items():
            os.environ.pop(name, None) if value is None else os.environ.__setitem__(name, value)


@pytest.fixture
def baked(_baked: Path, home: Path) -> Path:
    """The home of the test, with a finished bake of its own."""
    shutil.copytree(_baked, home)
    return home


@pytest.fixture
def mira(tmp_path: Path) -> Path:
    """A dataset to submit bakes of."""
    return image_folder(tmp_path / "mira-images")


@pytest.fixture
def rate(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """`rate(steps_per_second)` for bakes submitted from then on."""
    return lambda steps: monkeypatch.setenv("LORABAKE_FAKE_RATE", str(steps))


async def stop_all(app: Any) -> None:
    """End what still runs or waits, so that no process outlives its test."""
    for row in await app.engine.call("runs.list"):
        if row.state in WAITING_STATES:
            await app.engine.call("queue.cancel", RunParams(run=row.id))
    for row in await app.engine.call("runs.list"):
        if row.state in LIVE_STATES:
            from engine.protocol.messages import ControlParams

            await app.engine.call("runs.control", ControlParams(run=row.id, action="stop_now"))
    while any(row.state in LIVE_STATES for row in await app.engine.call("runs.list")):
        await asyncio.sleep(0.02)


_CHANGING = re.compile(
    r"\d\d:\d\d:\d\d|\d\d-\d\d \d\d:\d\d|(?<=spent )\d+s|(?<=已用 )\d+s|CPU +\d+ %|\d+\.\d/\d+\.\d GB|\d+\.\d [GT]B"
    r"|\d{8}-\d{4}-|\.\.\./|/[\w./…-]*/(?=epochs)"
)


def steady(text: str) -> str:
    """The screen with times, machine figures and folders that differ between runs replaced sign by sign."""
    lines = []
    for line in text.split("\n"):
        if "CPU" in line and "GB" in line:
            line = " #"
        lines.append(_CHANGING.sub(lambda match: "#" * len(match[0]), line))
    return "\n".join(lines)
