"""ErrorBox: a failure that needs more room than a toast."""

from __future__ import annotations

from textual.app import ComposeResult
from textual.widgets import Static

from engine.protocol.errors import ErrorInfo
from lorabake_tui import i18n
from lorabake_tui.dialogs.box import Box
from lorabake_tui.i18n import _
from lorabake_tui.widgets.plain import plain


class ErrorBox(Box[None]):
    """Shows message, hint, and what was in the way; Enter and escape close it."""

    HINTS = ("dialog.cancel",)
    DEFAULT_CSS = """
    ErrorBox {
        & #message { color: $error; }
        & #hint { margin-top: 1; }
    }
    """

    def __init__(self, info: ErrorInfo, title: str = "") -> None:
        super().__init__(title or _("That did not work"))
        self._info = info

    def body(self) -> ComposeResult:
        message, hint = i18n.told(self._info)
        yield Static(plain(message), id="message", markup=False)
        yield Static(plain(hint), id="hint", markup=False)

    def action_accept(self) -> None:
        self.dismiss(None)
