"""Crops, more files, export and contact sheets of a dataset: a sheet asks how, the engine does it, a word tells.

What stands in the sheets is `dialogs.dataset_forms`; looking through the crops is `dataset_review`.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from textual import work

from engine.protocol.datasets import (
    ChangeReport,
    ExportParams,
    ExportReport,
    MirrorParams,
    SheetParams,
    SheetReport,
    SplitParams,
    crop_sizes,
)
from engine.protocol.messages import CropParams
from engine.protocol.records import CropReport, ImageRow
from lorabake_tui.i18n import N_, _
from lorabake_tui.screens import dataset_text as text
from lorabake_tui.screens.dataset_work import DatasetWork
from lorabake_tui.widgets.page import Text


class DatasetFiles(DatasetWork, inherit_bindings=False):
    """The part of the Dataset section that makes new pictures of old ones."""

    def __init__(self) -> None:
        super().__init__()
        self._face_model = ""
        self._crop_size = ""

    # -- what a verb acts on ----------------------------------------------------------------------------------

    def _target_rows(self) -> list[ImageRow]:
        return [self._opened.rows[number] for number in self._list.targets()]

    def _scope(self, rows: Sequence[ImageRow]) -> str:
        return rows[0].name if len(rows) == 1 else _("{count} marked").format(count=len(rows))

    def _scopes(self) -> list[tuple[str, str, Sequence[ImageRow]]]:
        """Marked, shown, this image: for the sheets, which say what they act on."""
        rows, all_rows = self._list, self._opened.rows
        shown = [all_rows[number] for number in rows.shown]
        scopes: list[tuple[str, str, Sequence[ImageRow]]] = []
        if rows.marks:
            marked = self._target_rows()
            scopes.append(("marked", _("{count} marked").format(count=len(marked)), marked))
        word = _("all {count}") if len(shown) == len(all_rows) else _("all {count} shown")
        scopes.append(("shown", word.format(count=len(shown)), shown))
        row = self._current_row()
        if row is not None:
            scopes.append(("here", row.name, [row]))
        return scopes

    def _names(self, scope: str) -> list[str]:
        """The names in a scope; none stands for all."""
        rows = next(rows for id, _label, rows in self._scopes() if id == scope)
        return [] if len(rows) == len(self._opened.rows) else [row.name for row in rows]

    @property
    def _sizes(self) -> Sequence[str]:
        """The usual sizes to crop to for the bake that is being prepared."""
        draft = self.bench.draft
        return crop_sizes(draft.family, draft.value("resolution"))

    # -- crops ------------------------------------------------------------------------------------------------

    @work(exit_on_error=False, group="dialog")
    async def action_crop(self) -> None:
        from lorabake_tui.dialogs import dataset_forms as forms

        if not self._opened.rows:
            return
        sheet = forms.crop(self._scopes(), self._sizes, self._face_model, self._crop_size)
        answer = await self.app.push_screen_wait(sheet)
        if answer is None:
            return
        self._crop_size, self._face_model = answer["size"], answer["face_model"].strip()
        names = self._names(answer["scope"])
        asked = CropParams(
            path=self._opened.path,
            size=answer["size"].replace("×", "x"),
            mode=answer["mode"],  # type: ignore[arg-type]
            face_model=os.path.expanduser(self._face_model),
            images=names,
        )
        report: CropReport | None = await self.long("dataset.crop", asked)
        if report is None:
            return
        self._tell_failed(report.failed)
        for notice in report.notices:
            self.bench.tell_error(notice)
        self.changed(report.cropped)
        await self.bench.reloaded()
        await self._review(set(names))

    @work(exit_on_error=False, group="dialog")
    async def action_review(self) -> None:
        await self._review({row.name for row in self._target_rows()} if self._list.marks else set())

    async def _review(self, names: set[str]) -> None:
        from lorabake_tui.screens.dataset_review import CropReview

        shown = [self._opened.rows[number] for number in self._list.shown]
        rows = [row for row in shown if row.name in names] if names else [row for row in shown if row.crop is not None]
        rows = [row for row in rows if row.width]
        if not rows:
            self.bench.tell(_("No image shown is cropped; c crops."))
            return
        review = CropReview(self._opened.path, rows, self._sizes, self._face_model, self._current_row())
        changed = await self.app.push_screen_wait(review)
        for _row in changed or []:
            self.changed(1)
        if changed:
            self.take(changed)

    # -- more files -------------------------------------------------------------------------------------------

    @work(exit_on_error=False, group="dialog")
    async def action_split(self) -> None:
        from lorabake_tui.dialogs import dataset_forms as forms

        if not self._opened.rows:
            return
        answer = await self.app.push_screen_wait(forms.split(self._scopes(), self._sizes))
        if answer is None:
            return
        path, names = self._opened.path, self._names(answer["scope"])
        repeat = int(answer["repeat"]) if answer["repeat"] else None
        if answer["what"] == "mirror":
            report = await self.long("dataset.mirror", MirrorParams(path=path, images=names, repeat=repeat))
        else:
            asked = SplitParams(
                path=path,
                images=names,
                size=answer["size"],
                overlap=int(answer["overlap"]) / 100,
                ratio=float(answer["ratio"]),
                repeat=repeat,
            )
            report = await self.long("dataset.split", asked)
        if report is not None:
            self._tell_made(report)

    def _tell_made(self, report: ChangeReport) -> None:
        one, many = N_("{count} new file; u takes it back."), N_("{count} new files; u takes them back.")
        self.bench.tell(text.counted_words(one, many, len(report.made)))
        self._tell_failed(report.failed, report.notices)
        self.changed(len(report.made))
        self.bench.reload_dataset()

    @work(exit_on_error=False, group="dialog")
    async def action_export(self) -> None:
        from lorabake_tui.dialogs import dataset_forms as forms
        from lorabake_tui.dialogs.path import PathPrompt

        opened, draft = self._opened, self.bench.draft
        if not opened.rows:
            return
        start = opened.path.rstrip("/") + "-export"
        out = await self.app.push_screen_wait(PathPrompt(_("Export into a folder"), start))
        if not out:
            return
        cropped = sum(row.crop is not None for row in opened.rows)
        answer = await self.app.push_screen_wait(forms.export(self._scopes(), out, cropped))
        if answer is None:
            return
        if answer["what"] == "crops":
            names = self._names(answer["scope"])
            crops: CropReport | None = await self.long(
                "dataset.crop", CropParams(path=opened.path, export=out, images=names)
            )
            if crops is not None:
                many = N_("{count} pictures written to {path}.")
                self.bench.tell(text.counted_words(N_("{count} picture written to {path}."), many, crops.exported, out))
                self._tell_failed(crops.failed)
            return
        how = answer["how"]
        asked = ExportParams(path=opened.path, out=out, reg=draft.reg, params=draft.values(), how=how)  # type: ignore[arg-type]
        report: ExportReport | None = await self.long("dataset.export", asked)
        if report is not None:
            many = N_("{count} images below {path}, described by dataset.toml.")
            self.bench.tell(
                text.counted_words(
                    N_("{count} image below {path}, described by dataset.toml."), many, report.files, out
                )
            )
            self._tell_failed(report.failed)

    # -- pixels -----------------------------------------------------------------------------------------------

    @work(exit_on_error=False, group="zoom")
    async def action_zoom(self) -> None:
        from lorabake_tui.widgets.picture import FullPicture

        shown = self._list.shown
        if not shown:
            return
        around = range(max(0, self._list.cursor - 500), min(len(shown), self._list.cursor + 500))
        rows = [self._opened.rows[shown[place]] for place in around]
        table = [[self._item(row)._replace(caption=row.name) for row in rows]]
        place = self._list.cursor - around.start
        answer = await self.app.push_screen_wait(FullPicture(self._source, table, (0, place)))
        if answer is not None:
            self._list.step(answer[1] - place)

    @work(exit_on_error=False, group="zoom")
    async def action_pixels(self) -> None:
        from lorabake_tui.dialogs.report import ReportBox
        from lorabake_tui.widgets.picture import pixel_protocol, show_full

        row = self._current_row()
        if row is None:
            return
        if pixel_protocol(os.environ) and Path(self._opened.path, row.name).is_file():
            await show_full(self, self._source, [[self._item(row)._replace(caption=row.name)]])
            return
        names = self._names("marked" if self._list.marks else "shown")
        report: SheetReport | None = await self.long("dataset.sheet", SheetParams(path=self._opened.path, images=names))
        if report is not None:
            told = _("This terminal shows no true pixels. A contact sheet of {count} images is here:")
            blocks = [Text(told.format(count=report.images)), Text(""), *map(Text, report.files)]
            self.app.copy_to_clipboard(report.files[0] if report.files else "")
            self.app.push_screen(ReportBox(_("Contact sheet"), blocks))
