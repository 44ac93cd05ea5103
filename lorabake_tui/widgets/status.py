"""The two lines every section has: section tabs with facts above, key hints below.

Both fit themselves to the width: whole words are dropped, never cut.
"""

from __future__ import annotations

from collections.abc import Sequence

from rich.cells import cell_len
from rich.segment import Segment
from rich.style import Style
from textual.strip import Strip
from textual.widget import Widget

from lorabake_tui.i18n import _
from lorabake_tui.keys import SECTIONS
from lorabake_tui.widgets.plain import clip, plain

Run = tuple[str, str]
"""Text and the component class it is painted with ("" for the line's own style)."""


class Line(Widget, can_focus=False, inherit_bindings=False):
    """One line of styled pieces."""

    DEFAULT_CSS = """
    Line { height: 1; width: 1fr; }
    """
    COMPONENT_CLASSES = {"line--key", "line--dim", "line--here", "line--good", "line--warn", "line--error"}

    def pieces(self, width: int) -> list[Run]:
        """What to paint in `width` cells."""
        raise NotImplementedError

    def render_line(self, y: int) -> Strip:
        base = self.rich_style
        segments = [Segment(text, self._layer(name, base)) for text, name in self.pieces(self.size.width) if text]
        return Strip(segments).adjust_cell_length(self.size.width, base)

    def _layer(self, name: str, base: Style) -> Style:
        return self.get_component_rich_style(name) if name else base


class TopLine(Line):
    """`1 Dataset  2 Tags …` with the current section marked, and what is open and running at the right."""

    DEFAULT_CSS = """
    TopLine {
        background: $panel;
        color: $text-muted;
        & > .line--here { color: $foreground; background: $background; text-style: bold; }
        & > .line--key { color: $text-muted; }
        & > .line--good { color: $success; }
        & > .line--warn { color: $warning; }
        & > .line--error { color: $error; }
    }
    """

    def __init__(self, section: str) -> None:
        super().__init__(id="top-line")
        self.section = section
        self._facts: list[Run] = []

    def tell(self, facts: Sequence[Run]) -> None:
        """Show these facts at the right, the most important one first."""
        if list(facts) != self._facts:
            self._facts = list(facts)
            self.refresh()

    def pieces(self, width: int) -> list[Run]:
        tabs = self._tabs(long=True)
        if _length(tabs) > width:
            tabs = self._tabs(long=False)
        left = _length(tabs)
        facts: list[Run] = []
        for text, style in self._facts:
            text = plain(text)
            room = width - left - _length(facts) - 3
            if cell_len(text) > room:
                # A name may be shortened, a state may not.
                if style or room < 8:
                    continue
                text = clip(text, room)
            facts += [("  ", ""), (text, style)] if facts else [(text, style)]
        gap = width - left - _length(facts) - 1
        return [*tabs, (" " * max(0, gap), ""), *facts]

    def _tabs(self, *, long: bool) -> list[Run]:
        tabs: list[Run] = []
        for number, (section, title) in enumerate(SECTIONS, 1):
            here = section == self.section
            name = f" {number} {_(title)} " if long or here else f" {number} "
            tabs.append((name, "line--here" if here else "line--key"))
        return tabs


class HintLine(Line):
    """Key hints, `key verb`, as many as fit whole; the last rank goes first."""

    DEFAULT_CSS = """
    HintLine {
        color: $text-muted;
        & > .line--key { color: $foreground; text-style: bold; }
    }
    """

    def __init__(self) -> None:
        super().__init__(id="hint-line")
        self._hints: list[tuple[str, str]] = []

    def tell(self, hints: Sequence[tuple[str, str]]) -> None:
        """Show these hints, (key, verb), in order of importance."""
        if list(hints) != self._hints:
            self._hints = list(hints)
            self.refresh()

    def pieces(self, width: int) -> list[Run]:
        pieces: list[Run] = []
        used = 1
        for key, verb in fitting(self._hints, width - 1):
            pieces += [(" ", "") if used == 1 else ("  ", ""), (key, "line--key"), (f" {verb}", "")]
            used = 2
        return pieces


def fitting(hints: Sequence[tuple[str, str]], width: int) -> list[tuple[str, str]]:
    """As many hints as stand whole in `width` cells, taken in order of importance."""
    chosen: list[tuple[str, str]] = []
    for key, verb in hints:
        cost = cell_len(key) + 1 + cell_len(verb) + (2 if chosen else 1)
        if cost > width:
            continue
        width -= cost
        chosen.append((key, verb))
    return chosen


def _length(pieces: Sequence[Run]) -> int:
    return sum(cell_len(text) for text, _style in pieces)
