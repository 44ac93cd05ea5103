"""Picker: a list to choose from, narrowed by typing; the palette and every popup of choices are one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from rich.cells import cell_len
from textual import on
from textual.app import ComposeResult
from textual.widgets import Input

from lorabake_tui.dialogs.box import Box
from lorabake_tui.i18n import _
from lorabake_tui.widgets.rows import Cell, Column, RowList


class Option(NamedTuple):
    """A value, how it is called, a note beside it, and other words by which typing finds it."""

    value: Any
    label: str
    note: str = ""
    words: str = ""
    dim: bool = False


class Picker(Box[Any]):
    """Returns the value of the option chosen, or None. `value` is where the cursor begins."""

    HINTS = ("dialog.accept", "dialog.cancel")
    DEFAULT_CSS = """
    Picker {
        & > Frame { height: auto; }
        & RowList { height: auto; margin-top: 1; }
    }
    """

    def __init__(self, title: str, options: Sequence[Option], *, value: Any = None, typed: bool | None = None) -> None:
        super().__init__(title)
        self._options = list(options)
        self._value = value
        self._typed = len(options) > 8 if typed is None else typed

    def body(self) -> ComposeResult:
        if self._typed:
            field = Input(compact=True, placeholder=_("type to find"))
            field.cursor_blink = False
            yield field
        labels = max((cell_len(option.label) for option in self._options), default=1)
        notes = any(option.note for option in self._options)
        columns = [Column("", min(labels, 40)), Column("", 0)] if notes else [Column("", 0)]
        yield RowList(columns, head=False, led=True, empty=_("nothing fits"))

    def on_mount(self) -> None:
        rows = self.query_one(RowList)
        rows.show(range(len(self._options)), self._cells)
        chosen = next((n for n, option in enumerate(self._options) if option.value == self._value), 0)
        rows.styles.height = max(1, min(16, len(self._options), self.app.size.height * 6 // 10))
        self.call_after_refresh(rows.go_to, chosen)
        self.query_one(Input).focus() if self._typed else rows.focus()

    def _cells(self, row: int) -> Sequence[Cell]:
        option = self._options[row]
        return ((option.label, "row--dim" if option.dim else ""), (option.note, "row--dim"))

    @on(Input.Changed)
    def _narrow(self, event: Input.Changed) -> None:
        rows = self.query_one(RowList)
        rows.show(ranked(self._options, event.value))
        rows.action_first()

    @on(Input.Submitted)
    def _submitted(self, event: Input.Submitted) -> None:
        event.stop()
        self.action_accept()

    @on(RowList.Selected)
    def _selected(self, event: RowList.Selected) -> None:
        event.stop()
        self.dismiss(self._options[event.row].value)

    def action_accept(self) -> None:
        row = self.query_one(RowList).current
        if row is not None:
            self.dismiss(self._options[row].value)

    def action_up(self) -> None:
        self.query_one(RowList).step(-1)

    def action_down(self) -> None:
        self.query_one(RowList).step(1)


def ranked(options: Sequence[Option], typed: str) -> list[int]:
    """The options that hold every typed word, those whose label begins with it first."""
    words = typed.lower().split()
    found = []
    for number, option in enumerate(options):
        label = option.label.lower()
        text = f"{label} {option.note} {option.words}".lower()
        if all(word in text for word in words):
            rank = 0 if not words or label.startswith(words[0]) else 1 if words[0] in label else 2
            found.append((rank, number))
    return [number for _rank, number in sorted(found)]
