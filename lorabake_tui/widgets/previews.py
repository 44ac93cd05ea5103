"""The newest previews beside those of the untrained base: same seed above and below, as many seeds as have room."""

from __future__ import annotations

from collections.abc import Sequence

from textual import events
from textual.app import ComposeResult
from textual.containers import Vertical

from lorabake_tui.widgets.contact import PictureGrid
from lorabake_tui.widgets.picture import Item, PictureSource

_SEEDS = 4
_LOWEST = 14
"""Below this many rows the two pictures of the first seed stand side by side."""


class Previews(Vertical, can_focus=False, inherit_bindings=False):
    """Two rows of pictures, baseline and newest; a low pane shows one seed, baseline left and newest right."""

    DEFAULT_CSS = """
    Previews { height: 1fr; width: 1fr; & > PictureGrid { height: 1fr; } }
    """

    def __init__(self, source: PictureSource, id: str | None = None) -> None:
        super().__init__(id=id)
        self._upper = PictureGrid(source, columns=_SEEDS, keep=True)
        self._lower = PictureGrid(source, columns=_SEEDS, keep=True)
        self._baseline: list[Item | None] = []
        self._newest: list[Item | None] = []
        self._note = ""

    def compose(self) -> ComposeResult:
        yield self._upper
        yield self._lower

    def show(self, baseline: Sequence[Item | None], newest: Sequence[Item | None], note: str) -> None:
        """Show these pictures by seed; `note` stands where one is not drawn yet."""
        if (list(baseline), list(newest), note) != (self._baseline, self._newest, self._note):
            self._baseline, self._newest, self._note = list(baseline), list(newest), note
            self._place()

    @property
    def painted(self) -> bool:
        """Whether every picture that has room is on the screen."""
        return self._upper.painted and self._lower.painted

    def on_resize(self, _event: events.Resize) -> None:
        self._place()

    def _place(self) -> None:
        width, height = self.size
        low = height < _LOWEST
        self._lower.display = not low
        if low:
            self._upper.fit(2)
            self._upper.show([*self._baseline[:1], *self._newest[:1]], note=self._note)
            return
        # A cell is twice as high as wide, so a square picture of h rows takes 2h columns.
        square = height - 2
        seeds = max(1, min(_SEEDS, len(self._baseline) or _SEEDS, (width + 1) // (square + 1)))
        for grid, items in ((self._upper, self._baseline), (self._lower, self._newest)):
            grid.fit(seeds)
            grid.show(items[:seeds], note=self._note)
