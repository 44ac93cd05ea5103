"""TagBox: the line that asks, as the tag box needs it: open until escape, with suggestions and images at the arrows."""

from __future__ import annotations

from textual import on
from textual.binding import Binding
from textual.message import Message
from textual.widgets import Input

from lorabake_tui.widgets.ask import AskLine

TOPICS = ("tags", "tags-all")


class TagBox(AskLine, inherit_bindings=False):
    """Enter on something posts `Answered` and leaves the box open; on nothing it closes."""

    BINDINGS = [
        Binding("escape", "drop", show=False),
        Binding("tab", "take(1)", show=False),
        Binding("shift+tab", "take(-1)", show=False),
        Binding("down", "choose(1)", show=False),
        Binding("up", "choose(-1)", show=False),
        Binding("pagedown", "image(1)", show=False),
        Binding("pageup", "image(-1)", show=False),
    ]

    class Key(Message):
        """A key that the section acts on: `take` the suggestion, `choose` another one, go to another `image`."""

        def __init__(self, what: str, by: int = 0) -> None:
            self.what, self.by = what, by
            super().__init__()

    @property
    def text(self) -> str:
        """What is typed."""
        return self.query_one(Input).value

    @property
    def cursor(self) -> int:
        """Where in it the cursor stands."""
        return self.query_one(Input).cursor_position

    def write(self, text: str, cursor: int | None = None) -> None:
        """Put text into the field, the cursor somewhere in it or behind it."""
        field = self.query_one(Input)
        field.value = text
        field.cursor_position = len(text) if cursor is None else cursor

    def action_take(self, by: int) -> None:
        self.post_message(self.Key("take", by))

    def action_choose(self, by: int) -> None:
        self.post_message(self.Key("choose", by))

    def action_image(self, by: int) -> None:
        self.post_message(self.Key("image", by))

    @on(Input.Submitted)
    def _stay_open(self, event: Input.Submitted) -> None:
        if self.topic in TOPICS and event.value.strip():
            event.stop()
            event.prevent_default()
            self.write("")
            self.post_message(self.Answered(self.topic, event.value))
