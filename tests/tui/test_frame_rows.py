"""RowList: any number of rows, wide characters, hostile text, cursor and filter."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from rich.cells import cell_len
from textual.app import App, ComposeResult

from lorabake_tui.widgets.plain import clip, fit, plain, restore, wrap
from lorabake_tui.widgets.rows import Column, RowList


class _Lists(App[None]):
    def __init__(self, count: int, names: Sequence[str] = ()) -> None:
        super().__init__()
        self.count, self.names = count, names

    def compose(self) -> ComposeResult:
        yield RowList([Column("Name"), Column("Number", 8, right=True)], markable=True, empty="nothing here")

    def on_mount(self) -> None:
        rows = self.query_one(RowList)
        rows.show(range(self.count), self._cells)
        rows.focus()

    def _cells(self, row: int) -> Sequence[str]:
        return (self.names[row] if self.names else f"image {row}", str(row))


def _lines(app: Any) -> list[str]:
    return ["".join(segment.text for segment in strip) for strip in app.screen._compositor.render_strips()]


async def test_moves_through_ten_thousand_rows() -> None:
    async with _Lists(10_000).run_test(size=(60, 12)) as pilot:
        rows = pilot.app.query_one(RowList)
        await pilot.press("j", "j", "k", "down")
        assert rows.current == 2
        await pilot.press("G")
        assert rows.current == 9_999
        assert "9999" in _lines(pilot.app)[-1]
        await pilot.press("pageup", "pageup", "g")
        assert rows.current == 0
        assert "image 0" in _lines(pilot.app)[1]
        await pilot.press("k")
        assert rows.current == 0


async def test_paints_only_what_is_seen() -> None:
    async with _Lists(10_000).run_test(size=(60, 12)) as pilot:
        asked: list[int] = []
        rows = pilot.app.query_one(RowList)
        rows.show(range(10_000), lambda row: (asked.append(row), ("x",))[1])
        await pilot.press("G", "g", "pagedown", "j")
        assert len(set(asked)) < 100


async def test_filter_keeps_the_cursor_on_its_row() -> None:
    async with _Lists(100).run_test(size=(60, 12)) as pilot:
        rows = pilot.app.query_one(RowList)
        rows.go_to(42)
        rows.show([1, 42, 77])
        await pilot.pause()
        assert rows.current == 42
        rows.show([1, 77])
        assert rows.current in (1, 77)
        rows.show([])
        await pilot.pause()
        assert rows.current is None
        assert "nothing here" in "\n".join(_lines(pilot.app))
        await pilot.press("j", "k", "G", "g", "enter", "pagedown")
        rows.show(range(100))
        assert rows.current == 0


async def test_wide_and_hostile_names_keep_the_columns() -> None:
    names = [
        "plain",
        "银发少女" * 20,
        "\x1b[31mred\x1b[0m",
        "a\nb\tc",
        "[bold]x[/bold]",
        "\u202egnp.exe",
        "é" * 90,
        "👩‍🎨 art",
    ]
    async with _Lists(len(names), names).run_test(size=(50, 12)) as pilot:
        await pilot.press("j", "j")
        lines = _lines(pilot.app)
        for number, line in enumerate(lines[1 : len(names) + 1]):
            assert cell_len(line) == 50
            assert line.rstrip().endswith(str(number))
        whole = "\n".join(lines)
        assert "\x1b" not in whole
        assert "\u202e" not in whole
        assert "[bold]x[/bold]" in whole


async def test_headings_are_stepped_over() -> None:
    async with _Lists(10).run_test(size=(60, 14)) as pilot:
        rows = pilot.app.query_one(RowList)
        rows.skip = lambda row: row in (0, 3, 4, 9)
        rows.show(range(10))
        assert rows.current == 1
        await pilot.press("j", "j")
        assert rows.current == 5
        await pilot.press("k")
        assert rows.current == 2
        await pilot.press("G")
        assert rows.current == 8
        await pilot.press("g")
        assert rows.current == 1


@pytest.mark.parametrize("width", range(1, 30))
@pytest.mark.parametrize("text", ["hello world again", "银发少女在海边", "a银b发c", "👩\u200d🎨" * 3, "", "x" * 50])
def test_fit_and_wrap_count_cells(text: str, width: int) -> None:
    assert cell_len(fit(text, width)) == width
    assert cell_len(fit(text, width, right=True)) == width
    assert cell_len(clip(text, width)) <= width
    # A line may exceed the width by closing punctuation only; there is none here.
    assert all(cell_len(line) <= max(2, width) for line in wrap(text, width))


def test_plain_shows_what_it_hides_and_restore_undoes_it() -> None:
    nasty = "a\x1b[2Jb\rc\x00d\x9be\u200bf\ud800g\n"
    shown = plain(nasty)
    assert shown.isprintable()
    assert restore(shown, nasty) == nasty
    assert restore(shown + ", more", nasty) == nasty + ", more"
    assert restore("⏎ stays", "no newline") == "⏎ stays"
