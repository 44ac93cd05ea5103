"""Page: text to read: headings, paragraphs, key lists and facts, wrapped by cells and scrolled."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rich.cells import cell_len
from rich.segment import Segment
from textual.binding import Binding
from textual.geometry import Size
from textual.scroll_view import ScrollView
from textual.strip import Strip

from lorabake_tui.widgets.plain import clip, fit, plain, wrap


@dataclass(frozen=True, slots=True)
class Head:
    """A heading."""

    text: str


@dataclass(frozen=True, slots=True)
class Text:
    """A paragraph; `look` is "", "faint", "warn", "error" or "good"."""

    text: str
    look: str = ""


@dataclass(frozen=True, slots=True)
class Pair:
    """A term and its explanation; the terms of a page share one column."""

    term: str
    text: str


@dataclass(frozen=True, slots=True)
class Fact:
    """A name and a figure, the figure at the right edge."""

    name: str
    figure: str
    look: str = ""


Block = Head | Text | Pair | Fact
_Run = tuple[str, str]


class Page(ScrollView, can_focus=False, inherit_bindings=False):
    """Shows blocks. It takes no focus unless made with `focusable`; then the list's keys scroll it.

    One that is `clipped` shows what has room and never scrolls: its owner's other panes need no new layout for it.
    """

    BINDINGS = [
        Binding("j,down", "scroll_down", show=False),
        Binding("k,up", "scroll_up", show=False),
        Binding("pagedown,ctrl+d,ctrl+f,space", "page_down", show=False),
        Binding("pageup,ctrl+u", "page_up", show=False),
        Binding("g,home", "scroll_home", show=False),
        Binding("G,end", "scroll_end", show=False),
    ]
    COMPONENT_CLASSES = {
        "page--head",
        "page--faint",
        "page--warn",
        "page--error",
        "page--good",
        "page--term",
        "page--strong",
    }
    DEFAULT_CSS = """
    Page {
        height: 1fr;
        overflow-x: hidden;
        scrollbar-gutter: stable;
        scrollbar-size-vertical: 1;
        & > .page--head { text-style: bold; }
        & > .page--term { text-style: bold; }
        & > .page--strong { text-style: bold; }
        & > .page--faint { color: $text-muted; }
        & > .page--warn { color: $warning; }
        & > .page--error { color: $error; }
        & > .page--good { color: $success; }
    }
    """

    def __init__(self, *, id: str | None = None, focusable: bool = False, clipped: bool = False) -> None:
        super().__init__(id=id)
        self.can_focus = focusable
        self._clipped = clipped
        self._blocks: list[Block] = []
        self._lines: list[list[_Run]] = []
        self._laid_out = 0

    def show(self, blocks: Sequence[Block]) -> None:
        """Show these blocks from their beginning; nothing happens when they are the ones shown."""
        if list(blocks) == self._blocks:
            return
        self._blocks = list(blocks)
        self._lay_out()
        if not self._clipped:
            self.scroll_to(y=0, animate=False)

    def on_resize(self) -> None:
        if self.scrollable_content_region.width != self._laid_out:
            self._lay_out()

    def _lay_out(self) -> None:
        width = self._laid_out = self.scrollable_content_region.width
        if width <= 0:
            return
        terms = max((cell_len(block.term) for block in self._blocks if isinstance(block, Pair)), default=0)
        self._lines = []
        for block in self._blocks:
            self._lines += _lines(block, width, min(terms, width // 2))
        if not self._clipped:
            self.virtual_size = Size(width, len(self._lines))
        self.refresh()

    def render_line(self, y: int) -> Strip:
        width = self.scrollable_content_region.width
        number = y + self.scroll_offset.y
        base = self.rich_style
        runs = self._lines[number] if number < len(self._lines) else []
        if self._clipped and y == self.size.height - 1 and number + 1 < len(self._lines):
            text, look = runs[-1] if runs else ("", "")
            room = width - sum(cell_len(before) for before, _look in runs[:-1])
            runs = [*runs[:-1], (clip(text.rstrip() + "…", room), look)]
        styles = [self.get_component_rich_style(f"page--{look}") if look else base for _text, look in runs]
        segments = [Segment(text, style) for (text, _look), style in zip(runs, styles, strict=True)]
        return Strip(segments).adjust_cell_length(width, base)


def _lines(block: Block, width: int, terms: int) -> list[list[_Run]]:
    match block:
        case Head(text):
            return [[(line, "head")] for line in wrap(_safe(text), width)]
        case Text(text, look):
            return [[(line, look)] for part in _safe(text).split("\n") for line in _paragraph(part, width)]
        case Pair(term, text):
            body = wrap(_safe(text), max(8, width - terms - 2))
            heads = [fit(plain(term), terms), *[" " * terms] * (len(body) - 1)]
            return [[(head, "term"), ("  " + line, "")] for head, line in zip(heads, body, strict=True)]
        case Fact(name, figure, look):
            figure = clip(plain(figure), width - 2)
            room = width - cell_len(figure) - 1
            return [[(fit(plain(name), room) + " ", "faint"), (figure, look)]]


def _paragraph(text: str, width: int) -> list[str]:
    if not text.startswith("- "):
        return wrap(text, width)
    return [("• " if not number else "  ") + line for number, line in enumerate(wrap(text[2:], width - 2))]


def _safe(text: str) -> str:
    return "\n".join(plain(line) for line in text.split("\n"))
