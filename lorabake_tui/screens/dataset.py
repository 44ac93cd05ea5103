"""The Dataset section: the list of images beside the picture and the caption of the one under the cursor."""

from __future__ import annotations

from collections.abc import Sequence

from textual import on, work
from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical

from engine.protocol import fields
from engine.protocol.errors import EngineError
from engine.protocol.messages import SetCaption, SetRepeat
from engine.protocol.records import ImageRow
from lorabake_tui import keys
from lorabake_tui.i18n import N_, _, ngettext
from lorabake_tui.opened import tags_of
from lorabake_tui.screens.section import Section, hints_of
from lorabake_tui.widgets.ask import AskLine
from lorabake_tui.widgets.empty import Empty
from lorabake_tui.widgets.frame import Frame
from lorabake_tui.widgets.picture import Item, PictureSource, PictureView
from lorabake_tui.widgets.plain import plain, restore
from lorabake_tui.widgets.rows import Cell, Column, RowList
from lorabake_tui.widgets.tagline import TagLine

PROBLEMS = {
    "image_unreadable": N_("unreadable"),
    "image_missing": N_("gone"),
    "image_too_large": N_("too large"),
    "caption_undecodable": N_("not UTF-8"),
    "caption_missing": N_("no caption"),
    "same_stem": N_("same name"),
}
"""Problem code → a word for the list; the sentence stands beside the picture."""


class DatasetSection(Section, inherit_bindings=False):
    """Browse a folder of images, edit captions, set repeats."""

    SECTION = "dataset"
    BINDINGS = keys.bindings(SECTION)
    CSS_PATH = "dataset.tcss"

    def __init__(self) -> None:
        super().__init__()
        self._filter = ""
        self._shown_path = ""
        self._version = -1

    def body(self) -> ComposeResult:
        with Frame(id="dataset-none"):
            yield Empty()
        with Horizontal(id="dataset-some"):
            with Frame(id="images"):
                yield RowList(
                    [
                        Column(_("Image")),
                        Column(_("Size"), 9, right=True),
                        Column(_("Repeat"), 6, right=True),
                        Column(_("Tags"), 4, right=True),
                        Column("", 14, shown_from=58),
                        Column("", 1, hidden_from=58),
                    ],
                    markable=True,
                    id="image-list",
                )
            with Vertical(id="beside"):
                with Frame(id="picture"):
                    yield PictureView(PictureSource(self.bench.engine.call))
                with Frame(id="caption"):
                    yield TagLine()
        yield AskLine()

    def on_mount(self) -> None:
        self.facts_changed()

    # -- showing ----------------------------------------------------------------------------------------------

    def facts_changed(self) -> None:
        if not self.composed:
            return
        opened = self.bench.opened
        self.query_one("#dataset-none").display = not opened.path
        self.query_one("#dataset-some").display = bool(opened.path)
        if not opened.path:
            self._say_empty()
            return
        if opened.path != self._shown_path:
            self._shown_path = opened.path
            self._filter = ""
            self.query_one("#image-list", RowList).marks.clear()
            self._version = -1
        if opened.version != self._version:
            self._version = opened.version
            self._show_rows()
        if self.focused is None:
            self._list.focus()

    @property
    def _list(self) -> RowList:
        return self.query_one("#image-list", RowList)

    def _say_empty(self) -> None:
        lost = self.bench.engine.state == "lost"
        opening = _("The engine is not running.") if lost else _("No dataset is open.")
        names = ("dataset.open", "dataset.open_sample", "app.help")
        self.query_one(Empty).tell(opening, [(keys.find(n).key, _(keys.find(n).help)) for n in names])

    def _show_rows(self) -> None:
        opened = self.bench.opened
        rows: Sequence[int] = opened.matching(self._filter) if self._filter else range(len(opened.rows))
        self._list.empty = _("No image fits the filter.") if self._filter else ""
        self._list.show(rows, self._cells)
        self._say_scope()
        self._show_current()

    def _cells(self, number: int) -> Sequence[Cell]:
        row = self.bench.opened.rows[number]
        size = f"{row.width}×{row.height}" if row.width else "—"
        if row.own_repeat is not None:
            repeat: Cell = (str(row.own_repeat), "row--strong")
        elif row.repeat is not None:
            repeat = str(row.repeat)
        else:
            repeat = (str(self.bench.draft.value("repeat")), "row--dim")
        count = len(tags_of(row.caption))
        tags: Cell = str(count) if row.caption is not None else ("—", "row--dim")
        flag = "⚠" if row.problem else ""
        word = f"{flag} {_(PROBLEMS.get(row.problem, row.problem))}" if row.problem else ""
        return (row.name, (size, "row--dim"), repeat, tags, (word, "row--warn"), (flag, "row--warn"))

    def _say_scope(self) -> None:
        opened, rows = self.bench.opened, self._list
        title = f"{opened.name} · " + ngettext("{count} image", "{count} images", opened.count).format(
            count=opened.count
        )
        if not opened.complete:
            title += " · " + _("reading, {count} so far").format(count=len(opened.rows))
        parts = []
        if self._filter:
            parts.append(_("{count} fit “{filter}”").format(count=len(rows.shown), filter=self._filter))
        if rows.marks:
            parts.append(_("{count} marked").format(count=len(rows.marks)))
        self.query_one("#images", Frame).set_title(title, " · ".join(parts))

    @on(RowList.Highlighted)
    def _show_current(self) -> None:
        number = self._list.current
        picture, caption = self.query_one("#picture", Frame), self.query_one("#caption", Frame)
        if number is None:
            picture.set_title("", "")
            caption.set_title(_("Caption"), "")
            self.query_one(TagLine).show(None)
            self.query_one(PictureView).show(None)
            return
        row = self.bench.opened.rows[number]
        picture.set_title(row.name, f"{row.width}×{row.height}" if row.width else "")
        count = len(tags_of(row.caption))
        subtitle = ngettext("{count} tag", "{count} tags", count).format(count=count) if row.caption else ""
        caption.set_title(_("Caption"), subtitle)
        self.query_one(TagLine).show(row.caption, instead=self._instead(row))
        self.query_one(PictureView).show(Item(self.bench.opened.path, row.name))
        self.refresh_hints()

    def _instead(self, row: ImageRow) -> str:
        if row.problem:
            return "⚠ " + " ".join(self.bench.opened.problem_of(row))
        return _("The caption is empty. e writes one.")

    def hints(self) -> list[tuple[str, str]]:
        if self.query_one(AskLine).asking:
            return hints_of([keys.find("dialog.accept"), keys.find("dialog.cancel")])
        if not self.bench.opened.path:
            names = ("dataset.open", "dataset.open_sample", "app.help", "app.palette", "app.leave")
            return hints_of([keys.find(name) for name in names])
        return super().hints()

    # -- the line that asks -----------------------------------------------------------------------------------

    def _ask(self, topic: str, label: str, value: str = "", **more: object) -> None:
        self.query_one(AskLine).ask(topic, label, value, **more)  # type: ignore[arg-type]
        self.refresh_hints()

    @on(AskLine.Changed)
    def _asked_changed(self, event: AskLine.Changed) -> None:
        if event.topic == "filter":
            self._set_filter(event.text)

    @on(AskLine.Dropped)
    def _asked_dropped(self, event: AskLine.Dropped) -> None:
        if event.topic == "filter":
            self._set_filter("")
        self._list.focus()
        self.refresh_hints()

    @on(AskLine.Answered)
    def _asked_answered(self, event: AskLine.Answered) -> None:
        self._list.focus()
        self.refresh_hints()
        if event.topic == "caption":
            self._save_caption(event.text)
        elif event.topic == "repeat":
            self._save_repeat(event.text)

    def _set_filter(self, text: str) -> None:
        self._filter = text
        self._show_rows()

    def show_tag(self, tag: str) -> None:
        """Show only the images that carry a tag."""
        self._set_filter(f"tag:{tag}")

    # -- actions ----------------------------------------------------------------------------------------------

    @work(exit_on_error=False)
    async def action_open(self) -> None:
        from lorabake_tui.dialogs.path import PathPrompt

        path = await self.app.push_screen_wait(PathPrompt(_("Open a dataset"), self.bench.opened.beside))
        if path:
            self.bench.open_dataset(path)

    def action_open_sample(self) -> None:
        self.bench.open_demo()

    def _current_row(self) -> ImageRow | None:
        number = self._list.current
        return None if number is None else self.bench.opened.rows[number]

    def action_edit(self) -> None:
        row = self._current_row()
        if row is not None and row.problem != "caption_undecodable":
            self._ask("caption", _("Caption"), plain(row.caption or ""))

    @on(RowList.Selected)
    def _edit_selected(self) -> None:
        self.action_edit()

    def action_editor(self) -> None:
        from lorabake_tui.editor import edit_text

        row = self._current_row()
        if row is None:
            return
        text = edit_text(self.app, row.caption or "", suffix=".txt")
        if text is None:
            self.bench.tell(_("No editor could be started here; set $EDITOR."))
        elif text != (row.caption or ""):
            self._write_caption(row, text)

    def _save_caption(self, text: str) -> None:
        row = self._current_row()
        if row is not None:
            changed = restore(text, row.caption or "")
            if changed != (row.caption or ""):
                self._write_caption(row, changed)

    @work(exit_on_error=False, group="edits")
    async def _write_caption(self, row: ImageRow, text: str) -> None:
        path = self.bench.opened.path
        wanted = SetCaption(path=path, image=row.name, caption=text, expected=row.caption)
        page = await self.call("dataset.set_caption", wanted)
        if page is not None:
            self._take(page.rows)

    def action_repeat(self) -> None:
        targets = self._list.targets()
        if not targets:
            return
        rows = [self.bench.opened.rows[number] for number in targets]
        own = {row.own_repeat for row in rows}
        value = str(rows[0].own_repeat) if len(own) == 1 and rows[0].own_repeat is not None else ""
        scope = rows[0].name if len(rows) == 1 else _("{count} marked").format(count=len(rows))
        label = _("Repeat of {scope}").format(scope=scope)
        self._ask("repeat", label, value, note=_("nothing: as the bake"), check=self._wrong_repeat)

    def _wrong_repeat(self, text: str) -> str:
        try:
            if text.strip():
                fields.parse("repeat", text)
        except EngineError as error:
            return error.info.args["allowed"]
        return ""

    @work(exit_on_error=False, group="edits")
    async def _save_repeat(self, text: str) -> None:
        opened = self.bench.opened
        names = [opened.rows[number].name for number in self._list.targets()]
        repeat = fields.parse("repeat", text) if text.strip() else None
        page = await self.call("dataset.set_repeat", SetRepeat(path=opened.path, images=names, repeat=repeat))
        if page is not None:
            self._take(page.rows)

    def _take(self, rows: Sequence[ImageRow]) -> None:
        self.bench.opened.replace(rows)
        self.bench.changed.publish(None)

    def action_mark(self) -> None:
        row = self._list.current
        if row is not None:
            self._list.mark(row, row not in self._list.marks)
            self._list.step(1)
            self._say_scope()

    def action_mark_all(self) -> None:
        rows = self._list
        if set(rows.shown) <= rows.marks:
            rows.marks.difference_update(rows.shown)
        else:
            rows.marks.update(rows.shown)
        rows.restyle()
        self._say_scope()

    def action_filter(self) -> None:
        self._ask("filter", _("Filter"), self._filter, note=_("words, or tag:x"))

    def action_clear(self) -> None:
        if self._filter:
            self._set_filter("")
        else:
            self._list.marks.clear()
            self._list.restyle()
            self._say_scope()

    def action_next_problem(self) -> None:
        self._to_problem(1)

    def action_previous_problem(self) -> None:
        self._to_problem(-1)

    def _to_problem(self, way: int) -> None:
        rows, opened = self._list, self.bench.opened
        count = len(rows.shown)
        for distance in range(1, count + 1):
            row = rows.shown[(rows.cursor + way * distance) % count]
            if opened.rows[row].problem:
                rows.go_to(row)
                return
        self.bench.tell(_("No image has a problem."))

    def action_bake(self) -> None:
        self.bench.go("params")
