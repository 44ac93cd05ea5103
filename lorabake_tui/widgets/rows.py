"""RowList: a list of any length painted line by line, so that ten thousand rows cost what fifty do.

It knows columns, a cursor, marks and a filter of row numbers. What a row says comes from a function of its owner;
what the keys mean comes from `lorabake_tui.keys`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from rich.cells import cell_len
from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.cache import LRUCache
from textual.geometry import Region, Size
from textual.message import Message
from textual.reactive import reactive
from textual.scroll_view import ScrollView
from textual.strip import Strip

from lorabake_tui import keys
from lorabake_tui.widgets.plain import fit, plain

Cell = str | tuple[str, str]
"""The text of a cell, or (text, component class) such as `("⚠", "row--warn")`."""


class Column(NamedTuple):
    """A column: heading, width in cells (0: shares what is left), alignment, widths of the list that show it.

    One that `shrinks` takes in each row only what its text needs; the rest goes to the columns without a width.
    """

    title: str
    width: int = 0
    right: bool = False
    shown_from: int = 0
    shrinks: bool = False
    hidden_from: int = 10_000


class RowList(ScrollView, can_focus=True, inherit_bindings=False):
    """A list with one row per line.

    Rows are numbered 0 … total-1 by their owner; `shown` is the filtered order. The cursor is a place in `shown`,
    `current` the row there. Cells are painted as plain text, whatever they contain. A `markable` list has a column
    for marks; one that is `led` takes its keys from a field beside it and shows its cursor without the focus.
    """

    BINDINGS = keys.bindings("list")
    COMPONENT_CLASSES = {
        "row--cursor",
        "row--cursor-blurred",
        "row--marked",
        "row--head",
        "row--dim",
        "row--strong",
        "row--warn",
        "row--error",
        "row--good",
        "row--bar",
    }
    DEFAULT_CSS = """
    RowList {
        height: 1fr;
        overflow-x: hidden;
        overflow-y: auto;
        scrollbar-gutter: stable;
        scrollbar-size-vertical: 1;
        &:focus { background-tint: transparent; }
        & > .row--cursor { background: $block-cursor-background; color: $block-cursor-foreground; text-style: bold; }
        & > .row--cursor-blurred { background: $block-cursor-blurred-background; }
        & > .row--marked { color: $primary; text-style: bold; }
        & > .row--head { color: $text-muted; }
        & > .row--dim { color: $text-muted; }
        & > .row--strong { text-style: bold; }
        & > .row--warn { color: $warning; }
        & > .row--error { color: $error; }
        & > .row--good { color: $success; }
        & > .row--bar { color: $secondary; }
    }
    """

    cursor: reactive[int] = reactive(0, repaint=False)

    class Highlighted(Message):
        """The cursor stands on another row; `row` is None when nothing is shown."""

        def __init__(self, rows: RowList, row: int | None) -> None:
            self.rows = rows
            self.row = row
            super().__init__()

        @property
        def control(self) -> RowList:
            return self.rows

        def can_replace(self, message: Message) -> bool:
            return isinstance(message, RowList.Highlighted) and message.rows is self.rows

    class Selected(Message):
        """Enter on a row."""

        def __init__(self, rows: RowList, row: int) -> None:
            self.rows = rows
            self.row = row
            super().__init__()

        @property
        def control(self) -> RowList:
            return self.rows

    def __init__(
        self,
        columns: Sequence[Column],
        *,
        head: bool = True,
        markable: bool = False,
        led: bool = False,
        empty: str = "",
        id: str | None = None,
        classes: str | None = None,
    ) -> None:
        super().__init__(id=id, classes=classes)
        self.columns = tuple(columns)
        self.head = head
        self.markable = markable
        self.led = led
        self.empty = empty
        self.shown: Sequence[int] = range(0)
        self.marks: set[int] = set()
        self.skip: Callable[[int], bool] | None = None
        self._cells: Callable[[int], Sequence[Cell]] = lambda _row: ()
        self._strips: LRUCache[object, Strip] = LRUCache(512)
        self._widths: tuple[int, ...] = ()
        self._palette: dict[str, Style] = {}

    # -- what is shown ----------------------------------------------------------------------------------------

    def show(self, rows: Sequence[int], cells: Callable[[int], Sequence[Cell]] | None = None) -> None:
        """Show these rows in this order; the cursor stays on its row where it still is shown."""
        kept = self.current
        if cells is not None:
            self._cells = cells
        self.shown = rows
        self._strips.clear()
        self.virtual_size = Size(self.scrollable_content_region.width, len(rows) + self.head)
        place = self.cursor
        if kept is not None and (kept >= len(rows) or place >= len(rows) or rows[place] != kept):
            place = _place(rows, kept, place)
        self._go(place, announce=True)
        self.refresh()

    def grow(self, rows: Sequence[int]) -> None:
        """Show these rows, which are those shown before and more below: what is painted stays."""
        before, self.shown = len(self.shown), rows
        size = Size(self.scrollable_content_region.width, len(rows) + self.head)
        if before < self._page:
            self.virtual_size = size
        else:  # no row that can be seen comes, so neither a new layout nor the list is needed: only its scrollbar
            self.set_reactive(RowList.virtual_size, size)
            self.vertical_scrollbar.window_virtual_size = size.height
        if not before:
            self._go(0, announce=True)

    def restyle(self) -> None:
        """Paint everything anew: the texts behind the rows changed, or the columns did."""
        self._strips.clear()
        self._widths = ()
        self.refresh()

    def update_rows(self, rows: Sequence[int]) -> None:
        """Paint these rows anew where they are visible."""
        self.restyle()

    @property
    def current(self) -> int | None:
        """The row under the cursor."""
        return self.shown[self.cursor] if 0 <= self.cursor < len(self.shown) else None

    def go_to(self, row: int) -> None:
        """Put the cursor on a row, if it is shown."""
        place = _place(self.shown, row, -1)
        if place >= 0:
            self._go(place)

    def mark(self, row: int, marked: bool) -> None:
        """Mark a row or take its mark away."""
        (self.marks.add if marked else self.marks.discard)(row)
        self._refresh_place(self.cursor)

    def targets(self) -> list[int]:
        """What a verb acts on: the marked rows in shown order, else the row under the cursor."""
        if self.marks:
            return [row for row in self.shown if row in self.marks] or sorted(self.marks)
        return [] if self.current is None else [self.current]

    # -- keys -------------------------------------------------------------------------------------------------

    def action_down(self) -> None:
        self.step(1)

    def action_up(self) -> None:
        self.step(-1)

    def action_page_down(self) -> None:
        self.step(max(1, self._page - 1))

    def action_page_up(self) -> None:
        self.step(-max(1, self._page - 1))

    def action_first(self) -> None:
        self._go(0, direction=1)

    def action_last(self) -> None:
        self._go(len(self.shown) - 1, direction=-1)

    def action_select(self) -> None:
        if self.current is not None:
            self.post_message(self.Selected(self, self.current))

    def step(self, by: int) -> None:
        """Move the cursor by some rows, stopping at either end."""
        self._go(self.cursor + by, direction=1 if by > 0 else -1)

    async def _on_click(self, event: events.Click) -> None:
        place = event.y + self.scroll_offset.y - self.head
        if 0 <= place < len(self.shown):
            self._go(place)
            if event.chain == 2:
                self.action_select()

    # -- moving -----------------------------------------------------------------------------------------------

    @property
    def _page(self) -> int:
        return max(1, self.scrollable_content_region.height - self.head)

    def _go(self, place: int, *, direction: int = 1, announce: bool = False) -> None:
        old = self.cursor
        place = max(0, min(place, len(self.shown) - 1))
        if self.skip is not None and self.shown:
            place = self._past_skipped(place, direction)
        self.cursor = place
        self._scroll_to_cursor()
        if old != place or announce:
            self._refresh_place(old)
            self._refresh_place(place)
            self.post_message(self.Highlighted(self, self.current))

    def _past_skipped(self, place: int, direction: int) -> int:
        assert self.skip is not None
        for way in (direction, -direction):
            at = place
            while 0 <= at < len(self.shown):
                if not self.skip(self.shown[at]):
                    return at
                at += way
        return place

    def _scroll_to_cursor(self) -> None:
        if not self.is_attached or not self.size:
            return
        top, page = round(self.scroll_y), self._page
        # Headings above the first row belong on the screen together with it.
        first = 0 if self.skip is not None and self._past_skipped(0, 1) == self.cursor else self.cursor
        target = first if first < top else self.cursor - page + 1 if self.cursor >= top + page else top
        if target != top:
            self.scroll_to(y=target, animate=False, force=True, immediate=True)

    def _refresh_place(self, place: int) -> None:
        y = place - round(self.scroll_y) + self.head
        if self.head <= y < self.size.height:
            self.refresh(Region(0, y, self.size.width, 1))

    # -- painting ---------------------------------------------------------------------------------------------

    def on_resize(self) -> None:
        self._strips.clear()
        self._widths = ()
        self.virtual_size = Size(self.scrollable_content_region.width, len(self.shown) + self.head)
        self._scroll_to_cursor()

    def notify_style_update(self) -> None:
        super().notify_style_update()
        self._strips.clear()
        self._palette.clear()

    def render_line(self, y: int) -> Strip:
        width = self.scrollable_content_region.width
        if not self._widths:
            self._widths = self._layout(width)
        if self.head and y == 0:
            return self._paint([column.title for column in self.columns], "row--head", width)
        place = y + self.scroll_offset.y - self.head
        if not 0 <= place < len(self.shown):
            note = self.empty if not self.shown and y == self.head else ""
            return Strip([Segment(fit(plain(note), width), self._style("row--dim"))], width)
        row = self.shown[place]
        here = place == self.cursor
        look = ("row--cursor" if self.has_focus or self.led else "row--cursor-blurred") if here else ""
        key = (row, look, row in self.marks)
        strip = self._strips.get(key)
        if strip is None:
            strip = self._strips[key] = self._paint(self._cells(row), look, width, marked=row in self.marks)
        return strip

    @property
    def _edge(self) -> int:
        return 2 if self.markable else 1

    def _layout(self, width: int) -> tuple[int, ...]:
        shown = [column for column in self.columns if column.shown_from <= width < column.hidden_from]
        gaps = max(0, len(shown) - 1)
        rest = width - self._edge - gaps - sum(column.width for column in shown)
        flexible = max(1, sum(1 for column in shown if not column.width))
        widths, spare = [], max(0, rest)
        for column in self.columns:
            if column not in shown:
                widths.append(0)
            elif column.width:
                widths.append(column.width)
            else:
                share = spare // flexible
                widths.append(share)
                spare, flexible = spare - share, flexible - 1
        return tuple(widths)

    def _paint(self, cells: Sequence[Cell], look: str, width: int, *, marked: bool = False) -> Strip:
        base = self._style(look)
        edge = "▌" if look == "row--cursor" else " "
        segments = [Segment(edge, base + self._style("row--marked", layer=True))]
        if self.markable:
            segments.append(Segment("●" if marked else " ", base + self._style("row--marked", layer=True)))
        used = self._edge
        texts = [_text_of(cells[number]) if number < len(cells) else "" for number in range(len(self.columns))]
        for number, room in enumerate(self._rooms(texts)):
            if not room or used >= width:
                continue
            cell = cells[number] if number < len(cells) else ""
            style = cell[1] if isinstance(cell, tuple) else ""
            room = min(room, width - used)
            painted = fit(texts[number], room, right=self.columns[number].right)
            segments.append(Segment(painted, base + self._style(style, layer=True) if style else base))
            segments.append(Segment(" ", base))
            used += room + 1
        return Strip(segments).adjust_cell_length(width, base)

    def _rooms(self, texts: Sequence[str]) -> list[int]:
        """The widths of the columns in a row with these texts."""
        rooms = list(self._widths)
        spare = 0
        for number, column in enumerate(self.columns):
            if column.shrinks and rooms[number]:
                need = min(rooms[number], cell_len(texts[number]))
                spare += rooms[number] - need
                rooms[number] = need
        if spare:
            rooms[next(n for n, column in enumerate(self.columns) if not column.width)] += spare
        return rooms

    def _style(self, name: str, *, layer: bool = False) -> Style:
        """A component's style; as a `layer` it has no background, so that the row's own shows through."""
        key = f"{name}|{layer}|{self.has_focus}"
        style = self._palette.get(key)
        if style is None:
            style = self.get_component_rich_style(name, partial=layer) if name else self.rich_style
            if layer and style.bgcolor is not None:
                style = style.without_color + Style(color=style.color)
            self._palette[key] = style
        return style


def _text_of(cell: Cell) -> str:
    return plain(cell[0] if isinstance(cell, tuple) else cell)


def _place(rows: Sequence[int], row: int, default: int) -> int:
    if isinstance(rows, range):
        return rows.index(row) if row in rows else default
    try:
        return rows.index(row)
    except ValueError:
        return default
