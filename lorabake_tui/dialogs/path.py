"""PathPrompt: asks for a folder or file, listing those that fit what is typed; tab completes."""

from __future__ import annotations

import os
from pathlib import Path

from textual import on, work
from textual.app import ComposeResult
from textual.widgets import Input
from textual.worker import get_current_worker

from lorabake_tui.dialogs.box import Box
from lorabake_tui.i18n import _
from lorabake_tui.widgets.meter import shortened
from lorabake_tui.widgets.plain import plain
from lorabake_tui.widgets.rows import Column, RowList

_MOST = 200


class PathPrompt(Box[str]):
    """Returns a path as typed or completed (~ expanded), or None; after the arrows, Enter completes first."""

    HINTS = ("dialog.accept", "dialog.complete", "dialog.cancel")
    DEFAULT_CSS = """
    PathPrompt {
        & > Frame { width: 96%; max-width: 100; }
        & RowList { height: 10; margin-top: 1; }
    }
    """

    def __init__(self, title: str, value: str = "", *, files: str | tuple[str, ...] = "") -> None:
        super().__init__(title)
        self._value = value
        self._files = files
        self._folders: list[str] = []
        self._chosen = False

    def body(self) -> ComposeResult:
        field = Input(self._value, compact=True, select_on_focus=False)
        field.cursor_blink = False
        yield field
        yield RowList([Column("", 0)], head=False, led=True, empty=_("nothing fits"))

    def on_mount(self) -> None:
        self.query_one(Input).focus()
        self._look(self._value)

    @on(Input.Changed)
    def _typed(self, event: Input.Changed) -> None:
        self._chosen = False
        self._look(event.value)

    @work(thread=True, exclusive=True, exit_on_error=False, group="folders")
    def _look(self, typed: str) -> None:
        worker = get_current_worker()
        found = places(typed, self._files)
        if not worker.is_cancelled:
            self.app.call_from_thread(self._show, found)

    def _show(self, found: list[str]) -> None:
        self._folders = found
        if not self.is_mounted:
            return
        rows = self.query_one(RowList)
        # Of a long path the end tells most.
        room = max(20, rows.size.width - 5)
        told = [shortened(path.rstrip("/"), room) + "/" * path.endswith("/") for path in found]
        rows.show(range(len(found)), lambda row: (told[row],))
        rows.action_first()

    @on(Input.Submitted)
    def _submitted(self, event: Input.Submitted) -> None:
        event.stop()
        if self._chosen:  # the arrows went to another line than the one that is typed
            self.action_complete()
            return
        self.dismiss(os.path.expanduser(event.value.strip()))

    @on(RowList.Selected)
    def _selected(self, event: RowList.Selected) -> None:
        event.stop()
        self.action_complete()

    def action_complete(self) -> None:
        row = self.query_one(RowList).current
        if row is not None:
            field = self.query_one(Input)
            field.value = self._folders[row]
            field.cursor_position = len(field.value)
            field.focus()

    def action_up(self) -> None:
        self._step(-1)

    def action_down(self) -> None:
        self._step(1)

    def _step(self, by: int) -> None:
        self._chosen = bool(self._folders)
        self.query_one(RowList).step(by)


def places(typed: str, files: str | tuple[str, ...] = "") -> list[str]:
    """The folders whose path begins with what is typed, and the files that end in `files`; hidden ones when asked for.

    Names that cannot be typed or printed (control characters, bytes that are no UTF-8) are left out.
    """
    expanded = os.path.expanduser(typed)
    parent, slash, stem = expanded.rpartition("/")
    base = Path(parent + "/") if slash else Path()
    found = []
    try:
        with os.scandir(base) as entries:
            for entry in entries:
                name = entry.name
                hidden = name.startswith(".") and not stem.startswith(".")
                if hidden or not name.lower().startswith(stem.lower()) or plain(name) != name:
                    continue
                if _is_folder(entry):
                    found.append(name + "/")
                elif files and name.lower().endswith(files):
                    found.append(name)
    except OSError:
        return []
    return [str(base / name) + ("/" if name.endswith("/") else "") for name in sorted(found, key=str.lower)[:_MOST]]


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:
        return False
