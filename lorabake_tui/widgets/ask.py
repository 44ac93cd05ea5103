"""AskLine: one line at the foot of a section that asks for text, for captions, repeats, filters and searches."""

from __future__ import annotations

from collections.abc import Callable

from rich.cells import cell_len
from textual import on
from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Horizontal
from textual.message import Message
from textual.widgets import Input, Static

from lorabake_tui.widgets.plain import clip, plain


class AskLine(Horizontal, can_focus=False, inherit_bindings=False):
    """Hidden until `ask` is called; then it holds the keys until Enter (`Answered`) or escape (`Dropped`)."""

    BINDINGS = [Binding("escape", "drop", show=False), Binding("tab,shift+tab", "stay", show=False)]
    DEFAULT_CSS = """
    AskLine {
        display: none;
        dock: bottom;
        height: 1;
        background: $surface;
        & > #ask-label { width: auto; padding: 0 1; color: $primary; text-style: bold; }
        & > #ask-note { width: auto; padding: 0 1; color: $text-muted; }
        & > #ask-note.-wrong { color: $error; }
        & > Input { width: 1fr; background: $surface; }
    }
    """

    class Changed(Message):
        """The text changed while asking."""

        def __init__(self, topic: str, text: str) -> None:
            self.topic, self.text = topic, text
            super().__init__()

    class Answered(Message):
        """Enter was pressed."""

        def __init__(self, topic: str, text: str) -> None:
            self.topic, self.text = topic, text
            super().__init__()

    class Dropped(Message):
        """Escape was pressed."""

        def __init__(self, topic: str) -> None:
            self.topic = topic
            super().__init__()

    def __init__(self) -> None:
        super().__init__()
        self.topic = ""
        self._check: Callable[[str], str] | None = None
        self._note = ""

    def compose(self) -> ComposeResult:
        yield Static(id="ask-label", markup=False)
        field = Input(compact=True, select_on_focus=False)
        field.cursor_blink = False
        yield field
        yield Static(id="ask-note", markup=False)

    @property
    def asking(self) -> bool:
        """Whether it is on the screen."""
        return bool(self.topic)

    def ask(
        self,
        topic: str,
        label: str,
        value: str = "",
        *,
        note: str = "",
        check: Callable[[str], str] | None = None,
    ) -> None:
        """Ask for text. `check` returns what is wrong with it ("" for nothing), which keeps Enter from answering."""
        self.topic, self._check, self._note = topic, check, note
        self.query_one("#ask-label", Static).update(plain(label))
        self.say(note)
        field = self.query_one(Input)
        with self.prevent(Input.Changed):
            field.value = value
        field.cursor_position = len(value)
        self.display = True
        field.focus()

    def close(self) -> None:
        """Leave the screen, without a message."""
        self.topic = ""
        self.display = False

    def action_drop(self) -> None:
        topic = self.topic
        self.close()
        self.post_message(self.Dropped(topic))

    def action_stay(self) -> None:
        """Tab stays here: leaving the line half-asked would leave two places with a claim on the keys."""

    @on(Input.Changed)
    def _changed(self, event: Input.Changed) -> None:
        event.stop()
        wrong = self._check(event.value) if self._check else ""
        self.say(wrong or self._note, wrong=bool(wrong))
        self.post_message(self.Changed(self.topic, event.value))

    @on(Input.Submitted)
    def _submitted(self, event: Input.Submitted) -> None:
        event.stop()
        if self._check is not None and self._check(event.value):
            return
        topic = self.topic
        self.close()
        self.post_message(self.Answered(topic, event.value))

    def say(self, text: str, *, wrong: bool = False) -> None:
        """Write a note beside the field; `wrong` colours it."""
        note = self.query_one("#ask-note", Static)
        # The field keeps at least half of the line; of a mistake even the beginning helps.
        room = max(10, self.app.size.width // 2)
        text = plain(text)
        note.update(text if cell_len(text) <= room else clip(text, room) if wrong else "")
        note.set_class(wrong, "-wrong")
