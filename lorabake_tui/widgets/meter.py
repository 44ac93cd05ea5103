"""One-line widgets of numbers: a progress bar with ticks, and a line of named facts that drops what does not fit."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from rich.cells import cell_len
from rich.segment import Segment
from textual.strip import Strip
from textual.widget import Widget

from lorabake_tui.widgets.plain import clip, plain
from lorabake_tui.widgets.status import Line, Run


class Meter(Widget, can_focus=False, inherit_bindings=False):
    """A bar from 0 to 1 with ticks (the ends of epochs) and its percentage at the right."""

    COMPONENT_CLASSES = {"meter--done", "meter--rest", "meter--warn", "meter--error", "meter--good"}
    DEFAULT_CSS = """
    Meter {
        height: 1;
        width: 1fr;
        & > .meter--done { color: $secondary; }
        & > .meter--good { color: $success; }
        & > .meter--warn { color: $warning; }
        & > .meter--error { color: $error; }
        & > .meter--rest { color: $border-blurred; }
    }
    """

    def __init__(self, id: str | None = None) -> None:
        super().__init__(id=id)
        self._share, self._ticks, self._tone = 0.0, (), "done"

    def tell(self, share: float, ticks: Sequence[float] = (), tone: str = "done") -> None:
        """Show a share from 0 to 1; `tone` is done, good, warn or error."""
        new = (min(1.0, max(0.0, share)), tuple(ticks), tone)
        if new != (self._share, self._ticks, self._tone):
            self._share, self._ticks, self._tone = new
            self.refresh()

    def render_line(self, y: int) -> Strip:
        width = self.size.width
        label = f" {int(self._share * 100 + 1e-9):3d} %"
        room = max(1, width - len(label))
        # Half cells: a bar of 40 cells moves every 1.25 %.
        halves = round(self._share * room * 2)
        full, half = divmod(halves, 2)
        # Ticks closer than three cells would only be a pattern.
        ticks = {round(tick * room) - 1 for tick in self._ticks if 0 < tick < 1}
        if len(ticks) > room // 3:
            ticks = set()
        done = "".join("┿" if cell in ticks else "━" for cell in range(full)) + ("╸" if half else "")
        rest = "".join("┼" if cell in ticks else "─" for cell in range(len(done), room))
        segments = [
            Segment(done, self.get_component_rich_style(f"meter--{self._tone}")),
            Segment(rest, self.get_component_rich_style("meter--rest")),
            Segment(label, self.rich_style),
        ]
        return Strip(segments).adjust_cell_length(width, self.rich_style)


class Fact(NamedTuple):
    """A value and what it is called; `tone` as in `states` ("" for the plain foreground)."""

    name: str
    value: str
    tone: str = ""


class FactLine(Line):
    """`name value  name value …`: values stand out, and the last ones are dropped whole where room ends."""

    DEFAULT_CSS = """
    FactLine {
        & > .line--dim { color: $text-muted; }
        & > .line--good { color: $success; }
        & > .line--warn { color: $warning; }
        & > .line--error { color: $error; }
        & > .line--key { text-style: bold; }
    }
    """

    def __init__(self, id: str | None = None, classes: str | None = None) -> None:
        super().__init__(id=id, classes=classes)
        self._facts: list[Fact] = []

    def tell(self, facts: Sequence[Fact]) -> None:
        """Show these facts, the most important first."""
        if list(facts) != self._facts:
            self._facts = list(facts)
            self.refresh()

    def pieces(self, width: int) -> list[Run]:
        pieces: list[Run] = []
        used = 0
        for name, value, tone in self._facts:
            name, value = plain(name), plain(value)
            cost = cell_len(name) + cell_len(value) + (1 if name and value else 0) + (3 if pieces else 0)
            if used + cost > width:
                if pieces:
                    continue
                value = clip(value, max(1, width - cell_len(name) - 1))
            if pieces:
                pieces.append(("   ", ""))
            if name:
                pieces.append((f"{name} " if value else name, "line--dim"))
            pieces.append((value, f"line--{tone}" if tone else ""))
            used += cost
        return pieces


def shortened(path: str, width: int) -> str:
    """A path in at most `width` cells, losing whole folders at its beginning: `…/epochs/03/mira-e03.safetensors`."""
    text = plain(path)
    while cell_len(text) > max(8, width):
        _head, slash, tail = text.removeprefix("…/").lstrip("/").partition("/")
        if not slash:
            return clip(text, max(8, width))
        text = f"…/{tail}"
    return text
