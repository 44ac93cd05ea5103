"""Prompt: asks for one line of text."""

from __future__ import annotations

from collections.abc import Callable

from textual import on
from textual.app import ComposeResult
from textual.widgets import Input, Static

from lorabake_tui.dialogs.box import Box
from lorabake_tui.widgets.plain import plain


class Prompt(Box[str]):
    """Returns the text, or None when escape was pressed.

    `check` gets the text and returns what is wrong with it ("" when nothing is); it is shown while typing and
    keeps Enter from closing the dialog. `note` is a quiet line below the field.
    """

    DEFAULT_CSS = """
    Prompt {
        & .note { color: $text-muted; height: auto; }
        & .note.-wrong { color: $error; }
    }
    """

    def __init__(
        self, title: str, value: str = "", *, note: str = "", check: Callable[[str], str] | None = None
    ) -> None:
        super().__init__(title)
        self._value = value
        self._note = note
        self._check = check

    def body(self) -> ComposeResult:
        field = Input(self._value, compact=True, select_on_focus=False)
        field.cursor_blink = False
        yield field
        yield Static(plain(self._note), classes="note", markup=False)

    def on_mount(self) -> None:
        self.query_one(Input).focus()

    @on(Input.Changed)
    def _changed(self, event: Input.Changed) -> None:
        wrong = self._check(event.value) if self._check is not None else ""
        note = self.query_one(".note", Static)
        note.update(plain(wrong or self._note))
        note.set_class(bool(wrong), "-wrong")

    @on(Input.Submitted)
    def _submitted(self, event: Input.Submitted) -> None:
        event.stop()
        if self._check is None or not self._check(event.value):
            self.dismiss(event.value)
