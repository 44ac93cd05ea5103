"""The Dataset section: captions, repeats, letters, mirroring, crops, files, each on what the footer says it acts on."""

from __future__ import annotations

import os
from typing import Any

import msgspec
from textual import on, work

from engine.protocol import fields
from engine.protocol.datasets import FlipParams, MarkParams, RegParams, RepeatParams, RowsReport
from engine.protocol.errors import EngineError
from engine.protocol.messages import SetCaption
from engine.protocol.records import ImageRow
from lorabake_tui import keys
from lorabake_tui.i18n import _
from lorabake_tui.screens import dataset_text as text
from lorabake_tui.screens.dataset_filter import DatasetFilter
from lorabake_tui.screens.dataset_work import Caption
from lorabake_tui.widgets.ask import AskLine
from lorabake_tui.widgets.plain import plain, restore
from lorabake_tui.widgets.rows import RowList


class DatasetSection(DatasetFilter, inherit_bindings=False):
    """Browse a folder of images, mend, crop and weigh them."""

    SECTION = "dataset"
    BINDINGS = keys.bindings(SECTION)
    CSS_PATH = "dataset.tcss"

    def __init__(self) -> None:
        super().__init__()
        self._group: tuple[str, str] | None = None

    # -- the line that asks -----------------------------------------------------------------------------------

    def _ask(self, topic: str, label: str, value: str = "", **more: Any) -> None:
        self.query_one(AskLine).ask(topic, label, value, **more)
        self.refresh_hints()

    @on(AskLine.Changed)
    def _asked_changed(self, event: AskLine.Changed) -> None:
        if event.topic == "filter":
            self.filter_typed(event.text)

    @on(AskLine.Dropped)
    def _asked_dropped(self, event: AskLine.Dropped) -> None:
        if event.topic == "filter":
            self.set_filter("")
        self._focus_view()
        self.refresh_hints()

    @on(AskLine.Answered)
    def _asked_answered(self, event: AskLine.Answered) -> None:
        self._focus_view()
        self.refresh_hints()
        match event.topic:
            case "filter":
                self.keep_filter(event.text)
            case "caption":
                self._save_caption(event.text)
            case "repeat":
                self._save_repeat(event.text)
            case "flip":
                self._save_flip(True, event.text)
            case "letter" if event.text.strip():
                self._save_letter(event.text.strip())

    def action_filter(self) -> None:
        self.ask_filter()

    # -- opening ----------------------------------------------------------------------------------------------

    @work(exit_on_error=False, group="dialog")
    async def action_open(self) -> None:
        from lorabake_tui.dialogs.path import PathPrompt

        path = await self.app.push_screen_wait(PathPrompt(_("Open a dataset"), self._opened.beside))
        if path:
            self.bench.open_dataset(path)

    def action_open_sample(self) -> None:
        self.bench.open_sample()

    def action_bake(self) -> None:
        self.bench.go("params")

    # -- captions ---------------------------------------------------------------------------------------------

    def action_edit(self) -> None:
        row = self._current_row()
        if row is not None and row.problem != "caption_undecodable":
            self._ask("caption", _("Caption"), plain(row.caption or ""))

    @on(RowList.Selected)
    def _selected(self) -> None:
        if self._grid:
            self.action_zoom()
        else:
            self.action_edit()

    def action_editor(self) -> None:
        from lorabake_tui.editor import edit_text

        row = self._current_row()
        if row is None:
            return
        written = edit_text(self.app, row.caption or "", suffix=".txt")
        if written is None:
            self.bench.tell(_("No editor could be started here; set $EDITOR."))
        elif written != (row.caption or ""):
            self._write_caption(row, written)

    def _save_caption(self, written: str) -> None:
        row = self._current_row()
        if row is not None:
            changed = restore(written, row.caption or "")
            if changed != (row.caption or ""):
                self._write_caption(row, changed)

    @work(exit_on_error=False, group="edits")
    async def _write_caption(self, row: ImageRow, written: str) -> None:
        path = self._opened.path
        wanted = SetCaption(path=path, image=row.name, caption=written, expected=row.caption)
        page = await self.call("dataset.set_caption", wanted)
        if page is not None:
            self._captions.append(Caption(path, row.name, row.caption, written))
            self.take(page.rows)

    # -- repeats, letters, mirroring --------------------------------------------------------------------------

    async def _change_rows(self, method: str, params: msgspec.Struct) -> None:
        """A change of facts, not of files: rows come back, and what to know of it."""
        report: RowsReport | None = await self.call(method, params)
        if report is None:
            return
        self.changed(1)
        self.take(report.rows)
        if report.notices:
            from lorabake_tui.dialogs.report import ReportBox

            self.app.push_screen(ReportBox(_("Worth knowing"), text.told_of(report.notices)))

    def action_repeat(self) -> None:
        rows = self._target_rows()
        if not rows:
            return
        own = {row.own_repeat for row in rows}
        self._group = None
        self._ask_repeat(self._scope(rows), str(rows[0].own_repeat) if own == {rows[0].own_repeat} else "")

    def _ask_repeat(self, scope: str, value: str) -> None:
        label = _("Repeat of {scope}").format(scope=scope)
        value = "" if value == "None" else value
        self._ask("repeat", label, value, note=_("nothing: as the bake"), check=_wrong_repeat)

    @work(exit_on_error=False, group="edits")
    async def _save_repeat(self, written: str) -> None:
        repeat = fields.parse("repeat", written) if written.strip() else None
        path, group = self._opened.path, self._group
        if group is None:
            names = [row.name for row in self._target_rows()]
            await self._change_rows("dataset.repeat", RepeatParams(path=path, images=names, repeat=repeat))
        elif group[0] == "folder":
            await self._change_rows("dataset.repeat", RepeatParams(path=path, folder=group[1], repeat=repeat))
        else:
            await self._change_rows("dataset.repeat", RepeatParams(path=path, mark=group[1], repeat=repeat))

    def action_letter(self) -> None:
        rows = self._target_rows()
        if rows:
            label = _("Letter for {scope}").format(scope=self._scope(rows))
            self._ask("letter", label, note=_("a–z or 0–9; again takes it away"), check=_wrong_letter)

    @work(exit_on_error=False, group="edits")
    async def _save_letter(self, letter: str) -> None:
        rows = self._target_rows()
        on = not all(letter in row.marks for row in rows)
        names = [row.name for row in rows]
        await self._change_rows("dataset.mark", MarkParams(path=self._opened.path, images=names, mark=letter, on=on))

    def action_flip(self) -> None:
        rows = self._target_rows()
        if rows:
            self._save_flip(not all(row.flip for row in rows), "")

    def action_flip_repeat(self) -> None:
        rows = self._target_rows()
        if rows:
            label = _("Repeat of the mirror images of {scope}").format(scope=self._scope(rows))
            self._ask("flip", label, note=_("nothing: as the image's"), check=_wrong_repeat)

    @work(exit_on_error=False, group="edits")
    async def _save_flip(self, on: bool, written: str) -> None:
        names = [row.name for row in self._target_rows()]
        repeat = fields.parse("repeat", written) if written.strip() else None
        await self._change_rows("dataset.flip", FlipParams(path=self._opened.path, images=names, on=on, repeat=repeat))

    # -- plan and regularisation ------------------------------------------------------------------------------

    @work(exit_on_error=False, group="dialog")
    async def action_plan(self) -> None:
        from lorabake_tui.dialogs.plan import PlanBox

        opened = self._opened
        if not opened.path:
            return
        await self._plan()
        if opened.plan is None:
            self.bench.tell(_("The parameters do not hold together yet; 3 shows them."))
            return
        draft = self.bench.draft
        answer = await self.app.push_screen_wait(PlanBox(opened.plan, draft.reg, draft.value("repeat")))
        if answer is None:
            return
        if answer.what == "reg":
            self.action_reg()
        elif answer.what == "repeat":
            self._group = (answer.kind, answer.name)
            self._ask_repeat(answer.name if answer.name != "." else opened.name, answer.value)
        else:
            self._show_group(answer.kind, answer.name)

    def _show_group(self, kind: str, name: str) -> None:
        rows, plan = self._opened.rows, self._opened.plan
        if kind == "bucket" and plan is not None:
            bucket = plan.buckets[int(name)]
            found = [number for number, place in enumerate(plan.bucket) if place == int(name)]
            self.show_only(f"{bucket.width}×{bucket.height}", found)
        elif kind == "mark":
            self.show_only(name, [number for number, row in enumerate(rows) if name in row.marks])
        elif kind == "folder":
            folder = "" if name == "." else name + "/"
            self.show_only(name, [number for number, row in enumerate(rows) if _folder(row.name) == folder])

    @work(exit_on_error=False, group="dialog")
    async def action_reg(self) -> None:
        from lorabake_tui.dialogs import dataset_forms as forms
        from lorabake_tui.dialogs.path import PathPrompt
        from lorabake_tui.dialogs.picker import Option, Picker

        draft = self.bench.draft
        options = [
            Option("folder", _("A folder of images")),
            Option("draw", _("Draw them with the base"), _("a job for the queue")),
            Option("", _("None")),
        ]
        what = await self.app.push_screen_wait(Picker(_("Regularisation images"), options))
        if what is None:
            return
        path = ""
        if what:
            start = draft.reg or (self._opened.path.rstrip("/") + "-reg" if what == "draw" else self._opened.beside)
            path = await self.app.push_screen_wait(PathPrompt(_("Regularisation set"), start)) or ""
            if not path:
                return
            around = os.path.commonpath([os.path.abspath(path), self._opened.path or "/"])
            if self._opened.path and around in (os.path.abspath(path), self._opened.path):
                self.bench.tell(_("Regularisation images lie outside of the dataset, in a folder of their own."))
                return
        if what == "draw":
            answer = await self.app.push_screen_wait(forms.draw_reg(path))
            if answer is None:
                return
            asked = RegParams(
                out=path,
                base=draft.base,
                prompts=[answer["prompt"]],
                count=int(answer["count"]),
                params=draft.values(),
                preset=draft.preset,
            )
            row = await self.call("reg.submit", asked)
            if row is None:
                return
            self.bench.tell(_("The images are being drawn; 4 shows the queue."))
        draft.reg = path.rstrip("/") if what else ""
        draft.version += 1
        self.bench.changed.publish(None)


def _wrong_repeat(written: str) -> str:
    try:
        if written.strip():
            fields.parse("repeat", written)
    except EngineError as error:
        return error.info.args["allowed"]
    return ""


def _wrong_letter(written: str) -> str:
    letter = written.strip()
    fits = not letter or (len(letter) == 1 and letter.isascii() and letter.isalnum())
    return "" if fits else _("one of a–z or 0–9")


def _folder(name: str) -> str:
    folder, slash, _file = name.rpartition("/")
    return folder + slash
