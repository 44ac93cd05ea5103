"""FilterLine: the line that asks, with a key to complete what is typed and keys for what was typed before."""

from __future__ import annotations

from textual.binding import Binding
from textual.message import Message
from textual.widgets import Input

from lorabake_tui.widgets.ask import AskLine


class FilterLine(AskLine, inherit_bindings=False):
    """Only while it asks for `TOPIC` do the keys mean something; the section acts on them."""

    TOPIC = "filter"
    BINDINGS = [
        Binding("escape", "drop", show=False),
        Binding("tab", "take(1)", show=False),
        Binding("shift+tab", "take(-1)", show=False),
        Binding("up", "earlier(1)", show=False),
        Binding("down", "earlier(-1)", show=False),
    ]

    class Key(Message):
        """`take` the next suggestion, or go to an `earlier` line; `by` is -1 for the way back."""

        def __init__(self, what: str, by: int) -> None:
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

    def write(self, text: str, cursor: int) -> None:
        """Put text into the field and the cursor somewhere in it."""
        field = self.query_one(Input)
        field.value = text
        field.cursor_position = cursor

    def action_take(self, by: int) -> None:
        if self.topic == self.TOPIC:
            self.post_message(self.Key("take", by))

    def action_earlier(self, by: int) -> None:
        if self.topic == self.TOPIC:
            self.post_message(self.Key("earlier", by))
