"""The sheet that starts a tagger, or moves the thresholds of its stored scores and shows at once what that changes."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace

import msgspec
from textual import work
from textual.widgets import Static

from engine.protocol.records import ModelRow
from engine.protocol.tag_options import FLOOR, TagOptions
from lorabake_tui.dialogs.settings import ANYTHING, Setting, Settings, yes_no
from lorabake_tui.i18n import _
from lorabake_tui.widgets.plain import plain
from lorabake_tui.widgets.units import size

Look = Callable[[TagOptions], Awaitable[str]]
"""What the stored scores would change with these options, in words."""

_NUMBER = "0123456789."
_PAUSE_SECONDS = 0.15
"""While a threshold is being typed nothing is asked."""


class TaggingSheet(Settings):
    """Returns the values by id: `work` is run or stored, the rest as `options_of` reads them."""

    def __init__(self, models: Sequence[ModelRow], look: Look, values: dict[str, str]) -> None:
        self._look = look
        self._told = ("", "")
        taggers = sorted((row for row in models if row.kind == "tagger"), key=lambda row: not row.present)
        names = [(row.name, _title(row)) for row in taggers]
        existing = [
            ("keep", _("stay as they are")),
            ("append", _("get the tags behind")),
            ("prepend", _("get the tags in front")),
            ("replace", _("are replaced")),
        ]
        own = _("the tagger's own")
        rows = [
            Setting("tagger", _("Tagger"), names, typed=ANYTHING),
            Setting("work", _("Scores"), [("run", _("run the model where there are none")), ("stored", _("stored"))]),
            Setting("general", _("Threshold"), typed=_NUMBER, hint=own),
            Setting("character", _("of characters"), typed=_NUMBER, hint=own),
            yes_no("mcut", _("At the gap")),
            yes_no("characters", _("Characters"), value=True),
            yes_no("rating", _("Rating")),
            Setting("exclude", _("Never"), typed=ANYTHING, hint=_("tags with commas between, * for anything")),
            Setting("existing", _("Captions there"), existing),
        ]
        # As it was left the last time.
        rows = [replace(row, value=values[row.id]) if row.id in values else row for row in rows]
        super().__init__(_("Tag"), rows, self._sentence)

    def _sentence(self, values: dict[str, str]) -> tuple[str, bool]:
        options = options_of(values)
        if options is None:
            return _("A threshold is a number from {floor} to 1.").format(floor=FLOOR), True
        if not values["tagger"].strip():
            return _("Name the tagger."), True
        if values["work"] == "run":
            return _("Tags added or taken out by hand stay as they are; undo takes it all back."), False
        key = repr(options)
        if self._told[0] != key:
            self._ask(key, options)
            return "…", False
        return self._told[1], False

    @work(exclusive=True, exit_on_error=False, group="look")
    async def _ask(self, key: str, options: TagOptions) -> None:
        await asyncio.sleep(_PAUSE_SECONDS)
        self._told = (key, await self._look(options))
        if self.is_mounted:
            self.query_one("#settings-note", Static).update(plain(self._told[1]))


def options_of(values: dict[str, str]) -> TagOptions | None:
    """The sheet's values as options; None while a threshold is no number or out of range."""
    numbers = {}
    for name in ("general", "character"):
        try:
            numbers[name] = float(values[name] or 0)
        except ValueError:
            return None
        if numbers[name] and not FLOOR <= numbers[name] <= 1:
            return None
    return msgspec.convert(
        {
            "taggers": [values["tagger"].strip()],
            **numbers,
            "mcut": bool(values["mcut"]),
            "characters": bool(values["characters"]),
            "rating": bool(values["rating"]),
            "exclude": [tag.strip() for tag in values["exclude"].split(",") if tag.strip()],
            "existing": values["existing"],
        },
        TagOptions,
    )


def _title(row: ModelRow) -> str:
    if row.present:
        return row.title
    return _("{title} (to be downloaded, {size})").format(title=row.title, size=size(row.bytes))
