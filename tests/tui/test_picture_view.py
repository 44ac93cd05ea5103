"""The picture widgets: drawn after a rest, cancelled by the next, letterboxed, and a sentence where there is none."""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from textual.app import App, ComposeResult

from engine.protocol.errors import describe
from engine.protocol.messages import PictureParams
from engine.protocol.records import Picture
from lorabake_tui import i18n
from lorabake_tui.client import ClientError
from lorabake_tui.widgets.contact import PictureGrid
from lorabake_tui.widgets.picture import Item, PictureSource, PictureView, cells, pixel_protocol


@pytest.fixture(autouse=True)
def _english() -> None:
    i18n.use("en")


class Pixels:
    """A source of square noise that keeps count of what it was asked for; `gate` holds its answers back."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.gate = asyncio.Event()
        self.gate.set()

    async def __call__(self, _method: str, params: msgspec.Struct) -> Picture:
        assert isinstance(params, PictureParams)
        self.asked.append(params.file)
        await self.gate.wait()
        if params.file == "gone.png":
            raise ClientError(describe("image_missing", file=params.file))
        side = max(2, min(params.width, params.height) // 2 * 2)
        data = bytes((17 * at) % 256 for at in range(side * side * 3))
        return Picture(width=side, height=side, data=zlib.compress(data))


class Bench(App[None]):
    """One picture, or a row of them, and nothing else."""

    def __init__(self, make: Callable[[PictureSource], Any], pixels: Pixels) -> None:
        super().__init__()
        self.shown = make(PictureSource(pixels))

    def compose(self) -> ComposeResult:
        yield self.shown


def text(app: App[None]) -> list[str]:
    lines = app.screen._compositor.render_strips()
    return ["".join(segment.text for segment in strip) for strip in lines]


async def test_only_the_picture_one_rests_on_is_asked_for(until: Any) -> None:
    pixels = Pixels()
    async with Bench(lambda source: PictureView(source, rest=0.1), pixels).run_test(size=(40, 12)) as pilot:
        view = pilot.app.shown
        for name in ("a.png", "b.png", "c.png", "d.png"):
            view.show(Item("/r", name))
        await until(pilot, lambda: view.painted)
        assert pixels.asked == ["d.png"]


async def test_a_picture_that_comes_late_does_not_cover_the_next(until: Any) -> None:
    pixels = Pixels()
    async with Bench(lambda source: PictureView(source, rest=0.01), pixels).run_test(size=(40, 12)) as pilot:
        view = pilot.app.shown
        pixels.gate.clear()
        view.show(Item("/r", "slow.png"))
        await until(pilot, lambda: pixels.asked == ["slow.png"])
        view.show(None, "nothing here")
        pixels.gate.set()
        await pilot.pause(0.1)
        assert not view.painted
        assert any("nothing here" in line for line in text(pilot.app))


async def test_a_kept_picture_is_shown_again_without_asking(until: Any) -> None:
    pixels = Pixels()
    async with Bench(lambda source: PictureView(source, rest=0.01), pixels).run_test(size=(40, 12)) as pilot:
        view = pilot.app.shown
        for name in ("a.png", "b.png", "a.png"):
            view.show(Item("/r", name))
            await until(pilot, lambda: view.painted)
        assert pixels.asked == ["a.png", "b.png"]
        view.show(Item("/r", "a.png", version=2))
        await until(pilot, lambda: view.painted)
        assert pixels.asked[2:] == ["a.png"]


async def test_it_is_letterboxed_with_its_caption_below(until: Any) -> None:
    async with Bench(lambda source: PictureView(source, rest=0.01, captioned=True), Pixels()).run_test(
        size=(40, 12)
    ) as pilot:
        pilot.app.shown.show(Item("/r", "a.png", "epoch 3 #1"))
        await until(pilot, lambda: pilot.app.shown.painted)
        lines = text(pilot.app)
        drawn = [line for line in lines if "▀" in line]
        assert len(drawn) == 11
        assert all(len(line) == 40 and line[:9].isspace() and line[31:].isspace() for line in drawn)
        assert lines[11].strip() == "epoch 3 #1"


async def test_an_absent_picture_says_so_and_harms_nothing(until: Any) -> None:
    async with Bench(lambda source: PictureView(source, rest=0.01), Pixels()).run_test(size=(60, 5)) as pilot:
        pilot.app.shown.show(Item("/r", "gone.png"))
        await until(pilot, lambda: any("gone.png is no longer in the dataset." in line for line in text(pilot.app)))


async def test_it_is_drawn_anew_for_a_new_size(until: Any) -> None:
    pixels = Pixels()
    async with Bench(lambda source: PictureView(source, rest=0.01), pixels).run_test(size=(40, 12)) as pilot:
        pilot.app.shown.show(Item("/r", "a.png"))
        await until(pilot, lambda: pilot.app.shown.painted)
        await pilot.resize_terminal(60, 20)
        await until(pilot, lambda: pilot.app.shown.painted and sum("▀" in line for line in text(pilot.app)) == 20)


async def test_a_row_of_pictures_is_even(until: Any) -> None:
    async with Bench(lambda source: PictureGrid(source, columns=3, rest=0.01), Pixels()).run_test(
        size=(60, 12)
    ) as pilot:
        grid = pilot.app.shown
        grid.show([Item("/r", f"{n}.png", f"epoch 2 #{n}") for n in (1, 2)], note="none", cursor=1)
        await until(pilot, lambda: grid.painted)
        lines = text(pilot.app)
        assert {view.size.width for view in grid.query(PictureView)} == {19}
        caption = next(line for line in lines if "#1" in line)
        assert caption.split() == ["epoch", "2", "#1", "▸epoch", "2", "#2"]
        assert any("none" in line for line in lines)


@pytest.mark.parametrize("data", [b"", b"no zlib", zlib.compress(b"short"), zlib.compress(b"x" * 100)])
def test_damaged_pixels_paint_nothing(data: bytes) -> None:
    from textual.color import Color

    picture = Picture(width=4, height=4, data=data)
    assert len(cells(picture, Color(0, 0, 0), palette=False)) in (0, 2)


def test_true_pixels_only_where_they_arrive() -> None:
    assert pixel_protocol({"KITTY_WINDOW_ID": "1"}) == "kitty"
    assert pixel_protocol({"TERM": "xterm-ghostty"}) == "kitty"
    assert pixel_protocol({"TERM_PROGRAM": "iTerm.app"}) == "iterm2"
    assert pixel_protocol({"LC_TERMINAL": "iTerm2"}) == "iterm2"
    assert pixel_protocol({"KITTY_WINDOW_ID": "1", "TMUX": "/tmp/x"}) == ""
    assert pixel_protocol({"TERM": "xterm-256color"}) == ""
