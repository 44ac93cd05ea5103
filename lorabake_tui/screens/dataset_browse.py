"""Browsing a dataset: list or small pictures, filter, order, marks, jumps, and what stands beside the image.

Nothing here changes a file; what does is `dataset_change` and `dataset_work`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from textual import on, work
from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical
from textual.timer import Timer

from engine.protocol.datasets import PicturesParams
from engine.protocol.found import Found
from engine.protocol.messages import FilterParams
from engine.protocol.records import ImageRow, Picture
from lorabake_tui import keys
from lorabake_tui.client import ClientError
from lorabake_tui.i18n import _, ngettext, told
from lorabake_tui.opened import OpenedDataset, tags_of
from lorabake_tui.screens import dataset_text as text
from lorabake_tui.screens.section import Section, hints_of
from lorabake_tui.store.findings import Found as Seen
from lorabake_tui.store.order import ORDERS, Order
from lorabake_tui.widgets.ask import AskLine
from lorabake_tui.widgets.boxed import BoxedPicture, Part
from lorabake_tui.widgets.empty import Empty
from lorabake_tui.widgets.filter_line import FilterLine
from lorabake_tui.widgets.frame import Frame
from lorabake_tui.widgets.page import Page
from lorabake_tui.widgets.picture import Item, PictureSource
from lorabake_tui.widgets.rows import Cell, RowList
from lorabake_tui.widgets.tagline import TagLine
from lorabake_tui.widgets.thumbs import Thumbs

MEANWHILE_SECONDS = 0.1
"""While images are still being read, what stands beside the list follows the cursor this late."""


class DatasetBrowse(Section, inherit_bindings=False):
    """The half of the Dataset section that looks."""

    def __init__(self) -> None:
        super().__init__()
        self._opened = OpenedDataset()
        self._version = -1
        self._filter = ""
        self._fits: Sequence[int] | None = None
        self._only: tuple[str, list[int]] | None = None
        self._order: tuple[Order, bool] = ("name", False)
        self._visual: tuple[int, frozenset[int]] | None = None
        self._grid = False
        self._doing = ""
        self._later: Timer | None = None

    def body(self) -> ComposeResult:
        self._source = PictureSource(self.bench.engine.call)
        with Frame(id="dataset-none"):
            yield Empty()
        with Horizontal(id="dataset-some"):
            with Frame(id="images"):
                rows = RowList(text.columns(), markable=True, id="image-list")
                yield rows
                yield Thumbs(rows, self._pictures, self._label, id="thumbs")
            with Vertical(id="beside"):
                with Frame(id="picture"):
                    yield BoxedPicture(self._source)
                with Frame(id="caption"):
                    yield TagLine()
                with Frame(id="wrong", title=_("Findings")):
                    yield Page(id="wrong-page", clipped=True)
        yield FilterLine()

    def on_mount(self) -> None:
        self.query_one(Thumbs).display = False
        self.facts_changed()

    # -- showing ----------------------------------------------------------------------------------------------

    @property
    def _list(self) -> RowList:
        return self.query_one("#image-list", RowList)

    def facts_changed(self) -> None:
        if not self.composed:
            return
        opened = self.bench.opened
        self.query_one("#dataset-none").display = not opened.path
        self.query_one("#dataset-some").display = bool(opened.path)
        if not opened.path:
            self._say_empty()
            return
        if opened is not self._opened:
            self._change_folder(opened)
        if opened.version != self._version:
            only_more = opened.edited <= self._version
            self._version = opened.version
            if self._filter:
                self._find()
            elif only_more and self._only is None and self._order == ("name", False):
                self._list.grow(range(len(opened.rows)))
                self.query_one(Thumbs).follow()
                self._say_scope()
            else:
                self._show_rows()
        if self.focused is None:
            self._focus_view()

    def _change_folder(self, opened: OpenedDataset) -> None:
        """Another folder begins anew; the same one, read again, keeps its marks and its place by name."""
        before, self._opened, self._version = self._opened, opened, -1
        rows = self._list
        here, marked = rows.current, [before.rows[number].name for number in rows.marks]
        name = before.rows[here].name if here is not None else ""
        rows.marks.clear()
        self._visual, self._fits, self._only = None, None, None
        self.query_one(Thumbs).forget()
        if opened.path != before.path:
            self._filter = ""
            return
        rows.marks.update(opened.numbers_of(marked))
        rows.show(range(len(opened.rows)), self._cells)
        if found := opened.numbers_of([name]):
            rows.go_to(found[0])

    def _say_empty(self) -> None:
        lost = self.bench.engine.state == "lost"
        opening = _("The engine is not running.") if lost else _("No dataset is open.")
        names = ("dataset.open", "dataset.add", "dataset.open_sample", "app.help")
        self.query_one(Empty).tell(opening, [(keys.find(n).key, _(keys.find(n).help)) for n in names])

    def _show_rows(self) -> None:
        opened, rows = self._opened, self._list
        found: Sequence[int] = range(len(opened.rows))
        if self._filter and self._fits is not None:
            found = self._fits
        elif self._only is not None:
            found = self._only[1]
        order, reverse = self._order
        rows.empty = _("No image fits the filter.") if self._filter else ""
        rows.show(opened.arranged(found, order, reverse=reverse, marked=rows.marks), self._cells)
        self.query_one(Thumbs).forget([])
        self._say_scope()
        self._show_current()

    def repaint_rows(self) -> None:
        """What is told of the rows changed, not which they are."""
        self._list.restyle()
        self.query_one(Thumbs).refresh()
        self._say_scope()
        self._show_current()

    def _cells(self, number: int) -> Sequence[Cell]:
        return text.cells(self._opened, number, self.bench.draft.value("repeat"))

    def _label(self, number: int) -> tuple[str, str]:
        row = self._opened.rows[number]
        return row.name, text.signs(row, self._opened.codes_of(row)).replace(" ", "")

    async def _pictures(self, rows: Sequence[int], width: int, height: int) -> Sequence[Picture | None]:
        names = [self._opened.rows[number].name for number in rows]
        asked = PicturesParams(path=self._opened.path, images=names, width=width, height=height)
        try:
            found: list[Picture | None] = (await self.bench.engine.call("dataset.pictures", asked)).pictures
        except ClientError:
            return [None] * len(rows)
        return found

    def _say_scope(self) -> None:
        opened, rows = self._opened, self._list
        title = f"{opened.name} · {text.counted(opened.count)}"
        if not opened.complete:
            title += " · " + _("reading, {count} so far").format(count=len(opened.rows))
        elif self._doing:
            title += " · " + self._doing
        elif self._order != ("name", False):
            order, reverse = self._order
            title += f" · {'↑' if reverse else '↓'} {_(text.ORDER_NAMES[order])}"
        parts = [_("visual")] if self._visual is not None else []
        if self._filter:
            parts.append(_("{count} fit “{filter}”").format(count=len(rows.shown), filter=self._filter))
        elif self._only is not None:
            parts.append(_("only {what}: {count}").format(what=self._only[0], count=len(rows.shown)))
        targets = len(rows.targets())
        parts.append(text.scope(targets, targets if rows.marks else 0))
        self.query_one("#images", Frame).set_title(title, " · ".join(part for part in parts if part))

    @on(RowList.Highlighted)
    def _moved(self) -> None:
        if self._visual is not None:
            self._extend_visual()
        self.query_one(Thumbs).follow()
        if self._opened.complete:
            self._show_current()
        elif self._later is None:
            # Beside a folder that is being read a key that is held shall not wait for four panes.
            self._later = self.set_timer(MEANWHILE_SECONDS, self._show_later)

    def _show_later(self) -> None:
        self._later = None
        self._show_current()

    def _show_current(self) -> None:
        number = self._list.current
        picture, caption = self.query_one("#picture", Frame), self.query_one("#caption", Frame)
        findings = self._opened.findings
        self.query_one("#wrong").display = bool(findings is not None and findings.images)
        if number is None:
            picture.set_title("", "")
            caption.set_title(_("Caption"), "")
            self.query_one(TagLine).show(None)
            self.query_one("#wrong-page", Page).show([])
            self.query_one(BoxedPicture).show_part(None, None)
            return
        row = self._opened.rows[number]
        picture.set_title(row.name, text.picture_facts(self._opened, number))
        count = len(tags_of(row.caption))
        subtitle = ngettext("{count} tag", "{count} tags", count).format(count=count) if row.caption else ""
        caption.set_title(_("Caption"), subtitle)
        self.query_one(TagLine).show(row.caption, instead=self._instead(row))
        self.query_one("#wrong-page", Page).show(text.findings_of(self._opened, row))
        part = Part(row.crop.box, row.crop.of, warn=row.crop.cuts_face) if row.crop is not None else None
        self.query_one(BoxedPicture).show_part(self._item(row), part)
        self.refresh_hints()

    def _item(self, row: ImageRow) -> Item:
        return Item(self._opened.path, row.name, version=row.bytes)

    def _instead(self, row: ImageRow) -> str:
        if row.problem:
            return "⚠ " + " ".join(self._opened.problem_of(row))
        return _("The caption is empty. e writes one.")

    def hints(self) -> list[tuple[str, str]]:
        if (line := self.query_one(AskLine)).asking:
            ending = hints_of([keys.find("dialog.accept"), keys.find("dialog.cancel")])
            helped = [*hints_of([keys.find("dialog.complete")]), ("↑", _("Earlier"))]
            return [ending[0], *helped, ending[1]] if line.topic == FilterLine.TOPIC else ending
        told_first = [(keys.find("dataset.clear").key, _("End"))] if self._doing else []
        if not self.bench.opened.path:
            names = ("dataset.open", "dataset.add", "dataset.open_sample", "app.help", "app.palette", "app.leave")
            return [*told_first, *hints_of([keys.find(name) for name in names])]
        row = self._current_row()
        if row is not None and any(found.fix for found in self._found(row)):
            told_first += hints_of([keys.find("dataset.fix")])
        usual = super().hints()
        # Help has its place in front of what only wide terminals show.
        help_hint = hints_of([keys.find("app.help")])
        rest = [hint for hint in usual if hint not in help_hint]
        return [*told_first, *rest[:6], *help_hint, *rest[6:]]

    def refresh_hints(self) -> None:
        if self.composed:
            self.tell_hints(self.hints())

    def _found(self, row: ImageRow) -> Sequence[Seen]:
        return self._opened.findings.of(row.name) if self._opened.findings is not None else ()

    def _current_row(self) -> ImageRow | None:
        number = self._list.current
        return None if number is None else self._opened.rows[number]

    def _focus_view(self) -> None:
        (self.query_one(Thumbs) if self._grid else self._list).focus()

    # -- filter and order -------------------------------------------------------------------------------------

    def set_filter(self, wanted: str) -> None:
        """Show only what a filter finds; while it is broken, what the last whole one found stays."""
        self._filter, self._only = wanted, None
        if wanted:
            self._find()
        else:
            self._fits = None
            self._show_rows()

    def show_only(self, what: str, rows: list[int]) -> None:
        """Show these rows, called `what`, until a filter or Esc."""
        self._filter, self._fits, self._only = "", None, (what, rows)
        self._show_rows()

    @work(exit_on_error=False, exclusive=True, group="filter")
    async def _find(self) -> None:
        opened, wanted = self._opened, self._filter
        try:
            found: Found = await self.bench.engine.call("dataset.filter", FilterParams(path=opened.path, text=wanted))
        except ClientError as failure:
            self.bench.tell_error(failure.info)
            return
        if opened is not self._opened or wanted != self._filter:
            return
        if found.error is not None:
            self.say_broken(told(found.error)[0])
            return
        self._fits = found.rows()
        self._show_rows()

    def say_broken(self, why: str) -> None:
        """What is wrong with the filter that is typed."""
        self.query_one(AskLine).say(why, wrong=True)

    @work(exit_on_error=False)
    async def action_sort(self) -> None:
        from lorabake_tui.dialogs.picker import Option, Picker

        order, reverse = self._order
        arrow = "↑" if reverse else "↓"
        options = [Option(one, _(text.ORDER_NAMES[one]), arrow if one == order else "") for one in ORDERS]
        chosen = await self.app.push_screen_wait(Picker(_("Sort by (once more: reverse)"), options, value=order))
        if chosen is not None:
            self._order = (chosen, not reverse if chosen == order else False)
            self._show_rows()

    # -- marks ------------------------------------------------------------------------------------------------

    def _marked(self) -> None:
        self._list.restyle()
        self.query_one(Thumbs).refresh()
        self._say_scope()

    def action_mark(self) -> None:
        rows = self._list
        if self._visual is not None:
            self._visual = None
        elif rows.current is not None:
            rows.mark(rows.current, rows.current not in rows.marks)
            rows.step(1)
        self._marked()

    def action_visual(self) -> None:
        rows = self._list
        if self._visual is not None:
            self._visual = None
        elif rows.current is not None:
            self._visual = (rows.cursor, frozenset(rows.marks))
            self._extend_visual()
        self._marked()

    def _extend_visual(self) -> None:
        if self._visual is None:
            return
        rows, (anchor, before) = self._list, self._visual
        first, last = sorted((anchor, rows.cursor))
        rows.marks.clear()
        rows.marks.update(before)
        rows.marks.update(rows.shown[first : last + 1])
        self._marked()

    def action_mark_all(self) -> None:
        rows = self._list
        if set(rows.shown) <= rows.marks:
            rows.marks.difference_update(rows.shown)
        else:
            rows.marks.update(rows.shown)
        self._marked()

    def action_invert(self) -> None:
        self._list.marks.symmetric_difference_update(self._list.shown)
        self._marked()

    # -- jumps and views --------------------------------------------------------------------------------------

    def action_next_problem(self) -> None:
        self._jump(1, lambda row: bool(self._opened.codes_of(row)), _("No image has a problem."))

    def action_previous_problem(self) -> None:
        self._jump(-1, lambda row: bool(self._opened.codes_of(row)), _("No image has a problem."))

    def action_next_untagged(self) -> None:
        self._jump(1, lambda row: not row.caption, _("Every image has a caption."))

    def action_previous_untagged(self) -> None:
        self._jump(-1, lambda row: not row.caption, _("Every image has a caption."))

    def _jump(self, way: int, fits: Callable[[ImageRow], bool], none: str) -> None:
        rows, count = self._list, len(self._list.shown)
        for distance in range(1, count + 1):
            number = rows.shown[(rows.cursor + way * distance) % count]
            if fits(self._opened.rows[number]):
                rows.step((rows.cursor + way * distance) % count - rows.cursor)
                return
        self.bench.tell(none)

    def action_grid(self) -> None:
        self._grid = not self._grid
        self.set_class(self._grid, "-grid")
        self._list.display = not self._grid
        self.query_one(Thumbs).display = self._grid
        self._focus_view()
        self.call_after_refresh(self.query_one(Thumbs).follow)

    def action_left(self) -> None:
        if self._grid:
            self._list.step(-1)

    def action_right(self) -> None:
        if self._grid:
            self._list.step(1)
