"""A line chart: plotext draws the curves in braille, the axes are set here, where every label can be made to fit.

The library is imported, and every drawing is made, in a thread: a chart never holds up a key.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Callable, Sequence
from functools import lru_cache
from itertools import groupby, pairwise
from typing import Literal, NamedTuple

from rich.cells import cell_len
from rich.segment import Segment
from rich.style import Style
from textual.geometry import Size
from textual.strip import Strip
from textual.widget import Widget

from lorabake_tui.widgets.halfblock import palette_color
from lorabake_tui.widgets.plain import clip, fit, plain
from lorabake_tui.widgets.ticks import Ticks, drawable, linear_ticks, log_ticks

Point = tuple[float, float]
Cell = tuple[str, int]
"""A character and its colour, an entry of the 256-colour palette."""

GRID, AXIS, LABEL, CURSOR = 236, 240, 245, 252


class Curve(NamedTuple):
    """A named sequence of (x, y), drawn as a line or as dots; None and NaN leave a gap in a line."""

    name: str
    points: Sequence[Point | None]
    colour: int
    shape: Literal["line", "dots"] = "line"


class Plot(NamedTuple):
    """What a chart shows. `span` is the range of x; `marks` are (x, label) on the x axis, with a faint upright line;
    `cursor` is an x with a bright one."""

    curves: Sequence[Curve]
    span: tuple[float, float] = (0.0, 1.0)
    marks: Sequence[tuple[float, str]] = ()
    axis: str = ""
    log: bool = False
    note: str = ""
    cursor: float | None = None


class Chart(Widget, can_focus=False, inherit_bindings=False):
    """Shows one `Plot`. `draw` returns at once; while a drawing is made, only the newest plot waits."""

    DEFAULT_CSS = """
    Chart { width: 1fr; height: 1fr; color: $text-muted; }
    """

    def __init__(self, id: str | None = None) -> None:
        super().__init__(id=id)
        self._plot = Plot(())
        self._strips: list[Strip] = []
        self._drawn: tuple[Plot, Size] | None = None
        self._busy = False
        self.cost = 0.0
        """Seconds of processor time that the last drawing took."""

    @property
    def settled(self) -> bool:
        """Whether the newest plot is on the screen."""
        return not self._busy and self._drawn == (self._plot, self.size)

    def draw(self, plot: Plot) -> None:
        """Show `plot` as soon as it is drawn."""
        self._plot = plot
        self._begin()

    def on_resize(self) -> None:
        self._begin()

    def _begin(self) -> None:
        if not self._busy and self.is_attached and self.size.area and not self.settled:
            self._busy = True
            self.run_worker(self._work(), exit_on_error=False, group="chart")

    async def _work(self) -> None:
        plot, size = self._plot, self.size
        try:
            self._strips, self.cost = await asyncio.to_thread(_timed, plot, size)
            self._drawn = plot, size
        finally:
            self._busy = False
        self.refresh()
        self._begin()

    def render_line(self, y: int) -> Strip:
        base, width = self.rich_style, self.size.width
        if y >= len(self._strips):
            return Strip.blank(width, base)
        return self._strips[y].apply_style(Style(bgcolor=base.bgcolor)).adjust_cell_length(width, base)


def _timed(plot: Plot, size: Size) -> tuple[list[Strip], float]:
    began = time.thread_time()
    strips = render(plot, size.width, size.height)
    took = time.thread_time() - began
    import textual_plotext.plot  # noqa: F401  by the time there is a curve, the library is there

    return strips, took


def render(plot: Plot, width: int, height: int) -> list[Strip]:
    """The chart in `width` × `height` cells; too small or without a single number it says `plot.note`."""
    values = [point[1] for curve in plot.curves for point in curve.points if point is not None]
    values = [value for value in values if drawable(value, log=plot.log)]
    if not values or width < 20 or height < 4:
        return _note(plot.note, width, height)
    legend = height >= 7 and len(plot.curves) > 1
    rows = height - 2 - legend
    ticks = (log_ticks if plot.log else linear_ticks)(min(values), max(values), max(3, rows // 3))
    gutter = max(len(label) for _value, label in ticks.labels) + 1
    columns = width - gutter - 1
    grid = _curves(plot, ticks, columns, rows)
    across = scale(*plot.span, columns)
    marks = _fitting_marks(plot.marks, across, columns)
    _uprights(grid, [column for column, _label in marks], columns)
    _dots(grid, plot, ticks, across, rows)
    if plot.cursor is not None and plot.span[0] <= plot.cursor <= plot.span[1]:
        _upright(grid, across(plot.cursor))
    lines = [_legend(plot.curves, width)] if legend else []
    labels = {ticks.row(value, rows): label for value, label in ticks.labels}
    for row, cells in enumerate(grid):
        label = labels.get(row, "")
        edge = "┤" if label else "│"
        lines.append(
            [*((glyph, LABEL) for glyph in fit(label, gutter - 1, right=True)), (" ", LABEL), (edge, AXIS), *cells]
        )
    lines.append([(" ", AXIS)] * gutter + [("└", AXIS)] + _axis([column for column, _label in marks], columns))
    lines.append([(" ", LABEL)] * (gutter + 1) + _axis_labels(marks, plot.axis, columns))
    return [_strip(line) for line in lines]


def scale(start: float, end: float, columns: int) -> Callable[[float], int]:
    """A function from x to the column it falls in, 0 … columns - 1."""
    span = (end - start) or 1.0
    return lambda x: min(columns - 1, max(0, round((x - start) / span * (columns - 1))))


def _curves(plot: Plot, ticks: Ticks, columns: int, rows: int) -> list[list[Cell]]:
    """The lines of a plot as plotext draws them, cell by cell."""
    from textual_plotext.plot import Plot as Figure

    figure = Figure()
    # Left to itself it would not draw beyond the size of the terminal the process was started in.
    figure._limit_size(False, False)
    figure.plotsize(columns, rows)
    figure.theme("clear")
    figure.frame(False)
    figure.xticks([], [])
    figure.yticks([], [])
    start, end = plot.span
    figure.xlim(start, end if end > start else start + 1)
    figure.ylim(*ticks.limits)
    drawn = False
    for curve in plot.curves:
        if curve.shape != "line":
            continue
        for xs, ys in _stretches(curve.points, ticks):
            figure.plot(xs, ys, marker="braille", color=curve.colour)
            drawn = True
    if not drawn:
        return [[(" ", LABEL)] * columns for _row in range(rows)]
    lines = figure.build().split("\n")[:rows]
    return [_coloured(line, columns) for line in lines] + [
        [(" ", LABEL)] * columns for _row in range(rows - len(lines))
    ]


def _stretches(points: Sequence[Point | None], ticks: Ticks) -> list[tuple[list[float], list[float]]]:
    stretches = []
    for real, group in groupby(points, key=lambda point: point is not None and ticks.place(point[1]) is not None):
        if real:
            xs, ys = zip(*((point[0], ticks.place(point[1])) for point in group if point is not None), strict=True)
            stretches.append((list(xs), list(ys)))
    return stretches


_CODE = re.compile(r"\x1b\[([\d;]*)m")


def _coloured(line: str, columns: int) -> list[Cell]:
    """One line of plotext's output as cells; it writes colours as `38;5;n` and ends each with a reset."""
    cells: list[Cell] = []
    colour = LABEL
    for number, piece in enumerate(_CODE.split(line)):
        if number % 2:
            colour = int(piece[5:]) if piece.startswith("38;5;") else LABEL
        else:
            cells += [(glyph, colour) for glyph in piece]
    return (cells + [(" ", LABEL)] * columns)[:columns]


def _fitting_marks(
    marks: Sequence[tuple[float, str]], across: Callable[[float], int], columns: int
) -> list[tuple[int, str]]:
    """(column, label) of as many marks as have room for their labels: all, every second, every fifth, …"""
    placed = [(across(x), label) for x, label in marks]
    for every in (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000):
        chosen = [mark for number, mark in enumerate(placed, 1) if number % every == 0 or every == 1]
        room = [after[0] - before[0] - len(before[1]) for before, after in pairwise(chosen)]
        if all(space >= 2 for space in room):
            return [(column, label) for column, label in chosen if column + len(label) <= columns]
    return []


def _uprights(grid: list[list[Cell]], places: Sequence[int], columns: int) -> None:
    for row in grid:
        for column in places:
            if 0 < column < columns and row[column][0] in " ⠀":
                row[column] = ("┊", GRID)


def _upright(grid: list[list[Cell]], column: int) -> None:
    for row in grid:
        if row[column][0] in " ⠀┊":
            row[column] = ("│", CURSOR)


def _dots(grid: list[list[Cell]], plot: Plot, ticks: Ticks, across: Callable[[float], int], rows: int) -> None:
    for curve in plot.curves:
        for point in curve.points:
            if curve.shape == "dots" and point is not None and ticks.place(point[1]) is not None:
                grid[ticks.row(point[1], rows)][across(point[0])] = ("●", curve.colour)


def _axis(places: Sequence[int], columns: int) -> list[Cell]:
    here = set(places)
    return [("┴" if column in here and column else "─", AXIS) for column in range(columns)]


def _axis_labels(marks: Sequence[tuple[int, str]], axis: str, columns: int) -> list[Cell]:
    """Labels under their marks, and at the right what they count, where it covers none of them."""
    line = [" "] * columns
    for column, label in marks:
        line[column : column + len(label)] = label
    used = max((column + len(label) for column, label in marks), default=0)
    if cell_len(axis) + used + 2 <= columns:
        line = [*line[: columns - cell_len(axis)], *axis]
    return [(glyph, LABEL) for glyph in line[:columns]]


def _legend(curves: Sequence[Curve], width: int) -> list[Cell]:
    cells: list[Cell] = []
    for curve in curves:
        name = plain(curve.name)
        used = sum(cell_len(glyph) for glyph, _colour in cells)
        if used + cell_len(name) + 4 > width:
            break
        cells += [(" ", LABEL)] * (2 if cells else 0)
        cells += [("●" if curve.shape == "dots" else "━", curve.colour), (" ", LABEL)]
        cells += [(glyph, LABEL) for glyph in name]
    return [(" ", LABEL)] * max(0, width - sum(cell_len(glyph) for glyph, _colour in cells)) + cells


def _note(text: str, width: int, height: int) -> list[Strip]:
    middle = clip(plain(text), width)
    line = fit(" " * ((width - cell_len(middle)) // 2) + middle, width)
    blank = [(" ", LABEL)] * width
    return [_strip([(glyph, LABEL) for glyph in line] if y == (height - 1) // 2 else blank) for y in range(height)]


def _strip(cells: Sequence[Cell]) -> Strip:
    return Strip(
        Segment("".join(glyph for glyph, _colour in run), _style(colour))
        for colour, run in groupby(cells, key=lambda cell: cell[1])
    )


@lru_cache(maxsize=256)
def _style(colour: int) -> Style:
    return Style(color=palette_color(colour))
