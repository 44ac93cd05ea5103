"""The Monitor section."""

from __future__ import annotations

from textual.app import ComposeResult

from lorabake_tui import keys
from lorabake_tui.screens.section import Section
from lorabake_tui.widgets.frame import Frame


class MonitorSection(Section, inherit_bindings=False):
    SECTION = "monitor"
    BINDINGS = keys.bindings(SECTION)

    def body(self) -> ComposeResult:
        yield Frame(title="Monitor")
