"""Box: a framed modal screen with a title, a body and a line of its own keys; escape closes it with None."""

from __future__ import annotations

from typing import ClassVar, Generic, TypeVar

from textual.app import ComposeResult
from textual.screen import ModalScreen

from lorabake_tui import keys
from lorabake_tui.i18n import _
from lorabake_tui.widgets.frame import Frame
from lorabake_tui.widgets.status import HintLine

T = TypeVar("T")


class Box(ModalScreen[T | None], Generic[T], inherit_bindings=False):
    """A dialog. Subclasses yield their widgets in `body` and name the `keys.DIALOG` actions of their hint line."""

    BINDINGS = keys.bindings("dialog")
    HINTS: ClassVar[tuple[str, ...]] = ("dialog.accept", "dialog.cancel")
    DEFAULT_CSS = """
    Box {
        align: center middle;
        background: $background 70%;
        & > Frame {
            width: 72;
            max-width: 96%;
            height: auto;
            max-height: 90%;
            background: $surface;
        }
        & HintLine { background: $surface; margin-top: 1; }
        & Input { background: $panel; }
        & RowList { background: $surface; }
    }
    """

    def __init__(self, title: str) -> None:
        super().__init__()
        self._title = title

    def compose(self) -> ComposeResult:
        with Frame(title=self._title):
            yield from self.body()
            yield HintLine()

    def body(self) -> ComposeResult:
        """The widgets of the dialog."""
        yield from ()

    def on_mount(self) -> None:
        self.query_one(HintLine).tell([(keys.find(name).key, _(keys.find(name).verb)) for name in self.HINTS])

    def action_cancel(self) -> None:
        self.dismiss(None)

    def action_accept(self) -> None:
        """Enter where no widget took it."""

    def action_up(self) -> None:
        """The row above, where there is a list."""

    def action_down(self) -> None:
        """The row below, where there is a list."""

    def action_complete(self) -> None:
        """Complete what is being typed, where that is possible."""
