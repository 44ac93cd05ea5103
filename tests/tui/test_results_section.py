"""The Results on a real run: epochs as rows, previews as columns, place kept, paths told."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from engine.protocol.drawing import DrawParams
from engine.protocol.messages import ControlParams
from lorabake_tui.dialogs.path import PathPrompt
from lorabake_tui.dialogs.publishing import PublishSheet
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
        await until(pilot, lambda: pilot.app.screen.epoch == 2 and painted(pilot))
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
        # A closer look, and the place of it, stay while one walks on.
        await pilot.press("z", "L", "h")
        await until(pilot, lambda: "2× epoch 2 #2" in screen_text(pilot.app))
        item = pilot.app.screen._view.item
        assert (item.zoom, item.at) == (2, (0.75, 0.5))
        await pilot.press("l")
        await until(pilot, lambda: "2× epoch 2 #3" in screen_text(pilot.app))
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
        # `painted` may still be of the run before: its epochs are others.
        await until(pilot, lambda: screen.run_shown == row.id and screen._epochs == [0, 1, 2] and painted(pilot))
        await pilot.press("right_square_bracket")
        await until(pilot, lambda: "This is the newest run." in screen_text(pilot.app))
        await pilot.press("left_square_bracket")
        await until(pilot, lambda: screen.run_shown != row.id and screen._epochs == [0, 1, 2, 3])


async def test_an_epoch_is_published_by_the_keys_on_screen(
    app: Any, until: Any, screen_text: Any, baked: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "a folder of loras"
    out.mkdir()
    monkeypatch.chdir(tmp_path)
    async with app(section="results", size=(80, 24)) as pilot:
        await until(pilot, lambda: painted(pilot))
        await pilot.press("j", "j", "p")
        await until(pilot, lambda: "Publish · epoch 2" in screen_text(pilot.app))
        # A folder is typed in part and completed.
        await pilot.press("down", *"a fo", "tab")
        await until(pilot, lambda: isinstance(pilot.app.screen, PathPrompt) and "of loras/" in screen_text(pilot.app))
        await pilot.press("tab", "enter")
        await until(pilot, lambda: isinstance(pilot.app.screen, PublishSheet))
        await pilot.press("down", *["backspace"] * 4, *"lena", "enter")
        await until(pilot, lambda: "1 file to" in screen_text(pilot.app))
        assert not list(out.iterdir())
        await pilot.press("y")
        await until(pilot, (out / "lena.safetensors").exists)
        await until(pilot, lambda: "↑epoch 2" in screen_text(pilot.app))


async def test_a_run_is_baked_again_with_a_changed_rate(app: Any, until: Any, screen_text: Any, baked: Path) -> None:
    async with app(section="results", size=(80, 24)) as pilot:
        await until(pilot, lambda: painted(pilot))
        bench, run = pilot.app, pilot.app.screen.run_shown
        await pilot.press("r")
        await until(pilot, lambda: bench.current_mode == "params" and bench.opened.complete)
        assert (bench.draft.parent, bench.draft.value("epochs")) == (run, 3)
        await until(pilot, lambda: "repeat" in bench.draft.values())
        await pilot.press("slash", *"unet", "enter", "e", *["backspace"] * 8, *"0.001", "enter")
        await until(pilot, lambda: bench.draft.value("unet_lr") == 0.001)
        assert bench.draft.submit("x").parent == run


async def test_a_recipe_file_is_baked_by(app: Any, until: Any, screen_text: Any, baked: Path, tmp_path: Path) -> None:
    recipe = tmp_path / "recipe.toml"
    recipe.write_text('[recipe]\nname = "lena"\nbase = "nobody.safetensors"\n[params]\nepochs = 7\nunet_lr = 2e-5\n')
    async with app(section="results", size=(80, 24)) as pilot:
        await until(pilot, lambda: painted(pilot))
        bench = pilot.app
        await pilot.press("R")
        await until(pilot, lambda: isinstance(bench.screen, PathPrompt))
        bench.screen.query_one("Input").value = str(recipe)
        await pilot.press("enter")
        await until(pilot, lambda: bench.current_mode == "params" and "nobody.safetensors" in screen_text(bench))
        draft = bench.draft
        assert (draft.name, draft.base, draft.parent) == ("lena", "demo", "")
        assert (draft.value("epochs"), draft.value("unet_lr")) == (7, 2e-5)


async def test_a_test_that_waits_says_for_whom_and_is_taken_back(
    app: Any, until: Any, screen_text: Any, baked: Path, mira: Path, rate: Any
) -> None:
    rate(20)
    async with app(section="results", size=(80, 24)) as pilot:
        await until(pilot, lambda: painted(pilot))
        engine, store = pilot.app.engine, pilot.app.store
        bake = await engine.call("runs.submit", fake(mira, "second", epochs=900))
        await until(pilot, lambda: (row := store.row(bake.id)) and row.state == "running")
        drawn = await engine.call("draw.submit", DrawParams(base="demo", prompt="nekomizu"))
        await pilot.press("T")
        await until(pilot, lambda: "second has the device" in screen_text(pilot.app))
        assert "b Draw now  p Pause" in screen_text(pilot.app)
        await pilot.press("s")
        await until(pilot, lambda: f"The test {drawn.id} was stopped." in screen_text(pilot.app))
        await engine.call("runs.control", ControlParams(run=bake.id, action="stop_now"))
        await until(pilot, lambda: (row := store.row(bake.id)) and row.state == "stopped")


async def test_tests_are_looked_at_and_their_command_is_copied(
    app: Any, until: Any, screen_text: Any, baked: Path
) -> None:
    from PIL import Image

    from engine.drawing import history
    from engine.protocol.drawing import Drawn, LoraUse, Shot

    lora = LoraUse(path="/x/mira-e02.safetensors", weight=0.8, name="mira-e02")
    shots = [Shot(prompt="mira, smile", width=64, height=64, seed=seed, loras=[lora]) for seed in (7, 8)]
    drawn = Drawn(id="", created=1.0, run="", base="demo", dir="", shots=shots, source="mira", epoch=2)
    grid = {"rows": ["epoch 1", "epoch 2"], "columns": ["weight 0.5", "weight 1"], "cells": [[0, 1], [1, 0]]}
    for more in ({"command": "lorabake test mira"}, {"command": "lorabake grid mira", **grid}):
        fields = {"state": "done", "done": 2, "seconds": 1.5, **more}
        kept = history.create(msgspec.structs.replace(drawn, **fields))
        for place in range(2):
            Image.new("RGB", (64, 64), (90 * place, 120, 60)).save(history.picture_file(kept, place))
    async with app(section="results", size=(80, 24)) as pilot:
        await until(pilot, lambda: painted(pilot))
        await pilot.press("T")
        await until(pilot, lambda: "mira-e02:0.8" in screen_text(pilot.app))
        screen = pilot.app.screen
        commands = set()
        for _ in range(2):
            await until(pilot, lambda: screen.query_one(ContactSheet).painted)
            await pilot.press("y")
            commands.add(pilot.app.clipboard)
            if screen.current.cells:
                assert "epoch 1" in screen_text(pilot.app)
                await pilot.press("j")
            await pilot.press("j")
        assert commands == {"lorabake test mira", "lorabake grid mira"}
        await pilot.press("escape")
        await until(pilot, lambda: pilot.app.screen is not screen)


async def test_two_runs_side_by_side(
    app: Any, until: Any, screen_text: Any, baked: Path, mira: Path, rate: Any
) -> None:
    rate(2000)
    async with app(section="results", size=(80, 24)) as pilot:
        screen = pilot.app.screen
        await until(pilot, lambda: painted(pilot))
        await pilot.press("c")
        await until(pilot, lambda: "no other run" in screen_text(pilot.app))
        row = await pilot.app.engine.call("runs.submit", fake(mira, "second", epochs=2, unet_lr=5e-5))
        await until(pilot, lambda: (other := pilot.app.store.row(row.id)) and other.state == "done")
        await pilot.press("c")
        await until(pilot, lambda: "Compare with" in screen_text(pilot.app))
        await pilot.press("enter")
        await until(pilot, lambda: "Differences" in screen_text(pilot.app) and pilot.app.screen is not screen)
        await pilot.press("j", "j")
        await until(pilot, lambda: "second · epoch 2" in screen_text(pilot.app))
        assert "mira · epoch 2" in screen_text(pilot.app)
        assert "dataset" in screen_text(pilot.app)


async def test_parameters_tell_their_origin_and_pruning_asks_first(
    app: Any, until: Any, screen_text: Any, baked: Path
) -> None:
    async with app(section="results", size=(80, 24)) as pilot:
        screen = pilot.app.screen
        await until(pilot, lambda: painted(pilot))
        await pilot.press("i")
        await until(pilot, lambda: "Set by hand" in screen_text(pilot.app))
        await pilot.press("escape", "d")
        await until(pilot, lambda: "Tidy up" in screen_text(pilot.app) and "What" in screen_text(pilot.app))
        await pilot.press("enter")
        await until(pilot, lambda: "would go to the trash" in screen_text(pilot.app))
        files = lambda: sorted(path.name for path in Path(screen._row.dir).rglob("*.safetensors"))  # noqa: E731
        assert len(files()) == 3
        await pilot.press("y")
        await until(pilot, lambda: files() == ["mira-e03.safetensors"])
        await until(pilot, lambda: "trash" in screen_text(pilot.app))
        # Emptying it for good wants a yes; Enter is none.
        await pilot.press("D")
        await until(pilot, lambda: "Empty it for good?" in screen_text(pilot.app))
        bins = lambda: list((Path(screen._row.dir).parents[1] / "trash").iterdir())  # noqa: E731
        await pilot.press("enter")
        assert bins()
        await pilot.press("y")
        await until(pilot, lambda: not bins())
        await until(pilot, lambda: "The trash is empty" in screen_text(pilot.app))
