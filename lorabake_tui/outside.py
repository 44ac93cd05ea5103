"""What reaches beyond the app's own screen: the terminal's title, the bell, a desktop notification.

Sequences for terminals only; what a person wants to hear is `engine.protocol.telling`, when is decided here by
comparing two lists of runs.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Mapping

from engine.protocol.records import LIVE_STATES, RunRow
from engine.protocol.telling import TellSettings
from lorabake_tui.i18n import _
from lorabake_tui.widgets import states
from lorabake_tui.widgets.plain import plain

_SAFE = re.compile(r"[\x00-\x1f\x7f-\x9f;]+")
_NAME = 24


def title_of(rows: Iterable[RunRow]) -> str:
    """`42 % ● running mira`: the live run, else the number of waiting jobs, else the program's name."""
    rows = list(rows)
    live = next((row for row in rows if row.state in LIVE_STATES), None)
    if live is None:
        waiting = sum(row.state in ("queued", "scheduled") for row in rows)
        return f"LoRABake · {_('{n} waiting').format(n=waiting)}" if waiting else "LoRABake"
    share = f"{100 * live.step // live.steps} % " if live.steps else ""
    return f"{share}{states.told(live.state)} {clean(live.name or live.id)[:_NAME]}"


def clean(text: str) -> str:
    """Text that may stand within a sequence: no control characters, nothing that ends or divides one."""
    return _SAFE.sub(" ", plain(text))


def title(text: str, environ: Mapping[str, str] = os.environ) -> str:
    """The sequence that names the window; within tmux or screen also the one that names their window."""
    named = f"\x1b]2;{clean(text)}\x07"
    return named + (f"\x1bk{clean(text)}\x1b\\" if multiplexed(environ) else "")


def untitled(environ: Mapping[str, str] = os.environ) -> str:
    """Give the names back: tmux goes on naming its window by itself, a terminal gets its title from the stack."""
    return "\x1b[23;2t" + ("\x1bk\x1b\\" if multiplexed(environ) else "")


def remember() -> str:
    """Put the title that stands there on the terminal's stack."""
    return "\x1b[22;2t"


def multiplexed(environ: Mapping[str, str]) -> bool:
    """Whether tmux or screen stands between the program and the terminal."""
    return bool(environ.get("TMUX")) or environ.get("TERM", "").startswith(("screen", "tmux"))


def notification(text: str, environ: Mapping[str, str] = os.environ) -> str:
    """OSC 9 (iTerm2, Windows Terminal, kitty, Ghostty, WezTerm) and OSC 777 (urxvt, foot, VTE); wrapped for tmux, which
    lets it through where allow-passthrough is on."""
    plain_words = clean(text)
    sequences = (f"\x1b]9;{plain_words}\x07", f"\x1b]777;notify;LoRABake;{plain_words}\x07")
    if environ.get("TMUX"):
        return "".join("\x1bPtmux;" + sequence.replace("\x1b", "\x1b\x1b") + "\x1b\\" for sequence in sequences)
    return "".join(sequences)


class Outside:
    """Writes what changed. `write` takes a sequence for the terminal."""

    def __init__(self, write: Callable[[str], None]) -> None:
        self._write = write
        self._states: dict[str, str] | None = None
        self._stalled: set[str] = set()
        self._title = ""
        self.settings = TellSettings()

    def runs(self, rows: Iterable[RunRow]) -> None:
        """Take the list of runs as it is now; the first one is only remembered."""
        rows = list(rows)
        now = title_of(rows)
        if now != self._title:
            if not self._title:
                self._write(remember())
            self._title = now
            self._write(title(now))
        before, self._states = self._states, {row.id: row.state for row in rows}
        stalled = {row.id for row in rows if row.stalled}
        for row in rows if before is not None else []:
            was = (before or {}).get(row.id, "")
            if was in LIVE_STATES | {"queued"} and row.state in self.settings.on and was != row.state:
                self._tell(row, row.state)
            elif row.id in stalled - self._stalled and "stalled" in self.settings.on:
                self._tell(row, "stalled")
        self._stalled = stalled

    def close(self) -> None:
        """Give the title back."""
        if self._title:
            self._write(untitled())
            self._title = ""

    def _tell(self, row: RunRow, what: str) -> None:
        word = _("no word for long") if what == "stalled" else states.told(what)
        if self.settings.desktop:
            self._write(notification(f"{row.name or row.id}: {word}"))
        if self.settings.bell:
            self._write("\x07")
