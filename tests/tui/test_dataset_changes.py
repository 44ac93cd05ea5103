"""What the Dataset section does to a dataset, through the real engine: fixes, crops, repeats, files, undo."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from textual.widgets import Input

from lorabake_tui.dialogs.findings import FindingsBox
from lorabake_tui.dialogs.plan import PlanBox
from lorabake_tui.dialogs.settings import Settings
from lorabake_tui.screens.dataset_review import CropReview
from lorabake_tui.widgets.ask import AskLine
from lorabake_tui.widgets.boxed import BoxedPicture
from lorabake_tui.widgets.rows import RowList
from lorabake_tui.widgets.thumbs import Thumbs

App = Callable[..., AbstractAsyncContextManager[Any]]
Until = Callable[..., Awaitable[Any]]
Text = Callable[[Any], str]


@pytest.fixture
def flawed(tmp_path: Path) -> Path:
    """Six pictures with captions, two in a kohya folder; a wrong ending, one stored lying, one unreadable."""
    folder = tmp_path / "mira"
    (folder / "3_far").mkdir(parents=True)
    for number in range(6):
        image = Image.new("RGB", (96, 64), (40 * number, 90, 200 - 30 * number))
        image.paste((250, 220, 200), (8 * number, 10, 8 * number + 24, 50))
        place = folder / "3_far" if number > 3 else folder
        image.save(place / f"{number}.png")
        (place / f"{number}.txt").write_text(f"mira, tag{number}, hat")
    (folder / "0.png").rename(folder / "0.jpg")
    lying = Image.Exif()
    lying[0x112] = 6
    Image.new("RGB", (80, 64), (9, 9, 9)).save(folder / "lying.jpg", exif=lying)
    (folder / "lying.txt").write_text("mira, night")
    (folder / "broken.png").write_bytes(b"not a picture")
    return folder


def _rows(pilot: Any) -> RowList:
    found: RowList = pilot.app.screen.query_one("#image-list", RowList)
    return found


def _row(pilot: Any, name: str) -> Any:
    return next((row for row in pilot.app.opened.rows if row.name == name), None)


def _names(pilot: Any) -> list[str]:
    return [pilot.app.opened.rows[number].name for number in _rows(pilot).shown]


async def _on(pilot: Any, name: str) -> None:
    _rows(pilot).go_to(next(number for number, row in enumerate(pilot.app.opened.rows) if row.name == name))
    await pilot.pause()


async def _say(pilot: Any, text: str) -> None:
    pilot.app.screen.query_one(AskLine).query_one(Input).value = text
    await pilot.press("enter")


async def _dialog(pilot: Any, until: Until, kind: type) -> Any:
    await until(pilot, lambda: isinstance(pilot.app.screen, kind))
    return pilot.app.screen


async def _path(pilot: Any, until: Until, path: Path) -> None:
    from lorabake_tui.dialogs.path import PathPrompt

    box = await _dialog(pilot, until, PathPrompt)
    box.query_one(Input).value = str(path)
    await pilot.press("enter")


async def test_findings_are_told_mended_and_taken_back(app: App, flawed: Path, until: Until, screen_text: Text) -> None:
    before = {path.name: path.read_bytes() for path in flawed.iterdir() if path.is_file()}
    async with app(dataset=flawed) as pilot:
        await until(pilot, lambda: pilot.app.opened.findings is not None)
        await _on(pilot, "0.jpg")
        assert "wrong ending" in screen_text(pilot.app)
        assert "f Fix" in screen_text(pilot.app)
        await pilot.press("w")
        box = await _dialog(pilot, until, FindingsBox)
        assert "3 can be mended" in screen_text(pilot.app)
        kinds = [kind.code for kind in box._findings.kinds]
        assert {"image_unreadable", "image_rotated", "image_extension"} <= set(kinds[:3])
        await pilot.press("enter")
        await until(pilot, lambda: len(_rows(pilot).shown) == 1)
        assert f"warn:{kinds[0]}" in screen_text(pilot.app)
        await pilot.press("escape")
        assert len(_rows(pilot).shown) == 8
        await pilot.press("F", "w")  # mended behind the dialog, which follows
        await _dialog(pilot, until, FindingsBox)
        await until(pilot, lambda: "0 can be mended" in screen_text(pilot.app))
        await pilot.press("escape")
        await until(pilot, lambda: _row(pilot, "0.png") is not None and _row(pilot, "broken.png") is None)
        assert not (flawed / "broken.png").exists()
        with Image.open(flawed / "lying.jpg") as upright:
            assert upright.size == (64, 80)
        await until(pilot, lambda: pilot.app.opened.findings.fixable == 0)
        await pilot.press("u")
        await until(pilot, lambda: _row(pilot, "broken.png") is not None)
        assert {path.name: path.read_bytes() for path in flawed.iterdir() if path.is_file()} == before
        await until(pilot, lambda: pilot.app.opened.findings.fixable == 3)
        await pilot.press("w")
        box = await _dialog(pilot, until, FindingsBox)
        (flawed / "late.png").write_bytes(b"no picture either")
        await pilot.press("c")
        await until(pilot, lambda: "4 can be mended" in screen_text(pilot.app))
        assert pilot.app.screen is box
        await pilot.press("escape")
        await until(pilot, lambda: _row(pilot, "late.png") is not None)


async def test_an_add_that_is_ended_adds_nothing(app: App, until: Until, screen_text: Text, tmp_path: Path) -> None:
    more = tmp_path / "more"
    more.mkdir()
    for number in range(1000):
        Image.new("RGB", (8, 8), (number % 256, number // 256, 9)).save(more / f"{number:04}.png")
    async with app() as pilot:
        await pilot.press("i")
        await _path(pilot, until, more)
        await _dialog(pilot, until, Settings)
        await pilot.press("enter")
        await until(pilot, lambda: "adding " in screen_text(pilot.app) and "Esc End" in screen_text(pilot.app))
        await pilot.press("escape")
        await until(pilot, lambda: "nothing was added" in screen_text(pilot.app))
        assert not (tmp_path / "more-lora").exists()
        assert "No dataset is open." in screen_text(pilot.app)
        assert len(list(more.iterdir())) == 1000


async def test_crops_are_made_reviewed_moved_and_kept(app: App, flawed: Path, until: Until, screen_text: Text) -> None:
    async with app(dataset=flawed) as pilot:
        await pilot.press("c")
        await _dialog(pilot, until, Settings)
        assert "would be enlarged" in screen_text(pilot.app)
        await pilot.press("down", *"32x48")
        assert "None would be enlarged" in screen_text(pilot.app)
        await pilot.press("enter")
        review = await _dialog(pilot, until, CropReview)
        assert [part.size for part in review._parts] == [(32, 48)] * 7
        await until(pilot, lambda: review._number in review._seen and review.query_one(BoxedPicture).painted)
        first = review._parts[0].box
        await pilot.press("L", "L", "L", "L", "L", "L", "L", "L", "L", "L")
        at_rim = review._parts[0].box
        assert at_rim[2] == 96
        assert at_rim[2] - at_rim[0] == first[2] - first[0]
        await pilot.press("minus", "h")
        box = review._parts[0].box
        assert box[2] - box[0] < first[2] - first[0]
        await pilot.press("enter")
        assert review._number == 1
        await pilot.press("f", "x")
        await until(pilot, lambda: review._parts[1].box is None)
        await pilot.press("n", "l", "u")
        assert review._parts[2] == review._before[2]
        await pilot.press("b")
        assert review._parts[2].size != (32, 48)
        await pilot.press("w")
        assert "⚠" in screen_text(pilot.app)
        await pilot.press("escape")
        await until(pilot, lambda: not isinstance(pilot.app.screen, CropReview))
        await until(pilot, lambda: _row(pilot, "0.jpg").crop.box == box)
        kept = _row(pilot, "0.jpg").crop
        assert (kept.size, kept.accepted) == ((32, 48), True)
        assert _row(pilot, review._rows[1].name).crop is None
        out = flawed.parent / "out"
        await pilot.press("W")
        await _path(pilot, until, out)
        await _dialog(pilot, until, Settings)
        await pilot.press("enter")
        await until(pilot, lambda: (out / "0.jpg").exists() or (out / "0.png").exists())


async def test_repeats_by_image_folder_and_letter(app: App, flawed: Path, until: Until, screen_text: Text) -> None:
    async with app(dataset=flawed, size=(120, 36)) as pilot:
        await pilot.press("space", "space", "r")
        await _say(pilot, "7")
        await until(pilot, lambda: [row.own_repeat for row in pilot.app.opened.rows].count(7) == 2)
        await pilot.press("m")
        await _say(pilot, "k")
        await until(pilot, lambda: [row.marks for row in pilot.app.opened.rows].count("k") == 2)
        await pilot.press("x")
        await until(pilot, lambda: sum(row.flip for row in pilot.app.opened.rows) == 2)
        await pilot.press("p")
        await _dialog(pilot, until, PlanBox)
        text = screen_text(pilot.app)
        assert "3_far" in text
        assert "Letters" in text
        await pilot.press("j" if "(top)" in text else "G", "r")
        await until(pilot, lambda: pilot.app.screen.query_one(AskLine).asking)
        await _say(pilot, "5")
        await until(pilot, lambda: _row(pilot, "3_far/5.png").repeat == 5)
        rows = pilot.app.opened
        await pilot.press("u")
        await until(pilot, lambda: _row(pilot, "3_far/5.png").repeat == 3)
        for fact in ("flip", "marks", "own_repeat"):
            await pilot.press("u")
            await until(pilot, lambda fact=fact: not any(getattr(row, fact) for row in pilot.app.opened.rows))
        assert pilot.app.opened is not rows
        assert _row(pilot, "3_far/5.png").repeat == 3


async def test_removing_adding_and_splitting(app: App, flawed: Path, until: Until, tmp_path: Path) -> None:
    more = tmp_path / "more"
    more.mkdir()
    Image.new("RGB", (64, 300), (1, 200, 90)).save(more / "tall.png")
    (more / "tall.txt").write_text("mira, tall")
    async with app(dataset=flawed) as pilot:
        await _on(pilot, "1.png")
        await pilot.press("d")
        await until(pilot, lambda: _row(pilot, "1.png") is None)
        assert not (flawed / "1.txt").exists()
        await pilot.press("u")
        await until(pilot, lambda: _row(pilot, "1.png") is not None)
        await pilot.press("i")
        await _path(pilot, until, more)
        await _dialog(pilot, until, Settings)
        await pilot.press("enter")
        await until(pilot, lambda: _row(pilot, "tall.png") is not None)
        assert _row(pilot, "tall.png").caption == "mira, tall"
        count = len(pilot.app.opened.rows)
        await _on(pilot, "tall.png")
        await pilot.press("space", "S")
        await _dialog(pilot, until, Settings)
        await pilot.press("enter")
        await until(pilot, lambda: len(pilot.app.opened.rows) > count)


async def test_small_pictures_share_cursor_and_marks(app: App, flawed: Path, until: Until, screen_text: Text) -> None:
    async with app(dataset=flawed) as pilot:
        await pilot.press("t")
        grid = pilot.app.screen.query_one(Thumbs)
        await until(pilot, lambda: grid.display and grid.complete)
        assert grid.columns == 4
        await pilot.press("l", "space", "j")
        assert _rows(pilot).cursor == 6
        assert "●" in screen_text(pilot.app)
        await pilot.press("k", "h", "t")
        assert pilot.app.focused is _rows(pilot)
        assert _rows(pilot).cursor == 1
        await pilot.press("o")
        await until(pilot, lambda: "contact sheet of 1 image" in screen_text(pilot.app))
        await pilot.press("escape")


async def test_visual_marks_order_and_jumps(app: App, flawed: Path, until: Until, screen_text: Text) -> None:
    async with app(dataset=flawed) as pilot:
        await until(pilot, lambda: pilot.app.opened.findings is not None)
        rows = _rows(pilot)
        await pilot.press("v", "j", "j")
        assert len(rows.marks) == 3
        assert "visual" in screen_text(pilot.app)
        await pilot.press("k")
        assert len(rows.marks) == 2
        assert "acts on 2 marked" in screen_text(pilot.app)
        await pilot.press("v", "A")
        assert len(rows.marks) == 6
        await pilot.press("v", "j", "escape")
        assert len(rows.marks) == 6
        await pilot.press("escape")
        assert not rows.marks
        await pilot.press("s", "down", "enter")
        await until(pilot, lambda: "↓ size" in screen_text(pilot.app))
        sizes = [_row(pilot, name).width * _row(pilot, name).height for name in _names(pilot)]
        assert sizes == sorted(sizes, reverse=True)
        await pilot.press("g", "right_square_bracket")
        assert not pilot.app.opened.rows[rows.current].caption
