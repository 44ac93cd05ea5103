"""The Dataset section on a real folder through the real engine: looking, captions, repeats, marks, filter."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

from textual.widgets import Input

from lorabake_tui.widgets.ask import AskLine
from lorabake_tui.widgets.rows import RowList

App = Callable[..., AbstractAsyncContextManager[Any]]
Until = Callable[..., Awaitable[Any]]
Text = Callable[[Any], str]


def _rows(pilot: Any) -> RowList:
    found: RowList = pilot.app.screen.query_one("#image-list", RowList)
    return found


def _row(pilot: Any, name: str) -> Any:
    return next(row for row in pilot.app.opened.rows if row.name == name)


async def _on(pilot: Any, name: str) -> None:
    rows = pilot.app.opened.rows
    _rows(pilot).go_to(next(number for number, row in enumerate(rows) if row.name == name))
    await pilot.pause()


async def _type(pilot: Any, text: str) -> None:
    pilot.app.screen.query_one(AskLine).query_one(Input).value = text
    await pilot.pause()


async def test_empty_state_names_the_keys(app: App, screen_text: Text) -> None:
    async with app() as pilot:
        text = screen_text(pilot.app)
        assert "No dataset is open." in text
        assert "O  Open a folder" in text
        await pilot.press("e", "r", "space", "a", "n", "slash", "escape")


async def test_lists_images_and_shows_the_caption(app: App, sample_dataset: Path, screen_text: Text) -> None:
    async with app(dataset=sample_dataset) as pilot:
        text = screen_text(pilot.app)
        assert "mira · 15 images" in text
        assert "银发少女.png" in text
        assert (sample_dataset / "00.txt").read_text().split(",")[1].strip() in text


async def test_picture_appears_after_the_cursor_rests(app: App, sample_dataset: Path, until: Until) -> None:
    from lorabake_tui.widgets.picture import PictureView

    async with app(dataset=sample_dataset) as pilot:
        await pilot.press("j")
        view = pilot.app.screen.query_one(PictureView)
        await until(pilot, lambda: view.painted)
        assert view.item.file == pilot.app.opened.rows[1].name


async def test_caption_is_edited_and_written(app: App, sample_dataset: Path, until: Until) -> None:
    async with app(dataset=sample_dataset) as pilot:
        await _on(pilot, "银发少女.png")
        await pilot.press("e")
        assert pilot.app.screen.query_one(Input).value == "mira, silver hair"
        await _type(pilot, "mira, [b]银发[/b], (smile:1.2)")
        await pilot.press("enter")
        await until(pilot, lambda: "1.2" in (_row(pilot, "银发少女.png").caption or ""))
        assert (sample_dataset / "银发少女.txt").read_text(encoding="utf-8") == "mira, [b]银发[/b], (smile:1.2)"
        assert pilot.app.focused is _rows(pilot)


async def test_escape_leaves_the_caption_alone(app: App, sample_dataset: Path) -> None:
    before = (sample_dataset / "00.txt").read_bytes()
    async with app(dataset=sample_dataset) as pilot:
        await pilot.press("e", "x", "y", "escape", "e", "enter")
        await pilot.pause()
        assert (sample_dataset / "00.txt").read_bytes() == before
        assert _row(pilot, "00.png").caption == before.decode()


async def test_control_characters_survive_an_edit(app: App, sample_dataset: Path, until: Until) -> None:
    (sample_dataset / "00.txt").write_text("mira, a\tb\nsecond line", encoding="utf-8")
    async with app(dataset=sample_dataset) as pilot:
        await pilot.press("e")
        shown = pilot.app.screen.query_one(Input).value
        assert shown.isprintable()
        await _type(pilot, shown + ", hat")
        await pilot.press("enter")
        await until(pilot, lambda: _row(pilot, "00.png").caption.endswith("hat"))
        assert (sample_dataset / "00.txt").read_text(encoding="utf-8") == "mira, a\tb\nsecond line, hat"


async def test_caption_changed_by_others_is_not_overwritten(
    app: App, sample_dataset: Path, screen_text: Text, until: Until
) -> None:
    async with app(dataset=sample_dataset) as pilot:
        await pilot.press("e")
        (sample_dataset / "00.txt").write_text("somebody else was here")
        await _type(pilot, "mine")
        await pilot.press("enter")
        await until(pilot, lambda: "changed by another program" in screen_text(pilot.app))
        assert (sample_dataset / "00.txt").read_text() == "somebody else was here"


async def test_repeat_for_marked_images_is_kept(app: App, sample_dataset: Path, until: Until) -> None:
    async with app(dataset=sample_dataset) as pilot:
        await pilot.press("space", "space", "r")
        await _type(pilot, "0")
        await pilot.press("enter")
        assert pilot.app.screen.query_one(AskLine).asking
        await _type(pilot, "7")
        await pilot.press("enter")
        await until(pilot, lambda: [_row(pilot, f"0{n}.png").own_repeat for n in range(3)] == [7, 7, None])
    async with app(dataset=sample_dataset) as pilot:
        assert [_row(pilot, f"0{n}.png").own_repeat for n in range(3)] == [7, 7, None]
        await pilot.press("space", "space", "r")
        await _type(pilot, "")
        await pilot.press("enter")
        await until(pilot, lambda: _row(pilot, "00.png").own_repeat is None)


async def test_marks_advance_and_clear(app: App, sample_dataset: Path, screen_text: Text) -> None:
    async with app(dataset=sample_dataset) as pilot:
        await pilot.press("space", "j", "space")
        assert _rows(pilot).marks == {0, 2}
        assert _rows(pilot).current == 3
        assert "2 marked" in screen_text(pilot.app)
        await pilot.press("a")
        assert len(_rows(pilot).marks) == 15
        await pilot.press("a", "space", "escape")
        assert not _rows(pilot).marks


async def test_filter_by_words_and_by_whole_tag(
    app: App, sample_dataset: Path, screen_text: Text, until: Until
) -> None:
    async with app(dataset=sample_dataset) as pilot:
        await pilot.press("slash")
        await _type(pilot, "SILVER mira")
        silver = [row.name for row in pilot.app.opened.rows if "silver" in (row.caption or "")]
        await until(pilot, lambda: [pilot.app.opened.rows[n].name for n in _rows(pilot).shown] == silver)
        await pilot.press("enter", "slash")
        await _type(pilot, "tag:hair")
        await until(pilot, lambda: not _rows(pilot).shown)
        assert "No image fits the filter." in screen_text(pilot.app)
        await pilot.press("escape")
        assert len(_rows(pilot).shown) == 15


async def test_next_problem(app: App, sample_dataset: Path, screen_text: Text) -> None:
    async with app(dataset=sample_dataset) as pilot:
        await pilot.press("n")
        first = pilot.app.opened.rows[_rows(pilot).current]
        assert first.problem
        assert "⚠" in screen_text(pilot.app)
        while pilot.app.opened.rows[_rows(pilot).current].name != "broken.png":
            await pilot.press("n")
        assert "cannot be read" in screen_text(pilot.app)
        await pilot.press("N")
        assert pilot.app.opened.rows[_rows(pilot).current].problem


async def test_hostile_file_names_reach_no_terminal(app: App, sample_dataset: Path, screen_text: Text) -> None:
    from PIL import Image

    for name in ("\x1b]0;owned\x07.png", "[red]markup.png", "new\nline.png"):
        Image.new("RGB", (64, 64)).save(sample_dataset / name)
    async with app(size=(120, 36), dataset=sample_dataset) as pilot:
        for _ in range(len(pilot.app.opened.rows)):
            await pilot.press("j")
        text = screen_text(pilot.app)
        assert "\x1b" not in text
        assert "\x07" not in text
        assert "[red]markup.png" in text


async def test_open_by_path_with_completion(app: App, sample_dataset: Path, until: Until) -> None:
    async with app() as pilot:
        await pilot.press("O")
        field = await until(
            pilot, lambda: pilot.app.screen.query(Input).first() if pilot.app.screen.query(Input) else None
        )
        field.value = str(sample_dataset.parent) + "/mi"
        rows = pilot.app.screen.query_one(RowList)
        await until(pilot, lambda: list(rows.shown) == [0])
        await pilot.press("tab")
        assert field.value == str(sample_dataset) + "/"
        await pilot.press("enter")
        await until(pilot, lambda: pilot.app.opened.complete)
        assert pilot.app.opened.name == "mira"


async def test_missing_folder_is_a_sentence(app: App, tmp_path: Path, screen_text: Text, until: Until) -> None:
    async with app(size=(120, 36)) as pilot:
        pilot.app.open_dataset(str(tmp_path / "nowhere"))
        await until(pilot, lambda: "There is no folder" in screen_text(pilot.app))
        assert not pilot.app.opened.path


async def test_bake_leads_to_the_parameters(app: App, sample_dataset: Path, until: Until) -> None:
    async with app(dataset=sample_dataset) as pilot:
        await pilot.press("b")
        await until(pilot, lambda: pilot.app.current_mode == "params")


async def test_a_filter_is_completed_remembered_and_saved(app: App, sample_dataset: Path, until: Until) -> None:
    from lorabake_tui.dialogs.picker import Picker
    from lorabake_tui.widgets.filter_line import FilterLine

    async with app(dataset=sample_dataset) as pilot:
        line = pilot.app.screen.query_one(FilterLine)
        section = pilot.app.screen
        await pilot.press("slash", *"tag:mir")
        await until(pilot, lambda: section._offer is not None)
        await pilot.press("tab")
        await until(pilot, lambda: line.text == "tag:mira")
        await pilot.press("enter")
        await until(pilot, lambda: section._used == ["tag:mira"])
        await pilot.press("escape", "slash", "up")
        await until(pilot, lambda: line.text == "tag:mira")
        await pilot.press("enter", "ctrl+r")
        await until(pilot, lambda: isinstance(pilot.app.screen, Picker))
        await pilot.press("enter")
        await until(pilot, lambda: type(pilot.app.screen).__name__ == "Prompt")
        await pilot.press(*"mine", "enter")
        await until(pilot, lambda: '"mine"' in (sample_dataset / ".lorabake" / "filters.json").read_text())


async def test_the_trash_is_emptied_only_by_a_plain_yes(app: App, sample_dataset: Path, until: Until) -> None:
    from lorabake_tui.dialogs.confirm import Confirm

    trash = sample_dataset / ".lorabake" / "trash"
    async with app(dataset=sample_dataset) as pilot:
        count = len(pilot.app.opened.rows)
        await pilot.press("d")
        await until(pilot, lambda: len(pilot.app.opened.rows) == count - 1)
        await pilot.press("D")
        await until(pilot, lambda: isinstance(pilot.app.screen, Confirm))
        await pilot.press("enter")
        assert isinstance(pilot.app.screen, Confirm)
        assert trash.exists()
        await pilot.press("y")
        await until(pilot, lambda: not trash.exists())
