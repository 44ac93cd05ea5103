"""Settings: a few choices on one small sheet, changed with the arrows, answered all at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from rich.cells import cell_len
from textual import events, on
from textual.app import ComposeResult
from textual.widgets import Static

from lorabake_tui import keys
from lorabake_tui.dialogs.box import Box
from lorabake_tui.i18n import _
from lorabake_tui.widgets.plain import plain
from lorabake_tui.widgets.rows import Cell, Column, RowList


@dataclass(frozen=True, slots=True)
class Setting:
    """One row: (value, label) choices, and the characters with which another value may be typed ("" for none)."""

    id: str
    label: str
    options: Sequence[tuple[str, str]] = ()
    value: str = ""
    typed: str = ""
    hint: str = ""


Note = Callable[[dict[str, str]], tuple[str, bool]]
"""The values → a sentence on what they will do, and whether they cannot be used."""

_TAIL = 44
"""So many characters of a value are seen while one writes at its end."""

ANYTHING = "*"
"""As `Setting.typed`: every printable character."""


class Settings(Box[dict[str, str]]):
    """Returns the values by id, or None. `note` speaks of them below the rows and may keep Enter from accepting."""

    BINDINGS = [*keys.bindings("dialog"), *keys.bindings("settings")]
    HINTS = ("dialog.accept", "settings.next", "dialog.down", "dialog.cancel")
    DEFAULT_CSS = """
    Settings {
        & RowList { height: auto; }
        & #settings-note { margin-top: 1; height: 2; color: $text-muted; }
        & #settings-note.-wrong { color: $error; }
    }
    """

    def __init__(self, title: str, settings: Sequence[Setting], note: Note | None = None) -> None:
        super().__init__(title)
        self._settings = list(settings)
        self._values = {one.id: one.value or (one.options[0][0] if one.options else "") for one in settings}
        self._note = note
        self._typing = ""

    def body(self) -> ComposeResult:
        width = max(cell_len(one.label) for one in self._settings) + 1
        yield RowList([Column("", width), Column("")], head=False, led=True)
        yield Static(id="settings-note", markup=False)

    def on_mount(self) -> None:
        rows = self.query_one(RowList)
        rows.show(range(len(self._settings)), self._cells)
        rows.styles.height = len(self._settings)
        rows.focus()
        self._say()

    def _cells(self, row: int) -> Sequence[Cell]:
        one = self._settings[row]
        value = self._values[one.id]
        label = next((label for known, label in one.options if known == value), value)
        typing = "▏" if self._typing == one.id else ""
        if typing:
            # What is being written stays in view.
            label = label[-_TAIL:]
        here = row == self.query_one(RowList).cursor
        shown = f"‹ {label} ›" if here and len(one.options) > 1 and not typing else f"  {label}{typing}"
        cells: tuple[Cell, Cell] = ((one.label, "row--dim"), (shown, "" if value else "row--dim"))
        return cells if label or typing else (cells[0], ("  " + one.hint, "row--dim"))

    def _say(self) -> bool:
        """Write the note; whether the values can be used."""
        text, wrong = self._note(self._values) if self._note is not None else ("", False)
        note = self.query_one("#settings-note", Static)
        note.update(plain(text))
        note.set_class(wrong, "-wrong")
        return not wrong

    @on(RowList.Highlighted)
    def _moved(self) -> None:
        self._typing = ""
        self.query_one(RowList).restyle()

    @property
    def _here(self) -> Setting:
        return self._settings[self.query_one(RowList).cursor]

    def put(self, id: str, value: str) -> None:
        """Give a row another value."""
        self._values[id] = value
        self.query_one(RowList).restyle()
        self._say()

    def on_key(self, event: events.Key) -> None:
        """Type a value of one's own, where the row takes one."""
        one = self._here
        value = self._values[one.id]
        character = event.character or ""
        if event.key == "backspace" and one.typed:
            self._typing = self._typing or one.id
            self.put(one.id, value[:-1])
        elif one.typed and event.is_printable and (one.typed == ANYTHING or character in one.typed):
            value = value if self._typing == one.id or one.typed == ANYTHING else ""
            self._typing = one.id
            self.put(one.id, value + character)
        else:
            return
        event.stop()
        event.prevent_default()

    def action_next(self) -> None:
        self._turn(1)

    def action_previous(self) -> None:
        self._turn(-1)

    def _turn(self, by: int) -> None:
        values = [value for value, _label in self._here.options]
        if not values:
            return
        self._typing = ""
        value = self._values[self._here.id]
        place = values.index(value) + by if value in values else 0
        self.put(self._here.id, values[place % len(values)])

    @on(RowList.Selected)
    def _selected(self, event: RowList.Selected) -> None:
        event.stop()
        self.action_accept()

    def action_accept(self) -> None:
        if self._say():
            self.dismiss(dict(self._values))

    def action_up(self) -> None:
        self.query_one(RowList).step(-1)

    def action_down(self) -> None:
        self.query_one(RowList).step(1)


def yes_no(id: str, label: str, *, value: bool = False) -> Setting:
    """A row that is on ("1") or off ("")."""
    on_off = [("1", _("yes")), ("", _("no"))]
    return Setting(id, label, on_off if value else on_off[::-1], "1" if value else "")
