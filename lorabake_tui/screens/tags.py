"""The Tags section: every tag of the dataset with its count, its share and its usual place in the captions."""

from __future__ import annotations

from collections.abc import Sequence

from textual import on, work
from textual.app import ComposeResult

from engine.protocol.messages import PathParams
from engine.protocol.records import TagCount, TagTable
from lorabake_tui import keys
from lorabake_tui.i18n import N_, _, ngettext
from lorabake_tui.screens.section import Section, hints_of
from lorabake_tui.widgets.ask import AskLine
from lorabake_tui.widgets.empty import Empty
from lorabake_tui.widgets.frame import Frame
from lorabake_tui.widgets.rows import Cell, Column, RowList

ORDERS = (N_("by count"), N_("by name"), N_("by place"))
BAR_WIDTH = 20
_EIGHTHS = " ▏▎▍▌▋▊▉█"


class TagsSection(Section, inherit_bindings=False):
    """The tag table; Enter shows a tag's images in the Dataset section."""

    SECTION = "tags"
    BINDINGS = keys.bindings(SECTION)
    DEFAULT_CSS = """
    TagsSection Frame { height: 1fr; }
    """

    def __init__(self) -> None:
        super().__init__()
        self._table: TagTable | None = None
        self._asked: tuple[str, int, bool] = ("", 0, False)
        self._filter = ""
        self._order = 0

    def body(self) -> ComposeResult:
        with Frame(id="tags-none"):
            yield Empty()
        with Frame(id="tags-some"):
            yield RowList(
                [
                    Column(_("Tag")),
                    Column(_("Images"), 7, right=True),
                    Column(_("Share"), 6, right=True),
                    Column("", BAR_WIDTH, shown_from=64),
                    Column(_("Place"), 6, right=True),
                ],
                id="tag-list",
            )
        yield AskLine()

    def on_mount(self) -> None:
        self.facts_changed()

    def on_screen_resume(self) -> None:
        self._ask_table()

    # -- showing ----------------------------------------------------------------------------------------------

    def facts_changed(self) -> None:
        if not self.composed:
            return
        if self.bench.opened.path != self._asked[0]:
            self._table = None
        if self.is_current:
            self._ask_table()
        self._show()

    def _ask_table(self) -> None:
        opened = self.bench.opened
        asked = (opened.path, opened.version, opened.complete)
        if asked != self._asked and opened.path and opened.complete:
            self._asked = asked
            self._load()

    @work(exclusive=True, exit_on_error=False, group="tags")
    async def _load(self) -> None:
        table = await self.call("dataset.tags", PathParams(path=self.bench.opened.path))
        if table is not None and table.path == self.bench.opened.path:
            self._table = table
            self._show()

    def _show(self) -> None:
        empty = self._table is None or not self._table.tags
        self.query_one("#tags-none").display = empty
        self.query_one("#tags-some").display = not empty
        if empty or self._table is None:
            self._say_empty()
            return
        table = self._table
        self._list.empty = _("No tag fits the filter.")
        self._list.show(self._rows(table.tags), self._cells)
        title = ngettext("{count} tag", "{count} tags", len(table.tags)).format(count=len(table.tags))
        images = ngettext("{count} image", "{count} images", table.images).format(count=table.images)
        parts = [_(ORDERS[self._order])]
        if self._filter:
            fitting = len(self._list.shown)
            parts.insert(0, _("{count} fit “{filter}”").format(count=fitting, filter=self._filter))
        if table.limit_reached:
            parts.append(_("only the most frequent"))
        self.query_one("#tags-some", Frame).set_title(f"{title} · {images}", " · ".join(parts))
        if self.focused is None:
            self._list.focus()

    def _say_empty(self) -> None:
        if self.bench.opened.path and self._table is not None:
            sentence = _("No image of this dataset has a tag.")
            names: tuple[str, ...] = ("app.dataset",)
        elif self.bench.opened.path:
            sentence, names = _("Reading the captions."), ()
        else:
            sentence, names = _("No dataset is open."), ("app.dataset", "app.help")
        self.query_one(Empty).tell(sentence, [(keys.find(n).key, _(keys.find(n).help)) for n in names])

    @property
    def _list(self) -> RowList:
        return self.query_one("#tag-list", RowList)

    def _rows(self, tags: Sequence[TagCount]) -> Sequence[int]:
        words = self._filter.lower().split()
        rows = [n for n, row in enumerate(tags) if all(word in row.tag.lower() for word in words)]
        if self._order == 1:
            rows.sort(key=lambda n: tags[n].tag.lower())
        elif self._order == 2:
            rows.sort(key=lambda n: tags[n].mean_rank)
        return rows

    def _cells(self, number: int) -> Sequence[Cell]:
        assert self._table is not None
        row, images = self._table.tags[number], max(1, self._table.images)
        share = row.count / images
        return (
            row.tag,
            str(row.count),
            (f"{share * 100:.0f} %", "row--dim"),
            (bar(share, BAR_WIDTH), "row--bar"),
            (f"{row.mean_rank + 1:.1f}", "row--dim"),
        )

    def hints(self) -> list[tuple[str, str]]:
        if self.query_one(AskLine).asking:
            return hints_of([keys.find("dialog.accept"), keys.find("dialog.cancel")])
        return super().hints()

    # -- actions ----------------------------------------------------------------------------------------------

    @on(RowList.Selected)
    def action_images(self) -> None:
        row = self._list.current
        if row is not None and self._table is not None:
            tag = self._table.tags[row].tag
            self.bench.show_tag(tag)

    def action_sort(self) -> None:
        self._order = (self._order + 1) % len(ORDERS)
        self._show()
        self._list.action_first()

    def action_filter(self) -> None:
        if self._table is not None:
            self.query_one(AskLine).ask("filter", _("Filter"), self._filter)
            self.refresh_hints()

    def action_clear(self) -> None:
        self._filter = ""
        self._show()

    @on(AskLine.Changed)
    def _filtering(self, event: AskLine.Changed) -> None:
        self._filter = event.text
        self._show()

    @on(AskLine.Answered)
    def _filtered(self) -> None:
        self._list.focus()
        self.refresh_hints()

    @on(AskLine.Dropped)
    def _filter_dropped(self) -> None:
        self._filter = ""
        self._show()
        self._list.focus()
        self.refresh_hints()


def bar(share: float, width: int) -> str:
    """A horizontal bar of `share` (0 to 1) of `width` cells, in eighths of a cell."""
    eighths = round(max(0.0, min(1.0, share)) * width * 8)
    full, rest = divmod(eighths, 8)
    return "█" * full + (_EIGHTHS[rest] if rest else "")
