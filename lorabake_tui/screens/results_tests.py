"""Everything that was drawn on demand, newest first: its pictures, its settings, the line that draws it again."""

from __future__ import annotations

from collections.abc import Sequence

from textual import on, work
from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical

from engine.protocol.drawing import Drawn, DrawnParams, DrawParams
from lorabake_tui import keys
from lorabake_tui.client import ClientError
from lorabake_tui.i18n import _, told
from lorabake_tui.screens.results_waiting import GOING, WaitingTests
from lorabake_tui.widgets.contact import ContactSheet
from lorabake_tui.widgets.empty import Empty
from lorabake_tui.widgets.frame import Frame
from lorabake_tui.widgets.meter import Fact, FactLine
from lorabake_tui.widgets.picture import Item, PictureSource, show_full
from lorabake_tui.widgets.plain import plain
from lorabake_tui.widgets.rows import Cell, Column, RowList
from lorabake_tui.widgets.status import HintLine

LOOK_SECONDS = 0.5
"""How often the engine is asked while something is being drawn."""
_SIGNS = {"waiting": "…", "drawing": "●", "done": "✓", "failed": "✗"}
_WIDE = 5


class TestsScreen(WaitingTests, inherit_bindings=False):
    """The tests; `chosen` is the one to begin with."""

    # The list shows where one is; the keys are this screen's.
    AUTO_FOCUS = ""
    BINDINGS = keys.bindings("tests")
    DEFAULT_CSS = """
    TestsScreen {
        layout: vertical;
        & #tests-body { height: 1fr; }
        & #tests-left { width: 28; }
        & #tests-facts { height: 4; }
        & HintLine { dock: bottom; }
    }
    """

    def __init__(self, chosen: str = "") -> None:
        super().__init__()
        self._chosen = chosen
        self._tests: list[Drawn] = []
        self._column = self._row = 0
        self._asking = False
        self._pictures = PictureSource(lambda method, params: self.bench.engine.call(method, params))

    def compose(self) -> ComposeResult:
        with Horizontal(id="tests-body"):
            with Frame(title=_("Tests"), id="tests-left"):
                yield RowList([Column("", 1), Column("", 11), Column("", 0)], head=False, empty=_("nothing drawn yet"))
            with Vertical():
                with Frame(id="tests-pictures"):
                    yield ContactSheet(self._pictures, columns=_WIDE)
                    yield Empty()
                with Frame(id="tests-facts"):
                    yield FactLine(id="tests-prompt")
                    yield FactLine(id="tests-settings")
        yield HintLine()

    def on_mount(self) -> None:
        self.query_one(RowList).can_focus = False
        self.set_interval(LOOK_SECONDS, self._look)
        self.ask()

    def _look(self) -> None:
        if not self._asking and any(test.state in GOING for test in self._tests):
            self.ask()
        self.draw_when_paused()
        if self.current is not None and self.current.state in GOING:
            self.tell_wait()

    @work(exit_on_error=False, group="tests")
    async def ask(self) -> None:
        self._asking = True
        try:
            tests: list[Drawn] = await self.bench.engine.call("draw.list")
        except ClientError as failure:
            self.bench.tell_error(failure.info)
            return
        finally:
            self._asking = False
        if tests != self._tests or not tests:
            self._show(tests)

    def _show(self, tests: list[Drawn]) -> None:
        here = self._chosen or (self.current.id if self.current is not None else "")
        self._tests, self._chosen = tests, ""
        rows = self.query_one(RowList)
        rows.show(range(len(tests)), self._cells)
        place = next((n for n, test in enumerate(tests) if test.id == here), 0)
        if tests:
            rows.go_to(place)
        self._show_test()

    def _cells(self, row: int) -> Sequence[Cell]:
        test = self._tests[row]
        what = _("grid") if test.cells else _("epoch {epoch}").format(epoch=test.epoch) if test.epoch else _("baseline")
        day = f"{test.id[4:6]}-{test.id[6:8]} {test.id[9:11]}:{test.id[11:13]}"
        return (_SIGNS[test.state], (day, "row--dim"), what)

    @property
    def current(self) -> Drawn | None:
        """The test under the cursor."""
        at = self.query_one(RowList).current
        return self._tests[at] if at is not None and at < len(self._tests) else None

    @on(RowList.Highlighted)
    def _moved(self) -> None:
        self._row = self._column = 0
        self._show_test()

    def _table(self) -> list[list[Item]]:
        """The pictures that are there, in the rows of a grid or as many as have room side by side."""
        test = self.current
        if test is None:
            return []
        done = len(test.shots) if test.state == "done" else test.done
        if not test.cells:
            items = [self._item(test, n, _("seed {seed}").format(seed=s.seed)) for n, s in enumerate(test.shots[:done])]
            return [items[n : n + _WIDE] for n in range(0, len(items), _WIDE)]
        if test.state != "done":
            return []
        return [
            [self._item(test, shot, f"{row} · {column}") for column, shot in zip(test.columns, cells, strict=True)]
            for row, cells in zip(test.rows, test.cells, strict=True)
        ]

    @staticmethod
    def _item(test: Drawn, shot: int, caption: str) -> Item:
        return Item(test.dir, f"{shot + 1:02d}.png", caption)

    def _show_test(self) -> None:
        test, table = self.current, self._table()
        self._row = max(0, min(self._row, len(table) - 1))
        self._column = max(0, min(self._column, len(table[self._row]) - 1)) if table else 0
        sheet, frame = self.query_one(ContactSheet), self.query_one("#tests-pictures", Frame)
        sheet.display = bool(table)
        self.query_one(Empty).display = not table
        self.tell_wait()
        sheet.show(table, (self._row, self._column), note=_("no picture"))
        frame.set_title(test.source or test.base if test is not None else "", self._state(test))
        prompt, settings = self.query_one("#tests-prompt", FactLine), self.query_one("#tests-settings", FactLine)
        if test is None:
            prompt.tell([])
            settings.tell([])
            return
        if test.error is not None:
            prompt.tell([Fact("", plain(part), "error") for part in told(test.error)[:1]])
        else:
            shot = test.shots[self._shot(test)]
            prompt.tell([Fact("", plain(shot.prompt))])
            weights = " ".join(f"{lora.name}:{lora.weight:g}" for lora in shot.loras)
            facts = [Fact("", weights or _("base model alone")), Fact("", f"{shot.width}×{shot.height}")]
            facts += [Fact("", shot.sampler), Fact(_("steps"), str(shot.steps)), Fact("CFG", f"{shot.cfg:g}")]
            settings.tell([*facts, Fact(_("seed"), str(shot.seed))])

    def _shot(self, test: Drawn) -> int:
        if test.cells:
            return test.cells[self._row][self._column] if test.state == "done" else 0
        return min(self._row * _WIDE + self._column, len(test.shots) - 1)

    @staticmethod
    def _state(test: Drawn | None) -> str:
        if test is None:
            return ""
        if test.state in GOING:
            going = _("waiting") if test.state == "waiting" else _("drawing")
            return f"{going} · {len(test.shots)}"
        return f"{test.seconds:.1f} s" if test.state == "done" else _("failed")

    # -- keys -------------------------------------------------------------------------------------------------

    def action_down(self) -> None:
        self._step(1)

    def action_up(self) -> None:
        self._step(-1)

    def _step(self, by: int) -> None:
        """Through the rows of a table, and over its edge to the next test."""
        rows = len(self._table())
        if 0 <= self._row + by < rows:
            self._row += by
            self._show_test()
            return
        self.query_one(RowList).step(by)

    def action_next_picture(self) -> None:
        self._column += 1
        self._show_test()

    def action_previous_picture(self) -> None:
        self._column = max(0, self._column - 1)
        self._show_test()

    @work(exit_on_error=False, group="full")
    async def action_pictures(self) -> None:
        table = self._table()
        if table:
            self._row, self._column = await show_full(self, self._pictures, table, (self._row, self._column))
            self._show_test()

    @work(exit_on_error=False, group="again")
    async def action_again(self) -> None:
        test = self.current
        if test is None:
            return
        drawn = await self.bench.call("draw.submit", DrawParams(again=test.id))
        if drawn is not None:
            self._chosen = drawn.id
            self.ask()

    def action_command(self) -> None:
        test = self.current
        if test is not None:
            self.bench.copy_to_clipboard(test.command)
            self.bench.tell(_("Copied: {path}").format(path=test.command))

    @work(exit_on_error=False, group="again")
    async def action_stop(self) -> None:
        test = self.current
        if test is None or test.state not in GOING:
            self.bench.tell(_("This test is over."))
            return
        if await self.bench.call("draw.stop", DrawnParams(id=test.id)) is not None:
            self.ask()

    def action_close(self) -> None:
        self.dismiss(None)
