"""Long work on a dataset: the check that goes on behind the list, fixes, adding, removing, undo; told how far it is.

What is asked of the engine is asked here; the sheets that ask a person are `dialogs`.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import msgspec
from textual import work
from textual.timer import Timer

from engine.protocol.datasets import (
    AddParams,
    AddReport,
    CancelParams,
    ChangeReport,
    ImagesParams,
    PlanParams,
    TrashReport,
    UndoParams,
    UndoReport,
)
from engine.protocol.messages import CheckParams, FindingsParams, FixParams, PathParams, Progress, Push, SetCaption
from engine.protocol.records import CheckReport, Finding, FixReport, ImageRow
from lorabake_tui.client import ClientError
from lorabake_tui.i18n import N_, _
from lorabake_tui.screens import dataset_text as text
from lorabake_tui.screens.dataset_browse import DatasetBrowse
from lorabake_tui.store.findings import Findings
from lorabake_tui.widgets.frame import Frame
from lorabake_tui.widgets.units import size

REST_SECONDS = 0.6
"""After the last change; a person who types is not disturbed by a check."""
CHECKED_BY_ITSELF = 1000
"""Larger datasets are checked when somebody asks for it: every picture is decoded."""


_ENDED = ("cancelled", "add_cancelled")


class Caption(msgspec.Struct, frozen=True):
    """A caption that was changed here: what it was and what it became."""

    path: str
    image: str
    before: str | None
    after: str


class DatasetWork(DatasetBrowse, inherit_bindings=False):
    """The half of the Dataset section that changes files."""

    def __init__(self) -> None:
        super().__init__()
        self._at_work = self._work_path = ""
        self._looked: object = None
        self._looking = False
        self._timer: Timer | None = None
        self._captions: list[Caption | None] = []

    def on_mount(self) -> None:
        self.bench.pushed.subscribe(self, self._pushed)

    def on_screen_resume(self) -> None:
        self._look_soon()

    def facts_changed(self) -> None:
        super().facts_changed()
        # Behind a dialog too, which may be the one that shows the findings.
        if self.composed and self in self.app.screen_stack:
            self._look_soon()

    # -- what is known of the dataset -------------------------------------------------------------------------

    def _wanted_look(self) -> object:
        opened, draft = self.bench.opened, self.bench.draft
        drawn = tuple(run.state for run in self.bench.runs if run.kind == "reg")
        return (id(opened), opened.version, draft.version, draft.reg, draft.base, drawn)

    def _look_soon(self) -> None:
        """Ask for the plan and the findings once nothing has changed for a moment."""
        opened = self.bench.opened
        if opened.path and opened.complete and self._wanted_look() != self._looked:
            if self._timer is not None:
                self._timer.stop()
            self._timer = self.set_timer(REST_SECONDS, self._look)

    @work(exit_on_error=False)
    async def _look(self) -> None:
        if self._looking:
            return  # whoever looks now looks again
        self._looking = True
        try:
            while (wanted := self._wanted_look()) != self._looked:
                self._looked = wanted
                opened = self._opened
                await self._plan()
                if opened.count <= CHECKED_BY_ITSELF or opened.findings is not None:
                    await self.check()
        finally:
            self._looking = False

    async def _plan(self) -> None:
        opened, draft = self._opened, self.bench.draft
        asked = PlanParams(path=opened.path, reg=draft.reg, params=draft.values())
        try:
            opened.plan = await self._with_reg("dataset.plan", asked)
        except ClientError:
            opened.plan = None  # the parameters do not hold together; their section says so
        self.repaint_rows()

    async def _with_reg(self, method: str, asked: PlanParams | CheckParams) -> Any:
        """The answer; without the regularisation set while its images are not there, as when they are being drawn."""
        try:
            return await self.bench.engine.call(method, asked)
        except ClientError as failure:
            if not asked.reg or failure.info.code not in ("dataset_empty", "dataset_missing"):
                raise
            return await self.bench.engine.call(method, msgspec.structs.replace(asked, reg=""))

    async def check(self) -> bool:
        """Let the doctor look at everything; whether it did."""
        opened, draft = self._opened, self.bench.draft
        asked = CheckParams(path=opened.path, reg=draft.reg, params=draft.values(), base=draft.base)
        try:
            report: CheckReport = await self._with_reg("dataset.check", asked)
            findings, following = list(report.findings), report.next
            while following is not None:
                page = await self.bench.engine.call(
                    "dataset.findings", FindingsParams(path=opened.path, offset=following)
                )
                findings += page.findings
                following = page.next
        except ClientError as failure:
            self._say_failure(failure, "dataset.check")
            return False
        finally:
            self._say_doing("")
        opened.findings = Findings(report, findings)
        self.repaint_rows()
        self.bench.changed.publish(None)
        if report.images != opened.count and opened is self._opened:  # somebody else added or took some
            self.bench.reload_dataset()
        return True

    # -- long requests ----------------------------------------------------------------------------------------

    def _pushed(self, push: Push) -> None:
        # Images can be added to a folder that is not the open one.
        paths = {self._opened.path, self._work_path} - {""}
        if isinstance(push, Progress) and push.path in paths and push.task in text.DOING:
            self._say_doing(_(text.DOING[push.task]).format(done=push.done, total=push.total))

    def _say_doing(self, words: str) -> None:
        begun = bool(words) != bool(self._doing)
        self._doing = words
        if not self.composed:
            return
        if self._opened.path:
            self._say_scope()
        else:
            self.query_one("#dataset-none", Frame).set_title(words)
        if begun:
            self.refresh_hints()

    async def long(self, method: str, params: msgspec.Struct) -> Any:
        """The result of a request that may take a while, one at a time; None when it failed, which has been told."""
        if self._at_work:
            self.bench.tell(_("Something is at work already; Esc ends it."))
            return None
        self._at_work = method
        self._work_path = os.path.abspath(os.path.expanduser(getattr(params, "path", "")))
        try:
            return await self.bench.engine.call(method, params)
        except ClientError as failure:
            exported = getattr(params, "export", "")
            self._say_failure(failure, "dataset.export" if exported else method)
            if failure.info.code in _ENDED and self._opened.path:
                self.bench.reload_dataset()
            return None
        finally:
            self._at_work = self._work_path = ""
            self._say_doing("")

    def _say_failure(self, failure: ClientError, task: str) -> None:
        if failure.info.code in _ENDED:
            self.bench.tell(_(text.ENDED.get(task, text.DONE)))
        else:
            self.bench.tell_error(failure.info)

    @work(exit_on_error=False, group="cancel")
    async def _cancel(self) -> None:
        await self.call("dataset.cancel", CancelParams(path=self._work_path or self._opened.path))

    def action_clear(self) -> None:
        rows = self._list
        if self._at_work or self._doing:
            self._cancel()
        elif self._visual is not None:
            before, self._visual = self._visual[1], None
            rows.marks.clear()
            rows.marks.update(before)
            self._marked()
        elif self._only or self._filter:
            self.set_filter("")
        else:
            rows.marks.clear()
            self._marked()

    def changed(self, count: int) -> None:
        """The engine changed something that `u` takes back."""
        if count:
            self._captions.append(None)

    # -- findings ---------------------------------------------------------------------------------------------

    @work(exit_on_error=False, group="dialog")
    async def action_findings(self) -> None:
        from lorabake_tui.dialogs.findings import FindingsBox

        opened = self._opened
        if not opened.path or (opened.findings is None and not await self.check()):
            return
        answer = await self.app.push_screen_wait(FindingsBox(lambda: self._opened.findings, self.check))
        if answer is None:
            return
        match answer:
            case ("show", code):
                self.set_filter(f"warn:{code}")
            case ("fix", code):
                await self._fix(codes=[code])
            case ("fix_all", _code):
                await self._fix()
            case ("undo", _code):
                self.action_undo()

    @work(exit_on_error=False, group="work")
    async def action_fix(self) -> None:
        rows = [self._opened.rows[number] for number in self._list.targets()]
        if self._opened.findings is None and rows and not await self.check():
            return
        names = [row.name for row in rows if any(found.fix for found in self._found(row))]
        if names:
            await self._fix(files=names)
        elif rows:
            self.bench.tell(_("Nothing here can be mended safely; w shows what is wrong."))

    @work(exit_on_error=False, group="work")
    async def action_fix_all(self) -> None:
        if self._opened.path:
            await self._fix()

    async def _fix(self, *, codes: list[str] | None = None, files: list[str] | None = None) -> None:
        opened, draft = self._opened, self.bench.draft
        asked = FixParams(
            path=opened.path,
            reg=draft.reg,
            params=draft.values(),
            base=draft.base,
            codes=codes or [],
            files=files or [],
        )
        report: FixReport | None = await self.long("dataset.fix", asked)
        if report is None:
            return
        one, many = N_("{count} file mended; u takes it back."), N_("{count} files mended; u takes it back.")
        self.bench.tell(text.counted_words(one, many, report.count))
        self._tell_failed(report.failed)
        self.changed(report.count)
        self.bench.reload_dataset()

    def _tell_failed(self, failed: list[Finding], notices: Sequence[Finding] = ()) -> None:
        if failed or notices:
            from lorabake_tui.dialogs.report import ReportBox

            title = _("What could not be done") if failed else _("Worth knowing")
            self.app.push_screen(ReportBox(title, text.told_of([*failed, *notices])))

    # -- adding, removing, undo -------------------------------------------------------------------------------

    @work(exit_on_error=False, group="dialog")
    async def action_add(self) -> None:
        from lorabake_tui.dialogs import dataset_forms as forms
        from lorabake_tui.dialogs.path import PathPrompt
        from lorabake_tui.dialogs.report import ReportBox

        opened = self._opened
        prompt = PathPrompt(_("Add images: a file, a folder, or a zip"), opened.beside, files=forms.ADDED)
        source = await self.app.push_screen_wait(prompt)
        if not source:
            return
        answer = await self.app.push_screen_wait(forms.add(source, opened.path))
        if answer is None:
            return
        asked = AddParams(
            path=answer["into"], sources=[source.rstrip("/") or "/"], how=answer["how"], limit=int(answer["limit"])
        )  # type: ignore[arg-type]
        report: AddReport | None = await self.long("dataset.add", asked)
        if report is None:
            return
        told = text.counted_words(N_("{count} image added"), N_("{count} images added"), report.added)
        if report.skipped or report.notices:
            self.app.push_screen(ReportBox(told, text.told_of_add(report)))
        else:
            self.bench.tell(told)
        self.changed(report.added)
        if opened.path == report.path:
            self.bench.reload_dataset()
        else:
            self.bench.open_dataset(answer["into"])

    @work(exit_on_error=False, group="work")
    async def action_remove(self) -> None:
        names = [self._opened.rows[number].name for number in self._list.targets()]
        if not names:
            return
        asked = ImagesParams(path=self._opened.path, images=names)
        report: ChangeReport | None = await self.long("dataset.remove", asked)
        if report is None:
            return
        many = N_("{count} images in the dataset's trash; u brings them back.")
        one = N_("{count} image in the dataset's trash; u brings it back.")
        self.bench.tell(text.counted_words(one, many, report.count))
        self._tell_failed(report.failed)
        self.changed(report.count)
        self._list.marks.clear()
        self.bench.reload_dataset()

    @work(exit_on_error=False, group="work")
    async def action_undo(self) -> None:
        if not self._opened.path:
            return
        last = self._captions.pop() if self._captions else None
        if last is not None and last.path == self._opened.path:
            await self._write_back(last)
            return
        report: UndoReport | None = await self.long("dataset.undo", UndoParams(path=self._opened.path))
        if report is None:
            return
        words = _(text.CHANGES.get(report.change.kind, report.change.kind))
        self.bench.tell(
            _("Taken back: {what} ({count}). {left} more can be.").format(
                what=words, count=report.change.count, left=report.left
            )
        )
        self._tell_failed(report.failed)
        self.bench.reload_dataset()

    @work(exit_on_error=False, group="dialog")
    async def action_trash(self) -> None:
        from lorabake_tui.dialogs.confirm import Confirm

        asked = PathParams(path=self._opened.path)
        held: TrashReport | None = await self.call("dataset.trash", asked) if asked.path else None
        if held is None:
            return
        if not held.files:
            self.bench.tell(_("The trash of this dataset is empty."))
            return
        one, many = N_("{count} file, {path}, lies in the trash."), N_("{count} files, {path}, lie in the trash.")
        question = [
            text.counted_words(one, many, held.files, size(held.bytes)),
            _("Empty it for good? {count} changes could no longer be taken back.").format(count=held.rounds),
        ]
        title = _("Trash of {name}").format(name=self._opened.name)
        if await self.app.push_screen_wait(Confirm(title, "\n".join(question), grave=True)):
            gone: TrashReport | None = await self.call("dataset.empty_trash", asked)
            if gone is not None:
                self.bench.tell(_("The trash is empty; {size} are free.").format(size=size(gone.bytes)))

    async def _write_back(self, last: Caption) -> None:
        asked = SetCaption(path=last.path, image=last.image, caption=last.before or "", expected=last.after)
        page = await self.call("dataset.set_caption", asked)
        if page is not None:
            self.take(page.rows)
            self.bench.tell(_("The caption of {image} is as it was.").format(image=last.image))

    def take(self, rows: list[ImageRow]) -> None:
        """Show rows that the engine changed."""
        self._opened.replace(rows)
        self.bench.changed.publish(None)
