"""ReportBox: what a long piece of work has to tell, when it is more than a toast."""

from __future__ import annotations

from collections.abc import Sequence

from textual.app import ComposeResult

from lorabake_tui import keys
from lorabake_tui.dialogs.box import Box
from lorabake_tui.widgets.page import Block, Page


class ReportBox(Box[None]):
    """Text to read; Enter and escape close it."""

    BINDINGS = [*keys.bindings("dialog"), *keys.bindings("help")]
    HINTS = ("help.scroll", "dialog.cancel")
    DEFAULT_CSS = """
    ReportBox {
        & > Frame { width: 96%; max-width: 92; height: auto; }
        & Page { height: auto; max-height: 17; min-height: 3; }
    }
    """

    def __init__(self, title: str, blocks: Sequence[Block]) -> None:
        super().__init__(title)
        self._blocks = list(blocks)

    def body(self) -> ComposeResult:
        yield Page(id="report-page", focusable=True)

    def on_mount(self) -> None:
        page = self.query_one(Page)
        page.show(self._blocks)
        page.focus()

    def action_accept(self) -> None:
        self.dismiss(None)

    def action_close(self) -> None:
        self.dismiss(None)

    def action_scroll(self) -> None:
        self.query_one(Page).action_page_down()
