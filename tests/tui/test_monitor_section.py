"""The Monitor on real runs of the scripted worker: live, steered, finished, failed, found again."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import pytest

from engine.protocol.files import lock_holder
from engine.protocol.records import RunRow
from lorabake_tui.store import RunFold
from lorabake_tui.widgets.chart import Chart
from lorabake_tui.widgets.picture import FullPicture
from lorabake_tui.widgets.previews import Previews
from tests.tui.fake_runs import STEPS, fake, steady, stop_all

SIZES = [(80, 24), (120, 36)]


def painted(pilot: Any) -> bool:
    screen = pilot.app.screen
    if not getattr(screen, "run_shown", ""):
        return False
    return bool(screen.query_one(Chart).settled and screen.query_one(Previews).painted and screen.view.finished)


@pytest.mark.parametrize("language", ["en", "zh_CN"])
@pytest.mark.parametrize("size", SIZES)
async def test_a_finished_run(
    app: Any, until: Any, golden: Any, screen_text: Any, baked: Path, size: tuple[int, int], language: str
) -> None:
    async with app(size=size, section="monitor", language=language) as pilot:
        # The line of the device is drawn some time after its figures have come.
        await until(pilot, lambda: painted(pilot) and "CPU" in screen_text(pilot.app))
        pilot.app.screen._draw_curves()
        await until(pilot, lambda: painted(pilot))
        golden(f"monitor-{size[0]}x{size[1]}-{language}", steady(screen_text(pilot.app)))


async def test_without_runs_it_says_which_key_to_press(app: Any, until: Any, screen_text: Any) -> None:
    async with app(section="monitor") as pilot:
        text = screen_text(pilot.app)
        assert "Nothing has been baked yet." in text
        assert "Set the parameters and start a bake." in text


async def test_it_shows_what_the_journal_says(app: Any, until: Any, baked: Path) -> None:
    async with app(section="monitor") as pilot:
        await until(pilot, lambda: painted(pilot))
        view = pilot.app.screen.view
        (journal,) = baked.glob("runs/*/events.jsonl")
        fold = RunFold(view.run)
        fold.add_lines(journal.read_bytes().split(b"\n"))
        read = fold.view()
        assert list(view.series.loss) == list(read.series.loss)
        assert len(view.series) == STEPS
        for fact in ("seq", "state", "plan", "previews", "epochs", "log", "finished"):
            assert getattr(view, fact) == getattr(read, fact)


async def submitted(pilot: Any, until: Any, dataset: Path, name: str, **more: Any) -> RunRow:
    row: RunRow = await pilot.app.engine.call("runs.submit", fake(dataset, name, **more))
    await until(pilot, lambda: pilot.app.store.row(row.id))
    return row


async def test_a_live_run_is_followed_and_steered(
    app: Any, until: Any, screen_text: Any, home: Path, mira: Path, rate: Any
) -> None:
    rate(40)
    async with app(section="monitor", size=(120, 36)) as pilot:
        screen = pilot.app.screen
        await submitted(pilot, until, mira, "live", epochs=50)
        await until(pilot, lambda: screen.state == "running" and screen.view.step > 3)
        await pilot.press("w")
        await until(pilot, lambda: "state saved" in screen_text(pilot.app))
        await pilot.press("v")
        await until(pilot, lambda: "previews drawn" in screen_text(pilot.app))
        await pilot.press("p")
        await until(pilot, lambda: screen.state == "paused")
        still = screen.view.step
        await until(pilot, lambda: "‖ paused" in screen_text(pilot.app))
        assert "r Resume" in screen_text(pilot.app)
        await pilot.press("e")
        await until(pilot, lambda: "Change this bake" in screen_text(pilot.app))
        await pilot.press("ctrl+u", *"unet_lr=2e-5", "enter")
        await until(pilot, lambda: "it counts when the bake goes on" in screen_text(pilot.app))
        await pilot.press("r")
        await until(pilot, lambda: screen.state == "running" and screen.view.step > still)
        await pilot.press("e")
        await until(pilot, lambda: "unet_lr=2e-05 epochs=50" in screen_text(pilot.app))
        await pilot.press("escape")
        await until(pilot, lambda: pilot.app.screen is screen)
        await pilot.press("s")
        await until(pilot, lambda: screen.state == "stopped")
        stopped_at = screen.view.step
        await until(pilot, lambda: f"Stopped after step {stopped_at}; r goes on from there." in screen_text(pilot.app))
        await pilot.press("r")
        await until(pilot, lambda: len(screen.view.marks) > 3 and screen.view.step > stopped_at)
        assert list(screen.view.series.steps) == list(range(1, len(screen.view.series) + 1))
        await pilot.press("S")
        await until(pilot, lambda: screen.state == "stopped")
        await stop_all(pilot.app)


async def test_two_viewers_follow_the_same_run(app: Any, until: Any, home: Path, mira: Path, rate: Any) -> None:
    rate(60)
    async with app(section="monitor") as one:
        await submitted(one, until, mira, "shared", epochs=50)
        await until(one, lambda: one.app.screen.run_shown and one.app.screen.view.step > 5)
        async with app(section="monitor") as two:
            await until(two, lambda: two.app.screen.run_shown and two.app.screen.view.step > 10)
            await two.press("s")
            await until(two, lambda: two.app.screen.state == "stopped")
            await until(one, lambda: one.app.screen.state == "stopped")
            assert list(one.app.screen.view.series.loss) == list(two.app.screen.view.series.loss)


async def test_a_killed_worker_is_told_and_can_go_on(
    app: Any, until: Any, screen_text: Any, home: Path, mira: Path, rate: Any
) -> None:
    rate(60)
    async with app(section="monitor", size=(120, 36)) as pilot:
        screen = pilot.app.screen
        row = await submitted(pilot, until, mira, "victim", epochs=50)
        await until(pilot, lambda: screen.run_shown and screen.view.step > 25)
        holder = lock_holder(Path(row.dir) / "lock")
        assert holder is not None
        os.kill(holder, signal.SIGKILL)
        await until(pilot, lambda: screen.state == "failed")
        # The line of the state is there before there is room for the sentence.
        await until(pilot, lambda: "ended without a word" in screen_text(pilot.app))
        assert "✗ failed" in screen_text(pilot.app)
        assert "lorabake resume" in screen_text(pilot.app)
        await pilot.press("r")
        await until(pilot, lambda: screen.state == "running" and screen.view.marks and screen.view.step > 20)
        steps = list(screen.view.series.steps)
        assert steps == list(range(1, len(steps) + 1))
        await stop_all(pilot.app)


async def test_runs_are_walked_and_the_choice_stays(
    app: Any, until: Any, screen_text: Any, baked: Path, mira: Path, rate: Any
) -> None:
    rate(2000)
    async with app(section="monitor") as pilot:
        screen = pilot.app.screen
        await until(pilot, lambda: painted(pilot))
        first = screen.run_shown
        row = await submitted(pilot, until, mira, "second")
        await until(pilot, lambda: screen.run_shown == row.id and screen.state == "done")
        await pilot.press("left_square_bracket")
        await until(pilot, lambda: screen.run_shown == first and screen.view.finished)
        await pilot.press("6", "5")
        await until(pilot, lambda: pilot.app.screen is screen)
        assert screen.run_shown == first
        await pilot.press("right_square_bracket")
        await until(pilot, lambda: screen.run_shown == row.id)
        assert "─ second ─" in screen_text(pilot.app)


async def test_the_curve_is_drawn_as_the_keys_say(app: Any, until: Any, screen_text: Any, baked: Path) -> None:
    async with app(section="monitor", size=(120, 36)) as pilot:
        await until(pilot, lambda: painted(pilot))
        for key, title in [
            ("y", "Loss · log scale"),
            ("m", "Loss · smoothed strongly · log scale"),
            ("z", "last half"),
            ("c", "Learning rate"),
        ]:
            await pilot.press(key)
            await until(pilot, lambda: painted(pilot))
            assert title in screen_text(pilot.app)
        await pilot.press("H", "H")
        await until(pilot, lambda: painted(pilot) and "Learning rate unet" in screen_text(pilot.app))
        assert "step 21, epoch 2" in screen_text(pilot.app)
        assert "epoch 1 #1" in screen_text(pilot.app)
        assert "epoch 3 #1" not in screen_text(pilot.app)
        await pilot.press("escape")
        await until(pilot, lambda: painted(pilot) and "epoch 3 #1" in screen_text(pilot.app))
        await pilot.press("l")
        await until(pilot, lambda: "Learning rate" not in screen_text(pilot.app))
        assert "mira-e03.safetensors" in screen_text(pilot.app)


async def test_the_previews_full_screen(app: Any, until: Any, screen_text: Any, baked: Path) -> None:
    async with app(section="monitor") as pilot:
        await until(pilot, lambda: painted(pilot))
        await pilot.press("o")
        await until(pilot, lambda: isinstance(pilot.app.screen, FullPicture) and "epoch 3 #1" in screen_text(pilot.app))
        await pilot.press("right", "up", "up", "up", "up")
        await until(pilot, lambda: "baseline #2" in screen_text(pilot.app))
        await pilot.press("escape")
        await until(pilot, lambda: not isinstance(pilot.app.screen, FullPicture))
