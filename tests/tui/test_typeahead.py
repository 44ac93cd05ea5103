"""Keys that arrive in one burst take effect in the order they were typed."""

from __future__ import annotations

import asyncio

from textual import events
from textual.screen import Screen
from textual.widgets import Input

from lorabake_tui.typeahead import KeysInOrder


class Entry(Screen[None]):
    """A screen with a field that Enter closes."""

    BINDINGS = [("w", "app.write", "Write")]

    def compose(self):
        yield Input("hello", id="field")

    def on_input_submitted(self, message: Input.Submitted) -> None:
        self.app.written.append(message.value)
        self.app.pop_screen()


class App(KeysInOrder[None]):
    """Opens the field by `w`."""

    BINDINGS = [("w", "write", "Write")]

    def __init__(self) -> None:
        super().__init__()
        self.written: list[str] = []

    def action_write(self) -> None:
        self.push_screen(Entry())


async def _type(app: App, *keys: str) -> None:
    for key in keys:
        character = {"enter": "\r", "backspace": "\x7f"}.get(key, key)
        app.post_message(events.Key(key, character))


async def _until(condition) -> None:
    async with asyncio.timeout(20):
        while not condition():
            await asyncio.sleep(0.01)


async def test_letters_do_not_overtake_the_backspace_before_them() -> None:
    app = App()
    async with app.run_test():
        await _type(app, "w", "a", "backspace", "b", "c", "backspace", "d", "enter")
        await _until(lambda: app.written)
        assert app.written == ["bd"]


async def test_typing_ahead_across_screens() -> None:
    app = App()
    async with app.run_test():
        await _type(app, "w", "1", "enter", "w", "2", "enter", "w", "3", "enter")
        await _until(lambda: len(app.written) == 3)
        assert app.written == ["1", "2", "3"]
