"""LogView: lines of text with a time and a tone, wrapped, newest below, following the end until scrolled away."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from rich.segment import Segment
from textual.geometry import Size
from textual.scroll_view import ScrollView
from textual.strip import Strip

from lorabake_tui import keys
from lorabake_tui.widgets.plain import fit, plain, wrap

_SIGNS = {"info": "·", "good": "✓", "warning": "!", "error": "✗"}


class Entry(NamedTuple):
    """One message: time of day as text, level (info, good, warning, error), words."""

    time: str
    level: str
    text: str


class LogView(ScrollView, can_focus=True, inherit_bindings=False):
    """Shows entries; painted line by line, so that thousands cost what the visible ones do."""

    # Enter is left to the section.
    BINDINGS = [binding for binding in keys.bindings("list") if binding.id != "list.select"]
    COMPONENT_CLASSES = {"log--info", "log--good", "log--warning", "log--error", "log--time"}
    DEFAULT_CSS = """
    LogView {
        height: 1fr;
        overflow-x: hidden;
        overflow-y: auto;
        &:focus { background-tint: transparent; }
        & > .log--good { color: $success; }
        & > .log--warning { color: $warning; }
        & > .log--error { color: $error; }
        & > .log--time { color: $text-muted; }
    }
    """

    def __init__(self, id: str | None = None) -> None:
        super().__init__(id=id)
        self._entries: list[Entry] = []
        self._lines: list[tuple[str, str, str]] = []
        self._wrapped_to = 0
        self._following = True

    def show(self, entries: Sequence[Entry]) -> None:
        """Show these entries; those that follow the ones shown already are appended, which is cheap."""
        shown = len(self._entries)
        if len(entries) >= shown and list(entries[:shown]) == self._entries:
            new = list(entries[shown:])
            if not new:
                return
            self._entries += new
            self._append(new)
        else:
            self._entries = list(entries)
            self._rewrap()
        self._settle()

    def _rewrap(self) -> None:
        self._lines = []
        self._append(self._entries)

    def _append(self, entries: Sequence[Entry]) -> None:
        width = self._wrapped_to = max(8, self.scrollable_content_region.width - 11)
        for time, level, text in entries:
            first, *rest = wrap(plain(text), width)
            self._lines.append((time, level, first))
            self._lines += [("", level, line) for line in rest]

    def _settle(self) -> None:
        self.virtual_size = Size(self.scrollable_content_region.width, len(self._lines))
        if self._following:
            self.scroll_end(animate=False, force=True, immediate=True)
        self.refresh()

    def watch_show_vertical_scrollbar(self) -> None:
        """The scrollbar takes a column from lines that were wrapped without it; the size stays, so no resize tells."""
        self.call_next(self.on_resize)

    def on_resize(self) -> None:
        if self._wrapped_to != max(8, self.scrollable_content_region.width - 11):
            self._rewrap()
        self._settle()

    def render_line(self, y: int) -> Strip:
        width, base = self.scrollable_content_region.width, self.rich_style
        place = y + self.scroll_offset.y
        if not 0 <= place < len(self._lines):
            return Strip.blank(width, base)
        time, level, text = self._lines[place]
        tone = self.get_component_rich_style(f"log--{level}")
        sign = _SIGNS.get(level, "·") if time else " "
        segments = [
            Segment(fit(time, 8) + " ", self.get_component_rich_style("log--time")),
            Segment(sign + " ", tone),
            Segment(text, tone if level in ("warning", "error") else base),
        ]
        return Strip(segments).adjust_cell_length(width, base)

    def on_mouse_scroll_down(self) -> None:
        self.action_down()

    def on_mouse_scroll_up(self) -> None:
        self.action_up()

    def action_down(self) -> None:
        self._go(self.scroll_offset.y + 1)

    def action_up(self) -> None:
        self._go(self.scroll_offset.y - 1)

    def action_page_down(self) -> None:
        self._go(self.scroll_offset.y + max(1, self.size.height - 1))

    def action_page_up(self) -> None:
        self._go(self.scroll_offset.y - max(1, self.size.height - 1))

    def action_first(self) -> None:
        self._go(0)

    def action_last(self) -> None:
        self._go(len(self._lines))

    def _go(self, line: int) -> None:
        """Scroll by hand; away from the end the view stays put while lines come, back at it it follows again."""
        line = min(self.max_scroll_y, max(0, line))
        self._following = line >= self.max_scroll_y
        self.scroll_to(y=line, animate=False, force=True, immediate=True)
