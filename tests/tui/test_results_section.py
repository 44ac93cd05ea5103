"""The Results on a real run: epochs as rows, previews as columns, place kept, paths told."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from lorabake_tui.widgets.contact import ContactSheet
from lorabake_tui.widgets.picture import FullPicture
from tests.tui.fake_runs import fake, steady


def painted(pilot: Any) -> bool:
    screen = pilot.app.screen
    return bool(getattr(screen, "_epochs", None) and screen.query_one(ContactSheet).painted)


async def test_without_runs_it_says_which_key_to_press(app: Any, screen_text: Any) -> None:
    async with app(section="results") as pilot:
        assert "Nothing has been baked yet." in screen_text(pilot.app)


@pytest.mark.parametrize("language", ["en", "zh_CN"])
@pytest.mark.parametrize("size", [(80, 24), (120, 36)])
async def test_the_epochs_of_a_run(
    app: Any, until: Any, golden: Any, screen_text: Any, baked: Path, size: tuple[int, int], language: str
) -> None:
    async with app(section="results", size=size, language=language) as pilot:
        await until(pilot, lambda: painted(pilot))
        await pilot.press("j", "j", "l")
        await until(pilot, lambda: painted(pilot))
        golden(f"results-{size[0]}x{size[1]}-{language}", steady(screen_text(pilot.app)))


async def test_walking_keeps_the_place(app: Any, until: Any, screen_text: Any, baked: Path) -> None:
    async with app(section="results", size=(120, 36)) as pilot:
        screen = pilot.app.screen
        await until(pilot, lambda: painted(pilot))
        assert screen.epoch == 0
        await pilot.press("j", "j", "l", "l", "l", "l", "l")
        await until(pilot, lambda: painted(pilot) and "▸epoch 2 #4" in screen_text(pilot.app))
        await pilot.press("4", "6")
        await until(pilot, lambda: pilot.app.screen is screen and "▸epoch 2 #4" in screen_text(pilot.app))
        await pilot.press("h", "k")
        await until(pilot, lambda: "▸epoch 1 #3" in screen_text(pilot.app))
        assert "baseline #3" in screen_text(pilot.app)


async def test_the_path_of_an_epoch_is_copied(app: Any, until: Any, screen_text: Any, baked: Path) -> None:
    async with app(section="results", size=(160, 36)) as pilot:
        await until(pilot, lambda: painted(pilot))
        await pilot.press("y")
        await until(pilot, lambda: "The baseline has no file." in screen_text(pilot.app))
        await pilot.press("j", "y")
        await until(pilot, lambda: pilot.app.clipboard)
        path = Path(pilot.app.clipboard)
        assert path.is_file()
        assert path.name == "mira-e01.safetensors"


async def test_full_size_and_back_to_the_place_walked_to(app: Any, until: Any, screen_text: Any, baked: Path) -> None:
    async with app(section="results", size=(120, 36)) as pilot:
        screen = pilot.app.screen
        await until(pilot, lambda: painted(pilot))
        await pilot.press("j", "enter")
        await until(pilot, lambda: isinstance(pilot.app.screen, FullPicture) and "epoch 1 #1" in screen_text(pilot.app))
        await pilot.press("j", "l", "l")
        await until(pilot, lambda: "epoch 2 #3" in screen_text(pilot.app))
        await pilot.press("escape")
        await until(pilot, lambda: pilot.app.screen is screen and screen.epoch == 2)
        assert "▸epoch 2 #3" in screen_text(pilot.app)


async def test_runs_are_walked(app: Any, until: Any, screen_text: Any, baked: Path, mira: Path, rate: Any) -> None:
    rate(2000)
    async with app(section="results", size=(120, 36)) as pilot:
        screen = pilot.app.screen
        await until(pilot, lambda: painted(pilot))
        row = await pilot.app.engine.call("runs.submit", fake(mira, "second", epochs=2))
        await until(pilot, lambda: (other := pilot.app.store.row(row.id)) and other.state == "done")
        await pilot.press("right_square_bracket")
        await until(pilot, lambda: screen.run_shown == row.id and painted(pilot))
        assert screen._epochs == [0, 1, 2]
        await pilot.press("right_square_bracket")
        await until(pilot, lambda: "This is the newest run." in screen_text(pilot.app))
        await pilot.press("left_square_bracket")
        await until(pilot, lambda: screen.run_shown != row.id and screen._epochs == [0, 1, 2, 3])
