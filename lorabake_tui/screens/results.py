"""The Results section."""

from __future__ import annotations

from textual.app import ComposeResult

from lorabake_tui import keys
from lorabake_tui.screens.section import Section
from lorabake_tui.widgets.frame import Frame


class ResultsSection(Section, inherit_bindings=False):
    SECTION = "results"
    BINDINGS = keys.bindings(SECTION)

    def body(self) -> ComposeResult:
        yield Frame(title="Results")
