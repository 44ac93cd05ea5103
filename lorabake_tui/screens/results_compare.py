"""Two runs side by side: the previews of one epoch of each, their figures, and where their parameters differ."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from textual import work
from textual.app import ComposeResult
from textual.screen import Screen

from engine.protocol.publishing import EpochFacts, RunResults
from lorabake_tui import keys
from lorabake_tui.i18n import _
from lorabake_tui.screens import monitor_text
from lorabake_tui.screens.section import hints_of
from lorabake_tui.widgets.contact import PictureGrid
from lorabake_tui.widgets.frame import Frame
from lorabake_tui.widgets.picture import Item, PictureSource, show_full
from lorabake_tui.widgets.rows import Cell, Column, RowList
from lorabake_tui.widgets.status import HintLine

_PREVIEWS = 4
_NAMES = ("dataset", "base", "preset")


class CompareScreen(Screen[None], inherit_bindings=False):
    """`pair` are the two runs; `epoch` is where to begin. Both show the same epoch, the nearest they have."""

    # The list shows where one is; the keys are this screen's.
    AUTO_FOCUS = ""
    BINDINGS = keys.bindings("compare")
    DEFAULT_CSS = """
    CompareScreen {
        layout: vertical;
        & .compare-run { height: 2fr; }
        & #compare-differences { height: 1fr; min-height: 5; }
        & HintLine { dock: bottom; }
    }
    """

    def __init__(self, source: PictureSource, pair: Sequence[RunResults], epoch: int) -> None:
        super().__init__()
        self._source, self._pair = source, list(pair)
        self._epochs = sorted({row.epoch for run in pair for row in run.epochs})
        self._at = min(range(len(self._epochs)), key=lambda n: abs(self._epochs[n] - epoch), default=0)
        self._rows = differences(*self._pair)

    def compose(self) -> ComposeResult:
        for place in range(2):
            with Frame(id=f"compare-{place}", classes="compare-run"):
                yield PictureGrid(self._source, columns=_PREVIEWS)
        with Frame(title=_("Differences"), id="compare-differences"):
            columns = [Column(_("parameter"), 26), Column(self._pair[0].name, 24), Column(self._pair[1].name, 0)]
            yield RowList(columns, empty=_("The parameters are the same."))
        yield HintLine()

    def on_mount(self) -> None:
        names = ("compare.up", "compare.down", "compare.more", "compare.pictures", "compare.close")
        self.query_one(HintLine).tell(hints_of([keys.find(name) for name in names]))
        rows = self.query_one(RowList)
        rows.can_focus = False
        rows.show(range(len(self._rows)), lambda row: self._cells(row))
        self._show()

    def _cells(self, row: int) -> Sequence[Cell]:
        name, one, other = self._rows[row]
        return ((name, "row--dim"), one or "–", other or "–")

    def _show(self) -> None:
        for place, run in enumerate(self._pair):
            epoch = self._nearest(run)
            facts = next((row for row in run.epochs if row.epoch == epoch), None)
            frame = self.query_one(f"#compare-{place}", Frame)
            frame.set_title(f"{run.name} · {monitor_text.epoch_name(epoch)}", _figures(facts))
            self.query(PictureGrid)[place].show(self._items(run, epoch), note=_("no picture"))

    def _nearest(self, run: RunResults) -> int:
        wanted = self._epochs[self._at] if self._epochs else 0
        return min((row.epoch for row in run.epochs), key=lambda epoch: abs(epoch - wanted), default=0)

    def _items(self, run: RunResults, epoch: int) -> list[Item]:
        files = [f"epochs/{epoch:02d}/preview-{index}.png" for index in range(1, _PREVIEWS + 1)]
        return [Item(run.dir, file, f"#{n}") for n, file in enumerate(files, 1) if Path(run.dir, file).is_file()]

    def action_down(self) -> None:
        self._at = min(len(self._epochs) - 1, self._at + 1)
        self._show()

    def action_up(self) -> None:
        self._at = max(0, self._at - 1)
        self._show()

    def action_more(self) -> None:
        """The next page of differences, from the last one on to the first again."""
        rows = self.query_one(RowList)
        if rows.current == len(self._rows) - 1:
            rows.action_first()
        else:
            rows.action_page_down()

    @work(exit_on_error=False, group="full")
    async def action_pictures(self) -> None:
        named = ((run, self._nearest(run)) for run in self._pair)
        table = [[i._replace(caption=f"{run.name} {i.caption}") for i in self._items(run, n)] for run, n in named]
        table = [row for row in table if row]
        if table:
            await show_full(self, self._source, table, (0, 0))

    def action_close(self) -> None:
        self.dismiss(None)


def differences(one: RunResults, other: RunResults) -> list[tuple[str, str, str]]:
    """Name and both values of everything that was asked for differently."""
    rows = [(name, str(getattr(one, name)), str(getattr(other, name))) for name in _NAMES]
    theirs = {row.name: row.value for row in other.params}
    rows += [(row.name, row.value, theirs.get(row.name, "")) for row in one.params]
    return [row for row in rows if row[1] != row[2]]


def _figures(facts: EpochFacts | None) -> str:
    if facts is None:
        return ""
    parts = [f"{_('loss')} {facts.loss:.4f}"] if facts.loss is not None else []
    parts += [f"{_('held out')} {facts.held_out:.4f}"] if facts.held_out is not None else []
    parts += [f"{_('likeness')} {facts.likeness:.0%}"] if facts.likeness is not None else []
    return " · ".join(parts)
