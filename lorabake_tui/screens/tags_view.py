"""The half of the Tags section that looks: the sheet of all tags, the images, the tags of one, what of it trains.

What changes captions is in `tags`.
"""

from __future__ import annotations

from collections.abc import Sequence

from textual import on, work
from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical
from textual.widgets import Static

from engine.protocol.found import Found, Suggestions, TagCount, TagTable
from engine.protocol.messages import FilterParams
from engine.protocol.records import ImageRow
from engine.protocol.tagging import ImageScores, ScoresParams, TagScore
from engine.protocol.tags import Trains, TrainsParams
from lorabake_tui import keys
from lorabake_tui.client import ClientError
from lorabake_tui.i18n import _, ngettext, told
from lorabake_tui.opened import tags_of
from lorabake_tui.screens import tags_text as text
from lorabake_tui.screens.section import hints_of
from lorabake_tui.screens.tagging import Tagging
from lorabake_tui.screens.tags_box import TagBox
from lorabake_tui.store.tagbox import first_line, tag_key
from lorabake_tui.widgets.empty import Empty
from lorabake_tui.widgets.frame import Frame
from lorabake_tui.widgets.rows import Cell, RowList
from lorabake_tui.widgets.tagline import TagLine

_STEPS = (75, 150, 225)


class TagsView(Tagging, inherit_bindings=False):
    """Three lists: tags of the dataset, images, tags of the image under the cursor."""

    def __init__(self) -> None:
        super().__init__()
        self._table: TagTable | None = None
        self._asked: tuple[str, int, bool, str] = ("", -1, False, "")
        self._path = ""
        self._version = -1
        self._filter = ""
        self._where = self._understood = ""
        """The filter of images, and the last one that was no mistake."""
        self._fits: list[int] | None = None
        self._order = 0
        self._own: list[str] = []
        self._known: dict[str, TagScore] = {}
        self._on: dict[str, int] = {}
        self._offers: Suggestions | None = None

    def body(self) -> ComposeResult:
        with Frame(id="tags-none"):
            yield Empty()
        with Horizontal(id="tags-some"):
            with Frame(id="tags-table"):
                yield RowList(text.table_columns(), id="tag-list")
            with Vertical(id="tags-side"):
                with Frame(id="tags-images"):
                    yield RowList(text.image_columns(), markable=True, head=False, id="tag-images")
                with Frame(id="tags-own"):
                    yield RowList(text.own_columns(), head=False, id="own-list")
                with Frame(id="tags-trains", title=_("What trains")):
                    yield TagLine()
                with Frame(id="tags-offers", title=_("Suggestions")):
                    yield RowList(text.own_columns()[1:], head=False, led=True, id="offers")
        yield Static(id="tags-pins", markup=False)
        yield TagBox()

    def on_mount(self) -> None:
        self.query_one("#tags-offers").display = False
        self.query_one("#offers", RowList).can_focus = False
        self.facts_changed()

    def on_screen_resume(self) -> None:
        self._ask_table()
        # What came while another section was in front was shown, and not asked about.
        if self.image is not None and not self._known:
            self._ask_image(self.image)

    # -- what is there ----------------------------------------------------------------------------------------

    @property
    def _tags(self) -> RowList:
        return self.query_one("#tag-list", RowList)

    @property
    def _images(self) -> RowList:
        return self.query_one("#tag-images", RowList)

    @property
    def _owned(self) -> RowList:
        return self.query_one("#own-list", RowList)

    @property
    def _box(self) -> TagBox:
        return self.query_one(TagBox)

    @property
    def image(self) -> ImageRow | None:
        """The image under the cursor."""
        number = self._images.current
        rows = self.bench.opened.rows
        return rows[number] if number is not None and number < len(rows) else None

    @property
    def chosen(self) -> list[ImageRow]:
        """What a verb acts on: the marked images, else the one under the cursor."""
        rows = self.bench.opened.rows
        return [rows[number] for number in self._images.targets() if number < len(rows)]

    @property
    def shown(self) -> list[ImageRow]:
        """All images that the filter finds."""
        rows = self.bench.opened.rows
        return [rows[number] for number in self._images.shown if number < len(rows)]

    def tag_under_cursor(self) -> str:
        """The tag of the list that has the keys; "" for none."""
        if self.focused is self._owned:
            number = self._owned.current
            return self._own[number] if number is not None and number < len(self._own) else ""
        number = self._tags.current
        return self._table.tags[number].tag if number is not None and self._table is not None else ""

    # -- the dataset ------------------------------------------------------------------------------------------

    def facts_changed(self) -> None:
        if not self.composed:
            return
        self.follow_taggings()
        opened = self.bench.opened
        if opened.path != self._path:
            self._path, self._table = opened.path, None
            self._filter = self._where = self._understood = ""
            self._fits = None
            self._images.marks.clear()
            self._version = -1
        if self._where and opened.version != self._version:
            self._find(self._where)
        if opened.version != self._version:
            self._version = opened.version
            self._show_images()
        if self.is_current:
            self._ask_table()
        self._show()

    def _ask_table(self) -> None:
        opened = self.bench.opened
        asked = (opened.path, opened.version, opened.complete, self._where)
        if asked != self._asked and opened.path and opened.complete:
            self._asked = asked
            self._load()

    @work(exclusive=True, exit_on_error=False, group="tags")
    async def _load(self) -> None:
        path, where = self.bench.opened.path, self._where
        table = await self.call("tags.table", FilterParams(path=path, text=where))
        if table is not None and table.path == self.bench.opened.path and where == self._where:
            self._table = table
            self._show()

    # -- the sheet --------------------------------------------------------------------------------------------

    def _show(self) -> None:
        # Captions without one tag can be tagged here as well; only what has no image is empty.
        empty = self._table is None or not self.bench.opened.rows
        self.query_one("#tags-none").display = empty
        self.query_one("#tags-some").display = not empty
        if empty or self._table is None:
            self._say_empty()
            return
        table = self._table
        self._count_marked()
        self._tags.empty = self._no_tag()
        self._tags.show(self._rows(table.tags), self._cells)
        title = ngettext("{count} tag", "{count} tags", len(table.tags)).format(count=len(table.tags))
        parts = [_(text.ORDERS[self._order])]
        if self._filter:
            parts.insert(0, _("{count} fit “{filter}”").format(count=len(self._tags.shown), filter=self._filter))
        if table.limit_reached:
            parts.append(_("only the most frequent"))
        self.query_one("#tags-table", Frame).set_title(title, " · ".join(parts))
        if self.focused is None:
            self._tags.focus()

    def _no_tag(self) -> str:
        if self._filter:
            return _("No tag fits the filter.")
        if self._where:
            return _("No tag.") if self._images.shown else _("No image fits the filter.")
        return _("No image of this dataset has a tag.")

    def _say_empty(self) -> None:
        if self.bench.opened.path:
            sentence: str = _("Reading the captions.")
            names: tuple[str, ...] = ()
        else:
            sentence, names = _("No dataset is open."), ("app.dataset", "app.help")
        self.query_one(Empty).tell(sentence, [(keys.find(n).key, _(keys.find(n).help)) for n in names])

    def _rows(self, tags: Sequence[TagCount]) -> Sequence[int]:
        words = self._filter.lower().split()
        rows = [n for n, row in enumerate(tags) if all(word in row.tag.lower() for word in words)]
        if self._order == 1:
            rows.sort(key=lambda n: tags[n].tag.lower())
        elif self._order == 2:
            rows.sort(key=lambda n: tags[n].mean_rank)
        elif self._order == 3:
            rows.sort(key=lambda n: (tags[n].score is None, tags[n].score or 0.0))
        elif self._order == 4:
            rows.sort(key=lambda n: -tags[n].lift)
        return rows

    def _cells(self, number: int) -> Sequence[Cell]:
        assert self._table is not None
        row = self._table.tags[number]
        marked = len(self._images.marks)
        return text.table_cells(row, self._table.images, self._on.get(row.tag, 0), marked)

    def _count_marked(self) -> None:
        self._on = {}
        rows = self.bench.opened.rows
        for number in self._images.marks:
            if number < len(rows):
                for tag in set(tags_of(first_line(rows[number].caption))):
                    self._on[tag] = self._on.get(tag, 0) + 1

    # -- images -----------------------------------------------------------------------------------------------

    def _show_images(self) -> None:
        opened = self.bench.opened
        count = len(opened.rows)
        self._images.marks = {number for number in self._images.marks if number < count}
        rows = range(count) if self._fits is None else [number for number in self._fits if number < count]
        self._images.empty = _("No image fits the filter.")
        self._images.show(rows, lambda number: text.image_cells(opened.rows[number]))
        self._images.restyle()
        self.say_scope()
        self._show_image()

    def say_scope(self) -> None:
        """Write what an edit would act on."""
        count = len(self._images.shown)
        title = ngettext("{count} image", "{count} images", count).format(count=count)
        marked = len(self._images.marks)
        parts = [_("{count} marked").format(count=marked)] if marked else []
        if self._where:
            parts.insert(0, self._where)
        self.query_one("#tags-images", Frame).set_title(title, " · ".join(parts))

    @work(exclusive=True, exit_on_error=False, group="find")
    async def _find(self, where: str) -> None:
        """Show the images that a filter finds; a broken one says where, and what was found before stays."""
        opened = self.bench.opened
        try:
            found: Found = await self.bench.engine.call("dataset.filter", FilterParams(path=opened.path, text=where))
        except ClientError as failure:
            self.bench.tell_error(failure.info)
            return
        note = told(found.error)[0] if found.error is not None else _("{count} found").format(count=found.count)
        self.say_found(note, wrong=found.error is not None)
        if found.error is not None and where == self._where:
            self._where = self._understood  # edits act on what is shown
        elif found.error is None and where == self._where and found.images == len(self.bench.opened.rows):
            self._understood = where
            self._fits = found.rows() if where else None
            self._show_images()
            self._ask_table()

    def say_found(self, note: str, *, wrong: bool) -> None:
        """Say beside the line what a filter found, or what is wrong with it."""
        self._box.say(note, wrong=wrong)

    @on(RowList.Highlighted, "#tag-images")
    def _show_image(self) -> None:
        row = self.image
        self._own = tags_of(first_line(row.caption)) if row is not None else []
        self._known = {}
        self._owned.empty = _("No caption.") if row is not None and row.caption is None else _("No tag.")
        self._owned.show(range(len(self._own)), self._own_cells)
        self._owned.restyle()
        name = row.name if row is not None else ""
        count = ngettext("{count} tag", "{count} tags", len(self._own)).format(count=len(self._own))
        self.query_one("#tags-own", Frame).set_title(name, count if row is not None else "")
        self.query_one(TagLine).show(first_line(row.caption) if row is not None else None)
        self.query_one("#tags-trains", Frame).set_title(_("What trains"), "")
        if row is not None and self.is_current:
            self._ask_image(row)
        self.refresh_hints()

    def _own_cells(self, number: int) -> Sequence[Cell]:
        tag = self._own[number]
        return text.own_cells(number, tag, self._known.get(tag_key(tag)))

    @work(exclusive=True, exit_on_error=False, group="image")
    async def _ask_image(self, row: ImageRow) -> None:
        """What is known of one image's tags, and what of them trains."""
        path = self.bench.opened.path
        wanted = TrainsParams(path=path, image=row.name, params=self.bench.draft.values())
        try:
            trains: Trains = await self.bench.engine.call("tags.trains", wanted)
            scores: ImageScores = await self.bench.engine.call("tags.scores", ScoresParams(path=path, image=row.name))
        except ClientError:
            return
        if self.image is None or self.image.name != row.name:
            return
        self.query_one(TagLine).show(trains.plain, instead=_("Nothing: the caption is empty."))
        limit = next((step for step in _STEPS if trains.tokens <= step), _STEPS[-1])
        over = " ⚠" if trains.tokens > trains.limit else ""
        tokens = _("about {tokens} of {limit} tokens").format(tokens=trains.tokens, limit=max(limit, trains.limit))
        self.query_one("#tags-trains", Frame).set_title(_("What trains"), tokens + over)
        self._known = {tag_key(known.tag): known for known in scores.tags}
        self._owned.restyle()

    def sources_changed(self) -> None:
        """Show anew whose the tags are."""
        self._load()
        if self.image is not None:
            self._ask_image(self.image)

    # -- suggestions ------------------------------------------------------------------------------------------

    def show_offers(self, offers: Suggestions | None) -> None:
        """Show suggestions in place of what trains, or take them away."""
        self._offers = offers if offers is not None and offers.rows else None
        rows = self._offers.rows if self._offers is not None else []
        self.query_one("#tags-offers").display = bool(rows)
        self.query_one("#tags-trains").display = not rows
        shown = self.query_one("#offers", RowList)
        shown.show(
            range(len(rows)), lambda number: (rows[number].shown, "", "", (_short(rows[number].count), "row--dim"))
        )
        shown.restyle()
        shown.action_first()

    def hints(self) -> list[tuple[str, str]]:
        if self._box.asking:
            return hints_of([keys.find("dialog.accept"), keys.find("dialog.complete"), keys.find("dialog.cancel")])
        if not self.bench.opened.path:
            return hints_of([keys.find(name) for name in ("app.help", "app.palette", "app.leave")])
        return super().hints()


def _short(count: int) -> str:
    return (
        ""
        if not count
        else str(count)
        if count < 1000
        else f"{count // 1000}k"
        if count < 1_000_000
        else f"{count // 1_000_000}M"
    )
