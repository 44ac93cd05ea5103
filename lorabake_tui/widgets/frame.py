"""Frame: a rounded border with a title in it, faint until something inside has the focus."""

from __future__ import annotations

from textual.containers import Vertical
from textual.content import Content

from lorabake_tui.widgets.plain import plain


class Frame(Vertical, can_focus=False, inherit_bindings=False):
    """A titled pane. Titles are plain text: nothing in them is read as markup."""

    DEFAULT_CSS = """
    Frame {
        border: round $border-blurred;
        border-title-color: $text-muted;
        border-title-style: none;
        border-subtitle-color: $text-muted;
        border-subtitle-style: none;
        padding: 0 1;
        &:focus-within {
            border: round $border;
            border-title-color: $foreground;
            border-title-style: bold;
        }
    }
    """

    def __init__(self, *children: object, title: str = "", id: str | None = None, classes: str | None = None):
        super().__init__(*children, id=id, classes=classes)  # type: ignore[arg-type]
        self._titles = ("", "")
        self.set_title(title)

    def set_title(self, title: str, subtitle: str | None = None) -> None:
        """Write the title, and the subtitle in the lower edge when given."""
        # Each assignment repaints the whole pane.
        if title != self._titles[0]:
            self.border_title = Content(plain(title))
        if subtitle is not None and subtitle != self._titles[1]:
            self.border_subtitle = Content(plain(subtitle))
        self._titles = (title, self._titles[1] if subtitle is None else subtitle)
