"""Finding images in the Tags section: the line of `f` with completion and history, filters saved under a name."""

from __future__ import annotations

from textual import on

from lorabake_tui.i18n import _
from lorabake_tui.screens.filter_help import FilterHelp
from lorabake_tui.screens.tags_box import TagBox
from lorabake_tui.screens.tags_desk import TagsDesk


class TagsFind(FilterHelp, TagsDesk, inherit_bindings=False):
    """The part of the Tags section that chooses which images are shown."""

    TOPIC = "find"

    @property
    def filter_line(self) -> TagBox:
        return self._box

    @property
    def filter_now(self) -> str:
        return self._where

    def action_find(self) -> None:
        self._ask(self.TOPIC, _("Find images"), self._where, note=_("words, tag:x, -tag:y, tags:>20"))
        self.begin_filter()

    def set_filter(self, wanted: str) -> None:
        if wanted.strip():
            self._where = wanted
            self._find(wanted)
        else:
            self.forget_where()

    def forget_where(self) -> None:
        """Show all images."""
        self._where, self._understood, self._fits = "", "", None
        self._show_images()
        self._ask_table()

    def say_found(self, note: str, *, wrong: bool) -> None:
        if self._box.topic == self.TOPIC and not self.offering:
            super().say_found(note, wrong=wrong)

    def tell_no_filters(self) -> None:
        self.bench.tell(_("No filter was used here yet; f asks for one."))

    @on(TagBox.Key)
    def _find_key(self, event: TagBox.Key) -> None:
        if self._box.topic == self.TOPIC:
            if event.what == "take":
                self.take_offer(event.by)
            elif event.what == "choose":
                self.take_earlier(-event.by)
