"""Thumbs: the rows of a RowList as a grid of small pictures, asked for in one go once the cursor rests."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Sequence
from functools import partial

from rich.segment import Segment
from rich.style import Style
from textual.filter import ANSIToTruecolor, LineFilter
from textual.geometry import Size
from textual.scroll_view import ScrollView
from textual.strip import Strip
from textual.timer import Timer

from engine.protocol.records import Picture
from lorabake_tui import keys
from lorabake_tui.widgets.picture import cells, centred
from lorabake_tui.widgets.plain import fit, plain
from lorabake_tui.widgets.rows import RowList

REST_SECONDS = 0.15
WIDTH = 18
"""A place is at least this wide: at 80 columns four pictures stand side by side."""
_AT_ONCE = 64
_KEPT = 600

Fetch = Callable[[Sequence[int], int, int], Awaitable[Sequence[Picture | None]]]
"""Rows, width, height in pixels → a picture for each, None where there is none."""
Label = Callable[[int], tuple[str, str]]
"""Row → its text, and its signs that must not be cut off."""


class Thumbs(ScrollView, can_focus=True, inherit_bindings=False):
    """A grid led by the list: cursor, marks and what is shown are the list's, so both can take turns."""

    BINDINGS = keys.bindings("list")
    COMPONENT_CLASSES = {"thumbs--here", "thumbs--blurred", "thumbs--marked", "thumbs--faint"}
    DEFAULT_CSS = """
    Thumbs {
        height: 1fr;
        overflow-x: hidden;
        overflow-y: auto;
        scrollbar-gutter: stable;
        scrollbar-size-vertical: 1;
        &:focus { background-tint: transparent; }
        & > .thumbs--here { background: $block-cursor-background; color: $block-cursor-foreground; text-style: bold; }
        & > .thumbs--blurred { background: $block-cursor-blurred-background; }
        & > .thumbs--marked { color: $primary; text-style: bold; }
        & > .thumbs--faint { color: $text-muted; }
    }
    """

    def __init__(self, rows: RowList, fetch: Fetch, label: Label, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._rows, self._fetch, self._label = rows, fetch, label
        self._painted: OrderedDict[int, list[Strip]] = OrderedDict()
        self._timer: Timer | None = None
        self._size_of_place = (0, 0)

    # -- what is shown ----------------------------------------------------------------------------------------

    @property
    def columns(self) -> int:
        """How many pictures stand side by side."""
        return max(1, self.scrollable_content_region.width // WIDTH)

    def forget(self, rows: Sequence[int] | None = None) -> None:
        """These rows (None: all) look different from now on."""
        for row in list(self._painted) if rows is None else rows:
            self._painted.pop(row, None)
        self.follow()

    def follow(self) -> None:
        """Show what the list shows, around its cursor."""
        if not self.display or not self.size:
            return
        width, high = self._place()
        if (width, high) != self._size_of_place:
            self._size_of_place = (width, high)
            self._painted.clear()
        lines = -(-len(self._rows.shown) // self.columns)
        self.virtual_size = Size(self.scrollable_content_region.width, lines * high)
        top = self._rows.cursor // self.columns * high
        page = self.scrollable_content_region.height
        scroll = round(self.scroll_y)
        if top < scroll:
            self.scroll_to(y=top, animate=False, force=True, immediate=True)
        elif top + high > scroll + page:
            self.scroll_to(y=top + high - page, animate=False, force=True, immediate=True)
        self.refresh()
        self._rest()

    @property
    def complete(self) -> bool:
        """Whether every picture on the screen has been drawn."""
        return all(row in self._painted for row in self._visible())

    def on_resize(self) -> None:
        self.follow()

    def _place(self) -> tuple[int, int]:
        """Width and height of a place in cells: a square picture, a line for its name, a gap at the right."""
        width = self.scrollable_content_region.width // self.columns
        return width, (width - 1) // 2 + 1

    def _visible(self) -> list[int]:
        _width, high = self._place()
        first = round(self.scroll_y) // high * self.columns
        last = (round(self.scroll_y) + self.scrollable_content_region.height + high - 1) // high * self.columns
        return [self._rows.shown[place] for place in range(first, min(last, len(self._rows.shown)))]

    # -- drawing ----------------------------------------------------------------------------------------------

    def _rest(self) -> None:
        if self._timer is not None:
            self._timer.stop()
        self._timer = self.set_timer(REST_SECONDS, self._begin)

    def _begin(self) -> None:
        if self.display and self.is_attached:
            self.run_worker(self._draw, exclusive=True, exit_on_error=False, group="thumbs")

    async def _draw(self) -> None:
        while wanted := [row for row in self._visible() if row not in self._painted][:_AT_ONCE]:
            width, high = place = self._place()
            pictures = await self._fetch(wanted, width - 1, (high - 1) * 2)
            if place != self._size_of_place or len(pictures) != len(wanted):
                return
            ground, palette = self.background_colors[1], self.app.console.color_system == "256"
            for row, picture in zip(wanted, pictures, strict=True):
                paint = partial(cells, picture, ground, palette=palette) if picture is not None else list[Strip]
                self._painted[row] = await asyncio.to_thread(paint)
            while len(self._painted) > _KEPT:
                self._painted.popitem(last=False)
            self.refresh()

    def get_line_filters(self) -> Sequence[LineFilter]:
        """Without the filter that makes ANSI colours true: the palette's numbers are meant."""
        return [filter for filter in super().get_line_filters() if not isinstance(filter, ANSIToTruecolor)]

    def render_line(self, y: int) -> Strip:
        base = self.rich_style
        total = self.scrollable_content_region.width
        width, high = self._place()
        line, within = divmod(y + round(self.scroll_y), high)
        segments: list[Segment] = []
        for column in range(self.columns):
            place = line * self.columns + column
            if place >= len(self._rows.shown):
                break
            segments += self._piece(place, within, width - 1, high, base)
            segments.append(Segment(" ", base))
        if not self._rows.shown and not y:
            segments = [Segment(plain(self._rows.empty), self.get_component_rich_style("thumbs--faint"))]
        return Strip(segments).adjust_cell_length(total, base)

    def _piece(self, place: int, within: int, width: int, high: int, base: Style) -> list[Segment]:
        """Line `within` of one place: of its picture, or the one with its name below."""
        row = self._rows.shown[place]
        if within == high - 1:
            return self._caption_of(row, place == self._rows.cursor, width, base)
        strips = self._painted.get(row)
        if strips is None:
            note = "·" if within == (high - 1) // 2 else ""
            return [Segment(centred(note, width), self.get_component_rich_style("thumbs--faint"))]
        at = within - (high - 1 - len(strips)) // 2
        if not 0 <= at < len(strips):
            note = "—" if not strips and within == (high - 1) // 2 else ""
            return [Segment(centred(note, width), self.get_component_rich_style("thumbs--faint"))]
        left = (width - strips[at].cell_length) // 2
        right = width - left - strips[at].cell_length
        return [Segment(" " * left, base), *strips[at], Segment(" " * right, base)]

    def _caption_of(self, row: int, here: bool, width: int, base: Style) -> list[Segment]:
        text, signs = self._label(row)
        marked = row in self._rows.marks
        look = base
        if here:
            look = self.get_component_rich_style("thumbs--here" if self.has_focus else "thumbs--blurred")
        mark = self.get_component_rich_style("thumbs--marked", partial=True)
        edge = ("▌" if here and self.has_focus else " ") + ("●" if marked else " ")
        room = max(0, width - 2 - len(signs))
        bar = Segment(edge, look + Style(color=mark.color, bold=True))
        return [bar, Segment(fit(plain(text), room) + signs, look)]

    # -- keys -------------------------------------------------------------------------------------------------

    def step(self, by: int) -> None:
        """Move the cursor by some pictures."""
        self._rows.step(by)

    def action_down(self) -> None:
        if self._rows.cursor + self.columns < len(self._rows.shown):
            self.step(self.columns)

    def action_up(self) -> None:
        if self._rows.cursor >= self.columns:
            self.step(-self.columns)

    def action_page_down(self) -> None:
        self.step(self._page * self.columns)

    def action_page_up(self) -> None:
        self.step(-self._page * self.columns)

    @property
    def _page(self) -> int:
        return max(1, self.scrollable_content_region.height // self._place()[1])

    def action_first(self) -> None:
        self._rows.action_first()

    def action_last(self) -> None:
        self._rows.action_last()

    def action_select(self) -> None:
        self._rows.action_select()

    async def _on_click(self, event: object) -> None:
        x, y = getattr(event, "x", 0), getattr(event, "y", 0)
        width, high = self._place()
        place = (y + round(self.scroll_y)) // high * self.columns + min(self.columns - 1, x // width)
        if place < len(self._rows.shown):
            self.step(place - self._rows.cursor)
