"""The filter of the Dataset section while it is typed: completion, what was used before, filters saved under a name."""

from __future__ import annotations

from typing import NamedTuple

from rich.cells import cell_len
from textual import on, work

from engine.protocol.found import Filters, Suggestions
from engine.protocol.messages import CompleteParams, KeepFilter, PathParams
from lorabake_tui.client import ClientError
from lorabake_tui.i18n import _
from lorabake_tui.screens.dataset_files import DatasetFiles
from lorabake_tui.widgets.filter_line import FilterLine

_OFFERED = 8
_SAVE, _FORGET = "save", "forget"


class _Offer(NamedTuple):
    """Suggestions for a text, the one that stands in the line now (-1: none yet), and the line with it."""

    text: str
    found: Suggestions
    taken: int = -1
    written: str = ""


class DatasetFilter(DatasetFiles, inherit_bindings=False):
    """The part of the Dataset section that helps to write filters."""

    def __init__(self) -> None:
        super().__init__()
        self._offer: _Offer | None = None
        self._used: list[str] = []
        self._back = -1

    @property
    def _line(self) -> FilterLine:
        return self.query_one(FilterLine)

    def ask_filter(self) -> None:
        """Ask for a filter, beginning with the one that is set."""
        self._offer, self._back = None, -1
        note = _("words, or tag:x")
        self._line.ask(FilterLine.TOPIC, _("Filter"), self._filter, note=note)
        self.refresh_hints()
        self._remember()

    def filter_typed(self, text: str) -> None:
        """Find what fits, and what may be typed next."""
        self.set_filter(text)
        if self._offer is None or text != self._offer.written:
            self._complete(text)

    @work(exit_on_error=False, exclusive=True, group="complete")
    async def _complete(self, text: str) -> None:
        self._offer = None
        path = self._opened.path
        if not path or not text:
            return
        asked = CompleteParams(path=path, text=text, cursor=self._line.cursor, limit=_OFFERED)
        try:
            found: Suggestions = await self.bench.engine.call("dataset.complete_filter", asked)
        except ClientError:
            return
        if self._line.asking and self._line.text == text and found.rows:
            self._offer = _Offer(text, found)
            self._tell_offers()

    def _tell_offers(self) -> None:
        if self._offer is None:
            return
        rows, here = self._offer.found.rows, max(0, self._offer.taken)
        told = "⇥"
        for number, row in enumerate(rows[here:] + rows[:here]):
            word = f"{row.shown} {row.count}" if row.count else row.shown
            longer = told + (" " if not number else " · ") + word
            if number and cell_len(longer) > self.app.size.width // 2:
                break
            told = longer
        self._line.say(told)

    def say_broken(self, why: str) -> None:
        """What is wrong with the filter, unless there is a way to go on."""
        if self._offer is None:
            super().say_broken(why)

    @on(FilterLine.Key)
    def _line_key(self, event: FilterLine.Key) -> None:
        event.stop()
        if event.what == "take" and self._offer is not None:
            offer = self._offer
            count = len(offer.found.rows)
            place = (offer.taken + event.by) % count if offer.taken >= 0 or event.by > 0 else count - 1
            row = offer.found.rows[place]
            head = offer.text[: offer.found.start] + row.text
            written = head + offer.text[offer.found.end :]
            self._offer = offer._replace(taken=place, written=written)
            self._line.write(written, len(head))
            if count == 1 and row.text.endswith(":"):
                self._complete(written)  # a field: its values come next
            else:
                self._tell_offers()
        elif event.what == "earlier" and self._used:
            self._back = min(len(self._used) - 1, max(-1, self._back + event.by))
            text = self._used[self._back] if self._back >= 0 else ""
            self._line.write(text, len(text))

    def show_tag(self, tag: str) -> None:
        """Show only the images that carry a tag."""
        quoted = tag.replace('"', "")
        self.set_filter(f'tag:"{quoted}"' if " " in tag else f"tag:{tag}")

    def keep_filter(self, text: str) -> None:
        """A filter that was used is the first of the history."""
        if text.strip():
            self._keep(KeepFilter(path=self._opened.path, text=text.strip()))

    @work(exit_on_error=False, group="filters")
    async def _keep(self, asked: KeepFilter) -> None:
        kept: Filters | None = await self.call("dataset.keep_filter", asked)
        if kept is not None:
            self._used = kept.history

    @work(exit_on_error=False, group="filters")
    async def _remember(self) -> None:
        if self._opened.path:
            try:
                kept: Filters = await self.bench.engine.call("dataset.filters", PathParams(path=self._opened.path))
            except ClientError:
                return
            self._used = kept.history

    @work(exit_on_error=False, group="dialog")
    async def action_filters(self) -> None:
        from lorabake_tui.dialogs.picker import Option, Picker
        from lorabake_tui.dialogs.prompt import Prompt

        path = self._opened.path
        kept: Filters | None = await self.call("dataset.filters", PathParams(path=path)) if path else None
        if kept is None:
            return
        options = [Option(("use", text), name, text) for name, text in kept.saved.items()]
        known = set(kept.saved.values())
        options += [Option(("use", text), text, _("used before")) for text in kept.history if text not in known]
        if self._filter.strip():
            options.insert(0, Option((_SAVE, self._filter), _("Save under a name …"), self._filter))
        options += [Option((_FORGET, name), _("Forget {name}").format(name=name), dim=True) for name in kept.saved]
        if not options:
            self.bench.tell(_("No filter was used here yet; / asks for one."))
            return
        chosen = await self.app.push_screen_wait(Picker(_("Filters"), options))
        if chosen is None:
            return
        what, text = chosen
        if what == _SAVE:
            name = await self.app.push_screen_wait(Prompt(_("Name of the filter"), note=text))
            if name and name.strip():
                self._keep(KeepFilter(path=path, text=text, name=name.strip()))
        elif what == _FORGET:
            self._keep(KeepFilter(path=path, text="", name=text))
        else:
            self.set_filter(text)
            self.keep_filter(text)
