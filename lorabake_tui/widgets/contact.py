"""Pictures in rows: one row of equal places, and the contact sheet: its first row is pinned, the rest scrolls."""

from __future__ import annotations

from collections.abc import Sequence

from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical

from lorabake_tui.widgets.picture import REST_SECONDS, Item, PictureSource, PictureView

_MOST = 6


class PictureGrid(Horizontal, can_focus=False, inherit_bindings=False):
    """A row of equal places for pictures with their captions; `keep` as in `PictureView`."""

    DEFAULT_CSS = """
    PictureGrid { align: center middle; & > PictureView { margin: 0 1 0 0; } & > PictureView.-last { margin: 0; } }
    """

    def __init__(
        self,
        source: PictureSource,
        *,
        columns: int = 4,
        rest: float = REST_SECONDS,
        keep: bool = False,
        id: str | None = None,
    ) -> None:
        super().__init__(id=id)
        self._views = [PictureView(source, rest=rest, captioned=True, keep=keep) for _column in range(columns)]
        self._columns = columns

    def compose(self) -> ComposeResult:
        yield from self._views

    def fit(self, columns: int) -> None:
        """Give the room to the first `columns` places."""
        self._columns = columns
        self._place()

    def on_resize(self) -> None:
        self._place()

    def _place(self) -> None:
        width = max(1, (self.size.width - self._columns + 1) // self._columns)
        for column, view in enumerate(self._views):
            view.display = column < self._columns
            view.styles.width = width
            view.set_class(column == self._columns - 1, "-last")

    def show(self, items: Sequence[Item | None], *, note: str = "", cursor: int | None = None) -> None:
        """Show these pictures from the left; `note` stands where one is missing, `cursor` marks one."""
        for column, view in enumerate(self._views):
            item = items[column] if column < len(items) else None
            view.show(item, "" if item is not None else note, here=column == cursor)

    @property
    def painted(self) -> bool:
        """Whether every picture that is shown has its pixels."""
        return all(view.painted for view in self._views if view.item is not None and view.display)


class ContactSheet(Vertical, can_focus=False, inherit_bindings=False):
    """Shows as many rows as stay square enough to see something: at least the one under the cursor."""

    DEFAULT_CSS = """
    ContactSheet { height: 1fr; width: 1fr; & > PictureGrid { height: 1fr; } }
    """

    def __init__(self, source: PictureSource, *, columns: int = 4, id: str | None = None) -> None:
        super().__init__(id=id)
        self._columns = columns
        self._grids = [PictureGrid(source, columns=columns, rest=0.15) for _row in range(_MOST)]
        self._rows: list[list[Item]] = []
        self._at = (0, 0)
        self._note = ""
        self._top = 1

    def compose(self) -> ComposeResult:
        yield from self._grids

    def show(self, rows: Sequence[Sequence[Item]], at: tuple[int, int], *, note: str = "") -> None:
        """Show these rows with the cursor at (row, column); `note` stands where a picture is missing."""
        self._rows, self._at, self._note = [list(row) for row in rows], at, note
        self._place()

    @property
    def painted(self) -> bool:
        """Whether every picture that has room is on the screen."""
        return all(grid.painted for grid in self._grids if grid.display)

    def on_resize(self) -> None:
        self._place()

    def _place(self) -> None:
        width, height = self.size
        if not width or not self._rows:
            return
        # A square picture of w columns is w/2 rows high; a row of pictures has a caption below.
        high = max(5, (width // self._columns) // 2 + 1)
        room = max(1, min(_MOST, len(self._rows), height // high))
        chosen = self._chosen(room)
        for grid, number in zip(self._grids, [*chosen, *[None] * _MOST], strict=False):
            grid.display = number is not None
            if number is not None:
                here = self._at[1] if number == self._at[0] else None
                items = self._rows[number]
                grid.fit(max(1, min(self._columns, max(len(row) for row in self._rows))))
                grid.show(items, note=self._note, cursor=here)

    def _chosen(self, room: int) -> list[int]:
        """Which rows stand in `room` places: the first, and those around the cursor; only the cursor's in one place."""
        row = self._at[0]
        if room == 1:
            return [row]
        rest = room - 1
        self._top = min(max(1, self._top), max(1, len(self._rows) - rest))
        if row:
            self._top = min(row, max(self._top, row - rest + 1))
        return [0, *range(self._top, min(len(self._rows), self._top + rest))]
