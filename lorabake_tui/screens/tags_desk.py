"""What lies ready in the Tags section: tags pinned to digits, bookmarks, macros; and what opens from it to be looked
through: reviews, bindings, rules.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
from textual import events, work
from textual.widgets import Static

from engine.protocol.tags import Desk, DeskParams, TagOp
from lorabake_tui.i18n import _, ngettext
from lorabake_tui.screens.tags_edit import TagsEdits
from lorabake_tui.store.tagbox import having
from lorabake_tui.widgets.plain import plain

LETTERS = ("record", "replay", "bookmark", "go")
"""Topics of the line that asks for one letter."""
PINS = 9


class TagsDesk(TagsEdits, inherit_bindings=False):
    """Pins, bookmarks and macros are kept with the dataset."""

    def __init__(self) -> None:
        super().__init__()
        self._desk = Desk()
        self._desk_of = ""
        self._letter = ""

    # -- the line of pinned tags ------------------------------------------------------------------------------

    def facts_changed(self) -> None:
        super().facts_changed()
        path = self.bench.opened.path
        if self.composed and path != self._desk_of:
            self._desk_of, self._desk = path, Desk()
            self.show_pins()
            if path:
                self._load_desk()

    @work(exclusive=True, exit_on_error=False, group="desk")
    async def _load_desk(self) -> None:
        desk = await self.call("tags.desk", DeskParams(path=self._desk_of))
        if desk is not None:
            self._desk = desk
            self.show_pins()

    @work(exit_on_error=False, group="keep-desk")
    async def _keep(self, desk: Desk) -> None:
        self._desk = desk
        self.show_pins()
        await self.in_turn("tags.desk", DeskParams(path=self.bench.opened.path, desk=desk))

    def show_pins(self) -> None:
        """Write the pinned tags beside their digits, with what is chosen now."""
        line = self.query_one("#tags-pins", Static)
        chosen = self.chosen
        parts = []
        for number, tag in enumerate(self._desk.pins, 1):
            if tag:
                have = having(tag, chosen)
                state = "■" if chosen and have == len(chosen) else "◪" if have else "□"
                parts.append(f"{number} {state} {plain(tag)}")
        if self._recorded is not None:
            count = len(self._recorded)
            words = ngettext("recording {letter}: {count} edit", "recording {letter}: {count} edits", count)
            parts.insert(0, "● " + words.format(letter=self._letter, count=count))
        line.display = bool(parts)
        line.update("   ".join(parts))

    def say_scope(self) -> None:
        super().say_scope()
        self.show_pins()

    def on_key(self, event: events.Key) -> None:
        """A digit with a pinned tag puts it on or off; one without goes to its section, as everywhere."""
        digit = int(event.key) if event.key.isdecimal() and len(event.key) == 1 else 0
        tag = self._desk.pins[digit - 1] if 0 < digit <= len(self._desk.pins) else ""
        rows = self.chosen
        if tag and rows:
            event.stop()
            event.prevent_default()
            everywhere = having(tag, rows) == len(rows)
            names = [row.name for row in rows]
            self.edit([TagOp(verb="remove" if everywhere else "add", tags=[tag], names=names)])

    def action_pin(self) -> None:
        tag = self.tag_under_cursor()
        if not tag:
            return
        pins = [*self._desk.pins, *[""] * (PINS - len(self._desk.pins))]
        if tag in pins:
            pins[pins.index(tag)] = ""
        elif "" in pins:
            pins[pins.index("")] = tag
        else:
            self.bench.tell(_("All nine digits have a tag; pin one of them again to free it."))
            return
        self._keep(msgspec.structs.replace(self._desk, pins=pins))

    # -- letters ----------------------------------------------------------------------------------------------

    def ask_letter(self, topic: str, label: str, known: dict[str, Any]) -> None:
        """Ask for one letter, and say which are taken."""
        letters = " ".join(sorted(known)) or "—"
        self._ask(topic, label, note=_("a letter; in use: {letters}").format(letters=letters))

    def _ask(self, topic: str, label: str, value: str = "", **more: Any) -> None:
        self._back_to = self.focused
        self._box.ask(topic, label, value, **more)
        self.refresh_hints()

    def action_record(self) -> None:
        if self._recorded is None:
            self.ask_letter("record", _("Record edits as"), self._desk.macros)
            return
        recorded, self._recorded = self._recorded, None
        if recorded:
            macros = {**self._desk.macros, self._letter: recorded}
            self._keep(msgspec.structs.replace(self._desk, macros=macros))
        self.show_pins()

    def action_replay(self) -> None:
        self.ask_letter("replay", _("Replay edits of"), self._desk.macros)

    def action_bookmark(self) -> None:
        if self.image is not None:
            self.ask_letter("bookmark", _("Bookmark this image as"), self._desk.bookmarks)

    def action_go(self) -> None:
        self.ask_letter("go", _("Go to bookmark"), self._desk.bookmarks)

    def take_letter(self, topic: str, letter: str) -> None:
        """Do what the letter was asked for."""
        take: dict[str, Callable[[str], None]] = {
            "record": self._begin,
            "replay": self._replay,
            "bookmark": self._set_bookmark,
            "go": self._to_bookmark,
        }
        take[topic](letter)

    def _begin(self, letter: str) -> None:
        self._letter, self._recorded = letter, []
        self.show_pins()

    def _replay(self, letter: str) -> None:
        ops = self._desk.macros.get(letter)
        if ops:
            self.again(ops)
        else:
            self.bench.tell(_("Nothing is recorded as {letter}.").format(letter=plain(letter)))

    def _set_bookmark(self, letter: str) -> None:
        if self.image is not None:
            bookmarks = {**self._desk.bookmarks, letter: self.image.name}
            self._keep(msgspec.structs.replace(self._desk, bookmarks=bookmarks))

    def _to_bookmark(self, letter: str) -> None:
        name = self._desk.bookmarks.get(letter, "")
        rows = self.bench.opened.rows
        number = next((n for n in self._images.shown if n < len(rows) and rows[n].name == name), None)
        if number is None:
            self.bench.tell(_("No image shown has the bookmark {letter}.").format(letter=plain(letter)))
        else:
            self._images.go_to(number)

    # -- to be looked through ---------------------------------------------------------------------------------

    @work(exit_on_error=False, group="dialog")
    async def action_review(self) -> None:
        from lorabake_tui.dialogs.tag_review import TagReview
        from lorabake_tui.widgets.picture import PictureSource

        tag = self.tag_under_cursor()
        if tag:
            pictures = PictureSource(self.bench.engine.call)
            await self.app.push_screen_wait(TagReview(self.bench.opened.path, tag, pictures, self.in_turn, self.take))

    def action_quality(self) -> None:
        self._review_images(twins=False)

    def action_twins(self) -> None:
        self._review_images(twins=True)

    @work(exit_on_error=False, group="dialog")
    async def _review_images(self, *, twins: bool) -> None:
        from lorabake_tui.dialogs.image_review import ImageReview
        from lorabake_tui.widgets.picture import PictureSource

        if not self.shown:
            return
        pictures = PictureSource(self.bench.engine.call)
        review = ImageReview(self.bench.opened.path, self.shown, pictures, self.in_turn, twins=twins)
        count = await self.app.push_screen_wait(review)
        if count:
            words = ngettext("{count} image is in the trash", "{count} images are in the trash", count)
            self.bench.tell(words.format(count=count) + " · " + _("u in the Dataset section brings them back"))
            self.bench.reload_dataset()

    @work(exit_on_error=False, group="dialog")
    async def action_bind(self) -> None:
        from lorabake_tui.dialogs.tag_traits import TraitsBox

        trigger = self.tag_under_cursor()
        report = await self.app.push_screen_wait(TraitsBox(self.bench.opened.path, trigger, self.call))
        if report is not None:
            self.take(report)

    @work(exit_on_error=False, group="dialog")
    async def action_states(self) -> None:
        from lorabake_tui.dialogs.tag_states import StatesBox

        marked = bool(self._images.marks)
        images = self.chosen if marked else self.shown
        if images:
            where = None if marked else self._where
            box = StatesBox(self.bench.opened.path, images, where, self.in_turn)
            report = await self.app.push_screen_wait(box)
            if report is not None:
                self.take(report)

    @work(exit_on_error=False, group="dialog")
    async def action_rules(self) -> None:
        from lorabake_tui.dialogs.tag_rules import RulesBox

        if not self.bench.opened.path:
            return
        report = await self.app.push_screen_wait(RulesBox(self.bench.opened.path, self._where, self.in_turn))
        if report is not None:
            self.take(report)
