"""The Tags section: the counts are the captions', filter and order work, Enter shows a tag's images."""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

from lorabake_tui.screens.tags import bar
from lorabake_tui.widgets.rows import RowList

App = Callable[..., AbstractAsyncContextManager[Any]]
Until = Callable[..., Awaitable[Any]]
Text = Callable[[Any], str]


def _counts(folder: Path) -> Counter[str]:
    counts: Counter[str] = Counter()
    for path in folder.glob("*.txt"):
        counts.update({tag.strip() for tag in path.read_text(encoding="utf-8").split(",") if tag.strip()})
    return counts


async def _opened(pilot: Any, until: Until) -> RowList:
    await pilot.press("2")
    rows: RowList = await until(pilot, lambda: pilot.app.current_mode == "tags" and pilot.app.screen.query_one(RowList))
    await until(pilot, lambda: len(rows.shown))
    return rows


async def test_counts_are_those_of_the_captions(
    app: App, sample_dataset: Path, until: Until, screen_text: Text
) -> None:
    counts = _counts(sample_dataset)
    async with app(dataset=sample_dataset) as pilot:
        rows = await _opened(pilot, until)
        assert len(rows.shown) == len(counts)
        table = pilot.app.screen._table
        assert {row.tag: row.count for row in table.tags} == counts
        first = screen_text(pilot.app).splitlines()[3].split()
        assert first[1:3] == ["▌mira", str(counts["mira"])]


async def test_filter_and_order(app: App, sample_dataset: Path, until: Until, screen_text: Text) -> None:
    async with app(dataset=sample_dataset) as pilot:
        rows = await _opened(pilot, until)
        await pilot.press("slash", *"hair", "enter")
        assert len(rows.shown) == sum("hair" in tag for tag in _counts(sample_dataset))
        assert "fit “hair”" in screen_text(pilot.app)
        await pilot.press("escape", "s")
        names = [pilot.app.screen._table.tags[n].tag for n in rows.shown]
        assert names == sorted(names, key=str.lower)
        await pilot.press("s")
        assert pilot.app.screen._table.tags[rows.shown[0]].tag == "mira"


async def test_enter_shows_the_images(app: App, sample_dataset: Path, until: Until) -> None:
    async with app(dataset=sample_dataset) as pilot:
        rows = await _opened(pilot, until)
        await pilot.press("j", "j")
        tag = pilot.app.screen._table.tags[rows.current]
        await pilot.press("enter")
        await until(pilot, lambda: pilot.app.current_mode == "dataset")
        images = pilot.app.screen.query_one("#image-list", RowList)
        await until(pilot, lambda: len(images.shown) == tag.count)
        assert all(tag.tag in (pilot.app.opened.rows[n].caption or "") for n in images.shown)


async def test_an_edited_caption_counts_at_once(app: App, sample_dataset: Path, until: Until) -> None:
    async with app(dataset=sample_dataset) as pilot:
        await _opened(pilot, until)
        await pilot.press("1", "e", "end", *", unheard of", "enter")
        await until(pilot, lambda: "unheard of" in (pilot.app.opened.rows[0].caption or ""))
        await pilot.press("2")
        await until(pilot, lambda: any(row.tag == "unheard of" for row in pilot.app.screen._table.tags))


async def test_empty_states(app: App, tmp_path: Path, until: Until, screen_text: Text) -> None:
    async with app(section="tags") as pilot:
        assert "No dataset is open." in screen_text(pilot.app)
        await pilot.press("i", "s", "slash", "escape", "enter")
    from PIL import Image

    folder = tmp_path / "bare"
    folder.mkdir()
    Image.new("RGB", (64, 64)).save(folder / "a.png")
    async with app(section="tags", dataset=folder) as pilot:
        await until(pilot, lambda: "No image of this dataset has a tag." in screen_text(pilot.app))


def test_bar_is_as_long_as_the_share() -> None:
    assert bar(0, 8) == ""
    assert bar(1, 8) == "█" * 8
    assert bar(0.5, 8) == "████"
    assert bar(0.51, 8) == "████▏"
    assert bar(7, 4) == "████"
