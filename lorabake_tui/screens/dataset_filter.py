"""The filter of the Dataset section while it is typed; what helps to write it is `filter_help`."""

from __future__ import annotations

from textual import on

from lorabake_tui.i18n import _
from lorabake_tui.screens.dataset_files import DatasetFiles
from lorabake_tui.screens.filter_help import FilterHelp
from lorabake_tui.widgets.filter_line import FilterLine


class DatasetFilter(FilterHelp, DatasetFiles, inherit_bindings=False):
    """The part of the Dataset section that helps to write filters."""

    @property
    def filter_line(self) -> FilterLine:
        return self.query_one(FilterLine)

    @property
    def filter_now(self) -> str:
        return self._filter

    def set_filter(self, wanted: str) -> None:
        DatasetFiles.set_filter(self, wanted)

    def ask_filter(self) -> None:
        """Ask for a filter, beginning with the one that is set."""
        self.filter_line.ask(FilterLine.TOPIC, _("Filter"), self._filter, note=_("words, or tag:x"))
        self.refresh_hints()
        self.begin_filter()

    def say_broken(self, why: str) -> None:
        """What is wrong with the filter, unless there is a way to go on."""
        if not self.offering:
            super().say_broken(why)

    @on(FilterLine.Key)
    def _line_key(self, event: FilterLine.Key) -> None:
        event.stop()
        if event.what == "take":
            self.take_offer(event.by)
        elif event.what == "earlier":
            self.take_earlier(event.by)

    def show_tag(self, tag: str) -> None:
        """Show only the images that carry a tag."""
        quoted = tag.replace('"', "")
        self.set_filter(f'tag:"{quoted}"' if " " in tag else f"tag:{tag}")

    def tell_no_filters(self) -> None:
        self.bench.tell(_("No filter was used here yet; / asks for one."))
