"""What is done with a run's epochs from the Results: test, grid, publish, bake again, tidy up, compare."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
from textual import work

from engine.protocol import fields
from engine.protocol.drawing import DrawDefaults, Drawn, DrawParams
from engine.protocol.errors import EngineError
from engine.protocol.messages import PathParams, RunParams
from engine.protocol.publishing import Pruned, PruneParams, Published, RunResults, Trash, TrashParams
from engine.protocol.recipes import Recipe
from engine.protocol.records import Job
from lorabake_tui.client import ClientError
from lorabake_tui.commands.estimate import took
from lorabake_tui.i18n import _
from lorabake_tui.widgets.page import Block, Head, Pair, Text
from lorabake_tui.widgets.units import size

if TYPE_CHECKING:
    from lorabake_tui.screens.results import ResultsSection as _Owner
else:
    _Owner = object


class ResultsWork(_Owner):
    """Mixed into the section, whose cursor says which run and epoch is meant."""

    _kept: dict[str, dict[str, str]]

    # -- drawing ----------------------------------------------------------------------------------------------

    @work(exclusive=True, exit_on_error=False, group="ask")
    async def action_test(self) -> None:
        from lorabake_tui.dialogs import drawing

        await self._ask_drawing("test", drawing.rows_of_test, drawing.note_of_test, drawing.asked_test)

    @work(exclusive=True, exit_on_error=False, group="ask")
    async def action_grid(self) -> None:
        from lorabake_tui.dialogs import drawing

        def rows(start: DrawDefaults, _epoch: int, kept: dict[str, str]) -> list[Any]:
            return drawing.rows_of_grid(start, kept)

        await self._ask_drawing("grid", rows, drawing.note_of_grid, drawing.asked_grid)

    async def _ask_drawing(self, kind: str, rows: Any, note: Any, asked: Any) -> None:
        from lorabake_tui.dialogs.settings import Settings

        run, epoch = self.run_shown, self.epoch
        start: DrawDefaults | None = await self.bench.call("draw.defaults", DrawParams(source=run))
        if start is None or epoch is None:
            return
        kept = self._kept.get(f"{kind} {run}", {})
        title = _("Test") if kind == "test" else _("Grid")
        while True:
            sheet = Settings(title, rows(start, epoch if epoch in start.epochs else 0, kept), note)
            values = await self.app.push_screen_wait(sheet)
            wanted = asked(run, values) if values is not None else None
            if values is None or wanted is None:
                return
            kept = self._kept[f"{kind} {run}"] = values
            try:
                drawn: Drawn = await self.bench.engine.call("draw.submit", wanted)
                break
            except ClientError as failure:
                # Back to the sheet with what was typed; only one thing in it was wrong.
                self.bench.tell_error(failure.info)
        self.show_tests(drawn.id)

    def action_tests(self) -> None:
        self.show_tests("")

    def show_tests(self, chosen: str) -> None:
        """Open what was drawn, on one test if it is named."""
        from lorabake_tui.screens.results_tests import TestsScreen

        self.app.push_screen(TestsScreen(chosen))

    # -- publishing -------------------------------------------------------------------------------------------

    @work(exclusive=True, exit_on_error=False, group="ask")
    async def action_publish(self) -> None:
        from lorabake_tui.dialogs import publishing
        from lorabake_tui.dialogs.confirm import Confirm

        run, epoch = self.run_shown, self.epoch
        if not epoch:
            self.bench.tell(_("The baseline has no file."))
            return
        found: RunResults | None = await self.bench.call("results.show", RunParams(run=run))
        if found is None:
            return
        kept = self._kept.get(f"publish {run}", {"name": found.name, "trigger": found.trigger})
        while True:
            values = await self.app.push_screen_wait(publishing.PublishSheet(epoch, kept))
            if values is None:
                return
            kept = self._kept[f"publish {run}"] = values
            asked = publishing.asked(run, epoch, values)
            try:
                plan: Published = await self.bench.engine.call(
                    "results.publish", msgspec.structs.replace(asked, dry_run=True)
                )
                if not await self.app.push_screen_wait(Confirm(_("Publish"), publishing.question(plan, asked))):
                    continue
                done: Published = await self.bench.engine.call("results.publish", asked)
                break
            except ClientError as failure:
                self.bench.tell_error(failure.info)
        where = done.url or done.files[-1]
        self.bench.tell(_("Published: {path}").format(path=where) + f" · {_('hash')} {done.hash[:12]}")
        self.look_again()

    # -- again ------------------------------------------------------------------------------------------------

    @work(exclusive=True, exit_on_error=False, group="ask")
    async def action_rebake(self) -> None:
        job: Job | None = await self.bench.call("runs.job", RunParams(run=self.run_shown))
        if job is not None:
            self._set_out(job)

    @work(exclusive=True, exit_on_error=False, group="ask")
    async def action_recipe(self) -> None:
        from lorabake_tui.dialogs.path import PathPrompt
        from lorabake_tui.dialogs.report import ReportBox
        from lorabake_tui.screens import params_text

        root = self._row.dir if self._row is not None else ""
        path = await self.app.push_screen_wait(
            PathPrompt(_("Bake by a recipe file"), f"{root}/" if root else "~/", files=(".toml", ".json"))
        )
        recipe: Recipe | None = await self.bench.call("recipes.read", PathParams(path=path)) if path else None
        if recipe is None:
            return
        try:
            job = _job_of(recipe, {row.name for row in self.bench.catalogue.models}, self.bench.draft.base)
        except EngineError as error:
            self.bench.tell_error(error.info)
            return
        if any(row.outcome == "refused" for row in recipe.rows):
            await self.app.push_screen_wait(ReportBox(_("What became of the file"), params_text.recipe(recipe)))
        self._set_out(job)
        if recipe.base and job.base != recipe.base:
            words = _("The base model {name} of the recipe is not on this machine; {other} is set instead.")
            self.bench.tell(words.format(name=recipe.base, other=job.base))

    def _set_out(self, job: Job) -> None:
        """Make a job the draft, and go where it is changed and started."""
        self.bench.draft.take(job)
        if job.dataset and self.bench.opened.path != job.dataset:
            self.bench.open_dataset(job.dataset)
        self.bench.stand()
        self.bench.tell(_("The parameters of {name} are set; change some, then s starts.").format(name=job.name))
        self.bench.go("params")

    @work(exclusive=True, exit_on_error=False, group="ask")
    async def action_params(self) -> None:
        from lorabake_tui.dialogs.report import ReportBox

        found: RunResults | None = await self.bench.call("results.show", RunParams(run=self.run_shown))
        if found is not None:
            await self.app.push_screen_wait(ReportBox(_("Parameters") + " · " + found.name, _parameter_blocks(found)))

    # -- house ------------------------------------------------------------------------------------------------

    @work(exclusive=True, exit_on_error=False, group="ask")
    async def action_prune(self) -> None:
        from lorabake_tui.dialogs.confirm import Confirm
        from lorabake_tui.dialogs.settings import Setting, Settings, yes_no

        run = self.run_shown
        whats = [
            ("epochs", _("epochs")),
            ("state", _("the state to resume from")),
            ("whole", _("the whole run")),
            ("restore", _("bring everything back")),
        ]
        everies = [("0", _("no others")), *((str(n), _("every {n}.").format(n=n)) for n in (2, 3, 5, 10))]
        rows = [
            Setting("what", _("What"), whats),
            Setting("every", _("Stay as well"), everies),
            yes_no("previews", _("Previews too")),
        ]
        note = _("The best, the last and whatever was published always stay. Files go to the trash.")
        values = await self.app.push_screen_wait(Settings(_("Tidy up"), rows, lambda _values: (note, False)))
        if values is None:
            return
        asked = PruneParams(
            run=run,
            every=int(values["every"]),
            keep_previews=not values["previews"],
            whole=values["what"] == "whole",
            state=values["what"] == "state",
            restore=values["what"] == "restore",
        )
        if not asked.restore:
            plan: Pruned | None = await self.bench.call("results.prune", msgspec.structs.replace(asked, dry_run=True))
            if plan is None:
                return
            if not await self.app.push_screen_wait(Confirm(_("Tidy up"), "\n".join(prune_lines(plan)))):
                return
        done: Pruned | None = await self.bench.call("results.prune", asked)
        if done is not None:
            self.bench.tell(" · ".join(prune_lines(done)))
            self.look_again()

    @work(exclusive=True, exit_on_error=False, group="ask")
    async def action_trash(self) -> None:
        from lorabake_tui.commands.prune import trash_line
        from lorabake_tui.dialogs.confirm import Confirm

        found: Trash | None = await self.bench.call("results.trash", TrashParams())
        if found is None:
            return
        if not found.files:
            self.bench.tell(trash_line(found))
            return
        lines = [trash_line(found), *(f"  {run}  {size(count)}" for run, count in found.runs.items())]
        lines.append(_("Empty it for good? What is in it could not be brought back any more."))
        if await self.app.push_screen_wait(Confirm(_("Trash"), "\n".join(lines), grave=True)):
            gone: Trash | None = await self.bench.call("results.trash", TrashParams(empty=True))
            if gone is not None:
                self.bench.tell(trash_line(gone))
                self.look_again()

    # -- beside another ---------------------------------------------------------------------------------------

    @work(exclusive=True, exit_on_error=False, group="ask")
    async def action_compare(self) -> None:
        from lorabake_tui.dialogs.picker import Option, Picker
        from lorabake_tui.screens.results_compare import CompareScreen

        runs = [row for row in self.bench.store.started() if row.kind in ("bake", "fake") and row.id != self.run_shown]
        if not runs:
            self.bench.tell(_("There is no other run to compare with."))
            return
        options = [Option(row.id, row.name or row.id, row.id) for row in runs]
        other = await self.app.push_screen_wait(Picker(_("Compare with"), options))
        if other is None:
            return
        pair = [await self.bench.call("results.show", RunParams(run=run)) for run in (self.run_shown, other)]
        if None not in pair:
            self.app.push_screen(CompareScreen(self._pictures, pair, self.epoch or 0))


def _job_of(recipe: Recipe, bases: set[str], base: str) -> Job:
    """The bake that a recipe describes, on `base` where its own is not here; raises EngineError for a value that
    cannot be."""
    here = recipe.base in bases or Path(recipe.base).is_absolute()
    # A relative folder is seen from nobody knows where; the dataset that is open stays.
    dataset = recipe.dataset if Path(recipe.dataset).is_absolute() else ""
    return Job(
        id="",
        kind="bake",
        name=recipe.name or Path(recipe.path).stem,
        created=0.0,
        dataset=dataset,
        base=recipe.base if here else base,
        preset=recipe.preset,
        params=fields.build(recipe.params),
    )


def _parameter_blocks(found: RunResults) -> list[Block]:
    heads = {"set": _("Set by hand"), "preset": _("From the preset"), "default": _("As usual")}
    blocks: list[Block] = []
    if found.parent:
        blocks.append(Text(_("Baked again from {run}.").format(run=found.parent), "faint"))
    blocks += [Text(line, "faint") for line in took(found.outcome)]
    blocks += [Pair(_("dataset"), found.dataset), Pair(_("base model"), found.base), Pair(_("preset"), found.preset)]
    for source in ("set", "preset", "default"):
        rows = [row for row in found.params if row.source == source]
        if rows:
            blocks.append(Head(heads[source]))
        for row in rows:
            other = f"  ({row.standard})" if source == "set" else ""
            blocks.append(Pair(row.name, (row.value or "–") + other))
    if found.derived:
        blocks.append(Head(_("Worked out by the trainer")))
        blocks += [Pair(name, value) for name, value in found.derived.items()]
    if found.children:
        blocks += [Head(_("Baked again as")), *(Text(child) for child in found.children)]
    return blocks


def prune_lines(done: Pruned) -> list[str]:
    """What went to the trash, or would, and what stays."""
    from lorabake_tui.commands.prune import pruned_lines

    return pruned_lines(done)
