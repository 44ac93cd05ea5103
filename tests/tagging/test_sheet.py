"""The sheet in the Tags section: what its rows mean, and the tagging that it starts, with a real engine."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from engine.protocol.tag_options import TagOptions
from lorabake_tui.dialogs.tagging import TaggingSheet, options_of
from tests.tui.conftest import app, home, until

__all__ = ["app", "home", "until"]
HELD = Path(__file__).parent / "data" / "held"
VALUES = {
    "tagger": "demo",
    "work": "run",
    "general": "",
    "character": "",
    "mcut": "",
    "characters": "1",
    "rating": "",
    "exclude": "",
    "existing": "keep",
}


def test_rows_become_options() -> None:
    assert options_of(VALUES) == TagOptions()
    changed = {**VALUES, "general": "0.4", "rating": "1", "exclude": "solo, *hair", "existing": "append"}
    assert options_of(changed) == TagOptions(general=0.4, rating=True, exclude=("solo", "*hair"), existing="append")
    for wrong in ("0.", "2", "0.01", "1.2.3"):
        assert options_of({**VALUES, "general": wrong}) is None or wrong == "0."


@pytest.mark.usefixtures("home")
async def test_a_tagging_from_the_sheet_and_a_threshold_moved_live(
    app: Callable[..., Any], until: Callable[..., Any], tmp_path: Path
) -> None:
    folder = tmp_path / "set"
    folder.mkdir()
    for name in ("01", "02"):
        shutil.copy(HELD / f"{name}.png", folder)
    async with app(dataset=str(folder), size=(80, 24)) as pilot:
        bench = pilot.app
        await until(pilot, lambda: bench.opened.complete)
        bench.go("tags")
        await until(pilot, lambda: getattr(bench.screen, "SECTION", "") == "tags")
        await pilot.press("T")
        await until(pilot, lambda: isinstance(bench.screen, TaggingSheet))
        await pilot.press("enter")
        await until(pilot, lambda: getattr(bench.screen, "SECTION", "") == "monitor")
        await until(pilot, lambda: all(row.caption for row in bench.opened.rows))
        bench.go("tags")
        await until(pilot, lambda: getattr(bench.screen, "SECTION", "") == "tags")
        await pilot.press("T")
        await until(pilot, lambda: isinstance(bench.screen, TaggingSheet))
        await pilot.press("down", "right", "down", "0", ".", "9")
        note = bench.screen.query_one("#settings-note")
        await until(pilot, lambda: "would change" in str(note.render()))
        before = [row.caption for row in bench.opened.rows]
        await pilot.press("enter")
        await until(pilot, lambda: len(bench.opened.rows) == 2 and [r.caption for r in bench.opened.rows] != before)
        assert sum(len(row.caption) for row in bench.opened.rows) < sum(map(len, before))
