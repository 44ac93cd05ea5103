"""StatesBox: the tags of a selection of images, on all, on some or on none of them; what is chosen becomes one edit."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from textual import on, work
from textual.app import ComposeResult
from textual.widgets import Input, Static

from engine.protocol.records import ImageRow
from engine.protocol.tags import EditParams, TagOp, TagReport
from lorabake_tui import keys
from lorabake_tui.dialogs.box import Box
from lorabake_tui.i18n import _, ngettext
from lorabake_tui.opened import tags_of
from lorabake_tui.store.tagbox import first_line, tag_key
from lorabake_tui.widgets.rows import Cell, Column, RowList


class StatesBox(Box[TagReport]):
    """Returns what the edit changed, or None."""

    BINDINGS = keys.bindings("states")
    HINTS = ("states.next", "states.new", "states.apply", "states.close")
    DEFAULT_CSS = """
    StatesBox {
        & > Frame { width: 96%; max-width: 80; height: 92%; max-height: 40; }
        & RowList { height: 1fr; }
        & Input { height: 1; display: none; }
        & #states-what { height: 1; margin-top: 1; color: $text-muted; }
    }
    """

    def __init__(
        self, path: str, images: Sequence[ImageRow], where: str | None, call: Callable[[str, Any], Awaitable[Any]]
    ) -> None:
        """The images marked, or with `where` all that this filter finds."""
        count = len(images)
        scope = _("{count} marked")
        if where is not None:
            scope = ngettext("all {count} shown", "all {count} shown", count)
        super().__init__(_("Tags of the selection") + " · " + scope.format(count=count))
        self._path, self._images, self._where, self._call = path, images, where, call
        self._tags: list[str] = []
        self._on: list[int] = []
        self._wanted: dict[str, bool] = {}
        self._count()

    def _count(self) -> None:
        spelt: dict[str, str] = {}
        on: dict[str, int] = {}
        for row in self._images:
            for key in {tag_key(tag): spelt.setdefault(tag_key(tag), tag) for tag in tags_of(first_line(row.caption))}:
                on[key] = on.get(key, 0) + 1
        order = sorted(on, key=lambda key: (-on[key], key))
        self._tags, self._on = [spelt[key] for key in order], [on[key] for key in order]

    def body(self) -> ComposeResult:
        columns = [Column("", 1), Column(_("Tag")), Column(_("Images"), 9, right=True), Column("", 14)]
        yield RowList(columns, empty=_("No image of the selection has a tag; n writes one."))
        field = Input(compact=True, placeholder=_("a tag for all of them"))
        field.cursor_blink = False
        yield field
        yield Static(id="states-what", markup=False)

    def on_mount(self) -> None:
        super().on_mount()
        self.query_one(RowList).focus()
        self._show()

    def _show(self) -> None:
        rows = self.query_one(RowList)
        rows.show(range(len(self._tags)), self._cells)
        rows.restyle()
        on, off = self._changes()
        parts = []
        if on:
            parts.append(
                ngettext("{count} tag comes to all", "{count} tags come to all", len(on)).format(count=len(on))
            )
        if off:
            parts.append(ngettext("{count} tag leaves all", "{count} tags leave all", len(off)).format(count=len(off)))
        self.query_one("#states-what", Static).update(" · ".join(parts) or _("Nothing is changed."))

    def _cells(self, number: int) -> Sequence[Cell]:
        tag, on, count = self._tags[number], self._on[number], len(self._images)
        wanted = self._wanted.get(tag)
        state = "■" if on == count else "◪" if on else "□"
        if wanted is None:
            return ((state, "row--dim"), tag, (f"{on}/{count}", "row--dim"), "")
        news = f"+{count - on}" if wanted else f"−{on}"
        words = _("all") if wanted else _("none")
        return (("■" if wanted else "□", "row--strong"), (tag, "row--strong"), f"{on}/{count}", f"→ {words} {news}")

    def _changes(self) -> tuple[list[str], list[str]]:
        on = [tag for tag in self._tags if self._wanted.get(tag) is True]
        return on, [tag for tag in self._tags if self._wanted.get(tag) is False]

    def action_next(self) -> None:
        """As it is, on all, on none; what would change nothing is passed over."""
        rows = self.query_one(RowList)
        number = rows.current
        if number is None:
            return
        tag, on = self._tags[number], self._on[number]
        states = [None, *([True] if on < len(self._images) else []), *([False] if on else [])]
        wanted = states[(states.index(self._wanted.get(tag)) + 1) % len(states)]
        if wanted is None:
            self._wanted.pop(tag)
        else:
            self._wanted[tag] = wanted
        self._show()

    def action_new(self) -> None:
        field = self.query_one(Input)
        field.display = True
        field.focus()

    @on(Input.Submitted)
    def _written(self, event: Input.Submitted) -> None:
        event.stop()
        known = [tag_key(tag) for tag in self._tags]
        for tag in tags_of(event.value):
            if tag_key(tag) not in known:
                self._tags.insert(0, tag)
                self._on.insert(0, 0)
                known.insert(0, tag_key(tag))
            place = known.index(tag_key(tag))
            if self._on[place] < len(self._images):
                self._wanted[self._tags[place]] = True
        self._leave_field()
        self._show()
        self.query_one(RowList).action_first()

    def _leave_field(self) -> None:
        field = self.query_one(Input)
        field.value = ""
        field.display = False
        self.query_one(RowList).focus()

    @on(RowList.Selected)
    def action_apply(self) -> None:
        self._apply()

    @work(exit_on_error=False, exclusive=True, group="apply")
    async def _apply(self) -> None:
        on, off = self._changes()
        if on or off:
            where = {"names": [row.name for row in self._images]} if self._where is None else {"where": self._where}
            verb = {"verb": "add", "tags": on, "off": off} if on else {"verb": "remove", "tags": off}
            op = TagOp(**verb, **where)  # type: ignore[arg-type]
            self.dismiss(await self._call("tags.edit", EditParams(path=self._path, op=op, diffs=0)))

    def action_close(self) -> None:
        if self.query_one(Input).display:
            self._leave_field()
        elif self._wanted:
            self._wanted.clear()
            self._show()
        else:
            self.dismiss(None)
