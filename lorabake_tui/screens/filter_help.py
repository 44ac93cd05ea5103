"""What helps to write a filter in any section: completion, what was used before, filters saved under a name."""

from __future__ import annotations

from typing import NamedTuple, Protocol

from rich.cells import cell_len
from textual import work

from engine.protocol.found import Filters, Suggestions
from engine.protocol.messages import CompleteParams, KeepFilter, PathParams
from lorabake_tui.client import ClientError
from lorabake_tui.i18n import _
from lorabake_tui.screens.section import Section

_OFFERED = 8
_SAVE, _FORGET = "save", "forget"


class Line(Protocol):
    """The line that a filter is written in."""

    @property
    def asking(self) -> bool: ...
    @property
    def text(self) -> str: ...
    @property
    def cursor(self) -> int: ...
    def write(self, text: str, cursor: int) -> None: ...
    def say(self, text: str, *, wrong: bool = False) -> None: ...


class _Offer(NamedTuple):
    """Suggestions for a text, the one that stands in the line now (-1: none yet), and the line with it."""

    text: str
    found: Suggestions
    taken: int = -1
    written: str = ""


class FilterHelp(Section, inherit_bindings=False):
    """A section with one filter, which its subclass shows and acts on."""

    def __init__(self) -> None:
        super().__init__()
        self._offer: _Offer | None = None
        self._used: list[str] = []
        self._back = -1

    @property
    def filter_line(self) -> Line:
        """Where filters are typed."""
        raise NotImplementedError

    @property
    def filter_now(self) -> str:
        """The filter that is set."""
        raise NotImplementedError

    def set_filter(self, wanted: str) -> None:
        """Show what a filter finds; all for ""."""
        raise NotImplementedError

    @property
    def offering(self) -> bool:
        """Whether the line says how it may go on."""
        return self._offer is not None

    def begin_filter(self) -> None:
        """The line was opened."""
        self._offer, self._back = None, -1
        self._remember()

    def filter_typed(self, text: str) -> None:
        """Find what fits, and what may be typed next."""
        self.set_filter(text)
        if self._offer is None or text != self._offer.written:
            self._complete(text)
        else:
            self._tell_offers()

    @work(exit_on_error=False, exclusive=True, group="complete")
    async def _complete(self, text: str) -> None:
        self._offer = None
        path = self.bench.opened.path
        if not path or not text:
            return
        asked = CompleteParams(path=path, text=text, cursor=self.filter_line.cursor, limit=_OFFERED)
        try:
            found: Suggestions = await self.bench.engine.call("dataset.complete_filter", asked)
        except ClientError:
            return
        if self.filter_line.asking and self.filter_line.text == text and found.rows:
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
        self.filter_line.say(told)

    def take_offer(self, by: int) -> None:
        """Put the next suggestion into the line, or the one before."""
        offer = self._offer
        if offer is None:
            return
        count = len(offer.found.rows)
        place = (offer.taken + by) % count if offer.taken >= 0 or by > 0 else count - 1
        row = offer.found.rows[place]
        head = offer.text[: offer.found.start] + row.text
        written = head + offer.text[offer.found.end :]
        self._offer = offer._replace(taken=place, written=written)
        self.filter_line.write(written, len(head))
        if count == 1 and row.text.endswith(":"):
            self._complete(written)  # a field: its values come next
        else:
            self._tell_offers()

    def take_earlier(self, by: int) -> None:
        """Put what was used before into the line."""
        if self._used:
            self._back = min(len(self._used) - 1, max(-1, self._back + by))
            text = self._used[self._back] if self._back >= 0 else ""
            self.filter_line.write(text, len(text))

    def keep_filter(self, text: str) -> None:
        """A filter that was used is the first of the history."""
        if text.strip():
            self._keep_filter(KeepFilter(path=self.bench.opened.path, text=text.strip()))

    @work(exit_on_error=False, group="filters")
    async def _keep_filter(self, asked: KeepFilter) -> None:
        kept: Filters | None = await self.call("dataset.keep_filter", asked)
        if kept is not None:
            self._used = kept.history

    @work(exit_on_error=False, group="filters")
    async def _remember(self) -> None:
        path = self.bench.opened.path
        if path:
            try:
                kept: Filters = await self.bench.engine.call("dataset.filters", PathParams(path=path))
            except ClientError:
                return
            self._used = kept.history

    @work(exit_on_error=False, group="dialog")
    async def action_filters(self) -> None:
        from lorabake_tui.dialogs.picker import Option, Picker
        from lorabake_tui.dialogs.prompt import Prompt

        path = self.bench.opened.path
        kept: Filters | None = await self.call("dataset.filters", PathParams(path=path)) if path else None
        if kept is None:
            return
        options = [Option(("use", text), name, text) for name, text in kept.saved.items()]
        known = set(kept.saved.values())
        options += [Option(("use", text), text, _("used before")) for text in kept.history if text not in known]
        if self.filter_now.strip():
            options.insert(0, Option((_SAVE, self.filter_now), _("Save under a name …"), self.filter_now))
        options += [Option((_FORGET, name), _("Forget {name}").format(name=name), dim=True) for name in kept.saved]
        if not options:
            self.tell_no_filters()
            return
        chosen = await self.app.push_screen_wait(Picker(_("Filters"), options))
        if chosen is None:
            return
        what, text = chosen
        if what == _SAVE:
            name = await self.app.push_screen_wait(Prompt(_("Name of the filter"), note=text))
            if name and name.strip():
                self._keep_filter(KeepFilter(path=path, text=text, name=name.strip()))
        elif what == _FORGET:
            self._keep_filter(KeepFilter(path=path, text="", name=text))
        else:
            self.set_filter(text)
            self.keep_filter(text)

    def tell_no_filters(self) -> None:
        """Say how to write a first filter."""
        raise NotImplementedError
