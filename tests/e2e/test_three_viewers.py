"""One finished bake in three terminals at once: 80×24 with 256 colours, one without colour, one in Chinese."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path

from rich.cells import cell_len

from tests.e2e.terminal import Terminal
from tests.tui.conftest import home
from tests.tui.fake_runs import _baked, baked, steady

__all__ = ["_baked", "baked", "home"]

GOLDEN = Path(__file__).parents[1] / "tui" / "golden"
APP = [sys.executable, "-m", "lorabake_tui"]


def compare(name: str, text: str) -> None:
    path = GOLDEN / f"{name}.txt"
    told = _told(text)
    if os.environ.get("UPDATE_GOLDENS") == "1":
        path.write_text(told, encoding="utf-8")
    assert told == _told(path.read_text(encoding="utf-8").removesuffix("\n"))


def _told(text: str) -> str:
    # The pictures and their captions come after the words; which of them are painted already is not the question here.
    told = re.sub(r"\d", "#", steady(text)).replace("▀", " ")
    told = re.sub(r"(baseline|epoch #|基准|第 # 轮) ##", lambda found: " " * cell_len(found[0]), told)
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
        for name, terminal in (("80x24", small), ("120x36-no-colour", grey), ("120x36-zh_CN", chinese)):
            compare(f"viewers-{name}", terminal.text)
        assert _coloured(small)
        assert not _coloured(grey)


def _coloured(terminal: Terminal) -> set[str]:
    """The colours on the screen that are no grey."""
    with terminal._guard:
        cells = [cell for row in terminal._screen.buffer.values() for cell in row.values()]
    seen = {colour for cell in cells for colour in (cell.fg, cell.bg)} - {"default", "black", "white"}
    return {colour for colour in seen if not (len(colour) == 6 and colour[:2] == colour[2:4] == colour[4:])}
