"""The Queue on the real engine: order, hold, start, cancel, resume, and the way to the Monitor."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from textual.widgets import Input

from lorabake_tui.widgets.rows import RowList
from tests.tui.fake_runs import fake, steady, stop_all


async def add(pilot: Any, until: Any, dataset: Path, *names: str, start: bool = True, epochs: int = 50) -> None:
    for name in names:
        row = await pilot.app.engine.call("runs.submit", fake(dataset, name, start=start, epochs=epochs))
        await until(pilot, lambda row=row: pilot.app.store.row(row.id))


def states(pilot: Any) -> dict[str, str]:
    return {row.name: row.state for row in pilot.app.store.runs}


def waiting(pilot: Any) -> list[str]:
    return [row.name for row in pilot.app.store.queue() if row.position]


def put_cursor(pilot: Any, name: str) -> None:
    section = pilot.app.screen
    section.query_one(RowList).go_to(next(n for n, row in enumerate(section._rows) if row.name == name))


async def test_without_jobs_it_says_which_key_to_press(app: Any, screen_text: Any) -> None:
    async with app(section="queue") as pilot:
        assert "No job is in the queue." in screen_text(pilot.app)
        assert "Set the parameters and start a bake." in screen_text(pilot.app)


@pytest.mark.parametrize("language", ["en", "zh_CN"])
@pytest.mark.parametrize("size", [(80, 24), (120, 36)])
async def test_jobs_that_are_over_and_that_wait(
    app: Any,
    until: Any,
    golden: Any,
    screen_text: Any,
    baked: Path,
    mira: Path,
    size: tuple[int, int],
    language: str,
) -> None:
    async with app(section="queue", size=size, language=language) as pilot:
        await add(pilot, until, mira, "second", "第三", start=False)
        await until(pilot, lambda: waiting(pilot) == ["second", "第三"])
        put_cursor(pilot, "second")
        await pilot.pause()
        golden(f"queue-{size[0]}x{size[1]}-{language}", steady(screen_text(pilot.app)))


async def test_opened_later_with_nothing_going_on_it_shows_what_there_is(
    app: Any, until: Any, screen_text: Any, baked: Path
) -> None:
    async with app(section="params") as pilot:
        await until(pilot, lambda: pilot.app.store.runs)
        await pilot.press("4")
        await until(pilot, lambda: "mira" in screen_text(pilot.app) and "done" in screen_text(pilot.app))


async def test_a_job_is_held_started_moved_cancelled_and_put_back(
    app: Any, until: Any, screen_text: Any, home: Path, mira: Path, rate: Any
) -> None:
    rate(30)
    async with app(section="queue", size=(120, 36)) as pilot:
        await add(pilot, until, mira, "first", "second", "third", "fourth")
        await until(
            pilot, lambda: states(pilot)["first"] == "running" and waiting(pilot) == ["second", "third", "fourth"]
        )
        put_cursor(pilot, "fourth")
        await pilot.press("K")
        await until(pilot, lambda: waiting(pilot) == ["second", "fourth", "third"])
        await pilot.press("K")
        await until(pilot, lambda: waiting(pilot) == ["fourth", "second", "third"])
        assert pilot.app.screen._row.name == "fourth"
        await pilot.press("J")
        await until(pilot, lambda: waiting(pilot) == ["second", "fourth", "third"])
        await pilot.press("w")
        await until(pilot, lambda: states(pilot)["fourth"] == "held")
        assert "Held; s lets it go." in screen_text(pilot.app)
        await pilot.press("t")
        await until(pilot, lambda: "Start when" in screen_text(pilot.app))
        await pilot.press(*"25:99", "enter")
        # What was refused stands in the field again, to be mended.
        await until(pilot, lambda: "25:99 is no time to start at." in screen_text(pilot.app))
        await until(pilot, lambda: isinstance(pilot.app.focused, Input) and pilot.app.focused.value == "25:99")
        await pilot.press("ctrl+u", *"0:00-23:59 pause", "enter")
        await until(pilot, lambda: "when 00:00-23:59 pause" in screen_text(pilot.app))
        await pilot.press("s")
        await until(pilot, lambda: states(pilot)["fourth"] == "queued")
        await pilot.press("x")
        await until(pilot, lambda: states(pilot)["fourth"] == "cancelled")
        await until(pilot, lambda: pilot.app.screen._row.name == "fourth")
        await pilot.press("r")
        await until(pilot, lambda: waiting(pilot) == ["second", "third", "fourth"])
        put_cursor(pilot, "first")
        await pilot.pause()
        assert "x Stop" in screen_text(pilot.app)
        await pilot.press("x")
        await until(pilot, lambda: states(pilot)["first"] == "stopped" and states(pilot)["second"] == "running")
        await stop_all(pilot.app)


async def test_what_does_not_fit_a_job_is_told(app: Any, until: Any, screen_text: Any, baked: Path) -> None:
    async with app(section="queue", size=(120, 36)) as pilot:
        await until(pilot, lambda: states(pilot) == {"mira": "done"})
        for key, told in [
            ("w", "Only a waiting job can be held."),
            ("s", "mira is not held."),
            ("K", "Only a waiting job can be moved."),
            ("x", "mira is over already."),
            ("r", "mira has nothing to go on with."),
        ]:
            await pilot.press(key)
            await until(pilot, lambda told=told: told in screen_text(pilot.app))
        assert states(pilot) == {"mira": "done"}
        assert "d Duplicate" in screen_text(pilot.app)


async def test_enter_opens_the_monitor_of_the_job(app: Any, until: Any, baked: Path, mira: Path) -> None:
    async with app(section="queue") as pilot:
        await add(pilot, until, mira, "held", start=False)
        await until(pilot, lambda: "held" in states(pilot))
        for name in ("mira", "held"):
            put_cursor(pilot, name)
            await pilot.press("enter")
            await until(pilot, lambda: getattr(pilot.app.screen, "SECTION", "") == "monitor")
            await until(pilot, lambda name=name: (row := pilot.app.screen.row) is not None and row.name == name)
            await pilot.press("4")
            await until(pilot, lambda: pilot.app.screen.SECTION == "queue")
