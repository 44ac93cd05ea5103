"""The log: wrapped under itself, following its end until scrolled away, harmless whatever stands in it."""

from __future__ import annotations

from typing import Any

from textual.app import App, ComposeResult

from lorabake_tui.widgets.log import Entry, LogView


class Bench(App[None]):
    def compose(self) -> ComposeResult:
        yield LogView()


def text(app: App[None]) -> str:
    lines = app.screen._compositor.render_strips()
    return "\n".join("".join(segment.text for segment in strip).rstrip() for strip in lines)


def entries(count: int) -> list[Entry]:
    return [Entry(f"10:00:{n % 60:02}", "info", f"line {n}") for n in range(count)]


async def test_it_follows_the_end_until_scrolled_away() -> None:
    async with Bench().run_test(size=(40, 6)) as pilot:
        view = pilot.app.query_one(LogView)
        view.focus()
        view.show(entries(50))
        await pilot.pause()
        assert "line 49" in text(pilot.app)
        view.show(entries(60))
        await pilot.pause()
        assert "line 59" in text(pilot.app)
        await pilot.press("k", "k")
        view.show(entries(80))
        await pilot.pause()
        assert "line 57" in text(pilot.app)
        assert "line 79" not in text(pilot.app)
        await pilot.press("G")
        view.show(entries(90))
        await pilot.pause()
        assert "line 89" in text(pilot.app)
        await pilot.press("g")
        await pilot.pause()
        assert text(pilot.app).startswith("10:00:00 · line 0")


async def test_it_follows_through_a_change_of_size() -> None:
    async with Bench().run_test(size=(40, 20)) as pilot:
        pilot.app.query_one(LogView).show(entries(50))
        await pilot.pause()
        await pilot.resize_terminal(30, 5)
        await pilot.pause()
        assert "line 49" in text(pilot.app)


async def test_a_scrollbar_that_comes_cuts_no_line() -> None:
    async with Bench().run_test(size=(40, 6)) as pilot:
        view = pilot.app.query_one(LogView)
        whole = "x" * (view.scrollable_content_region.width - 11)
        for count in (1, 6, 12):
            view.show([Entry("10:00:00", "info", whole)] * count)
            await pilot.pause()
        shown = text(pilot.app)
        assert view.show_vertical_scrollbar
        assert shown.count("x") == shown.count("10:00:00") * len(whole)


async def test_long_lines_are_wrapped_and_strange_ones_harmless(until: Any) -> None:
    async with Bench().run_test(size=(30, 8)) as pilot:
        view = pilot.app.query_one(LogView)
        view.show([Entry("10:00:00", "warning", "one two three four five \x1b[31msix [bold]seven[/]")])
        await pilot.pause()
        shown = text(pilot.app)
        assert "\x1b" not in shown
        assert "[bold]seven[/]" in shown
        lines = [line for line in shown.split("\n") if line.strip()]
        assert len(lines) > 2
        assert all(line.startswith(" " * 11) for line in lines[1:])
