"""The Tags section: every edit of tags, on the marked images, the one under the cursor, or all that are shown."""

from __future__ import annotations

from typing import Any

import msgspec
from textual import on, work

from engine.protocol.found import Suggestions
from engine.protocol.records import ImageRow
from engine.protocol.tags import SuggestTags, TagOp
from lorabake_tui import keys
from lorabake_tui.client import ClientError
from lorabake_tui.i18n import _, ngettext
from lorabake_tui.screens import tags_text as text
from lorabake_tui.screens.tags_box import TOPICS, TagBox
from lorabake_tui.screens.tags_desk import LETTERS
from lorabake_tui.screens.tags_find import TagsFind
from lorabake_tui.store.tagbox import having, ops_of
from lorabake_tui.widgets.ask import AskLine
from lorabake_tui.widgets.plain import plain, restore
from lorabake_tui.widgets.rows import RowList


class TagsSection(TagsFind, inherit_bindings=False):
    """Tag, rename, sort, review and bind, with undo instead of questions."""

    SECTION = "tags"
    BINDINGS = keys.bindings(SECTION)
    DEFAULT_CSS = """
    TagsSection {
        & #tags-some, & #tags-none { height: 1fr; }
        & #tags-table { width: 1fr; height: 1fr; }
        & #tags-side { width: 38; height: 1fr; }
        & #tags-images { height: 2fr; min-height: 4; }
        & #tags-own { height: 3fr; min-height: 5; }
        & #tags-pins { height: 1; padding: 0 1; display: none; color: $text-muted; }
        & #tags-trains, & #tags-offers { height: 7; }
        &.-wide #tags-side { width: 50; }
        &.-high #tags-trains, &.-high #tags-offers { height: 10; }
    }
    """

    def __init__(self) -> None:
        super().__init__()
        self._renaming: tuple[str, str] = ("", "")

    def _on_shown(self, verb: Any, tags: list[str], **more: Any) -> TagOp:
        """An operation on all images shown."""
        return TagOp(verb=verb, tags=tags, where=self._where, **more)

    def _on_chosen(self, verb: Any, tags: list[str], **more: Any) -> TagOp:
        return TagOp(verb=verb, tags=tags, names=[row.name for row in self.chosen], **more)

    # -- the line that asks -----------------------------------------------------------------------------------

    def action_add(self) -> None:
        rows = self.chosen
        if rows:
            scope = rows[0].name if len(rows) == 1 else _("{count} marked").format(count=len(rows))
            self._ask("tags", _("Tag {scope}").format(scope=scope), note=_("tag -tag old>new tag@1"))

    def action_add_all(self) -> None:
        count = len(self.shown)
        if count:
            scope = ngettext("{count} image", "{count} images", count).format(count=count)
            self._ask("tags-all", _("Tag {scope}").format(scope=scope), note=_("tag -tag old>new tag@1"))

    def action_filter(self) -> None:
        if self._table is not None:
            self._ask("filter", _("Filter"), self._filter)

    def action_trigger(self) -> None:
        if self.shown:
            self._ask("trigger", _("Trigger word"), note=_("in front of every caption shown"))

    def action_rename(self) -> None:
        tag = self.tag_under_cursor()
        if tag:
            own = self.focused is self._owned
            self._renaming = (tag, self.image.name if own and self.image else "")
            note = "" if own else _("on all shown")
            self._ask("rename", _("Rename {tag}").format(tag=plain(tag)), plain(tag), note=note)

    def action_edit(self) -> None:
        row = self.image
        if row is not None and row.problem != "caption_undecodable":
            self._ask("caption", _("Caption"), plain(row.caption or ""))

    @on(AskLine.Changed)
    def _asked_changed(self, event: AskLine.Changed) -> None:
        match event.topic:
            case "filter":
                self._filter = event.text
                self._show()
            case self.TOPIC:
                self.filter_typed(event.text)
            case topic if topic in LETTERS and event.text:
                self._leave_box()
                self.take_letter(topic, event.text[0])
            case "tags" | "tags-all":
                self._tell_count(event.text)
                self._suggest(event.text)

    @on(AskLine.Dropped)
    def _asked_dropped(self, event: AskLine.Dropped) -> None:
        if event.topic == "filter":
            self._filter = ""
            self._show()
        elif event.topic == self.TOPIC:
            self.forget_where()
        self._leave_box()

    @on(AskLine.Answered)
    def _asked_answered(self, event: AskLine.Answered) -> None:
        if event.topic in TOPICS and event.text.strip():
            rows = self.shown if event.topic == "tags-all" else self.chosen
            self.edit(self._for_scope(ops_of(event.text, rows), event.topic))
            self.show_offers(None)
            return
        self._leave_box()
        written = event.text.strip()
        match event.topic:
            case "rename":
                self._rename(event.text)
            case self.TOPIC:
                self.keep_filter(written)
            case "trigger" if written:
                self.edit([self._on_shown("prepend", [written])])
            case "caption" if self.image is not None:
                self._write(self.image, restore(event.text, self.image.caption or ""))

    def _for_scope(self, ops: list[TagOp], topic: str) -> list[TagOp]:
        if topic != "tags-all":
            return ops
        return [msgspec.structs.replace(op, names=[], where=self._where) for op in ops]

    def _leave_box(self) -> None:
        self._box.close()
        self.show_offers(None)
        (getattr(self, "_back_to", None) or self._tags).focus()
        self.refresh_hints()

    def _rename(self, written: str) -> None:
        tag, name = self._renaming
        new = restore(written, tag)
        if new != tag:
            where = {"names": [name]} if name else {"where": self._where}
            self.edit([TagOp(verb="replace", tags=[tag], new=new, **where)])  # type: ignore[arg-type]

    def _write(self, row: ImageRow, caption: str) -> None:
        if caption != (row.caption or ""):
            self.edit([TagOp(verb="write", new=caption, names=[row.name])], expected=row.caption or "")

    def action_editor(self) -> None:
        from lorabake_tui.editor import edit_text

        row = self.image
        if row is None:
            return
        written = edit_text(self.app, row.caption or "", suffix=".txt")
        if written is None:
            self.bench.tell(_("No editor could be started here; set $EDITOR."))
        else:
            self._write(row, written)

    # -- the tag box ------------------------------------------------------------------------------------------

    def _tell_count(self, typed: str) -> None:
        """Say before Enter what it will do, in numbers."""
        rows = self.shown if self._box.topic == "tags-all" else self.chosen
        told = []
        for op in ops_of(typed, rows):
            have = having(op.tags[0], rows)
            news = len(rows) - have if op.verb == "add" and not op.at else len(rows) if op.at else have
            told.append(text.counted(op.verb, news, have if op.verb == "add" and not op.at else 0))
        self._box.say(" · ".join(told[:2]) or _("tag -tag old>new tag@1"))

    @work(exclusive=True, exit_on_error=False, group="suggest")
    async def _suggest(self, typed: str) -> None:
        part = typed.rpartition(",")[2].rpartition(">")[2].strip().removeprefix("-")
        if not part:
            self.show_offers(None)
            return
        wanted = SuggestTags(path=self.bench.opened.path, text=part, limit=8)
        try:
            offers: Suggestions = await self.bench.engine.call("tags.suggest", wanted)
        except ClientError:
            return
        if self._box.text == typed:
            self.show_offers(offers)

    @on(TagBox.Key)
    def _box_key(self, event: TagBox.Key) -> None:
        if self._box.topic not in TOPICS:
            return
        offers = self.query_one("#offers", RowList)
        if event.what == "choose" and self._offers is not None:
            offers.step(event.by)
        elif event.what == "take" and self._offers is not None and offers.current is not None:
            typed = self._box.text
            head, comma, part = typed.rpartition(",")
            before, arrow, last = part.rpartition(">")
            lead = "-" if last.strip().startswith("-") and not arrow else ""
            space = " " if comma and not arrow else ""
            self._box.write(head + comma + before + arrow + space + lead + self._offers.rows[offers.current].text)
        elif event.what == "image" and self._box.topic == "tags" and not self._images.marks:
            self._images.step(event.by)
            self.call_after_refresh(self._follow_image)

    def _follow_image(self) -> None:
        if self._box.topic == "tags" and self.image is not None:
            typed = self._box.text
            label = _("Tag {scope}").format(scope=self.image.name)
            self._box.ask("tags", label, typed, note=_("tag -tag old>new tag@1"))
            self._tell_count(typed)

    # -- verbs ------------------------------------------------------------------------------------------------

    def action_delete(self) -> None:
        tag = self.tag_under_cursor()
        if not tag:
            return
        if self.focused is self._owned and self.image is not None:
            self.edit([TagOp(verb="remove", tags=[tag], names=[self.image.name])])
        else:
            self.edit([self._on_shown("remove", [tag])])

    def action_toggle(self) -> None:
        if self.focused is not self._tags:
            row = self._images.current
            if row is not None:
                self._images.mark(row, row not in self._images.marks)
                self._images.step(1)
                self._marks_changed()
            return
        tag, rows = self.tag_under_cursor(), self.chosen
        if tag and rows:
            everywhere = having(tag, rows) == len(rows)
            self.edit([self._on_chosen("remove" if everywhere else "add", [tag])])

    def action_mark_tag(self) -> None:
        tag = self.tag_under_cursor()
        if tag:
            rows = self.bench.opened.rows
            self._images.marks = {n for n in self._images.shown if having(tag, [rows[n]])}
            self._marks_changed()

    def action_mark_all(self) -> None:
        shown = set(self._images.shown)
        self._images.marks = set() if shown <= self._images.marks else shown
        self._marks_changed()

    def _marks_changed(self) -> None:
        self._images.restyle()
        self._count_marked()
        self._tags.restyle()
        self.say_scope()

    def action_earlier(self) -> None:
        self._move(-1)

    def action_later(self) -> None:
        self._move(1)

    def _move(self, by: int) -> None:
        place = self._owned.current
        if place is None or self.image is None or not 0 <= place + by < len(self._own):
            return
        tag = self._own.pop(place)
        self._own.insert(place + by, tag)  # the next key may come before the answer
        self._owned.step(by)
        self._owned.restyle()
        self.edit([TagOp(verb="move", tags=[tag], at=place + by + 1, names=[self.image.name])])

    # -- showing ----------------------------------------------------------------------------------------------

    @on(RowList.Selected)
    def _selected(self, event: RowList.Selected) -> None:
        if event.rows is self._tags:
            self.action_images()
        elif event.rows is self._images:
            self.action_add()
        elif event.rows is self._owned:
            self.action_rename()

    def action_images(self) -> None:
        tag = self.tag_under_cursor()
        if tag:
            self.bench.show_tag(tag)

    def action_sort(self) -> None:
        self._order = (self._order + 1) % len(text.ORDERS)
        self._show()
        self._tags.action_first()

    def action_clear(self) -> None:
        if self._filter:
            self._filter = ""
            self._show()
        elif self._where:
            self.forget_where()
        else:
            self._images.marks = set()
            self._marks_changed()
