"""Confirm: a question that is worth stopping for, since what follows cannot be undone."""

from __future__ import annotations

from textual.app import ComposeResult
from textual.widgets import Static

from lorabake_tui import keys
from lorabake_tui.dialogs.box import Box
from lorabake_tui.widgets.plain import plain


class Confirm(Box[bool]):
    """Returns True for yes (y, or Enter unless `grave`), None otherwise."""

    BINDINGS = [*keys.bindings("dialog"), *keys.bindings("confirm")]
    HINTS = ("confirm.yes", "dialog.cancel")

    def __init__(self, title: str, question: str, *, grave: bool = False) -> None:
        super().__init__(title)
        self._question = question
        self._grave = grave

    def body(self) -> ComposeResult:
        yield Static("\n".join(plain(line) for line in self._question.split("\n")), markup=False)

    def action_yes(self) -> None:
        self.dismiss(True)

    def action_accept(self) -> None:
        if not self._grave:
            self.dismiss(True)
