"""The progress of a long request to the engine, as one line on stderr."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from engine.protocol.messages import Progress
from lorabake_tui.commands.text import steerable
from lorabake_tui.i18n import N_, _

if TYPE_CHECKING:
    from engine.protocol.messages import Push

_TASKS = {
    "dataset.check": N_("looking at images"),
    "dataset.fix": N_("fixing"),
    "dataset.undo_fix": N_("undoing"),
    "dataset.crop": N_("cropping"),
    "dataset.add": N_("adding"),
    "dataset.remove": N_("removing"),
    "dataset.mirror": N_("mirroring"),
    "dataset.split": N_("splitting"),
    "dataset.undo": N_("undoing"),
    "dataset.export": N_("exporting"),
    "dataset.sheet": N_("drawing"),
}


class ProgressLine:
    """One line on stderr that is drawn over; nothing where stderr is no terminal."""

    def __init__(self) -> None:
        self._drawn = False

    def push(self, push: Push) -> None:
        """Show how far the request is."""
        if isinstance(push, Progress) and steerable(sys.stderr):
            self._drawn = True
            words = f"{_(_TASKS.get(push.task, ''))} {push.done} / {push.total}"
            print(f"\r\x1b[K{words}", end="", file=sys.stderr, flush=True)

    def clear(self) -> None:
        """Leave no trace."""
        if self._drawn:
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)
