"""Form: named values in one line-API list, with one text field that opens over the value being changed.

It knows rows and their kinds; what the values mean, and whether a text is one, its owner says.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal, NamedTuple

from rich.cells import cell_len
from textual import on
from textual.actions import SkipAction
from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Container
from textual.message import Message
from textual.widgets import Input

from lorabake_tui.widgets.rows import Cell, Column, RowList

VALUE_WIDTH = 22
UNIT_WIDTH = 14
UNITS_FROM = 60


class Entry(NamedTuple):
    """A row. `heading` and `note` rows cannot be reached by the cursor; `faint` values are not set by anyone, what is
    `warned` of works and may not be meant, what is `wrong` does not work."""

    key: str
    label: str
    value: str = ""
    unit: str = ""
    changed: bool = False
    wrong: bool = False
    warned: bool = False
    faint: bool = False
    kind: Literal["value", "long", "heading", "note", "space"] = "value"


class Form(Container, can_focus=False, inherit_bindings=False):
    """A list of entries and their editor."""

    BINDINGS = [Binding("escape", "drop", show=False), Binding("tab,shift+tab", "stay", show=False)]
    DEFAULT_CSS = """
    Form {
        layers: list editor;
        height: 1fr;
        & > RowList { layer: list; height: 1fr; }
        & > Input {
            layer: editor;
            position: absolute;
            display: none;
            background: $panel;
            color: $foreground;
        }
        & > Input.-wrong { color: $error; }
    }
    """

    class Moved(Message):
        """The cursor stands on another entry."""

        def __init__(self, key: str) -> None:
            self.key = key
            super().__init__()

    class Chosen(Message):
        """Enter on an entry."""

        def __init__(self, key: str) -> None:
            self.key = key
            super().__init__()

    class Typed(Message):
        """The text in the editor changed."""

        def __init__(self, key: str, text: str) -> None:
            self.key, self.text = key, text
            super().__init__()

    class Written(Message):
        """Enter in the editor, with a text that passed its check."""

        def __init__(self, key: str, text: str) -> None:
            self.key, self.text = key, text
            super().__init__()

    class Dropped(Message):
        """Escape in the editor."""

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._entries: list[Entry] = []
        self._editing = ""
        self._check: Callable[[str], str] = lambda _text: ""

    def compose(self) -> ComposeResult:
        columns = [
            Column("", 1),
            Column(""),
            Column("", VALUE_WIDTH, right=True, shrinks=True),
            Column("", UNIT_WIDTH, shown_from=UNITS_FROM),
        ]
        rows = RowList(columns, head=False)
        rows.skip = self._unreachable
        yield rows
        field = Input(compact=True, select_on_focus=True)
        field.cursor_blink = False
        yield field

    @property
    def rows(self) -> RowList:
        """The list, which has the keys while nothing is being edited."""
        return self.query_one(RowList)

    @property
    def editing(self) -> bool:
        """Whether the editor is open."""
        return bool(self._editing)

    @property
    def current(self) -> str:
        """The key of the entry under the cursor, "" when there is none."""
        row = self.rows.current
        return self._entries[row].key if row is not None else ""

    def show(self, entries: Sequence[Entry]) -> None:
        """Show these entries; the cursor stays on the entry with the same key."""
        kept = self.current if self._entries else ""
        self._entries = list(entries)
        self.rows.show(range(len(self._entries)), self._cells)
        self.go_to(kept)

    def go_to(self, key: str) -> None:
        """Put the cursor on an entry, if it is shown."""
        for number, entry in enumerate(self._entries):
            if entry.key == key and not self._unreachable(number):
                self.rows.go_to(number)
                return

    def edit(self, text: str, check: Callable[[str], str]) -> None:
        """Open the editor on the current entry. `check` returns what is wrong with a text, "" for nothing."""
        row = self.rows.current
        if row is None:
            return
        entry = self._entries[row]
        self._editing, self._check = entry.key, check
        y = self.rows.cursor - self.rows.scroll_offset.y
        width = self.rows.scrollable_content_region.width
        units = UNIT_WIDTH + 1 if width >= UNITS_FROM else 0
        x = 4 + min(cell_len(entry.label), width // 3) if entry.kind == "long" else width - VALUE_WIDTH - units - 1
        field = self.query_one(Input)
        field.styles.offset = (x, y)
        field.styles.width = (width - x) if entry.kind == "long" else VALUE_WIDTH + 1
        with self.prevent(Input.Changed):
            field.value = text
        field.remove_class("-wrong")
        field.display = True
        field.focus()

    def close(self) -> None:
        """Close the editor and give the keys back to the list."""
        if self._editing:
            self._editing = ""
            self.query_one(Input).display = False
            self.rows.focus()

    def action_drop(self) -> None:
        if not self._editing:
            raise SkipAction
        self.close()
        self.post_message(self.Dropped())

    def action_stay(self) -> None:
        if not self._editing:
            raise SkipAction

    def _unreachable(self, row: int) -> bool:
        return self._entries[row].kind in ("heading", "note", "space")

    def _cells(self, row: int) -> Sequence[Cell]:
        entry = self._entries[row]
        if entry.kind == "heading":
            return ("", (entry.label, "row--head"))
        if entry.kind in ("note", "space"):
            return ("", (entry.label, "row--dim"))
        looks = {"error": entry.wrong, "warn": entry.warned, "strong": entry.changed, "dim": entry.faint}
        look = next((f"row--{name}" for name, is_so in looks.items() if is_so), "")
        sign = ("!", look) if entry.wrong or entry.warned else ("•" if entry.changed else "", "row--marked")
        return (
            sign,
            entry.label,
            (entry.value, look),
            (entry.unit, "row--dim"),
        )

    @on(RowList.Highlighted)
    def _moved(self, event: RowList.Highlighted) -> None:
        event.stop()
        if event.row is not None:
            self.post_message(self.Moved(self._entries[event.row].key))

    @on(RowList.Selected)
    def _chosen(self, event: RowList.Selected) -> None:
        event.stop()
        self.post_message(self.Chosen(self._entries[event.row].key))

    @on(Input.Changed)
    def _typed(self, event: Input.Changed) -> None:
        event.stop()
        if self._editing:
            event.input.set_class(bool(self._check(event.value)), "-wrong")
            self.post_message(self.Typed(self._editing, event.value))

    @on(Input.Submitted)
    def _written(self, event: Input.Submitted) -> None:
        event.stop()
        if self._editing and not self._check(event.value):
            key = self._editing
            self.close()
            self.post_message(self.Written(key, event.value))
