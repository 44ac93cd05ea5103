"""One finished bake in three terminals at once: 80×24 with 256 colours, one without colour, one in Chinese."""

from __future__ import annotations

import contextlib
import os
import re
import sys
from itertools import pairwise
from pathlib import Path

from tests.e2e.terminal import Terminal, until
from tests.tui.conftest import home
from tests.tui.fake_runs import _baked, baked, steady

__all__ = ["_baked", "baked", "home"]

GOLDEN = Path(__file__).parents[1] / "tui" / "golden"
APP = [sys.executable, "-m", "lorabake_tui"]


def compare(name: str, terminal: Terminal, pictures: int) -> None:
    """Pictures come after the words, and their captions move below them: the screen is waited for, not caught."""
    path = GOLDEN / f"{name}.txt"
    if os.environ.get("UPDATE_GOLDENS") == "1":
        until(lambda: _painted(terminal.text) == pictures, f"{pictures} pictures are painted")
        path.write_text(_told(terminal.text), encoding="utf-8")
    golden = path.read_text(encoding="utf-8")
    with contextlib.suppress(AssertionError):
        until(lambda: _told(terminal.text) == golden, "the screen is as it was")
    assert _told(terminal.text) == golden


def _painted(text: str) -> int:
    """How many captions stand below a picture."""
    lines = text.split("\n")
    below = [(line, above) for above, line in pairwise(lines) if "▀" in above]
    return sum(len(re.findall(r" #\d", line)) for line, _above in below)


def _told(text: str) -> str:
    told = re.sub(r"\d", "#", steady(text)).replace("▀", " ")
    return "\n".join(line.rstrip() for line in told.split("\n")) + "\n"


def test_three_viewers_at_once(baked: Path) -> None:
    plain = {"LORABAKE_HOME": str(baked), "LORABAKE_DEVICE": "cpu", "LANG": "C.UTF-8", "LORABAKE_LANG": "en"}
    plain |= {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    plain["PYTHONPATH"] = str(Path(__file__).parents[2])
    with (
        Terminal(APP, plain, 80, 24) as small,
        Terminal(APP, {**plain, "NO_COLOR": "1"}, 120, 36) as grey,
        Terminal(APP, {**plain, "LORABAKE_LANG": "zh_CN"}, 120, 36) as chinese,
    ):
        for terminal, tabs in ((small, "Monitor"), (grey, "Monitor"), (chinese, "数")):
            terminal.wait_for(tabs)
            terminal.press("5")
        for terminal, words in ((small, ("100 %", "Loss")), (grey, ("100 %", "┤")), (chinese, ("100 %", "┤"))):
            terminal.wait_for(*words, "CPU")
        for name, terminal, count in (("80x24", small, 2), ("120x36-no-colour", grey, 4), ("120x36-zh_CN", chinese, 4)):
            compare(f"viewers-{name}", terminal, count)
        assert _coloured(small)
        assert not _coloured(grey)


def _coloured(terminal: Terminal) -> set[str]:
    """The colours on the screen that are no grey."""
    with terminal._guard:
        cells = [cell for row in terminal._screen.buffer.values() for cell in row.values()]
    seen = {colour for cell in cells for colour in (cell.fg, cell.bg)} - {"default", "black", "white"}
    return {colour for colour in seen if not (len(colour) == 6 and colour[:2] == colour[2:4] == colour[4:])}
