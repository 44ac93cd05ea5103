"""The palette: every action of every section with its key, found by typing; choosing one goes there and does it."""

from __future__ import annotations

from lorabake_tui import keys
from lorabake_tui.dialogs.picker import Option
from lorabake_tui.i18n import _


def options(section: str) -> list[Option]:
    """All actions: those of the open section first, then the app's, then those of the other sections."""
    owners = [section, "app", *(name for name, _title in keys.SECTIONS if name != section)]
    titles = dict(keys.SECTIONS)
    found = []
    for owner in owners:
        area = _(titles[owner]) + " · " if owner in titles else ""
        for action in keys.TABLE[owner]:
            if action.palette and action.id != "app.palette":
                label = f"{action.key:>5}  {area}{_(action.verb)}"
                found.append(Option(action, label, _(action.help), f"{action.id} {action.verb} {action.help}"))
    return found
