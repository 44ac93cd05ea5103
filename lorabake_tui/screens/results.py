"""The Results section: the epochs of a bake as rows, their previews as columns, and where the files are."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from textual import on, work
from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical

from engine.protocol.messages import RunParams
from engine.protocol.publishing import EpochFacts, RunResults
from engine.protocol.records import RunRow
from lorabake_tui import keys
from lorabake_tui.client import ClientError
from lorabake_tui.i18n import _, told
from lorabake_tui.screens import monitor_text as text
from lorabake_tui.screens.outcomes import Outcomes
from lorabake_tui.screens.results_work import ResultsWork
from lorabake_tui.screens.section import Section, hints_of
from lorabake_tui.screens.watching import Watching
from lorabake_tui.store import RunView, shown_state
from lorabake_tui.widgets import states
from lorabake_tui.widgets.contact import ContactSheet
from lorabake_tui.widgets.empty import Empty
from lorabake_tui.widgets.frame import Frame
from lorabake_tui.widgets.meter import Fact, FactLine, shortened
from lorabake_tui.widgets.picture import PictureSource, show_full
from lorabake_tui.widgets.plain import plain
from lorabake_tui.widgets.rows import Cell, Column, RowList
from lorabake_tui.widgets.units import loss, size

TICK_SECONDS = 0.2
_EMPTY = ("app.params", "app.monitor", "app.help")
_BAKES = ("bake", "fake")


class ResultsSection(ResultsWork, Section, inherit_bindings=False):
    """Compare the epochs of one run; the run and the place in it are kept while one is elsewhere."""

    SECTION = "results"
    BINDINGS = keys.bindings(SECTION)
    CSS_PATH = "results.tcss"

    def __init__(self) -> None:
        super().__init__()
        self.run_shown = ""
        self._column = 0
        self._epochs: list[int] = []
        self._losses: dict[int, float] = {}
        self._painted: tuple[object, ...] = ()
        self._found: RunResults | None = None
        self._asked: tuple[object, ...] = ()
        self._kept: dict[str, dict[str, str]] = {}
        self._watching = Watching(self)
        self._outcomes = Outcomes(self, self._paint_anew)
        self._pictures = PictureSource(lambda method, params: self.bench.engine.call(method, params))

    def body(self) -> ComposeResult:
        with Frame(id="results-none"):
            yield Empty()
        with Horizontal(id="results-some"):
            with Frame(id="results-epochs"):
                yield RowList(_columns(held_out=False), id="results-list")
            with Vertical(id="results-right"):
                with Frame(title=_("Previews"), id="results-previews"):
                    yield ContactSheet(self._pictures)
                with Frame(id="results-file"):
                    yield FactLine(id="results-path")
                    yield FactLine(id="results-facts")

    def on_mount(self) -> None:
        self.set_interval(TICK_SECONDS, self._tick)
        self.facts_changed()

    def on_screen_resume(self) -> None:
        super().on_screen_resume()
        self.facts_changed()

    @property
    def _list(self) -> RowList:
        return self.query_one("#results-list", RowList)

    @property
    def _row(self) -> RunRow | None:
        return self.bench.store.row(self.run_shown)

    @property
    def _view(self) -> RunView:
        return self.bench.store.view(self.run_shown)

    @property
    def epoch(self) -> int | None:
        """The epoch under the cursor."""
        at = self._list.current
        return self._epochs[at] if at is not None and at < len(self._epochs) else None

    # -- showing ----------------------------------------------------------------------------------------------

    def facts_changed(self) -> None:
        if not self.is_mounted:
            return
        runs = self._runs()
        if not any(row.id == self.run_shown for row in runs):
            # The newest run that has an epoch to look at, else simply the newest.
            best = next((row for row in runs if row.epoch), None) or next(iter(runs), None)
            self._open(best.id if best is not None else "")
        some = bool(self.run_shown)
        self.query_one("#results-none").display = not some
        self.query_one("#results-some").display = some
        if not some:
            lost = self.bench.engine.state == "lost"
            sentence = _("The engine is not running.") if lost else _("Nothing has been baked yet.")
            self.query_one(Empty).tell(sentence, [(keys.find(n).key, _(keys.find(n).help)) for n in _EMPTY])
            return
        if self.focused is None:
            # While there was nothing to show, the list could not take the keys.
            self._list.focus()
        self._watching.follow(self.run_shown)
        self._tick()

    def _runs(self) -> list[RunRow]:
        """The bakes that have a history to look at, newest first."""
        return [row for row in self.bench.store.started() if row.kind in _BAKES]

    def _open(self, run: str) -> None:
        self.run_shown, self._epochs, self._painted = run, [], ()
        self._found, self._asked = None, ()

    def look_again(self) -> None:
        """Ask the engine anew what is kept of the run."""
        self._asked = ()
        self._ask_facts()

    def _ask_facts(self) -> None:
        """What the journal does not tell: what was published, thrown away, seen by a tagger."""
        stamp = (self.run_shown, len(self._view.epochs), self._view.finished is not None)
        if self._view.seq and stamp != self._asked:
            self._asked = stamp
            self._facts_of(self.run_shown)

    @work(exclusive=True, exit_on_error=False, group="facts")
    async def _facts_of(self, run: str) -> None:
        try:
            found: RunResults = await self.bench.engine.call("results.show", RunParams(run=run))
        except ClientError:
            return  # what the journal tells is shown all the same
        if run == self.run_shown:
            self._found, self._painted = found, ()
            self._tick()

    def _paint_anew(self) -> None:
        self._painted = ()
        self._tick()

    def _kept_of(self, epoch: int) -> EpochFacts | None:
        rows = self._found.epochs if self._found is not None else []
        return next((row for row in rows if row.epoch == epoch), None)

    def _tick(self) -> None:
        """Paint when the run has news; costs next to nothing when it has none."""
        if not self.run_shown or not self.is_current:
            return
        view, row = self._view, self._row
        state = shown_state(row, view)
        stamp = (self.run_shown, view.seq, state)
        if stamp == self._painted:
            return
        self._painted = stamp
        self._ask_facts()
        here = self.epoch
        self._epochs = sorted({*view.previews, *view.epochs})
        self._losses = view.series.epoch_means()
        runs = self._runs()
        place = next((number for number, other in enumerate(runs, 1) if other.id == self.run_shown), 0)
        name = row.name or row.id if row is not None else self.run_shown
        self.query_one("#results-epochs", Frame).set_title(name, f"{states.told(state)} · {place}/{len(runs)}")
        self._list.empty = _("no epoch yet")
        seen = self._found is not None and any(row.likeness is not None for row in self._found.epochs)
        self._list.columns = _columns(held_out=bool(view.validation), seen=seen)
        self._list.restyle()
        self._list.show(range(len(self._epochs)), self._cells)
        if here in self._epochs:
            self._list.go_to(self._epochs.index(here))
        self._show_pictures()

    def _cells(self, number: int) -> Sequence[Cell]:
        epoch, view = self._epochs[number], self._view
        checkpoint = view.epochs.get(epoch)
        held = next((point.loss for point in reversed(view.validation) if point.epoch == epoch), None)
        kept = self._kept_of(epoch)
        gone = kept is not None and not kept.present and bool(epoch)
        cells: list[Cell] = [
            (self._signs(epoch) + text.epoch_name(epoch), "" if epoch and not gone else "row--dim"),
            loss(self._losses.get(epoch)) if epoch else "",
            ((_("trash") if gone else size(checkpoint.bytes)) if checkpoint is not None else "", "row--dim"),
        ]
        cells += [loss(held) if held is not None else ""] if view.validation else []
        if self._found is not None and any(row.likeness is not None for row in self._found.epochs):
            likeness, obedience = (kept.likeness, kept.obedience) if kept is not None else (None, None)
            cells += ["" if share is None else f"{share:.0%}" for share in (likeness, obedience)]
        return cells

    def _best(self) -> int:
        """The epoch that the hint names, 0 for none."""
        finished = self._view.finished
        return self._found.best if self._found is not None else finished.best if finished is not None else 0

    def _signs(self, epoch: int) -> str:
        kept = self._kept_of(epoch)
        published = "↑" if kept is not None and kept.published else ""
        much = self._found is not None and self._found.overtrained and epoch >= self._found.overtrained
        published += "!" if much else ""
        return published + ("*" if epoch and epoch == self._best() else "")

    def _show_pictures(self) -> None:
        at = self._list.current or 0
        root = self._row.dir if self._row is not None else ""
        rows = [text.previews(root, self._view, epoch) for epoch in self._epochs]
        # A bake without previews has no column at all.
        self._column = max(0, min(self._column, max((len(row) for row in rows), default=0) - 1))
        going = shown_state(self._row, self._view) in states.GOING
        note = _("not drawn yet") if going else _("no picture")
        self.query_one(ContactSheet).show(rows, (at, self._column), note=note)
        self._tell_file()
        self.refresh_hints()

    def _tell_file(self) -> None:
        epoch, view = self.epoch, self._view
        frame, facts = self.query_one("#results-file", Frame), []
        path = self._path()
        frame.set_title(text.epoch_name(epoch) if epoch is not None else "", self._outcomes.words(self._row))
        line = self.query_one("#results-path", FactLine)
        first = Fact("", _("The base model before training."), "dim")
        if path is not None:
            first = Fact("", shortened(str(path), line.size.width))
        kept = self._kept_of(epoch or 0)
        # What the signs beside the epoch mean comes first; why there is a star is told where there is room.
        best = bool(epoch) and epoch == self._best()
        facts += [Fact("*", _("best, as a hint"))] if best else []
        if self._found is not None and self._found.overtrained and (epoch or 0) >= self._found.overtrained:
            facts.append(Fact("!", self._too_much(), "warn"))
        if kept is not None and kept.likeness is not None and kept.obedience is not None:
            facts += [Fact(_("likeness"), f"{kept.likeness:.0%}"), Fact(_("obedience"), f"{kept.obedience:.0%}")]
        checkpoint = view.epochs.get(epoch or 0)
        if checkpoint is not None:
            facts.append(Fact("", size(checkpoint.bytes)))
            facts.append(Fact(_("step"), str(checkpoint.step)))
            facts.append(Fact("sha256", checkpoint.sha256[:12]))
        if best:
            facts.append(Fact("", self._hint()))
        if kept is not None and kept.published:
            facts.append(Fact("↑", _("published: {place}").format(place=plain(kept.published[-1]))))
        preview = view.previews.get(epoch or 0, {})
        picture = preview.get(sorted(preview)[self._column]) if self._column < len(preview) else None
        if picture is not None:
            facts.append(Fact(_("seed"), str(picture.seed)))
            facts.append(Fact(_("prompt"), plain(picture.prompt)))
        line.tell([first] if epoch is not None else [])
        self.query_one("#results-facts", FactLine).tell(facts)

    def _too_much(self) -> str:
        """Why the epoch is warned of."""
        codes = [hint.code for hint in self._found.hints] if self._found is not None else []
        return _("too much: worse than before") if "hint_overtrained" in codes else _("too much: learned by heart")

    def _hint(self) -> str:
        """Why the epoch with the star has it."""
        hints = self._found.hints if self._found is not None else []
        return plain(told(hints[0])[0]) if hints else _("lowest held-out loss")

    def _path(self) -> Path | None:
        checkpoint = self._view.epochs.get(self.epoch or 0)
        return Path(self._row.dir, checkpoint.path) if checkpoint is not None and self._row is not None else None

    def hints(self) -> list[tuple[str, str]]:
        if self.run_shown:
            return super().hints()
        return hints_of([keys.find(name) for name in ("app.help", "app.palette", "app.leave")])

    # -- walking ----------------------------------------------------------------------------------------------

    @on(RowList.Highlighted)
    def _moved(self) -> None:
        if self._epochs:
            self._show_pictures()

    def action_next_picture(self) -> None:
        self._column += 1
        self._show_pictures()

    def action_previous_picture(self) -> None:
        self._column = max(0, self._column - 1)
        self._show_pictures()

    def action_previous_run(self) -> None:
        self._switch(1)

    def action_next_run(self) -> None:
        self._switch(-1)

    def _switch(self, by: int) -> None:
        runs = [row.id for row in self._runs()]
        if self.run_shown not in runs:
            return
        to = runs.index(self.run_shown) + by
        if not 0 <= to < len(runs):
            self.bench.tell(_("This is the oldest run.") if by > 0 else _("This is the newest run."))
            return
        self._open(runs[to])
        self.facts_changed()

    # -- using ------------------------------------------------------------------------------------------------

    def action_path(self) -> None:
        path = self._path()
        if path is None:
            self.bench.tell(_("The baseline has no file."))
            return
        self.app.copy_to_clipboard(str(path))
        self.bench.tell(_("Copied: {path}").format(path=path))

    @on(RowList.Selected)
    def _selected(self) -> None:
        self.action_pictures()

    @work(exit_on_error=False, group="pictures")
    async def action_pictures(self) -> None:
        root = self._row.dir if self._row is not None else ""
        drawn = [epoch for epoch in self._epochs if self._view.previews.get(epoch)]
        epoch = self.epoch
        if epoch not in drawn:
            self.bench.tell(_("This epoch has no pictures."))
            return
        rows = [text.previews(root, self._view, number) for number in drawn]
        at = drawn.index(epoch)
        row, self._column = await show_full(self, self._pictures, rows, (at, min(self._column, len(rows[at]) - 1)))
        self._list.go_to(self._epochs.index(drawn[row]))
        self._show_pictures()


def _columns(*, held_out: bool, seen: bool = False) -> tuple[Column, ...]:
    """What matters more takes the room of the size, which stands below as well."""
    columns: tuple[Column, ...] = (
        Column(_("Epoch")),
        Column(_("Loss"), 6, right=True),
        Column(_("Size"), 9, right=True, shown_from=50 if held_out or seen else 28),
    )
    columns += (Column(_("Held out"), 8, right=True, shown_from=28),) if held_out else ()
    if seen:
        columns += (Column(_("Likeness"), 8, right=True, shown_from=28),)
        columns += (Column(_("Obedience"), 9, right=True, shown_from=50 if held_out else 40),)
    return columns
