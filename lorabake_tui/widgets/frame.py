"""Frame: a rounded border with a title in it, faint until something inside has the focus."""

from __future__ import annotations

from typing import Self

from textual.containers import Vertical
from textual.content import Content
from textual.geometry import Region

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
        self._titling = False
        self.set_title(title)

    def set_title(self, title: str, subtitle: str | None = None) -> None:
        """Write the title, and the subtitle in the lower edge when given."""
        self._titling = True
        if title != self._titles[0]:
            self.border_title = Content(plain(title))
        if subtitle is not None and subtitle != self._titles[1]:
            self.border_subtitle = Content(plain(subtitle))
        self._titling = False
        self._titles = (title, self._titles[1] if subtitle is None else subtitle)

    def refresh(self, *regions: Region, repaint: bool = True, layout: bool = False, recompose: bool = False) -> Self:
        """As any widget; but a new title paints the edges alone, not the picture or the list between them."""
        if self._titling and self.size:
            (left, top), (width, height) = self.content_offset, self.outer_size
            regions = (Region(-left, -top, width, 1), Region(-left, height - 1 - top, width, 1))
        return super().refresh(*regions, repaint=repaint, layout=layout, recompose=recompose)
