"""The Queue section."""

from __future__ import annotations

from textual.app import ComposeResult

from lorabake_tui import keys
from lorabake_tui.screens.section import Section
from lorabake_tui.widgets.frame import Frame


class QueueSection(Section, inherit_bindings=False):
    SECTION = "queue"
    BINDINGS = keys.bindings(SECTION)

    def body(self) -> ComposeResult:
        yield Frame(title="Queue")
